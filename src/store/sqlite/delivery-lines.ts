import type { DatabaseSync } from 'node:sqlite'
import type { DeliveryShare } from '../outbox.ts'
import type { FunctionQueue } from './function-queue.ts'
import type { FunctionQueues, OwnerRow } from './function-queues.ts'

/** A delivery as rows name its line. */
export interface LineRow extends OwnerRow {
  readonly place: string
}

/** The first delivery of a line. */
interface Head {
  readonly sequence: number
  /** While leased: when the lease ends. */
  readonly dueAtMs: number
  readonly isLeased: boolean
}

/** The deliveries of one function to one place. */
interface Line {
  readonly queue: FunctionQueue
  /** An origin of webhooks; empty for what waits for nobody's answer. */
  readonly place: string
  waiting: number
  delivering: number
  /** Null: it is empty. Undefined: not known. */
  head: Head | null | undefined
  /** No lease of its deliveries ends before this: epoch milliseconds. */
  leasesUntilMs: number
}

/** A delivery to be tried now. */
export interface DueDelivery {
  readonly sequence: number
  readonly isLeased: boolean
  readonly line: Line
}

/**
 * Whose delivery is next: each function's deliveries to each place stand in a line of their own, so that a place that answers slowly, or
 * a function that floods it, delays nobody else. What a look costs depends on the number of lines, not on their lengths. Kept in
 * memory; read anew after a transaction that changed it was rolled back.
 */
export class DeliveryLines {
  readonly #queues: FunctionQueues
  readonly #statements: ReturnType<typeof prepareLines>
  #lines = new Map<string, Line>()
  #deliveringTo = new Map<string, number>()
  #isStale = true

  constructor(database: DatabaseSync, queues: FunctionQueues) {
    this.#queues = queues
    this.#statements = prepareLines(database)
  }

  /** What is in the database is to be read anew. */
  forgetAll(): void {
    this.#isStale = true
  }

  added(row: LineRow, sequence: number, dueAtMs: number): void {
    const line = this.#change(row)
    line.waiting += 1
    if (line.head === undefined) return
    if (line.head === null || dueAtMs < line.head.dueAtMs) line.head = { sequence, dueAtMs, isLeased: false }
  }

  taken({ line, isLeased }: DueDelivery, untilMs: number): void {
    this.#queues.onUndo(() => this.forgetAll())
    if (!isLeased) {
      line.waiting -= 1
      this.#deliver(line, 1)
    }
    line.head = undefined
    line.leasesUntilMs = Math.min(line.leasesUntilMs, untilMs)
  }

  renewed(row: LineRow, untilMs: number): void {
    const line = this.#change(row)
    line.head = undefined
    line.leasesUntilMs = Math.min(line.leasesUntilMs, untilMs)
  }

  /** One that was leased. */
  ended(row: LineRow): void {
    const line = this.#change(row)
    this.#deliver(line, -1)
    line.head = undefined
    if (line.waiting + line.delivering === 0) this.#lines.delete(keyOf(line.queue, line.place))
  }

  /** One that was leased waits again. */
  putBack(row: LineRow): void {
    const line = this.#change(row)
    this.#deliver(line, -1)
    line.waiting += 1
    line.head = undefined
  }

  /** The delivery that is next; undefined when none is due that may be tried. */
  next(nowMs: number, share: DeliveryShare | undefined): DueDelivery | undefined {
    this.#refresh()
    let best: Line | undefined
    let bestHead: Head | undefined
    for (const line of this.#lines.values()) {
      const head = this.#hasRoom(line, share)
        ? this.#headOf(line)
        : // It has its place: taking it over needs none.
          this.#lateLeaseOf(line, nowMs)
      if (head === null || head.dueAtMs > nowMs) continue
      if (best !== undefined && bestHead !== undefined && compare(best, bestHead, line, head) <= 0) continue
      best = line
      bestHead = head
    }
    return best === undefined || bestHead === undefined
      ? undefined
      : { sequence: bestHead.sequence, isLeased: bestHead.isLeased, line: best }
  }

  nextDueMs(share: DeliveryShare | undefined): number | undefined {
    this.#refresh()
    let first: number | undefined
    for (const line of this.#lines.values()) {
      const head = this.#hasRoom(line, share) ? this.#headOf(line) : this.#firstLeaseOf(line)
      if (head !== null && (first === undefined || head.dueAtMs < first)) first = head.dueAtMs
    }
    return first
  }

  #hasRoom({ queue, place }: Line, share: DeliveryShare | undefined): boolean {
    if (share === undefined) return true
    if (queue.counts.delivering >= (share.idleOnly === true ? 1 : share.maxPerFunction)) return false
    return place === '' || (this.#deliveringTo.get(place) ?? 0) < share.maxPerOrigin
  }

  #headOf(line: Line): Head | null {
    if (line.head === undefined) line.head = readHead(this.#statements.selectHead, line)
    return line.head
  }

  #firstLeaseOf(line: Line): Head | null {
    const first = readHead(this.#statements.selectFirstLease, line)
    line.leasesUntilMs = first?.dueAtMs ?? Number.POSITIVE_INFINITY
    return first
  }

  #lateLeaseOf(line: Line, nowMs: number): Head | null {
    return line.leasesUntilMs > nowMs ? null : this.#firstLeaseOf(line)
  }

  #deliver(line: Line, by: number): void {
    line.delivering += by
    const left = (this.#deliveringTo.get(line.place) ?? 0) + by
    if (left === 0) this.#deliveringTo.delete(line.place)
    else this.#deliveringTo.set(line.place, left)
  }

  #change(row: LineRow): Line {
    this.#refresh()
    this.#queues.onUndo(() => this.forgetAll())
    return this.#lineOf(this.#queues.ofRow(row), row.place)
  }

  #lineOf(queue: FunctionQueue, place: string): Line {
    const key = keyOf(queue, place)
    const known = this.#lines.get(key)
    if (known !== undefined) return known
    const line: Line = { queue, place, waiting: 0, delivering: 0, head: undefined, leasesUntilMs: 0 }
    this.#lines.set(key, line)
    return line
  }

  #refresh(): void {
    if (!this.#isStale) return
    this.#lines = new Map()
    this.#deliveringTo = new Map()
    for (const row of this.#statements.selectLines.all()) {
      const owner = {
        account: String(row['account']),
        namespace: String(row['namespace']),
        function_name: String(row['function_name']),
      }
      const line = this.#lineOf(this.#queues.ofRow(owner), String(row['place']))
      line.waiting = Number(row['waiting'])
      this.#deliver(line, Number(row['delivering']))
    }
    this.#isStale = false
  }
}

function keyOf({ account, namespace, name }: FunctionQueue, place: string): string {
  return `${account}/${namespace}/${name}/${place}`
}

/** Below 0: `a` comes first. */
function compare(a: Line, first: Head, b: Line, second: Head): number {
  return (
    a.queue.counts.delivering - b.queue.counts.delivering ||
    a.delivering - b.delivering ||
    first.dueAtMs - second.dueAtMs ||
    first.sequence - second.sequence
  )
}

function readHead(select: ReturnType<DatabaseSync['prepare']>, { queue, place }: Line): Head | null {
  const row = select.get(queue.account, queue.namespace, queue.name, place)
  if (row === undefined) return null
  return {
    sequence: Number(row['sequence']),
    dueAtMs: Number(row['due_at_ms']),
    isLeased: row['status'] === 'leased',
  }
}

// oxlint-disable-next-line typescript/explicit-function-return-type -- its members are statements, and say what they are
function prepareLines(database: DatabaseSync) {
  const first = (index: string, condition: string) =>
    database.prepare(
      `SELECT sequence, due_at_ms, status FROM deliveries INDEXED BY ${index}
       WHERE ${condition} AND account = ? AND namespace = ? AND function_name = ? AND place = ?
       ORDER BY due_at_ms, sequence LIMIT 1`,
    )
  return {
    selectHead: first('deliveries_by_line', 'ended_at_ms IS NULL'),
    selectFirstLease: first('deliveries_leased', "status = 'leased'"),
    selectLines: database.prepare(
      `SELECT account, namespace, function_name, place, sum(status = 'waiting') AS waiting, sum(status = 'leased') AS delivering
       FROM deliveries INDEXED BY deliveries_by_line WHERE ended_at_ms IS NULL
       GROUP BY account, namespace, function_name, place`,
    ),
  }
}
