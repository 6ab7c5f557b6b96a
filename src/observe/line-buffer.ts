/** Lines of one function that wait to be written together. */
export interface Chunk {
  readonly memory: Buffer
  /** Bytes of `memory` that are lines. */
  usedBytes: number
  /** Bytes of the texts in these lines: what is lost when they are. */
  textBytes: number
}

/** Size of a chunk of a function that logs a lot. */
export const CHUNK_BYTES = 256 * 1024
const SMALLEST_CHUNK_BYTES = 1024
/** Chunks kept to be used again. */
const MAX_SPARES = 8
/** A UTF-16 unit becomes at most this many bytes of UTF-8. */
const MAX_BYTES_PER_UNIT = 3
/** Longer lines are measured before they are written, shorter ones are given the room they can need at most. */
const SHORT_LINE_UNITS = 4096

/** Memory of chunks of the full size, used again and again: nothing that waits is work for the collector. */
export class ChunkMemory {
  readonly #spares: Buffer[] = []

  /** @param bytes What must fit, at least; rounded up to a power of two. */
  take(bytes: number): Buffer {
    if (bytes > CHUNK_BYTES) return Buffer.allocUnsafeSlow(bytes)
    const size = Math.max(SMALLEST_CHUNK_BYTES, 2 ** Math.ceil(Math.log2(bytes)))
    return (size === CHUNK_BYTES ? this.#spares.pop() : undefined) ?? Buffer.allocUnsafeSlow(size)
  }

  give(memory: Buffer): void {
    if (memory.length === CHUNK_BYTES && this.#spares.length < MAX_SPARES) this.#spares.push(memory)
  }
}

/**
 * Lines of one function, as bytes: written into memory that is there as soon as they are made, so that a line leaves no
 * object behind. Grows with what it holds, and begins at the size it was when it was last emptied.
 */
export class LineBuffer {
  readonly #memory: ChunkMemory
  readonly #maxChunkBytes: number
  readonly #full: Chunk[] = []
  #last: Chunk | undefined
  #usualBytes = SMALLEST_CHUNK_BYTES

  /** @param maxChunkBytes Lines of at most this many bytes are written in one go; a longer line is, by itself. */
  constructor(memory: ChunkMemory, maxChunkBytes: number) {
    this.#memory = memory
    this.#maxChunkBytes = Math.min(maxChunkBytes, CHUNK_BYTES)
  }

  /** Whether a chunk is full: no more fits into it. */
  get hasFull(): boolean {
    return this.#full.length > 0
  }

  /**
   * Adds a line.
   *
   * @param textUnits Length of the text in it. All else in the line has to be ASCII.
   * @returns Bytes of the line.
   */
  add(line: string, textUnits: number): number {
    const neededBytes =
      line.length > SHORT_LINE_UNITS ? Buffer.byteLength(line) : line.length * MAX_BYTES_PER_UNIT
    const chunk = this.#chunkFor(neededBytes)
    const bytes = chunk.memory.write(line, chunk.usedBytes)
    chunk.usedBytes += bytes
    chunk.textBytes += textUnits + bytes - line.length
    return bytes
  }

  /** Takes everything out, oldest first. The chunks' memory is to be given back. */
  take(): readonly Chunk[] {
    const chunks = this.#full.splice(0)
    if (this.#last !== undefined && this.#last.usedBytes > 0) {
      this.#usualBytes = Math.min(this.#last.usedBytes, CHUNK_BYTES)
      chunks.push(this.#last)
    }
    if (chunks.length > 1) this.#usualBytes = CHUNK_BYTES
    this.#last = undefined
    return chunks
  }

  #chunkFor(neededBytes: number): Chunk {
    const last = this.#last
    const bytes = (last?.usedBytes ?? 0) + neededBytes
    if (last !== undefined && bytes <= Math.min(last.memory.length, this.#maxChunkBytes)) return last
    if (last === undefined) return this.#begin(Math.max(neededBytes, this.#usualBytes))
    if (bytes > this.#maxChunkBytes && last.usedBytes > 0) {
      this.#full.push(last)
      return this.#begin(Math.max(neededBytes, last.memory.length))
    }
    const { usedBytes, textBytes } = last
    const grown = this.#begin(bytes)
    last.memory.copy(grown.memory, 0, 0, usedBytes)
    grown.usedBytes = usedBytes
    grown.textBytes = textBytes
    return grown
  }

  #begin(bytes: number): Chunk {
    this.#last = { memory: this.#memory.take(bytes), usedBytes: 0, textBytes: 0 }
    return this.#last
  }
}
