/**
 * Weight of a new measurement. Smaller than in TCP's round-trip estimator (RFC 6298: 1/8 and 1/4), whose samples are
 * round trips: ours are single calls, and one that the host's scheduler held up for some milliseconds must not make a
 * function of microseconds look slow for the next hundred.
 */
const WEIGHT = 1 / 16

/**
 * What is known of how long something takes: a moving mean and a moving mean deviation.
 *
 * The estimate is mean + 2 × deviation: something that is usually quick and sometimes slow counts as slow, because a wrong
 * "quick" makes others wait and a wrong "slow" only starts a process too many.
 */
export class Durations {
  #meanMs: number | undefined
  #deviationMs = 0

  add(durationMs: number): void {
    if (this.#meanMs === undefined) {
      this.#meanMs = durationMs
      this.#deviationMs = durationMs / 2
      return
    }
    const error = durationMs - this.#meanMs
    this.#meanMs += error * WEIGHT
    this.#deviationMs += (Math.abs(error) - this.#deviationMs) * WEIGHT
  }

  /** What many of them take on average, milliseconds; undefined before the first measurement. */
  get meanMs(): number | undefined {
    return this.#meanMs
  }

  /** What one may well take, milliseconds; undefined before the first measurement. */
  get estimateMs(): number | undefined {
    return this.#meanMs === undefined ? undefined : this.#meanMs + 2 * this.#deviationMs
  }
}
