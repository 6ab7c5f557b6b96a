/** Text of no call that is kept for the next one: what came last, cut at the start of a chunk. */
const MAX_KEPT_BYTES = 64 * 1024

/**
 * Text an instance wrote while no call could be named for it: during load and initializer, or between calls.
 * The next call whose log begins takes it. Of more than 64 KiB the end is kept: that is where the reason of a failure is.
 */
export class LooseText {
  #chunks: Buffer[] = []
  #bytes = 0

  get isEmpty(): boolean {
    return this.#bytes === 0
  }

  keep(text: Buffer): void {
    if (text.length === 0) return
    const kept = text.length > MAX_KEPT_BYTES ? text.subarray(-MAX_KEPT_BYTES) : text
    this.#chunks.push(kept)
    this.#bytes += kept.length
    while (this.#bytes > MAX_KEPT_BYTES) this.#bytes -= this.#chunks.shift()?.length ?? 0
  }

  take(): readonly Buffer[] {
    const chunks = this.#chunks
    this.#chunks = []
    this.#bytes = 0
    return chunks
  }
}
