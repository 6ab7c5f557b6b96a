import { ScfError } from './errors.ts'

/** A request's own time may be 300 s ahead, and is acceptable for 300 s after it: so long it could be sent again. */
const ACCEPTABLE_MS = 600_000

/** Most signatures in one generation: some 10 MB. */
const MAX_GENERATION = 100_000

/**
 * Remembers the signatures of accepted requests for as long as these could be sent again.
 *
 * A signature stands for its request: it covers the nonce, the time and every other parameter. Two different requests of
 * one nonce and second are therefore both taken; clients that draw from 65 536 nonces send such pairs all the time.
 *
 * They are kept in two generations: when the younger one is full, or old enough, the older one is forgotten as a whole. To forget
 * one by one costs more with every request: a map that loses its oldest entries is searched over all the gaps they leave.
 */
export class Replays {
  readonly #maxGeneration: number
  #younger = new Set<string>()
  #older = new Set<string>()
  #sinceMs = 0

  /** @param maxGeneration The newest that are certainly remembered, 1 or more. Default 100 000. */
  constructor(maxGeneration = MAX_GENERATION) {
    this.#maxGeneration = maxGeneration
  }

  /**
   * Takes note of a genuine request.
   *
   * @throws {ScfError} `AuthFailure.SignatureExpire`, which the legacy API tells as 4500, when it was taken before.
   */
  requireFirst(signature: string, nowMs: number): void {
    if (this.#younger.has(signature) || this.#older.has(signature))
      throw new ScfError(
        'AuthFailure.SignatureExpire',
        'the request was sent before: a repeated request needs a Nonce and a signature of its own',
      )
    if (this.#younger.size >= this.#maxGeneration || nowMs - this.#sinceMs >= ACCEPTABLE_MS) {
      this.#older = this.#younger
      this.#younger = new Set<string>()
      this.#sinceMs = nowMs
    }
    this.#younger.add(signature)
  }
}
