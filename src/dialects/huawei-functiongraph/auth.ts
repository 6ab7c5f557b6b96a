import { headerValue } from '../../auth/headers.ts'
import type { KeyRing } from '../../auth/keyring.ts'
import type { Tokens } from './iam/tokens.ts'
import { verifySdkHmac } from './signatures/sdk-hmac.ts'
import { refused, type AuthVerdict, type SignedRequest } from './signatures/verdict.ts'

export type { AuthVerdict, Principal, SignedRequest } from './signatures/verdict.ts'

/** Longest Authorization header that is looked at, in characters. Those of the vendor's clients have below 500. */
const MAX_AUTHORIZATION_LENGTH = 4096

const SCHEMES = ['SDK-HMAC-SHA256', 'V11-HMAC-SHA256'] as const

/**
 * Says who a request acts for, from its head alone. Never throws, whatever the request holds.
 *
 * A signature goes before a token. Nonces are not remembered: a signed request can be repeated for 15 minutes.
 *
 * @param nowMs The server's clock, epoch milliseconds.
 */
export function authenticate(
  request: SignedRequest,
  keyring: KeyRing,
  tokens: Tokens,
  nowMs: number,
): AuthVerdict {
  const authorization = headerValue(request.headers, 'authorization')
  if (authorization === undefined) return byToken(request, tokens, nowMs)
  if (authorization.length > MAX_AUTHORIZATION_LENGTH) return refused('Authorization is too long')
  const scheme = SCHEMES.find((name) => authorization.startsWith(`${name} `))
  if (scheme === undefined) return byToken(request, tokens, nowMs)
  return verifySdkHmac(scheme, request, authorization.slice(scheme.length + 1), keyring, nowMs)
}

/** Whether an Authorization header is signed the way this vendor's clients do, and no other vendor's. */
export function hasOwnScheme(authorization: string | undefined): boolean {
  return authorization !== undefined && SCHEMES.some((name) => authorization.startsWith(`${name} `))
}

function byToken({ headers }: SignedRequest, tokens: Tokens, nowMs: number): AuthVerdict {
  const text = headerValue(headers, 'x-auth-token')
  if (text === undefined || text === '')
    return refused('neither X-Auth-Token nor an AK/SK signature was sent')
  const token = tokens.read(text, nowMs)
  if (token === undefined) return refused('decrypt token fail')
  const { accountId, accessKeyId, project, expiresAtMs } = token
  return { kind: 'accepted', principal: { accountId, accessKeyId, projectId: project?.id, expiresAtMs } }
}
