import { tmpdir } from 'node:os'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { alibabaFc } from '../../src/contracts/alibaba-fc.ts'
import { FRAME } from '../../src/engine/channel.ts'
import { Deliveries } from '../../src/engine/deliveries.ts'
import type { InstanceEnding } from '../../src/engine/instance-ending.ts'
import { InstanceLog } from '../../src/engine/instance-log.ts'
import { InstanceStart } from '../../src/engine/instance-start.ts'
import { TicketBook } from '../../src/engine/ticket-book.ts'
import { makeTicketFile } from '../../src/engine/ticket-file.ts'
import { EMPTY_PAYLOAD } from '../../src/model/payload.ts'
import { aVersion } from '../helpers/versions.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test.each([
  [2000, 10_000],
  [60_000, 60_000],
])('code that loads for too long with a time limit of %d ms was given %d ms', (timeoutMs, afterMs) => {
  const version = aVersion({ timeoutMs })
  const book = new TicketBook(makeTicketFile(tmpdir()))
  const deliveries = new Deliveries(book, 1)
  const endings: InstanceEnding[] = []
  const start = new InstanceStart(
    {
      wantedBy: { requestId: 'request', version },
      contract: alibabaFc,
      facts: { instanceId: 'instance', codeDir: '/code', region: 'local' },
      startTimeoutMs: 5000,
      prepared: undefined,
      log: new InstanceLog(deliveries, 1),
    },
    {
      onSetUp: () => undefined,
      onLoaded: () => undefined,
      onReady: () => undefined,
      onFailed: (ending) => endings.push(ending),
      onOutOfTurn: () => undefined,
    },
  )
  start.receive({ type: FRAME.hello, flag: 1, callId: 0, meta: Buffer.alloc(0), payload: EMPTY_PAYLOAD })
  vi.advanceTimersByTime(afterMs - 1)
  expect(endings).toEqual([])
  vi.advanceTimersByTime(1)
  expect(endings).toMatchObject([{ kind: 'init-failed', failure: { reason: 'timedOut', afterMs } }])
  start.stop()
  book.close()
})
