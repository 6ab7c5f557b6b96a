/** Time and timers of the queue, so that tests can move both. */
export interface Clock {
  /** Epoch milliseconds, whole; never goes back. */
  now(): number
  /**
   * Calls `run` once.
   *
   * @param delayMs 0 … 2 147 483 647
   * @returns Calls it off; harmless afterwards.
   */
  after(delayMs: number, run: () => void): () => void
}

/** Where a clock takes time from. */
export interface TimeSource {
  /** What the system's clock shows, epoch milliseconds. May be set at any time. */
  wallMs(): number
  /** Milliseconds since some moment; never set. */
  monotonicMs(): number
}

const SYSTEM: TimeSource = { wallMs: () => Date.now(), monotonicMs: () => performance.now() }

/**
 * A time line that begins at the wall clock and is monotonic from there: who sets the system's clock delays and hurries nothing.
 *
 * @param latestMs It begins no earlier: the latest moment that was seen before, so that it does not go back over a restart.
 */
export function startClock(latestMs = 0, source: TimeSource = SYSTEM): Clock {
  const startedAtMs = Math.max(source.wallMs(), latestMs)
  const origin = source.monotonicMs()
  return {
    now: () => Math.floor(startedAtMs + source.monotonicMs() - origin),
    after(delayMs, run) {
      const timer = setTimeout(run, delayMs)
      // Waiting for the next task alone does not keep the process alive.
      timer.unref()
      return () => clearTimeout(timer)
    },
  }
}
