import { parseAuthorizationFields } from '../../../auth/authorization-fields.ts'
import type { KeyObject } from 'node:crypto'
import { canonicalQuery, canonicalRequest } from '../../../auth/canonical-request.ts'
import { constantTimeEqual } from '../../../auth/compare.ts'
import { deriveKey, hmac, sha256HexOfText } from '../../../auth/digest.ts'
import { headerValue, parseSignedHeaders, signedBlock } from '../../../auth/headers.ts'
import type { KeyRing } from '../../../auth/keyring.ts'
import { percentEncode } from '../../../auth/percent.ts'
import { parseQuery, type QueryPair } from '../../../auth/query.ts'
import { parseIsoSeconds } from '../../../auth/timestamps.ts'
import { MAX_QUERY_PAIRS } from '../../../intake/request-head.ts'
import {
  accepted,
  findKey,
  isAccessKeyId,
  malformed,
  missingHeader,
  refuseSkew,
  signatureMismatch,
  type AuthVerdict,
  type Refused,
  type SignedRequest,
} from './verdict.ts'

/** Most names in a list of signed headers. The vendor's clients sign about ten. */
const MAX_SIGNED_HEADERS = 64

/** What tells the two header-list schemes apart. */
interface AcsScheme {
  /** First line of the string to sign, and first word of the Authorization header. */
  readonly algorithm: string
  /** Reads the Credential field; undefined when it is malformed or not of the date's day. */
  readCredential(credential: string, date: string): AcsCredential | undefined
  /** One pair of the canonical query. */
  renderPair(pair: QueryPair): string
}

interface AcsCredential {
  readonly accessKeyId: string
  /** The keys a client may have signed with. */
  signingKeys(secret: KeyObject): readonly (KeyObject | Buffer)[]
}

/** The default of the 2021 and 2023 clients. */
export const ACS3: AcsScheme = {
  algorithm: 'ACS3-HMAC-SHA256',
  readCredential: (accessKeyId) => ({ accessKeyId, signingKeys: (secret) => [secret] }),
  // The clients do not encode keys. One that would read as several pairs is encoded here, so that a signed
  // `a=1&b=2` cannot be replayed as the single key `a=1&b`.
  renderPair: ({ key, value }) =>
    `${/[&=\p{Cc}]/u.test(key) ? percentEncode(key) : key}=${percentEncode(value)}`,
}

/** Sent by clients that were given a gateway client by hand. */
export const ACS4: AcsScheme = {
  algorithm: 'ACS4-HMAC-SHA256',
  readCredential: readScopedCredential,
  renderPair: ({ key, value }) =>
    value === '' ? percentEncode(key) : `${percentEncode(key)}=${percentEncode(value)}`,
}

/**
 * Checks `{algorithm} Credential=…,SignedHeaders=…,Signature={hex}`.
 *
 * The signature covers the hash of the body in `x-acs-content-sha256`, not the body itself: the verdict
 * hands it on. `host` and every `x-acs-*` header of the request must be among the signed ones.
 *
 * @param fields What follows the algorithm in the Authorization header.
 */
export function verifyAcs(
  scheme: AcsScheme,
  request: SignedRequest,
  fields: string,
  keyring: KeyRing,
  nowMs: number,
): AuthVerdict {
  const { headers } = request
  const authorization = parseFields(fields)
  if (authorization === undefined) return malformed('the HTTP header Authorization is malformed')

  const date = headerValue(headers, 'x-acs-date')
  if (date === undefined) return missingHeader('x-acs-date')
  const signedAtMs = parseIsoSeconds(date)
  if (signedAtMs === undefined) {
    return malformed(`the request time '${date}' does not have the form YYYY-MM-DDTHH:MM:SSZ`)
  }
  const skew = refuseSkew(signedAtMs, date, nowMs)
  if (skew !== undefined) return skew

  const credential = scheme.readCredential(authorization.credential, date)
  if (credential === undefined || !isAccessKeyId(credential.accessKeyId)) {
    return malformed('the Credential in the HTTP header Authorization is malformed')
  }
  const bodySha256 = headerValue(headers, 'x-acs-content-sha256')
  if (bodySha256 === undefined) return missingHeader('x-acs-content-sha256')
  if (!/^[0-9a-f]{64}$/.test(bodySha256)) {
    return malformed('the HTTP header x-acs-content-sha256 is not the hex SHA-256 of the body')
  }
  const signedHeaders = readSignedHeaders(request, authorization.signedHeaders)
  if ('kind' in signedHeaders) return signedHeaders
  const query = canonicalQueryOf(scheme, request.rawQuery)
  if (query === undefined) return malformed('the query is malformed')

  const lookup = findKey(keyring, credential.accessKeyId, headerValue(headers, 'x-acs-security-token'), nowMs)
  if (lookup.kind === 'refused') return lookup

  const canonical = canonicalRequest({
    method: request.method,
    path: canonicalPath(request.rawPath),
    query,
    block: signedHeaders.block,
    signedHeaders: authorization.signedHeaders,
    payloadHash: bodySha256,
  })
  const stringToSign = `${scheme.algorithm}\n${sha256HexOfText(canonical)}`
  for (const key of credential.signingKeys(lookup.key.secret)) {
    const expected = hmac('sha256', key, stringToSign, 'hex')
    if (constantTimeEqual(expected, authorization.signature)) return accepted(lookup.key, bodySha256)
  }
  // The string to sign is little but a hash of the canonical request; a client needs to see what was hashed.
  return signatureMismatch(`${stringToSign}\n\n${canonical}`)
}

/** Splits the three fields, each of which must be there once. */
function parseFields(
  text: string,
): { credential: string; signedHeaders: string; signature: string } | undefined {
  const [credential, signedHeaders, signature] =
    parseAuthorizationFields(text, ['Credential', 'SignedHeaders', 'Signature']) ?? []
  if (!credential || !signedHeaders || !signature) return undefined
  return { credential, signedHeaders, signature }
}

/** Undefined when the query is malformed. */
function canonicalQueryOf(scheme: AcsScheme, rawQuery: string): string | undefined {
  if (rawQuery === '') return ''
  const pairs = parseQuery(rawQuery, MAX_QUERY_PAIRS)
  return pairs && canonicalQuery(pairs, (pair) => scheme.renderPair(pair))
}

/** The canonical block of the signed headers, after making sure that nothing that matters is left out. */
function readSignedHeaders(request: SignedRequest, list: string): { readonly block: string } | Refused {
  const { headers } = request
  const names = parseSignedHeaders(list, MAX_SIGNED_HEADERS)
  if (names === undefined) {
    return malformed('SignedHeaders must be lower-case names in ascending order, each once')
  }
  if (!names.includes('host')) return unsigned('host')
  for (const name in headers)
    if (name.startsWith('x-acs-') && headers[name] !== undefined && !names.includes(name))
      return unsigned(name)
  const block = signedBlock(headers, names)
  if (block !== undefined) return { block }
  return missingHeader(names.find((name) => headerValue(headers, name) === undefined) ?? '')
}

function unsigned(name: string): Refused {
  return malformed(`the HTTP header ${name} must be among SignedHeaders`)
}

/** The path as sent, in the one spelling the clients sign. */
function canonicalPath(rawPath: string): string {
  if (!/[+*%]/.test(rawPath)) return rawPath
  return rawPath.replaceAll('+', '%20').replaceAll('*', '%2A').replaceAll('%7E', '~')
}

/** Reads `{id}/{YYYYMMDD}/{region}/{product}/aliyun_v4_request`. */
function readScopedCredential(credential: string, date: string): AcsCredential | undefined {
  const day = date.slice(0, 10).replaceAll('-', '')
  const [accessKeyId, ...scopes] = credential.split('/', 6)
  const [scopeDay, region, product, terminator] = scopes
  if (accessKeyId === undefined || scopes.length !== 4 || scopeDay !== day || !region) return undefined
  // The 2021 clients name the product FC-Open, the 2023 ones FC.
  if (product !== 'FC-Open' && product !== 'FC') return undefined
  if (terminator !== 'aliyun_v4_request') return undefined
  return {
    accessKeyId,
    signingKeys: (secret) => {
      const initialKey = Buffer.concat([Buffer.from('aliyun_v4'), secret.export()])
      return [deriveKey(initialKey, scopes), deriveKeyAsText(initialKey, scopes)]
    },
  }
}

/**
 * The key chain of the Node client (gateway-pop 0.0.6), which holds every key as UTF-8 text: bytes that are
 * not UTF-8 become U+FFFD before the next step.
 */
function deriveKeyAsText(initialKey: Buffer, scopes: readonly string[]): Buffer {
  let key = initialKey
  for (const scope of scopes) key = Buffer.from(deriveKey(key, [scope]).toString())
  return key
}
