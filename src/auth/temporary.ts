import { randomBytes, type KeyObject } from 'node:crypto'
import { constantTimeEqual } from './compare.ts'
import { hmac, signingKey } from './digest.ts'

/** Longest token that is looked at, in characters. Ours are below 700. */
const MAX_TOKEN_LENGTH = 1024
/** Longest account id or session name, in characters. */
const MAX_NAME_LENGTH = 128
/** Longest life of temporary credentials: 36 hours. Source: AWS STS GetSessionToken, the longest of the vendors. */
const MAX_TTL_MS = 36 * 60 * 60 * 1000

/** What a token says. It is readable by anyone and can be made only with the ring's signing key. */
export interface TemporaryClaims {
  readonly accessKeyId: string
  readonly accountId: string
  readonly sessionName: string
  /** Epoch milliseconds. */
  readonly expiresAtMs: number
}

export interface TemporaryCredentials {
  /** Begins with `STS.`, which some clients take as the sign that a token must be sent. */
  readonly accessKeyId: string
  readonly accessKeySecret: string
  readonly securityToken: string
  /** Epoch milliseconds. */
  readonly expiresAtMs: number
}

/**
 * Makes and checks temporary credentials without storing them.
 *
 * A token is `base64url(JSON claims) . HMAC(claims)`; the secret is another HMAC of the same claims, so
 * whoever sees a token on the wire learns neither.
 */
export class TemporaryIssuer {
  readonly #tokenKey: KeyObject
  readonly #secretKey: KeyObject

  /** @param key At least 32 bytes, kept across restarts for credentials to outlive one. */
  constructor(key: Uint8Array) {
    if (key.byteLength < 32)
      throw new RangeError('the signing key of temporary credentials has under 32 bytes')
    const root = signingKey(key)
    this.#tokenKey = signingKey(hmac('sha256', root, 'temporary-credentials/1/token', 'base64url'))
    this.#secretKey = signingKey(hmac('sha256', root, 'temporary-credentials/1/secret', 'base64url'))
  }

  /** @throws {RangeError} See `KeyRing.issueTemporary`. */
  issue(accountId: string, sessionName: string, ttlMs: number, nowMs: number): TemporaryCredentials {
    if (!(ttlMs >= 1 && ttlMs <= MAX_TTL_MS)) throw new RangeError(`ttlMs is not in 1 … ${MAX_TTL_MS}`)
    for (const name of [accountId, sessionName]) {
      if (name.length < 1 || name.length > MAX_NAME_LENGTH) {
        throw new RangeError(`accountId and sessionName have 1 … ${MAX_NAME_LENGTH} characters`)
      }
    }
    const accessKeyId = `STS.${randomBytes(16).toString('base64url')}`
    const expiresAtMs = nowMs + ttlMs
    const claims: TemporaryClaims = { accessKeyId, accountId, sessionName, expiresAtMs }
    const payload = Buffer.from(JSON.stringify(claims)).toString('base64url')
    const securityToken = `${payload}.${this.#sign(payload)}`
    if (securityToken.length > MAX_TOKEN_LENGTH)
      throw new RangeError('accountId and sessionName are too long')
    return { accessKeyId, accessKeySecret: this.#secretOf(payload), securityToken, expiresAtMs }
  }

  /**
   * Checks a token's signature, not its age.
   *
   * @returns Undefined unless this issuer, or another with the same key, made the token.
   */
  read(securityToken: string): { claims: TemporaryClaims; secret: string } | undefined {
    if (securityToken.length > MAX_TOKEN_LENGTH) return undefined
    const dot = securityToken.indexOf('.')
    if (dot === -1) return undefined
    const payload = securityToken.slice(0, dot)
    if (!constantTimeEqual(securityToken.slice(dot + 1), this.#sign(payload))) return undefined
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString())
    if (!isTemporaryClaims(claims)) return undefined
    return { claims, secret: this.#secretOf(payload) }
  }

  #sign(payload: string): string {
    return hmac('sha256', this.#tokenKey, payload, 'base64url')
  }

  #secretOf(payload: string): string {
    return hmac('sha256', this.#secretKey, payload, 'base64url')
  }
}

/** Guards against a change of the claims that forgot to change the label their tokens are signed under. */
function isTemporaryClaims(value: unknown): value is TemporaryClaims {
  return (
    typeof value === 'object' &&
    value !== null &&
    'accessKeyId' in value &&
    typeof value.accessKeyId === 'string' &&
    'accountId' in value &&
    typeof value.accountId === 'string' &&
    'sessionName' in value &&
    typeof value.sessionName === 'string' &&
    'expiresAtMs' in value &&
    typeof value.expiresAtMs === 'number'
  )
}
