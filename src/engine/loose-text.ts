/** Text of no call that is kept for the next one. */
const MAX_KEPT_BYTES = 64 * 1024

/**
 * Text an instance wrote while no call could be named for it: during load and initializer, or between calls.
 * The next call whose log begins takes it; what comes in beyond 64 KiB before that is dropped.
 */
export class LooseText {
  #chunks: Buffer[] = []
  #bytes = 0

  get isEmpty(): boolean {
    return this.#bytes === 0
  }

  keep(text: Buffer): void {
    const kept = text.subarray(0, MAX_KEPT_BYTES - this.#bytes)
    if (kept.length === 0) return
    this.#chunks.push(kept)
    this.#bytes += kept.length
  }

  take(): readonly Buffer[] {
    const chunks = this.#chunks
    this.#chunks = []
    this.#bytes = 0
    return chunks
  }
}
