import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { authenticate, type SignedRequest } from '../../../src/dialects/alibaba-fc/auth.ts'
import { acsRequest, CLOCK_MS, DATE, ISO_DATE, keyringOf, signFc } from './auth-signing.ts'

const ring = keyringOf()
const segment = fc.string({
  unit: fc.constantFrom(...Array.from('abcXYZ019-_.')),
  minLength: 1,
  maxLength: 12,
})
const value = fc
  .string({ unit: fc.constantFrom(...Array.from('abcXYZ019 ;/-_.')), maxLength: 20 })
  .map((text) => text.trim())

/** A text with one bit flipped, at a place the run chooses. */
function flipBit(text: string, place: number): string {
  const bytes = Buffer.from(text, 'latin1')
  const bit = place % (bytes.length * 8)
  bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
  return bytes.toString('latin1')
}

function signedFc(service: string, headers: Record<string, string>, isProxy: boolean): SignedRequest {
  const rawPath = isProxy ? `/2016-08-15/proxy/${service}/f/` : `/2016-08-15/services/${service}`
  const rawQuery = 'a=1&b=2'
  const { 'content-md5': md5 = '', 'content-type': type = '' } = headers
  const lines = Object.keys(headers).filter((name) => name.startsWith('x-fc-'))
  const block = lines.sort().map((name) => `${name}:${headers[name]}\n`)
  const resource = isProxy ? `${rawPath}\na=1\nb=2` : rawPath
  const authorization = signFc(`POST\n${md5}\n${type}\n${DATE}\n${block.join('')}${resource}`)
  return { method: 'POST', rawPath, rawQuery, headers: { ...headers, date: DATE, authorization } }
}

function signedAcs3(service: string, extra: string): SignedRequest {
  const rawPath = `/2021-04-06/services/${service}`
  return acsRequest('ACS3', { rawPath, rawQuery: 'a=1&b=2', extra, path: rawPath, query: 'a=1&b=2' })
}

/** Every signed part of a request, each with a way to change it. */
function signedParts(
  request: SignedRequest,
  withQuery: boolean,
): { text: string; changed: (text: string) => SignedRequest }[] {
  const parts = [
    { text: request.method, changed: (method: string) => ({ ...request, method }) },
    { text: request.rawPath, changed: (rawPath: string) => ({ ...request, rawPath }) },
  ]
  if (withQuery) parts.push({ text: request.rawQuery, changed: (rawQuery) => ({ ...request, rawQuery }) })
  for (const [name, text] of Object.entries(request.headers)) {
    if (typeof text !== 'string' || text === '') continue
    parts.push({ text, changed: (other) => ({ ...request, headers: { ...request.headers, [name]: other } }) })
  }
  return parts
}

/** The changes by one bit in a single part with which a good request still passes: there must be none. */
function flipsAccepted(request: SignedRequest, withQuery: boolean, place: number): string[] {
  if (authenticate(request, ring, CLOCK_MS).kind === 'refused') return ['the request itself is refused']
  const passed: string[] = []
  for (const { text, changed } of signedParts(request, withQuery)) {
    const flipped = flipBit(text, place)
    // Space around a value is not part of it, as in HTTP.
    if (flipped.trim() === text) continue
    if (authenticate(changed(flipped), ring, CLOCK_MS).kind === 'accepted') passed.push(flipped)
  }
  return passed
}

describe('one flipped bit in any signed part is refused', () => {
  const place = fc.nat({ max: 1_000_000 })

  test('FC', () => {
    const headers = fc.record({
      'content-md5': value,
      'content-type': value,
      'x-fc-log-type': value,
      'x-fc-a': value,
    })
    fc.assert(
      fc.property(segment, headers, fc.boolean(), place, (service, named, isProxy, bit) => {
        expect(flipsAccepted(signedFc(service, named, isProxy), isProxy, bit)).toEqual([])
      }),
      { numRuns: 300 },
    )
  })

  test('ACS3', () => {
    fc.assert(
      fc.property(segment, value, place, (service, extra, bit) => {
        expect(flipsAccepted(signedAcs3(service, extra), true, bit)).toEqual([])
      }),
      { numRuns: 300 },
    )
  })

  test('an added or dropped header of the signed block', () => {
    fc.assert(
      fc.property(segment, value, (name, text) => {
        const request = signedFc('demo', { 'x-fc-log-type': 'Tail' }, false)
        const added = { ...request, headers: { ...request.headers, [`x-fc-${name}`]: text } }
        const { 'x-fc-log-type': _, ...rest } = request.headers
        expect(authenticate(added, ring, CLOCK_MS)).toMatchObject({ code: 'SignatureNotMatch' })
        expect(authenticate({ ...request, headers: rest }, ring, CLOCK_MS)).toMatchObject({ kind: 'refused' })
      }),
      { numRuns: 50 },
    )
  })
})

test('nothing a client can send makes it throw or passes without the secret', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.string({
      unit: fc.constantFrom('%', '2', 'F', 'z', '&', '=', ';', '/', ',', '+', '\n', '\ud800'),
      maxLength: 60,
    }),
  )
  const authorization = fc.oneof(
    text,
    text.map((rest) => `FC id:${rest}`),
    text.map((rest) => `acs id:${rest}`),
    text.map((rest) => `FC ${rest}`),
    text.map((id) => `FC id${id}:signature`),
    fc
      .tuple(
        fc.constantFrom('3', '4'),
        fc.constantFrom('id', 'id/20240506/center/FC/aliyun_v4_request'),
        text,
        text,
      )
      .map(([version, id, names, signature]) => {
        const list = names.includes('z') ? 'host;x-acs-content-sha256;x-acs-date' : names
        return `ACS${version}-HMAC-SHA256 Credential=${id},SignedHeaders=${list},Signature=${signature}`
      }),
  )
  const headers = fc.record(
    {
      authorization,
      date: fc.oneof(fc.constant(DATE), text),
      host: fc.oneof(text, fc.array(text, { maxLength: 3 })),
      'x-acs-date': fc.oneof(fc.constant(ISO_DATE), text),
      'x-acs-content-sha256': fc.oneof(fc.constant('0'.repeat(64)), text),
      'x-acs-security-token': text,
      'x-fc-security-token': text,
      'x-fc-date': fc.oneof(fc.constant(DATE), text),
      'content-type': text,
    },
    { requiredKeys: [] },
  )
  const others = fc.dictionary(
    fc.oneof(
      text,
      text.map((name) => `x-fc-${name}`),
    ),
    fc.oneof(text, fc.array(text)),
  )
  const path = fc.oneof(
    text,
    text.map((rest) => `/2016-08-15/proxy/${rest}`),
    text.map((rest) => `/2021-04-06/${rest}`),
  )
  const query = fc.oneof(
    text,
    text.map((rest) => `x-fc-access-key-id=id&x-fc-expires=${CLOCK_MS / 1000 + 60}&x-fc-signature=${rest}`),
  )
  const seen = new Set<string>()
  fc.assert(
    fc.property(text, path, query, headers, others, (method, rawPath, rawQuery, known, other) => {
      const request = { method, rawPath, rawQuery, headers: { ...other, ...known } }
      const verdict = authenticate(request, ring, CLOCK_MS)
      expect(verdict.kind).toBe('refused')
      if (verdict.kind === 'refused') seen.add(verdict.code)
    }),
    { numRuns: 2000 },
  )
  // The requests reached every depth: unreadable, undated, unknown, and wrongly signed.
  expect([...seen].sort()).toEqual([
    'AccessDenied',
    'InvalidAccessKeyID',
    'InvalidArgument',
    'MissingRequiredHeader',
    'SignatureNotMatch',
  ])
})
