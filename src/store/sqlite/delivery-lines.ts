import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import type { FunctionName } from '../../model/function.ts'
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
    if (line === undefined) return
    line.waiting += 1
    if (line.head === undefined) return
    if (line.head === null || isBefore({ sequence, dueAtMs }, line.head))
      line.head = { sequence, dueAtMs, isLeased: false }
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
    if (line === undefined) return
    line.head = undefined
    line.leasesUntilMs = Math.min(line.leasesUntilMs, untilMs)
  }

  /** One that was leased. */
  ended(row: LineRow): void {
    const line = this.#change(row)
    if (line === undefined) return
    this.#deliver(line, -1)
    line.head = undefined
    if (line.waiting + line.delivering === 0) this.#lines.delete(keyOf(line.queue, line.place))
  }

  /** One that was leased waits again. */
  putBack(row: LineRow): void {
    const line = this.#change(row)
    if (line === undefined) return
    this.#deliver(line, -1)
    line.waiting += 1
    line.head = undefined
  }

  /** Every one that was leased waits again. */
  allPutBack(): void {
    this.#queues.onUndo(() => this.forgetAll())
    this.forgetAll()
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

  /** Differences between the lines and the table; 0 when they are right. Walks over all deliveries. */
  countMistakes(): number {
    if (this.#isStale) return 0
    const expected = new Map<string, number>()
    let mistakes = 0
    const seen = new Set<string>()
    for (const row of this.#statements.selectLines.all()) {
      const { key, place, waiting, delivering } = lineCountsOf(row)
      seen.add(key)
      const line = this.#lines.get(key)
      mistakes += Math.abs((line?.waiting ?? 0) - waiting) + Math.abs((line?.delivering ?? 0) - delivering)
      expected.set(place, (expected.get(place) ?? 0) + delivering)
    }
    for (const [key, line] of this.#lines) {
      if (!seen.has(key)) mistakes += Math.abs(line.waiting) + Math.abs(line.delivering)
      const head = readHead(this.#statements.selectHead, line)
      if (line.head !== undefined && line.head?.sequence !== head?.sequence) mistakes += 1
      const lease = readHead(this.#statements.selectFirstLease, line)
      if (lease !== null && lease.dueAtMs < line.leasesUntilMs) mistakes += 1
    }
    for (const place of new Set([...expected.keys(), ...this.#deliveringTo.keys()]))
      mistakes += Math.abs((this.#deliveringTo.get(place) ?? 0) - (expected.get(place) ?? 0))
    return mistakes
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

  /**
   * The line of a row that the table has as it is now. Undefined when the lines are to be read anew: that finds the change in the table,
   * and to apply it as well would count it twice.
   */
  #change(row: LineRow): Line | undefined {
    this.#queues.onUndo(() => this.forgetAll())
    if (this.#isStale) return undefined
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
      const { owner, place, waiting, delivering } = lineCountsOf(row)
      const line = this.#lineOf(this.#queues.ofRow(owner), place)
      line.waiting = waiting
      this.#deliver(line, delivering)
    }
    this.#isStale = false
  }
}

/** A row of `selectLines`. */
interface LineCounts {
  readonly key: string
  readonly owner: OwnerRow
  readonly place: string
  readonly waiting: number
  readonly delivering: number
}

function lineCountsOf(row: Record<string, SQLOutputValue>): LineCounts {
  const account = String(row['account'])
  const namespace = String(row['namespace'])
  const name = String(row['function_name'])
  const place = String(row['place'])
  return {
    key: keyOf({ account, namespace, name }, place),
    owner: { account, namespace, function_name: name },
    place,
    waiting: Number(row['waiting']),
    delivering: Number(row['delivering']),
  }
}

function keyOf({ account, namespace, name }: FunctionName, place: string): string {
  return `${account}/${namespace}/${name}/${place}`
}

/** Whether it stands before another one of its line: one that is made again may be older than those due at its time. */
function isBefore(a: Omit<Head, 'isLeased'>, b: Head): boolean {
  return a.dueAtMs < b.dueAtMs || (a.dueAtMs === b.dueAtMs && a.sequence < b.sequence)
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
