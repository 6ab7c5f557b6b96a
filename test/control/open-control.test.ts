import { createSecretKey } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Tasks } from '../../src/async/tasks.ts'
import { ControlClient } from '../../src/control/client.ts'
import { openControl } from '../../src/control/open-control.ts'
import { OperatorLog } from '../../src/observe/operator-log.ts'
import type { Outbox } from '../../src/store/outbox.ts'
import type { QueueAudit } from '../../src/store/task-queue.ts'

const SOUND: QueueAudit = { imbalance: 0, miscounted: 0, strayPayloads: 0 }

let dir: string
let lines: string[]
/** Audits that have begun; each ends when it is told to. */
let audits: ((audit: QueueAudit) => void)[]

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'control-'))
  lines = []
  audits = []
})
afterEach(() => rm(dir, { recursive: true }))

const open = (): Promise<{ close(): Promise<void> }> =>
  openControl({
    dataDir: dir,
    account: '1',
    tasks: {
      audit: () => new Promise<QueueAudit>((resolve) => audits.push(resolve)),
    } as Partial<Tasks> as Tasks,
    outbox: {} as Outbox,
    destinations: { notify: () => undefined },
    catalogue: { list: () => [] },
    usualLimits: { maxRuns: 1, maxTasks: 1 },
    webhookKey: createSecretKey(Buffer.alloc(32)),
    log: new OperatorLog({ format: 'text', write: (line) => lines.push(line) }),
  })

test('an audit that is asked for while one runs is that one', async () => {
  const door = await open()
  const client = await ControlClient.open(dir)
  const asked = [client.ask({ path: ['audit'] }), client.ask({ path: ['audit'] })]
  await expect.poll(() => audits).toHaveLength(1)
  // Answered after the second has come: a request of its own takes the same way, and has an answer by then.
  await client.ask({ path: ['webhook-secret'] })
  audits[0]?.(SOUND)
  expect(await Promise.all(asked)).toEqual([SOUND, SOUND])
  expect(audits).toHaveLength(1)
  const later = client.ask({ path: ['audit'] })
  await expect.poll(() => audits).toHaveLength(2)
  audits[1]?.(SOUND)
  expect(await later).toEqual(SOUND)
  await client.close()
  await door.close()
})

test('where there can be no socket the operator is told, and there is no door', async () => {
  await writeFile(join(dir, 'control.sock'), '')
  const door = await open()
  expect(lines.join('')).toMatch(/there is no control socket.*is no socket/)
  const client = await ControlClient.open(dir)
  await expect(client.ask({ path: ['audit'] })).rejects.toMatchObject({ reason: 'absent' })
  await client.close()
  await door.close()
})
