import type { DatabaseSync } from 'node:sqlite'
import type { PayloadMemory } from './batch.ts'
import { prepareDueTasks } from './due-tasks.ts'
import { formatLease } from './lease-name.ts'
import type { InputOf, TaskRow } from './operations.ts'

/** Operations that look for due tasks; each runs inside the transaction of its batch. */
export interface ClaimOperations {
  readonly claimTasks: (input: InputOf<'claimTasks'>, memory: PayloadMemory) => readonly TaskRow[]
  readonly findNextDue: (input: InputOf<'findNextDue'>) => number | undefined
  /**
   * Makes every leased task due since its claim: the process that leased them is gone, as this one holds the lock.
   * Each counts as a lost run.
   */
  readonly voidLeases: () => void
}

/** A row as the statement below selects it. */
interface DueRow {
  readonly sequence: number
  readonly request_id: string
  readonly account: string
  readonly namespace: string
  readonly function_name: string
  readonly qualifier: string | null
  readonly task_id: string | null
  readonly accepted_at_ms: number
  readonly due_at_ms: number
  readonly expires_at_ms: number
  readonly max_retries: number
  readonly backoff_first_ms: number | null
  readonly backoff_longest_ms: number | null
  readonly attempts: number
  readonly deferrals: number
  readonly claims: number
  readonly lost_runs: number
  readonly payload: Uint8Array<ArrayBuffer>
}

export function prepareClaim(database: DatabaseSync): ClaimOperations {
  const findDue = prepareDueTasks(database)
  // A task that is still leased when it is due again lost its run.
  const selectTask = database.prepare(
    `SELECT sequence, request_id, account, namespace, function_name, qualifier, task_id, accepted_at_ms, due_at_ms,
       expires_at_ms, max_retries, backoff_first_ms, backoff_longest_ms, attempts, deferrals, claims + 1 AS claims,
       lost_runs + (status = 'leased') AS lost_runs, payload
     FROM tasks JOIN task_payloads USING (sequence) WHERE sequence = ?`,
  )
  const lease = database.prepare(
    `UPDATE tasks SET status = 'leased', due_at_ms = ?, claimed_at_ms = ?, started_at_ms = coalesce(started_at_ms, ?),
       claims = ?, lost_runs = ?
     WHERE sequence = ?`,
  )
  const voidAll = database.prepare(
    `UPDATE tasks SET status = 'waiting', due_at_ms = claimed_at_ms, lost_runs = lost_runs + 1
     WHERE ended_at_ms IS NULL AND status = 'leased'`,
  )

  return {
    claimTasks({ limit, nowMs, leaseMs, share }, memory) {
      return findDue.sequences(limit, nowMs, share).map((due) => {
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
        const row = selectTask.get(due) as unknown as DueRow
        const { claims, lost_runs, sequence, payload } = row
        lease.run(nowMs + leaseMs, nowMs, nowMs, claims, lost_runs, sequence)
        memory.leaving.push(payload.buffer)
        return taskRowOf(row)
      })
    },

    findNextDue({ share }) {
      return findDue.nextAtMs(share)
    },

    voidLeases() {
      voidAll.run()
    },
  }
}

function taskRowOf(row: DueRow): TaskRow {
  return {
    sequence: row.sequence,
    lease: formatLease(row),
    requestId: row.request_id,
    account: row.account,
    namespace: row.namespace,
    functionName: row.function_name,
    ...(row.qualifier === null ? {} : { qualifier: row.qualifier }),
    ...(row.task_id === null ? {} : { taskId: row.task_id }),
    payload: row.payload,
    acceptedAtMs: row.accepted_at_ms,
    dueAtMs: row.due_at_ms,
    expiresAtMs: row.expires_at_ms,
    maxRetries: row.max_retries,
    ...(row.backoff_first_ms === null || row.backoff_longest_ms === null
      ? {}
      : { backoff: { firstMs: row.backoff_first_ms, longestMs: row.backoff_longest_ms } }),
    attempts: row.attempts,
    deferrals: row.deferrals,
    lostRuns: row.lost_runs,
  }
}
