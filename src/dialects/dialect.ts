import type { IncomingHttpHeaders } from 'node:http'
import type { Exchange, Refusal, Reply } from '../http/exchange.ts'

/**
 * One vendor's way of speaking: a thin, complete translation between its wire protocol and the engine.
 *
 * A dialect owns everything a vendor's client can see (paths, names, fields, status codes, headers, error
 * bodies, signatures) and knows no process and no SQL.
 */
export interface Dialect {
  readonly name: string
  /** Whether a request speaks this dialect. Decided from its head alone, never from the Host header. */
  claims(method: string, rawPath: string, headers: IncomingHttpHeaders): boolean
  /** Answers one request. Never rejects: whatever happens becomes a vendor-shaped reply. */
  handle(exchange: Exchange): Promise<Reply>
  /**
   * Shapes a refusal of the listener's own for a request that this dialect claims; without it the listener's shape is
   * used. Must not throw.
   */
  refuse?(refusal: Refusal, headers: IncomingHttpHeaders): Reply
}
