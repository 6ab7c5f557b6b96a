import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { functionKey } from '../../../src/engine/keys.ts'
import type { CrashCause, Ending } from '../../../src/model/outcome.ts'
import { payloadOf, toBuffer, type Payload } from '../../../src/model/payload.ts'
import { functionParams, openHarness, tc3Request, type Harness } from './harness.ts'
import { ACCOUNT, CLOCK_MS } from './signing.ts'

const FunctionName = 'hello'
const RETURNED: Ending = { kind: 'returned', payload: payloadOf('"done"') }

let server: Harness

beforeAll(async () => {
  server = await openHarness()
  await server.call('CreateFunction', await functionParams(FunctionName, { MemorySize: 128, Timeout: 3 }))
})
beforeEach(() => {
  server.ending = RETURNED
  server.refusal = undefined
  server.logTail = ''
  server.invocations.length = 0
})
afterAll(() => server.close())

/** `Result` of a call that ends as told. */
async function resultOf(ending: Ending, params: object = {}): Promise<Record<string, unknown>> {
  server.ending = ending
  const { response, code, message } = await server.call('Invoke', { FunctionName, ...params })
  expect({ code, message }).toEqual({ code: undefined, message: undefined })
  return response['Result'] as Record<string, unknown>
}

function eventOf(index = 0): string {
  const { payload } = server.invocations[index] ?? {}
  return payload === undefined ? 'not invoked' : toBuffer(payload).toString()
}

describe('a call that ends well', () => {
  test('is answered with all eight members', async () => {
    server.logTail = 'START …'
    expect(await resultOf(RETURNED, { LogType: 'tail' })).toEqual({
      FunctionRequestId: server.invocations[0]?.requestId,
      RetMsg: '"done"',
      ErrMsg: '',
      Log: 'START …',
      MemUsage: 9.5 * 1024 * 1024,
      Duration: 1.159,
      BillDuration: 2,
      InvokeResult: 0,
    })
  })

  test('has no log unless it asks for it, and none with half a character', async () => {
    server.logTail = 'a log'
    expect((await resultOf(RETURNED))['Log']).toBe('')
    expect((await resultOf(RETURNED, { LogType: 'None' }))['Log']).toBe('')
    server.logTail = Buffer.from('…end').subarray(1)
    expect((await resultOf(RETURNED, { LogType: 'Tail' }))['Log']).toBe('end')
  })

  test('has no log where calls share an instance, and with it a log', async () => {
    server.logTail = 'of all'
    const key = functionKey(ACCOUNT, 'default', FunctionName)
    const shared = async (instanceConcurrency: number): Promise<unknown> => {
      await server.catalogue.change((draft) => {
        const { value } = draft.get('function', key) ?? {}
        if (value !== undefined)
          draft.put('function', key, { ...value, spec: { ...value.spec, instanceConcurrency } })
      })
      return (await resultOf(RETURNED, { LogType: 'Tail' }))['Log']
    }
    expect(await shared(2)).toBe('')
    expect(await shared(1)).toBe('of all')
  })

  test('is billed in steps of 100 ms by the legacy API, and told under every name in circulation', async () => {
    server.logTail = 'log'
    const params = { functionName: FunctionName, logType: 'Tail' }
    const { json } = await server.callLegacy('InvokeFunction', params)
    expect(json['data']).toEqual({
      requestId: server.invocations[0]?.requestId,
      retMsg: '"done"',
      payLoad: '"done"',
      errMsg: '',
      log: 'log',
      logMsg: 'log',
      memUsage: 9.5 * 1024 * 1024,
      memSize: 9.5 * 1024 * 1024,
      duration: 1.159,
      billDuration: 100,
      invokeResult: 0,
    })
  })

  test('has its result as text, and in base64 where it is none', async () => {
    const bytes = Buffer.from([0xff, 0x00, 0x61])
    expect((await resultOf({ kind: 'returned', payload: payloadOf('plain & "text"') }))['RetMsg']).toBe(
      'plain & "text"',
    )
    expect((await resultOf({ kind: 'returned', payload: payloadOf(bytes) }))['RetMsg']).toBe(
      bytes.toString('base64'),
    )
  })

  test('gets the event as it was sent, and an empty object where there is none', async () => {
    const ClientContext = ' {"a" : "\u00e9\\u00e9"} '
    await server.call('Invoke', { FunctionName, ClientContext })
    await server.call('Invoke', { FunctionName })
    await server.call('InvokeFunction', { FunctionName, Event: '' })
    expect([eventOf(0), eventOf(1), eventOf(2)]).toEqual([ClientContext, '{}', '{}'])
  })
})

describe('a call that fails', () => {
  const crash = (cause: CrashCause): Ending => ({ kind: 'crashed', cause })
  const threw = (payload: Payload): Ending => ({ kind: 'threw', errorType: 'E', handled: false, payload })
  const init = (reason: 'threw' | 'timedOut' | 'crashed', payload = payloadOf('')): Ending => ({
    kind: 'initFailed',
    phase: 'load',
    reason,
    errorType: 'ImportError',
    payload,
  })
  const foreign = payloadOf('{"errorMessage":"no","errorType":"TypeError","stackTrace":["at x"]}')

  test.each<[string, Ending, number, number]>([
    ['an exception', threw(foreign), 1, 430],
    ['an exception without a body', threw(payloadOf('')), 1, 430],
    ['an exception with bytes as a body', threw(payloadOf(Buffer.from([0xff]))), 1, 430],
    ['a timeout', { kind: 'timedOut', afterMs: 3000 }, -1, 433],
    ['an exit', crash('exited'), -1, 439],
    ['a signal', crash('signalled'), -1, 439],
    ['too much memory', crash('outOfMemory'), -1, 434],
    ['code that cannot be loaded', init('threw', foreign), 1, 443],
    ['a load that takes too long', init('timedOut'), -1, 450],
    ['a load that crashes', init('crashed'), -1, 439],
    ['its termination', { kind: 'terminated' }, -1, 499],
    ['a caller that is gone', { kind: 'cancelled' }, -1, 499],
    ['a result that is too long', { kind: 'returned', payload: payloadOf('x'.repeat(6_291_457)) }, -1, 407],
  ])('by %s tells it in its result', async (_, ending, errorCode, statusCode) => {
    const { RetMsg, ErrMsg, InvokeResult, FunctionRequestId } = await resultOf(ending)
    expect(RetMsg).toBe(ErrMsg)
    expect(InvokeResult).toBe(errorCode)
    expect(JSON.parse(String(ErrMsg))).toMatchObject({
      errorCode,
      errorMessage: expect.stringMatching(/./),
      requestId: FunctionRequestId,
      statusCode,
    })
    const { json } = await server.callLegacy('InvokeFunction', { functionName: FunctionName })
    expect(json).toMatchObject({
      code: 0,
      data: { errMsg: expect.stringMatching(/./), invokeResult: errorCode },
    })
  })

  test('in the code of another API keeps what that code said', async () => {
    const { ErrMsg } = await resultOf(threw(foreign))
    expect(JSON.parse(String(ErrMsg))).toMatchObject({ stackTrace: 'TypeError: no\nat x' })
  })
})

describe('which state of a function is called', () => {
  beforeAll(async () => {
    await server.call('PublishVersion', { FunctionName })
    await server.call('CreateAlias', { FunctionName, Name: 'prod', FunctionVersion: '1' })
  })

  const qualifiers = (): unknown[] => server.invocations.map(({ target }) => target.qualifier)

  test('is what the qualifier says; Invoke has another default than InvokeFunction', async () => {
    for (const Qualifier of ['$LATEST', 'LATEST', '', '1', 'prod', '$DEFAULT'])
      await server.call('Invoke', { FunctionName, Qualifier })
    expect(qualifiers()).toEqual([undefined, undefined, undefined, '1', 'prod', undefined])
    server.invocations.length = 0
    await server.call('UpdateAlias', { FunctionName, Name: '$DEFAULT', FunctionVersion: '1' })
    await server.call('Invoke', { FunctionName })
    await server.call('InvokeFunction', { FunctionName })
    await server.call('InvokeFunction', { FunctionName, Qualifier: '$LATEST' })
    await server.callLegacy('InvokeFunction', { functionName: FunctionName, version: 'LATEST' })
    await server.callLegacy('InvokeFunction', { functionName: FunctionName, version: '1' })
    expect(qualifiers()).toEqual([undefined, '$DEFAULT', undefined, undefined, '1'])
  })

  test.each([
    [{ FunctionName: 'a b' }, 'InvalidParameterValue.FunctionName'],
    [{ FunctionName: undefined }, 'MissingParameter'],
    [{ Namespace: 'a/b' }, 'InvalidParameterValue.Namespace'],
    [{ Namespace: 'other' }, 'ResourceNotFound.Namespace'],
    [{ Qualifier: 'a b' }, 'InvalidParameterValue.Qualifier'],
    [{ Qualifier: '99' }, 'ResourceNotFound.Version'],
    [{ InvocationType: 'Later' }, 'InvalidParameterValue.InvokeType'],
    [{ LogType: 'All' }, 'InvalidParameterValue'],
    [{ ClientContext: '{' }, 'InvalidParameterValue.Param'],
    [{ ClientContext: { a: 1 } }, 'InvalidParameterValue.Param'],
    [{ RoutingKey: '[]' }, 'InvalidParameterValue'],
    [{ RoutingKey: JSON.stringify({ a: 'x'.repeat(1024) }) }, 'InvalidParameterValue'],
  ])('%j is refused with %s', async (params, code) => {
    expect((await server.call('Invoke', { FunctionName, ...params })).code).toBe(code)
  })

  test('a value nested deeper than the stack is refused, and not looked into', async () => {
    const deep = '['.repeat(100_000) + ']'.repeat(100_000)
    const body = Buffer.from(`{"FunctionName":"${FunctionName}","LogType":${deep}}`)
    const { code, message } = await server.send(tc3Request('Invoke', body, server.clockMs))
    expect({ code, message }).toEqual({
      code: 'InvalidParameterValue',
      message: expect.stringContaining("actual: '[…]'"),
    })
  })
})

describe('a call that runs later', () => {
  const Event = { FunctionName, InvocationType: 'Event', ClientContext: '{"n":1}' }

  async function taskOf(params: object): Promise<unknown> {
    const { response } = await server.call('Invoke', params)
    const { FunctionRequestId } = response['Result'] as Record<string, unknown>
    const claimed = await server.store.tasks.claim(1000, CLOCK_MS + 1, 60_000)
    return claimed.find(({ requestId }) => requestId === FunctionRequestId)
  }

  test('is stored before the answer, with the waits and the age that the vendor documents', async () => {
    const task = await taskOf(Event)
    expect(task).toMatchObject({
      account: ACCOUNT,
      namespace: 'default',
      functionName: FunctionName,
      payload: Buffer.from('{"n":1}'),
      acceptedAtMs: CLOCK_MS,
      dueAtMs: CLOCK_MS,
      maxRetries: 2,
      backoff: { firstMs: 60_000, longestMs: 60_000 },
      expiresAtMs: CLOCK_MS + 21_600_000,
    })
    expect(task).not.toHaveProperty('qualifier')
    expect(server.invocations).toEqual([])
  })

  test('may hold 128 KB, while one that is waited for may hold 6 MB', async () => {
    const text = (bytes: number): string => JSON.stringify('x'.repeat(bytes - 2))
    const codeOf = async (params: object): Promise<unknown> =>
      (await server.call('Invoke', { ...Event, ...params })).code
    expect(await codeOf({ ClientContext: text(131_072) })).toBeUndefined()
    expect(await codeOf({ ClientContext: text(131_073) })).toBe('InvalidParameter.Payload')
    const waited = { InvocationType: 'RequestResponse' }
    expect(await codeOf({ ...waited, ClientContext: text(6_291_456) })).toBeUndefined()
    expect(await codeOf({ ...waited, ClientContext: text(6_291_457) })).toBe('InvalidParameter.Payload')
  })

  test('is repeated as configured, also through a version and an alias', async () => {
    const AsyncTriggerConfig = { RetryConfig: [{ RetryNum: 1 }], MsgTTL: 600 }
    const { code } = await server.call('UpdateFunctionEventInvokeConfig', {
      FunctionName,
      AsyncTriggerConfig,
    })
    expect(code).toBeUndefined()
    for (const Qualifier of [undefined, '1', 'prod'])
      expect(await taskOf({ ...Event, Qualifier })).toMatchObject({
        ...(Qualifier === undefined ? {} : { qualifier: Qualifier }),
        maxRetries: 1,
        expiresAtMs: CLOCK_MS + 600_000,
      })
  })

  test('is not stored when what it names does not exist', async () => {
    const { tasks } = server.store
    const before = await tasks.list({ account: ACCOUNT, limit: 1 })
    expect((await server.call('Invoke', { ...Event, FunctionName: 'nobody' })).code).toBe(
      'ResourceNotFound.FunctionName',
    )
    expect((await server.call('Invoke', { ...Event, Qualifier: '9' })).code).toBe('ResourceNotFound.Version')
    expect((await tasks.list({ account: ACCOUNT, limit: 1 })).total).toBe(before.total)
  })

  test('is every call of a function that runs in the background, by every API', async () => {
    const background = { FunctionName: 'background' }
    await server.call('CreateFunction', await functionParams('background', { AsyncRunEnable: 'TRUE' }))
    for (const action of ['Invoke', 'InvokeFunction']) {
      const { response } = await server.call(action, background)
      expect(response['Result']).toMatchObject({ RetMsg: '', Duration: 0, InvokeResult: 0 })
    }
    const { json } = await server.callLegacy('InvokeFunction', { functionName: 'background' })
    expect(json['data']).toMatchObject({ retMsg: '', invokeResult: 0 })
    expect(server.invocations).toEqual([])
    const { total } = await server.store.tasks.list({
      account: ACCOUNT,
      functionName: 'background',
      limit: 1,
    })
    expect(total).toBe(3)
  })
})

test('before its first function an account has the namespace default, and no function in it', async () => {
  const empty = await openHarness()
  for (const InvocationType of ['RequestResponse', 'Event'])
    expect((await empty.call('Invoke', { FunctionName, InvocationType })).code).toBe(
      'ResourceNotFound.FunctionName',
    )
  await empty.close()
})
