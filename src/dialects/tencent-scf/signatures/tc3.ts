import type { KeyObject } from 'node:crypto'
import { constantTimeEqual } from '../../../auth/compare.ts'
import { deriveKey, hmac, sha256HexOfText } from '../../../auth/digest.ts'
import { headerValue, parseSignedHeaders } from '../../../auth/headers.ts'
import type { AccessKey, KeyRing } from '../../../auth/keyring.ts'
import { ScfError } from '../errors.ts'
import {
  findKey,
  likeliestHost,
  parseTimestamp,
  requireFreshTime,
  signatureFailure,
  signedHosts,
  type SignedHead,
} from './signer.ts'

/** First word of the Authorization header, and first line of the string to sign. */
export const TC3 = 'TC3-HMAC-SHA256'

/** Longest Authorization header that is looked at, characters. Those of the vendor's clients have below 400. */
const MAX_AUTHORIZATION_CHARS = 4096

/** Most names in a list of signed headers. The vendor's clients sign two or three. */
const MAX_SIGNED_HEADERS = 32

const AUTHORIZATION =
  /^TC3-HMAC-SHA256\s+Credential=([^/,\s]+)\/(\d{4}-\d{2}-\d{2})\/([^/,\s]{1,255})\/tc3_request\s*,\s*SignedHeaders=([^,\s]+)\s*,\s*Signature=([0-9a-f]{64})$/

/** Says that the body is not covered. Source: the vendor's Go and Python SDKs. */
const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD'
const SHA256_OF_UNSIGNED = sha256HexOfText(UNSIGNED_PAYLOAD)

/** A request whose head is in order; whether it is genuine shows once the hash of its body is known. */
export interface Tc3Claim {
  readonly key: AccessKey
  readonly timestamp: string
  readonly date: string
  readonly service: string
  readonly signedHeaders: readonly string[]
  /** The same as the header has them. */
  readonly signedHeaderList: string
  readonly signature: string
  /** The hash the client signed in the place of the body's; absent when it signed the body. */
  readonly payloadSha256?: string
}

/** Whether an Authorization header is of this scheme. `SKIP` is what the vendor's SDKs send for calls without a signature. */
export function hasTc3Scheme(authorization: string | undefined): boolean {
  return authorization !== undefined && (authorization.startsWith(TC3) || authorization === 'SKIP')
}

/**
 * Checks all of a signature that shows before the body is read.
 *
 * @throws {ScfError} `AuthFailure.*`, `MissingParameter`
 */
export function readTc3(head: SignedHead, keyring: KeyRing, nowMs: number): Tc3Claim {
  const { headers } = head
  const authorization = headerValue(headers, 'authorization') ?? ''
  const match =
    authorization.length > MAX_AUTHORIZATION_CHARS
      ? undefined
      : (AUTHORIZATION.exec(authorization) ?? undefined)
  const [, secretId, date, service, list, signature] = match ?? []
  if (!secretId || !date || !service || !list || !signature)
    throw invalidAuthorization('the Authorization header is not a TC3-HMAC-SHA256 one')
  const signedHeaders = parseSignedHeaders(list, MAX_SIGNED_HEADERS)
  if (signedHeaders === undefined || !signedHeaders.includes('host'))
    throw invalidAuthorization('SignedHeaders must be lower-case names in ascending order, host among them')
  if (headerValue(headers, 'content-type') !== undefined && !signedHeaders.includes('content-type'))
    throw invalidAuthorization('the header Content-Type must be among SignedHeaders')

  const timestamp = headerValue(headers, 'x-tc-timestamp')
  if (timestamp === undefined)
    throw new ScfError('MissingParameter', 'the request is missing the header X-TC-Timestamp')
  const timestampS = parseTimestamp(timestamp)
  if (timestampS === undefined)
    throw new ScfError('InvalidParameterValue', 'X-TC-Timestamp is not a number of seconds')

  const key = findKey(keyring, secretId, headerValue(headers, 'x-tc-token'), nowMs)
  requireFreshTime(timestampS, nowMs)
  if (dayOf(timestampS) !== date)
    throw new ScfError(
      'AuthFailure.SignatureFailure',
      'the date of the credential is not the UTC date of X-TC-Timestamp',
    )
  const isUnsigned = headerValue(headers, 'x-tc-content-sha256') === UNSIGNED_PAYLOAD
  return {
    key,
    timestamp,
    date,
    service,
    signedHeaders,
    signedHeaderList: list,
    signature,
    ...(isUnsigned ? { payloadSha256: SHA256_OF_UNSIGNED } : {}),
  }
}

/**
 * Compares the signature with those of every host the client may have signed for.
 *
 * @param bodySha256 Lower-case hex, of the bytes received.
 * @throws {ScfError} `AuthFailure.SignatureFailure`
 */
export function requireTc3(claim: Tc3Claim, head: SignedHead, bodySha256: string): void {
  const { key, timestamp, date, service, signature, signedHeaderList } = claim
  const { headers } = head
  // The vendor's clients send no query with a POST: one that is there is not signed, and nobody reads it.
  const query = head.method === 'GET' ? head.rawQuery : ''
  const start = `${head.method}\n/\n${query}\n`
  const end = `\n${signedHeaderList}\n${claim.payloadSha256 ?? bodySha256}`
  const scope = `${date}/${service}`
  const kept = keptKey(key.secret, scope)
  const derived = kept ?? derivedKey(key.secret, date, service)
  const isSigned = (block: string): boolean => {
    const toSign = `${TC3}\n${timestamp}\n${scope}/tc3_request\n${sha256HexOfText(start + block + end)}`
    if (!constantTimeEqual(hmac('sha256', derived, toSign, 'hex'), signature)) return false
    if (kept === undefined) keepDerivedKey(key.secret, scope, derived)
    return true
  }
  const [ownHost, region] = [headerValue(headers, 'host'), headerValue(headers, 'x-tc-region')]
  // It is nearly always this one: looking for it among all that may be costs more than the comparison itself.
  if (isSigned(headerBlock(claim, head, likeliestHost(ownHost)))) return
  for (const host of signedHosts(ownHost, region))
    for (const block of spellings(headerBlock(claim, head, host))) if (isSigned(block)) return
  throw signatureFailure(ownHost, region)
}

/** The SDKs sign the values of headers as they are sent, the documentation's newer examples in lower case. */
function* spellings(block: string): Generator<string> {
  yield block
  const lower = block.toLowerCase()
  if (lower !== block) yield lower
}

/** The last day that was asked for: nearly always that of the next request, too. */
let lastDay = { number: -1, text: '' }

/** `YYYY-MM-DD` in UTC. */
function dayOf(timestampS: number): string {
  const number = Math.floor(timestampS / 86_400)
  if (number !== lastDay.number)
    lastDay = { number, text: new Date(timestampS * 1000).toISOString().slice(0, 10) }
  return lastDay.text
}

function headerBlock({ signedHeaders }: Tc3Claim, { headers }: SignedHead, host: string): string {
  let block = ''
  for (const name of signedHeaders)
    block += `${name}:${name === 'host' ? host : (headerValue(headers, name) ?? '')}\n`
  return block
}

/** Derived keys that have signed a genuine request: four HMACs less for each that follows. Few, and gone with their secret. */
const derivedKeys = new WeakMap<KeyObject, Map<string, Buffer>>()
const MAX_DERIVED_KEYS = 8

function keptKey(secret: KeyObject, scope: string): Buffer | undefined {
  return derivedKeys.get(secret)?.get(scope)
}

function keepDerivedKey(secret: KeyObject, scope: string, derived: Buffer): void {
  let kept = derivedKeys.get(secret)
  if (kept === undefined) derivedKeys.set(secret, (kept = new Map<string, Buffer>()))
  if (kept.size >= MAX_DERIVED_KEYS) kept.clear()
  kept.set(scope, derived)
}

function derivedKey(secret: KeyObject, date: string, service: string): Buffer {
  return deriveKey(Buffer.concat([Buffer.from('TC3'), secret.export()]), [date, service, 'tc3_request'])
}

function invalidAuthorization(message: string): ScfError {
  return new ScfError('AuthFailure.InvalidAuthorization', message)
}
