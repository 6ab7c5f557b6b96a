import type { DatabaseSync } from 'node:sqlite'
import { ENDING_COLUMNS, type EndingRow, type Endings } from './endings.ts'
import type { FunctionQueues } from './function-queues.ts'
import { shorten, withRun } from './history.ts'
import { parseLease } from './lease-name.ts'
import type { InputOf } from './operations.ts'
import type { OutboxOperations } from './outbox.ts'

/** What the holder of a lease may do with its task; each runs inside the transaction of its batch. */
export interface LeaseOperations {
  renewLeases(input: InputOf<'renewLeases'>): readonly boolean[]
  postponeTask(input: InputOf<'postponeTask'>): boolean
  settleTask(input: InputOf<'settleTask'>): boolean
}

/** A task under a current lease. */
interface HeldRow extends EndingRow {
  readonly claimed_at_ms: number
  readonly history: string | null
  readonly stop_requested_at_ms: number | null
}

export function prepareLeases(
  database: DatabaseSync,
  queues: FunctionQueues,
  endings: Endings,
  outbox: Pick<OutboxOperations, 'addDelivery'>,
): LeaseOperations {
  const renew = database.prepare(
    `UPDATE tasks SET due_at_ms = ? WHERE sequence = ? AND claims = ? AND status = 'leased'
     RETURNING account, namespace, function_name`,
  )
  const selectHeld = database.prepare(
    `SELECT ${ENDING_COLUMNS}, claimed_at_ms, history, stop_requested_at_ms FROM tasks
     WHERE sequence = ? AND claims = ? AND status = 'leased'`,
  )
  const putBack = database.prepare(
    `UPDATE tasks SET status = 'waiting', due_at_ms = ?, attempts = ?, deferrals = ?,
       last_error = coalesce(?, last_error), history = ?, may_be_running = ?
     WHERE sequence = ?`,
  )

  const held = (lease: string): HeldRow | undefined => {
    const name = parseLease(lease)
    if (name === undefined) return undefined
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
    return selectHeld.get(name.sequence, name.claims) as unknown as HeldRow | undefined
  }

  return {
    renewLeases({ leases, untilMs }) {
      return leases.map((lease) => {
        const name = parseLease(lease)
        const row = name && renew.get(untilMs, name.sequence, name.claims)
        if (row === undefined) return false
        const queue = queues.of(
          String(row['account']),
          String(row['namespace']),
          String(row['function_name']),
        )
        queues.renewed(queue, untilMs)
        return true
      })
    },

    postponeTask({ lease, next, nowMs }) {
      const row = held(lease)
      if (row === undefined) return false
      const { dueAtMs, attempts, deferrals, lastError, how = deferrals > 0 ? 'refused' : 'failed' } = next
      if (row.stop_requested_at_ms !== null) {
        endings.end(row, { ending: 'cancelled', attempts, lastError: 'terminated' }, nowMs)
        return true
      }
      const reason = shorten(lastError)
      const run = {
        startedAtMs: row.claimed_at_ms,
        endedAtMs: nowMs,
        how,
        ...(reason === null ? {} : { reason }),
      }
      const isInterrupted = how === 'interrupted'
      putBack.run(
        dueAtMs,
        attempts,
        deferrals,
        reason,
        withRun(row.history, run),
        isInterrupted ? 1 : 0,
        row.sequence,
      )
      const queue = queues.ofRow(row)
      queues.count(queue, {
        waiting: 1,
        running: -1,
        ...(how === 'refused' ? { refusals: 1 } : {}),
        ...(how === 'failed' ? { repeats: 1 } : {}),
      })
      queue.head = undefined
      return true
    },

    settleTask({ lease, settlement, nowMs }) {
      const row = held(lease)
      if (row === undefined) return false
      // Whoever stopped it was told that nothing follows: neither a failure nor its telling.
      const isStopped = row.stop_requested_at_ms !== null && settlement.ending !== 'succeeded'
      const ended = isStopped ? { ...settlement, ending: 'cancelled' as const } : settlement
      endings.end(row, ended, nowMs)
      if (settlement.delivery !== undefined && !isStopped) outbox.addDelivery(settlement.delivery)
      return true
    },
  }
}
