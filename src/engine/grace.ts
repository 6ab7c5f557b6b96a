import type { Caller } from '../model/invocation.ts'

/** The time that an instance was given to finish, after it was told to end because of calls of it. */
export class Grace {
  /** Whose calls are to end. */
  readonly callers = new Set<Caller>()
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

  /** The call of this caller is to end, too; the time is over in `graceMs`, or earlier when that was said before. */
  add(caller: Caller, graceMs: number): void {
    this.callers.add(caller)
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
