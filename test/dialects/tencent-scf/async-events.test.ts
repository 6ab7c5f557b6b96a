import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ClaimedTask } from '../../../src/store/task-queue.ts'
import { functionParams, openHarness, type Harness, type TestReply } from './harness.ts'
import { ACCOUNT } from './signing.ts'

let server: Harness
const FunctionName = 'hello'

beforeAll(async () => {
  server = await openHarness()
  await server.call('CreateFunction', await functionParams(FunctionName))
  await server.call('PublishVersion', { FunctionName })
})
afterAll(() => server.close())

const call = (action: string, params: object = {}): Promise<TestReply> =>
  server.call(action, { FunctionName, ...params })

async function enqueue(params: object = {}): Promise<string> {
  const { response, message } = await call('Invoke', { InvocationType: 'Event', ...params })
  expect(message).toBe(undefined)
  const result = response['Result']
  return (result as { FunctionRequestId: string }).FunctionRequestId
}

/** What the delivery would do with the oldest task. */
async function settle(ending: 'succeeded' | 'failed', lastError?: string): Promise<void> {
  const [task] = await server.store.tasks.claim(1, server.clockMs, 60_000)
  await server.store.tasks.settle(task?.lease ?? '', {
    ending,
    attempts: 1,
    ...(lastError === undefined ? {} : { lastError }),
  })
}

/** Ends the oldest task, and tells what it was. */
async function runOldest(): Promise<ClaimedTask | undefined> {
  const [task] = await server.store.tasks.claim(1, server.clockMs, 60_000)
  await server.store.tasks.settle(task?.lease ?? '', { ending: 'succeeded', attempts: 1 })
  return task
}

describe('settings of asynchronous calls', () => {
  const get = async (): Promise<unknown> =>
    (await call('GetFunctionEventInvokeConfig')).response['AsyncTriggerConfig']

  test('are the vendor’s defaults, in the form of its real answers', async () => {
    expect(await get()).toEqual({
      MsgTTL: 21_600,
      RetryConfig: [
        { ErrorCode: ['default'], RetryNum: 2, RetryInterval: 60 },
        { ErrorCode: ['432'], RetryNum: -1, RetryInterval: 60 },
      ],
    })
  })

  test('are changed, also by what was answered before, and hold for the next call', async () => {
    const AsyncTriggerConfig = { RetryConfig: [{ RetryNum: 0 }], MsgTTL: 3600 }
    await call('UpdateFunctionEventInvokeConfig', { AsyncTriggerConfig })
    const answered = await get()
    expect(answered).toMatchObject({ MsgTTL: 3600, RetryConfig: [{ RetryNum: 0 }, { RetryNum: -1 }] })
    const again = await call('UpdateFunctionEventInvokeConfig', { AsyncTriggerConfig: answered })
    expect(again.message).toBe(undefined)
    expect(await get()).toEqual(answered)
    await enqueue()
    const [task] = await server.store.tasks.claim(1, server.clockMs, 60_000)
    expect(task).toMatchObject({ maxRetries: 0, expiresAtMs: server.clockMs + 3_600_000 })
    await server.store.tasks.settle(task?.lease ?? '', { ending: 'succeeded', attempts: 1 })
  })

  test('can be made for a version, and hold for aliases of it; what is not set there is the function’s', async () => {
    await call('CreateAlias', { Name: 'prod', FunctionVersion: '1' })
    const before = await get()
    const changed = await call('UpdateFunctionEventInvokeConfig', {
      Qualifier: '1',
      AsyncTriggerConfig: { RetryConfig: [{ RetryNum: 1 }] },
    })
    expect(changed.message).toBe(undefined)
    for (const Qualifier of ['1', 'prod'])
      expect(
        (await call('GetFunctionEventInvokeConfig', { Qualifier })).response['AsyncTriggerConfig'],
      ).toMatchObject({ MsgTTL: 3600, RetryConfig: [{ RetryNum: 1 }, {}] })
    expect(await get()).toEqual(before)
    await enqueue({ Qualifier: 'prod' })
    expect(await runOldest()).toMatchObject({ maxRetries: 1, expiresAtMs: server.clockMs + 3_600_000 })
    const absent = await call('UpdateFunctionEventInvokeConfig', {
      Qualifier: '7',
      AsyncTriggerConfig: { MsgTTL: 60 },
    })
    expect(absent.code).toBe('ResourceNotFound.Version')
  })

  test('repeat failures and refusals every minute, the latter for as long as the event may live', async () => {
    await enqueue()
    const task = await runOldest()
    expect(task).toMatchObject({
      backoff: { firstMs: 60_000, longestMs: 60_000 },
      refusals: { firstMs: 60_000, longestMs: 60_000, forMs: 3_600_000 },
      source: 'API',
    })
    expect([task?.keepsDetails ?? false, task?.destinations]).toEqual([false, undefined])
  })

  test('keep details of events that are traced, and name whom dead letters are for', async () => {
    const traced = 'traced'
    const DeadLetterConfig = { Type: 'CMQ-QUEUE', Name: 'letters' }
    await server.call(
      'CreateFunction',
      await functionParams(traced, { TraceEnable: 'TRUE', DeadLetterConfig }),
    )
    await call('Invoke', { FunctionName: traced, InvocationType: 'Event' })
    expect(await runOldest()).toMatchObject({
      keepsDetails: true,
      destinations: {
        onFailure: { dialect: 'tencent-scf', target: { kind: 'unreachable', name: 'CMQ-QUEUE/letters' } },
      },
    })
    for (const strange of [
      { Type: 'KAFKA', Name: 'letters' },
      { Type: 'CMQ-QUEUE', Name: 'a/b' },
      { Name: 'letters' },
    ])
      expect(
        (await call('UpdateFunctionConfiguration', { FunctionName: traced, DeadLetterConfig: strange })).code,
      ).toMatch(/^(?:InvalidParameterValue.DeadLetterConfig|MissingParameter)$/)
    const off = { FunctionName: traced, TraceEnable: 'FALSE', DeadLetterConfig: { Type: '', Name: '' } }
    expect((await call('UpdateFunctionConfiguration', off)).message).toBe(undefined)
    await call('Invoke', { FunctionName: traced, InvocationType: 'Event' })
    const task = await runOldest()
    expect([task?.keepsDetails ?? false, task?.destinations]).toEqual([false, undefined])
  })

  test.each([
    [{ AsyncTriggerConfig: { RetryConfig: [{ RetryNum: 3 }] } }, 'LimitExceeded.RetryNum'],
    [{ AsyncTriggerConfig: { MsgTTL: 59 } }, 'LimitExceeded.MsgTTL'],
    [{ AsyncTriggerConfig: { MsgTTL: 21_601 } }, 'LimitExceeded.MsgTTL'],
    [{ AsyncTriggerConfig: { RetryConfig: [] } }, 'InvalidParameterValue.AsyncTriggerConfig'],
    [{ AsyncTriggerConfig: 'x' }, 'InvalidParameterValue.AsyncTriggerConfig'],
    [{}, 'MissingParameter'],
  ])('%j is refused with %s and changes nothing', async (params, code) => {
    const before = await get()
    expect((await call('UpdateFunctionEventInvokeConfig', params)).code).toBe(code)
    expect(await get()).toEqual(before)
  })
})

describe('events', () => {
  let waiting: string
  let finished: string
  let failed: string

  beforeAll(async () => {
    server.clockMs += 60_000
    finished = await enqueue()
    await settle('succeeded')
    server.clockMs += 1
    failed = await enqueue({ Qualifier: '1' })
    await settle('failed', 'timedOut')
    server.clockMs += 1
    waiting = await enqueue()
  })

  const statusOf = async (InvokeRequestId: string): Promise<unknown> =>
    (await server.call('GetAsyncEventStatus', { InvokeRequestId })).response['Result']

  test('have a status by their request id alone', async () => {
    expect(await statusOf(waiting)).toEqual({
      Status: 'RUNNING',
      StatusCode: 0,
      InvokeRequestId: waiting,
    })
    expect(await statusOf(finished)).toMatchObject({ Status: 'FINISHED', StatusCode: 200 })
    expect(await statusOf(failed)).toMatchObject({ Status: 'FAILED', StatusCode: 433 })
    const unknown = await server.call('GetAsyncEventStatus', { InvokeRequestId: 'nothing' })
    expect(unknown.code).toBe('ResourceNotFound.AsyncEvent')
    expect((await server.call('GetAsyncEventStatus')).code).toBe('MissingParameter')
  })

  async function ids(params: object): Promise<unknown> {
    const { response, message } = await call('ListAsyncEvents', params)
    expect(message).toBe(undefined)
    const events = response['EventList']
    if (!Array.isArray(events)) throw new TypeError('the answer has no list')
    expect(response['TotalCount']).toEqual(expect.any(Number))
    return events.map((event: { InvokeRequestId: string }) => event.InvokeRequestId)
  }

  test('are listed newest first, with microseconds', async () => {
    const { response } = await call('ListAsyncEvents')
    expect(response).toMatchObject({
      TotalCount: 6,
      EventList: [
        {
          InvokeRequestId: waiting,
          InvokeType: 'API',
          Qualifier: '$LATEST',
          Status: 'RUNNING',
          StartTime: '2026-11-21 18:01:00.002000',
          EndTime: '',
        },
        { InvokeRequestId: failed, Qualifier: '1', Status: 'FAILED' },
        { InvokeRequestId: finished, Status: 'FINISHED' },
        {},
        {},
        {},
      ],
    })
  })

  test('are filtered by what the request names', async () => {
    expect(await ids({ Status: ['RUNNING', 'FAILED'] })).toEqual([waiting, failed])
    expect(await ids({ Qualifier: '1' })).toEqual([failed])
    expect(await ids({ Qualifier: '$LATEST', Limit: 2 })).toEqual([waiting, finished])
    expect(await ids({ InvokeRequestId: finished })).toEqual([finished])
    expect(await ids({ InvokeType: ['TRIGGER_TIMER'] })).toEqual([])
    expect(await ids({ Order: 'ASC', Offset: 3, Limit: 1 })).toEqual([finished])
    expect(
      await ids({ StartTimeInterval: { Start: '2026-11-21 18:01:00.001', End: '2026-11-21 18:01:00.002' } }),
    ).toEqual([failed])
    expect(await ids({ Limit: 0 })).toEqual([])
    expect(await ids({ Limit: 1000 })).toEqual(await ids({}))
  })

  test.each([
    [{ Status: ['DONE'] }, 'InvalidParameterValue.Status'],
    [{ Orderby: 'Name' }, 'InvalidParameterValue.Orderby'],
    [{ StartTimeInterval: { Start: 'yesterday' } }, 'InvalidParameterValue.DateTime'],
    [{ FunctionName: 'absent' }, 'ResourceNotFound.FunctionName'],
  ])('listing by %j is refused with %s', async (params, code) => {
    expect((await call('ListAsyncEvents', params)).code).toBe(code)
  })

  test('are terminated once, and only by the function they belong to', async () => {
    const strange = await call('TerminateAsyncEvent', { FunctionName: 'other', InvokeRequestId: waiting })
    expect(strange.code).toBe('ResourceNotFound.AsyncEvent')
    const done = await call('TerminateAsyncEvent', { InvokeRequestId: waiting, GraceShutdown: 'true' })
    expect(done.message).toBe(undefined)
    expect(await statusOf(waiting)).toMatchObject({ Status: 'ABORTED', StatusCode: 499 })
    for (const InvokeRequestId of [waiting, finished])
      expect((await call('TerminateAsyncEvent', { InvokeRequestId })).code).toBe(
        'FailedOperation.AsyncEventStatus',
      )
  })
})

describe('an event that runs', () => {
  const terminate = (params: object): Promise<TestReply> => call('TerminateAsyncEvent', params)
  let running: string

  beforeAll(async () => {
    running = await enqueue()
    await server.store.tasks.claim(10, server.clockMs, 60_000)
  })
  afterAll(() => {
    server.termination = undefined
  })

  test('is given no time to finish, or half a minute when that is asked for', async () => {
    server.termination = 'terminated'
    server.graces.length = 0
    for (const more of [{}, { GraceShutdown: false }, { GraceShutdown: true }, { GraceShutdown: 'true' }])
      expect((await terminate({ InvokeRequestId: running, ...more })).message).toBe(undefined)
    expect(server.graces).toEqual([0, 0, 30_000, 30_000])
  })

  test('may end by itself in that time; without it, it was too late to end it', async () => {
    server.termination = 'ended'
    const graceful = await terminate({ InvokeRequestId: running, GraceShutdown: true })
    expect(graceful.message).toBe(undefined)
    expect((await terminate({ InvokeRequestId: running })).code).toBe('FailedOperation.AsyncEventStatus')
  })
})

describe('events that were stopped', () => {
  test('are listed as what they are shown as, page by page', async () => {
    const stopped = 'stopped'
    await server.call('CreateFunction', await functionParams(stopped))
    const ids: Record<'ABORTED' | 'FAILED', string[]> = { ABORTED: [], FAILED: [] }
    for (const [Status, lastError] of [
      ['FAILED', 'signalled'],
      ['ABORTED', 'terminated'],
      ['FAILED', 'exited'],
      ['FAILED', 'signalled'],
      ['ABORTED', 'terminated'],
    ] as const) {
      server.clockMs += 1
      const id = await enqueue({ FunctionName: stopped })
      const claimed = await server.store.tasks.claim(10, server.clockMs, 60_000)
      const lease = claimed.find(({ requestId }) => requestId === id)?.lease ?? ''
      await server.store.tasks.requestStop(ACCOUNT, id, server.clockMs)
      expect(await server.store.tasks.settle(lease, { ending: 'cancelled', attempts: 1, lastError })).toBe(
        true,
      )
      ids[Status].unshift(id)
    }
    const list = async (params: object): Promise<unknown> => {
      const { response } = await call('ListAsyncEvents', { FunctionName: stopped, ...params })
      const events = response['EventList'] as { InvokeRequestId: string }[]
      return [response['TotalCount'], ...events.map(({ InvokeRequestId }) => InvokeRequestId)]
    }
    expect(await list({ Status: ['FAILED'] })).toEqual([3, ...ids.FAILED])
    expect(await list({ Status: ['ABORTED'] })).toEqual([2, ...ids.ABORTED])
    expect(await list({ Status: ['ABORTED', 'RUNNING'], Qualifier: '$LATEST' })).toEqual([2, ...ids.ABORTED])
    expect(await list({ Status: ['FAILED'], Offset: 1, Limit: 1 })).toEqual([3, ids.FAILED[1]])
    expect(await list({ Status: ['FAILED', 'ABORTED'], Limit: 0 })).toEqual([5])
    expect(await list({ Status: ['FINISHED'] })).toEqual([0])
  })
})

describe('the status of a request', () => {
  const statusOf = async (FunctionRequestId: string, more: object = {}): Promise<unknown> => {
    const { response, message } = await call('GetRequestStatus', { FunctionRequestId, ...more })
    expect(message).toBe(undefined)
    return response['Data']
  }

  test('is that of its event while there is no try of it', async () => {
    const id = await enqueue()
    expect(await statusOf(id)).toEqual([
      {
        FunctionName,
        RetMsg: '',
        RequestId: id,
        StartTime: expect.any(String),
        RetCode: 1,
        Duration: 0,
        MemUsage: 0,
        RetryNum: 0,
      },
    ])
    await call('TerminateAsyncEvent', { InvokeRequestId: id })
    expect(await statusOf(id)).toMatchObject([
      {
        RetCode: -1,
        RetMsg: expect.stringContaining('"errorMessage":"the event was terminated"'),
        RetryNum: 0,
      },
    ])
    const [{ RetMsg }] = (await statusOf(id)) as [{ RetMsg: string }]
    expect(JSON.parse(RetMsg)).toMatchObject({ errorCode: -1, requestId: id, statusCode: 499 })
  })

  test('has the result that is kept when the history has forgotten the call', async () => {
    const id = await enqueue()
    const [task] = await server.store.tasks.claim(1, server.clockMs, 60_000)
    await server.store.tasks.settle(task?.lease ?? '', {
      ending: 'failed',
      attempts: 3,
      lastError: 'TypeError',
      result: {
        payload: Buffer.from('{"errorCode":1}'),
        isCut: false,
        logTail: Buffer.alloc(0),
        kind: 'threw',
        durationMs: 12.34567,
        billedDurationMs: 13,
        maxMemoryBytes: 5 * 1024 * 1024,
        instanceId: 'c-1',
        version: 'LATEST',
      },
    })
    expect(await statusOf(id)).toMatchObject([
      { RetCode: -1, RetMsg: '{"errorCode":1}', Duration: 12.346, MemUsage: 5, RetryNum: 2 },
    ])
    const earlier = { StartTime: '2026-11-20 00:00:00', EndTime: '2026-11-20 01:00:00' }
    expect(await statusOf(id, earlier)).toEqual([])
    expect(await statusOf(id, { FunctionName: 'traced' })).toEqual([])
  })
})

describe('events of the latest state', () => {
  test('are paged apart from those of versions', async () => {
    const paged = 'paged'
    await server.call('CreateFunction', await functionParams(paged))
    await server.call('PublishVersion', { FunctionName: paged })
    const latest: string[] = []
    for (let index = 0; index < 7; index += 1) {
      server.clockMs += 1
      const Qualifier = index % 2 === 0 ? '$LATEST' : '1'
      const id = await enqueue({ FunctionName: paged, Qualifier })
      if (Qualifier === '$LATEST') latest.unshift(id)
    }
    const { response } = await call('ListAsyncEvents', {
      FunctionName: paged,
      Qualifier: '$LATEST',
      Offset: 1,
      Limit: 2,
    })
    expect(response).toMatchObject({
      TotalCount: 4,
      EventList: latest.slice(1, 3).map((InvokeRequestId) => ({ InvokeRequestId, Qualifier: '$LATEST' })),
    })
  })
})

describe('a few events behind many', () => {
  const few = 'few'
  /** More than a look at the queue sees. */
  const MANY = 10_050

  test('are listed and counted, whatever they are asked for by', async () => {
    await server.call('CreateFunction', await functionParams(few))
    await server.call('PublishVersion', { FunctionName: few })
    const failed = await enqueue({ FunctionName: few })
    const claimed = await server.store.tasks.claim(100, server.clockMs, 60_000)
    const { lease = '', ...task } = claimed.find(({ requestId }) => requestId === failed) ?? {}
    await server.store.tasks.settle(lease, { ending: 'failed', attempts: 1, lastError: 'timedOut' })
    server.clockMs += 1
    const acceptedAtMs = server.clockMs
    const owner = { account: ACCOUNT, namespace: 'default', name: few }
    await Promise.all(
      Array.from({ length: MANY }, (_, index) =>
        server.store.tasks.enqueue({
          account: ACCOUNT,
          namespace: 'default',
          functionName: few,
          requestId: `purged-${index}`,
          qualifier: '1',
          acceptedAtMs,
          dueAtMs: acceptedAtMs,
          payload: Buffer.from('{}'),
          maxRetries: 0,
          expiresAtMs: acceptedAtMs + 60_000,
        }),
      ),
    )
    for (let purged = 1; purged > 0;) purged = await server.store.tasks.purgeWaiting(owner, 1000)
    expect(task).toMatchObject({ functionName: few })

    const list = async (params: object): Promise<unknown> => {
      const { response } = await call('ListAsyncEvents', { FunctionName: few, Limit: 2, ...params })
      const events = response['EventList'] as { InvokeRequestId: string }[]
      return [response['TotalCount'], ...events.map(({ InvokeRequestId }) => InvokeRequestId)]
    }
    expect(await list({ Status: ['FAILED'] })).toEqual([1, failed])
    expect(await list({ Status: ['FAILED'], Orderby: 'EndTime' })).toEqual([1, failed])
    expect(await list({ Qualifier: '$LATEST' })).toEqual([1, failed])
    expect(await list({ Status: ['FAILED', 'RUNNING'], Qualifier: '$LATEST' })).toEqual([1, failed])
    expect(await list({ Status: ['ABORTED'], Limit: 0 })).toEqual([MANY])
    expect(await list({ Status: ['ABORTED'], Offset: MANY - 1 })).toEqual([MANY, 'purged-0'])
    expect(await list({ Offset: MANY - 1 })).toEqual([MANY + 1, 'purged-0', failed])
    expect(await list({ Qualifier: '1', Offset: MANY })).toEqual([MANY])
  })
})

describe('a full queue', () => {
  test('refuses calls with the vendor’s limit error', async () => {
    const full = 'full'
    await server.call('CreateFunction', await functionParams(full))
    const owner = { account: ACCOUNT, namespace: 'default', name: full }
    await server.store.tasks.control(owner, { maxTasks: 1 })
    await enqueue({ FunctionName: full })
    const refused = await call('Invoke', { FunctionName: full, InvocationType: 'Event' })
    expect([refused.code, refused.message]).toEqual([
      'RequestLimitExceeded',
      'the queue of asynchronous invocations of the function is full (1); retry later',
    ])
  })
})
