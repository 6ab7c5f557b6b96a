/**
 * Bytes of payloads in flight over all calls: requests being read or waiting, results being gathered or written.
 *
 * The limit is split in two halves, so that events waiting for results and results waiting for room can never wait for each
 * other. A request that does not fit is refused at once; a result that does not fit waits in its
 * process, which is simply not read from. One result always fits, however large.
 */
export class PayloadBudget {
  /** Bytes each half may hold. */
  readonly halfBytes: number
  readonly limitBytes: number
  #requestBytes = 0
  #resultBytes = 0
  readonly #waiting: { bytes: number; resume: () => void }[] = []

  /** @param limitBytes Both halves together; at least two payloads of the largest size make sense. */
  constructor(limitBytes: number) {
    this.limitBytes = limitBytes
    this.halfBytes = Math.floor(limitBytes / 2)
  }

  get heldBytes(): number {
    return this.#requestBytes + this.#resultBytes
  }

  /** Whether a request's bytes fit; if so they are held until {@link giveRequest}. */
  takeForRequest(bytes: number): boolean {
    if (this.#requestBytes + bytes > this.halfBytes) return false
    this.#requestBytes += bytes
    return true
  }

  giveRequest(bytes: number): void {
    this.#requestBytes -= bytes
  }

  /** Whether a result's bytes fit now; if so they are held until {@link give}. */
  takeForResult(bytes: number): boolean {
    if (this.#waiting.length > 0 || !this.#fits(bytes)) return false
    this.#resultBytes += bytes
    return true
  }

  /** Calls `resume` once the bytes fit and are held. First come, first served. */
  whenRoomForResult(bytes: number, resume: () => void): void {
    this.#waiting.push({ bytes, resume })
  }

  /** Holds a result's bytes that are in memory already, on their way to the caller. */
  hold(bytes: number): void {
    this.#resultBytes += bytes
  }

  /** Lets go of a result's bytes. */
  give(bytes: number): void {
    this.#resultBytes -= bytes
    for (let next = this.#waiting[0]; next !== undefined && this.#fits(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift()
      this.#resultBytes += next.bytes
      next.resume()
    }
  }

  #fits(bytes: number): boolean {
    return this.#resultBytes === 0 || this.#resultBytes + bytes <= this.halfBytes
  }
}
