import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EngineError } from '../../../src/model/errors.ts'
import type { Ending } from '../../../src/model/outcome.ts'
import { payloadOf, toBuffer } from '../../../src/model/payload.ts'
import { ACCOUNT, exchangeOf, functionBody, openHarness, type Harness } from './harness.ts'

let fc: Harness
beforeEach(async () => {
  fc = await openHarness()
  await post(`${V1}/services`, { serviceName: 'demo' })
  await post(`${V1}/services/demo/functions`, await functionBody('hello'))
})
afterEach(() => fc.close())

const V1 = '/2016-08-15'
const V2 = '/2021-04-06'
const INVOCATIONS = `${V1}/services/demo/functions/hello/invocations`
const ASYNC = { 'x-fc-invocation-type': 'Async' }
const post = (path: string, body?: unknown, headers = {}) => fc.send({ method: 'POST', path, body, headers })
const claimed = () => fc.store.tasks.claim(10, fc.clockMs + 7_200_000, 60_000)

describe('synchronous invocations', () => {
  test('pass bytes in and out untouched and tell what was measured', async () => {
    const event = Buffer.from([0, 255, 10])
    fc.ending = { kind: 'returned', payload: payloadOf(Buffer.from([1, 254])) }
    const reply = await post(INVOCATIONS, event)
    expect(reply.status).toBe(200)
    expect(reply.bytes).toEqual(Buffer.from([1, 254]))
    expect(fc.invocations).toHaveLength(1)
    expect(toBuffer(fc.invocations[0]!.payload)).toEqual(event)
    expect(fc.invocations[0]).toMatchObject({
      target: { account: ACCOUNT, namespace: 'demo', name: 'hello' },
      requestId: reply.headers['X-Fc-Request-Id'],
      retryCount: 0,
    })
    expect(reply.headers).toMatchObject({
      'Content-Type': 'application/octet-stream',
      'X-Fc-Code-Checksum': fc.catalogue.resolve(fc.invocations[0]!.target).code.crc64,
      'X-Fc-Invocation-Duration': '1.16',
      'X-Fc-Max-Memory-Usage': '9.20',
      'X-Fc-Instance-Id': 'c-00000001-00000002-000000000003',
      'X-Fc-Invocation-Service-Version': 'LATEST',
      'x-acs-request-id': reply.headers['X-Fc-Request-Id'],
    })
    expect(reply.headers['Access-Control-Expose-Headers']).toContain('x-fc-error-type')
    expect(reply.headers).not.toHaveProperty('X-Fc-Error-Type')
    expect(reply.headers).not.toHaveProperty('X-Fc-Log-Result')
  })

  test('are found under both API versions, without one, and in the short form of the documentation', async () => {
    for (const base of [V1, V2, ''])
      for (const end of ['/invocations', '']) {
        const reply = await post(`${base}/services/demo/functions/hello${end}`)
        expect([reply.status, reply.bytes.toString()]).toEqual([200, 'done'])
      }
  })

  test('take the version or alias from the path or the query', async () => {
    await post(`${V1}/services/demo/versions`, {})
    await post(`${V1}/services/demo/aliases`, { aliasName: 'prod', versionId: '1' })
    for (const [path, qualifier, version] of [
      [`${V1}/services/demo.prod/functions/hello/invocations`, 'prod', '1'],
      [`${V2}/services/demo/functions/hello/invocations?qualifier=prod`, 'prod', '1'],
      [`${V2}/services/demo.1/functions/hello/invocations`, '1', '1'],
      [`${V1}/services/demo./functions/hello/invocations`, undefined, 'LATEST'],
      [`${V1}/services/demo.LATEST/functions/hello/invocations`, undefined, 'LATEST'],
      [`${V2}/services/demo/functions/hello/invocations?qualifier=`, undefined, 'LATEST'],
    ] as const) {
      const reply = await post(path)
      expect(reply.headers['X-Fc-Invocation-Service-Version']).toBe(version)
      expect(fc.invocations.at(-1)?.target.qualifier).toBe(qualifier)
    }
  })

  test('that lead nowhere are told what is missing', async () => {
    for (const [path, status, code] of [
      ['/services/none/functions/hello/invocations', 404, 'ServiceNotFound'],
      ['/services/demo/functions/none/invocations', 404, 'FunctionNotFound'],
      ['/services/demo.9/functions/hello/invocations', 404, 'VersionNotFound'],
      ['/services/demo.prod/functions/hello/invocations', 404, 'AliasNotFound'],
      ['/services/demo.a%2Fb/functions/hello/invocations', 400, 'InvalidArgument'],
      ['/services/demo%2FLATEST/functions/hello/invocations', 400, 'InvalidArgument'],
      ['/services/demo/functions/he%llo/invocations', 400, 'InvalidArgument'],
      ['/services/demo/functions//invocations', 400, 'PathNotSupported'],
      ['/services/demo/functions/hello/invocations/', 400, 'PathNotSupported'],
    ] as const)
      for (const headers of [{}, ASYNC]) {
        const reply = await post(`${V1}${path}`, undefined, headers)
        expect([path, reply.status, reply.json['ErrorCode']]).toEqual([path, status, code])
        expect(reply.headers['Content-Type']).toBe('application/json')
      }
  })

  const threw = (handled: boolean): Ending => ({
    kind: 'threw',
    errorType: 'Error',
    handled,
    payload: payloadOf('{"errorMessage":"boom"}'),
  })
  const empty = payloadOf('')
  test.each<[string, Ending, string, unknown]>([
    ['handled', threw(true), 'HandledInvocationError', { errorMessage: 'boom' }],
    ['unhandled', threw(false), 'UnhandledInvocationError', { errorMessage: 'boom' }],
    [
      'timed out',
      { kind: 'timedOut', afterMs: 3000 },
      'UnhandledInvocationError',
      { errorMessage: 'Function timed out after 3 seconds (maxMemoryUsage: 9.20MB)' },
    ],
    [
      'exited',
      { kind: 'crashed', cause: 'exited', exitCode: 1 },
      'UnhandledInvocationError',
      {
        errorMessage:
          'Process exited unexpectedly before completing request (duration: 1ms, maxMemoryUsage: 9.20MB)',
      },
    ],
    [
      'not loaded',
      {
        kind: 'initFailed',
        phase: 'load',
        reason: 'threw',
        errorType: 'ImportModuleError',
        payload: payloadOf('{"a":1}'),
      },
      'UnhandledInvocationError',
      { a: 1 },
    ],
    [
      'not initialized',
      { kind: 'initFailed', phase: 'initializer', reason: 'crashed', errorType: 'exit', payload: empty },
      'InitializationError',
      {
        errorMessage:
          'Process exited unexpectedly before completing request (duration: 1ms, maxMemoryUsage: 9.20MB)',
      },
    ],
  ])(
    'of a function that ended %s are a 200 with a JSON body and an error type',
    async (_, ending, errorType, body) => {
      fc.ending = ending
      const reply = await post(INVOCATIONS)
      expect(reply.status).toBe(200)
      expect(reply.headers).toMatchObject({
        'Content-Type': 'application/json',
        'X-Fc-Error-Type': errorType,
      })
      expect(reply.json).toEqual(body)
    },
  )

  test('of a caller who hung up end as 499', async () => {
    fc.ending = { kind: 'cancelled' }
    expect((await post(INVOCATIONS)).status).toBe(499)
  })

  test('show the end of the log when asked, but not of an instance that runs several calls', async () => {
    fc.logTail = 'FC Invoke End\n'
    const tail = async () =>
      (await post(INVOCATIONS, '', { 'x-fc-log-type': 'Tail' })).headers['X-Fc-Log-Result']
    expect(Buffer.from((await tail()) ?? '', 'base64').toString()).toBe('FC Invoke End\n')
    const body = { instanceConcurrency: 2 }
    await fc.send({ method: 'PUT', path: `${V1}/services/demo/functions/hello`, body })
    expect(await tail()).toBeUndefined()
  })

  test('go by the trace id of their caller where it looks like an id', async () => {
    const idFor = async (traceId: string) =>
      (await post(INVOCATIONS, '', { 'x-fc-trace-id': traceId })).headers['X-Fc-Request-Id']
    expect(await idFor('1-650c0f0d-ae96ae24839e741e3ce1ba72')).toBe('1-650c0f0d-ae96ae24839e741e3ce1ba72')
    expect(await idFor('two words')).toMatch(/^[0-9a-f-]{36}$/)
  })

  test('refuse invalid header values in the words of the vendor', async () => {
    const messageFor = async (headers: Record<string, string>) => {
      const reply = await post(INVOCATIONS, '', headers)
      expect([reply.status, reply.json['ErrorCode']]).toEqual([400, 'InvalidArgument'])
      return reply.json['ErrorMessage']
    }
    expect(await messageFor({ 'x-fc-log-type': 'Invalid' })).toBe(
      "LogType is set to an invalid value (allowed: Tail | None, actual: 'Invalid')",
    )
    expect(await messageFor({ ...ASYNC, 'x-fc-log-type': 'Tail' })).toBe(
      "LogType is set to an invalid value (allowed: None, actual: 'Tail')",
    )
    expect(await messageFor({ 'x-fc-invocation-type': 'Later' })).toBe(
      "InvocationType is set to an invalid value (allowed: Sync | Async, actual: 'Later')",
    )
    for (const delay of ['0', '3600', '-1', '1.5', 'soon'])
      await messageFor({ ...ASYNC, 'x-fc-async-delay': delay })
    for (const id of ['1a', 'a b', 'a'.repeat(129)])
      await messageFor({ ...ASYNC, 'x-fc-stateful-async-invocation-id': id })
    expect(fc.invocations).toEqual([])
    expect(await claimed()).toEqual([])
  })

  test('have their quoted header values read without the quotes', async () => {
    expect((await post(INVOCATIONS, '', { 'x-fc-invocation-type': '"Async"' })).status).toBe(202)
  })

  test.each([
    [
      new EngineError('caller/concurrency-exceeded', { scope: 'function', limit: 1 }),
      429,
      'ResourceExhausted',
    ],
    [
      new EngineError('caller/memory-unavailable', { neededMib: 32_768, availableMib: 18_079 }),
      400,
      'InvalidArgument',
    ],
    [new EngineError('platform/no-capacity', { waitedMs: 10 }), 503, 'ResourceThrottled'],
    [new EngineError('platform/start-failed', { reason: '/secret/path' }), 500, 'InternalServerError'],
    [new TypeError('/secret/path'), 500, 'InternalServerError'],
  ])('that the engine refuses with %s are answered %i', async (error, status, code) => {
    Object.defineProperty(fc, 'ending', {
      get() {
        throw error
      },
    })
    const reply = await post(INVOCATIONS)
    expect([reply.status, reply.json['ErrorCode']]).toEqual([status, code])
    expect(reply.bytes.toString()).not.toContain('secret')
    expect(fc.observed).toEqual(error instanceof TypeError ? [error] : [])
  })
})

describe('asynchronous invocations', () => {
  test('are durable before they are accepted, with the defaults of the vendor', async () => {
    const reply = await post(INVOCATIONS, 'event', ASYNC)
    expect([reply.status, reply.bytes.length]).toEqual([202, 0])
    expect(reply.headers).not.toHaveProperty('Content-Type')
    expect(reply.headers).not.toHaveProperty('X-Fc-Async-Task-Id')
    expect(fc.invocations).toEqual([])
    const [task] = await claimed()
    expect(task).toMatchObject({
      requestId: reply.headers['X-Fc-Request-Id'],
      account: ACCOUNT,
      namespace: 'demo',
      functionName: 'hello',
      dueAtMs: fc.clockMs,
      maxRetries: 3,
      expiresAtMs: fc.clockMs + 86_400_000,
    })
    expect(Buffer.from(task!.payload).toString()).toBe('event')
  })

  test('follow the configuration of the qualifier they used, and of no other', async () => {
    await post(`${V1}/services/demo/versions`, {})
    const config = { maxAsyncRetryAttempts: 0, maxAsyncEventAgeInSeconds: 60 }
    await fc.send({
      method: 'PUT',
      path: `${V1}/services/demo/functions/hello/async-invoke-config`,
      body: config,
    })
    await post(INVOCATIONS, '', ASYNC)
    const [plain] = await claimed()
    expect(plain).toMatchObject({ maxRetries: 0, expiresAtMs: fc.clockMs + 60_000 })
    await post(`${V1}/services/demo.1/functions/hello/invocations`, '', ASYNC)
    const [qualified] = await claimed()
    expect(qualified).toMatchObject({ qualifier: '1', maxRetries: 3 })
  })

  test('can be delayed', async () => {
    await post(INVOCATIONS, '', { ...ASYNC, 'x-fc-async-delay': '3599' })
    expect((await claimed())[0]).toMatchObject({ acceptedAtMs: fc.clockMs, dueAtMs: fc.clockMs + 3_599_000 })
  })

  test('carry the task id of their caller once', async () => {
    const headers = { ...ASYNC, 'x-fc-stateful-async-invocation-id': 'order-1' }
    const first = await post(INVOCATIONS, '', headers)
    expect(first.status).toBe(202)
    expect(first.headers).toMatchObject({
      'X-Fc-Stateful-Async-Invocation-Id': 'order-1',
      'X-Fc-Async-Task-Id': 'order-1',
    })
    const again = await post(INVOCATIONS, '', { ...ASYNC, 'x-fc-async-task-id': 'order-1' })
    expect([again.status, again.json['ErrorCode']]).toEqual([409, 'StatefulAsyncInvocationAlreadyExists'])
    const unlisted = { ...headers, 'x-fc-stateful-async-invocation-enable': 'false' }
    expect((await post(INVOCATIONS, '', unlisted)).status).toBe(202)
  })

  test('get their request id as task id where tasks are switched on', async () => {
    const enabled = await post(INVOCATIONS, '', { ...ASYNC, 'x-fc-stateful-async-invocation-enable': 'true' })
    expect(enabled.headers['X-Fc-Async-Task-Id']).toBe(enabled.headers['X-Fc-Request-Id'])
    const path = `${V1}/services/demo/functions/hello/async-invoke-config`
    await fc.send({ method: 'PUT', path, body: { statefulInvocation: true } })
    const configured = await post(INVOCATIONS, '', ASYNC)
    expect(configured.headers['X-Fc-Async-Task-Id']).toBe(configured.headers['X-Fc-Request-Id'])
  })

  test('are limited to 128 KB, where synchronous ones may have 32 MB', async () => {
    const event = Buffer.alloc(128 * 1024 + 1)
    const reply = await post(INVOCATIONS, event, ASYNC)
    expect([reply.status, reply.json['ErrorCode']]).toEqual([400, 'EntityTooLarge'])
    expect(reply.json['ErrorMessage']).toBe('payload size exceeds maximum allowed size (131072 bytes)')
    expect((await post(INVOCATIONS, event)).status).toBe(200)
    const limits: number[] = []
    for (const headers of [{}, ASYNC]) {
      const exchange = exchangeOf({ method: 'POST', path: INVOCATIONS, headers }, fc.clockMs)
      const readBody = (limitBytes: number) => {
        limits.push(limitBytes)
        return exchange.readBody(limitBytes)
      }
      await fc.dialect.handle({ ...exchange, readBody })
    }
    expect(limits).toEqual([33_554_432, 131_072])
  })
})
