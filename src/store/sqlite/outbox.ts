import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { DeliveryRecord, Destination, NewDelivery } from '../outbox.ts'
import { shorten } from './history.ts'
import { formatLease, parseLease } from './lease-name.ts'
import type { DeliveryRow, InputOf, ListedDeliveryRow, NewDeliveryRow, OutputOf } from './operations.ts'

/** What can be done with deliveries; each runs inside the transaction of its batch. */
export interface OutboxOperations {
  readonly addDelivery: (delivery: NewDeliveryRow) => void
  readonly claimDeliveries: (input: InputOf<'claimDeliveries'>) => readonly DeliveryRow[]
  readonly renewDeliveries: (input: InputOf<'renewDeliveries'>) => readonly boolean[]
  readonly endDelivery: (input: InputOf<'endDelivery'>) => boolean
  readonly retryDelivery: (input: InputOf<'retryDelivery'>) => boolean
  readonly findNextDelivery: () => number | undefined
  readonly listDeliveries: (input: InputOf<'listDeliveries'>) => OutputOf<'listDeliveries'>
  /** Makes every leased delivery due: the process that leased it is gone. */
  readonly voidLeases: () => void
  /** Forgets up to `limit` undeliverable ones that were given up before. */
  readonly forget: (endedBeforeMs: number, limit: number) => number
}

/** A row of the table. */
interface Row {
  readonly sequence: number
  readonly delivery_id: string
  readonly account: string
  readonly namespace: string
  readonly function_name: string
  readonly request_id: string
  readonly ending: 'success' | 'failure'
  readonly destination: string
  readonly depth: number
  readonly body: Uint8Array<ArrayBuffer>
  readonly content_type: string
  readonly created_at_ms: number
  readonly status: 'waiting' | 'leased' | 'undeliverable'
  readonly due_at_ms: number
  readonly first_tried_at_ms: number | null
  readonly claims: number
  readonly attempts: number
  readonly ended_at_ms: number | null
  readonly last_error: string | null
}

const MAX_PAGE = 1000

export function prepareOutbox(database: DatabaseSync): OutboxOperations {
  const insert = database.prepare(
    `INSERT INTO deliveries (delivery_id, account, namespace, function_name, request_id, ending, destination, depth, body,
       content_type, created_at_ms, due_at_ms)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  const selectDue = database.prepare(
    `SELECT * FROM deliveries INDEXED BY deliveries_by_due
     WHERE ended_at_ms IS NULL AND due_at_ms <= ? ORDER BY due_at_ms, sequence LIMIT ?`,
  )
  const lease = database.prepare(
    `UPDATE deliveries SET status = 'leased', due_at_ms = ?, claims = claims + 1,
       first_tried_at_ms = coalesce(first_tried_at_ms, ?)
     WHERE sequence = ?`,
  )
  const renew = database.prepare(
    `UPDATE deliveries SET due_at_ms = ? WHERE sequence = ? AND claims = ? AND status = 'leased'`,
  )
  const remove = database.prepare(
    `DELETE FROM deliveries WHERE sequence = ? AND claims = ? AND status = 'leased'`,
  )
  const giveUp = database.prepare(
    `UPDATE deliveries SET status = 'undeliverable', ended_at_ms = ?, last_error = ?, attempts = attempts + 1
     WHERE sequence = ? AND claims = ? AND status = 'leased'`,
  )
  const putBack = database.prepare(
    `UPDATE deliveries SET status = 'waiting', due_at_ms = ?, last_error = ?, attempts = attempts + 1
     WHERE sequence = ? AND claims = ? AND status = 'leased'`,
  )
  const selectNext = database.prepare(
    'SELECT min(due_at_ms) AS due FROM deliveries WHERE ended_at_ms IS NULL',
  )
  const voidAll = database.prepare(
    `UPDATE deliveries SET status = 'waiting', due_at_ms = created_at_ms WHERE ended_at_ms IS NULL AND status = 'leased'`,
  )
  const deleteOld = database.prepare(
    `DELETE FROM deliveries WHERE sequence IN
       (SELECT sequence FROM deliveries INDEXED BY deliveries_by_end
        WHERE ended_at_ms IS NOT NULL AND ended_at_ms < ? ORDER BY ended_at_ms LIMIT ?)`,
  )

  const change = (leaseName: string, run: (sequence: number, claims: number) => unknown): boolean => {
    const name = parseLease(leaseName)
    return name !== undefined && run(name.sequence, name.claims) === 1
  }

  return {
    addDelivery(delivery) {
      insert.run(
        delivery.deliveryId,
        delivery.account,
        delivery.namespace,
        delivery.functionName,
        delivery.requestId,
        delivery.on,
        JSON.stringify(delivery.destination),
        delivery.depth,
        delivery.body,
        delivery.contentType,
        delivery.createdAtMs,
        delivery.createdAtMs,
      )
    },

    claimDeliveries({ limit, nowMs, leaseMs }) {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects all columns
      const rows = selectDue.all(nowMs, limit) as unknown as Row[]
      return rows.map((row) => {
        lease.run(nowMs + leaseMs, nowMs, row.sequence)
        const { sequence, claims, attempts } = row
        const firstTriedAtMs = row.first_tried_at_ms
        return {
          ...newDeliveryOf(row),
          body: row.body,
          lease: formatLease({ sequence, claims: claims + 1 }),
          attempts,
          ...(firstTriedAtMs === null ? {} : { firstTriedAtMs }),
        }
      })
    },

    renewDeliveries({ leases, untilMs }) {
      return leases.map((name) =>
        change(name, (sequence, claims) => renew.run(untilMs, sequence, claims).changes),
      )
    },

    endDelivery({ lease: name, lastError, nowMs }) {
      return change(name, (sequence, claims) =>
        lastError === undefined
          ? remove.run(sequence, claims).changes
          : giveUp.run(nowMs, shorten(lastError), sequence, claims).changes,
      )
    },

    retryDelivery({ lease: name, dueAtMs, lastError }) {
      return change(
        name,
        (sequence, claims) => putBack.run(dueAtMs, shorten(lastError), sequence, claims).changes,
      )
    },

    findNextDelivery() {
      const due = selectNext.get()?.['due'] ?? undefined
      return due === undefined ? undefined : Number(due)
    },

    listDeliveries({ filter }) {
      const conditions = ['account = ?']
      const values: SQLInputValue[] = [filter.account]
      const require = (condition: string, value: SQLInputValue | undefined): void => {
        if (value === undefined) return
        conditions.push(condition)
        values.push(value)
      }
      require('namespace = ?', filter.namespace)
      require('function_name = ?', filter.functionName)
      require('status = ?', filter.status === 'delivering' ? 'leased' : filter.status)
      require('sequence < ?', filter.after === undefined ? undefined : Number(filter.after))
      const limit = Math.min(filter.limit, MAX_PAGE)
      const found = database
        .prepare(`SELECT * FROM deliveries WHERE ${conditions.join(' AND ')} ORDER BY sequence DESC LIMIT ?`)
        .all(...values, limit + 1)
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects all columns
      const rows = (found as unknown as Row[]).slice(0, limit)
      const last = rows.at(-1)
      return {
        deliveries: rows.map((row) => listedOf(row, filter.withBody === true)),
        ...(found.length > limit && last !== undefined ? { next: String(last.sequence) } : {}),
      }
    },

    voidLeases: () => void voidAll.run(),
    forget: (endedBeforeMs, limit) => Number(deleteOld.run(endedBeforeMs, limit).changes),
  }
}

function newDeliveryOf(row: Row): Omit<NewDelivery, 'body'> {
  return {
    deliveryId: row.delivery_id,
    account: row.account,
    namespace: row.namespace,
    functionName: row.function_name,
    requestId: row.request_id,
    on: row.ending,
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by `addDelivery`
    destination: JSON.parse(row.destination) as Destination,
    depth: row.depth,
    contentType: row.content_type,
    createdAtMs: row.created_at_ms,
  }
}

function listedOf(row: Row, withBody: boolean): ListedDeliveryRow {
  const status: DeliveryRecord['status'] = row.status === 'leased' ? 'delivering' : row.status
  return {
    ...newDeliveryOf(row),
    status,
    attempts: row.attempts,
    ...(row.ended_at_ms === null ? { dueAtMs: row.due_at_ms } : { endedAtMs: row.ended_at_ms }),
    ...(row.last_error === null ? {} : { lastError: row.last_error }),
    ...(withBody ? { body: row.body } : {}),
  }
}
