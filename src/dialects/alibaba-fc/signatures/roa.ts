import { canonicalQuery } from '../../../auth/canonical-request.ts'
import { constantTimeEqual } from '../../../auth/compare.ts'
import { hmac } from '../../../auth/digest.ts'
import { headerBlock, headerNamesWithPrefix, headerValue } from '../../../auth/headers.ts'
import type { KeyRing } from '../../../auth/keyring.ts'
import { parseQuery } from '../../../auth/query.ts'
import { parseHttpDate } from '../../../auth/timestamps.ts'
import {
  accepted,
  findKey,
  isAccessKeyId,
  malformed,
  MAX_QUERY_PAIRS,
  missingHeader,
  refuseSkew,
  signatureMismatch,
  type AuthVerdict,
  type SignedRequest,
} from './verdict.ts'

/**
 * Checks `Authorization: acs {id}:{base64 HMAC-SHA1}`, which the OpenAPI clients send when set to
 * `signatureAlgorithm: "v2"`. The body is not signed; query keys and values are signed decoded.
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
