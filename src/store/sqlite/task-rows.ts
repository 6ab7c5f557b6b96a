import type { TaskRecord } from '../task-queue.ts'
import type { RecordRow } from './operations.ts'
import { parsePlan } from './plan.ts'

export type StoredStatus = Exclude<TaskRecord['status'], 'running'> | 'leased'

/** What is shown of a task that is looked at. */
export const TASK_COLUMNS = `sequence, request_id, account, namespace, function_name, qualifier, task_id, status,
  accepted_at_ms, due_at_ms, started_at_ms, claimed_at_ms, ended_at_ms, stop_requested_at_ms, attempts, max_retries,
  lost_runs, plan, last_error`

/** A row as {@link TASK_COLUMNS} selects it. */
export interface TaskColumns {
  readonly sequence: number
  readonly request_id: string
  readonly account: string
  readonly namespace: string
  readonly function_name: string
  readonly qualifier: string | null
  readonly task_id: string | null
  readonly status: StoredStatus
  readonly accepted_at_ms: number
  readonly due_at_ms: number
  readonly started_at_ms: number | null
  readonly claimed_at_ms: number | null
  readonly ended_at_ms: number | null
  readonly stop_requested_at_ms: number | null
  readonly attempts: number
  readonly max_retries: number
  readonly lost_runs: number
  readonly plan: string | null
  readonly last_error: string | null
}

export function recordOf(row: TaskColumns, payload?: Uint8Array<ArrayBuffer>): RecordRow {
  const { source, causedBy } = parsePlan(row.plan)
  return {
    requestId: row.request_id,
    account: row.account,
    namespace: row.namespace,
    functionName: row.function_name,
    ...(row.qualifier === null ? {} : { qualifier: row.qualifier }),
    ...(row.task_id === null ? {} : { taskId: row.task_id }),
    status: row.status === 'leased' ? 'running' : row.status,
    acceptedAtMs: row.accepted_at_ms,
    ...(row.status === 'waiting' ? { dueAtMs: row.due_at_ms } : {}),
    ...(row.started_at_ms === null ? {} : { startedAtMs: row.started_at_ms }),
    ...(row.claimed_at_ms === null ? {} : { claimedAtMs: row.claimed_at_ms }),
    ...(row.ended_at_ms === null ? {} : { endedAtMs: row.ended_at_ms }),
    ...(row.stop_requested_at_ms === null ? {} : { stopRequestedAtMs: row.stop_requested_at_ms }),
    attempts: row.attempts,
    maxRetries: row.max_retries,
    lostRuns: row.lost_runs,
    ...(source === undefined ? {} : { source }),
    ...(causedBy === undefined ? {} : { causedBy }),
    ...(row.last_error === null ? {} : { lastError: row.last_error }),
    ...(payload === undefined ? {} : { payload }),
  }
}
