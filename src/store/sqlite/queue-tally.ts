import type { DatabaseSync } from 'node:sqlite'
import { EngineError } from '../../model/errors.ts'
import type { QueueLimits } from './operations.ts'

interface Counts {
  readonly tasks: number
  readonly bytes: number
}

/** Tasks that have not ended and the bytes of their payloads, kept beside the table so that no call counts rows. */
export class QueueTally {
  readonly #limits: QueueLimits
  #counts: Counts

  /** Counts what the database holds now. */
  constructor(database: DatabaseSync, limits: QueueLimits) {
    this.#limits = limits
    const row = database
      .prepare(
        `SELECT count(*) AS tasks, coalesce(sum(payload_bytes), 0) AS bytes FROM tasks WHERE ended_at_ms IS NULL`,
      )
      .get()
    this.#counts = { tasks: Number(row?.['tasks']), bytes: Number(row?.['bytes']) }
  }

  /** For {@link QueueTally.restore}, when the transaction is rolled back to here. */
  save(): Counts {
    return this.#counts
  }

  restore(counts: Counts): void {
    this.#counts = counts
  }

  /** @throws {EngineError} `caller/queue-full` */
  add(payloadBytes: number): void {
    const { maxQueuedTasks, maxQueuedBytes } = this.#limits
    const tasks = this.#counts.tasks + 1
    const bytes = this.#counts.bytes + payloadBytes
    if (tasks > maxQueuedTasks) throw new EngineError('caller/queue-full', { limit: maxQueuedTasks })
    if (bytes > maxQueuedBytes) throw new EngineError('caller/queue-full', { limit: maxQueuedBytes })
    this.#counts = { tasks, bytes }
  }

  remove(payloadBytes: number): void {
    this.#counts = { tasks: this.#counts.tasks - 1, bytes: this.#counts.bytes - payloadBytes }
  }
}
