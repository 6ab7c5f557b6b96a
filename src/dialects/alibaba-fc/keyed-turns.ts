/** Work that waits for other work under the same key, and for no other. */
export class KeyedTurns {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Begins when all that was asked for under this key before is over, however it ended. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key)
    const turn = before === undefined ? work() : before.then(work, work)
    this.#last.set(key, turn)
    try {
      return await turn
    } finally {
      if (this.#last.get(key) === turn) this.#last.delete(key)
    }
  }
}
