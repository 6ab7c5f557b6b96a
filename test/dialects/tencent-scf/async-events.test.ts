import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { functionParams, openHarness, type Harness, type TestReply } from './harness.ts'

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
      TotalCount: 4,
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
      ],
    })
  })

  test('are filtered by what the request names', async () => {
    expect(await ids({ Status: ['RUNNING', 'FAILED'] })).toEqual([waiting, failed])
    expect(await ids({ Qualifier: '1' })).toEqual([failed])
    expect(await ids({ Qualifier: '$LATEST', Limit: 2 })).toEqual([waiting, finished])
    expect(await ids({ InvokeRequestId: finished })).toEqual([finished])
    expect(await ids({ InvokeType: ['TRIGGER_TIMER'] })).toEqual([])
    expect(await ids({ Order: 'ASC', Offset: 1, Limit: 1 })).toEqual([finished])
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
