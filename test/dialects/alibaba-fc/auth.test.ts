import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { KeyRing } from '../../../src/auth/keyring.ts'
import { sha256Hex } from '../../../src/auth/digest.ts'
import { authenticate, type SignedRequest } from '../../../src/dialects/alibaba-fc/auth.ts'
import { ACCOUNT, acsRequest, CLOCK_MS, DATE, fcRequest, keyringOf, signFc } from './auth-signing.ts'

interface PlainVector {
  name: string
  accessKeyId: string
  accessKeySecret: string
  method: string
  headers: Record<string, string>
  authorization: string
}
interface Vectors {
  clock: string
  credentials: { stsSecurityToken: string }
  fc1: (PlainVector & {
    resource: string
    queries: Record<string, string | string[]> | null
    stringToSign: string
  })[]
  acs3: (PlainVector & {
    pathname: string
    query: Record<string, string>
    body: string
    payloadHash: string
    stringToSign: string
    canonicalRequest: string
  })[]
  roa_v2: (PlainVector & { pathname: string; query: Record<string, string>; stringToSign: string })[]
  acs4: (PlainVector & { pathname: string; query: Record<string, string>; authorizationByteExact: string })[]
  wire: {
    sdk: string
    name: string
    scheme: string
    accessKeyId: string
    accessKeySecret: string
    method: string
    url: string
    headers: [string, string][]
    bodyBase64: string
  }[]
}

const vectors: Vectors = JSON.parse(
  readFileSync(new URL('../../fixtures/vectors/alibaba-fc.json', import.meta.url), 'utf8'),
)
const clockMs = Date.parse(vectors.clock)

/** The ring of a vector: its key, and with it the token when the id is a temporary one. */
function ringFor({
  accessKeyId,
  accessKeySecret,
}: {
  accessKeyId: string
  accessKeySecret: string
}): KeyRing {
  const securityToken = accessKeyId.startsWith('STS.') ? vectors.credentials.stsSecurityToken : undefined
  return keyringOf({ accessKeyId, accessKeySecret, ...(securityToken ? { securityToken } : {}) })
}

function lowerCased(headers: Iterable<[string, string]>): Record<string, string> {
  return Object.fromEntries([...headers].map(([name, value]) => [name.toLowerCase(), value]))
}

function encodeQuery(query: Record<string, string | string[]>): string {
  const pairs: string[] = []
  for (const [key, value] of Object.entries(query)) {
    if (Array.isArray(value) && value.length === 0) pairs.push(encodeURIComponent(key))
    for (const item of [value].flat()) pairs.push(`${encodeURIComponent(key)}=${encodeURIComponent(item)}`)
  }
  return pairs.join('&')
}

function requestOf(
  vector: PlainVector,
  rawPath: string,
  rawQuery: string,
  authorization = vector.authorization,
): SignedRequest {
  const headers = { ...lowerCased(Object.entries(vector.headers)), authorization }
  return { method: vector.method, rawPath, rawQuery, headers }
}

function acceptedAs(vector: { accessKeyId: string }): object {
  return { kind: 'accepted', principal: { accountId: ACCOUNT, accessKeyId: vector.accessKeyId } }
}

describe('every published or captured signature is accepted', () => {
  const dated = vectors.fc1.filter((vector) => vector.queries === null || !('x-fc-expires' in vector.queries))
  test.each(dated)('FC: $name', (vector) => {
    const query = vector.queries === null ? 'limit=5&prefix=a' : encodeQuery(vector.queries)
    const request = requestOf(vector, encodeURI(vector.resource), query)
    expect(authenticate(request, ringFor(vector), clockMs)).toEqual(acceptedAs(vector))
    const forged = {
      ...request,
      headers: { ...request.headers, authorization: `FC ${vector.accessKeyId}:AAAA` },
    }
    expect(authenticate(forged, ringFor(vector), clockMs)).toMatchObject({
      code: 'SignatureNotMatch',
      stringToSign: expect.stringContaining(`${vector.method}\n`),
    })
  })

  const presigned = vectors.fc1.filter(
    (vector) => vector.queries !== null && 'x-fc-expires' in vector.queries,
  )
  test.each(presigned)('FC presigned: $name', (vector) => {
    const queries = vector.queries ?? {}
    const signature = vector.authorization.slice(vector.authorization.indexOf(':') + 1)
    const securityToken = queries['x-fc-security-token']
    const ring = keyringOf({
      accessKeyId: vector.accessKeyId,
      accessKeySecret: vector.accessKeySecret,
      ...(typeof securityToken === 'string' ? { securityToken } : {}),
    })
    const expiresAtMs = Number(queries['x-fc-expires']) * 1000
    const { date: _, ...headers } = lowerCased(Object.entries(vector.headers))
    const rawQuery = encodeQuery({ ...queries, 'x-fc-signature': signature })
    const request = { method: vector.method, rawPath: encodeURI(vector.resource), rawQuery, headers }
    expect(authenticate(request, ring, expiresAtMs - 1000)).toEqual(acceptedAs(vector))
    expect(authenticate(request, ring, expiresAtMs)).toMatchObject({ status: 403, code: 'AccessDenied' })
    const later = expiresAtMs / 1000 + 60
    const tampered = {
      ...request,
      rawQuery: rawQuery.replace(`x-fc-expires=${expiresAtMs / 1000}`, `x-fc-expires=${later}`),
    }
    expect(authenticate(tampered, ring, expiresAtMs)).toMatchObject({ code: 'SignatureNotMatch' })
  })

  test.each(vectors.acs3)('ACS3: $name', (vector) => {
    const request = requestOf(vector, vector.pathname, encodeQuery(vector.query))
    const verdict = authenticate(request, ringFor(vector), clockMs)
    expect(verdict).toEqual({ ...acceptedAs(vector), bodySha256: vector.payloadHash })
    expect(sha256Hex([Buffer.from(vector.body)])).toBe(vector.payloadHash)
    const wrong = requestOf(
      vector,
      vector.pathname,
      encodeQuery(vector.query),
      vector.authorization.slice(0, -1),
    )
    expect(authenticate(wrong, ringFor(vector), clockMs)).toMatchObject({
      code: 'SignatureNotMatch',
      stringToSign: `${vector.stringToSign}\n\n${vector.canonicalRequest}`,
    })
  })

  test.each(vectors.roa_v2)('ROA v2: $name', (vector) => {
    const request = requestOf(vector, vector.pathname, encodeQuery(vector.query))
    expect(authenticate(request, ringFor(vector), clockMs)).toEqual(acceptedAs(vector))
    const wrong = requestOf(vector, vector.pathname, encodeQuery(vector.query), 'acs testAccessKeyId:AAAA')
    expect(authenticate(wrong, ringFor(vector), clockMs)).toMatchObject({ stringToSign: vector.stringToSign })
  })

  test.each(vectors.acs4)('ACS4: $name, with the byte-exact key chain and with the lossy one', (vector) => {
    for (const authorization of [vector.authorization, vector.authorizationByteExact]) {
      const request = requestOf(vector, vector.pathname, encodeQuery(vector.query), authorization)
      expect(authenticate(request, ringFor(vector), clockMs)).toMatchObject(acceptedAs(vector))
    }
  })

  test.each(vectors.wire)('as captured: $sdk $name ($scheme)', (capture) => {
    const [rawPath = '', rawQuery = ''] = capture.url.split('?')
    const request = { method: capture.method, rawPath, rawQuery, headers: lowerCased(capture.headers) }
    const verdict = authenticate(request, ringFor(capture), clockMs)
    expect(verdict).toMatchObject(acceptedAs(capture))
    const coversBody = capture.scheme === 'ACS3'
    expect('bodySha256' in verdict).toBe(coversBody)
    const body = Buffer.from(capture.bodyBase64, 'base64')
    const sha256 = 'bodySha256' in verdict ? verdict.bodySha256 : ''
    expect(sha256Hex([body.subarray(0, 1), body.subarray(1)]) === sha256).toBe(coversBody)
  })
})

describe('spellings that clients differ in', () => {
  const ring = keyringOf()

  test('FC: the path of an API call is signed as sent or decoded', () => {
    for (const signed of ['/2016-08-15/layerarn/a%3Ab%2Fc', '/2016-08-15/layerarn/a:b/c']) {
      const authorization = signFc(`GET\n\n\n${DATE}\n${signed}`)
      const request = fcRequest({ rawPath: '/2016-08-15/layerarn/a%3Ab%2Fc', headers: { authorization } })
      expect(authenticate(request, ring, CLOCK_MS)).toMatchObject({ kind: 'accepted' })
    }
  })

  test('FC: a path without the API version is signed as an API call or as a path of its own', () => {
    const rawPath = '/services/demo.prod/functions/hello'
    for (const query of ['', '\n']) {
      const request = {
        method: 'POST',
        rawPath,
        rawQuery: '',
        headers: { date: DATE, authorization: signFc(`POST\n\n\n${DATE}\n${rawPath}${query}`) },
      }
      expect(authenticate(request, keyringOf(), CLOCK_MS).kind).toBe('accepted')
    }
  })

  test('FC: a query key sent without = is signed with or without it', () => {
    for (const [line, kind] of [
      ['flag', 'accepted'],
      ['flag=', 'accepted'],
      ['flag=1', 'refused'],
    ] as const) {
      const authorization = signFc(`GET\n\n\n${DATE}\n/2016-08-15/proxy/s/f/\na=\n${line}`)
      const request = fcRequest({ rawPath: '/2016-08-15/proxy/s/f/', headers: { authorization } })
      expect(authenticate({ ...request, rawQuery: 'flag&a=' }, ring, CLOCK_MS)).toMatchObject({ kind })
    }
  })

  test.each(['ACS3', 'ACS4'] as const)('%s: the path is signed in one spelling', (version) => {
    const request = acsRequest(version, {
      rawPath: '/2023-03-30/functions/a+b*%7Ec',
      path: '/2023-03-30/functions/a%20b%2A~c',
      rawQuery: '',
      query: '',
    })
    expect(authenticate(request, ring, CLOCK_MS)).toMatchObject({ kind: 'accepted' })
  })

  test('ACS3 signs keys as they are and an empty value with =, ACS4 encodes keys and leaves the = out', () => {
    const sent = { rawPath: '/2023-03-30/functions', path: '/2023-03-30/functions', rawQuery: 'k%24=1&e=' }
    const acs3 = acsRequest('ACS3', { ...sent, query: 'e=&k$=1' })
    const acs4 = acsRequest('ACS4', { ...sent, query: 'e&k%24=1' })
    expect(authenticate(acs3, ring, CLOCK_MS)).toMatchObject({ kind: 'accepted' })
    expect(authenticate(acs4, ring, CLOCK_MS)).toMatchObject({ kind: 'accepted' })
  })
})

describe('what is not signed as it must be is refused', () => {
  const ring = keyringOf()

  test('a request without Authorization is told which header is missing', () => {
    const request = { method: 'GET', rawPath: '/2016-08-15/services', rawQuery: '', headers: { date: DATE } }
    expect(authenticate(request, ring, CLOCK_MS)).toEqual({
      kind: 'refused',
      status: 400,
      code: 'MissingRequiredHeader',
      message: 'required HTTP header Authorization was not specified',
    })
  })

  test('a request without a date is told which header is missing', () => {
    const request = fcRequest({ headers: { date: undefined } })
    expect(authenticate(request, ring, CLOCK_MS)).toMatchObject({
      status: 400,
      code: 'MissingRequiredHeader',
      message: 'required HTTP header Date was not specified',
    })
  })

  test('X-Fc-Date takes the place of Date, in the signature and for the clock', () => {
    const stale = 'Mon, 06 May 2024 00:00:00 GMT'
    const signedWith = (date: string, fcDate: string): SignedRequest => {
      const request = fcRequest({ headers: { date, 'x-fc-date': fcDate } })
      const stringToSign = `GET\n\n\n${fcDate}\nx-fc-date:${fcDate}\n/2016-08-15/services`
      return { ...request, headers: { ...request.headers, authorization: signFc(stringToSign) } }
    }
    expect(authenticate(signedWith(stale, DATE), ring, CLOCK_MS)).toMatchObject({ kind: 'accepted' })
    expect(authenticate(signedWith(DATE, stale), ring, CLOCK_MS)).toMatchObject({ code: 'AccessDenied' })
  })

  test('a date may be 15 minutes off in either direction, and no more', () => {
    const quarterMs = 15 * 60 * 1000
    for (const skewMs of [quarterMs, -quarterMs]) {
      expect(authenticate(fcRequest(), ring, CLOCK_MS + skewMs)).toMatchObject({ kind: 'accepted' })
      expect(authenticate(fcRequest(), ring, CLOCK_MS + skewMs + Math.sign(skewMs))).toMatchObject({
        status: 403,
        message: expect.stringContaining(`the request time '${DATE}' and the current time '`),
      })
    }
  })

  test('the clock counts in every scheme', () => {
    for (const { name, scheme, ...capture } of vectors.wire) {
      const [rawPath = '', rawQuery = ''] = capture.url.split('?')
      const request = { method: capture.method, rawPath, rawQuery, headers: lowerCased(capture.headers) }
      const verdict = authenticate(request, ringFor(capture), clockMs + 15 * 60 * 1000 + 1)
      expect({ scheme, name, verdict }).toMatchObject({ verdict: { status: 403, code: 'AccessDenied' } })
    }
  })

  test('a field of Authorization that is given twice, or a fourth one, is refused', () => {
    const sent = { rawPath: '/', path: '/', rawQuery: '', query: '' }
    for (const extra of ['Credential=id', 'Other=1', '']) {
      const request = acsRequest('ACS3', sent)
      const authorization = `${String(request.headers['authorization'])},${extra}`
      const changed = { ...request, headers: { ...request.headers, authorization } }
      expect(authenticate(changed, ring, CLOCK_MS)).toMatchObject({ status: 400, code: 'InvalidArgument' })
    }
  })

  test('an unknown key id is named', () => {
    const request = fcRequest({ headers: { authorization: 'FC nobody:AAAA' } })
    expect(authenticate(request, ring, CLOCK_MS)).toMatchObject({
      status: 403,
      code: 'InvalidAccessKeyID',
      message: "invalid access key ID 'nobody'",
    })
  })

  test('a mismatch shows what the server would have signed and never the signature', () => {
    const request = fcRequest()
    const verdict = authenticate({ ...request, method: 'DELETE' }, ring, CLOCK_MS)
    expect(verdict).toEqual({
      kind: 'refused',
      status: 403,
      code: 'SignatureNotMatch',
      message:
        'The request signature we calculated does not match the signature you provided. Check your access key and signing method',
      stringToSign: `DELETE\n\n\n${DATE}\n/2016-08-15/services`,
    })
    const expected = signFc(`DELETE\n\n\n${DATE}\n/2016-08-15/services`).split(':')[1]
    expect(JSON.stringify(verdict)).not.toContain(expected)
  })

  test('a key with a security token needs exactly that token', () => {
    const sts = keyringOf({ securityToken: 'right' })
    const withToken = (token: string): SignedRequest => {
      const stringToSign = `GET\n\n\n${DATE}\nx-fc-security-token:${token}\n/2016-08-15/services`
      return fcRequest({ headers: { 'x-fc-security-token': token, authorization: signFc(stringToSign) } })
    }
    expect(authenticate(withToken('right'), sts, CLOCK_MS)).toMatchObject({ kind: 'accepted' })
    expect(authenticate(withToken('wrong'), sts, CLOCK_MS)).toMatchObject({
      status: 403,
      code: 'AccessDenied',
    })
    expect(authenticate(fcRequest(), sts, CLOCK_MS)).toMatchObject({ status: 403, code: 'AccessDenied' })
    expect(authenticate(withToken(''), ring, CLOCK_MS)).toMatchObject({ kind: 'accepted' })
  })

  test('temporary credentials of the ring sign requests until they expire', () => {
    const issued = ring.issueTemporary({ accountId: 'tenant', sessionName: 'fn', ttlMs: 1000 }, CLOCK_MS)
    const stringToSign = `GET\n\n\n${DATE}\nx-fc-security-token:${issued.securityToken}\n/2016-08-15/services`
    const authorization = signFc(stringToSign, issued.accessKeyId, issued.accessKeySecret)
    const request = fcRequest({ headers: { 'x-fc-security-token': issued.securityToken, authorization } })
    expect(authenticate(request, ring, CLOCK_MS + 999)).toEqual({
      kind: 'accepted',
      principal: { accountId: 'tenant', accessKeyId: issued.accessKeyId },
    })
    expect(authenticate(request, ring, CLOCK_MS + 1000)).toMatchObject({
      status: 403,
      message: 'the security token has expired',
    })
  })

  test('a decoded line feed in a path cannot stand for the end of the path', () => {
    const authorization = signFc(`GET\n\n\n${DATE}\n/2016-08-15/proxy/s/f/a\nb=1\n`)
    const request = fcRequest({ rawPath: '/2016-08-15/proxy/s/f/a%0Ab=1', headers: { authorization } })
    expect(authenticate(request, ring, CLOCK_MS)).toMatchObject({ code: 'SignatureNotMatch' })
  })

  test('a presigned URL opens HTTP invocations, not the API', () => {
    const expires = String(CLOCK_MS / 1000 + 7 * 86_400)
    const query = `x-fc-access-key-id=id&x-fc-expires=${expires}`
    const presign = (rawPath: string, method = 'GET'): SignedRequest => {
      const authorization = signFc(`${method}\n\n\n${expires}\n${rawPath}\n${query.replaceAll('&', '\n')}`)
      const rawQuery = `${query}&x-fc-signature=${encodeURIComponent(authorization.split(':')[1] ?? '')}`
      return { method, rawPath, rawQuery, headers: {} }
    }
    for (const path of ['/services/s.q/functions/f', '/services/s/functions/f/invocations']) {
      expect(authenticate(presign(path, 'POST'), ring, CLOCK_MS)).toMatchObject({ kind: 'accepted' })
    }
    for (const [method, path] of [
      ['GET', '/services'],
      ['POST', '/services'],
      ['DELETE', '/services/s'],
      ['GET', '/services/s/functions/f'],
      ['DELETE', '/services/s/functions/f'],
    ] as const) {
      expect(authenticate(presign(path, method), ring, CLOCK_MS)).toMatchObject({
        code: 'MissingRequiredHeader',
      })
    }
    for (const path of ['/2016-08-15/proxy/s/f/', '/on-a-custom-domain']) {
      expect(authenticate(presign(path), ring, CLOCK_MS)).toMatchObject({ kind: 'accepted' })
    }
    expect(authenticate(presign('/2016-08-15/services'), ring, CLOCK_MS)).toMatchObject({
      code: 'MissingRequiredHeader',
    })
    const twice = presign('/2016-08-15/proxy/s/f/')
    const rawQuery = `${twice.rawQuery}&x-fc-expires=${expires}`
    expect(authenticate({ ...twice, rawQuery }, ring, CLOCK_MS)).toMatchObject({ status: 400 })
    expect(authenticate(presign('/on-a-custom-domain'), ring, CLOCK_MS - 1000)).toMatchObject({
      status: 403,
      code: 'AccessDenied',
      message: 'the presigned URL expires more than 7 days ahead',
    })
  })

  test.each([
    '',
    'FC',
    'FC ',
    'FC :sig',
    `FC ${'a'.repeat(129)}:sig`,
    'Bearer token',
    'Basic eDp5',
    'fc id:sig',
    'acs id',
    `FC id:${'A'.repeat(5000)}`,
  ])('a malformed Authorization %j gets a 400', (authorization) => {
    const verdict = authenticate(fcRequest({ headers: { authorization } }), ring, CLOCK_MS)
    expect(verdict).toMatchObject({ status: 400, code: 'InvalidArgument' })
  })
})

describe('the list of signed headers', () => {
  const [vector] = vectors.acs3
  if (vector === undefined) throw new Error('no vector')
  const ring = ringFor(vector)
  const names = 'host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version'
  const withNames = (list: string, headers: Record<string, string> = {}): unknown => {
    const authorization = vector.authorization.replace(names, list)
    const request = requestOf(vector, vector.pathname, '', authorization)
    return authenticate({ ...request, headers: { ...request.headers, ...headers } }, ring, clockMs)
  }

  test('must name host and every x-acs- header of the request', () => {
    expect(withNames(names)).toMatchObject({ kind: 'accepted' })
    expect(withNames(names.replace('host;', ''))).toMatchObject({
      message: expect.stringContaining('host'),
    })
    expect(withNames(names, { 'x-acs-extra': '1' })).toMatchObject({
      status: 400,
      message: 'the HTTP header x-acs-extra must be among SignedHeaders',
    })
  })

  test.each([
    ['a repeated name', `host;${names}`],
    ['names out of order', `x-acs-zone;${names}`],
    ['an upper-case name', `Host;${names}`],
    ['an empty name', `${names};`],
    ['names beyond any use', Array.from({ length: 65 }, (_, index) => `a${index + 100}`).join(';')],
    ['a header the request does not have', `constructor;${names}`],
  ])('is refused with %s', (_, list) => {
    expect(withNames(list)).toMatchObject({ kind: 'refused', status: 400 })
  })

  test('an unsigned body hash or a wrong form of it is refused', () => {
    expect(withNames(names, { 'x-acs-content-sha256': 'UNSIGNED-PAYLOAD' })).toMatchObject({ status: 400 })
  })
})

test('a signed query cannot be replayed as one key that reads like several pairs', () => {
  const vector = vectors.acs3.find(({ name }) => name === '2023-sts')
  if (vector === undefined) throw new Error('no vector')
  const request = requestOf(vector, vector.pathname, 'limit%3D2%26prefix=a%2Bb')
  expect(authenticate(request, ringFor(vector), clockMs)).toMatchObject({ code: 'SignatureNotMatch' })
})

test('ROA v2 refuses a query whose decoded pairs read like others', () => {
  const [vector] = vectors.roa_v2
  if (vector === undefined) throw new Error('no vector')
  for (const query of ['a=1%26b%3D2', 'a%3D1=2', 'a%26b=1', 'a=1%0Ab', '%7F=1']) {
    const request = requestOf(vector, vector.pathname, query)
    expect(authenticate(request, ringFor(vector), clockMs)).toMatchObject({
      status: 400,
      message: expect.stringContaining('cannot tell apart'),
    })
  }
  const equals = requestOf(vector, vector.pathname, 'a=b%3Dc')
  expect(authenticate(equals, ringFor(vector), clockMs)).toMatchObject({ code: 'SignatureNotMatch' })
})

test('an ACS4 credential is bound to its day and product', () => {
  const [vector] = vectors.acs4
  if (vector === undefined) throw new Error('no vector')
  for (const [from, to] of [
    ['/20240506/', '/20240507/'],
    ['/FC-Open/', '/ecs/'],
    ['/aliyun_v4_request,', '/aliyun_v4_request/x,'],
    ['/aliyun_v4_request,', '/aws4_request,'],
  ] as const) {
    const authorization = vector.authorization.replace(from, to)
    const request = requestOf(vector, vector.pathname, encodeQuery(vector.query), authorization)
    expect(authenticate(request, ringFor(vector), clockMs)).toMatchObject({ status: 400 })
  }
})
