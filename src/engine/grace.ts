/** The time that an instance was given to finish, after it was told to end because of calls of it. */
export class Grace {
  /** The calls that are to end. */
  readonly requestIds = new Set<string>()
  readonly #onOver: () => void
  readonly #clock: () => number
  #endsAtMs = Infinity
  #timer: NodeJS.Timeout | undefined

  /**
   * @param onOver The time is over: called once, unless stopped.
   * @param clock Monotonic milliseconds.
   */
  constructor(onOver: () => void, clock: () => number) {
    this.#onOver = onOver
    this.#clock = clock
  }

  /** This call is to end, too; the time is over in `graceMs`, or earlier when that was said before. */
  add(requestId: string, graceMs: number): void {
    this.requestIds.add(requestId)
    const endsAtMs = this.#clock() + graceMs
    if (endsAtMs >= this.#endsAtMs) return
    this.#endsAtMs = endsAtMs
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.#onOver, graceMs)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}
