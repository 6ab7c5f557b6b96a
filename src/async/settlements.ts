import { EngineError } from '../model/errors.ts'
import type { Clock } from './clock.ts'

/** Between two tries to write what the full disk refused. */
const FULL_RETRY_MS = 1000

interface SettlementsOptions {
  readonly clock: Clock
  /** A write was refused, and is tried again. */
  readonly onFull: (error: unknown) => void
}

/**
 * Writes what became of runs. While the disk is full it is kept in memory and tried again, until it is written or given up:
 * a result that is there is not thrown away, and its task not run a second time.
 */
export class Settlements {
  readonly #options: SettlementsOptions
  readonly #givenUp = Promise.withResolvers<void>()
  #isGivenUp = false
  #unwritten = 0

  constructor(options: SettlementsOptions) {
    this.#options = options
  }

  /** Results that wait for room on the disk. */
  get unwritten(): number {
    return this.#unwritten
  }

  /**
   * @param write Writes it; called again after a refusal.
   * @throws what `write` throws, when that does not go away by itself or all was given up.
   */
  async write(write: () => Promise<boolean>): Promise<boolean> {
    let waits = false
    try {
      for (;;) {
        try {
          return await write()
        } catch (error) {
          if (this.#isGivenUp || !(error instanceof EngineError) || error.code !== 'platform/store-full')
            throw error
          this.#options.onFull(error)
          if (!waits) this.#unwritten += 1
          waits = true
        }
        await this.#pause()
      }
    } finally {
      if (waits) this.#unwritten -= 1
    }
  }

  /** Tries once more what waits, and then no more. */
  giveUp(): void {
    this.#isGivenUp = true
    this.#givenUp.resolve()
  }

  async #pause(): Promise<void> {
    const over = Promise.withResolvers<void>()
    const cancel = this.#options.clock.after(FULL_RETRY_MS, () => over.resolve())
    await Promise.race([over.promise, this.#givenUp.promise])
    cancel()
  }
}
