import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import { PAGE_BYTES } from '../task-queue.ts'
import {
  OUTBOX_FULL,
  type DeliveryRecord,
  type Destination,
  type NewDelivery,
  type OutboxLosses,
  type Redelivered,
} from '../outbox.ts'
import { DeliveryLines, type DueDelivery, type LineRow } from './delivery-lines.ts'
import { fits, keptDeliveries, liveDeliveries, type FunctionQueue } from './function-queue.ts'
import type { FunctionQueues, OwnerRow } from './function-queues.ts'
import { shorten } from './history.ts'
import { formatLease, parseLease } from './lease-name.ts'
import type {
  DeliveryRow,
  InputOf,
  ListedDeliveryRow,
  NewDeliveryRow,
  OutputOf,
  QueueLimits,
} from './operations.ts'

/** What can be done with deliveries; each runs inside the transaction of its batch. */
export interface OutboxOperations {
  readonly addDelivery: (delivery: NewDeliveryRow) => void
  readonly claimDeliveries: (input: InputOf<'claimDeliveries'>) => readonly DeliveryRow[]
  readonly renewDeliveries: (input: InputOf<'renewDeliveries'>) => readonly boolean[]
  readonly endDelivery: (input: InputOf<'endDelivery'>) => boolean
  readonly retryDelivery: (input: InputOf<'retryDelivery'>) => boolean
  readonly findNextDelivery: (input: InputOf<'findNextDelivery'>) => number | undefined
  readonly redeliver: (input: InputOf<'redeliver'>) => OutputOf<'redeliver'>
  readonly takeLosses: () => OutputOf<'takeLosses'>
  readonly listDeliveries: (input: InputOf<'listDeliveries'>) => OutputOf<'listDeliveries'>
  /** Makes every leased delivery due: the process that leased it is gone. */
  readonly voidLeases: () => void
  /** Differences between what is held in memory and the table; 0 when there are none. */
  readonly countMistakes: () => number
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
  readonly claims: number
  readonly attempts: number
  readonly ended_at_ms: number | null
  readonly last_error: string | null
}

/** A row as {@link LISTED_COLUMNS} selects it. */
interface ListedRow extends Omit<Row, 'body' | 'claims'> {
  readonly bytes: number
}

/** Without the body, which may be large. */
const LISTED_COLUMNS = `sequence, delivery_id, account, namespace, function_name, request_id, ending, destination, depth,
  content_type, created_at_ms, status, due_at_ms, attempts, ended_at_ms, last_error, length(body) AS bytes`

const MAX_PAGE = 1000

const NO_LOSSES: OutboxLosses = { refused: 0, forgotten: 0 }

/** Columns of {@link EndedRow}, as statements return them. */
const ENDED_COLUMNS = 'account, namespace, function_name, place, length(body) AS bytes'

/** Columns of {@link RedeliveredRow}. */
const REDELIVERED_COLUMNS = `sequence, delivery_id, account, namespace, function_name, place, request_id, ended_at_ms,
  length(body) AS bytes`

/** A delivery that was given up. */
interface RedeliveredRow extends LineRow {
  readonly sequence: number
  readonly delivery_id: string
  readonly request_id: string
  readonly ended_at_ms: number
  readonly bytes: number
}

/** A delivery that was leased. */
interface EndedRow extends LineRow {
  readonly bytes: number
}

export function prepareOutbox(
  database: DatabaseSync,
  queues: FunctionQueues,
  limits: QueueLimits,
): OutboxOperations {
  const lines = new DeliveryLines(database, queues)
  let losses = NO_LOSSES
  const insert = database.prepare(
    `INSERT INTO deliveries (delivery_id, account, namespace, function_name, request_id, ending, destination, place, depth, body,
       content_type, created_at_ms, due_at_ms, status, ended_at_ms, last_error)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  const select = database.prepare('SELECT * FROM deliveries WHERE sequence = ?')
  const selectBody = database.prepare('SELECT body FROM deliveries WHERE sequence = ?')
  const bodyOf = (sequence: number): Uint8Array<ArrayBuffer> | undefined => {
    const body = selectBody.get(sequence)?.['body']
    return body instanceof Uint8Array ? body : undefined
  }
  const lease = database.prepare(
    `UPDATE deliveries SET status = 'leased', due_at_ms = ?, claims = claims + 1
     WHERE sequence = ?`,
  )
  const renew = database.prepare(
    `UPDATE deliveries SET due_at_ms = ? WHERE sequence = ? AND claims = ? AND status = 'leased'
     RETURNING ${ENDED_COLUMNS}`,
  )
  const remove = database.prepare(
    `DELETE FROM deliveries WHERE sequence = ? AND claims = ? AND status = 'leased' RETURNING ${ENDED_COLUMNS}`,
  )
  const giveUp = database.prepare(
    `UPDATE deliveries SET status = 'undeliverable', ended_at_ms = ?, last_error = ?, attempts = attempts + 1
     WHERE sequence = ? AND claims = ? AND status = 'leased' RETURNING ${ENDED_COLUMNS}`,
  )
  const putBack = database.prepare(
    `UPDATE deliveries SET status = 'waiting', due_at_ms = ?, last_error = ?, attempts = attempts + 1
     WHERE sequence = ? AND claims = ? AND status = 'leased' RETURNING ${ENDED_COLUMNS}`,
  )
  const countLeased = database.prepare(
    `SELECT account, namespace, function_name, count(*) AS leased FROM deliveries INDEXED BY deliveries_leased
     WHERE status = 'leased' GROUP BY account, namespace, function_name`,
  )
  const voidAll = database.prepare(
    `UPDATE deliveries SET status = 'waiting', due_at_ms = created_at_ms WHERE status = 'leased'`,
  )
  const deleteOld = database.prepare(
    `DELETE FROM deliveries WHERE sequence IN
       (SELECT sequence FROM deliveries INDEXED BY deliveries_by_end
        WHERE ended_at_ms IS NOT NULL AND account = ? AND namespace = ? AND function_name = ? AND ended_at_ms < ?
        ORDER BY ended_at_ms LIMIT ?)
     RETURNING length(body) AS bytes`,
  )

  const selectUndeliverable = database.prepare(
    `SELECT ${REDELIVERED_COLUMNS} FROM deliveries INDEXED BY deliveries_by_end
     WHERE ended_at_ms IS NOT NULL AND account = ? AND namespace = ? AND function_name = ? AND ended_at_ms >= ? AND ended_at_ms < ?
     ORDER BY ended_at_ms, sequence LIMIT ?`,
  )
  const selectUndeliverableOf = database.prepare(
    `SELECT ${REDELIVERED_COLUMNS} FROM deliveries INDEXED BY deliveries_by_task
     WHERE account = ? AND request_id = ? AND namespace = ? AND function_name = ? AND ended_at_ms >= ? AND ended_at_ms < ?`,
  )
  const waitAgain = database.prepare(
    `UPDATE deliveries SET status = 'waiting', due_at_ms = ?, ended_at_ms = NULL, attempts = 0
     WHERE sequence = ?`,
  )

  /** Undefined: the lease is not current. */
  const change = (
    leaseName: string,
    run: (sequence: number, claims: number) => unknown,
  ): EndedRow | undefined => {
    const name = parseLease(leaseName)
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statements return these columns
    return name === undefined ? undefined : (run(name.sequence, name.claims) as EndedRow | undefined)
  }

  const forgetOf = (queue: FunctionQueue, endedBeforeMs: number, limit: number): number => {
    const { account, namespace, name } = queue
    const rows = deleteOld.all(account, namespace, name, endedBeforeMs, limit)
    for (const row of rows)
      queues.count(queue, { forgottenUndeliverable: 1, undeliverableBytes: -Number(row['bytes']) })
    return rows.length
  }

  /** Each that is kept beyond the limits makes two older ones be forgotten: of the function that has the most. */
  const keepWithinLimits = (): void => {
    const { total } = queues
    for (let times = 0; times < 2; times += 1) {
      const isHeavy = total.undeliverableBytes > limits.maxDeliveryBytes
      if (!isHeavy && keptDeliveries(total) <= limits.maxDeliveries) return
      const measure = ({ counts }: FunctionQueue): number =>
        isHeavy ? counts.undeliverableBytes : keptDeliveries(counts)
      let most: FunctionQueue | undefined
      for (const queue of queues.all) if (most === undefined || measure(queue) > measure(most)) most = queue
      if (most !== undefined) {
        const forgotten = losses.forgotten + forgetOf(most, Number.MAX_SAFE_INTEGER, 1)
        losses = { ...losses, forgotten }
      }
    }
  }

  const hasRoom = ({ counts }: FunctionQueue, bytes: number): boolean => {
    const { total } = queues
    return (
      fits(1, liveDeliveries(counts), liveDeliveries(total), limits.maxDeliveries) &&
      fits(bytes, counts.deliveryBytes, total.deliveryBytes, limits.maxDeliveryBytes)
    )
  }

  const claimOne = (due: DueDelivery, nowMs: number, leaseMs: number): DeliveryRow => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects all columns
    const row = select.get(due.sequence) as unknown as Row
    lease.run(nowMs + leaseMs, row.sequence)
    if (!due.isLeased) queues.count(due.line.queue, { deliveriesWaiting: -1, delivering: 1 })
    lines.taken(due, nowMs + leaseMs)
    const { sequence, claims, attempts } = row
    return {
      ...newDeliveryOf(row),
      body: row.body,
      lease: formatLease({ sequence, claims: claims + 1 }),
      attempts,
    }
  }

  return {
    addDelivery(delivery) {
      const { account, namespace, functionName, createdAtMs, body, destination } = delivery
      const queue = queues.of(account, namespace, functionName)
      const isFull = !hasRoom(queue, body.length)
      const place = placeOf(destination)
      const { lastInsertRowid } = insert.run(
        delivery.deliveryId,
        account,
        namespace,
        functionName,
        delivery.requestId,
        delivery.on,
        JSON.stringify(destination),
        place,
        delivery.depth,
        body,
        delivery.contentType,
        createdAtMs,
        createdAtMs,
        isFull ? 'undeliverable' : 'waiting',
        isFull ? createdAtMs : null,
        isFull ? OUTBOX_FULL : null,
      )
      if (isFull) {
        losses = { ...losses, refused: losses.refused + 1 }
        queues.count(queue, { deliveries: 1, undeliverable: 1, undeliverableBytes: body.length })
        keepWithinLimits()
        return
      }
      queues.count(queue, { deliveries: 1, deliveriesWaiting: 1, deliveryBytes: body.length })
      lines.added(
        { account, namespace, function_name: functionName, place },
        Number(lastInsertRowid),
        createdAtMs,
      )
    },

    claimDeliveries({ limit, nowMs, leaseMs, share }) {
      const claimed: DeliveryRow[] = []
      let places = limit
      let firstPlaces = share?.first ?? 0
      for (;;) {
        const due = lines.next(nowMs, share)
        if (due === undefined) return claimed
        if (places > 0) places -= 1
        else if (firstPlaces > 0 && due.line.queue.counts.delivering === 0) firstPlaces -= 1
        else return claimed
        claimed.push(claimOne(due, nowMs, leaseMs))
      }
    },

    renewDeliveries({ leases, untilMs }) {
      return leases.map((name) => {
        const row = change(name, (sequence, claims) => renew.get(untilMs, sequence, claims))
        if (row !== undefined) lines.renewed(row, untilMs)
        return row !== undefined
      })
    },

    endDelivery({ lease: name, lastError, nowMs }) {
      const row = change(name, (sequence, claims) =>
        lastError === undefined
          ? remove.get(sequence, claims)
          : giveUp.get(nowMs, shorten(lastError), sequence, claims),
      )
      if (row === undefined) return false
      lines.ended(row)
      queues.count(queues.ofRow(row), {
        delivering: -1,
        deliveryBytes: -row.bytes,
        ...(lastError === undefined ? { delivered: 1 } : { undeliverable: 1, undeliverableBytes: row.bytes }),
      })
      if (lastError !== undefined) keepWithinLimits()
      return true
    },

    retryDelivery({ lease: name, dueAtMs, lastError }) {
      const row = change(name, (sequence, claims) =>
        putBack.get(dueAtMs, shorten(lastError), sequence, claims),
      )
      if (row === undefined) return false
      lines.putBack(row)
      queues.count(queues.ofRow(row), { deliveriesWaiting: 1, delivering: -1 })
      return true
    },

    findNextDelivery: ({ share }) => lines.nextDueMs(share),

    redeliver({ owner, limit, which = {}, nowMs }) {
      const { account, namespace, name } = owner
      const { requestIds, endedFromMs = 0, endedToMs = Number.MAX_SAFE_INTEGER } = which
      const most = Math.min(limit, MAX_PAGE)
      const found =
        requestIds === undefined
          ? selectUndeliverable.all(account, namespace, name, endedFromMs, endedToMs, most)
          : [...new Set(requestIds)].flatMap((requestId) =>
              selectUndeliverableOf.all(account, requestId, namespace, name, endedFromMs, endedToMs),
            )
      const redelivered: Redelivered[] = []
      let taken = 0
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statements select these columns
      for (const row of (found as unknown as RedeliveredRow[]).slice(0, most)) {
        const { sequence, bytes } = row
        const queue = queues.ofRow(row)
        taken += bytes
        if (redelivered.length > 0 && taken > PAGE_BYTES) break
        if (!hasRoom(queue, bytes)) return { redelivered, isFull: true }
        waitAgain.run(nowMs, sequence)
        queues.count(queue, {
          undeliverable: -1,
          undeliverableBytes: -bytes,
          deliveriesWaiting: 1,
          deliveryBytes: bytes,
        })
        lines.added(row, sequence, nowMs)
        redelivered.push({
          deliveryId: row.delivery_id,
          requestId: row.request_id,
          endedAtMs: row.ended_at_ms,
        })
      }
      return { redelivered, isFull: false }
    },

    takeLosses() {
      const taken = losses
      losses = NO_LOSSES
      return taken
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
      require('request_id = ?', filter.requestId)
      require('status = ?', filter.status === 'delivering' ? 'leased' : filter.status)
      require('sequence < ?', filter.after === undefined ? undefined : Number(filter.after))
      const limit = Math.min(filter.limit, MAX_PAGE)
      const found = database
        .prepare(
          `SELECT ${LISTED_COLUMNS} FROM deliveries WHERE ${conditions.join(' AND ')} ORDER BY sequence DESC LIMIT ?`,
        )
        .all(...values, limit + 1)
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
      const rows = (found as unknown as ListedRow[]).slice(0, limit)
      const deliveries: ListedDeliveryRow[] = []
      let bytes = 0
      for (const row of rows) {
        bytes += filter.withBody === true ? row.bytes : 0
        if (deliveries.length > 0 && bytes > PAGE_BYTES) break
        deliveries.push(listedOf(row, filter.withBody === true ? bodyOf(row.sequence) : undefined))
      }
      const last = rows[deliveries.length - 1]
      return {
        deliveries,
        ...(found.length > deliveries.length && last !== undefined ? { next: String(last.sequence) } : {}),
      }
    },

    voidLeases() {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
      for (const row of countLeased.all() as unknown as (OwnerRow & { readonly leased: number })[])
        queues.count(queues.ofRow(row), { deliveriesWaiting: row.leased, delivering: -row.leased })
      voidAll.run()
      lines.allPutBack()
    },

    countMistakes: () => lines.countMistakes(),

    forget(endedBeforeMs, limit) {
      let count = 0
      for (const queue of queues.all) {
        if (count === limit) break
        if (keptDeliveries(queue.counts) > 0) count += forgetOf(queue, endedBeforeMs, limit - count)
      }
      return count
    },
  }
}

/** Whose answer it waits for. */
function placeOf({ target }: Destination): string {
  return target.kind === 'webhook' ? (URL.parse(target.url)?.origin ?? '') : ''
}

function newDeliveryOf(row: Omit<Row, 'body' | 'claims'>): Omit<NewDelivery, 'body'> {
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

function listedOf(row: ListedRow, body: Uint8Array<ArrayBuffer> | undefined): ListedDeliveryRow {
  const status: DeliveryRecord['status'] = row.status === 'leased' ? 'delivering' : row.status
  return {
    ...newDeliveryOf(row),
    status,
    attempts: row.attempts,
    ...(row.ended_at_ms === null ? { dueAtMs: row.due_at_ms } : { endedAtMs: row.ended_at_ms }),
    ...(row.last_error === null ? {} : { lastError: row.last_error }),
    ...(body === undefined ? {} : { body }),
  }
}
