import type { DatabaseSync } from 'node:sqlite'
import type { PayloadMemory } from './batch.ts'
import { ENDING_COLUMNS, type EndingRow, type Endings } from './endings.ts'
import { FairLine, nextDueMs } from './fair-line.ts'
import type { FunctionQueues } from './function-queues.ts'
import { withRun } from './history.ts'
import { formatLease } from './lease-name.ts'
import type { InputOf, TaskRow } from './operations.ts'
import { parsePlan } from './plan.ts'

/** The reason of a task whose event is not there when it is due: its file was damaged. It has no run and no telling. */
export const EVENT_LOST = 'eventLost'

/** Operations that look for due tasks; each runs inside the transaction of its batch. */
export interface ClaimOperations {
  readonly claimTasks: (input: InputOf<'claimTasks'>, memory: PayloadMemory) => readonly TaskRow[]
  readonly findNextDue: (input: InputOf<'findNextDue'>) => number | undefined
  /**
   * Makes every leased task due since its claim: the process that leased them is gone, as this one holds the lock.
   * Each counts as a lost run, but not one whose stop was requested: that ends, and is not run again.
   *
   * @param nowMs The latest moment the queue has seen.
   */
  readonly voidLeases: (nowMs: number) => void
}

/** A row as the statement below selects it. */
interface DueRow extends EndingRow {
  readonly request_id: string
  readonly qualifier: string | null
  readonly task_id: string | null
  readonly accepted_at_ms: number
  readonly due_at_ms: number
  readonly expires_at_ms: number
  readonly claimed_at_ms: number | null
  readonly max_retries: number
  readonly backoff_first_ms: number | null
  readonly backoff_longest_ms: number | null
  readonly deferrals: number
  readonly claims: number
  readonly lost_runs: number
  readonly may_be_running: number
  readonly stop_requested_at_ms: number | null
  readonly history: string | null
  readonly plan: string | null
  /** Null: its event is not there, and never comes. */
  readonly payload: Uint8Array<ArrayBuffer> | null
}

/** A leased row, of a server that is gone. */
interface LostRow extends EndingRow {
  readonly claimed_at_ms: number
  readonly history: string | null
  readonly stop_requested_at_ms: number | null
}

export function prepareClaim(
  database: DatabaseSync,
  queues: FunctionQueues,
  endings: Endings,
): ClaimOperations {
  const selectTask = database.prepare(
    `SELECT sequence, request_id, account, namespace, function_name, qualifier, task_id, status, accepted_at_ms, due_at_ms,
       expires_at_ms, claimed_at_ms, max_retries, backoff_first_ms, backoff_longest_ms, attempts, deferrals,
       claims + 1 AS claims, lost_runs + (status = 'leased') AS lost_runs, may_be_running, stop_requested_at_ms,
       keeps_details, payload_bytes, history, plan, payload
     FROM tasks LEFT JOIN task_payloads USING (sequence) WHERE sequence = ?`,
  )
  const lease = database.prepare(
    `UPDATE tasks SET status = 'leased', due_at_ms = ?, claimed_at_ms = ?, started_at_ms = coalesce(started_at_ms, ?),
       claims = ?, lost_runs = ?, history = ?, may_be_running = 0
     WHERE sequence = ?`,
  )
  const selectLeased = database.prepare(
    `SELECT ${ENDING_COLUMNS}, claimed_at_ms, history, stop_requested_at_ms FROM tasks
     WHERE status = 'leased' AND ended_at_ms IS NULL`,
  )
  const putBack = database.prepare(
    `UPDATE tasks SET status = 'waiting', due_at_ms = claimed_at_ms, lost_runs = lost_runs + 1, history = ?, may_be_running = 1
     WHERE sequence = ?`,
  )

  const take = (row: DueRow, nowMs: number, leaseMs: number): void => {
    const { sequence, claims, lost_runs, history, claimed_at_ms } = row
    const wasLeased = row.status === 'leased'
    const runs =
      wasLeased && claimed_at_ms !== null
        ? withRun(history, { startedAtMs: claimed_at_ms, endedAtMs: nowMs, how: 'lost' })
        : history
    lease.run(nowMs + leaseMs, nowMs, nowMs, claims, lost_runs, runs, sequence)
    const queue = queues.ofRow(row)
    queues.count(queue, {
      ...(wasLeased ? {} : { waiting: -1, running: 1 }),
      ...(wasLeased || row.may_be_running === 1 ? { duplicates: 1 } : {}),
    })
    queue.head = undefined
    queue.leasesUntilMs = Math.min(queue.leasesUntilMs, nowMs + leaseMs)
  }

  return {
    claimTasks({ limit, nowMs, leaseMs, share }, memory) {
      const line = new FairLine(queues, limit, nowMs, share)
      const rows: TaskRow[] = []
      for (let next = line.next(); next !== undefined; next = line.next()) {
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
        const row = selectTask.get(next.head.sequence) as unknown as DueRow
        const { payload, attempts } = row
        if (row.stop_requested_at_ms !== null) {
          // Its run is lost, which was to end anyway: none follows.
          endings.end(row, { ending: 'cancelled', attempts, lastError: 'terminated' }, nowMs)
          line.giveBack()
        } else if (payload === null) {
          // One that cannot run must not keep all others from running. Nobody is told: there is no event to tell of.
          endings.end(row, { ending: 'failed', attempts, lastError: EVENT_LOST }, nowMs)
          line.giveBack()
        } else {
          take(row, nowMs, leaseMs)
          memory.leaving.push(payload.buffer)
          rows.push(taskRowOf(row, payload))
        }
        line.again(next.queue)
      }
      return rows
    },

    findNextDue: ({ share }) => nextDueMs(queues, share),

    voidLeases(nowMs) {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
      for (const row of selectLeased.all() as unknown as LostRow[]) {
        const { claimed_at_ms: claimedAtMs, history, attempts } = row
        if (row.stop_requested_at_ms !== null) {
          endings.end(row, { ending: 'cancelled', attempts, lastError: 'terminated' }, nowMs)
          continue
        }
        const run = {
          startedAtMs: claimedAtMs,
          endedAtMs: Math.max(claimedAtMs, nowMs),
          how: 'lost',
        } as const
        putBack.run(withRun(history, run), row.sequence)
        queues.count(queues.ofRow(row), { waiting: 1, running: -1 })
      }
    },
  }
}

function taskRowOf(row: DueRow, payload: Uint8Array<ArrayBuffer>): TaskRow {
  return {
    sequence: row.sequence,
    lease: formatLease(row),
    requestId: row.request_id,
    account: row.account,
    namespace: row.namespace,
    functionName: row.function_name,
    ...(row.qualifier === null ? {} : { qualifier: row.qualifier }),
    ...(row.task_id === null ? {} : { taskId: row.task_id }),
    payload,
    acceptedAtMs: row.accepted_at_ms,
    dueAtMs: row.due_at_ms,
    expiresAtMs: row.expires_at_ms,
    maxRetries: row.max_retries,
    ...(row.backoff_first_ms === null || row.backoff_longest_ms === null
      ? {}
      : { backoff: { firstMs: row.backoff_first_ms, longestMs: row.backoff_longest_ms } }),
    ...(row.keeps_details === 1 ? { keepsDetails: true } : {}),
    ...parsePlan(row.plan),
    attempts: row.attempts,
    deferrals: row.deferrals,
    lostRuns: row.lost_runs,
  }
}
