/** Mutual exclusion by key, inside this process: one holder for each key, waiters in order of arrival. */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>()

  /** Whether someone holds, or waits for, `key`. */
  isHeld(key: string): boolean {
    return this.#tails.has(key)
  }

  /** Runs `work` alone for `key` and settles as it does; the lock is given back either way. */
  async withLock<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key)
    const { promise: tail, resolve: release } = Promise.withResolvers<void>()
    this.#tails.set(key, tail)
    try {
      await before
      return await work()
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
      release()
    }
  }
}
