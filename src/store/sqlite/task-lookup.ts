import type { DatabaseSync } from 'node:sqlite'
import type { TaskDetails, TaskRecord, TaskResult } from '../task-queue.ts'
import { EVENT_LOST } from './claim.ts'
import { ENDING_COLUMNS, type EndingRow, type Endings } from './endings.ts'
import { parseHistory } from './history.ts'
import type { DetailsRow, InputOf, RecordRow } from './operations.ts'
import { parsePlan } from './plan.ts'
import { recordOf, TASK_COLUMNS, type TaskColumns } from './task-rows.ts'

/** What can be done to one task without a lease; each runs inside the transaction of its batch. */
export interface LookupOperations {
  findTask(input: InputOf<'findTask'>): RecordRow | undefined
  findDetails(input: InputOf<'findDetails'>): DetailsRow | undefined
  cancelTask(input: InputOf<'cancelTask'>): TaskRecord['status'] | undefined
}

type Figures = Omit<TaskResult, 'payload' | 'logTail'>

export function prepareLookup(database: DatabaseSync, endings: Endings): LookupOperations {
  // The latest, should a caller have used a request id twice.
  const selectLatest = database.prepare(
    `SELECT ${TASK_COLUMNS}, history FROM tasks WHERE account = ? AND request_id = ? ORDER BY sequence DESC LIMIT 1`,
  )
  const selectByOwnId = database.prepare(
    `SELECT ${TASK_COLUMNS}, history FROM tasks
     WHERE account = ? AND namespace = ? AND function_name = ? AND task_id = ?`,
  )
  const selectPayload = database.prepare('SELECT payload FROM task_payloads WHERE sequence = ?')
  const selectResult = database.prepare(
    'SELECT payload, log_tail, figures FROM task_results WHERE sequence = ?',
  )
  const selectDelivery = database.prepare(
    `SELECT status FROM deliveries WHERE account = ? AND request_id = ? AND namespace = ? AND function_name = ?
     ORDER BY sequence DESC LIMIT 1`,
  )
  const selectToStop = database.prepare(
    `SELECT ${ENDING_COLUMNS} FROM tasks WHERE account = ? AND request_id = ? ORDER BY sequence DESC LIMIT 1`,
  )
  const requestStop = database.prepare(
    'UPDATE tasks SET stop_requested_at_ms = coalesce(stop_requested_at_ms, ?) WHERE sequence = ?',
  )

  const tellingOf = (row: TaskColumns): Pick<TaskDetails, 'telling' | 'destinations'> => {
    const { destinations } = parsePlan(row.plan)
    if (destinations === undefined) return {}
    const { onSuccess, onFailure } = destinations
    const isTold =
      row.status === 'succeeded'
        ? onSuccess !== undefined
        : (row.status === 'failed' || row.status === 'expired') &&
          row.last_error !== EVENT_LOST &&
          onFailure !== undefined
    if (!isTold) return { destinations }
    const found = selectDelivery.get(row.account, row.request_id, row.namespace, row.function_name)
    if (found === undefined) return { destinations, telling: 'delivered' }
    return { destinations, telling: found['status'] === 'undeliverable' ? 'undeliverable' : 'waiting' }
  }

  return {
    findTask({ account, requestId }) {
      const row = selectLatest.get(account, requestId)
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
      return row === undefined ? undefined : recordOf(row as unknown as TaskColumns)
    },

    findDetails({ account, by }) {
      const found =
        'requestId' in by
          ? selectLatest.get(account, by.requestId)
          : selectByOwnId.get(account, by.namespace, by.functionName, by.taskId)
      if (found === undefined) return undefined
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
      const row = found as unknown as TaskColumns & { readonly history: string | null }
      const result = selectResult.get(row.sequence)
      return {
        ...recordOf(row, blobOf(selectPayload.get(row.sequence)?.['payload'])),
        history: parseHistory(row.history),
        ...tellingOf(row),
        ...(result === undefined
          ? {}
          : {
              result: {
                // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written with the ending
                ...(JSON.parse(String(result['figures'])) as Figures),
                payload: blobOf(result['payload']) ?? new Uint8Array(),
                logTail: blobOf(result['log_tail']) ?? new Uint8Array(),
              },
            }),
      }
    },

    cancelTask({ account, requestId, nowMs, marksRunning }) {
      const found = selectToStop.get(account, requestId)
      if (found === undefined) return undefined
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
      const row = found as unknown as Omit<EndingRow, 'status'> & { readonly status: StoredStatus }
      const { status, sequence, attempts } = row
      if (status === 'leased') {
        if (marksRunning) requestStop.run(nowMs, sequence)
        return 'running'
      }
      if (status === 'waiting') endings.end({ ...row, status }, { ending: 'cancelled', attempts }, nowMs)
      return status
    },
  }
}

type StoredStatus = Exclude<TaskRecord['status'], 'running'> | 'leased'

function blobOf(value: unknown): Uint8Array<ArrayBuffer> | undefined {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- blobs come each in memory of its own
  return value instanceof Uint8Array ? (value as Uint8Array<ArrayBuffer>) : undefined
}
