import type { IncomingHttpHeaders } from 'node:http'
import type { Exchange, Refusal, Reply } from '../http/exchange.ts'

/** What a request is told by before a byte of its body is read. */
export interface RequestHead {
  readonly method: string
  /** As sent, without the query. */
  readonly rawPath: string
  /** As sent, without the `?`. */
  readonly rawQuery: string
  readonly headers: IncomingHttpHeaders
}

/** Signs of a dialect, the strongest first: the scheme a request is signed with, an action it names, its path. */
export type Claim = 'scheme' | 'action' | 'path'

/**
 * One vendor's way of speaking: a thin, complete translation between its wire protocol and the engine.
 *
 * A dialect owns everything a vendor's client can see (paths, names, fields, status codes, headers, error
 * bodies, signatures) and knows no process and no SQL.
 */
export interface Dialect {
  readonly name: string
  /**
   * By which sign a request speaks this dialect, or undefined when it does not; the strongest claim of all dialects decides.
   * Told from the request's head alone, never from the Host header. Must be cheap: every dialect is asked about every call.
   */
  claims(head: RequestHead): Claim | undefined
  /** Answers one request. Never rejects: whatever happens becomes a vendor-shaped reply. */
  handle(exchange: Exchange): Promise<Reply>
  /**
   * Shapes a refusal of the listener's own for a request that this dialect claims; without it the listener's shape is
   * used. Must not throw.
   */
  refuse?(refusal: Refusal, headers: IncomingHttpHeaders): Reply
}
