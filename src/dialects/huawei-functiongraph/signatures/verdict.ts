import type { RequestHeaders } from '../../../auth/headers.ts'
import type { FssCode } from '../errors.ts'

/** The head of a request, as far as credentials are in it. */
export interface SignedRequest {
  readonly method: string
  /** Path as sent, percent-encoding untouched, without the query. */
  readonly rawPath: string
  /** Query as sent, without the `?`. */
  readonly rawQuery: string
  /** Lower-case names, as Node delivers them. */
  readonly headers: RequestHeaders
}

/** Who a request acts for. */
export interface Principal {
  readonly accountId: string
  readonly accessKeyId: string
  /** The one project a token is good for; undefined: any of the account's. */
  readonly projectId: string | undefined
  /** When the key or token ends, epoch milliseconds; undefined: never. What is issued to it ends then, too. */
  readonly expiresAtMs: number | undefined
}

export interface Refused {
  readonly kind: 'refused'
  readonly code: FssCode
  readonly message: string
}

/** The head is right, and nothing depends on the body. */
export interface Accepted {
  readonly kind: 'accepted'
  readonly principal: Principal
}

/** The signature covers the body: it decides once that has been read. */
export interface Signed {
  readonly kind: 'signed'
  readonly principal: Principal
  /**
   * Decides. Never throws.
   *
   * @param bodySha256 The body's SHA-256, lower-case hex.
   */
  check(bodySha256: string): Refused | undefined
}

export type AuthVerdict = Accepted | Signed | Refused

/** The gateway's sentence for credentials that are missing, malformed or wrong; `detail` says which. */
export function refused(detail: string): Refused {
  return {
    kind: 'refused',
    code: 'APIGW.0301',
    message: `Incorrect IAM authentication information: ${detail}`,
  }
}
