/** Wall-clock time and timers, so that tests can move both. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number
  /**
   * Calls `run` once.
   *
   * @param delayMs 0 … 2 147 483 647
   * @returns Calls it off; harmless afterwards.
   */
  after(delayMs: number, run: () => void): () => void
}

/** The time of the system. Its timers do not keep the process alive. */
export const SYSTEM_CLOCK: Clock = {
  now: () => Date.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
