import type { Deliveries } from './deliveries.ts'

/** A sign of life is looked for after this, then after twice as long each time, at most {@link MAX_PAUSE_MS}. */
const MIN_PAUSE_MS = 3
const MAX_PAUSE_MS = 250

/**
 * The silence of a process that did not begin calls it could have run at once. They were taken back; a sign of life is that it
 * drops them, which costs it a ticket.
 */
export class Silence {
  /** Monotonic milliseconds. */
  readonly sinceMs: number
  #nextLookMs: number
  #pauseMs = MIN_PAUSE_MS

  constructor(nowMs: number) {
    this.sinceMs = nowMs
    this.#nextLookMs = nowMs + MIN_PAUSE_MS
  }

  /** Looks, rarely by itself, whether it is over. Where the kernel does not tell, it is: the next call has to find out. */
  isOver(nowMs: number, deliveries: Deliveries): boolean {
    if (nowMs < this.#nextLookMs) return false
    if (deliveries.ticketsTaken() !== 0) return true
    this.#pauseMs = Math.min(this.#pauseMs * 2, MAX_PAUSE_MS)
    this.#nextLookMs = nowMs + this.#pauseMs
    return false
  }
}
