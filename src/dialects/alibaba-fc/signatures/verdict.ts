import type { RequestHeaders } from '../../../auth/headers.ts'
import type { AccessKey, KeyRing } from '../../../auth/keyring.ts'

/** The head of a request, as far as signatures cover it. */
export interface SignedRequest {
  readonly method: string
  /** Path as sent, percent-encoding untouched, without the query. */
  readonly rawPath: string
  /** Query as sent, without the `?`. */
  readonly rawQuery: string
  /** Lower-case names, as Node delivers them. */
  readonly headers: RequestHeaders
}

export interface Accepted {
  readonly kind: 'accepted'
  readonly principal: { readonly accountId: string; readonly accessKeyId: string }
  /** Lower-case hex. When set, the signature covers this hash and the body must be compared with it. */
  readonly bodySha256?: string
}

export interface Refused {
  readonly kind: 'refused'
  readonly status: number
  /** The vendor's error code. */
  readonly code: string
  readonly message: string
  /** What the server would have signed, when a signature did not match: a client compares it with its own. */
  readonly stringToSign?: string
}

export type AuthVerdict = Accepted | Refused

/** How far a request's date may be from the server's clock. Source: the vendor's signature documentation. */
const MAX_CLOCK_SKEW_MS = 15 * 60 * 1000

/** Longest access key id that is looked up, in characters. */
const MAX_ACCESS_KEY_ID_LENGTH = 128

export function accepted(key: AccessKey, bodySha256?: string): Accepted {
  const principal = { accountId: key.accountId, accessKeyId: key.accessKeyId }
  return bodySha256 === undefined
    ? { kind: 'accepted', principal }
    : { kind: 'accepted', principal, bodySha256 }
}

export function missingHeader(name: string): Refused {
  const message = `required HTTP header ${name} was not specified`
  return { kind: 'refused', status: 400, code: 'MissingRequiredHeader', message }
}

/** Something in the request that the signature depends on cannot be read. */
export function malformed(message: string): Refused {
  return { kind: 'refused', status: 400, code: 'InvalidArgument', message }
}

export function accessDenied(message: string): Refused {
  return { kind: 'refused', status: 403, code: 'AccessDenied', message }
}

export function signatureMismatch(stringToSign: string): Refused {
  const message =
    'The request signature we calculated does not match the signature you provided. Check your access key and signing method'
  return { kind: 'refused', status: 403, code: 'SignatureNotMatch', message, stringToSign }
}

/** Refuses a request whose date is too far from the clock; undefined when it is near enough. */
export function refuseSkew(signedAtMs: number, dateText: string, nowMs: number): Refused | undefined {
  if (Math.abs(nowMs - signedAtMs) <= MAX_CLOCK_SKEW_MS) return undefined
  const now = new Date(nowMs).toUTCString()
  return accessDenied(
    `the difference between the request time '${dateText}' and the current time '${now}' is too large`,
  )
}

/** Whether a text from the request can be an access key id at all. */
export function isAccessKeyId(text: string): boolean {
  return text !== '' && text.length <= MAX_ACCESS_KEY_ID_LENGTH
}

/**
 * The key a request names, or why it is refused.
 *
 * @param securityToken An empty one counts as none: some of the vendor's clients always send the header.
 */
export function findKey(
  keyring: KeyRing,
  accessKeyId: string,
  securityToken: string | undefined,
  nowMs: number,
): { readonly kind: 'found'; readonly key: AccessKey } | Refused {
  const lookup = keyring.find(accessKeyId, securityToken === '' ? undefined : securityToken, nowMs)
  if (lookup.kind === 'found') return lookup
  if (lookup.kind === 'expired') return accessDenied('the security token has expired')
  if (lookup.kind === 'bad-token') {
    return accessDenied(`the security token does not belong to access key ID '${accessKeyId}'`)
  }
  const message = `invalid access key ID '${accessKeyId}'`
  return { kind: 'refused', status: 403, code: 'InvalidAccessKeyID', message }
}
