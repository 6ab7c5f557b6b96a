import type { FunctionName } from '../../model/function.ts'
import type { Change, DefinitionStore, RecordKinds, Stored } from '../definition-store.ts'
import type { Outbox } from '../outbox.ts'
import type { TaskLookup, TaskOperations, TaskQueue } from '../task-queue.ts'
import { DatabaseThread } from './database-thread.ts'
import type { DefinitionRow, IdleFunction, OutputOf, QueueLimits } from './operations.ts'
import { refuseEmptied } from './emptied.ts'
import { SqliteOutbox } from './sqlite-outbox.ts'
import { SqliteTasks } from './sqlite-tasks.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** Rows forgotten in one transaction: few enough that others do not wait for it. */
const PURGE_ROWS = 500

/** Where the database is and what it may hold. */
export interface SqliteStoreOptions {
  /** The database file; made when it does not exist, with mode 0600. Its directory must exist. */
  readonly file: string
  /** Paths that are there only once a server has used the database: beside one of them, an empty file is refused. Default none. */
  readonly traces?: readonly string[]
  /**
   * Tasks that have not ended, 1 or more; more are refused with `caller/queue-full`. Default 1 000 000.
   * Over this and {@link SqliteStoreOptions.maxQueuedBytes} a function that has less than a hundredth of it is still taken in, up to
   * a tenth more in all: so one that fills the queue keeps none out that calls seldom.
   */
  readonly maxQueuedTasks?: number
  /** The same for one function, where nothing else is set for it. Default: as many as all. */
  readonly maxQueuedTasksPerFunction?: number
  /** Bytes of their payloads; more are refused with `caller/queue-full`. Default 1 GiB. */
  readonly maxQueuedBytes?: number
  /** Ended tasks that are kept; the oldest are forgotten for more. Default 1 000 000. */
  readonly maxEndedTasks?: number
  /** Bytes of events, results and logs of ended tasks; the oldest tasks are forgotten for more. Default 1 GiB. */
  readonly maxKeptBytes?: number
  /**
   * Deliveries that wait to be made, 1 or more: more are undeliverable at once, and of those as many are kept. Default 100 000.
   * Over this and {@link SqliteStoreOptions.maxDeliveryBytes} functions with few are still taken in, as for tasks.
   */
  readonly maxDeliveries?: number
  /** Bytes of their bodies. Default 256 MiB. */
  readonly maxDeliveryBytes?: number
  /**
   * How long an ended task, and an undeliverable message, is kept: so long its id stays taken. Default 7 days.
   * Source: Alibaba Cloud Function Compute, task mode: records of asynchronous tasks are kept for 7 days.
   */
  readonly retentionMs?: number
  /** Epoch milliseconds, on the time line that claims are made on. Default the system's clock. */
  readonly now?: () => number
  /**
   * Called once when the database can no longer be used. The process should be killed: to end in any other way closes the database, which
   * writes, after a failed fsync too. A new start can recover, unless {@link damageIn} the error is some.
   */
  readonly onFailure?: (error: Error) => void
}

/**
 * Definitions and the queue of asynchronous calls in one SQLite file, for one process.
 *
 * Every promise that resolves stands for an fsync that is done (WAL, `synchronous = FULL`); a crash at any moment
 * loses nothing that was acknowledged. The database lives in a thread of its own, so no call waits here for the disk.
 * Calls made while a transaction is being written share the next one.
 *
 * Leases belong to the process: what a process had leased when it died is due at once for the next one.
 */
export class SqliteStore {
  readonly definitions: DefinitionStore
  readonly tasks: TaskQueue & TaskLookup & TaskOperations
  readonly outbox: Outbox
  /** Which of these functions do not exist (any more). Until it is set, no function is forgotten. */
  deletedAmong: ((functions: readonly FunctionName[]) => readonly FunctionName[]) | undefined
  readonly #thread: DatabaseThread
  readonly #retentionMs: number
  readonly #now: () => number
  readonly #timers: readonly NodeJS.Timeout[]

  private constructor(thread: DatabaseThread, limits: QueueLimits, retentionMs: number, now: () => number) {
    this.#thread = thread
    this.#retentionMs = retentionMs
    this.#now = now
    this.definitions = new SqliteDefinitions(thread)
    this.tasks = new SqliteTasks(thread, limits, now)
    this.outbox = new SqliteOutbox(thread, now)
    // A failure reaches `onFailure` and every call; the timers have nobody else to tell.
    this.#timers = [
      setInterval(() => void this.purgeEndedTasks().catch(() => undefined), MINUTE_MS).unref(),
      setInterval(() => void this.forgetDeletedFunctions().catch(() => undefined), HOUR_MS).unref(),
    ]
  }

  /**
   * Opens the database for this process alone.
   *
   * @throws {StoreRefused} another process has it open, a newer version wrote it, or it is no usable database. The
   *   message names the file.
   * @throws {StoreDamaged} what opening reads of it is damaged.
   */
  static async open(options: SqliteStoreOptions): Promise<SqliteStore> {
    const { file, retentionMs = 7 * DAY_MS, now = Date.now, onFailure = () => undefined } = options
    const { maxQueuedTasks = 1_000_000, maxQueuedBytes = 1024 ** 3 } = options
    const limits: QueueLimits = {
      maxQueuedTasks,
      maxQueuedTasksPerFunction: options.maxQueuedTasksPerFunction ?? maxQueuedTasks,
      maxQueuedBytes,
      maxEndedTasks: options.maxEndedTasks ?? 1_000_000,
      maxKeptBytes: options.maxKeptBytes ?? 1024 ** 3,
      maxDeliveries: options.maxDeliveries ?? 100_000,
      maxDeliveryBytes: options.maxDeliveryBytes ?? 256 * 1024 ** 2,
    }
    refuseEmptied(file, options.traces ?? [])
    const thread = await DatabaseThread.start({ file, limits }, onFailure)
    return new SqliteStore(thread, limits, retentionMs, now)
  }

  /** Transactions that wrote something since the store was opened, each with one fsync. */
  get commits(): number {
    return this.#thread.commits
  }

  /**
   * Forgets the tasks and undeliverable messages whose retention is over, in small transactions; how many tasks. Also runs by itself every minute.
   *
   * @throws {EngineError} `platform/store-failed`
   */
  async purgeEndedTasks(): Promise<number> {
    const endedBeforeMs = this.#now() - this.#retentionMs
    let total = 0
    for (;;) {
      const purged = await this.#thread.run('purgeTasks', { endedBeforeMs, limit: PURGE_ROWS })
      total += purged.tasks
      if (purged.tasks < PURGE_ROWS && purged.deliveries < PURGE_ROWS) return total
    }
  }

  /**
   * Forgets what was counted and set for functions that are deleted for the retention time and of which nothing is kept, in small
   * transactions; how many. What they counted is added to what is counted of forgotten functions. Also runs by itself every hour.
   *
   * @throws {EngineError} `platform/store-failed`
   */
  async forgetDeletedFunctions(): Promise<number> {
    const { deletedAmong } = this
    if (deletedAmong === undefined) return 0
    const idle: IdleFunction[] = []
    for (let offset: number | undefined = 0; offset !== undefined;) {
      const page: OutputOf<'listIdleFunctions'> = await this.#thread.run('listIdleFunctions', {
        offset,
        limit: PURGE_ROWS,
      })
      idle.push(...page.idle)
      offset = page.next
    }
    const deleted = new Set(deletedAmong(idle))
    const changing = idle.filter((one) => deleted.has(one) || one.wasGone)
    let total = 0
    for (let from = 0; from < changing.length; from += PURGE_ROWS) {
      const step = changing.slice(from, from + PURGE_ROWS)
      const nowMs = this.#now()
      total += await this.#thread.run('followFunctions', {
        deleted: step.filter((one) => deleted.has(one)),
        present: step.filter((one) => !deleted.has(one)),
        nowMs,
        goneBeforeMs: nowMs - this.#retentionMs,
      })
    }
    return total
  }

  /**
   * Finishes the calls made so far, writes everything into the one file and lets go of it. Later calls are rejected
   * with `platform/store-failed`. May be called again.
   */
  close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    return this.#thread.close()
  }
}

class SqliteDefinitions implements DefinitionStore {
  readonly #thread: DatabaseThread

  constructor(thread: DatabaseThread) {
    this.#thread = thread
  }

  async load(): Promise<readonly Stored[]> {
    const rows = await this.#thread.run('loadDefinitions', null)
    return rows.map(storedOf)
  }

  async commit(changes: readonly Change[]): Promise<void> {
    const rows = changes.map(({ value, ...change }) =>
      value === undefined ? change : { ...change, value: JSON.stringify(value) },
    )
    await this.#thread.run('commitDefinitions', rows)
  }
}

function storedOf({ kind, key, revision, value }: DefinitionRow): Stored {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `commit` wrote it under the same kind
  return { kind, key, revision, value: JSON.parse(value) as RecordKinds[typeof kind] }
}
