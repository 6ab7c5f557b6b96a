import { createSecretKey } from 'node:crypto'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { sha256Hex } from '../../../src/auth/digest.ts'
import { KeyRing } from '../../../src/auth/keyring.ts'
import { authenticate, type SignedRequest } from '../../../src/dialects/huawei-functiongraph/auth.ts'
import { Tokens, type Token } from '../../../src/dialects/huawei-functiongraph/iam/tokens.ts'
import { KEY_ID, SECRET, sdkDate, signSdk } from './signing.ts'

const NOW_MS = Date.parse('2026-11-21T10:00:00Z')
const ACCOUNT = '1234567890123456'
const ring = new KeyRing(
  [{ accessKeyId: KEY_ID, accessKeySecret: SECRET, accountId: ACCOUNT }],
  Buffer.alloc(32, 7),
)
const tokens = new Tokens(createSecretKey(Buffer.alloc(32, 3)), ring)

interface Signed extends SignedRequest {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

function passes({ body, ...request }: Signed): boolean {
  const verdict = authenticate(request, ring, tokens, NOW_MS)
  if (verdict.kind !== 'signed') return verdict.kind === 'accepted'
  return verdict.check(sha256Hex([Buffer.from(body, 'latin1')])) === undefined
}

/** A text with one bit flipped, at a place the run chooses. */
function flipBit(text: string, place: number): string {
  const bytes = Buffer.from(text, 'latin1')
  const bit = place % (bytes.length * 8)
  bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
  return bytes.toString('latin1')
}

const word = fc.string({
  unit: fc.constantFrom(...Array.from('abcXYZ019-_.:!')),
  minLength: 1,
  maxLength: 12,
})
const value = fc
  .string({ unit: fc.constantFrom(...Array.from('abcXYZ019 ;/-_.')), minLength: 1, maxLength: 20 })
  .map((text) => `a${text.trim()}`)

test('one flipped bit in any signed part is refused', () => {
  const place = fc.nat({ max: 1_000_000 })
  fc.assert(
    fc.property(word, word, value, value, fc.string({ minLength: 1 }), place, (urn, key, a, b, text, bit) => {
      const headers: Record<string, string> = {
        host: 'h:1',
        'x-sdk-date': sdkDate(NOW_MS),
        'x-cff-log-type': a,
        'x-project-id': b,
      }
      const rawPath = `/v2/p/fgs/functions/${urn}/invocations`
      const body = Buffer.from(text).toString('latin1')
      const rawQuery = `${encodeURIComponent(key)}=1&z=2`
      const bytes = Buffer.from(body, 'latin1')
      const authorization = signSdk({ method: 'POST', rawPath, rawQuery, headers, body: bytes })
      const request: Signed = {
        method: 'POST',
        rawPath,
        rawQuery,
        headers: { ...headers, authorization },
        body,
      }
      expect(passes(request)).toBe(true)
      const changes: Signed[] = [
        { ...request, method: flipBit('POST', bit) },
        { ...request, rawPath: flipBit(rawPath, bit) },
        { ...request, rawQuery: flipBit(rawQuery, bit) },
        { ...request, body: flipBit(body, bit) },
        ...Object.entries(request.headers).map(([name, text_]) => ({
          ...request,
          headers: { ...request.headers, [name]: flipBit(text_, bit) },
        })),
      ]
      for (const changed of changes) {
        if (isSame(changed, request)) continue
        expect([changed, passes(changed)]).toEqual([changed, false])
      }
    }),
    { numRuns: 300 },
  )
})

/** Space around a header's value, and around the fields of a signature, is not part of it, whatever kind it is; a space is one however a query writes it, and so is an escape. */
function isSame(changed: Signed, request: Signed): boolean {
  const trimmed = Object.entries(changed.headers).every(
    ([name, text]) => text.trim().replaceAll(/,\s/g, ', ') === request.headers[name],
  )
  const query = (text: string): string => {
    try {
      return decodeURIComponent(text.replaceAll('+', ' '))
    } catch {
      return ''
    }
  }
  return (
    changed.method === request.method &&
    changed.rawPath === request.rawPath &&
    changed.body === request.body &&
    trimmed &&
    query(changed.rawQuery) === query(request.rawQuery)
  )
}

test('nothing a client can send makes it throw or passes without a secret', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.string({
      unit: fc.constantFrom('%', '2', 'F', 'z', '&', '=', ';', '/', ',', '+', '.', '\n', '\ud800'),
      maxLength: 60,
    }),
  )
  const authorization = fc.oneof(
    text,
    fc
      .tuple(
        fc.constantFrom(
          `SDK-HMAC-SHA256 Access=${KEY_ID}`,
          `V11-HMAC-SHA256 Credential=${KEY_ID}/20261121/r/s`,
        ),
        fc.oneof({ arbitrary: fc.constant('x-sdk-date'), weight: 3 }, { arbitrary: text, weight: 1 }),
        fc.oneof(fc.constant('0'.repeat(64)), text),
      )
      .map(([who, names, signature]) => `${who}, SignedHeaders=${names}, Signature=${signature}`),
  )
  const headers = fc.record(
    {
      authorization,
      host: fc.oneof(text, fc.array(text, { maxLength: 3 })),
      'x-auth-token': text,
      'x-sdk-date': fc.oneof(
        { arbitrary: fc.constant(sdkDate(NOW_MS)), weight: 3 },
        { arbitrary: text, weight: 1 },
      ),
      'x-sdk-content-sha256': fc.oneof(fc.constant('UNSIGNED-PAYLOAD'), text),
      'x-security-token': text,
    },
    { requiredKeys: [] },
  )
  const details = new Set<string>()
  fc.assert(
    fc.property(text, text, text, headers, text, (method, rawPath, rawQuery, sent, body) => {
      const verdict = authenticate({ method, rawPath, rawQuery, headers: sent }, ring, tokens, NOW_MS)
      const refused = verdict.kind === 'signed' ? verdict.check(sha256Hex([Buffer.from(body)])) : verdict
      expect(refused?.kind).toBe('refused')
      if (refused?.kind === 'refused') details.add(refused.message.replace(/^.*?: /, '').slice(0, 16))
    }),
    { numRuns: 3000 },
  )
  // The requests reached every depth: without credentials, unreadable, undated, and wrongly signed.
  expect([...details].some((detail) => detail.startsWith('verify aksk'))).toBe(true)
  expect([...details].some((detail) => detail.startsWith('decrypt token'))).toBe(true)
  expect(details.size).toBeGreaterThan(5)
})

test('a token is good only as it was issued, and only for its time', () => {
  const token = fc.record({
    accountId: fc.constant(ACCOUNT),
    accessKeyId: fc.constantFrom(KEY_ID, 'STS.other'),
    methods: fc.constant(['password'] as const),
    project: fc.record({ id: word, name: word }),
    issuedAtMs: fc.constant(NOW_MS),
    expiresAtMs: fc.integer({ min: NOW_MS + 1, max: NOW_MS + 86_400_000 }),
  })
  fc.assert(
    fc.property(token, fc.nat({ max: 1_000_000 }), (content: Token, bit) => {
      const text = tokens.issue(content)
      expect(tokens.read(text, content.expiresAtMs - 1)).toEqual(content)
      expect(tokens.read(text, content.expiresAtMs)).toBeUndefined()
      const flipped = flipBit(text, bit)
      expect(tokens.read(flipped, NOW_MS)).toBeUndefined()
    }),
    { numRuns: 300 },
  )
})

test('a token ends with the secret of its key, and with the key that tokens are made with', () => {
  const content: Token = {
    accountId: ACCOUNT,
    accessKeyId: KEY_ID,
    methods: ['password'],
    issuedAtMs: NOW_MS,
    expiresAtMs: NOW_MS + 1000,
  }
  const text = tokens.issue(content)
  const renewed = new KeyRing(
    [{ accessKeyId: KEY_ID, accessKeySecret: 'anotherSecret', accountId: ACCOUNT }],
    Buffer.alloc(32, 7),
  )
  const without = new KeyRing([], Buffer.alloc(32, 7))
  const sameKey = createSecretKey(Buffer.alloc(32, 3))
  expect(new Tokens(sameKey, ring).read(text, NOW_MS)).toEqual(content)
  expect(new Tokens(sameKey, renewed).read(text, NOW_MS)).toBeUndefined()
  expect(new Tokens(sameKey, without).read(text, NOW_MS)).toBeUndefined()
  expect(new Tokens(createSecretKey(Buffer.alloc(32, 4)), ring).read(text, NOW_MS)).toBeUndefined()
})
