import type { AccessKey, KeyRing } from '../../../auth/keyring.ts'
import type { RequestHeaders } from '../../../auth/headers.ts'
import { ScfError } from '../errors.ts'

/** How far a request's time may be from the server's clock, seconds. Source: the vendor's signature documentation. */
const MAX_CLOCK_SKEW_S = 300

/** Longest key id that is looked up, characters. */
const MAX_SECRET_ID_CHARS = 128

/** Host headers that a signature is checked for. One with a path in it could stand for a part of what was signed after the host. */
const HOST = /^[A-Za-z0-9.:[\]_-]{1,255}$/

const PUBLIC_HOST = 'scf.tencentcloudapi.com'

const REGION = /^[a-z0-9-]{1,64}$/

/** The head of a request, as far as signatures cover it. */
export interface SignedHead {
  readonly method: string
  /** Query as sent, without the `?`. */
  readonly rawQuery: string
  /** Lower-case names, as Node delivers them. */
  readonly headers: RequestHeaders
}

/** @throws {ScfError} `AuthFailure.SignatureExpire` */
export function requireFreshTime(timestampS: number, nowMs: number): void {
  if (Math.abs(nowMs / 1000 - timestampS) <= MAX_CLOCK_SKEW_S) return
  throw new ScfError(
    'AuthFailure.SignatureExpire',
    `the timestamp ${timestampS} is more than ${MAX_CLOCK_SKEW_S} seconds from this server's clock, which is at ${Math.floor(nowMs / 1000)}`,
  )
}

/** Whole seconds since 1970 as text; undefined for anything else. */
export function parseTimestamp(text: string): number | undefined {
  return /^\d{1,11}$/.test(text) ? Number(text) : undefined
}

/**
 * The key a request names.
 *
 * @param token An empty one counts as none.
 * @throws {ScfError} `AuthFailure.SecretIdNotFound`, `AuthFailure.TokenFailure`
 */
export function findKey(
  keyring: KeyRing,
  secretId: string,
  token: string | undefined,
  nowMs: number,
): AccessKey {
  const lookup =
    secretId.length > MAX_SECRET_ID_CHARS
      ? undefined
      : keyring.find(secretId, token === '' ? undefined : token, nowMs)
  switch (lookup?.kind) {
    case 'found':
      return lookup.key
    case 'expired':
      throw new ScfError('AuthFailure.TokenFailure', 'the token has expired')
    case 'bad-token':
      throw new ScfError('AuthFailure.TokenFailure', 'the token does not belong to the SecretId')
    case 'unknown':
    case undefined:
      throw new ScfError('AuthFailure.SecretIdNotFound', 'the SecretId is not known to this server')
  }
}

/** The first of {@link signedHosts}, which it nearly always is: found without looking for the others. */
export function likeliestHost(host: string | undefined): string {
  return host !== undefined && HOST.test(host) ? host : PUBLIC_HOST
}

/**
 * The hosts a request may have been signed for: what clients sign is their configured endpoint with or without its port,
 * or a public name that leads here.
 *
 * @param host The Host header.
 * @param region The region the request names; it is part of one public name.
 */
export function* signedHosts(host: string | undefined, region: string | undefined): Generator<string> {
  const first = likeliestHost(host)
  yield first
  if (first === host) {
    const name = host.replace(/:\d+$/, '')
    if (name !== host) yield name
  }
  yield PUBLIC_HOST
  if (region !== undefined && REGION.test(region)) yield `scf.${region}.tencentcloudapi.com`
  yield 'scf.internal.tencentcloudapi.com'
  yield 'scf.intl.tencentcloudapi.com'
  yield 'scf.api.qcloud.com'
}

/** The words of the service, and which hosts were tried: the most common mistake. */
export function signatureFailure(host: string | undefined, region: string | undefined): ScfError {
  const hosts = [...new Set(signedHosts(host, region))]
  return new ScfError(
    'AuthFailure.SignatureFailure',
    'The provided credentials could not be validated. Please check your signature is correct. ' +
      `This server tried the hosts ${hosts.join(', ')}.`,
  )
}
