import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import type { Caller } from '../model/invocation.ts'
import type { Payload } from '../model/payload.ts'

/** One HTTP request as a dialect sees it: nothing decoded, nothing read that was not asked for. */
export interface Exchange {
  readonly method: string
  /** Path as sent, percent-encoding untouched, without the query. Starts with `/`. */
  readonly rawPath: string
  /** Query as sent, without the `?`; empty when there is none. */
  readonly rawQuery: string
  readonly headers: IncomingHttpHeaders
  /** Epoch milliseconds at the listener; waiting counts against it. */
  readonly receivedAtMs: number
  readonly caller: Caller
  /**
   * Reads the whole body. May be called once.
   *
   * @param limitBytes Refuses a longer body while it streams in, whether or not its length was declared.
   * @throws {EngineError} `caller/payload-too-large`, `caller/payload-budget-exceeded`, `caller/gone`.
   */
  readBody(limitBytes: number): Promise<Payload>
}

/** Why the listener itself turns a request down; `code` is one word in PascalCase for programs. */
export interface Refusal {
  readonly status: number
  readonly code: string
  readonly message: string
}

/** What a dialect answers. The listener adds nothing but framing. */
export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Payload | StreamedBody
}

/**
 * A body that is too large to hold in memory. The listener reads it no faster than the client takes it, and destroys
 * the stream however the exchange ends, also when nothing of it could be sent.
 */
export interface StreamedBody {
  readonly stream: Readable
  /** Exactly how many bytes the stream yields. With any other number the connection is cut. */
  readonly sizeBytes: number
}
