import { ScfError } from './errors.ts'

/** A request's own time may be 300 s ahead, and is acceptable for 300 s after it: so long it could be sent again. */
const ACCEPTABLE_MS = 600_000

/** Most signatures in one generation: 2 MiB. */
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
  #younger: Generation
  #older: Generation | undefined
  #sinceMs = 0

  /** @param maxGeneration The newest that are certainly remembered, 1 or more. Default 100 000. */
  constructor(maxGeneration = MAX_GENERATION) {
    this.#maxGeneration = maxGeneration
    this.#younger = new Generation(maxGeneration)
  }

  /**
   * Takes note of a genuine request.
   *
   * @param signature Base64, and found to be right: nobody else can choose it.
   * @throws {ScfError} `AuthFailure.SignatureExpire`, which the legacy API tells as 4500, when it was taken before.
   */
  requireFirst(signature: string, nowMs: number): void {
    const high = bitsOf(signature, 0)
    const low = bitsOf(signature, DIGITS)
    if (this.#younger.has(high, low) || this.#older?.has(high, low) === true)
      throw new ScfError(
        'AuthFailure.SignatureExpire',
        'the request was sent before: a repeated request needs a Nonce and a signature of its own',
      )
    if (this.#younger.size >= this.#maxGeneration || nowMs - this.#sinceMs >= ACCEPTABLE_MS) {
      this.#older = this.#younger
      this.#younger = new Generation(this.#maxGeneration)
      this.#sinceMs = nowMs
    }
    this.#younger.add(high, low)
  }
}

/** Base64 digits that make one half of what is remembered of a signature: 30 bits. */
const DIGITS = 5

/**
 * 60 bits of each of a number of signatures, in a table of numbers: as a set of texts they would be 10 MB of objects for the
 * collector to walk. One new request in 10^13 is taken for an old one by it.
 */
class Generation {
  size = 0
  /** Two numbers to a place; the first is never 0 where something is. Places are at most half full. */
  readonly #places: Uint32Array
  readonly #mask: number

  constructor(most: number) {
    const places = 2 ** Math.ceil(Math.log2(most * 2))
    this.#places = new Uint32Array(2 * places)
    this.#mask = places - 1
  }

  has(high: number, low: number): boolean {
    return this.#places[2 * this.#placeOf(high, low)] !== 0
  }

  add(high: number, low: number): void {
    const at = 2 * this.#placeOf(high, low)
    this.#places[at] = high
    this.#places[at + 1] = low
    this.size += 1
  }

  /** Where it is, or the free place where it would be. */
  #placeOf(high: number, low: number): number {
    const places = this.#places
    let place = low & this.#mask
    while (places[2 * place] !== 0 && (places[2 * place] !== high || places[2 * place + 1] !== low))
      place = (place + 1) & this.#mask
    return place
  }
}

/** A few digits of a base64 text as a number above 0. */
function bitsOf(text: string, start: number): number {
  let bits = 1
  for (let at = start; at < start + DIGITS; at += 1)
    bits = bits * 64 + (DIGIT_VALUES[text.charCodeAt(at)] ?? 0)
  return bits
}

const DIGIT_LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
/** By character code. */
const DIGIT_VALUES = Uint8Array.from({ length: 128 }, (_, code) =>
  Math.max(0, DIGIT_LETTERS.indexOf(String.fromCharCode(code))),
)
