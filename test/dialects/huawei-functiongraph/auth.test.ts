import { createSecretKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { sha256Hex } from '../../../src/auth/digest.ts'
import { KeyRing } from '../../../src/auth/keyring.ts'
import {
  authenticate,
  hasOwnScheme,
  type AuthVerdict,
  type SignedRequest,
} from '../../../src/dialects/huawei-functiongraph/auth.ts'
import { Tokens } from '../../../src/dialects/huawei-functiongraph/iam/tokens.ts'
import { KEY_ID, SECRET, sdkDate, signSdk } from './signing.ts'

interface Vector {
  readonly name: string
  readonly credentials: { readonly access_key: string; readonly secret_key: string }
  readonly request: {
    readonly method: string
    readonly target: string
    readonly headers: Readonly<Record<string, string>>
    readonly body: string | null
  }
  readonly expected: { readonly authorization: string; readonly canonical_request: string }
}

const { vectors, must_reject: mustReject } = JSON.parse(
  readFileSync(new URL('../../fixtures/vectors/huawei-functiongraph.json', import.meta.url), 'utf8'),
) as { vectors: Vector[]; must_reject: { name: string }[] }

const ACCOUNT = '1234567890123456'
const tokenKey = createSecretKey(Buffer.alloc(32, 3))
const TEMPORARY = 'local-security-token'

/** The ring that knows a vector's key; the key of one of them is temporary. */
function ringFor({ credentials, request }: Vector): KeyRing {
  return new KeyRing(
    [
      {
        accessKeyId: credentials.access_key,
        accessKeySecret: credentials.secret_key,
        accountId: ACCOUNT,
        ...(request.headers['X-Security-Token'] === undefined ? {} : { securityToken: TEMPORARY }),
      },
    ],
    Buffer.alloc(32, 7),
  )
}

interface Wire extends SignedRequest {
  readonly headers: Record<string, string>
  readonly body: string
}

function wireOf({ request, expected }: Vector): Wire {
  const [rawPath = '', rawQuery = ''] = request.target.split('?')
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name.toLowerCase(), value]),
  )
  return {
    method: request.method,
    rawPath,
    rawQuery,
    headers: { ...headers, authorization: expected.authorization },
    body: request.body ?? '',
  }
}

function clockOf({ headers }: Wire): number {
  const date = headers['x-sdk-date'] ?? '20240102T030405Z'
  return Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
}

/** The verdict once the body has been read, too. */
function verdictOf(wire: Wire, ring: KeyRing, nowMs = clockOf(wire)): AuthVerdict {
  const verdict = authenticate(wire, ring, new Tokens(tokenKey, ring), nowMs)
  if (verdict.kind !== 'signed') return verdict
  return verdict.check(sha256Hex([Buffer.from(wire.body)])) ?? { ...verdict, principal: verdict.principal }
}

function vector(name: string): Vector {
  const found = vectors.find((candidate) => candidate.name === name)
  if (found === undefined) throw new TypeError(`there is no vector '${name}'`)
  return found
}

describe('signatures made by the official clients', () => {
  test.each(vectors)('$name passes', (entry) => {
    expect(verdictOf(wireOf(entry), ringFor(entry))).toMatchObject({
      kind: 'signed',
      principal: { accountId: ACCOUNT, accessKeyId: entry.credentials.access_key },
    })
  })

  test.each(vectors)('$name is refused with the canonical request when another path is called', (entry) => {
    const wire = wireOf(entry)
    const verdict = verdictOf({ ...wire, rawPath: `${wire.rawPath}x` }, ringFor(entry))
    const [method, path = '', ...rest] = entry.expected.canonical_request.split('\n')
    expect(verdict).toEqual({
      kind: 'refused',
      code: 'APIGW.0301',
      message: `Incorrect IAM authentication information: verify aksk signature fail, canonicalRequest:${[
        method,
        path.replace(/\/$/, 'x/'),
        ...rest,
      ].join('|')}`,
    })
  })

  test('a path signed with a second slash in front says what is wrong with the endpoint', () => {
    const nowMs = Date.parse('2026-11-21T10:00:00Z')
    const headers = { host: 'h:1', 'x-sdk-date': sdkDate(nowMs) }
    const authorization = signSdk({ method: 'GET', rawPath: '//v2/p/fgs/functions', headers })
    const request = {
      method: 'GET',
      rawPath: '/v2/p/fgs/functions',
      rawQuery: '',
      headers: { ...headers, authorization },
    }
    const ring = new KeyRing(
      [{ accessKeyId: KEY_ID, accessKeySecret: SECRET, accountId: ACCOUNT }],
      Buffer.alloc(32, 7),
    )
    const verdict = authenticate(request, ring, new Tokens(tokenKey, ring), nowMs)
    expect(verdict.kind === 'signed' && verdict.check(sha256Hex([]))).toMatchObject({
      message: expect.stringContaining('take the slash off the end of its endpoint'),
    })
  })

  test('values of one query name are signed in their own order, whatever order they are sent in', () => {
    const entry = vector('array-query-values')
    expect(verdictOf({ ...wireOf(entry), rawQuery: 'tag=b&A=1&tag=a' }, ringFor(entry)).kind).toBe('signed')
  })

  test('escaped and raw colons in a path are one', () => {
    const entry = vector('invoke-async-alias-empty-object-body')
    const wire = wireOf(entry)
    const escaped = { ...wire, rawPath: wire.rawPath.replaceAll(':', '%3a').replaceAll('!', '%21') }
    expect(escaped.rawPath).not.toBe(wire.rawPath)
    expect(verdictOf(escaped, ringFor(entry)).kind).toBe('signed')
  })
})

describe('what must be refused', () => {
  const changes: Record<string, () => { entry: Vector; wire: Wire; nowMs?: number }> = {
    'bad-signature': () => {
      const entry = vector('invoke-sync-v1-tail-json-body-utf8')
      const wire = wireOf(entry)
      const authorization = wire.headers['authorization'] ?? ''
      const last = authorization.at(-1) === '0' ? '1' : '0'
      return {
        entry,
        wire: { ...wire, headers: { ...wire.headers, authorization: authorization.slice(0, -1) + last } },
      }
    },
    'tampered-body': () => {
      const entry = vector('invoke-sync-v1-tail-json-body-utf8')
      return { entry, wire: { ...wireOf(entry), body: '{"k":"other","n":1}' } }
    },
    'tampered-query': () => {
      const entry = vector('get-query-sorted-and-encoded')
      const wire = wireOf(entry)
      return { entry, wire: { ...wire, rawQuery: wire.rawQuery.replace('maxitems=10', 'maxitems=11') } }
    },
    'unknown-access-key': () => {
      const entry = vector('get-no-body-no-query')
      const wire = wireOf(entry)
      const authorization = wire.headers['authorization']?.replace(/Access=[^,]+/, 'Access=UNKNOWN') ?? ''
      return { entry, wire: { ...wire, headers: { ...wire.headers, authorization } } }
    },
    'missing-x-sdk-date': () => {
      const entry = vector('get-no-body-no-query')
      const { 'x-sdk-date': _, ...headers } = wireOf(entry).headers
      return { entry, wire: { ...wireOf(entry), headers } }
    },
    'signed-header-missing-on-the-wire': () => {
      const entry = vector('delete-with-temporary-credentials')
      const { 'x-security-token': _, ...headers } = wireOf(entry).headers
      return { entry, wire: { ...wireOf(entry), headers } }
    },
    'clock-skew': () => {
      const entry = vector('get-no-body-no-query')
      return { entry, wire: wireOf(entry), nowMs: clockOf(wireOf(entry)) + 15 * 60_000 + 1 }
    },
  }

  test.each(mustReject)('$name', ({ name }) => {
    const change = changes[name]?.()
    if (change === undefined) throw new TypeError(`'${name}' is not made here`)
    const { entry, wire, nowMs } = change
    expect(verdictOf(wireOf(entry), ringFor(entry)).kind).toBe('signed')
    expect(verdictOf(wire, ringFor(entry), nowMs)).toMatchObject({ kind: 'refused', code: 'APIGW.0301' })
  })

  const nowMs = Date.parse('2026-11-21T10:00:00Z')
  const ring = new KeyRing(
    [{ accessKeyId: KEY_ID, accessKeySecret: SECRET, accountId: ACCOUNT }],
    Buffer.alloc(32, 7),
  )
  const request = (headers: Record<string, string>, body = '', more: object = {}): Wire => {
    const signed = { 'x-sdk-date': sdkDate(nowMs), ...headers }
    const input = { method: 'POST', rawPath: '/v2/p/fgs/functions', headers: signed, body, ...more }
    return { rawQuery: '', ...input, headers: { ...signed, authorization: signSdk(input) } }
  }

  test('a date that is exactly 15 minutes off still passes', () => {
    const wire = request({})
    expect(verdictOf(wire, ring, nowMs + 15 * 60_000).kind).toBe('signed')
    expect(verdictOf(wire, ring, nowMs - 15 * 60_000).kind).toBe('signed')
    expect(verdictOf(wire, ring, nowMs - 15 * 60_000 - 1)).toMatchObject({
      message: expect.stringContaining('expired'),
    })
  })

  test('a body hash in the head that is not that of the body', () => {
    const body = '{"a":1}'
    const hash = sha256Hex([Buffer.from(body)])
    const wire = request({ 'x-sdk-content-sha256': hash }, body)
    expect(verdictOf(wire, ring, nowMs).kind).toBe('signed')
    expect(verdictOf({ ...wire, body: '{"a":2}' }, ring, nowMs)).toMatchObject({
      message: expect.stringContaining('X-Sdk-Content-Sha256'),
    })
  })

  test('a hash that somebody adds to a request does not stand for its body', () => {
    const wire = request({}, '{"a":1}')
    const added = {
      ...wire,
      headers: { ...wire.headers, 'x-sdk-content-sha256': sha256Hex([Buffer.from('{"a":1}')]) },
    }
    expect(verdictOf(added, ring, nowMs).kind).toBe('signed')
    expect(verdictOf({ ...added, body: '{"a":2}' }, ring, nowMs).kind).toBe('refused')
    const unsigned = { ...wire, headers: { ...wire.headers, 'x-sdk-content-sha256': 'UNSIGNED-PAYLOAD' } }
    expect(verdictOf(unsigned, ring, nowMs).kind).toBe('refused')
  })

  test('a list of signed headers without the date, unordered, or with one twice', () => {
    const wire = request({})
    const withList = (list: string): Wire => ({
      ...wire,
      headers: {
        ...wire.headers,
        host: 'h',
        authorization:
          wire.headers['authorization']?.replace(/SignedHeaders=[^,]*/, `SignedHeaders=${list}`) ?? '',
      },
    })
    for (const list of ['', 'host', 'x-sdk-date;host', 'x-sdk-date;x-sdk-date', 'X-Sdk-Date'])
      expect(verdictOf(withList(list), ring, nowMs).kind).toBe('refused')
  })

  test.each([
    '',
    'SDK-HMAC-SHA256',
    'SDK-HMAC-SHA256 ',
    'SDK-HMAC-SHA256 Access=a, Signature=b',
    'SDK-HMAC-SHA256 Access=a, Access=b, SignedHeaders=x-sdk-date, Signature=c',
    `SDK-HMAC-SHA256 Access=${'a'.repeat(5000)}, SignedHeaders=x-sdk-date, Signature=c`,
    'V11-HMAC-SHA256 Credential=testAccessKeyId, SignedHeaders=x-sdk-date, Signature=c',
    'V11-HMAC-SHA256 Credential=testAccessKeyId/20200101/r/s, SignedHeaders=x-sdk-date, Signature=c',
    'Bearer abc',
  ])('the Authorization %j', (authorization) => {
    const wire = request({})
    expect(verdictOf({ ...wire, headers: { ...wire.headers, authorization } }, ring, nowMs).kind).toBe(
      'refused',
    )
  })

  test('temporary keys without their token, with a wrong one, or after their time', () => {
    const keys = ring.issueTemporary({ accountId: ACCOUNT, sessionName: 's', ttlMs: 60_000 }, nowMs)
    const signed = (headers: Record<string, string>): Wire =>
      request(headers, '', { accessKeyId: keys.accessKeyId, secret: keys.accessKeySecret })
    const good = signed({ 'x-security-token': keys.securityToken })
    expect(verdictOf(good, ring, nowMs)).toMatchObject({
      kind: 'signed',
      principal: { accountId: ACCOUNT, expiresAtMs: nowMs + 60_000 },
    })
    expect(verdictOf(signed({}), ring, nowMs).kind).toBe('refused')
    expect(verdictOf(signed({ 'x-security-token': `${keys.securityToken}x` }), ring, nowMs).kind).toBe(
      'refused',
    )
    expect(verdictOf(good, ring, nowMs + 60_000)).toMatchObject({
      message: expect.stringContaining('expired'),
    })
  })

  test('a request without any credentials', () => {
    const { authorization: _, ...headers } = request({}).headers
    expect(verdictOf({ ...request({}), headers }, ring, nowMs)).toMatchObject({
      code: 'APIGW.0301',
      message: expect.stringContaining('X-Auth-Token'),
    })
  })
})

test('only the own schemes are taken for it', () => {
  expect(['SDK-HMAC-SHA256 a', 'V11-HMAC-SHA256 a'].every(hasOwnScheme)).toBe(true)
  expect(
    [undefined, '', 'SDK-HMAC-SHA256', 'TC3-HMAC-SHA256 a', 'ACS3-HMAC-SHA256 a', 'FC a'].some(hasOwnScheme),
  ).toBe(false)
})
