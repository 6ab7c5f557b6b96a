import { createHmac, type KeyObject } from 'node:crypto'
import { parseAuthorizationFields } from '../../../auth/authorization-fields.ts'
import { canonicalRequest } from '../../../auth/canonical-request.ts'
import { constantTimeEqual } from '../../../auth/compare.ts'
import { hmac, sha256HexOfText } from '../../../auth/digest.ts'
import { headerValue, parseSignedHeaders, signedBlock } from '../../../auth/headers.ts'
import { memoised } from '../../../auth/memoised.ts'
import type { AccessKey, KeyRing } from '../../../auth/keyring.ts'
import { percentDecode, percentEncode } from '../../../auth/percent.ts'
import { parseQuery } from '../../../auth/query.ts'
import { parseIsoSeconds } from '../../../auth/timestamps.ts'
import { MAX_QUERY_PAIRS } from '../../../intake/request-head.ts'
import {
  refused,
  type AuthVerdict,
  type Principal,
  type Refused,
  type Signed,
  type SignedRequest,
} from './verdict.ts'

/** How far a request's date may be from the server's clock. Source: the vendor's page on signing with AK and SK. */
const MAX_CLOCK_SKEW_MS = 15 * 60 * 1000

/** Most names in a list of signed headers. The vendor's clients sign about ten. */
const MAX_SIGNED_HEADERS = 64

/** Longest access key id that is looked up, characters. */
const MAX_ACCESS_KEY_ID_CHARS = 128

/** Longest canonical request that is repeated to a client whose signature differs, characters. */
const MAX_SHOWN_CHARS = 8192

/** Stands for the body's hash where a client does not sign the body. */
const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD'

/** The two schemes: they differ in the key, and in a line of the string to sign. */
type Algorithm = 'SDK-HMAC-SHA256' | 'V11-HMAC-SHA256'

const FIELDS: Record<Algorithm, readonly string[]> = {
  'SDK-HMAC-SHA256': ['Access', 'SignedHeaders', 'Signature'],
  'V11-HMAC-SHA256': ['Credential', 'SignedHeaders', 'Signature'],
}

/** What the Authorization header says. */
interface Credential {
  readonly accessKeyId: string
  /** `{YYYYMMDD}/{region}/{service}`; only of derived keys. */
  readonly scope: string | undefined
  readonly signedHeaders: readonly string[]
  /** The same as the header has them. */
  readonly signedHeaderList: string
  readonly signature: string
}

/**
 * Reads `SDK-HMAC-SHA256 Access=…, SignedHeaders=…, Signature={hex}`, or
 * `V11-HMAC-SHA256 Credential={id}/{day}/{region}/{service}, …`, whose key is derived from the secret.
 *
 * Of the signed headers only `x-sdk-date` is required: the vendor's Go client signs neither `host` nor `content-type`. The
 * path is signed in one spelling, whatever escapes it was sent with. The signature covers the body, so the verdict is final only
 * with the body's hash; a body signed as `UNSIGNED-PAYLOAD` is not covered.
 *
 * @param fields What follows the algorithm in the Authorization header.
 */
export function verifySdkHmac(
  algorithm: Algorithm,
  request: SignedRequest,
  fields: string,
  keyring: KeyRing,
  nowMs: number,
): AuthVerdict {
  const { headers } = request
  const credential = readCredential(algorithm, fields)
  if (credential === undefined) return refused('Authorization format is incorrect')
  const { accessKeyId, scope, signedHeaders } = credential

  const date = headerValue(headers, 'x-sdk-date')
  if (date === undefined || !signedHeaders.includes('x-sdk-date'))
    return refused('X-Sdk-Date must be sent and be among the signed headers')
  const signedAtMs = parseCompactDate(date)
  if (signedAtMs === undefined) return refused('X-Sdk-Date does not have the form YYYYMMDDTHHMMSSZ')
  if (Math.abs(nowMs - signedAtMs) > MAX_CLOCK_SKEW_MS)
    return refused(`signature expired, x-sdk-date:${date}, server time:${new Date(nowMs).toISOString()}`)
  if (scope !== undefined && !scope.startsWith(`${date.slice(0, 8)}/`))
    return refused('the day in the Credential is not that of X-Sdk-Date')

  const block = signedBlock(headers, signedHeaders)
  if (block === undefined) {
    const absent = signedHeaders.find((name) => headerValue(headers, name) === undefined)
    return refused(`the signed header ${absent ?? ''} is missing`)
  }
  const path = canonicalPath(request.rawPath)
  const query = canonicalQuery(request.rawQuery)
  if (path === undefined || query === undefined) return refused('the path or the query is malformed')

  const key = findKey(keyring, accessKeyId, headerValue(headers, 'x-security-token'), nowMs)
  if ('kind' in key) return key
  return new SdkHmac(algorithm, request, credential, key, { date, path, query, block })
}

/** What a signature covers beside the body. */
interface CoveredParts {
  readonly date: string
  readonly path: string
  readonly query: string
  /** The canonical block of the signed headers. */
  readonly block: string
}

/** A signature that waits for the body's hash. */
class SdkHmac implements Signed {
  readonly kind = 'signed'
  readonly principal: Principal
  readonly #algorithm: Algorithm
  readonly #request: SignedRequest
  readonly #credential: Credential
  readonly #secret: KeyObject
  readonly #parts: CoveredParts

  constructor(
    algorithm: Algorithm,
    request: SignedRequest,
    credential: Credential,
    key: AccessKey,
    parts: CoveredParts,
  ) {
    const { accountId, accessKeyId, expiresAtMs } = key
    this.principal = { accountId, accessKeyId, projectId: undefined, expiresAtMs }
    this.#algorithm = algorithm
    this.#request = request
    this.#credential = credential
    this.#secret = key.secret
    this.#parts = parts
  }

  check(bodySha256: string): Refused | undefined {
    const { method, headers } = this.#request
    const { accessKeyId, scope, signedHeaderList, signature } = this.#credential
    const { date, path, query, block } = this.#parts
    const claim = headerValue(headers, 'x-sdk-content-sha256')
    const claimed = claim ?? bodySha256
    const isTaken = claim === undefined || claim === UNSIGNED_PAYLOAD
    if (!isTaken && !constantTimeEqual(claim.toLowerCase(), bodySha256))
      return refused('X-Sdk-Content-Sha256 is not the hash of the body')
    const key = scope === undefined ? this.#secret : derivedKey(accessKeyId, this.#secret, scope)
    const scopeLine = scope === undefined ? '' : `${scope}\n`
    const matches = (canonical: string): boolean => {
      const stringToSign = `${this.#algorithm}\n${date}\n${scopeLine}${sha256HexOfText(canonical)}`
      return constantTimeEqual(hmac('sha256', key, stringToSign, 'hex'), signature)
    }
    const parts = { method, path, query, block, signedHeaders: signedHeaderList, payloadHash: claimed }
    const canonical = canonicalRequest(parts)
    if (matches(canonical)) return undefined
    if (matches(canonicalRequest({ ...parts, path: `/${path}` })))
      return refused(
        'verify aksk signature fail: the client signed a path with two slashes at its beginning; take the slash off the end of its endpoint',
      )
    const shown = canonical.slice(0, MAX_SHOWN_CHARS).replaceAll('\n', '|')
    return refused(`verify aksk signature fail, canonicalRequest:${shown}`)
  }
}

/** Splits the three fields, each of which must be there once. */
function readCredential(algorithm: Algorithm, text: string): Credential | undefined {
  const [identity, signedHeaderList = '', signature] = parseAuthorizationFields(text, FIELDS[algorithm]) ?? []
  const signedHeaders = parseSignedHeaders(signedHeaderList, MAX_SIGNED_HEADERS)
  if (!identity || !signature || signedHeaders === undefined) return undefined
  const slash = algorithm === 'SDK-HMAC-SHA256' ? identity.length : identity.indexOf('/')
  const accessKeyId = identity.slice(0, Math.max(slash, 0))
  if (accessKeyId === '' || accessKeyId.length > MAX_ACCESS_KEY_ID_CHARS) return undefined
  const scope = slash === identity.length ? undefined : identity.slice(slash + 1)
  if (scope !== undefined && !/^\d{8}\/[^/]{1,64}\/[^/]{1,64}$/.test(scope)) return undefined
  return { accessKeyId, scope, signedHeaders, signedHeaderList, signature }
}

/** An empty token counts as none: some clients always send the header. */
function findKey(
  keyring: KeyRing,
  accessKeyId: string,
  securityToken: string | undefined,
  nowMs: number,
): AccessKey | Refused {
  const lookup = keyring.find(accessKeyId, securityToken || undefined, nowMs)
  switch (lookup.kind) {
    case 'found':
      return lookup.key
    case 'expired':
      return refused(`Get secretKey failed,ak:${accessKeyId},err:the security token has expired`)
    case 'bad-token':
      return refused(
        `Get secretKey failed,ak:${accessKeyId},err:the security token is missing or not its own`,
      )
    case 'unknown':
      return refused(`Get secretKey failed,ak:${accessKeyId},err:ak not exist`)
  }
}

/**
 * The hex text of `HMAC(prk, scope ‖ 0x01)` with `prk = HMAC(access key, secret)`: the one step of HKDF that the vendor's
 * derived signer takes; the text, not the bytes, is the key.
 */
function derivedKey(accessKeyId: string, secret: KeyObject, scope: string): Buffer {
  const prk = createHmac('sha256', accessKeyId).update(secret.export()).digest()
  return Buffer.from(createHmac('sha256', prk).update(`${scope}\u0001`).digest('hex'))
}

/** Calls of one function have the same path again and again. */
const canonicalPath = memoised(makeCanonicalPath, { entries: 512, characters: 512 })

/** Each segment decoded and encoded again, so that `:` and `%3A` are one; a slash at the end. */
function makeCanonicalPath(rawPath: string): string | undefined {
  let path = rawPath
  if (!PLAIN_PATH.test(rawPath)) {
    const segments = rawPath.split('/')
    for (const [index, segment] of segments.entries()) {
      const text = percentDecode(segment)
      if (text === undefined) return undefined
      segments[index] = percentEncode(text)
    }
    path = segments.join('/')
  }
  return path.endsWith('/') ? path : `${path}/`
}

/** Pairs in the order of their decoded keys, those of one key in the order of their values. */
function canonicalQuery(rawQuery: string): string | undefined {
  if (rawQuery === '') return ''
  return parseQuery(rawQuery, MAX_QUERY_PAIRS)
    ?.sort((a, b) => compare(a.key, b.key) || compare(a.value, b.value))
    .map(({ key, value }) => `${percentEncode(key)}=${percentEncode(value)}`)
    .join('&')
}

/** By code unit. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** `YYYYMMDDTHHMMSSZ` → epoch milliseconds. */
function parseCompactDate(text: string): number | undefined {
  if (text.length !== 16) return undefined
  const date = `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6, 11)}:${text.slice(11, 13)}:${text.slice(13)}`
  return parseIsoSeconds(date)
}

/** Nothing in it is encoded differently. */
const PLAIN_PATH = /^[A-Za-z0-9\-._~/]*$/
