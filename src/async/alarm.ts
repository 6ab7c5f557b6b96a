import type { Clock } from './clock.ts'

/** It never goes off sooner than this, so that something that is always due and never done cannot spin us. */
const SHORTEST_MS = 20
/** Nor later: timers count no longer, and a long one is cheap to set anew. */
const LONGEST_MS = 60_000

/** One timer for many moments: it goes off at the earliest that it was set to, and may do so earlier. */
export class Alarm {
  readonly #clock: Clock
  readonly #goOff: () => void
  #set: { readonly atMs: number; readonly cancel: () => void } | undefined

  /** @param goOff Called when it is time; it is not set any more then. */
  constructor(clock: Clock, goOff: () => void) {
    this.#clock = clock
    this.#goOff = goOff
    // Its timer is late by the sleep.
    clock.onSlept?.(() => {
      if (this.#set !== undefined) this.#start(clock.now() + SHORTEST_MS, SHORTEST_MS)
    })
  }

  /** Goes off at `atMs` (epoch milliseconds of the clock), 20 ms to 60 s from now; or earlier, when it is set so already. */
  setTo(atMs: number): void {
    const nowMs = this.#clock.now()
    const waitMs = Math.min(Math.max(atMs - nowMs, SHORTEST_MS), LONGEST_MS)
    if (this.#set !== undefined && this.#set.atMs <= nowMs + waitMs) return
    this.#start(nowMs + waitMs, waitMs)
  }

  /** Does not go off; it may be set again. */
  stop(): void {
    this.#set?.cancel()
    this.#set = undefined
  }

  #start(atMs: number, waitMs: number): void {
    this.#set?.cancel()
    const cancel = this.#clock.after(waitMs, () => {
      this.#set = undefined
      this.#goOff()
    })
    this.#set = { atMs, cancel }
  }
}
