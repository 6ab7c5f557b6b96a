import { afterAll, beforeAll, expect, test } from 'vitest'
import type { EndedTask } from '../../../src/async/destination-words.ts'
import { createDestinationWords } from '../../../src/dialects/tencent-scf/destination-words.ts'
import { payloadOf } from '../../../src/model/payload.ts'
import { functionParams, openHarness, type Harness } from './harness.ts'
import { ACCOUNT } from './signing.ts'

let server: Harness
beforeAll(async () => {
  server = await openHarness()
  await server.call('CreateFunction', await functionParams('hello', { TraceEnable: 'TRUE' }))
})
afterAll(() => server.close())

const target = { account: ACCOUNT, namespace: 'default', name: 'hello' }

function endedTask(more: Partial<EndedTask> = {}): EndedTask {
  return {
    task: {
      sequence: 1,
      lease: 'l',
      requestId: 'r1',
      account: ACCOUNT,
      namespace: 'default',
      functionName: 'hello',
      payload: Buffer.from('{"n":1}'),
      acceptedAtMs: Date.UTC(2026, 10, 21, 10),
      dueAtMs: Date.UTC(2026, 10, 21, 10),
      maxRetries: 2,
      expiresAtMs: Date.UTC(2026, 10, 21, 10) + 3_600_000,
      attempts: 2,
      deferrals: 0,
      lostRuns: 0,
    },
    ending: 'failed',
    attempts: 3,
    lastError: 'timedOut',
    endedAtMs: Date.UTC(2026, 10, 21, 10, 0, 5, 678),
    ...more,
  }
}

function letterOf(ended: EndedTask): unknown {
  const { body, contentType } = createDestinationWords({ catalogue: server.catalogue }).bodyOf(ended)
  expect(contentType).toBe('application/json')
  return JSON.parse(body.toString())
}

test('a dead letter has the vendor’s members', () => {
  expect(letterOf(endedTask())).toEqual({
    RequestId: 'r1',
    ErrorCode: 433,
    ErrorMessage: 'timedOut',
    Body: {
      AppId: expect.any(Number),
      Uin: expect.stringMatching(/^100\d{9}$/),
      SubAccountUin: expect.stringMatching(/^100\d{9}$/),
      RequestSource: 'API',
      FunctionName: 'hello',
      Namespace: 'default',
      Qualifier: '$LATEST',
      InvocationType: 'Event',
      ClientContext: '{"n":1}',
      LogType: '',
      TimeStampForInvoker: '1795255200000',
      RequestId: 'r1',
      PushTime: '2026-11-21T18:00:05.678000000+08:00',
      RetryNum: 2,
      Ttl: 3600,
    },
  })
})

test('a dead letter says what the last try came to', () => {
  const outcome = {
    version: server.catalogue.resolve(target),
    instanceId: 'c-1',
    coldStart: false,
    durationMs: 1,
    billedDurationMs: 1,
    initDurationMs: 0,
    maxMemoryBytes: 1,
    logTail: () => Buffer.alloc(0),
  }
  const failed = letterOf(endedTask({ outcome: { ...outcome, kind: 'timedOut', afterMs: 3000 } }))
  expect(failed).toMatchObject({
    ErrorMessage: expect.stringContaining('Invoking task timed out after 3 seconds'),
  })
  const returned = { ...outcome, kind: 'returned', payload: payloadOf('"done"') } as const
  const { lastError: _, ...succeeded } = endedTask({ ending: 'succeeded', outcome: returned })
  expect(letterOf(succeeded)).toMatchObject({ ErrorCode: 200, ErrorMessage: '"done"' })
})

test('a call that a function gets as a destination is treated as its settings say', () => {
  const words = createDestinationWords({ catalogue: server.catalogue })
  expect(words.settingsOf(target)).toMatchObject({
    policy: { maxRetries: 2, maxAgeMs: 21_600_000 },
    keepsDetails: true,
    source: 'API',
  })
  expect(words.settingsOf({ ...target, name: 'nobody' })).toMatchObject({ policy: { maxRetries: 0 } })
})
