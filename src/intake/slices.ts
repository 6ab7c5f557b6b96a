import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'

/** Bytes worked on before others get their turn: a few milliseconds of the slowest work there is. */
const SLICE_BYTES = 256 * 1024

/**
 * The bytes of large bodies in pieces of at most {@link SLICE_BYTES}, with a turn of the event loop after each so many.
 *
 * Slices and not a worker thread: the bytes would have to be copied there and back, which blocks as long as the work.
 */
export async function* inSlices(chunks: Iterable<Buffer>): AsyncGenerator<Buffer> {
  let bytes = 0
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += SLICE_BYTES) {
      const slice = chunk.subarray(at, at + SLICE_BYTES)
      if (bytes + slice.length > SLICE_BYTES) {
        await setImmediate()
        bytes = 0
      }
      bytes += slice.length
      yield slice
    }
  }
}

/** The lower-case hex SHA-256 of a large body. */
export async function sha256HexInSlices(chunks: Iterable<Buffer>): Promise<string> {
  const digest = createHash('sha256')
  for await (const slice of inSlices(chunks)) digest.update(slice)
  return digest.digest('hex')
}

/** Lets one large body at a time be worked on, first come, first served; those that wait are in the payload budget. */
export class Turns {
  #last: Promise<void> = Promise.resolve()

  /** Runs `work` when all before it has settled, and settles as it does. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#last
    const own = Promise.withResolvers<void>()
    this.#last = own.promise
    await before
    try {
      return await work()
    } finally {
      own.resolve()
    }
  }
}
