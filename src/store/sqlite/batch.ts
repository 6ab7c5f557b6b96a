import type { DatabaseSync } from 'node:sqlite'
import { EngineError } from '../../model/errors.ts'
import { RevisionConflict } from '../definition-store.ts'
import { prepareClaim } from './claim.ts'
import { prepareDefinitionOperations } from './definitions.ts'
import { Endings } from './endings.ts'
import { prepareEnqueue } from './enqueue.ts'
import { prepareForgetting } from './forgotten-functions.ts'
import { FunctionQueues } from './function-queues.ts'
import { prepareLeases } from './leases.ts'
import type {
  Failure,
  InputOf,
  Operation,
  OperationName,
  OutputOf,
  QueueLimits,
  Result,
} from './operations.ts'
import { prepareOutbox } from './outbox.ts'
import { QueueClock } from './queue-clock.ts'
import { isFatal, isFull, namedError } from './sqlite-error.ts'
import { prepareCount, prepareList } from './task-list.ts'
import { prepareLookup } from './task-lookup.ts'
import { prepareOperations } from './task-operations.ts'

/** Payload memory on its way through a batch. */
export interface PayloadMemory {
  /** The payloads of all tasks to enqueue, one after another. */
  readonly arriving: ArrayBuffer
  /** Filled with the memory of the claimed ones, for the caller to move. */
  readonly leaving: ArrayBuffer[]
}

/**
 * Operations that may be refused after they wrote something; all others refuse first. Only these have a savepoint: under one SQLite copies each
 * page before it changes, which was a quarter of what accepting a call cost.
 */
const REFUSED_LATE: ReadonlySet<OperationName> = new Set(['commitDefinitions', 'redriveTasks'])

type Handlers = { [K in OperationName]: (input: InputOf<K>, memory: PayloadMemory) => OutputOf<K> }

/** What became of a batch. `fatal`: the database must not be used any more. */
export interface BatchReport {
  readonly results: readonly Result[]
  readonly fatal?: Error
}

/** Runs batches of operations on an open database, each batch in one transaction. */
export class BatchRunner {
  readonly #database: DatabaseSync
  readonly #queues: FunctionQueues
  readonly #clock: QueueClock
  readonly #handlers: Handlers
  readonly #words: ReturnType<typeof prepareWords>
  /** Ends the leases of the process that had the database before. */
  readonly #voidLeases: () => void
  #hasFormerLeases = true
  #changesSeen: number
  #commits = 0

  /**
   * Voids the leases of the process that had the database before. Where the disk has no room for that, it is done before the first claim that
   * has: until then claims are refused as full, and all else goes on.
   */
  constructor(database: DatabaseSync, limits: QueueLimits) {
    this.#database = database
    this.#words = prepareWords(database)
    const queues = new FunctionQueues(database, limits)
    const clock = new QueueClock(database)
    this.#queues = queues
    this.#clock = clock
    const endings = new Endings(database, queues, limits)
    const outbox = prepareOutbox(database, queues, limits)
    const claim = prepareClaim(database, queues, endings)
    this.#handlers = {
      ...prepareDefinitionOperations(database),
      ...prepareLeases(database, queues, endings, outbox),
      ...prepareLookup(database, endings),
      ...prepareOperations(database, queues, endings, outbox),
      ...prepareForgetting(queues),
      listTasks: prepareList(database, queues),
      countListed: prepareCount(database, queues),
      enqueueTask: prepareEnqueue(database, queues),
      claimTasks: claim.claimTasks,
      findNextDue: claim.findNextDue,
      findLatestMs: () => clock.latestMs,
      claimDeliveries: outbox.claimDeliveries,
      renewDeliveries: outbox.renewDeliveries,
      endDelivery: outbox.endDelivery,
      retryDelivery: outbox.retryDelivery,
      findNextDelivery: outbox.findNextDelivery,
      redeliver: outbox.redeliver,
      takeLosses: outbox.takeLosses,
      listDeliveries: outbox.listDeliveries,
      purgeTasks({ endedBeforeMs, limit }) {
        return {
          tasks: endings.forget(endedBeforeMs, limit),
          deliveries: outbox.forget(endedBeforeMs, limit),
        }
      },
    }
    this.#changesSeen = this.#totalChanges()
    const { latestMs } = clock
    this.#voidLeases = () => {
      claim.voidLeases(latestMs)
      outbox.voidLeases()
    }
    try {
      this.#voidFormerLeases()
    } catch (error) {
      if (!isFull(error)) throw error
    }
    this.#changesSeen = this.#totalChanges()
  }

  /** Transactions that wrote something, each with one fsync. */
  get commits(): number {
    return this.#commits
  }

  /**
   * Runs all operations in order and commits once. One that is refused changes nothing, and the others go on; when one fails, or the
   * transaction itself, nothing is changed, and each operation is tried in a transaction of its own: on a full disk those that only
   * read succeed.
   */
  run(operations: readonly Operation[], memory: PayloadMemory): BatchReport {
    try {
      if (this.#hasFormerLeases && operations.some(isClaim)) this.#voidFormerLeases()
    } catch (error) {
      if (isFatal(error)) return failedReport(operations, error)
      if (!isFull(error)) throw error
    }
    try {
      return { results: this.#inTransaction(() => operations.map((one) => this.#runAlone(one, memory))) }
    } catch (error) {
      memory.leaving.length = 0
      if (isFatal(error)) return failedReport(operations, error)
      if (operations.length === 1) return { results: [{ ok: false, failure: failureOf(error) }] }
    }
    const results: Result[] = []
    for (const operation of operations) {
      const { leaving } = memory
      const before = leaving.length
      try {
        results.push(this.#inTransaction(() => this.#runAlone(operation, memory)))
      } catch (error) {
        leaving.length = before
        if (isFatal(error)) return failedReport(operations, error)
        results.push({ ok: false, failure: failureOf(error) })
      }
    }
    return { results }
  }

  /** To be called before the database is closed. */
  close(): void {
    try {
      this.#inTransaction(() => this.#clock.settle())
    } catch (error) {
      // Then the next start begins as it would after a crash.
      if (!isFull(error)) throw error
    }
  }

  /** In a transaction of their own: what a claim leases is not to be voided with them later. */
  #voidFormerLeases(): void {
    this.#inTransaction(this.#voidLeases)
    this.#hasFormerLeases = false
  }

  #inTransaction<T>(run: () => T): T {
    try {
      this.#words.begin.run()
      const results = run()
      if (this.#totalChanges() !== this.#changesSeen) this.#clock.flush()
      this.#queues.flush()
      this.#words.commit.run()
      this.#queues.settle()
      this.#countCommit()
      return results
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      this.#queues.restore(0)
      this.#queues.settle()
      this.#clock.undo()
      this.#changesSeen = this.#totalChanges()
      throw namedError(error, this.#database.location())
    }
  }

  #runAlone<K extends OperationName>(operation: Operation<K>, memory: PayloadMemory): Result {
    if (this.#hasFormerLeases && isClaim(operation)) return { ok: false, failure: { kind: 'full' } }
    const { name, input } = operation
    if (input !== null && typeof input === 'object') {
      if ('nowMs' in input) this.#clock.see(input.nowMs)
      if ('acceptedAtMs' in input) this.#clock.see(input.acceptedAtMs)
    }
    const before = this.#queues.save()
    const isSaved = REFUSED_LATE.has(name)
    if (isSaved) this.#words.save.run()
    try {
      const output = this.#handlers[name](input, memory)
      if (isSaved) this.#words.release.run()
      return { ok: true, output }
    } catch (error) {
      // A fault may have come after a write, and some, a full disk among them, make SQLite roll back everything: then the batch has failed.
      if (!isRefusal(error)) throw error
      if (isSaved) {
        this.#database.exec('ROLLBACK TO alone; RELEASE alone')
        this.#queues.restore(before)
      } else if (this.#queues.save() !== before) throw error
      return { ok: false, failure: failureOf(error) }
    }
  }

  #countCommit(): void {
    const changes = this.#totalChanges()
    if (changes !== this.#changesSeen) this.#commits += 1
    this.#changesSeen = changes
  }

  #totalChanges(): number {
    return Number(this.#words.changes.get()?.['changes'])
  }
}

/** What every operation or every batch says: read by SQLite once, not each time. */
function prepareWords(database: DatabaseSync) {
  return {
    begin: database.prepare('BEGIN'),
    commit: database.prepare('COMMIT'),
    save: database.prepare('SAVEPOINT alone'),
    release: database.prepare('RELEASE alone'),
    changes: database.prepare('SELECT total_changes() AS changes'),
  }
}

function isRefusal(error: unknown): error is EngineError | RevisionConflict {
  return error instanceof EngineError || error instanceof RevisionConflict
}

function isClaim({ name }: { readonly name: OperationName }): boolean {
  return name === 'claimTasks' || name === 'claimDeliveries'
}

function failedReport(operations: readonly Operation[], fatal: Error): BatchReport {
  const failure = failureOf(fatal)
  return { results: operations.map(() => ({ ok: false, failure })), fatal }
}

function failureOf(error: unknown): Failure {
  if (error instanceof EngineError) return { kind: 'refused', code: error.code, details: error.details }
  if (error instanceof RevisionConflict) return { kind: 'conflict', key: error.key }
  if (isFull(error)) return { kind: 'full' }
  return { kind: 'failed', reason: error instanceof Error ? error.message : String(error) }
}
