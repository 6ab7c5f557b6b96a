import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { setQueue, undeliverableOf } from '../../helpers/queue-door.ts'
import { Suite } from './clients.ts'

let suite: Suite

/** Functions that tell by a log line that they run: one so long that it is not held until the end of the call. */
const NODE_SLEEPER = `const tell = (words) => console.log(words + ' '.repeat(40000))
exports.main_handler = async (event, context) => {
  const over = new Promise((resolve) => {
    if (event.listens) process.once('SIGTERM', resolve)
  })
  if (event.ignores) process.on('SIGTERM', () => tell('heard it'))
  tell('runs ' + context.request_id)
  setInterval(() => {}, 1000)
  await over
  console.log('cleaned up')
  return 'END'
}`
/** The vendor's own example. */
const PYTHON_SLEEPER = `
import signal
import time

class GracefulKiller:
    kill_now = False
    def __init__(self):
        signal.signal(signal.SIGTERM, self.graceshutdown)
    def graceshutdown(self, *agrg):
        print("do something before shutdown.")
        self.kill_now = True

def main_handler(event, context):
    killer = GracefulKiller()
    print("runs " + context["request_id"] + " " * 40000)
    while not killer.kill_now:
        time.sleep(0.01)
    print("Graceful shutdown.")
    return "END"
`
const LONG = { AsyncRunEnable: 'TRUE', TraceEnable: 'TRUE', Timeout: 600 }

beforeAll(async () => {
  suite = await Suite.start()
  await suite.deploy('sleeper', NODE_SLEEPER, LONG)
  await suite.deploy(
    'quick',
    `exports.main_handler = async (event) => { if (event.fail) throw new TypeError('no'); return event }`,
    {
      TraceEnable: 'TRUE',
    },
  )
})

afterAll(() => suite?.server.close())

async function submit(
  FunctionName: string,
  event: object = {},
  more: Record<string, string> = {},
): Promise<string> {
  const { FunctionRequestId } = await suite.invoke(FunctionName, event, { InvocationType: 'Event', ...more })
  return FunctionRequestId
}

async function statusOf(InvokeRequestId: string): Promise<{ Status: string; StatusCode: number }> {
  const { Result } = await suite.scf.GetAsyncEventStatus({ InvokeRequestId })
  if (Result === undefined) throw new Error('the answer has no Result')
  return Result
}

/** Watches an event, as a program of the vendor's would. */
async function untilOver(InvokeRequestId: string): Promise<{ Status: string; StatusCode: number }> {
  for (;;) {
    const status = await statusOf(InvokeRequestId)
    if (status.Status !== 'RUNNING') return status
    await delay(25)
  }
}

async function untilRuns(name: string, id: string): Promise<void> {
  await suite.server.untilLogged('default', name, (log) => log.includes(`runs ${id}`))
}

const runsOf = async (name: string, id: string): Promise<number> =>
  (await suite.server.functionLog('default', name)).split(`runs ${id}`).length - 1

describe('an event that ends', () => {
  test('is FINISHED with what it returned', async () => {
    const id = await submit('quick', { n: 1 })
    expect(await untilOver(id)).toEqual({ Status: 'FINISHED', StatusCode: 200, InvokeRequestId: id })
    const { Data } = await suite.scf.GetRequestStatus({ FunctionName: 'quick', FunctionRequestId: id })
    expect(Data).toMatchObject([{ RequestId: id, RetCode: 0, RetMsg: '{"n":1}', RetryNum: 0 }])
  })

  test('is every call of a function that runs in the background, also one that its caller would wait for', async () => {
    const FunctionName = 'background'
    await suite.deploy(FunctionName, 'exports.main_handler = async (event) => event', LONG)
    for (const answered of [
      await suite.invoke(FunctionName, { n: 1 }),
      (await suite.scf.InvokeFunction({ FunctionName, Event: '{"n":1}' })).Result,
    ]) {
      expect(answered).toMatchObject({ RetMsg: '', Log: '', ErrMsg: '' })
      const id = answered?.FunctionRequestId ?? ''
      expect(await untilOver(id)).toMatchObject({ Status: 'FINISHED' })
      const { Data } = await suite.scf.GetRequestStatus({ FunctionName, FunctionRequestId: id })
      expect(Data).toMatchObject([{ RetCode: 0, RetMsg: '{"n":1}' }])
    }
  })

  test('is FAILED when the code failed and is not to be repeated', async () => {
    await suite.scf.UpdateFunctionEventInvokeConfig({
      FunctionName: 'quick',
      AsyncTriggerConfig: { RetryConfig: [{ RetryNum: 0 }], MsgTTL: 3600 },
    })
    const id = await submit('quick', { fail: true })
    expect(await untilOver(id)).toMatchObject({ Status: 'FAILED', StatusCode: 430 })
    const { Data } = await suite.scf.GetRequestStatus({ FunctionName: 'quick', FunctionRequestId: id })
    expect(Data).toMatchObject([{ RetCode: -1, RetMsg: expect.stringContaining('TypeError: no') }])
  })
})

describe('events of a function', () => {
  test('are listed with filters, in order and in pages', async () => {
    await suite.deploy(
      'listed',
      'exports.main_handler = async (event) => { if (event.fail) throw new Error() }',
    )
    const FunctionName = 'listed'
    await suite.scf.UpdateFunctionEventInvokeConfig({
      FunctionName,
      AsyncTriggerConfig: { RetryConfig: [{ RetryNum: 0 }], MsgTTL: 60 },
    })
    await suite.scf.PublishVersion({ FunctionName })
    const ids: string[] = []
    for (const [fail, Qualifier] of [
      [false, '$LATEST'],
      [true, '1'],
      [false, '1'],
      [true, '$LATEST'],
    ] as const) {
      ids.push(await submit(FunctionName, { fail }, { Qualifier }))
      await delay(2)
    }
    await Promise.all(ids.map((id) => untilOver(id)))
    const list = async (params: object): Promise<(string | undefined)[]> => {
      const { EventList } = await suite.scf.ListAsyncEvents({ FunctionName, ...params })
      return (EventList ?? []).map(({ InvokeRequestId }) => InvokeRequestId)
    }
    const [a, b, c, d] = ids
    expect(await list({})).toEqual([d, c, b, a])
    expect(await list({ Order: 'ASC', Orderby: 'StartTime' })).toEqual([a, b, c, d])
    expect(new Set(await list({ Orderby: 'EndTime' }))).toEqual(new Set(ids))
    expect(await list({ Status: ['FAILED'] })).toEqual([d, b])
    expect(await list({ Qualifier: '1' })).toEqual([c, b])
    expect(await list({ Qualifier: '$LATEST' })).toEqual([d, a])
    expect(await list({ InvokeRequestId: b })).toEqual([b])
    expect([await list({ Limit: 2 }), await list({ Offset: 2, Limit: 2 })]).toEqual([
      [d, c],
      [b, a],
    ])
    const { EventList, TotalCount } = await suite.scf.ListAsyncEvents({ FunctionName, Limit: 1 })
    expect(TotalCount).toBe(4)
    expect(EventList).toEqual([
      {
        InvokeRequestId: d,
        InvokeType: 'API',
        Qualifier: '$LATEST',
        Status: 'FAILED',
        StartTime: expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$/),
        EndTime: expect.stringMatching(/\.\d{6}$/),
      },
    ])
    const Start = EventList[0]?.StartTime ?? ''
    expect(await list({ StartTimeInterval: { Start, End: '2100-01-01 00:00:00' } })).toEqual([d])
    expect(await list({ StartTimeInterval: { Start: '2000-01-01 00:00:00', End: Start } })).toEqual([c, b, a])
  })
})

describe('an event that is terminated', () => {
  test('ends at once, is ABORTED and never repeated', async () => {
    const id = await submit('sleeper', { listens: true })
    await untilRuns('sleeper', id)
    expect(await statusOf(id)).toEqual({ Status: 'RUNNING', StatusCode: 0, InvokeRequestId: id })
    await suite.scf.TerminateAsyncEvent({ FunctionName: 'sleeper', InvokeRequestId: id })
    expect(await statusOf(id)).toEqual({ Status: 'ABORTED', StatusCode: 499, InvokeRequestId: id })
    const { Data } = await suite.scf.GetRequestStatus({ FunctionName: 'sleeper', FunctionRequestId: id })
    expect(Data).toMatchObject([{ RetCode: -1, RetryNum: 0 }])
    expect(await runsOf('sleeper', id)).toBe(1)
    expect(await suite.server.functionLog('default', 'sleeper')).not.toContain('cleaned up')
    const again = suite.scf.TerminateAsyncEvent({ FunctionName: 'sleeper', InvokeRequestId: id })
    await expect(again).rejects.toMatchObject({ code: 'FailedOperation.AsyncEventStatus' })
  })

  test('with grace gets SIGTERM, and what it returns then counts', async () => {
    const id = await submit('sleeper', { listens: true })
    await untilRuns('sleeper', id)
    await suite.scf.TerminateAsyncEvent({ FunctionName: 'sleeper', InvokeRequestId: id, GraceShutdown: true })
    expect(await statusOf(id)).toMatchObject({ Status: 'FINISHED', StatusCode: 200 })
    const { Data } = await suite.scf.GetRequestStatus({ FunctionName: 'sleeper', FunctionRequestId: id })
    expect(Data).toMatchObject([{ RetCode: 0, RetMsg: '"END"' }])
    expect(await runsOf('sleeper', id)).toBe(1)
  })

  test('with grace fails of the signal where the code does not listen for it', async () => {
    const id = await submit('sleeper')
    await untilRuns('sleeper', id)
    await suite.scf.TerminateAsyncEvent({ FunctionName: 'sleeper', InvokeRequestId: id, GraceShutdown: true })
    expect(await statusOf(id)).toMatchObject({ Status: 'FAILED', StatusCode: 439 })
    const { Data } = await suite.scf.GetRequestStatus({ FunctionName: 'sleeper', FunctionRequestId: id })
    expect(Data).toMatchObject([{ RetCode: -1, RetMsg: expect.stringContaining('"statusCode":439') }])
    const listed = async (Status: string) => {
      const { EventList } = await suite.scf.ListAsyncEvents({ FunctionName: 'sleeper', Status: [Status] })
      return (EventList ?? []).map(({ InvokeRequestId, Status: shown }) => [InvokeRequestId, shown])
    }
    expect(await listed('FAILED')).toEqual([[id, 'FAILED']])
    expect(await listed('ABORTED')).not.toContainEqual([id, expect.anything()])
    expect(await runsOf('sleeper', id)).toBe(1)
  })

  test('with grace goes on where the code ignores it, until it is terminated without', async () => {
    const id = await submit('sleeper', { ignores: true })
    await untilRuns('sleeper', id)
    const FunctionName = 'sleeper'
    const graceful = suite.scf.TerminateAsyncEvent({ FunctionName, InvokeRequestId: id, GraceShutdown: true })
    await suite.server.untilLogged('default', FunctionName, (log) => log.includes('heard it'))
    expect(await statusOf(id)).toMatchObject({ Status: 'RUNNING' })
    await suite.scf.TerminateAsyncEvent({ FunctionName, InvokeRequestId: id })
    expect(await statusOf(id)).toMatchObject({ Status: 'ABORTED' })
    await graceful
    expect(await runsOf(FunctionName, id)).toBe(1)
  })

  test('with grace cleans up in Python, as the vendor’s example does', async () => {
    const FunctionName = 'python'
    await suite.deploy(FunctionName, { 'index.py': PYTHON_SLEEPER }, { ...LONG, Runtime: 'Python3.9' })
    const id = await submit(FunctionName)
    await untilRuns(FunctionName, id)
    await suite.scf.TerminateAsyncEvent({ FunctionName, InvokeRequestId: id, GraceShutdown: true })
    expect(await statusOf(id)).toMatchObject({ Status: 'FINISHED' })
    await suite.server.untilLogged('default', FunctionName, (log) => log.includes('Graceful shutdown.'))
  })

  test('while it waits never runs', async () => {
    const FunctionName = 'waiting'
    await suite.deploy(FunctionName, NODE_SLEEPER, LONG)
    await suite.scf.PutReservedConcurrencyConfig({ FunctionName, ReservedConcurrencyMem: 0 })
    const id = await submit(FunctionName)
    await suite.scf.TerminateAsyncEvent({ FunctionName, InvokeRequestId: id })
    expect(await statusOf(id)).toMatchObject({ Status: 'ABORTED', StatusCode: 499 })
    expect(await runsOf(FunctionName, id)).toBe(0)
  })

  test('must be there', async () => {
    const params = { FunctionName: 'quick', InvokeRequestId: 'nothing' }
    await expect(suite.scf.TerminateAsyncEvent(params)).rejects.toMatchObject({
      code: 'ResourceNotFound.AsyncEvent',
    })
    await expect(statusOf('nothing')).rejects.toMatchObject({ code: 'ResourceNotFound.AsyncEvent' })
  })
})

describe('settings of asynchronous calls', () => {
  test('are told for each version', async () => {
    const FunctionName = 'configured'
    await suite.deploy(FunctionName, 'exports.main_handler = async () => 1')
    await suite.scf.PublishVersion({ FunctionName })
    await suite.scf.UpdateFunctionEventInvokeConfig({
      FunctionName,
      AsyncTriggerConfig: { RetryConfig: [{ RetryNum: 1 }], MsgTTL: 120 },
    })
    for (const Qualifier of [undefined, '$LATEST', '1', '$DEFAULT']) {
      const { AsyncTriggerConfig } = await suite.scf.GetFunctionEventInvokeConfig({
        FunctionName,
        ...(Qualifier === undefined ? {} : { Qualifier }),
      })
      expect(AsyncTriggerConfig).toMatchObject({
        MsgTTL: 120,
        RetryConfig: [{ RetryNum: 1 }, { RetryNum: -1 }],
      })
    }
  })
})

describe('a full queue', () => {
  test('refuses events in the words of the vendor, until there is room', async () => {
    const FunctionName = 'full'
    await suite.deploy(FunctionName, 'exports.main_handler = async () => 1')
    await setQueue(suite.server, ['default', FunctionName], { isPaused: true, maxTasks: 1 })
    const first = await submit(FunctionName)
    await expect(submit(FunctionName)).rejects.toMatchObject({
      code: 'RequestLimitExceeded',
      message: expect.stringContaining('the queue of asynchronous invocations of the function is full (1)'),
    })
    await suite.scf.TerminateAsyncEvent({ FunctionName, InvokeRequestId: first })
    const second = await submit(FunctionName)
    await setQueue(suite.server, ['default', FunctionName], { isPaused: false })
    expect(await untilOver(second)).toMatchObject({ Status: 'FINISHED' })
  })
})

describe('a dead letter', () => {
  test('is kept for the queue that only the vendor has, in the form of its messages', async () => {
    const FunctionName = 'letters'
    await suite.deploy(
      FunctionName,
      `exports.main_handler = async (event) => { if (event.fail) throw new TypeError('no') }`,
      { DeadLetterConfig: { Type: 'CMQ-QUEUE', Name: 'lost', FilterType: '' } },
    )
    await suite.scf.UpdateFunctionEventInvokeConfig({
      FunctionName,
      AsyncTriggerConfig: { RetryConfig: [{ RetryNum: 0 }], MsgTTL: 3600 },
    })
    await untilOver(await submit(FunctionName))
    const id = await submit(FunctionName, { fail: true })
    const undeliverable = () => undeliverableOf(suite.server, ['default', FunctionName])
    await expect.poll(undeliverable, { timeout: 20_000 }).toHaveLength(1)
    const [delivery] = await undeliverable()
    expect(delivery).toMatchObject({
      requestId: id,
      on: 'failure',
      destination: { target: { kind: 'unreachable', name: 'CMQ-QUEUE/lost' } },
      lastError: 'target-unreachable',
    })
    expect(delivery?.told).toEqual({
      RequestId: id,
      ErrorCode: 430,
      ErrorMessage: expect.stringContaining('TypeError: no'),
      Body: {
        AppId: expect.any(Number),
        Uin: expect.any(String),
        SubAccountUin: expect.any(String),
        RequestSource: 'API',
        FunctionName,
        Namespace: 'default',
        Qualifier: '$LATEST',
        InvocationType: 'Event',
        ClientContext: '{"fail":true}',
        LogType: '',
        TimeStampForInvoker: expect.stringMatching(/^\d{13}$/),
        RequestId: id,
        PushTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+08:00$/),
        RetryNum: 0,
        Ttl: 3600,
      },
    })
  })
})

describe('an event of the legacy API', () => {
  test('is an event like any other', async () => {
    const { data, code } = await suite.legacy({
      Action: 'InvokeFunction',
      functionName: 'quick',
      invokeType: 'Event',
      param: '{"n":2}',
    })
    expect(code).toBe(0)
    const id = (data as { requestId: string }).requestId
    expect(await untilOver(id)).toMatchObject({ Status: 'FINISHED' })
  })
})
