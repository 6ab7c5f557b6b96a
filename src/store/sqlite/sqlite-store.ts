import { EngineError } from '../../model/errors.ts'
import type { Change, DefinitionStore, RecordKinds, Stored } from '../definition-store.ts'
import type {
  ClaimedTask,
  FunctionShare,
  NewTask,
  Postponement,
  Settlement,
  TaskFilter,
  TaskLookup,
  TaskQueue,
  TaskRecord,
} from '../task-queue.ts'
import { DatabaseThread } from './database-thread.ts'
import type { DefinitionRow, QueueLimits, TaskRow } from './operations.ts'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS

/** Rows forgotten in one transaction: few enough that others do not wait for it. */
const PURGE_ROWS = 500

/** Where the database is and what it may hold. */
export interface SqliteStoreOptions {
  /** The database file; made when it does not exist, with mode 0600. Its directory must exist. */
  readonly file: string
  /** Tasks that have not ended, 1 or more; more are refused with `caller/queue-full`. Default 100 000. */
  readonly maxQueuedTasks?: number
  /** Bytes of their payloads; more are refused with `caller/queue-full`. Default 1 GiB. */
  readonly maxQueuedBytes?: number
  /**
   * How long an ended task is kept without its payload: so long its id stays taken. Default 7 days.
   * Source: Alibaba Cloud Function Compute, task mode: records of asynchronous tasks are kept for 7 days.
   */
  readonly retentionMs?: number
  /** Epoch milliseconds. Default the system's clock. */
  readonly now?: () => number
  /** Called once when the database can no longer be used. The server should end: a new start can recover. */
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
  readonly tasks: TaskQueue & TaskLookup
  readonly #thread: DatabaseThread
  readonly #retentionMs: number
  readonly #now: () => number
  readonly #purgeTimer: NodeJS.Timeout

  private constructor(thread: DatabaseThread, limits: QueueLimits, retentionMs: number, now: () => number) {
    this.#thread = thread
    this.#retentionMs = retentionMs
    this.#now = now
    this.definitions = new SqliteDefinitions(thread)
    this.tasks = new SqliteTasks(thread, limits, now)
    // A failure reaches `onFailure` and every call; the timer has nobody else to tell.
    this.#purgeTimer = setInterval(() => void this.purgeEndedTasks().catch(() => undefined), MINUTE_MS)
    this.#purgeTimer.unref()
  }

  /**
   * Opens the database for this process alone.
   *
   * @throws {StoreRefused} another process has it open, a newer version wrote it, or it is no usable database. The
   *   message names the file.
   */
  static async open(options: SqliteStoreOptions): Promise<SqliteStore> {
    const { file, maxQueuedTasks = 100_000, maxQueuedBytes = 1024 ** 3 } = options
    const { retentionMs = 7 * DAY_MS, now = Date.now, onFailure = () => undefined } = options
    const limits: QueueLimits = { maxQueuedTasks, maxQueuedBytes }
    const thread = await DatabaseThread.start({ file, limits }, onFailure)
    return new SqliteStore(thread, limits, retentionMs, now)
  }

  /** Transactions that wrote something since the store was opened, each with one fsync. */
  get commits(): number {
    return this.#thread.commits
  }

  /**
   * Forgets the tasks whose retention is over, in small transactions; how many. Also runs by itself every minute.
   *
   * @throws {EngineError} `platform/store-failed`
   */
  async purgeEndedTasks(): Promise<number> {
    const endedBeforeMs = this.#now() - this.#retentionMs
    let total = 0
    for (;;) {
      const purged = await this.#thread.run('purgeTasks', { endedBeforeMs, limit: PURGE_ROWS })
      total += purged
      if (purged < PURGE_ROWS) return total
    }
  }

  /**
   * Finishes the calls made so far, writes everything into the one file and lets go of it. Later calls are rejected
   * with `platform/store-failed`. May be called again.
   */
  close(): Promise<void> {
    clearInterval(this.#purgeTimer)
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

class SqliteTasks implements TaskQueue, TaskLookup {
  readonly #thread: DatabaseThread
  readonly #limits: QueueLimits
  readonly #now: () => number

  constructor(thread: DatabaseThread, limits: QueueLimits, now: () => number) {
    this.#thread = thread
    this.#limits = limits
    this.#now = now
  }

  async enqueue({ payload, ...task }: NewTask): Promise<void> {
    const { maxQueuedTasks, maxQueuedBytes } = this.#limits
    // The worker decides exactly; this bounds what waits for it in memory when the disk is slow.
    if (this.#thread.waitingOperations >= maxQueuedTasks)
      throw new EngineError('caller/queue-full', { limit: maxQueuedTasks })
    if (this.#thread.waitingPayloadBytes + payload.length > maxQueuedBytes)
      throw new EngineError('caller/queue-full', { limit: maxQueuedBytes })
    await this.#thread.run(
      'enqueueTask',
      { ...task, payloadOffset: 0, payloadBytes: payload.length },
      payload,
    )
  }

  async claim(
    limit: number,
    nowMs: number,
    leaseMs: number,
    share?: FunctionShare,
  ): Promise<readonly ClaimedTask[]> {
    const input = { limit, nowMs, leaseMs, ...(share === undefined ? {} : { share }) }
    const rows = await this.#thread.run('claimTasks', input)
    return rows.map(claimedOf)
  }

  renew(leases: readonly string[], untilMs: number): Promise<readonly boolean[]> {
    return this.#thread.run('renewLeases', { leases, untilMs })
  }

  postpone(lease: string, next: Postponement): Promise<boolean> {
    return this.#thread.run('postponeTask', { lease, next })
  }

  settle(lease: string, settlement: Settlement): Promise<boolean> {
    return this.#thread.run('settleTask', { lease, settlement, nowMs: this.#now() })
  }

  nextDueAtMs(share?: FunctionShare): Promise<number | undefined> {
    return this.#thread.run('findNextDue', share === undefined ? {} : { share })
  }

  find(account: string, requestId: string): Promise<TaskRecord | undefined> {
    return this.#thread.run('findTask', { account, requestId })
  }

  list(filter: TaskFilter): Promise<{ readonly tasks: readonly TaskRecord[]; readonly total: number }> {
    return this.#thread.run('listTasks', { filter })
  }

  cancel(account: string, requestId: string, nowMs: number): Promise<TaskRecord['status'] | undefined> {
    return this.#thread.run('cancelTask', { account, requestId, nowMs })
  }
}

function storedOf({ kind, key, revision, value }: DefinitionRow): Stored {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `commit` wrote it under the same kind
  return { kind, key, revision, value: JSON.parse(value) as RecordKinds[typeof kind] }
}

function claimedOf({ payload, ...task }: TaskRow): ClaimedTask {
  return { ...task, payload: Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength) }
}
