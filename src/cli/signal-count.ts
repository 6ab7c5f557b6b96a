/** Within this of the first signal, others belong to it. */
const SAME_SIGNAL_MS = 500

/** The ways on which a signal reaches the server: from the system, or as a message of its launcher. */
export type SignalWay = 'direct' | 'handedOn'

/**
 * Tells a second request to stop from the echoes of the first.
 *
 * One request often comes as several signals: `timeout` signals its child and then its whole group, systemd can send
 * SIGHUP right after SIGTERM. All that comes within 500 ms of the first counts as the first. A terminal's Ctrl-C also
 * reaches both a launcher and the server, and the launcher hands it on however late (see bin/anvoke.js): the two ways
 * are counted apart.
 */
export class SignalCount {
  #firstAtMs: number | undefined
  readonly #seen = new Set<SignalWay>()

  /**
   * Counts a signal of any name.
   *
   * @param nowMs Of a clock that only goes forward.
   * @returns Whether it asks a second time.
   */
  isSecond(way: SignalWay, nowMs: number): boolean {
    this.#firstAtMs ??= nowMs
    const isRepeated = this.#seen.has(way)
    this.#seen.add(way)
    return isRepeated && nowMs - this.#firstAtMs > SAME_SIGNAL_MS
  }
}
