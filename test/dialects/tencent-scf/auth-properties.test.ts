import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { KeyRing } from '../../../src/auth/keyring.ts'
import { readForm } from '../../../src/dialects/tencent-scf/form.ts'
import { verifyParameters } from '../../../src/dialects/tencent-scf/signatures/parameters.ts'
import type { SignedHead } from '../../../src/dialects/tencent-scf/signatures/signer.ts'
import { readTc3, requireTc3 } from '../../../src/dialects/tencent-scf/signatures/tc3.ts'
import { ACCOUNT, CLOCK_MS, SECRET_ID, SECRET_KEY, signParameters, signTc3 } from './signing.ts'

const ring = new KeyRing(
  [{ accessKeyId: SECRET_ID, accessKeySecret: SECRET_KEY, accountId: ACCOUNT }],
  Buffer.alloc(32, 1),
)
const REFUSED = 'AuthFailure.SignatureFailure'

/** A text that differs from another in more than its case: where it does, at a place the run chooses. */
function spoil(text: string, place: number): string {
  const at = place % (text.length + 1)
  return `${text.slice(0, at)}#${text.slice(at)}`
}

interface Tc3Parts {
  readonly method: 'GET' | 'POST'
  readonly query: string
  readonly host: string
  readonly contentType: string
  readonly action: string
  readonly body: Buffer
  readonly service: string
}

const token = fc.string({ unit: fc.constantFrom(...Array.from('abcXYZ019-.')), minLength: 1, maxLength: 12 })
const tc3Parts: fc.Arbitrary<Tc3Parts> = fc.record({
  method: fc.constantFrom('GET', 'POST'),
  query: fc.string({ unit: fc.constantFrom(...Array.from('abc=&%20')), maxLength: 20 }),
  host: token.map((label) => `${label}.example:9000`),
  contentType: token.map((type) => `application/${type}`),
  action: token,
  body: fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
  service: token,
})

/** Signs with `signed` and sends `sent`; what the verifier says. */
function verdictOfTc3(signed: Tc3Parts, sent: Tc3Parts, timestampS = CLOCK_MS / 1000): string {
  const headersOf = ({ host, contentType, action }: Tc3Parts): Record<string, string> => ({
    host,
    'content-type': contentType,
    'x-tc-action': action,
    'x-tc-timestamp': String(CLOCK_MS / 1000),
  })
  const bodyOf = ({ method, body }: Tc3Parts): Buffer => (method === 'GET' ? Buffer.alloc(0) : body)
  const authorization = signTc3({
    method: signed.method,
    query: signed.query,
    headers: headersOf(signed),
    body: bodyOf(signed),
    service: signed.service,
    signedHeaders: ['content-type', 'host', 'x-tc-action'],
  })
  const head: SignedHead = {
    method: sent.method,
    rawQuery: sent.query,
    headers: {
      ...headersOf(sent),
      'x-tc-timestamp': String(timestampS),
      authorization: authorization.replace(`/${signed.service}/`, `/${sent.service}/`),
    },
  }
  try {
    const claim = readTc3(head, ring, CLOCK_MS)
    requireTc3(claim, head, createHash('sha256').update(bodyOf(sent)).digest('hex'))
    return claim.key.accountId
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}

describe('TC3', () => {
  test('what was signed is accepted', () => {
    fc.assert(
      fc.property(tc3Parts, (parts) => {
        expect(verdictOfTc3(parts, parts)).toBe(ACCOUNT)
      }),
    )
  })

  test.each(['host', 'contentType', 'action', 'service'] as const)('another %s is refused', (part) => {
    fc.assert(
      fc.property(tc3Parts, fc.nat(), (parts, place) => {
        const changed = spoil(parts[part], place)
        expect(verdictOfTc3(parts, { ...parts, [part]: changed })).toBe(REFUSED)
      }),
    )
  })

  test('another body, query, method or time is refused', () => {
    fc.assert(
      fc.property(tc3Parts, fc.nat(), (parts, place) => {
        const post: Tc3Parts = { ...parts, method: 'POST' }
        const body = Buffer.concat([parts.body, Buffer.from([place & 0xff])])
        expect(verdictOfTc3(post, { ...post, body })).toBe(REFUSED)
        const get: Tc3Parts = { ...parts, method: 'GET' }
        expect(verdictOfTc3(get, { ...get, query: spoil(get.query, place) })).toBe(REFUSED)
        expect(verdictOfTc3(get, { ...get, method: 'POST', body: Buffer.alloc(0) })).toBe(REFUSED)
        expect(verdictOfTc3(parts, parts, CLOCK_MS / 1000 - 1)).toBe(REFUSED)
      }),
    )
  })

  test('an Authorization header of any kind is refused and breaks nothing', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `TC3-HMAC-SHA256 ${text}`),
          fc
            .tuple(fc.string(), fc.string(), fc.string())
            .map(
              ([id, names, signature]) =>
                `TC3-HMAC-SHA256 Credential=${id}/2026-11-21/scf/tc3_request, SignedHeaders=${names}, Signature=${signature}`,
            ),
        ),
        (authorization) => {
          const headers = { host: 'h', 'x-tc-timestamp': String(CLOCK_MS / 1000), authorization }
          const head = { method: 'POST', rawQuery: '', headers }
          expect(() => readTc3(head, ring, CLOCK_MS)).toThrow(/./)
        },
      ),
    )
  })
})

// Names without `_` and values without `@` in front: clients sign these in ways that leave something open.
const parameterName = fc.string({
  unit: fc.constantFrom(...Array.from('abXY09.')),
  minLength: 1,
  maxLength: 8,
})
const parameterValue = fc.string({ unit: 'grapheme', maxLength: 16 }).filter((text) => !text.startsWith('@'))
const parameters = fc.dictionary(parameterName, parameterValue, { maxKeys: 6, noNullPrototype: true })
const method = fc.constantFrom('GET', 'POST')
const algorithm = fc.constantFrom('sha1', 'sha256')
const PATH = '/v2/index.php'
const PLACE = 'somewhere.example:9000'

function commonOf(hash: 'sha1' | 'sha256'): Record<string, string> {
  return {
    Action: 'InvokeFunction',
    Nonce: '1',
    SecretId: SECRET_ID,
    Timestamp: String(CLOCK_MS / 1000),
    ...(hash === 'sha256' ? { SignatureMethod: 'HmacSHA256' } : {}),
  }
}

async function verdictOf(
  sentMethod: string,
  path: string,
  host: string,
  sent: Readonly<Record<string, string>>,
): Promise<string> {
  const form = readForm(new URLSearchParams(sent).toString())
  const head = { method: sentMethod, rawQuery: '', headers: { host } }
  try {
    return (await verifyParameters(head, [path], form, ring, CLOCK_MS)).key.accountId
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}

describe('signed parameters', () => {
  test('what was signed is accepted, in any order', async () => {
    await fc.assert(
      fc.asyncProperty(method, algorithm, parameters, async (verb, hash, own) => {
        const signed = signParameters(verb, PATH, { ...own, ...commonOf(hash) }, PLACE, hash)
        const reversed = Object.fromEntries(Object.entries(signed).reverse())
        expect(await verdictOf(verb, PATH, PLACE, signed)).toBe(ACCOUNT)
        expect(await verdictOf(verb, PATH, PLACE, reversed)).toBe(ACCOUNT)
      }),
    )
  })

  test('another value, a further or a missing parameter is refused', async () => {
    await fc.assert(
      fc.asyncProperty(method, algorithm, parameters, fc.nat(), async (verb, hash, own, place) => {
        const signed = signParameters(verb, PATH, { ...own, ...commonOf(hash) }, PLACE, hash)
        const names = Object.keys(own)
        const name = names[place % (names.length || 1)] ?? 'Action'
        const changed = { ...signed, [name]: spoil(signed[name] ?? '', place) }
        expect(await verdictOf(verb, PATH, PLACE, changed)).toBe(REFUSED)
        expect(await verdictOf(verb, PATH, PLACE, { ...signed, zz: '' })).toBe(REFUSED)
        const { [name]: _, ...fewer } = signed
        expect(await verdictOf(verb, PATH, PLACE, fewer)).toBe(REFUSED)
      }),
    )
  })

  test('another method, host or path is refused', async () => {
    await fc.assert(
      fc.asyncProperty(algorithm, parameters, fc.nat(), async (hash, own, place) => {
        const signed = signParameters('POST', PATH, { ...own, ...commonOf(hash) }, PLACE, hash)
        expect(await verdictOf('GET', PATH, PLACE, signed)).toBe(REFUSED)
        expect(await verdictOf('POST', PATH, spoil(PLACE, place), signed)).toBe(REFUSED)
        expect(await verdictOf('POST', '/', PLACE, signed)).toBe(REFUSED)
      }),
    )
  })
})
