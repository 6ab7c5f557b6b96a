import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { KeyRing } from '../../../src/auth/keyring.ts'
import { ScfError } from '../../../src/dialects/tencent-scf/errors.ts'
import { legacyCodeOf } from '../../../src/dialects/tencent-scf/legacy-codes.ts'
import { readForm } from '../../../src/dialects/tencent-scf/form.ts'
import { Replays } from '../../../src/dialects/tencent-scf/replays.ts'
import { readLegacyRequest, readRequest } from '../../../src/dialects/tencent-scf/request.ts'
import { verifyParameters } from '../../../src/dialects/tencent-scf/signatures/parameters.ts'
import { readTc3, requireTc3 } from '../../../src/dialects/tencent-scf/signatures/tc3.ts'
import { Turns } from '../../../src/intake/slices.ts'
import { exchangeOf, HOST, type RawRequest } from './harness.ts'
import { ACCOUNT, CLOCK_MS, SECRET_ID, SECRET_KEY, signParameters, signTc3, VERSION } from './signing.ts'

interface Vector {
  readonly id: string
  readonly request: {
    readonly method: string
    readonly path: string
    readonly headers: Record<string, string>
    readonly body?: string
  }
  /** Epoch seconds. */
  readonly now?: number
}
interface Vectors {
  readonly now: number
  readonly credentials: readonly { secretId: string; secretKey: string; token?: string }[]
  readonly vectors: readonly Vector[]
  readonly negative: readonly (Vector & { expectedError: string; signatureVerifies: boolean })[]
}

const vectors: Vectors = JSON.parse(
  readFileSync(new URL('../../fixtures/vectors/tencent-scf.json', import.meta.url), 'utf8'),
)

/** The keys of the vectors; with their token where the request of a vector carries one. */
function ringFor({ request }: Vector): KeyRing {
  const hasToken =
    request.headers['x-tc-token'] !== undefined ||
    /(?:^|[?&])Token=/.test(`${request.path}&${request.body ?? ''}`)
  const credentials = vectors.credentials.map(({ secretId, secretKey, token }) => ({
    accessKeyId: secretId,
    accessKeySecret: secretKey,
    accountId: ACCOUNT,
    ...(hasToken && token !== undefined ? { securityToken: token } : {}),
  }))
  return new KeyRing(credentials, Buffer.alloc(32, 1))
}

function rawOf({ request: { method, path, headers, body = '' } }: Vector): RawRequest {
  const [rawPath = '', query = ''] = path.split('?')
  return { method, path: rawPath, query, headers, body }
}

/** The account that signed, by the verifier of the request's scheme. */
async function signerOf(vector: Vector): Promise<string> {
  const nowMs = (vector.now ?? vectors.now) * 1000
  const raw = rawOf(vector)
  const head = exchangeOf(raw, nowMs)
  const { body = '' } = vector.request
  if (head.headers.authorization !== undefined) {
    const claim = readTc3(head, ringFor(vector), nowMs)
    requireTc3(claim, head, createHash('sha256').update(body).digest('hex'))
    return claim.key.accountId
  }
  const parameters = readForm(head.method === 'GET' ? head.rawQuery : body)
  const options = { leavesOutFiles: head.rawPath !== '/' }
  const { key } = await verifyParameters(head, [head.rawPath], parameters, ringFor(vector), nowMs, options)
  return key.accountId
}

/** The code a request is refused with: of API 3.0, or the number of the legacy API. */
async function refusalOf(raw: RawRequest, keyring: KeyRing, nowMs: number): Promise<string | undefined> {
  const rooms = { keyring, largeBodies: new Turns(), replays: new Replays(), now: () => nowMs }
  const exchange = exchangeOf(raw, nowMs)
  const isLegacy = raw.path?.startsWith('/v2/') === true
  try {
    await (isLegacy ? readLegacyRequest(exchange, rooms) : readRequest(exchange, rooms))
    return undefined
  } catch (error) {
    if (!(error instanceof ScfError)) throw error
    return isLegacy ? String(legacyCodeOf(error.code).code) : error.code
  }
}

const ring = new KeyRing(
  [{ accessKeyId: SECRET_ID, accessKeySecret: SECRET_KEY, accountId: ACCOUNT }],
  Buffer.alloc(32, 1),
)

describe('captured and published requests', () => {
  test.each(vectors.vectors)('$id is accepted', async (vector) => {
    expect(await signerOf(vector)).toBe(ACCOUNT)
  })

  test.each(vectors.vectors)('$id is refused with one character of the signature changed', async (vector) => {
    const spoil = (text: string): string =>
      text.replace(/(Signature=)(.)/, (_, name: string, first: string) => name + (first === 'a' ? 'b' : 'a'))
    const { request } = vector
    const { authorization } = request.headers
    const spoilt = {
      ...vector,
      request: {
        ...request,
        path: spoil(request.path),
        headers: {
          ...request.headers,
          ...(authorization === undefined ? {} : { authorization: spoil(authorization) }),
        },
        ...(request.body === undefined ? {} : { body: spoil(request.body) }),
      },
    }
    await expect(signerOf(spoilt)).rejects.toMatchObject({ code: 'AuthFailure.SignatureFailure' })
  })

  test.each(vectors.negative)('$id is refused with $expectedError', async (vector) => {
    const nowMs = (vector.now ?? vectors.now) * 1000
    expect(await refusalOf(rawOf(vector), ringFor(vector), nowMs)).toBe(vector.expectedError)
  })
})

function tc3(
  more: Partial<Parameters<typeof signTc3>[0]> = {},
  extra: Record<string, string> = {},
): RawRequest {
  const body = more.body ?? Buffer.from('{"FunctionName":"hello"}')
  const headers: Record<string, string> = {
    host: HOST,
    'content-type': 'application/json',
    'x-tc-action': 'Invoke',
    'x-tc-version': VERSION,
    'x-tc-timestamp': String(CLOCK_MS / 1000),
    ...more.headers,
  }
  const method = more.method ?? 'POST'
  headers['authorization'] = signTc3({ method, ...more, headers, body })
  return { method, query: more.query ?? '', headers: { ...headers, ...extra }, body }
}

function v1(
  parameters: Record<string, string>,
  options: { path?: string; method?: 'GET' | 'POST'; omit?: string; host?: string } = {},
): RawRequest {
  const { path = '/', method = 'POST', omit, host = HOST } = options
  const all = signParameters(
    method,
    path,
    {
      Action: path === '/' ? 'Invoke' : 'InvokeFunction',
      Nonce: '1',
      SecretId: SECRET_ID,
      Timestamp: String(CLOCK_MS / 1000),
      ...(path === '/' ? { Version: VERSION } : {}),
      ...parameters,
    },
    host,
  )
  if (omit !== undefined) delete all[omit]
  const form = new URLSearchParams(all).toString()
  const headers = { host, 'content-type': 'application/x-www-form-urlencoded' }
  return method === 'GET' ? { method, path, query: form, headers } : { method, path, headers, body: form }
}

describe('TC3', () => {
  test('the host may be signed with its port, without it, or as a public name of the service', async () => {
    for (const host of [
      HOST,
      '127.0.0.1',
      'scf.tencentcloudapi.com',
      'scf.ap-beijing.tencentcloudapi.com',
      'scf.internal.tencentcloudapi.com',
    ]) {
      const request = tc3({ headers: { host, 'x-tc-region': 'ap-beijing' } })
      const sent = { ...request, headers: { ...request.headers, host: HOST } }
      expect({ host, refusal: await refusalOf(sent, ring, CLOCK_MS) }).toEqual({ host, refusal: undefined })
    }
    const elsewhere = tc3({ headers: { host: 'evil.example' } })
    const sent = { ...elsewhere, headers: { ...elsewhere.headers, host: HOST } }
    expect(await refusalOf(sent, ring, CLOCK_MS)).toBe('AuthFailure.SignatureFailure')
  })

  test('the service of the scope may be any text, and is part of the key', async () => {
    expect(await refusalOf(tc3({ service: 'localhost:9000' }), ring, CLOCK_MS)).toBeUndefined()
    const request = tc3({ service: 'scf' })
    const authorization = String(request.headers?.['authorization']).replace('/scf/', '/cvm/')
    const changed = { ...request, headers: { ...request.headers, authorization } }
    expect(await refusalOf(changed, ring, CLOCK_MS)).toBe('AuthFailure.SignatureFailure')
  })

  test('the clock may be 300 seconds off in either direction, and no more', async () => {
    for (const side of [1, -1]) {
      expect(await refusalOf(tc3(), ring, CLOCK_MS + side * 300_000)).toBeUndefined()
      expect(await refusalOf(tc3(), ring, CLOCK_MS + side * 300_001)).toBe('AuthFailure.SignatureExpire')
    }
  })

  test.each([
    ['SKIP', 'AuthFailure.InvalidAuthorization'],
    ['', 'AuthFailure.InvalidAuthorization'],
    ['Bearer x', 'AuthFailure.InvalidAuthorization'],
    [`TC3-HMAC-SHA256 ${'x'.repeat(5000)}`, 'AuthFailure.InvalidAuthorization'],
  ])('the Authorization %j is refused', async (authorization, code) => {
    expect(await refusalOf(tc3({}, { authorization }), ring, CLOCK_MS)).toBe(code)
  })

  test('the date of the scope is the day of the timestamp, whatever was signed', async () => {
    expect(await refusalOf(tc3({ date: '2026-11-21' }), ring, CLOCK_MS)).toBeUndefined()
    expect(await refusalOf(tc3({ date: '2026-11-20' }), ring, CLOCK_MS)).toBe('AuthFailure.SignatureFailure')
  })

  test('host must be signed, and the content type where there is one', async () => {
    for (const signedHeaders of [['content-type'], ['host'], ['host', 'content-type']])
      expect(await refusalOf(tc3({ signedHeaders }), ring, CLOCK_MS)).toBe('AuthFailure.InvalidAuthorization')
  })

  test('a query of a POST is not signed, and nobody reads it', async () => {
    const request = { ...tc3(), query: 'Action=DeleteFunction' }
    expect(await refusalOf(request, ring, CLOCK_MS)).toBeUndefined()
  })

  test('a timestamp that is missing or no number is told so', async () => {
    const { 'x-tc-timestamp': _, ...without } = tc3().headers ?? {}
    expect(await refusalOf({ ...tc3(), headers: without }, ring, CLOCK_MS)).toBe('MissingParameter')
    expect(await refusalOf(tc3({}, { 'x-tc-timestamp': '1e9' }), ring, CLOCK_MS)).toBe(
      'InvalidParameterValue',
    )
  })

  test('the action and the version are looked at after the signature', async () => {
    const unknown = { 'x-tc-action': 'DescribeInstances' }
    expect(await refusalOf(tc3({}, unknown), ring, CLOCK_MS)).toBe('InvalidAction')
    expect(await refusalOf(tc3({}, { 'x-tc-version': '2017-03-12' }), ring, CLOCK_MS)).toBe('NoSuchVersion')
    const spoilt = { ...tc3({}, unknown), body: '{}' }
    expect(await refusalOf(spoilt, ring, CLOCK_MS)).toBe('AuthFailure.SignatureFailure')
    const { 'x-tc-version': _v, ...noVersion } = tc3().headers ?? {}
    expect(await refusalOf({ ...tc3(), headers: noVersion }, ring, CLOCK_MS)).toBe('MissingParameter')
    const { 'x-tc-action': _a, ...noAction } = tc3().headers ?? {}
    expect(await refusalOf({ ...tc3(), headers: noAction }, ring, CLOCK_MS)).toBe('MissingParameter')
    expect(await refusalOf(tc3({}, { 'x-tc-action': 'constructor' }), ring, CLOCK_MS)).toBe('InvalidAction')
  })

  test('an action that was signed is not replaced by a header that was not', async () => {
    const body = Buffer.from('{"Action":"GetFunction","FunctionName":"hello"}')
    const query = 'Action=GetFunction&FunctionName=hello'
    for (const more of [{ body }, { method: 'GET', query, body: Buffer.alloc(0) }] as const) {
      const request = tc3(more)
      const named = (action: string): RawRequest => ({
        ...request,
        headers: { ...request.headers, 'x-tc-action': action },
      })
      expect(await refusalOf(named('DeleteFunction'), ring, CLOCK_MS)).toBe('InvalidParameter')
      expect(await refusalOf(named('getFunction'), ring, CLOCK_MS)).toBeUndefined()
    }
  })

  test('a lower-case first letter of an action is forgiven', async () => {
    expect(await refusalOf(tc3({}, { 'x-tc-action': 'invoke' }), ring, CLOCK_MS)).toBeUndefined()
  })
})

describe('signed parameters', () => {
  const legacy = { path: '/v2/index.php' }

  test.each(['SecretId', 'Signature', 'Timestamp', 'Nonce'])('%s must be there', async (omit) => {
    expect(await refusalOf(v1({}, { omit }), ring, CLOCK_MS)).toBe('MissingParameter')
    expect(await refusalOf(v1({}, { ...legacy, omit }), ring, CLOCK_MS)).toBe('4000')
  })

  test('a request without any signature is told so', async () => {
    const headers = { host: HOST }
    for (const request of [
      { headers, body: '' },
      { headers, body: 'Action=Invoke' },
      { headers, body: '{"Action":"Invoke"}' },
      { headers: { ...headers, 'x-tc-action': 'Invoke' }, body: '{}' },
      { method: 'GET', headers, query: 'Action=ListFunctions' },
    ])
      expect(await refusalOf(request, ring, CLOCK_MS)).toBe('AuthFailure.InvalidAuthorization')
  })

  test('another method than GET and POST is refused', async () => {
    expect(await refusalOf({ ...v1({}), method: 'PUT' }, ring, CLOCK_MS)).toBe('UnsupportedProtocol')
    expect(await refusalOf({ ...v1({}, legacy), method: 'PUT' }, ring, CLOCK_MS)).toBe('4600')
  })

  test('the failures of the legacy API have numbers', async () => {
    expect(await refusalOf(v1({ SecretId: 'nobody' }, legacy), ring, CLOCK_MS)).toBe('4104')
    expect(await refusalOf(v1({ Token: 'x' }, legacy), ring, CLOCK_MS)).toBe('4105')
    expect(await refusalOf(v1({ Action: 'Invoke' }, legacy), ring, CLOCK_MS)).toBe('6100')
    expect(await refusalOf(v1({ Action: '' }, legacy), ring, CLOCK_MS)).toBe('4000')
    expect(await refusalOf(v1({ SignatureMethod: 'TC3-HMAC-SHA256' }, legacy), ring, CLOCK_MS)).toBe('4000')
    expect(await refusalOf(v1({}, legacy), ring, CLOCK_MS + 300_001)).toBe('4500')
  })

  test('a final slash of the legacy path may be signed or not', async () => {
    const request = v1({}, legacy)
    expect(await refusalOf({ ...request, path: '/v2/index.php/' }, ring, CLOCK_MS)).toBeUndefined()
    expect(await refusalOf(v1({}, { path: '/v2/index.php/' }), ring, CLOCK_MS)).toBeUndefined()
  })

  test('the same legacy request is taken once, the same API 3.0 request again', async () => {
    const rooms = { keyring: ring, largeBodies: new Turns(), replays: new Replays(), now: () => CLOCK_MS }
    const request = exchangeOf(v1({}, legacy), CLOCK_MS)
    await readLegacyRequest(request, rooms)
    await expect(readLegacyRequest(request, rooms)).rejects.toMatchObject({
      code: 'AuthFailure.SignatureExpire',
    })
    const other = exchangeOf(v1({ functionName: 'other' }, legacy), CLOCK_MS)
    expect(await readLegacyRequest(other, rooms)).toMatchObject({ accountId: ACCOUNT })
    const young = exchangeOf(v1({}), CLOCK_MS)
    await readRequest(young, rooms)
    expect(await readRequest(young, rooms)).toMatchObject({ accountId: ACCOUNT })
  })

  test('a value that begins with @ may come without a signature in the legacy API alone', async () => {
    const appended = (request: RawRequest): RawRequest => ({
      ...request,
      body: `${String(request.body)}&Role=%40someone`,
    })
    expect(await refusalOf(appended(v1({}, legacy)), ring, CLOCK_MS)).toBeUndefined()
    expect(await refusalOf(appended(v1({})), ring, CLOCK_MS)).toBe('AuthFailure.SignatureFailure')
    expect(await refusalOf(v1({ Role: '@someone' }), ring, CLOCK_MS)).toBeUndefined()
  })

  test('what was signed for the legacy path is not taken elsewhere, whatever host is named', async () => {
    const request = v1({ Action: 'Invoke', Version: VERSION }, { path: '/v2/index.php/' })
    const headers = { ...request.headers, host: `${HOST}/v2/index.php` }
    expect(await refusalOf({ ...request, path: '/', headers }, ring, CLOCK_MS)).toBe(
      'AuthFailure.SignatureFailure',
    )
  })

  test('a wrong signature of long parameters does not hold up others while all spellings are tried', async () => {
    const long = v1({ long_name: 'x'.repeat(100_000) }, legacy)
    let turns = 0
    let next = setImmediate(function count() {
      turns += 1
      next = setImmediate(count)
    })
    const spoilt = { ...long, body: String(long.body).replace('long_name=x', 'long_name=y') }
    expect(await refusalOf(spoilt, ring, CLOCK_MS)).toBe('4100')
    clearImmediate(next)
    expect(turns).toBeGreaterThan(20)
  })

  test('a parameter given twice is refused', async () => {
    const request = v1({ FunctionName: 'a' })
    const twice = { ...request, body: `${String(request.body)}&FunctionName=b` }
    expect(await refusalOf(twice, ring, CLOCK_MS)).toBe('InvalidParameter')
  })
})

describe('temporary credentials', () => {
  const temporary = ring.issueTemporary({ accountId: ACCOUNT, sessionName: 'i', ttlMs: 60_000 }, CLOCK_MS)

  const signed = (token: string): RawRequest => {
    const { accessKeyId: secretId, accessKeySecret: secretKey } = temporary
    return tc3({ headers: { 'x-tc-token': token }, secretId, secretKey })
  }

  test('are taken with their token, and with no other', async () => {
    expect(await refusalOf(signed(temporary.securityToken), ring, CLOCK_MS)).toBeUndefined()
    expect(await refusalOf(signed('wrong'), ring, CLOCK_MS)).toBe('AuthFailure.TokenFailure')
    expect(await refusalOf(signed(''), ring, CLOCK_MS)).toBe('AuthFailure.TokenFailure')
  })

  test('end', async () => {
    const laterMs = CLOCK_MS + 60_001
    expect(await refusalOf(signed(temporary.securityToken), ring, laterMs)).toBe('AuthFailure.TokenFailure')
  })
})

describe('remembered signatures', () => {
  test('are at least the newest of a number', () => {
    const replays = new Replays(2)
    for (const signature of ['a', 'b', 'c', 'd', 'e']) replays.requireFirst(signature, CLOCK_MS)
    for (const signature of ['e', 'd', 'c'])
      expect(() => replays.requireFirst(signature, CLOCK_MS)).toThrow(ScfError)
    replays.requireFirst('a', CLOCK_MS)
  })

  test('are kept for as long as a request could be sent again, and not for ever', () => {
    const replays = new Replays()
    replays.requireFirst('a', CLOCK_MS)
    const lastMs = CLOCK_MS + 600_000
    expect(() => replays.requireFirst('a', lastMs)).toThrow(ScfError)
    replays.requireFirst('b', lastMs)
    expect(() => replays.requireFirst('a', lastMs + 1)).toThrow(ScfError)
    replays.requireFirst('c', lastMs + 600_000)
    replays.requireFirst('a', lastMs + 600_000)
  })
})
