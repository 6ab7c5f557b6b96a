import type { KeyObject } from 'node:crypto'
import { constantTimeEqual } from './compare.ts'
import { signingKey } from './digest.ts'
import { TemporaryIssuer, type TemporaryCredentials } from './temporary.ts'

/** A credential as configured. */
export interface StaticCredential {
  readonly accessKeyId: string
  readonly accessKeySecret: string
  readonly accountId: string
  /** When set, every request must carry it. */
  readonly securityToken?: string
}

/** A key that may sign requests. */
export interface AccessKey {
  readonly accessKeyId: string
  readonly accountId: string
  readonly secret: KeyObject
  /** When set, the request carried this token. */
  readonly securityToken?: string
  /** Epoch milliseconds; absent for keys that do not expire. */
  readonly expiresAtMs?: number
}

export type KeyLookup =
  | { readonly kind: 'found'; readonly key: AccessKey }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'expired' }
  /** The key exists, and the security token is missing, wrong, or not its own. */
  | { readonly kind: 'bad-token' }

const UNKNOWN: KeyLookup = Object.freeze({ kind: 'unknown' })
const EXPIRED: KeyLookup = Object.freeze({ kind: 'expired' })
const BAD_TOKEN: KeyLookup = Object.freeze({ kind: 'bad-token' })

/** The keys a server accepts: those configured, and temporary ones it issued itself. */
export class KeyRing {
  readonly #static = new Map<string, { found: KeyLookup; securityToken: string | undefined }>()
  readonly #issuer: TemporaryIssuer

  /**
   * @param credentials Keys configured by the operator.
   * @param temporarySigningKey At least 32 bytes. Temporary credentials are accepted by every ring that
   *   has the same one.
   * @throws {RangeError} A repeated access key id, an empty field, or too short a signing key.
   */
  constructor(credentials: Iterable<StaticCredential>, temporarySigningKey: Uint8Array) {
    this.#issuer = new TemporaryIssuer(temporarySigningKey)
    for (const { accessKeyId, accessKeySecret, accountId, securityToken } of credentials) {
      if (accessKeyId === '' || accessKeySecret === '' || accountId === '' || securityToken === '') {
        throw new RangeError(`the credential with access key id '${accessKeyId}' has an empty field`)
      }
      if (this.#static.has(accessKeyId)) {
        throw new RangeError(`the access key id '${accessKeyId}' is configured twice`)
      }
      const key: AccessKey = {
        accessKeyId,
        accountId,
        secret: signingKey(accessKeySecret),
        ...(securityToken === undefined ? {} : { securityToken }),
      }
      this.#static.set(accessKeyId, { found: { kind: 'found', key }, securityToken })
    }
  }

  /**
   * Finds the key a request names. Never throws.
   *
   * @param securityToken The request's token, undefined when it carries none. A key without a token is not
   *   found with one: the request was meant for another key.
   */
  find(accessKeyId: string, securityToken: string | undefined, nowMs: number): KeyLookup {
    const entry = this.#static.get(accessKeyId)
    if (entry === undefined) return this.#findTemporary(accessKeyId, securityToken, nowMs)
    const { found, securityToken: required } = entry
    if (required === undefined) return securityToken === undefined ? found : BAD_TOKEN
    return securityToken !== undefined && constantTimeEqual(securityToken, required) ? found : BAD_TOKEN
  }

  /**
   * Issues credentials that act for an account until they expire. Nothing is stored; they cannot be revoked
   * but by another signing key.
   *
   * @param request.sessionName Who holds them, for the record: 1 … 128 characters, as the account id.
   * @param request.ttlMs 1 … 129 600 000 (36 hours).
   * @throws {RangeError} A value out of its range.
   */
  issueTemporary(
    request: { readonly accountId: string; readonly sessionName: string; readonly ttlMs: number },
    nowMs: number,
  ): TemporaryCredentials {
    return this.#issuer.issue(request.accountId, request.sessionName, request.ttlMs, nowMs)
  }

  #findTemporary(accessKeyId: string, securityToken: string | undefined, nowMs: number): KeyLookup {
    if (!accessKeyId.startsWith('STS.')) return UNKNOWN
    const token = securityToken === undefined ? undefined : this.#issuer.read(securityToken)
    if (securityToken === undefined || token === undefined) return BAD_TOKEN
    const { accountId, expiresAtMs } = token.claims
    if (token.claims.accessKeyId !== accessKeyId) return BAD_TOKEN
    if (expiresAtMs <= nowMs) return EXPIRED
    const secret = signingKey(token.secret)
    return { kind: 'found', key: { accessKeyId, accountId, secret, securityToken, expiresAtMs } }
  }
}
