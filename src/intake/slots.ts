/** Bounds how many of one kind of costly request are handled at once. */
export class Slots {
  readonly limit: number
  #taken = 0

  /** @param limit At least 1. */
  constructor(limit: number) {
    this.limit = limit
  }

  /** @returns What gives the slot back, once however often it is called; undefined when all are taken. */
  take(): (() => void) | undefined {
    if (this.#taken >= this.limit) return undefined
    this.#taken += 1
    let held = true
    return () => {
      if (!held) return
      held = false
      this.#taken -= 1
    }
  }
}
