import type { DatabaseSync } from 'node:sqlite'

/** Written no more often than this: what a crash may lose of it. */
const STEP_MS = 1000

/** The latest moment that the queue was told of, kept over restarts. */
export class QueueClock {
  readonly #update: (latestMs: number) => void
  #writtenMs: number
  #latestMs: number

  constructor(database: DatabaseSync) {
    const update = database.prepare('UPDATE queue_clock SET latest_ms = ? WHERE id = 1')
    this.#update = (latestMs) => void update.run(latestMs)
    const row = database.prepare('SELECT latest_ms FROM queue_clock WHERE id = 1').get()
    this.#writtenMs = Number(row?.['latest_ms'])
    this.#latestMs = this.#writtenMs
  }

  get latestMs(): number {
    return this.#latestMs
  }

  see(nowMs: number): void {
    if (nowMs > this.#latestMs) this.#latestMs = nowMs
  }

  /** Writes it when it is due; only in a transaction that writes anyway. */
  flush(): void {
    if (this.#latestMs < this.#writtenMs + STEP_MS) return
    this.#update(this.#latestMs)
    this.#writtenMs = this.#latestMs
  }

  /** The transaction that was flushed into was rolled back. */
  undo(): void {
    this.#writtenMs = 0
  }
}
