import { LOG_TAIL_BYTES } from '../model/outcome.ts'

/** Text is handed to the files once this much has gathered, and when the call ends. */
const FLUSH_BYTES = 32 * 1024
/** What one call may log to the files; beyond it a line says how much was left out. The tail is not affected. */
const MAX_CALL_LOG_BYTES = 4 * 1024 * 1024

/** Takes finished pieces of a call's log; must not wait. */
export type LogWriter = (text: Buffer) => void

/**
 * What one call logs: the end of it kept for the answer, all of it (bounded) handed on to the files.
 * Holds at most {@link FLUSH_BYTES} plus two times the tail and one chunk.
 */
export class CallLog {
  readonly #write: LogWriter
  #pending: Buffer[] = []
  #pendingBytes = 0
  #tail: Buffer[] = []
  #tailBytes = 0
  #writtenBytes = 0
  #leftOutBytes = 0

  constructor(write: LogWriter) {
    this.#write = write
  }

  append(text: Buffer): void {
    if (text.length === 0) return
    this.#tail.push(text)
    this.#tailBytes += text.length
    for (let oldest = this.#tail[0]; oldest !== undefined; oldest = this.#tail[0]) {
      if (this.#tailBytes - oldest.length < LOG_TAIL_BYTES) break
      this.#tail.shift()
      this.#tailBytes -= oldest.length
    }
    if (this.#writtenBytes + this.#pendingBytes + text.length > MAX_CALL_LOG_BYTES) {
      this.#leftOutBytes += text.length
      return
    }
    this.#pending.push(text)
    this.#pendingBytes += text.length
    if (this.#pendingBytes >= FLUSH_BYTES) this.flush()
  }

  /** Hands on what has gathered. */
  flush(): void {
    if (this.#pendingBytes === 0) return
    const [only] = this.#pending
    this.#write(this.#pending.length === 1 && only !== undefined ? only : Buffer.concat(this.#pending))
    this.#writtenBytes += this.#pendingBytes
    this.#pending = []
    this.#pendingBytes = 0
  }

  /** Ends the log with the contract's closing text. */
  close(closing: string): void {
    if (this.#leftOutBytes > 0) {
      const note = Buffer.from(`… ${this.#leftOutBytes} bytes of log left out\n`)
      this.#pending.push(note)
      this.#pendingBytes += note.length
      this.#leftOutBytes = 0
      this.#writtenBytes = 0
    }
    if (closing !== '') {
      const text = Buffer.from(closing)
      this.#writtenBytes = 0
      this.append(text)
    }
    this.flush()
  }

  /** The last {@link LOG_TAIL_BYTES} bytes, cut at the start. */
  tail(): Buffer {
    const all = Buffer.concat(this.#tail)
    return all.length <= LOG_TAIL_BYTES ? all : all.subarray(all.length - LOG_TAIL_BYTES)
  }
}
