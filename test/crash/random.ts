/**
 * Decisions that are the same for the same seed, whatever else happens in between: each is drawn from a source of its own, named by
 * what is decided. mulberry32 over FNV-1a; not for secrets.
 */
export class Random {
  #state: number

  constructor(seed: number, ...names: readonly (string | number)[]) {
    let hash = 0x811c9dc5 ^ seed
    for (const char of names.join('/')) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193)
    this.#state = hash >>> 0
  }

  /** 0 ≤ x < 1 */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number, least ≤ x < bound. */
  between(least: number, bound: number): number {
    return least + Math.floor(this.next() * (bound - least))
  }

  chance(share: number): boolean {
    return this.next() < share
  }

  /** One of them, each as often as its weight says. */
  pick<T extends { readonly weight: number }>(choices: readonly T[]): T {
    let at = this.next() * choices.reduce((sum, { weight }) => sum + weight, 0)
    const found = choices.find(({ weight }) => (at -= weight) < 0) ?? choices[0]
    if (found === undefined) throw new RangeError('nothing to choose from')
    return found
  }
}
