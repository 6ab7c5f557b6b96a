import type { Deliveries } from './deliveries.ts'

/** A late call whose result waits for room in the budget is looked at again after this. */
const ROOM_CHECK_MS = 250
/** Timers fire up to this much early. */
export const TIMER_SLACK_MS = 0.5

interface Given {
  /** Longest run of one call. */
  readonly timeoutMs: number
  readonly deliveries: Deliveries
  /** An answer that only waits for room of ours is not late. */
  readonly channel: { readonly waitsForRoom: boolean }
  /** Monotonic milliseconds. */
  readonly clock: () => number
  /** A running call is late. */
  readonly onLate: () => void
}

/**
 * Watches that no call of one instance runs for too long. The timer is armed once and looks again when it fires, so that a
 * quick call costs no timer of its own.
 */
export class Deadline {
  readonly #given: Given
  readonly #check = (): void => this.#look()
  #isArmed = false
  #timer: NodeJS.Timeout | undefined

  constructor(given: Given) {
    this.#given = given
  }

  /** A call runs. */
  arm(): void {
    if (this.#isArmed) return
    this.#isArmed = true
    this.#timer = setTimeout(this.#check, this.#given.timeoutMs)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #look(): void {
    this.#isArmed = false
    const { timeoutMs, deliveries, channel, clock, onLate } = this.#given
    const sinceMs = deliveries.runningSinceMs
    if (sinceMs === undefined) return
    const leftMs = sinceMs + timeoutMs - clock()
    if (leftMs <= TIMER_SLACK_MS && !channel.waitsForRoom) {
      onLate()
      return
    }
    this.#isArmed = true
    this.#timer = setTimeout(this.#check, leftMs > TIMER_SLACK_MS ? Math.ceil(leftMs) : ROOM_CHECK_MS)
  }
}
