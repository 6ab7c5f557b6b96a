/** Weight of a new measurement, as in TCP's round-trip estimator (RFC 6298): 1/8 for the mean, 1/4 for the deviation. */
const MEAN_WEIGHT = 1 / 8
const DEVIATION_WEIGHT = 1 / 4

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
    this.#meanMs += error * MEAN_WEIGHT
    this.#deviationMs += (Math.abs(error) - this.#deviationMs) * DEVIATION_WEIGHT
  }

  /** Milliseconds, or undefined before the first measurement. */
  get estimateMs(): number | undefined {
    return this.#meanMs === undefined ? undefined : this.#meanMs + 2 * this.#deviationMs
  }
}
