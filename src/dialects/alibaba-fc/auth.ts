import { headerValue } from '../../auth/headers.ts'
import type { KeyRing } from '../../auth/keyring.ts'
import { ACS3, ACS4, verifyAcs } from './signatures/acs.ts'
import { isPresigned, verifyFc, verifyPresignedFc } from './signatures/fc.ts'
import { verifyRoa } from './signatures/roa.ts'
import { malformed, missingHeader, type AuthVerdict, type SignedRequest } from './signatures/verdict.ts'

export type { AuthVerdict, SignedRequest } from './signatures/verdict.ts'

/** Longest Authorization header that is looked at, in characters. Those of the vendor's clients have below 500. */
const MAX_AUTHORIZATION_LENGTH = 4096

/**
 * Says who signed a request, from its head alone. Never throws, whatever the request holds.
 *
 * | Authorization | clients | covers the body |
 * |---|---|---|
 * | `FC …`, or a presigned URL | 2016-08-15; HTTP triggers of FC 2.0 | no |
 * | `ACS3-HMAC-SHA256 …` | 2021-04-06 and 2023-03-30 | by its hash |
 * | `acs …` | the same, set to signature v2 | no |
 * | `ACS4-HMAC-SHA256 …` | the same, with a gateway client | by its hash |
 *
 * Dates may be 15 minutes off. Nonces are not remembered: a request can be repeated within that time.
 *
 * @param nowMs The server's clock, epoch milliseconds.
 * @returns Once the body has been read, an accepted verdict's `bodySha256` must be compared with its hash.
 */
export function authenticate(request: SignedRequest, keyring: KeyRing, nowMs: number): AuthVerdict {
  const authorization = headerValue(request.headers, 'authorization')
  if (authorization === undefined) {
    return isPresigned(request) ? verifyPresignedFc(request, keyring, nowMs) : missingHeader('Authorization')
  }
  if (authorization.length > MAX_AUTHORIZATION_LENGTH) {
    return malformed('the HTTP header Authorization is too long')
  }
  const space = authorization.indexOf(' ')
  const rest = authorization.slice(space + 1)
  switch (space === -1 ? '' : authorization.slice(0, space)) {
    case 'FC':
      return verifyFc(request, rest, keyring, nowMs)
    case ACS3.algorithm:
      return verifyAcs(ACS3, request, rest, keyring, nowMs)
    case ACS4.algorithm:
      return verifyAcs(ACS4, request, rest, keyring, nowMs)
    case 'acs':
      return verifyRoa(request, rest, keyring, nowMs)
    default:
      return malformed('the scheme of the HTTP header Authorization is not supported')
  }
}

/** Whether an Authorization header is signed the way this vendor's clients do, and no other vendor's. */
export function hasOwnScheme(authorization: string | undefined): boolean {
  return authorization !== undefined && /^(?:FC|ACS3-HMAC-SHA256|ACS4-HMAC-SHA256|acs) /.test(authorization)
}
