import { afterAll, afterEach, beforeEach, beforeAll, describe, expect, test } from 'vitest'
import { aliasKey, qualifiedKey } from '../../../src/engine/keys.ts'
import { EngineError } from '../../../src/model/errors.ts'
import type { Ending } from '../../../src/model/outcome.ts'
import { payloadOf, toBuffer } from '../../../src/model/payload.ts'
import { ACCOUNT, F, functionBody, openHarness, urnOf, type Harness } from './harness.ts'

let server: Harness
beforeAll(async () => {
  server = await openHarness()
  await server.send({ method: 'POST', path: F, body: functionBody('hello') })
  await server.send({ method: 'POST', path: `${F}/${urnOf('hello')}/versions`, body: { version: 'v1' } })
  await server.send({
    method: 'PUT',
    path: `${F}/${urnOf('hello')}/config`,
    body: { runtime: 'Node.js18.15', timeout: 5, handler: 'index.handler', memory_size: 256 },
  })
  await server.send({ method: 'POST', path: `${F}/${urnOf('hello')}/versions`, body: { version: 'v2' } })
})
afterAll(() => server.close())
beforeEach(() => {
  server.ending = { kind: 'returned', payload: payloadOf('{"done":true}') }
  server.logTail = Buffer.alloc(0)
  server.refusal = undefined
  server.invocations.length = 0
})
afterEach(() => {
  expect(server.observed).toEqual([])
})

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

function call(
  body: unknown = {},
  headers: Record<string, string> = {},
  urn = urnOf('hello'),
  kind = 'invocations',
) {
  return server.send({ method: 'POST', path: `${F}/${urn}/${kind}`, body, headers })
}

describe('a synchronous call', () => {
  test('answers the result with every header', async () => {
    const { status, headers, text } = await call({ k: 'ü' })
    expect([status, text]).toEqual([200, '{"done":true}'])
    const [request] = server.invocations
    expect(request).toMatchObject({
      target: { account: ACCOUNT, namespace: 'default', name: 'hello' },
      retryCount: 0,
    })
    expect(request?.target).not.toHaveProperty('qualifier')
    expect(request === undefined ? '' : toBuffer(request.payload).toString()).toBe('{"k":"ü"}')
    expect(headers).toEqual({
      'X-Request-Id': headers['X-Cff-Request-Id']?.replaceAll('-', ''),
      'X-Cff-Request-Id': expect.stringMatching(UUID),
      'X-Cff-Invoke-Summary': '{"duration":1.913,"billingDuration":2,"memorySize":256,"memoryUsed":41.5}',
      'X-CFF-Billing-Duration': '2',
      'X-Cff-Response-Version': 'v0',
      'X-Func-Err-Code': '0',
      'X-Is-Func-Err': 'false',
      'X-Cff-Function-Version': 'latest',
      'Content-Type': 'application/json',
    })
    expect(request?.requestId).toBe(headers['X-Cff-Request-Id'])
  })

  test('in v1 puts the result into a string, whatever it is', async () => {
    for (const result of ['{"a":1}', 'plain text', '', 'null', '5']) {
      server.ending = { kind: 'returned', payload: payloadOf(result) }
      const { headers, json } = await call({}, { 'x-cff-request-version': 'v1' })
      expect(json).toEqual({ request_id: headers['X-Cff-Request-Id'], result, log: '', status: 200 })
      expect(headers).toMatchObject({ 'X-Cff-Response-Version': 'v1', 'Content-Type': 'application/json' })
    }
  })

  test.each([
    ['{"a":1}', 'application/json'],
    ['[1]', 'application/json'],
    ['null', 'application/json'],
    ['12', 'application/json'],
    ['"quoted"', 'application/json'],
    ['', 'application/json'],
    ['plain text', 'text/plain; charset=utf-8'],
  ])('in v0 answers %j as it is, as %s', async (result, type) => {
    server.ending = { kind: 'returned', payload: payloadOf(result) }
    const { text, headers } = await call()
    expect([text, headers['Content-Type']]).toEqual([result, type])
  })

  test('answers bytes that are no text as they are in v0, in base64 in v1', async () => {
    const bytes = Buffer.from([0xff, 0x00, 0x80])
    server.ending = { kind: 'returned', payload: payloadOf(bytes) }
    const raw = await call()
    expect([raw.bytes, raw.headers['Content-Type']]).toEqual([bytes, 'application/octet-stream'])
    const { json } = await call({}, { 'x-cff-request-version': 'v1' })
    expect(json['result']).toBe(bytes.toString('base64'))
  })

  test('brings the end of the log when asked for it, 2000 bytes in the header', async () => {
    server.logTail = Buffer.from(`${'ü'.repeat(1500)}end`).subarray(1)
    const silent = await call()
    expect(silent.headers).not.toHaveProperty('X-Cff-Function-Log')
    const { headers, json } = await call({}, { 'x-cff-log-type': 'tail', 'x-cff-request-version': 'v1' })
    const header = Buffer.from(headers['X-Cff-Function-Log'] ?? '', 'base64')
    expect(header).toEqual(server.logTail.subarray(-2000))
    expect(json['log']).toBe(`${'ü'.repeat(1499)}end`)
  })

  test.each([[''], ['{}'], ['[1,2]'], ['"text"'], ['null'], ['12.5'], [' true ']])(
    'takes the event %j as it is',
    async (event) => {
      expect((await call(event)).status).toBe(200)
      const [request] = server.invocations
      expect(request === undefined ? undefined : toBuffer(request.payload).toString()).toBe(event)
    },
  )

  test.each([['{'], ['text'], [Buffer.from([0x22, 0xff, 0x22])]])('refuses the event %j', async (event) => {
    const { status, code } = await call(event)
    expect([status, code]).toEqual([406, 'FSS.0406'])
    expect(server.invocations).toEqual([])
  })

  test('refuses an event over 6 MB', async () => {
    const longest = Buffer.alloc(6 * 1024 * 1024, 0x20)
    longest.write('1')
    expect((await call(longest)).status).toBe(200)
    const { status, code } = await call(Buffer.alloc(6 * 1024 * 1024 + 1, 0x20))
    expect([status, code]).toEqual([413, 'FSS.1201'])
  })

  test.each([
    [{ 'x-cff-log-type': 'all' }, 400, 'FSS.0400'],
    [{ 'x-cff-request-version': 'v2' }, 400, 'FSS.0400'],
    [{ 'x-cff-instance-memory': '100' }, 406, 'FSS.0406'],
    [{ 'x-cff-instance-memory': '512' }, 406, 'FSS.0406'],
  ])('refuses the headers %j', async (headers, status, code) => {
    const reply = await call({}, headers)
    expect([reply.status, reply.code]).toEqual([status, code])
  })

  test('lets the caller choose the memory of a function that allows it', async () => {
    await server.send({
      method: 'POST',
      path: F,
      body: functionBody('dynamic', { enable_dynamic_memory: true }),
    })
    expect((await call({}, { 'x-cff-instance-memory': '512' }, urnOf('dynamic'))).status).toBe(200)
  })
})

describe('a function that fails is a 200 that says so', () => {
  const report = { errorMessage: 'no', errorType: 'Error', stackTrace: ['at handler (./index.js:1:2)'] }
  const own = JSON.stringify(report, null, 4)
  const endings: [string, Ending, string, string, object][] = [
    [
      'throws',
      { kind: 'threw', errorType: 'Error', handled: false, payload: payloadOf(own) },
      '4002',
      'true',
      report,
    ],
    [
      'reports an error',
      { kind: 'threw', errorType: 'Error', handled: true, payload: payloadOf(own) },
      '4001',
      'true',
      report,
    ],
    [
      'takes too long',
      { kind: 'timedOut', afterMs: 3000 },
      '4010',
      'true',
      { errorMessage: expect.stringContaining('3s') },
    ],
    [
      'exits',
      { kind: 'crashed', cause: 'exited', exitCode: 1 },
      '4002',
      'true',
      { errorMessage: 'runtime process is exited' },
    ],
    [
      'needs too much memory',
      { kind: 'crashed', cause: 'outOfMemory' },
      '4002',
      'true',
      { errorMessage: 'runtime memory limit exceeded' },
    ],
    [
      'cannot be loaded',
      {
        kind: 'initFailed',
        phase: 'load',
        reason: 'threw',
        errorType: 'FunctionLoadError',
        payload: payloadOf(own),
      },
      '4001',
      'true',
      report,
    ],
    [
      'has an initializer that throws',
      {
        kind: 'initFailed',
        phase: 'initializer',
        reason: 'threw',
        errorType: 'Error',
        payload: payloadOf(own),
      },
      '4009',
      'true',
      report,
    ],
    [
      'has an initializer that takes too long',
      {
        kind: 'initFailed',
        phase: 'initializer',
        reason: 'timedOut',
        errorType: 'Error',
        payload: payloadOf(''),
      },
      '4211',
      'true',
      { errorMessage: expect.stringContaining('timed out') },
    ],
    [
      'is ended on request',
      { kind: 'terminated' },
      '4208',
      'false',
      { errorMessage: expect.stringContaining('cancelled') },
    ],
    [
      'returns more than 6 MB',
      { kind: 'returned', payload: payloadOf(Buffer.alloc(6 * 1024 * 1024 + 1, 0x20)) },
      '4004',
      'true',
      { errorMessage: 'response body size 6291457 exceeds the limit of 6291456' },
    ],
  ]

  test.each(endings)('%s', async (_, ending, code, isFunctionError, body) => {
    server.ending = ending
    const { status, headers, json, text } = await call()
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'X-Func-Err-Code': code,
      'X-Is-Func-Err': isFunctionError,
      'Content-Type': 'application/json',
    })
    expect(json).toMatchObject(body)
    const v1 = await call({}, { 'x-cff-request-version': 'v1' })
    expect(v1.json).toMatchObject({ result: text, status: 500 })
  })

  test('an error body of its own contract is answered as the code made it', async () => {
    server.ending = { kind: 'threw', errorType: 'Error', handled: false, payload: payloadOf(own) }
    expect((await call()).text).toBe(own)
  })

  test('a caller that hung up is not answered with a result', async () => {
    server.ending = { kind: 'cancelled' }
    const { status, code } = await call()
    expect([status, code]).toEqual([408, 'FSS.0408'])
  })
})

describe('a call that the function never saw', () => {
  test.each([
    [
      new EngineError('caller/concurrency-exceeded', { scope: 'function', limit: 0 }),
      429,
      'Function Disabled',
    ],
    [
      new EngineError('caller/concurrency-exceeded', { scope: 'function', limit: 5 }),
      429,
      'too many requests',
    ],
    [
      new EngineError('caller/memory-unavailable', { neededMib: 32_768, availableMib: 18_079 }),
      400,
      'memoryBudgetMib',
    ],
    [new EngineError('platform/no-capacity', { waitedMs: 10 }), 503, 'no instance'],
    [new EngineError('platform/draining', {}), 503, 'shutting down'],
    [new EngineError('platform/start-failed', { reason: 'secret path' }), 500, 'an internal error'],
  ])('%s is %i', async (refusal, status, message) => {
    server.refusal = refusal
    const reply = await call()
    expect(reply.status).toBe(status)
    expect(reply.json['error_msg']).toContain(message)
    expect(reply.text).not.toContain('secret path')
  })

  test.each([
    [urnOf('none'), 404, 'FSS.1051'],
    [urnOf('hello', 'latest', 'nowhere'), 404, 'FSS.1051'],
    [urnOf('hello', 'v9'), 404, 'FSS.1052'],
    [urnOf('hello', '!nobody'), 404, 'FSS.1053'],
    [urnOf('none', 'v1'), 404, 'FSS.1051'],
    [urnOf('none', '!nobody'), 404, 'FSS.1051'],
    ['urn:fss:x', 400, 'FSS.1309'],
    [urnOf('hello').replace('function:', 'trigger:'), 400, 'FSS.1309'],
  ])('%s is answered with %i %s', async (urn, status, code) => {
    for (const kind of ['invocations', 'invocations-async']) {
      const reply = await call({}, {}, urn, kind)
      expect([reply.status, reply.code]).toEqual([status, code])
    }
    expect(server.invocations).toEqual([])
  })
})

describe('a URN of an invocation', () => {
  test.each([
    ['hello', undefined],
    ['default:hello', undefined],
    [urnOf('hello').replace(/:latest$/, ''), undefined],
    [urnOf('hello', 'v1'), 'v1'],
    [encodeURIComponent(urnOf('hello', 'v1')), 'v1'],
  ])('%s leads to the function', async (urn, qualifier) => {
    const { status, headers } = await call({}, {}, urn)
    expect([status, headers['X-Cff-Function-Version']]).toEqual([200, qualifier ?? 'latest'])
    expect(server.invocations[0]?.target.qualifier).toBe(qualifier)
  })

  test('of an alias leads to it, and not by the name of the alias alone', async () => {
    await alias('prod', 'v1', {})
    expect((await call({}, {}, urnOf('hello', '!prod'))).headers['X-Cff-Function-Version']).toBe('v1')
    expect(server.invocations[0]?.target.qualifier).toBe('prod')
    const bare = await call({}, {}, urnOf('hello', 'prod'))
    expect([bare.status, bare.code]).toEqual([404, 'FSS.1052'])
    const version = await call({}, {}, urnOf('hello', '!v1'))
    expect([version.status, version.code]).toEqual([404, 'FSS.1053'])
  })

  test('of an alias with rules leads where they say', async () => {
    const rule = (type: string, param: string, op: string, value: string) => ({
      rule_type: type,
      param,
      op,
      value,
    })
    const strategies: [object, Record<string, string>, string][] = [
      [{ combine_type: 'and', rules: [rule('header', 'X-Team', '=', 'a')] }, { 'x-team': 'a' }, 'v2'],
      [{ combine_type: 'and', rules: [rule('header', 'X-Team', '=', 'a')] }, { 'x-team': 'b' }, 'v1'],
      [{ combine_type: 'and', rules: [rule('Header', 'x-team', 'in', 'b, a')] }, { 'x-team': 'a' }, 'v2'],
      [{ combine_type: 'and', rules: [rule('cookie', 'team', '=', 'a')] }, { cookie: 'x=1; team=a' }, 'v2'],
      [{ combine_type: 'and', rules: [rule('cookie', 'team', '=', 'a')] }, {}, 'v1'],
      [
        { combine_type: 'and', rules: [rule('header', 'a', '=', '1'), rule('header', 'b', '=', '1')] },
        { a: '1', b: '2' },
        'v1',
      ],
      [
        { combine_type: 'or', rules: [rule('header', 'a', '=', '1'), rule('header', 'b', '=', '1')] },
        { a: '1', b: '2' },
        'v2',
      ],
      [{ combine_type: 'and', rules: [] }, {}, 'v1'],
    ]
    for (const [condition, headers, version] of strategies) {
      await alias('ruled', 'v1', { additional_version_strategy: { v2: condition } })
      const reply = await call({}, headers, urnOf('hello', '!ruled'))
      expect([condition, headers, reply.headers['X-Cff-Function-Version']]).toEqual([
        condition,
        headers,
        version,
      ])
    }
  })
})

describe('an asynchronous call', () => {
  const accept = (urn = urnOf('hello'), body: unknown = { n: 1 }) => call(body, {}, urn, 'invocations-async')

  test('is stored before it is accepted', async () => {
    const { status, headers, json } = await accept()
    const requestId = String(json['request_id'])
    expect(status).toBe(202)
    expect(requestId).toMatch(UUID)
    expect(headers).toMatchObject({ 'X-Cff-Request-Id': requestId, 'Content-Type': 'application/json' })
    expect(await server.store.tasks.find(ACCOUNT, requestId)).toMatchObject({
      namespace: 'default',
      functionName: 'hello',
      status: 'waiting',
      maxRetries: 0,
      acceptedAtMs: server.clockMs,
    })
    expect(server.invocations).toEqual([])
  })

  test('keeps the version and the alias it was made through', async () => {
    await alias('prod', 'v1', {})
    for (const [urn, qualifier] of [
      [urnOf('hello', 'v2'), 'v2'],
      [urnOf('hello', '!prod'), 'prod'],
    ] as const) {
      const { json } = await accept(urn)
      expect(await server.store.tasks.find(ACCOUNT, String(json['request_id']))).toMatchObject({ qualifier })
    }
  })

  test('is repeated and grows old as the version it leads to is configured', async () => {
    await alias('prod', 'v1', {})
    await configure('v1', { maxRetries: 2, maxAgeMs: 60_000 })
    const { json } = await accept(urnOf('hello', '!prod'))
    expect(await server.store.tasks.find(ACCOUNT, String(json['request_id']))).toMatchObject({
      maxRetries: 2,
    })
    await alias('ruled', 'v1', {
      additional_version_strategy: {
        v2: { rules: [{ rule_type: 'header', param: 'a', op: '=', value: '1' }] },
      },
    })
    const ruled = await call({}, { a: '2' }, urnOf('hello', '!ruled'), 'invocations-async')
    expect(await server.store.tasks.find(ACCOUNT, String(ruled.json['request_id']))).toMatchObject({
      maxRetries: 2,
      qualifier: 'v1',
    })
    await configure('v2', {})
    const other = await accept(urnOf('hello', 'v2'))
    expect(await server.store.tasks.find(ACCOUNT, String(other.json['request_id']))).toMatchObject({
      maxRetries: 1,
    })
  })

  test('has an event of at most 256 KB of JSON', async () => {
    const longest = Buffer.alloc(256 * 1024, 0x20)
    longest.write('1')
    expect((await accept(urnOf('hello'), longest)).status).toBe(202)
    const long = await accept(urnOf('hello'), Buffer.alloc(256 * 1024 + 1, 0x20))
    expect([long.status, long.code]).toEqual([413, 'FSS.1201'])
    expect((await accept(urnOf('hello'), '{')).status).toBe(406)
  })

  test('of a disabled function is refused', async () => {
    await server.send({ method: 'POST', path: F, body: functionBody('off') })
    await server.send({
      method: 'PUT',
      path: `${F}/${urnOf('off')}/config-max-instance`,
      body: { max_instance_num: 0 },
    })
    const { status, json } = await accept(urnOf('off'))
    expect([status, json]).toEqual([429, { error_code: 'FSS.0429', error_msg: 'Function Disabled' }])
  })
})

test('a reserved invocation tells which instance ran it', async () => {
  const { status, json } = await call({}, {}, urnOf('hello'), 'reserved-invocations')
  expect([status, json]).toEqual([200, { instance_id: 'c-00000001-00000002-000000000003' }])
})

function alias(name: string, version: string, own: object): Promise<unknown> {
  return server.catalogue.change((draft) =>
    draft.put('alias', aliasKey(ACCOUNT, 'default', name, 'hello'), {
      account: ACCOUNT,
      namespace: 'default',
      functionName: 'hello',
      name,
      version,
      weights: {},
      description: '',
      extras: { 'huawei-functiongraph': own },
      createdAtMs: 0,
      modifiedAtMs: 0,
    }),
  )
}

function configure(
  qualifier: string,
  settings: { maxRetries?: number; maxAgeMs?: number },
): Promise<unknown> {
  return server.catalogue.change((draft) =>
    draft.put('asyncConfig', qualifiedKey(ACCOUNT, 'default', 'hello', qualifier), {
      account: ACCOUNT,
      namespace: 'default',
      functionName: 'hello',
      qualifier,
      ...settings,
      extras: {},
      createdAtMs: 0,
      modifiedAtMs: 0,
    }),
  )
}
