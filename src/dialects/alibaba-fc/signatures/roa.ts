import { canonicalQuery } from '../../../auth/canonical-request.ts'
import { constantTimeEqual } from '../../../auth/compare.ts'
import { hmac } from '../../../auth/digest.ts'
import { headerBlock, headerNamesWithPrefix, headerValue } from '../../../auth/headers.ts'
import type { KeyRing } from '../../../auth/keyring.ts'
import { parseQuery } from '../../../auth/query.ts'
import { parseHttpDate } from '../../../auth/timestamps.ts'
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
  type SignedRequest,
} from './verdict.ts'

/**
 * What would let different queries share a signature, as the pairs are signed decoded: `a=1&b=2` and `a=1%26b%3D2`. Only
 * a key is split at `=`, so a value may hold it.
 */
const AMBIGUOUS_KEY = /[&=\p{Cc}]/u
const AMBIGUOUS_VALUE = /[&\p{Cc}]/u

/**
 * Checks `Authorization: acs {id}:{base64 HMAC-SHA1}`, which the OpenAPI clients send when set to
 * `signatureAlgorithm: "v2"`. The body is not signed; query keys and values are signed decoded,
 * so queries that would read like others are refused.
 *
 * @param credentials What follows `acs `.
 */
export function verifyRoa(
  request: SignedRequest,
  credentials: string,
  keyring: KeyRing,
  nowMs: number,
): AuthVerdict {
  const { method, rawPath, headers } = request
  const colon = credentials.indexOf(':')
  const accessKeyId = credentials.slice(0, Math.max(colon, 0))
  if (!isAccessKeyId(accessKeyId)) return malformed('the HTTP header Authorization is malformed')

  const date = headerValue(headers, 'date')
  if (date === undefined) return missingHeader('Date')
  const signedAtMs = parseHttpDate(date)
  if (signedAtMs === undefined) return malformed(`the request time '${date}' is not an HTTP date`)
  const skew = refuseSkew(signedAtMs, date, nowMs)
  if (skew !== undefined) return skew

  const lookup = findKey(keyring, accessKeyId, headerValue(headers, 'x-acs-security-token'), nowMs)
  if (lookup.kind === 'refused') return lookup

  const pairs = parseQuery(request.rawQuery, MAX_QUERY_PAIRS)
  if (pairs === undefined) return malformed('the query is malformed')
  if (pairs.some(({ key, value }) => AMBIGUOUS_KEY.test(key) || AMBIGUOUS_VALUE.test(value)))
    return malformed(
      'the query holds characters that this signature cannot tell apart; use another signature',
    )
  const query = canonicalQuery(pairs, (pair) => `${pair.key}=${pair.value}`)
  const slots = ['accept', 'content-md5', 'content-type', 'date'].map(
    (name) => headerValue(headers, name) ?? '',
  )
  const block = headerBlock(headers, headerNamesWithPrefix(headers, 'x-acs-'))
  const resource = query === '' ? rawPath : `${rawPath}?${query}`
  const stringToSign = `${method}\n${slots.join('\n')}\n${block}${resource}`

  const expected = hmac('sha1', lookup.key.secret, stringToSign, 'base64')
  return constantTimeEqual(expected, credentials.slice(colon + 1))
    ? accepted(lookup.key)
    : signatureMismatch(stringToSign)
}
