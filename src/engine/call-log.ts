import type { EndedCall } from '../model/call-record.ts'
import type { FunctionVersion } from '../model/function.ts'
import { LOG_TAIL_BYTES } from '../model/outcome.ts'
import { utf8Cut } from '../model/utf8.ts'

/** Text is handed to the files once more than this has gathered; what is left comes with the end of the call. */
const PIECE_BYTES = 32 * 1024
/** What one call may log to the files; beyond it a line says how much was left out. The tail is not affected. */
const MAX_CALL_LOG_BYTES = 4 * 1024 * 1024

/** Takes what calls log and how they end, to keep it. Must not wait and must not throw. */
export interface LogKeeper {
  /**
   * A part of a log that is too long to be held until its call ends, at most 32 KiB.
   *
   * @param piece Counts the pieces of the call from 1.
   */
  keep(version: FunctionVersion, requestId: string, text: Buffer, piece: number): void
  /**
   * A call has ended. `call.log` is what it logged after its last piece.
   *
   * @param pieces How many were kept before.
   */
  ended(version: FunctionVersion, call: EndedCall, pieces: number): void
}

/** What is framed by the contract is text; what the code wrote is bytes, whose parts may be cut anywhere. */
type Part = Buffer | string

/**
 * What the code logs during one call: the end of it kept for the answer, all of it (bounded) handed on to the files.
 * Holds at most one piece plus two times the tail and one chunk. A call whose code logs nothing has none.
 */
export class CallLog {
  readonly #keepPiece: (text: Buffer, piece: number) => void
  #pending: Part[] = []
  #pendingBytes = 0
  #tail: Part[] = []
  #tailBytes = 0
  #closing = ''
  #writtenBytes = 0
  #leftOutBytes = 0
  #pieces = 0

  constructor(keepPiece: (text: Buffer, piece: number) => void) {
    this.#keepPiece = keepPiece
  }

  /** Pieces handed on so far. */
  get pieces(): number {
    return this.#pieces
  }

  append(text: Part): void {
    const bytes = bytesOf(text)
    if (bytes === 0) return
    this.#tail.push(text)
    this.#tailBytes += bytes
    for (let oldest = this.#tail[0]; oldest !== undefined; oldest = this.#tail[0]) {
      const oldestBytes = bytesOf(oldest)
      if (this.#tailBytes - oldestBytes < LOG_TAIL_BYTES) break
      this.#tail.shift()
      this.#tailBytes -= oldestBytes
    }
    if (this.#writtenBytes + this.#pendingBytes + bytes > MAX_CALL_LOG_BYTES) {
      this.#leftOutBytes += bytes
      return
    }
    this.#pending.push(text)
    this.#pendingBytes += bytes
    if (this.#pendingBytes > PIECE_BYTES) this.#handOnWholePieces()
  }

  /** Hands on what has gathered, for a call that comes to no end here. */
  flush(): void {
    const text = joined(this.#takePending())
    if (text.length > 0) this.#handOn(text)
  }

  /** Ends the log with the contract's closing text. @returns What was not handed on. */
  close(closing: string): string {
    this.#closing = closing
    const note = this.#leftOutBytes > 0 ? `… ${this.#leftOutBytes} bytes of log left out\n` : ''
    return textOf(this.#takePending()) + note + closing
  }

  /** The last {@link LOG_TAIL_BYTES} bytes, cut at the start. */
  tail(): Buffer {
    return tailOf(joined([...this.#tail, this.#closing]))
  }

  /** Cut between characters: each piece is read as text by itself. */
  #handOnWholePieces(): void {
    let text = joined(this.#takePending())
    while (text.length > PIECE_BYTES) {
      const bytes = utf8Cut(text, PIECE_BYTES)
      this.#handOn(text.subarray(0, bytes))
      text = text.subarray(bytes)
    }
    // A copy, so that the rest of a large chunk is not held with its last bytes.
    this.#pending = [Buffer.from(text)]
    this.#pendingBytes = text.length
  }

  #handOn(text: Buffer): void {
    this.#pieces += 1
    this.#writtenBytes += text.length
    this.#keepPiece(text, this.#pieces)
  }

  #takePending(): readonly Part[] {
    const parts = this.#pending
    this.#pending = []
    this.#pendingBytes = 0
    return parts
  }
}

/** The last {@link LOG_TAIL_BYTES} bytes of a text. */
export function tailOf(text: Buffer): Buffer {
  return text.length <= LOG_TAIL_BYTES ? text : text.subarray(text.length - LOG_TAIL_BYTES)
}

function bytesOf(part: Part): number {
  return typeof part === 'string' ? Buffer.byteLength(part) : part.length
}

function joined(parts: readonly Part[]): Buffer {
  const [only] = parts
  if (parts.length === 1 && typeof only === 'object') return only
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
}

/** Read as one text, so that no character is lost where one chunk ends and the next begins. */
function textOf(parts: readonly Part[]): string {
  const [first, second] = parts
  // The usual case, without a copy: the opening, and all the code wrote in one chunk.
  if (parts.length === 2 && typeof first === 'string' && typeof second === 'object')
    return first + second.toString()
  return joined(parts).toString()
}
