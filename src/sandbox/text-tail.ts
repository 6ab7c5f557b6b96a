import { Transform, type TransformCallback } from 'node:stream'

/** Bytes of a process's standard error that are kept to explain its end. */
const TAIL_BYTES = 4096

/** Passes a stream through untouched and remembers its last 4 KiB. */
export class TextTail extends Transform {
  #tail: Buffer = Buffer.alloc(0)

  /** The last bytes that came through, as text. */
  get text(): string {
    return this.#tail.toString('utf8')
  }

  /** Resolves when the source has ended and all of it was remembered, or after `limitMs` where nobody reads on. */
  complete(limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.writableFinished || this.destroyed) return resolve()
      const timer = setTimeout(resolve, limitMs)
      const done = (): void => {
        clearTimeout(timer)
        resolve()
      }
      this.once('finish', done).once('close', done)
    })
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const joined = chunk.length >= TAIL_BYTES ? chunk : Buffer.concat([this.#tail, chunk])
    // A copy: a view would keep the whole chunk alive.
    this.#tail = Buffer.from(joined.subarray(-TAIL_BYTES))
    done(null, chunk)
  }
}
