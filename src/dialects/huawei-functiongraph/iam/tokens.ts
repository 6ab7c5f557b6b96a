import { createHmac, type KeyObject } from 'node:crypto'
import { constantTimeEqual } from '../../../auth/compare.ts'
import { hmac } from '../../../auth/digest.ts'
import type { KeyRing } from '../../../auth/keyring.ts'
import { isJsonObject } from '../../../model/json.ts'

/** How long a token is good for. Source: the vendor's page on obtaining a user token: 24 hours. */
export const TOKEN_LIFETIME_MS = 24 * 3_600_000

/** Longest token that is looked at, in characters. Ours are below 800. */
const MAX_TOKEN_CHARS = 2048

/** The ways to prove who one is that a token may have been given for. */
export type TokenMethod = 'password' | 'token' | 'hw_ak_sk' | 'assume_role'

/** What a token says. */
export interface Token {
  readonly accountId: string
  /** The user: an access key is one. */
  readonly accessKeyId: string
  readonly methods: readonly TokenMethod[]
  /** The one project it is good for; absent: all of the account. */
  readonly project?: { readonly id: string; readonly name: string }
  /** Epoch milliseconds. */
  readonly issuedAtMs: number
  readonly expiresAtMs: number
}

/**
 * Makes and checks tokens without storing them: `base64url(JSON) . HMAC`.
 *
 * A token of a configured key ends when that key or its secret is changed; one of temporary keys with them, at the latest.
 */
export class Tokens {
  readonly #key: KeyObject
  readonly #keyring: KeyRing
  readonly #prints = new WeakMap<KeyObject, string>()

  /** @param key At least 32 bytes, kept across restarts for tokens to outlive one. */
  constructor(key: KeyObject, keyring: KeyRing) {
    this.#key = key
    this.#keyring = keyring
  }

  /** The token's text. */
  issue(token: Token): string {
    const print = this.#printOf(token.accessKeyId, token.issuedAtMs)
    const payload = Buffer.from(JSON.stringify({ ...token, ...(print === undefined ? {} : { print }) }))
    const text = payload.toString('base64url')
    return `${text}.${hmac('sha256', this.#key, text, 'base64url')}`
  }

  /** What a token says; undefined unless it was issued here and is still good. Never throws. */
  read(text: string, nowMs: number): Token | undefined {
    if (text.length > MAX_TOKEN_CHARS) return undefined
    const dot = text.indexOf('.')
    const payload = text.slice(0, Math.max(dot, 0))
    if (!constantTimeEqual(text.slice(dot + 1), hmac('sha256', this.#key, payload, 'base64url')))
      return undefined
    const content: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString())
    if (!isToken(content) || content.expiresAtMs <= nowMs) return undefined
    const { print, ...token } = content
    return print === this.#printOf(token.accessKeyId, nowMs) ? token : undefined
  }

  /** Names a configured key's secret without telling it; undefined for temporary keys, whose tokens end with them. */
  #printOf(accessKeyId: string, nowMs: number): string | undefined {
    const lookup = this.#keyring.find(accessKeyId, undefined, nowMs)
    if (lookup.kind !== 'found') return undefined
    const { secret } = lookup.key
    let print = this.#prints.get(secret)
    if (print === undefined) {
      print = createHmac('sha256', this.#key).update('secret').update(secret.export()).digest('base64url')
      this.#prints.set(secret, print)
    }
    return print
  }
}

/** Guards against a change of the members that forgot to change the key. */
function isToken(value: unknown): value is Token & { readonly print?: string } {
  return (
    isJsonObject(value) &&
    typeof value['accountId'] === 'string' &&
    typeof value['accessKeyId'] === 'string' &&
    typeof value['expiresAtMs'] === 'number' &&
    typeof value['issuedAtMs'] === 'number' &&
    Array.isArray(value['methods'])
  )
}
