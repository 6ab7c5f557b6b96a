import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { TaskFilter, TaskRecord } from '../task-queue.ts'
import type { InputOf, OutputOf } from './operations.ts'
import type { QueueTally } from './queue-tally.ts'

/** What can be done without a lease; each runs inside the transaction of its batch. */
export interface LookupOperations {
  findTask(input: InputOf<'findTask'>): TaskRecord | undefined
  /** Reads every task that fits, to count them. */
  listTasks(input: InputOf<'listTasks'>): OutputOf<'listTasks'>
  /** Also deletes the payload, like a settlement. */
  cancelTask(input: InputOf<'cancelTask'>): TaskRecord['status'] | undefined
}

/** More are never returned at once, whatever is asked for. */
const MAX_PAGE = 1000

const COLUMNS = `request_id, account, namespace, function_name, qualifier, task_id, status, accepted_at_ms, started_at_ms,
  ended_at_ms, attempts, max_retries, last_error`

/** A row as {@link COLUMNS} selects it. */
interface RecordRow {
  readonly request_id: string
  readonly account: string
  readonly namespace: string
  readonly function_name: string
  readonly qualifier: string | null
  readonly task_id: string | null
  readonly status: StoredStatus
  readonly accepted_at_ms: number
  readonly started_at_ms: number | null
  readonly ended_at_ms: number | null
  readonly attempts: number
  readonly max_retries: number
  readonly last_error: string | null
}

type StoredStatus = Exclude<TaskRecord['status'], 'running'> | 'leased'

export function prepareLookup(database: DatabaseSync, tally: QueueTally): LookupOperations {
  // The latest, should a caller have used a request id twice.
  const selectLatest = database.prepare(
    `SELECT ${COLUMNS} FROM tasks WHERE account = ? AND request_id = ? ORDER BY sequence DESC LIMIT 1`,
  )
  const cancelLatest = database.prepare(
    `UPDATE tasks SET status = 'cancelled', ended_at_ms = ?
     WHERE sequence = (SELECT max(sequence) FROM tasks WHERE account = ? AND request_id = ?) AND status = 'waiting'
     RETURNING sequence, payload_bytes`,
  )
  const deletePayload = database.prepare('DELETE FROM task_payloads WHERE sequence = ?')

  const find = (account: string, requestId: string): TaskRecord | undefined => {
    const row = selectLatest.get(account, requestId)
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
    return row === undefined ? undefined : recordOf(row as unknown as RecordRow)
  }

  return {
    findTask: ({ account, requestId }) => find(account, requestId),

    listTasks({ filter }) {
      const { where, values } = conditionOf(filter)
      const column = filter.orderBy === 'ended' ? 'ended_at_ms' : 'accepted_at_ms'
      const direction = filter.order === 'oldest' ? 'ASC' : 'DESC'
      // All that is put into the text is chosen here; what was asked for is bound.
      const rows = database
        .prepare(
          `SELECT ${COLUMNS} FROM tasks WHERE ${where}
           ORDER BY ${column} ${direction}, sequence ${direction} LIMIT ? OFFSET ?`,
        )
        .all(...values, Math.min(filter.limit, MAX_PAGE), filter.offset ?? 0)
      const counted = database.prepare(`SELECT count(*) AS total FROM tasks WHERE ${where}`).get(...values)
      return {
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
        tasks: (rows as unknown as RecordRow[]).map(recordOf),
        total: Number(counted?.['total']),
      }
    },

    cancelTask({ account, requestId, nowMs }) {
      const cancelled = cancelLatest.get(nowMs, account, requestId)
      if (cancelled === undefined) return find(account, requestId)?.status
      deletePayload.run(Number(cancelled['sequence']))
      tally.remove(Number(cancelled['payload_bytes']))
      return 'waiting'
    },
  }
}

function conditionOf(filter: TaskFilter): {
  readonly where: string
  readonly values: readonly SQLInputValue[]
} {
  const conditions: string[] = ['account = ?']
  const values: SQLInputValue[] = [filter.account]
  const require = (condition: string, value: SQLInputValue | undefined): void => {
    if (value === undefined) return
    conditions.push(condition)
    values.push(value)
  }
  require('namespace = ?', filter.namespace)
  require('function_name = ?', filter.functionName)
  require('qualifier = ?', filter.qualifier)
  require('request_id IN (SELECT value FROM json_each(?))', listOf(filter.requestIds))
  require('status IN (SELECT value FROM json_each(?))', listOf(filter.statuses?.map(storedStatusOf)))
  require('accepted_at_ms >= ?', filter.acceptedFromMs)
  require('accepted_at_ms < ?', filter.acceptedToMs)
  require('ended_at_ms >= ?', filter.endedFromMs)
  require('ended_at_ms < ?', filter.endedToMs)
  return { where: conditions.join(' AND '), values }
}

function listOf(values: readonly string[] | undefined): string | undefined {
  return values === undefined ? undefined : JSON.stringify(values)
}

function recordOf(row: RecordRow): TaskRecord {
  return {
    requestId: row.request_id,
    account: row.account,
    namespace: row.namespace,
    functionName: row.function_name,
    ...(row.qualifier === null ? {} : { qualifier: row.qualifier }),
    ...(row.task_id === null ? {} : { taskId: row.task_id }),
    status: row.status === 'leased' ? 'running' : row.status,
    acceptedAtMs: row.accepted_at_ms,
    ...(row.started_at_ms === null ? {} : { startedAtMs: row.started_at_ms }),
    ...(row.ended_at_ms === null ? {} : { endedAtMs: row.ended_at_ms }),
    attempts: row.attempts,
    maxRetries: row.max_retries,
    ...(row.last_error === null ? {} : { lastError: row.last_error }),
  }
}

function storedStatusOf(status: TaskRecord['status']): StoredStatus {
  return status === 'running' ? 'leased' : status
}
