import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { RESULT_BYTES, TASK_ENDINGS, type TaskEnding } from '../task-queue.ts'
import type { FunctionQueues, OwnerRow } from './function-queues.ts'
import { shorten } from './history.ts'
import { keptTasks, type FunctionQueue, type QueueCounts } from './function-queue.ts'
import type { QueueLimits, ResultRow } from './operations.ts'

/** A task that is to end, as a row that was looked up for it. */
export interface EndingRow extends OwnerRow {
  readonly sequence: number
  readonly status: 'waiting' | 'leased'
  readonly payload_bytes: number
  readonly keeps_details: number
  readonly attempts: number
}

/** Columns of {@link EndingRow}. */
export const ENDING_COLUMNS =
  'sequence, account, namespace, function_name, status, payload_bytes, keeps_details, attempts'

export interface EndingOf {
  readonly ending: TaskEnding
  readonly attempts: number
  readonly lastError?: string
  readonly result?: ResultRow
}

/** Forgotten for one that ends, where too many are kept. */
const FORGOTTEN_FOR_COUNT = 2
/** The same where they are too large together. */
const FORGOTTEN_FOR_BYTES = 32

/** Ends tasks, whoever asked for it, and forgets them. */
export class Endings {
  readonly #queues: FunctionQueues
  readonly #limits: QueueLimits
  readonly #statements: ReturnType<typeof prepareEndings>

  constructor(database: DatabaseSync, queues: FunctionQueues, limits: QueueLimits) {
    this.#queues = queues
    this.#limits = limits
    this.#statements = prepareEndings(database)
  }

  /** What is kept of it depends on how it ended; each ending beyond the limits makes some older ones be forgotten. */
  end(row: EndingRow, { ending, attempts, lastError, result }: EndingOf, nowMs: number): void {
    const { sequence, payload_bytes: payloadBytes } = row
    const isKept = row.keeps_details === 1 || ending === 'failed' || ending === 'expired'
    const statements = this.#statements
    let keptBytes = 0
    if (isKept) {
      keptBytes += payloadBytes
      if (result !== undefined) {
        const { payload, logTail, ...figures } = result
        const kept = payload.subarray(0, RESULT_BYTES)
        const isCut = result.isCut || kept.length < payload.length
        statements.insertResult.run(sequence, kept, logTail, JSON.stringify({ ...figures, isCut }))
        keptBytes += kept.length + logTail.length
      }
    } else statements.deletePayload.run(sequence)
    statements.end.run(ending, attempts, nowMs, shorten(lastError), keptBytes, sequence)
    const queue = this.#queues.ofRow(row)
    const from = row.status === 'leased' ? 'running' : 'waiting'
    this.#queues.countEnding(queue, from, ending, payloadBytes, keptBytes)
    queue.head = undefined
    this.#forgetForLimits()
  }

  /** Forgets up to `limit` tasks that ended before; how many. */
  forget(endedBeforeMs: number, limit: number): number {
    let count = 0
    for (const queue of this.#queues.all) {
      if (count === limit) break
      if (keptOf(queue) > 0)
        count += this.#forgetOf(queue, endedBeforeMs, limit - count, this.#statements.deleteTasks)
    }
    return count
  }

  /**
   * The oldest of the function that has the most: so one function does not push out what is kept of others. For the bytes more than one
   * for each that ends: it may be larger than many.
   */
  #forgetForLimits(): void {
    const { total } = this.#queues
    const { maxEndedTasks, maxKeptBytes } = this.#limits
    const { deleteTasks, deleteTasksWithBytes } = this.#statements
    for (let times = 0; times < FORGOTTEN_FOR_BYTES && total.keptBytes > maxKeptBytes; times += 1)
      this.#forgetOne(({ counts }) => counts.keptBytes, deleteTasksWithBytes)
    for (let times = 0; times < FORGOTTEN_FOR_COUNT && keptOf({ counts: total }) > maxEndedTasks; times += 1)
      this.#forgetOne(keptOf, deleteTasks)
  }

  #forgetOne(measure: (queue: FunctionQueue) => number, statement: StatementSync): void {
    let most: FunctionQueue | undefined
    for (const queue of this.#queues.all)
      if (most === undefined || measure(queue) > measure(most)) most = queue
    if (most !== undefined) this.#forgetOf(most, Number.MAX_SAFE_INTEGER, 1, statement)
  }

  #forgetOf(queue: FunctionQueue, endedBeforeMs: number, limit: number, statement: StatementSync): number {
    const { account, namespace, name } = queue
    const { deletePayload, deleteResult } = this.#statements
    const rows = statement.all(account, namespace, name, endedBeforeMs, limit)
    for (const row of rows) {
      const sequence = Number(row['sequence'])
      deletePayload.run(sequence)
      deleteResult.run(sequence)
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only ended tasks are deleted
      this.#queues.countForgotten(queue, row['status'] as TaskEnding, Number(row['kept_bytes']))
    }
    return rows.length
  }
}

function keptOf({ counts }: { readonly counts: Readonly<QueueCounts> }): number {
  return TASK_ENDINGS.reduce((sum, ending) => sum + keptTasks(counts, ending), 0)
}

// oxlint-disable-next-line typescript/explicit-function-return-type -- its members are statements, and say what they are
function prepareEndings(database: DatabaseSync) {
  const deleteOldest = (index: string, condition: string): StatementSync =>
    database.prepare(
      `DELETE FROM tasks WHERE sequence IN
         (SELECT sequence FROM tasks INDEXED BY ${index}
          WHERE ${condition} AND account = ? AND namespace = ? AND function_name = ? AND ended_at_ms < ?
          ORDER BY ended_at_ms LIMIT ?)
       RETURNING sequence, status, kept_bytes`,
    )
  return {
    end: database.prepare(
      `UPDATE tasks SET status = ?, attempts = ?, ended_at_ms = ?, last_error = coalesce(?, last_error),
         kept_bytes = ?, may_be_running = 0
       WHERE sequence = ?`,
    ),
    insertResult: database.prepare(
      'INSERT INTO task_results (sequence, payload, log_tail, figures) VALUES (?, ?, ?, ?)',
    ),
    deletePayload: database.prepare('DELETE FROM task_payloads WHERE sequence = ?'),
    deleteResult: database.prepare('DELETE FROM task_results WHERE sequence = ?'),
    deleteTasks: deleteOldest('tasks_by_end', 'ended_at_ms IS NOT NULL'),
    deleteTasksWithBytes: deleteOldest('tasks_with_bytes', 'ended_at_ms IS NOT NULL AND kept_bytes > 0'),
  }
}
