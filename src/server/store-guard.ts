import type { OperatorLog } from '../observe/operator-log.ts'
import { killItself } from './kill-itself.ts'

/** No server mends that, and a supervisor that starts it again and again only repeats it. */
const DAMAGED =
  'the database is damaged; the server ends, and no new start mends it: restore a backup, or move the database away (docs/operating.md)'
const FAILED = 'the store failed; the server ends, a new start can recover'

/**
 * Ends the server with its store, as by `kill -9`: what was acknowledged is safe, nothing more can be, and better no server than one that
 * forgets. Damage that is found before the server is up is left to the start, whose error says what to do.
 */
export class StoreGuard {
  readonly #log: OperatorLog
  readonly #isDamage: (error: Error) => boolean
  #isServing = false
  #damage: Error | undefined

  constructor(log: OperatorLog, isDamage: (error: Error) => boolean) {
    this.#log = log
    this.#isDamage = isDamage
  }

  get isServing(): boolean {
    return this.#isServing
  }

  /** To be called when the store can no longer be used. */
  failed(error: Error): void {
    const isDamage = this.#isDamage(error)
    if (isDamage && !this.#isServing) {
      this.#damage = error
      return
    }
    this.#log.error(isDamage ? DAMAGED : FAILED, { error })
    killItself()
  }

  /**
   * The server is up.
   *
   * @throws {Error} the damage that was found before.
   */
  serves(): void {
    if (this.#damage !== undefined) throw this.#damage
    this.#isServing = true
  }
}
