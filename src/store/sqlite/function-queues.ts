import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import { EngineError } from '../../model/errors.ts'
import type { FunctionName } from '../../model/function.ts'
import type { ControlChange, QueueControl, TaskEnding } from '../task-queue.ts'
import {
  COUNT_COLUMNS,
  fits,
  FORGOTTEN,
  liveTasks,
  noCounts,
  type Count,
  type FunctionQueue,
  type Head,
  type QueueCounts,
} from './function-queue.ts'
import type { QueueLimits } from './operations.ts'

/** A function as rows name it. */
export interface OwnerRow {
  readonly account: string
  readonly namespace: string
  readonly function_name: string
}

const UNSET: QueueControl = Object.freeze({ isPaused: false })

/**
 * What is counted for each function that has or had tasks, beside the tasks: no call counts rows. Kept in memory, written with
 * the transaction that changed it, and taken back with it.
 */
export class FunctionQueues {
  readonly #limits: QueueLimits
  readonly #queues = new Map<string, FunctionQueue>()
  /** Those with tasks that have not ended. */
  readonly #live = new Set<FunctionQueue>()
  readonly #total: QueueCounts = noCounts()
  /** What takes back the changes of the transaction, latest last. */
  #undo: (() => void)[] = []
  readonly #changed = new Set<FunctionQueue>()
  readonly #removed = new Set<FunctionQueue>()
  readonly #write: (queue: FunctionQueue) => void
  readonly #remove: (queue: FunctionQueue) => void
  readonly #selectHead: (queue: FunctionQueue) => Head | null
  readonly #selectFirstLease: (queue: FunctionQueue) => Head | null
  readonly #selectFirstStopped: (queue: FunctionQueue) => Head | null

  /** Reads what the database holds now. */
  constructor(database: DatabaseSync, limits: QueueLimits) {
    this.#limits = limits
    this.#write = prepareWrite(database)
    this.#remove = prepareRemove(database)
    this.#selectHead = prepareHead(database, 'tasks_by_function', 'ended_at_ms IS NULL')
    this.#selectFirstLease = prepareHead(database, 'tasks_leased', "status = 'leased'")
    this.#selectFirstStopped = prepareHead(
      database,
      'tasks_leased',
      "status = 'leased' AND stop_requested_at_ms IS NOT NULL",
    )
    for (const row of database.prepare('SELECT * FROM function_queues').all()) this.#load(row)
  }

  /** Of all functions. */
  get total(): Readonly<QueueCounts> {
    return this.#total
  }

  /** Every function that has or had tasks, and {@link FunctionQueues.forgottenOf} each account. */
  get all(): Iterable<FunctionQueue> {
    return this.#queues.values()
  }

  /** Those with tasks that have not ended. */
  get live(): Iterable<FunctionQueue> {
    return this.#live
  }

  /** The queue of a function, made when it is not there. */
  of(account: string, namespace: string, name: string): FunctionQueue {
    const key = keyOf(account, namespace, name)
    const known = this.#queues.get(key)
    if (known !== undefined) return known
    const queue = {
      account,
      namespace,
      name,
      counts: noCounts(),
      control: UNSET,
      head: undefined,
      leasesUntilMs: 0,
      goneSinceMs: undefined,
    }
    this.#queues.set(key, queue)
    return queue
  }

  /** The queue of a row's function. */
  ofRow({ account, namespace, function_name }: OwnerRow): FunctionQueue {
    return this.of(account, namespace, function_name)
  }

  /** Undefined when the function never had tasks, and nothing was set for it. */
  find({ account, namespace, name }: FunctionName): FunctionQueue | undefined {
    return this.#queues.get(keyOf(account, namespace, name))
  }

  /** The first in the line of a function; null when it is empty. */
  headOf(queue: FunctionQueue): Head | null {
    if (queue.head === undefined) queue.head = this.#selectHead(queue)
    return queue.head
  }

  /** The first of its tasks whose lease has ended; null when there is none. */
  lateLeaseOf(queue: FunctionQueue, nowMs: number): Head | null {
    if (queue.leasesUntilMs > nowMs) return null
    const first = this.#firstLeaseOf(queue)
    return first !== null && first.dueAtMs <= nowMs ? first : null
  }

  /** When the first lease of its tasks ends, epoch milliseconds; infinity when there is none. */
  firstLeaseEndOf(queue: FunctionQueue): number {
    this.#firstLeaseOf(queue)
    return queue.leasesUntilMs
  }

  /** The first of its tasks whose lease has ended and whose stop was requested; null when there is none. */
  lateStoppedOf(queue: FunctionQueue, nowMs: number): Head | null {
    if (queue.counts.running === 0 || queue.leasesUntilMs > nowMs) return null
    const first = this.#selectFirstStopped(queue)
    return first !== null && first.dueAtMs <= nowMs ? first : null
  }

  /** When the first lease ends of its tasks whose stop was requested, epoch milliseconds; infinity when there is none. */
  firstStoppedEndOf(queue: FunctionQueue): number {
    if (queue.counts.running === 0) return Number.POSITIVE_INFINITY
    return this.#selectFirstStopped(queue)?.dueAtMs ?? Number.POSITIVE_INFINITY
  }

  #firstLeaseOf(queue: FunctionQueue): Head | null {
    const first = this.#selectFirstLease(queue)
    queue.leasesUntilMs = first?.dueAtMs ?? Number.POSITIVE_INFINITY
    return first
  }

  /** Where a task came into the line. */
  lineUp(queue: FunctionQueue, task: Head): void {
    if (queue.head === undefined) return
    if (queue.head === null || task.dueAtMs < queue.head.dueAtMs) queue.head = task
  }

  /**
   * Whether one more task may come in.
   *
   * @throws {EngineError} `caller/queue-full`
   */
  requireRoom(queue: FunctionQueue, payloadBytes: number): void {
    const { maxQueuedTasks, maxQueuedBytes, maxQueuedTasksPerFunction } = this.#limits
    const ownLimit = queue.control.maxTasks ?? maxQueuedTasksPerFunction
    if (liveTasks(queue.counts) >= ownLimit)
      throw new EngineError('caller/queue-full', { scope: 'function', limit: ownLimit })
    if (!fits(1, liveTasks(queue.counts), liveTasks(this.#total), maxQueuedTasks))
      throw new EngineError('caller/queue-full', { scope: 'server', limit: maxQueuedTasks })
    if (!fits(payloadBytes, queue.counts.liveBytes, this.#total.liveBytes, maxQueuedBytes))
      throw new EngineError('caller/queue-full', { scope: 'server', limit: maxQueuedBytes })
  }

  count(queue: FunctionQueue, changes: Partial<QueueCounts>): void {
    for (const [name] of COUNT_COLUMNS) {
      const by = changes[name]
      if (by !== undefined && by !== 0) this.#add(queue, name, by)
    }
    this.#follow(queue)
    this.#changed.add(queue)
    this.#undo.push(() => {
      for (const [name] of COUNT_COLUMNS) {
        const by = changes[name]
        if (by !== undefined && by !== 0) this.#add(queue, name, -by)
      }
      this.#follow(queue)
      forgetTasksOf(queue)
    })
  }

  /** A task of this function has ended. */
  countEnding(
    queue: FunctionQueue,
    from: 'waiting' | 'running',
    ending: TaskEnding,
    payloadBytes: number,
    keptBytes: number,
  ): void {
    this.count(queue, { [from]: -1, [ending]: 1, liveBytes: -payloadBytes, keptBytes })
  }

  /** An ended task of this function was forgotten. */
  countForgotten(queue: FunctionQueue, ending: TaskEnding, keptBytes: number): void {
    this.count(queue, { [FORGOTTEN[ending]]: 1, keptBytes: -keptBytes })
  }

  /** Leases of its tasks last until `untilMs` now. */
  renewed(queue: FunctionQueue, untilMs: number): void {
    queue.head = undefined
    queue.leasesUntilMs = Math.min(queue.leasesUntilMs, untilMs)
    this.#undo.push(() => forgetTasksOf(queue))
  }

  /** Differences between what is held in memory beside the counts and the tasks; 0 when there are none. */
  countMistakes(): number {
    let mistakes = 0
    for (const queue of this.#queues.values()) {
      if (queue.head !== undefined && queue.head?.sequence !== this.#selectHead(queue)?.sequence)
        mistakes += 1
      const lease = this.#selectFirstLease(queue)
      if (lease !== null && lease.dueAtMs < queue.leasesUntilMs) mistakes += 1
      if (this.#live.has(queue) !== liveTasks(queue.counts) > 0) mistakes += 1
    }
    for (const [name] of COUNT_COLUMNS) {
      let sum = 0
      for (const { counts } of this.#queues.values()) sum += counts[name]
      mistakes += Math.abs(sum - this.#total[name])
    }
    return mistakes
  }

  /** Something beside the counts changed: what to do when the transaction is rolled back to before it. */
  onUndo(undo: () => void): void {
    this.#undo.push(undo)
  }

  control(queue: FunctionQueue, change: ControlChange): void {
    const before = queue.control
    const { isPaused = before.isPaused, maxRuns = before.maxRuns, maxTasks = before.maxTasks } = change
    queue.control = {
      isPaused,
      ...(maxRuns === undefined || maxRuns === null ? {} : { maxRuns }),
      ...(maxTasks === undefined || maxTasks === null ? {} : { maxTasks }),
    }
    this.#changed.add(queue)
    this.#undo.push(() => {
      queue.control = before
    })
  }

  /** What functions of an account counted that are forgotten: a queue without a name. */
  forgottenOf(account: string): FunctionQueue {
    return this.of(account, '', '')
  }

  /** Since when a function is gone; undefined: it is there. */
  setGone(queue: FunctionQueue, sinceMs: number | undefined): void {
    const before = queue.goneSinceMs
    queue.goneSinceMs = sinceMs
    this.#changed.add(queue)
    this.#undo.push(() => {
      queue.goneSinceMs = before
    })
  }

  /** Forgets an idle function: what it counted stays counted for its account, what was set for it does not. */
  forget(queue: FunctionQueue): void {
    const { counts, account, namespace, name } = queue
    this.count(this.forgottenOf(account), counts)
    const negative = noCounts()
    for (const [count] of COUNT_COLUMNS) negative[count] = -counts[count]
    this.count(queue, negative)
    const key = keyOf(account, namespace, name)
    this.#queues.delete(key)
    this.#removed.add(queue)
    this.#undo.push(() => {
      this.#queues.set(key, queue)
      this.#removed.delete(queue)
    })
  }

  /** For {@link FunctionQueues.restore}, when the transaction is rolled back to here. */
  save(): number {
    return this.#undo.length
  }

  restore(saved: number): void {
    for (const undo of this.#undo.splice(saved).toReversed()) undo()
  }

  /** Writes what has changed; to be called before the COMMIT. */
  flush(): void {
    for (const queue of this.#removed) this.#remove(queue)
    for (const queue of this.#changed) if (!this.#removed.has(queue)) this.#write(queue)
  }

  /** The transaction is over: committed, or rolled back and restored. */
  settle(): void {
    this.#undo = []
    this.#changed.clear()
    this.#removed.clear()
  }

  #add(queue: FunctionQueue, name: Count, by: number): void {
    queue.counts[name] += by
    this.#total[name] += by
  }

  #follow(queue: FunctionQueue): void {
    if (liveTasks(queue.counts) > 0) this.#live.add(queue)
    else this.#live.delete(queue)
  }

  #load(row: Record<string, SQLOutputValue>): void {
    const queue = this.of(String(row['account']), String(row['namespace']), String(row['function_name']))
    for (const [name, column] of COUNT_COLUMNS) this.#add(queue, name, Number(row[column]))
    queue.control = {
      isPaused: row['is_paused'] === 1,
      ...(row['max_runs'] === null ? {} : { maxRuns: Number(row['max_runs']) }),
      ...(row['max_tasks'] === null ? {} : { maxTasks: Number(row['max_tasks']) }),
    }
    queue.goneSinceMs = row['gone_since_ms'] === null ? undefined : Number(row['gone_since_ms'])
    this.#follow(queue)
  }
}

/** What was read of its tasks may not be so any more. */
function forgetTasksOf(queue: FunctionQueue): void {
  queue.head = undefined
  queue.leasesUntilMs = 0
}

function prepareRemove(database: DatabaseSync): (queue: FunctionQueue) => void {
  const remove = database.prepare(
    'DELETE FROM function_queues WHERE account = ? AND namespace = ? AND function_name = ?',
  )
  return ({ account, namespace, name }) => void remove.run(account, namespace, name)
}

function prepareWrite(database: DatabaseSync): (queue: FunctionQueue) => void {
  const columns = COUNT_COLUMNS.map(([, column]) => column)
  const upsert = database.prepare(
    `INSERT OR REPLACE INTO function_queues (account, namespace, function_name, is_paused, max_runs, max_tasks,
       gone_since_ms, ${columns.join(', ')})
     VALUES (?, ?, ?, ?, ?, ?, ?, ${columns.map(() => '?').join(', ')})`,
  )
  return ({ account, namespace, name, control, counts, goneSinceMs = null }) => {
    const { isPaused, maxRuns = null, maxTasks = null } = control
    const values = COUNT_COLUMNS.map(([count]) => counts[count])
    upsert.run(account, namespace, name, isPaused ? 1 : 0, maxRuns, maxTasks, goneSinceMs, ...values)
  }
}

function prepareHead(
  database: DatabaseSync,
  index: string,
  condition: string,
): (queue: FunctionQueue) => Head | null {
  const select = database.prepare(
    `SELECT sequence, due_at_ms, accepted_at_ms, status FROM tasks INDEXED BY ${index}
     WHERE ${condition} AND account = ? AND namespace = ? AND function_name = ?
     ORDER BY due_at_ms, sequence LIMIT 1`,
  )
  return ({ account, namespace, name }) => {
    const row = select.get(account, namespace, name)
    if (row === undefined) return null
    return {
      sequence: Number(row['sequence']),
      dueAtMs: Number(row['due_at_ms']),
      acceptedAtMs: Number(row['accepted_at_ms']),
      isLeased: row['status'] === 'leased',
    }
  }
}

/** No name contains a slash. */
function keyOf(account: string, namespace: string, name: string): string {
  return `${account}/${namespace}/${name}`
}
