import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ScfError, scfErrorOf, SCF_CODES } from '../../../src/dialects/tencent-scf/errors.ts'
import { legacyCodeOf } from '../../../src/dialects/tencent-scf/legacy-codes.ts'
import type { RequestHead } from '../../../src/dialects/dialect.ts'
import { isJsonObject } from '../../../src/model/json.ts'
import { unflatten } from '../../../src/dialects/tencent-scf/unflatten.ts'
import { EngineError, type EngineErrorCode, type EngineErrorDetails } from '../../../src/model/errors.ts'
import { payloadOf, toBuffer } from '../../../src/model/payload.ts'
import { RevisionConflict } from '../../../src/store/definition-store.ts'
import { zipOf as zipOfFiles } from '../../helpers/zip.ts'
import {
  functionParams,
  HOST,
  legacyRequest,
  openHarness,
  tc3Request,
  type Harness,
  type RawRequest,
} from './harness.ts'
import { CLOCK_MS, flatten, SECRET_ID, signParameters, signTc3, VERSION } from './signing.ts'

let server: Harness

beforeAll(async () => {
  server = await openHarness()
  await server.call('CreateFunction', await functionParams('hello'))
  await server.call('CreateNamespace', { Namespace: 'ns' })
  await server.call('CreateFunction', await functionParams('hello', { Namespace: 'ns' }))
})
beforeEach(() => {
  server.refusal = undefined
  server.invocations.length = 0
})
afterAll(() => server.close())

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** A form of API 3.0, signed by its parameters. */
function v1Request(action: string, params: object, method: 'GET' | 'POST', more = {}): RawRequest {
  const common = {
    Action: action,
    Version: VERSION,
    Nonce: '7',
    SecretId: SECRET_ID,
    Timestamp: String(CLOCK_MS / 1000),
    ...more,
  }
  const form = new URLSearchParams(signParameters(method, '/', { ...flatten(params), ...common }, HOST))
  const headers = { host: HOST, 'content-type': 'application/x-www-form-urlencoded' }
  return method === 'GET'
    ? { method, query: form.toString(), headers: { host: HOST } }
    : { headers, body: form.toString() }
}

function tc3Get(action: string, query: string): RawRequest {
  const request = tc3Request(action, {}, CLOCK_MS)
  const headers: Record<string, string> = {
    ...request.headers,
    'content-type': 'application/x-www-form-urlencoded',
  }
  headers['authorization'] = signTc3({ method: 'GET', query, headers, body: Buffer.alloc(0) })
  return { method: 'GET', query, headers }
}

function multipart(
  parts: readonly (readonly [name: string, content: string | Buffer, more?: string])[],
): Buffer {
  const boundary = 'b0undary'
  return Buffer.concat([
    ...parts.flatMap(([name, content, more = '']) => [
      Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n`),
      Buffer.from(content),
      Buffer.from('\r\n'),
    ]),
    Buffer.from(`--${boundary}--\r\n`),
  ])
}

const MULTIPART = { 'content-type': 'multipart/form-data; boundary=b0undary' }

describe('answers of API 3.0', () => {
  test('are 200 with exactly application/json, a Response and an id of their own', async () => {
    const ok = await server.call('Invoke', { FunctionName: 'hello' })
    const failed = await server.call('Invoke', { FunctionName: 'nobody' })
    for (const { status, headers, response } of [ok, failed]) {
      expect(status).toBe(200)
      expect(headers).toEqual({ 'Content-Type': 'application/json' })
      expect(response['RequestId']).toMatch(UUID)
    }
    expect(ok.response['RequestId']).not.toBe(failed.response['RequestId'])
    expect(Object.keys(failed.json)).toEqual(['Response'])
    expect(failed.response['Error']).toEqual({
      Code: 'ResourceNotFound.FunctionName',
      Message: "function 'nobody' does not exist in namespace 'default'",
    })
  })

  test('echo the trace id, unless it could not be a header', async () => {
    const traced = await server.send(
      tc3Request('Invoke', { FunctionName: 'hello' }, CLOCK_MS, { 'x-tc-traceid': 'trace-1' }),
    )
    expect(traced.headers['X-TC-TraceId']).toBe('trace-1')
    const bad = tc3Request('Invoke', { FunctionName: 'hello' }, CLOCK_MS, { 'x-tc-traceid': 'a b\u00e9' })
    expect((await server.send(bad)).headers).not.toHaveProperty('X-TC-TraceId')
  })

  test('a missing alias is told in the words that the tools look for', async () => {
    const { code, message } = await server.call('Invoke', { FunctionName: 'hello', Qualifier: 'prod' })
    expect(code).toBe('ResourceNotFound.Alias')
    expect(message).toContain('未找到指定的')
  })

  test('another path than / is refused', async () => {
    const request = { ...tc3Request('Invoke', {}, CLOCK_MS), path: '/v3' }
    expect((await server.send(request)).code).toBe('InvalidRequest')
  })
})

describe('answers of the legacy API', () => {
  test('have the legacy envelope', async () => {
    const ok = await server.callLegacy('InvokeFunction', { functionName: 'hello' })
    expect(ok.status).toBe(200)
    expect(ok.headers['Content-Type']).toBe('application/json')
    expect(ok.json).toMatchObject({ code: 0, message: '', codeDesc: 'Success', data: { retMsg: '"done"' } })
    const failed = await server.callLegacy('InvokeFunction', { functionName: 'nobody' })
    expect(failed.json).toEqual({
      code: 5000,
      message: "(ResourceNotFound.FunctionName)function 'nobody' does not exist in namespace 'default'",
      codeDesc: 'ResourceNotFound',
    })
  })

  test('come for GET and for both spellings of the path', async () => {
    const get = legacyRequest('InvokeFunction', { functionName: 'hello' }, CLOCK_MS, 901, 'GET')
    expect((await server.send(get)).json).toMatchObject({ code: 0 })
    const slash = legacyRequest('InvokeFunction', { functionName: 'hello' }, CLOCK_MS, 902)
    expect((await server.send({ ...slash, path: '/v2/index.php/' })).json).toMatchObject({ code: 0 })
  })

  test('a header signature does not lead there', async () => {
    const request = { ...tc3Request('Invoke', { FunctionName: 'hello' }, CLOCK_MS), path: '/v2/index.php' }
    expect((await server.send(request)).json).toMatchObject({ code: 4100 })
  })

  test.each([
    ['ap-shanghai', 0],
    ['sh', 0],
    ['mars', 4000],
    ['../x', 4000],
  ])('the region %s is answered with %i', async (Region, code) => {
    const common = {
      Action: 'InvokeFunction',
      functionName: 'hello',
      Region,
      Timestamp: String(CLOCK_MS / 1000),
      Nonce: `r${Region}`,
      SecretId: SECRET_ID,
    }
    const body = new URLSearchParams(signParameters('POST', '/v2/index.php', common, HOST)).toString()
    const reply = await server.send({ path: '/v2/index.php', headers: { host: HOST }, body })
    expect(reply.json['code']).toBe(code)
  })
})

describe('the parameters of a request', () => {
  const event = '{"text":"a+b & c=d é"}'
  const params = { FunctionName: 'hello', ClientContext: event, LogType: 'Tail' }

  const invoked = (): string =>
    server.invocations.length === 1 && server.invocations[0] !== undefined
      ? toBuffer(server.invocations[0].payload).toString()
      : 'not invoked once'

  test('are the same by every way they travel', async () => {
    const octets = { 'content-type': 'application/octet-stream; charset=utf-8' }
    const requests: Record<string, RawRequest> = {
      json: tc3Request('Invoke', params, CLOCK_MS),
      octets: tc3Request('Invoke', params, CLOCK_MS, octets),
      get: tc3Get('Invoke', new URLSearchParams(params).toString()),
      v1Post: v1Request('Invoke', params, 'POST'),
      v1Get: v1Request('Invoke', params, 'GET'),
      multipart: tc3Request('Invoke', multipart(Object.entries(params)), CLOCK_MS, MULTIPART),
    }
    for (const [way, request] of Object.entries(requests)) {
      server.invocations.length = 0
      const reply = await server.send(request)
      expect({ way, code: reply.code, event: invoked() }).toEqual({ way, code: undefined, event })
    }
  })

  test('of a form are read whatever the type says', async () => {
    const request = v1Request('Invoke', params, 'POST')
    const typed = { ...request, headers: { ...request.headers, 'content-type': 'application/json' } }
    expect((await server.send(typed)).code).toBeUndefined()
    expect(invoked()).toBe(event)
  })

  test('are put together from flattened names', async () => {
    const Environment = {
      Variables: [
        { Key: 'A', Value: '1' },
        { Key: 'B', Value: 'x.y=z' },
      ],
    }
    const reply = await server.send(
      v1Request('UpdateFunctionConfiguration', { FunctionName: 'hello', Environment, Timeout: 9 }, 'POST'),
    )
    expect(reply.code).toBeUndefined()
    const { response } = await server.call('GetFunction', { FunctionName: 'hello' })
    expect(response).toMatchObject({ Environment, Timeout: 9 })
  })

  test('that contradict each other or nest too deep are refused', async () => {
    for (const more of [{ a: '1', 'a.b': '2' }, { 'a.b': '2', 'a.b.c': '3' }, { ['x.'.repeat(40)]: '1' }])
      expect((await server.send(v1Request('Invoke', more, 'POST'))).code).toBe('InvalidParameter')
    const deep = Buffer.from(`{"FunctionName":"hello","Tags":${'['.repeat(100)}${']'.repeat(100)}}`)
    expect((await server.send(tc3Request('GetFunction', deep, CLOCK_MS))).code).toBe('InvalidParameter')
  })

  test('of a call are refused however deep they nest', async () => {
    const [depth, name] = [100_000, '{"1":']
    const deep = `${name.repeat(depth)}0${'}'.repeat(depth)}`
    for (const member of ['FunctionName', 'LogType', 'Qualifier', 'RoutingKey', 'ClientContext']) {
      const body = Buffer.from(`{"FunctionName":"hello","Namespace":"ns","${member}":${deep}}`)
      const { code } = await server.send(tc3Request('Invoke', body, CLOCK_MS))
      expect({ member, code }).toEqual({ member, code: expect.stringMatching(/^InvalidParameter/) })
    }
  })

  test('that are malformed are refused', async () => {
    const broken = '{"FunctionName":'
    for (const body of [broken, '[]', 'raw-bytes', '"x"', Buffer.from([0x7b, 0xff, 0x7d])])
      expect((await server.send(tc3Request('Invoke', Buffer.from(body), CLOCK_MS))).code).toBe(
        'InvalidParameter',
      )
    for (const body of ['', 'x', '--b0undary', '--b0undary\r\nX: y\r\n\r\nz\r\n--b0undary--'])
      expect((await server.send(tc3Request('Invoke', Buffer.from(body), CLOCK_MS, MULTIPART))).code).toBe(
        'InvalidRequest',
      )
    const noBoundary = { 'content-type': 'multipart/form-data' }
    expect((await server.send(tc3Request('Invoke', {}, CLOCK_MS, noBoundary))).code).toBe('InvalidRequest')
    const percent = { method: 'GET', query: 'Action=Invoke&a=%zz', headers: { host: HOST } }
    expect((await server.send(percent)).code).toBe('InvalidParameter')
  })

  test('may be JSON in a part of a multipart body', async () => {
    const Environment = { Variables: [{ Key: 'A', Value: '2' }] }
    const body = multipart([
      ['FunctionName', 'hello'],
      ['Environment', JSON.stringify(Environment), '\r\nContent-Type: application/json'],
    ])
    const reply = await server.send(tc3Request('UpdateFunctionConfiguration', body, CLOCK_MS, MULTIPART))
    expect(reply.code).toBeUndefined()
    const { response } = await server.call('GetFunction', { FunctionName: 'hello' })
    expect(response).toMatchObject({ Environment })
  })

  test('named like members of every object are only names', async () => {
    const given = { FunctionName: 'hello', '__proto__.polluted': '1', constructor: '2' }
    expect((await server.send(v1Request('Invoke', given, 'POST'))).code).toBeUndefined()
    const params = unflatten(Object.entries(given).map(([key, value]) => ({ key, value })))
    expect(Object.keys(params)).toEqual(['FunctionName', '__proto__', 'constructor'])
    expect(Object.getPrototypeOf(params)).toBe(Object.prototype)
    expect(Object.prototype).not.toHaveProperty('polluted')
  })

  test('of a form may be long: they are decoded in pieces', async () => {
    const long = JSON.stringify('a+b & c=d é%'.repeat(120_000))
    const request = v1Request('Invoke', { FunctionName: 'hello', ClientContext: long }, 'POST')
    expect((await server.send(request)).code).toBeUndefined()
    expect(invoked() === long).toBe(true)
    const spoilt = String(request.body).replace('%C3%A9', '%C3%AA')
    expect((await server.send({ ...request, body: spoilt })).code).toBe('AuthFailure.SignatureFailure')
    const broken = String(request.body).replace('%C3%A9', '%C3%x9')
    expect((await server.send({ ...request, body: broken })).code).toBe('InvalidParameter')
  })
})

describe('code in a request', () => {
  const source = 'exports.main_handler = () => 1\n'

  async function codeSizeOf(FunctionName: string): Promise<unknown> {
    return (await server.call('GetFunction', { FunctionName })).response['CodeSize']
  }

  test('may be much longer than what is parsed', async () => {
    const archive = await zipOfFiles({ 'index.js': source, 'noise.bin': noise(3_000_000) })
    const Code = { ZipFile: archive.toString('base64') }
    const { code } = await server.call('CreateFunction', await functionParams('large', { Code }))
    expect(code).toBeUndefined()
    expect(await codeSizeOf('large')).toBe(archive.length)
  })

  test('may come in a form', async () => {
    const archive = await zipOfFiles({ 'index.js': source, 'noise.bin': noise(1_500_000) })
    const Code = { ZipFile: archive.toString('base64') }
    const params = await functionParams('form', { Code })
    const { code, message } = await server.send(v1Request('CreateFunction', params, 'POST'))
    expect({ code, message }).toEqual({ code: undefined, message: undefined })
    expect(await codeSizeOf('form')).toBe(archive.length)
  })

  test('may come as a file', async () => {
    const archive = await zipOfFiles({ 'index.js': source })
    const body = multipart([
      ['FunctionName', 'file'],
      ['Runtime', 'Nodejs18.15'],
      ['Handler', 'index.main_handler'],
      ['Code.ZipFile', archive, '; filename="code.zip"\r\nContent-Type: application/zip'],
    ])
    expect((await server.send(tc3Request('CreateFunction', body, CLOCK_MS, MULTIPART))).code).toBeUndefined()
    expect(await codeSizeOf('file')).toBe(archive.length)
  })

  test('that is not base64 is refused, short or long', async () => {
    for (const ZipFile of ['!!!!', '!'.repeat(2_000_000)]) {
      const { code } = await server.call('CreateFunction', await functionParams('bad', { Code: { ZipFile } }))
      expect(code).toBe('InvalidParameterValue.ZipFileBase64BinasciiError')
    }
  })

  test('may begin with @ in the legacy API alone', async () => {
    for (const bytes of [10, 1_500_000]) {
      const archive = await zipOfFiles({ 'index.js': source, 'noise.bin': noise(bytes) })
      const marked = `@${archive.toString('base64')}`
      const params = {
        functionName: `marked${bytes}x`,
        runtime: 'Nodejs18.15',
        handler: 'index.h',
        code: marked,
      }
      expect((await server.callLegacy('CreateFunction', params)).json).toMatchObject({ code: 0 })
      expect(await codeSizeOf(params.functionName)).toBe(archive.length)
      const young = await functionParams('young', { Code: { ZipFile: marked } })
      const { code } = await server.send(v1Request('CreateFunction', young, 'POST'))
      expect(code).toBe('InvalidParameterValue.ZipFileBase64BinasciiError')
    }
  })

  test('beyond the longest body is refused, as is any long body of an action without code', async () => {
    const tooLong = Buffer.alloc(70 * 1024 * 1024 + 1, 0x20)
    const request = tc3Request('CreateFunction', tooLong, CLOCK_MS, { authorization: unsignedTc3() })
    expect((await server.send(request)).code).toBe('RequestSizeLimitExceeded')
    const event = tc3Request('Invoke', Buffer.alloc(10 * 1024 * 1024 + 1, 0x20), CLOCK_MS, {
      authorization: unsignedTc3(),
    })
    expect((await server.send(event)).code).toBe('RequestSizeLimitExceeded')
    const padded = { FunctionName: 'hello', Description: 'x'.repeat(1_100_000) }
    expect((await server.call('GetFunction', padded)).code).toBe('RequestSizeLimitExceeded')
  })

  test('is no excuse for long other members', async () => {
    const params = await functionParams('hog', { Description: 'x'.repeat(1_100_000) })
    expect((await server.call('CreateFunction', params)).code).toBe('RequestSizeLimitExceeded')
    expect((await server.send(v1Request('CreateFunction', params, 'POST'))).code).toBe(
      'RequestSizeLimitExceeded',
    )
  })
})

describe('which requests are claimed', () => {
  const head = (more: Partial<RequestHead>): RequestHead => ({
    method: 'GET',
    rawPath: '/',
    rawQuery: '',
    headers: {},
    ...more,
  })

  test.each<[string, Partial<RequestHead>, string | undefined]>([
    ['a TC3 signature', { rawPath: '/any', headers: { authorization: 'TC3-HMAC-SHA256 x' } }, 'scheme'],
    ['a call without signature', { headers: { authorization: 'SKIP' } }, 'scheme'],
    ['the action header', { rawPath: '/any', headers: { 'x-tc-action': 'Invoke' } }, 'action'],
    ['an action in the query', { rawQuery: 'a=b&Action=Invoke' }, 'action'],
    ['an action in the legacy query', { rawPath: '/v2/index.php', rawQuery: 'Action=Invoke' }, 'action'],
    ['the legacy path', { rawPath: '/v2/index.php/' }, 'path'],
    ['a POST of the root', { method: 'POST' }, 'path'],
    ['a GET of the root', {}, undefined],
    ['an action elsewhere', { rawPath: '/healthz', rawQuery: 'Action=Invoke' }, undefined],
    ['a parameter with a similar name', { rawQuery: 'xAction=Invoke' }, undefined],
    ['another scheme', { rawPath: '/x', headers: { authorization: 'FC a:b' } }, undefined],
  ])('%s', (_, given, claim) => {
    expect(server.dialect.claims(head(given))).toBe(claim)
  })
})

describe('failures', () => {
  const ENGINE_ERRORS: {
    [C in EngineErrorCode]: [details: EngineErrorDetails[C], code: string, legacy: number]
  } = {
    'caller/namespace-not-found': [{ namespace: 'n' }, 'ResourceNotFound.Namespace', 5000],
    'caller/function-not-found': [{ namespace: 'n', name: 'f' }, 'ResourceNotFound.FunctionName', 5000],
    'caller/version-not-found': [{ namespace: 'n', version: '9' }, 'ResourceNotFound.Version', 5000],
    'caller/alias-not-found': [{ namespace: 'n', alias: 'a' }, 'ResourceNotFound.Alias', 5000],
    'caller/runtime-missing': [{ runtime: 'x', hint: 'y' }, 'InvalidParameterValue.Runtime', 4000],
    'caller/memory-unavailable': [{ neededMib: 2, availableMib: 1 }, 'LimitExceeded.Memory', 4400],
    'caller/concurrency-exceeded': [{ scope: 'function', limit: 1 }, 'RequestLimitExceeded', 4400],
    'caller/payload-budget-exceeded': [{ limitBytes: 1 }, 'RequestLimitExceeded', 4400],
    'caller/payload-too-large': [{ limitBytes: 1 }, 'RequestSizeLimitExceeded', 4000],
    'caller/queue-full': [{ scope: 'server', limit: 1 }, 'RequestLimitExceeded', 4400],
    'caller/task-exists': [{ taskId: 't' }, 'FailedOperation.InvokeFunction', 5100],
    'caller/gone': [{}, 'FailedOperation.InvokeFunction', 5100],
    'platform/no-capacity': [{ waitedMs: 1 }, 'ResourceInsufficient', 5100],
    'platform/start-failed': [{ reason: 'secret path' }, 'InternalError', 6000],
    'platform/draining': [{}, 'ServiceUnavailable', 6200],
    'platform/store-full': [{}, 'ServiceUnavailable', 6200],
    'platform/store-failed': [{ reason: 'secret path' }, 'InternalError', 6000],
  }

  test.each(Object.entries(ENGINE_ERRORS))(
    '%s of the engine',
    async (engineCode, [details, code, legacy]) => {
      server.refusal = new EngineError(engineCode as EngineErrorCode, details)
      expect(scfErrorOf(server.refusal)).toBeInstanceOf(ScfError)
      const reply = await server.call('Invoke', { FunctionName: 'hello', Namespace: 'ns' })
      expect(reply.code).toBe(code)
      expect(reply.message).not.toContain('secret path')
      const old = await server.callLegacy('InvokeFunction', { functionName: 'hello' })
      expect(old.code).toBe(legacy)
      expect(server.observed).toEqual([])
    },
  )

  test('of this program are internal errors that the operator hears of', async () => {
    const failure = new RangeError('of our own')
    server.refusal = failure as EngineError
    const { code, message } = await server.call('Invoke', { FunctionName: 'hello' })
    expect({ code, message }).toEqual({
      code: 'InternalError',
      message: 'an internal error has occurred; please retry',
    })
    expect(server.observed.splice(0)).toEqual([failure])
  })

  test('of an edit that lost against another are conflicts', async () => {
    server.refusal = new RevisionConflict('k') as unknown as EngineError
    expect((await server.call('Invoke', { FunctionName: 'hello' })).code).toBe(
      'FailedOperation.OperationConflict',
    )
    expect(server.observed).toEqual([])
  })

  test('of a function are told in its answer and not as such', async () => {
    server.ending = { kind: 'timedOut', afterMs: 3000 }
    const { code, response } = await server.call('Invoke', { FunctionName: 'hello' })
    server.ending = { kind: 'returned', payload: payloadOf('"done"') }
    expect(code).toBeUndefined()
    expect(isJsonObject(response['Result']) && response['Result']['InvokeResult']).toBe(-1)
  })

  test('every code has a number and a word in the legacy API', () => {
    for (const code of SCF_CODES) {
      const legacy = legacyCodeOf(code)
      expect(legacy.code).toBeGreaterThanOrEqual(4000)
      expect(legacy.codeDesc).toMatch(/^[A-Z][A-Za-z]+$/)
    }
  })

  test.each([
    [417, 'InvalidRequest', 4000],
    [431, 'RequestSizeLimitExceeded', 4000],
    [500, 'InternalError', 6000],
  ])('of the listener with status %i have both envelopes', (status, code, legacy) => {
    const { refuse } = server.dialect
    const reply = refuse?.({ status, code: 'X', message: 'no' }, { 'x-tc-traceid': 't' })
    expect(reply).toMatchObject({
      status: 200,
      headers: { 'Content-Type': 'application/json', 'X-TC-TraceId': 't' },
    })
    const body = reply?.body
    if (body === undefined || !('chunks' in body)) throw new Error('no body')
    expect(JSON.parse(toBuffer(body).toString())).toMatchObject({
      code: legacy,
      message: `(${code})no`,
      Response: { Error: { Code: code, Message: 'no' }, RequestId: expect.stringMatching(UUID) },
    })
  })
})

/** A header that is in order but for its signature: the body's length counts first. */
function unsignedTc3(): string {
  const date = new Date(CLOCK_MS).toISOString().slice(0, 10)
  return `TC3-HMAC-SHA256 Credential=${SECRET_ID}/${date}/scf/tc3_request, SignedHeaders=content-type;host, Signature=${'0'.repeat(64)}`
}

/** Bytes that do not shrink. */
function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let state = 1
  for (let at = 0; at < length; at += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    bytes[at] = state >>> 24
  }
  return bytes
}
