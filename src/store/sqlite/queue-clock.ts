import type { DatabaseSync } from 'node:sqlite'

/** What is on disk is so far ahead, so that it is written no more often than this; a start after a crash begins there. */
const STEP_MS = 1000

/** The latest moment that the queue was told of, kept over restarts: whatever is on disk is no later. */
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

  /** Writes a moment that nothing in this transaction is later than; only in one that writes anyway. */
  flush(): void {
    if (this.#latestMs <= this.#writtenMs) return
    this.#writtenMs = this.#latestMs + STEP_MS
    this.#update(this.#writtenMs)
  }

  /** Nothing more is written: the next start need not begin ahead. */
  settle(): void {
    if (this.#latestMs === this.#writtenMs) return
    this.#writtenMs = this.#latestMs
    this.#update(this.#latestMs)
  }

  /** The transaction that was flushed into was rolled back. */
  undo(): void {
    this.#writtenMs = 0
  }
}
