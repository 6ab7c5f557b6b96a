import { constantTimeEqual } from '../../../auth/compare.ts'
import { hmac } from '../../../auth/digest.ts'
import { headerBlock, headerNamesWithPrefix, headerValue } from '../../../auth/headers.ts'
import type { AccessKey, KeyRing } from '../../../auth/keyring.ts'
import { percentDecode } from '../../../auth/percent.ts'
import { parseQuery, type QueryPair } from '../../../auth/query.ts'
import { parseHttpDate } from '../../../auth/timestamps.ts'
import { MAX_QUERY_PAIRS } from '../../../intake/request-head.ts'
import {
  accepted,
  accessDenied,
  findKey,
  isAccessKeyId,
  malformed,
  missingHeader,
  refuseSkew,
  signatureMismatch,
  type AuthVerdict,
  type SignedRequest,
} from './verdict.ts'

/** The short form of an invocation's path, and its long form without the version. */
const BARE_INVOCATION = /^\/services\/[^/]+\/functions\/[^/]+(?:\/invocations)?$/

/** Furthest expiry of a presigned URL. The vendor publishes none: 7 days are ours. */
const MAX_PRESIGNED_MS = 7 * 86_400_000

const API_BASES = ['/2016-08-15/', '/2021-04-06/', '/2023-03-30/']

/**
 * Checks `Authorization: FC {id}:{base64 HMAC-SHA256}`, the signature of the 2016-08-15 clients.
 *
 * @param credentials What follows `FC `.
 */
export function verifyFc(
  request: SignedRequest,
  credentials: string,
  keyring: KeyRing,
  nowMs: number,
): AuthVerdict {
  const { headers, rawPath } = request
  const colon = credentials.indexOf(':')
  const accessKeyId = credentials.slice(0, Math.max(colon, 0))
  if (!isAccessKeyId(accessKeyId)) return malformed('the HTTP header Authorization is malformed')

  // Clients that may not set Date send X-Fc-Date, and sign it in the place of Date.
  const date = headerValue(headers, 'x-fc-date') ?? headerValue(headers, 'date')
  if (date === undefined) return missingHeader('Date')
  const signedAtMs = parseHttpDate(date)
  if (signedAtMs === undefined) return malformed(`the request time '${date}' is not an HTTP date`)
  const skew = refuseSkew(signedAtMs, date, nowMs)
  if (skew !== undefined) return skew

  const lookup = findKey(keyring, accessKeyId, headerValue(headers, 'x-fc-security-token'), nowMs)
  if (lookup.kind === 'refused') return lookup

  let queries: readonly string[] = ['']
  if (isQuerySigned(rawPath)) {
    const pairs = parseQuery(request.rawQuery, MAX_QUERY_PAIRS)
    if (pairs === undefined) return malformed('the query is malformed')
    queries = isBareApi(rawPath) ? ['', ...querySpellings(pairs)] : querySpellings(pairs)
  }
  return compare(request, lookup.key, date, queries, credentials.slice(colon + 1))
}

/** Whether a request without Authorization carries its signature in the query instead: invocations alone may. */
export function isPresigned({ method, rawPath, rawQuery }: SignedRequest): boolean {
  if (!rawQuery.includes('x-fc-signature=') || !isQuerySigned(rawPath)) return false
  return !isBareApi(rawPath) || (method === 'POST' && BARE_INVOCATION.test(rawPath))
}

/**
 * Checks a presigned URL (`x-fc-access-key-id`, `x-fc-expires`, `x-fc-signature`, and with temporary keys
 * `x-fc-security-token`), which the vendor's clients make for HTTP invocations only.
 */
export function verifyPresignedFc(request: SignedRequest, keyring: KeyRing, nowMs: number): AuthVerdict {
  const pairs = parseQuery(request.rawQuery, MAX_QUERY_PAIRS)
  if (pairs === undefined) return malformed('the query is malformed')
  const accessKeyId = onlyValue(pairs, 'x-fc-access-key-id')
  const signature = onlyValue(pairs, 'x-fc-signature')
  const expires = onlyValue(pairs, 'x-fc-expires')
  const token = onlyValue(pairs, 'x-fc-security-token')
  if (!accessKeyId || !isAccessKeyId(accessKeyId) || !signature || !expires || token === null) {
    return malformed('the presigned URL needs x-fc-access-key-id, x-fc-expires and x-fc-signature once each')
  }
  if (!/^\d{1,12}$/.test(expires)) return malformed('x-fc-expires is not a time in epoch seconds')
  const leftMs = Number(expires) * 1000 - nowMs
  if (leftMs <= 0) return accessDenied('the presigned URL has expired')
  if (leftMs > MAX_PRESIGNED_MS) return accessDenied('the presigned URL expires more than 7 days ahead')

  const lookup = findKey(keyring, accessKeyId, token, nowMs)
  if (lookup.kind === 'refused') return lookup
  const signedPairs = pairs.filter((pair) => pair.key !== 'x-fc-signature')
  return compare(request, lookup.key, expires, querySpellings(signedPairs), signature)
}

/**
 * Whether the query is part of the signature: for HTTP invocations (the proxy paths, and everything outside
 * the API, which is a trigger's or custom domain's own path). API calls leave it unsigned.
 */
function isQuerySigned(rawPath: string): boolean {
  const base = API_BASES.find((prefix) => rawPath.startsWith(prefix))
  return base === undefined || rawPath.startsWith('proxy/', base.length)
}

/** Paths of the API without its version: clients may take them for API calls, or for a function's own path. */
function isBareApi(rawPath: string): boolean {
  return rawPath === '/services' || rawPath.startsWith('/services/')
}

/** Compares a signature with every spelling of the request that the vendor's clients may have signed. */
function compare(
  request: SignedRequest,
  key: AccessKey,
  date: string,
  queries: readonly string[],
  signature: string,
): AuthVerdict {
  const { method, headers, rawPath } = request
  const md5 = headerValue(headers, 'content-md5') ?? ''
  const type = headerValue(headers, 'content-type') ?? ''
  const block = headerBlock(headers, headerNamesWithPrefix(headers, 'x-fc-'))
  const head = `${method}\n${md5}\n${type}\n${date}\n${block}`
  for (const path of pathSpellings(rawPath)) {
    for (const query of queries) {
      const expected = hmac('sha256', key.secret, head + path + query, 'base64')
      if (constantTimeEqual(expected, signature)) return accepted(key)
    }
  }
  return signatureMismatch(`${head}${rawPath}${queries[0] ?? ''}`)
}

/** Node and Go sign the path of an API call as sent; Python and Java, and Go for HTTP invocations, decoded. */
function pathSpellings(rawPath: string): readonly string[] {
  const decoded = percentDecode(rawPath)
  // A decoded line feed could pass for the end of the path and the begin of the signed query.
  return decoded === undefined || decoded === rawPath || /\p{Cc}/u.test(decoded)
    ? [rawPath]
    : [rawPath, decoded]
}

/**
 * The signed form of a query: a line feed, then one decoded `key=value` line for each pair, sorted. A pair
 * sent without `=` was signed with or without it, depending on the client's way of holding it.
 */
function querySpellings(pairs: readonly QueryPair[]): readonly string[] {
  const withEquals = queryLines(pairs, () => true)
  return pairs.some((pair) => pair.rawValue === undefined)
    ? [queryLines(pairs, (pair) => pair.rawValue !== undefined), withEquals]
    : [withEquals]
}

function queryLines(pairs: readonly QueryPair[], hasEquals: (pair: QueryPair) => boolean): string {
  const lines = pairs.map((pair) => (hasEquals(pair) ? `${pair.key}=${pair.value}` : pair.key))
  return `\n${lines.sort().join('\n')}`
}

/** The value of a key: undefined when it is absent, null when it is repeated. */
function onlyValue(pairs: readonly QueryPair[], key: string): string | undefined | null {
  const [first, second] = pairs.filter((pair) => pair.key === key)
  return second === undefined ? first?.value : null
}
