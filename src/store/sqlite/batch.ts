import type { DatabaseSync } from 'node:sqlite'
import { EngineError } from '../../model/errors.ts'
import { RevisionConflict } from '../definition-store.ts'
import { prepareClaim } from './claim.ts'
import { prepareDefinitionOperations } from './definitions.ts'
import { prepareEnqueue } from './enqueue.ts'
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
import { preparePurge } from './purge.ts'
import { QueueTally } from './queue-tally.ts'
import { isFatal } from './sqlite-error.ts'
import { prepareLookup } from './task-lookup.ts'

/** Payload memory on its way through a batch. */
export interface PayloadMemory {
  /** The payloads of all tasks to enqueue, one after another. */
  readonly arriving: ArrayBuffer
  /** Filled with the memory of the claimed ones, for the caller to move. */
  readonly leaving: ArrayBuffer[]
}

type Handlers = { [K in OperationName]: (input: InputOf<K>, memory: PayloadMemory) => OutputOf<K> }

/** What became of a batch. `fatal`: the database must not be used any more. */
export interface BatchReport {
  readonly results: readonly Result[]
  readonly fatal?: Error
}

/** Runs batches of operations on an open database, each batch in one transaction. */
export class BatchRunner {
  readonly #database: DatabaseSync
  readonly #tally: QueueTally
  readonly #handlers: Handlers
  #changesSeen: number
  #commits = 0

  /** Voids the leases of the process that had the database before. */
  constructor(database: DatabaseSync, limits: QueueLimits) {
    this.#database = database
    this.#tally = new QueueTally(database, limits)
    const claim = prepareClaim(database)
    claim.voidLeases()
    this.#handlers = {
      ...prepareDefinitionOperations(database),
      ...prepareLeases(database, this.#tally),
      ...prepareLookup(database, this.#tally),
      enqueueTask: prepareEnqueue(database, this.#tally),
      claimTasks: claim.claimTasks,
      findNextDue: claim.findNextDue,
      purgeTasks: preparePurge(database),
    }
    this.#changesSeen = this.#totalChanges()
  }

  /** Transactions that wrote something, each with one fsync. */
  get commits(): number {
    return this.#commits
  }

  /**
   * Runs all operations in order and commits once. One that fails is undone alone; when the transaction itself
   * fails, all of them have failed and nothing is changed.
   */
  run(operations: readonly Operation[], memory: PayloadMemory): BatchReport {
    const before = this.#tally.save()
    try {
      this.#database.exec('BEGIN')
      const results = operations.map((operation) => this.#runAlone(operation, memory))
      this.#database.exec('COMMIT')
      this.#countCommit()
      return { results }
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      this.#tally.restore(before)
      const failure = failureOf(error)
      const results = operations.map((): Result => ({ ok: false, failure }))
      return isFatal(error) ? { results, fatal: error } : { results }
    }
  }

  #runAlone<K extends OperationName>(operation: Operation<K>, memory: PayloadMemory): Result {
    const before = this.#tally.save()
    this.#database.exec('SAVEPOINT alone')
    try {
      const { name, input } = operation
      const output = this.#handlers[name](input, memory)
      this.#database.exec('RELEASE alone')
      return { ok: true, output }
    } catch (error) {
      // Some faults, a full disk among them, make SQLite roll back everything: then the batch has failed.
      if (!this.#database.isTransaction || isFatal(error)) throw error
      this.#database.exec('ROLLBACK TO alone; RELEASE alone')
      this.#tally.restore(before)
      return { ok: false, failure: failureOf(error) }
    }
  }

  #countCommit(): void {
    const changes = this.#totalChanges()
    if (changes !== this.#changesSeen) this.#commits += 1
    this.#changesSeen = changes
  }

  #totalChanges(): number {
    return Number(this.#database.prepare('SELECT total_changes() AS changes').get()?.['changes'])
  }
}

function failureOf(error: unknown): Failure {
  if (error instanceof EngineError) return { kind: 'refused', code: error.code, details: error.details }
  if (error instanceof RevisionConflict) return { kind: 'conflict', key: error.key }
  return { kind: 'failed', reason: error instanceof Error ? error.message : String(error) }
}
