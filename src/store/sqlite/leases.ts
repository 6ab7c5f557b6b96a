import type { DatabaseSync } from 'node:sqlite'
import { LAST_ERROR_CHARACTERS } from '../task-queue.ts'
import { parseLease } from './lease-name.ts'
import type { InputOf } from './operations.ts'
import type { QueueTally } from './queue-tally.ts'

/** What the holder of a lease may do with its task; each runs inside the transaction of its batch. */
export interface LeaseOperations {
  renewLeases(input: InputOf<'renewLeases'>): readonly boolean[]
  postponeTask(input: InputOf<'postponeTask'>): boolean
  /** Also deletes the payload: an ended task is kept for its id and its times. */
  settleTask(input: InputOf<'settleTask'>): boolean
}

export function prepareLeases(database: DatabaseSync, tally: QueueTally): LeaseOperations {
  const renew = database.prepare(
    `UPDATE tasks SET due_at_ms = ? WHERE sequence = ? AND claims = ? AND status = 'leased'`,
  )
  const postpone = database.prepare(
    `UPDATE tasks SET status = 'waiting', due_at_ms = ?, attempts = ?, deferrals = ?,
       last_error = coalesce(?, last_error)
     WHERE sequence = ? AND claims = ? AND status = 'leased'`,
  )
  const settle = database.prepare(
    `UPDATE tasks SET status = ?, attempts = ?, ended_at_ms = ?, last_error = coalesce(?, last_error)
     WHERE sequence = ? AND claims = ? AND status = 'leased'
     RETURNING payload_bytes`,
  )
  const deletePayload = database.prepare('DELETE FROM task_payloads WHERE sequence = ?')

  return {
    renewLeases({ leases, untilMs }) {
      return leases.map((lease) => {
        const name = parseLease(lease)
        return name !== undefined && renew.run(untilMs, name.sequence, name.claims).changes === 1
      })
    },

    postponeTask({ lease, next }) {
      const name = parseLease(lease)
      if (name === undefined) return false
      const { dueAtMs, attempts, deferrals, lastError } = next
      return (
        postpone.run(dueAtMs, attempts, deferrals, shorten(lastError), name.sequence, name.claims).changes ===
        1
      )
    },

    settleTask({ lease, settlement, nowMs }) {
      const name = parseLease(lease)
      if (name === undefined) return false
      const { ending, attempts, lastError } = settlement
      const row = settle.get(ending, attempts, nowMs, shorten(lastError), name.sequence, name.claims)
      if (row === undefined) return false
      deletePayload.run(name.sequence)
      tally.remove(Number(row['payload_bytes']))
      return true
    },
  }
}

function shorten(lastError: string | undefined): string | null {
  return lastError === undefined ? null : lastError.slice(0, LAST_ERROR_CHARACTERS)
}
