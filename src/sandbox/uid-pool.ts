/** First user id handed out. Above what distributions give to people, services and `subuid` ranges of the first users. */
export const DEFAULT_UID_BASE = 700_000

/** User ids in the range; also the most functions that can have live instances at once. */
export const DEFAULT_UID_COUNT = 65_536

/**
 * Hands out unprivileged user ids: holders with the same key share one, others never do.
 *
 * An id is free again with its last holder. Nothing a function writes outlives its instance, so the next holder
 * of an id finds nothing of the one before.
 */
export class UidPool {
  readonly #base: number
  readonly #count: number
  readonly #held = new Map<string, { readonly uid: number; holders: number }>()
  readonly #freed: number[] = []
  #used = 0

  constructor(base = DEFAULT_UID_BASE, count = DEFAULT_UID_COUNT) {
    this.#base = base
    this.#count = count
  }

  /** @returns The id of `key`, or undefined when every id of the range is held by others. */
  acquire(key: string): number | undefined {
    const held = this.#held.get(key)
    if (held !== undefined) {
      held.holders += 1
      return held.uid
    }
    const uid = this.#freed.pop() ?? (this.#used < this.#count ? this.#base + this.#used++ : undefined)
    if (uid !== undefined) this.#held.set(key, { uid, holders: 1 })
    return uid
  }

  /** Gives back one hold of {@link UidPool.acquire}. */
  release(key: string): void {
    const held = this.#held.get(key)
    if (held === undefined) return
    held.holders -= 1
    if (held.holders > 0) return
    this.#held.delete(key)
    this.#freed.push(held.uid)
  }
}
