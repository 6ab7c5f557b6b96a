import { ScfError } from './errors.ts'

/** Longest time a request stays acceptable after its own time, seconds; a replay later fails by its age. */
const REMEMBERED_S = 300

/** Most signatures remembered: some 20 MB. Beyond it the oldest are forgotten first. */
const MAX_REMEMBERED = 100_000

/**
 * Remembers the signatures of accepted requests for as long as these could be sent again.
 *
 * A signature stands for its request: it covers the nonce, the time and every other parameter. Two different requests of
 * one nonce and second are therefore both taken; clients that draw from 65 536 nonces send such pairs all the time.
 */
export class Replays {
  readonly #maxRemembered: number
  /** Signature → second after which it may be forgotten, oldest first. */
  readonly #seen = new Map<string, number>()

  /** @param maxRemembered 1 or more. Default 100 000. */
  constructor(maxRemembered = MAX_REMEMBERED) {
    this.#maxRemembered = maxRemembered
  }

  /**
   * Takes note of a genuine request.
   *
   * @throws {ScfError} `AuthFailure.SignatureExpire`, which the legacy API tells as 4500, when it was taken before.
   */
  requireFirst(signature: string, timestampS: number, nowMs: number): void {
    if (this.#seen.has(signature))
      throw new ScfError(
        'AuthFailure.SignatureExpire',
        'the request was sent before: a repeated request needs a Nonce and a signature of its own',
      )
    const nowS = nowMs / 1000
    for (const [oldest, untilS] of this.#seen) {
      if (untilS >= nowS && this.#seen.size < this.#maxRemembered) break
      this.#seen.delete(oldest)
    }
    this.#seen.set(signature, timestampS + REMEMBERED_S)
  }
}
