import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { EngineError } from '../../model/errors.ts'
import { RevisionConflict } from '../definition-store.ts'
import type {
  Failure,
  FromWorker,
  InputOf,
  Operation,
  OperationName,
  OutputOf,
  Result,
  TaskToEnqueue,
  ToWorker,
  WorkerStart,
} from './operations.ts'
import { StoreDamaged, StoreRefused } from './store-refused.ts'

/** Bounds of one batch: how long others wait for it, and how much memory is held twice. */
const BATCH_OPERATIONS = 1000
const BATCH_PAYLOAD_BYTES = 16 * 1024 * 1024

/** Operations that only read, and may take long. */
const LOOKS: ReadonlySet<OperationName> = new Set([
  'listTasks',
  'countListed',
  'countTasks',
  'auditQueues',
  'listDeliveries',
  'listIdleFunctions',
])
/** While others wait, a look goes behind so many batches. */
const BATCHES_PER_LOOK = 4
/**
 * A batch goes before the one ahead of it is done when it holds this part of all that was open lately. Measured at 64 calls at a time: without it
 * small batches take turns, each with a sync of its own, and an eighth fewer calls are accepted.
 */
const AHEAD_PART = 0.4
/** Kept of the most that was open, with each batch that is done. */
const OPEN_KEPT = 0.98

/** `worker.ts` in a checkout, `worker.js` in a built package. */
const WORKER = new URL(`./worker${extname(import.meta.url)}`, import.meta.url)

interface Pending {
  readonly operation: Operation
  readonly payload: Buffer | undefined
  readonly resolve: (output: OutputOf<OperationName>) => void
  readonly reject: (error: Error) => void
}

/**
 * This thread's side of the database thread, and the group commit.
 *
 * Operations that arrive while a batch is under way wait, and all of them (up to the bounds above) go together as the next
 * batch, which is one transaction and one fsync. Under load a commit is thus shared by as many operations as arrive during the one
 * before; without load an operation goes at once and alone. The next batch goes when the one before is done, or when it is as large and a good
 * part of all that is open: then the database has it at hand, and does not wait for this thread to come round. No more than two are under
 * way.
 *
 * Looks at many tasks keep nobody waiting for more than one of them: they have a line of their own, and each goes alone, one at a time,
 * when nothing else waits, or behind some batches. Whoever looks sees what was done before, as far as that was answered.
 *
 * Open → closing (takes no new operations, runs those it has) → closed. From any of them → failed, when the worker
 * ends by itself, or stands still after a fault of the disk: every operation that was waiting or under way is rejected, and so is every later one.
 */
export class DatabaseThread {
  readonly #worker: Worker
  /** Or stands still for ever. */
  readonly #exited = Promise.withResolvers<void>()
  readonly #opened = Promise.withResolvers<void>()
  readonly #onFailure: (error: Error) => void
  #waiting: Pending[] = []
  #waitingPayloadBytes = 0
  readonly #looks: Pending[] = []
  /** The look that is under way. */
  #look: readonly Pending[] | undefined
  /** Batches that went while looks waited. */
  #batchesBeforeLook = 0
  /** Batches in the order in which they are done. */
  #underWay: (readonly Pending[])[] = []
  /** The most operations that waited or were under way at a time, lately. */
  #mostOpen = 0
  #sending = false
  #closing: Promise<void> | undefined
  #closed = false
  #failure: EngineError<'platform/store-failed'> | undefined
  #commits = 0

  private constructor(start: WorkerStart, onFailure: (error: Error) => void) {
    this.#onFailure = onFailure
    this.#worker = new Worker(WORKER, { name: 'store', workerData: start })
    let cause: unknown
    this.#worker.on('message', (message: FromWorker) => this.#receive(message, start.file))
    this.#worker.on('messageerror', (error) => this.#fail(error))
    this.#worker.on('error', (error) => {
      cause = error
    })
    this.#worker.once('exit', () => {
      if (!this.#closed) this.#fail(cause ?? new Error('the database thread ended'))
      this.#exited.resolve()
    })
  }

  /**
   * @param onFailure Called once when the thread ends by itself after it was opened.
   * @throws {StoreRefused} the database cannot be used; the thread has ended.
   * @throws {StoreDamaged} the same, as it is damaged.
   * @throws {EngineError} `platform/store-failed`: the thread itself did not start.
   */
  static async start(start: WorkerStart, onFailure: (error: Error) => void): Promise<DatabaseThread> {
    let opened = false
    const thread = new DatabaseThread(start, (error) => {
      if (opened) onFailure(error)
    })
    await thread.#opened.promise
    opened = true
    return thread
  }

  /** Transactions that wrote something since the start. */
  get commits(): number {
    return this.#commits
  }

  /** Operations that wait for the next batch; without looks. */
  get waitingOperations(): number {
    return this.#waiting.length
  }

  /** Bytes of their payloads. */
  get waitingPayloadBytes(): number {
    return this.#waitingPayloadBytes
  }

  /**
   * Runs one operation in the next batch, or as a look; resolves after its COMMIT.
   *
   * @throws {EngineError} as the operation refuses, or `platform/store-failed`
   * @throws {RevisionConflict} from `commitDefinitions`
   */
  run<K extends OperationName>(name: K, input: InputOf<K>, payload?: Buffer): Promise<OutputOf<K>> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#closing !== undefined) return Promise.reject(storeFailed('the store is closed'))
    return new Promise((resolve, reject) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `K` ties them; an object literal loses it
      const operation = { name, input } as Operation
      const line = LOOKS.has(name) ? this.#looks : this.#waiting
      line.push({ operation, payload, resolve, reject })
      this.#waitingPayloadBytes += payload?.length ?? 0
      this.#sendSoon()
    })
  }

  /** Finishes what it was given, writes the log into the database file and ends the thread. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const isIdle = this.#waiting.length + this.#looks.length + this.#underWay.length === 0
    if (this.#failure === undefined && isIdle) this.#sendClose()
    await this.#exited.promise
  }

  /** At the end of the current task of the event loop, so that calls made in one go share a batch. */
  #sendSoon(): void {
    if (this.#sending || !(this.#isTimeToSend() || this.#isTimeToLook())) return
    this.#sending = true
    queueMicrotask(() => {
      this.#sending = false
      if (this.#failure === undefined) this.#sendNext()
    })
  }

  /** Whatever it is time for. */
  #sendNext(): void {
    if (this.#isTimeToLook()) {
      const look = this.#looks.splice(0, 1)
      this.#look = look
      this.#batchesBeforeLook = 0
      this.#sendBatch(look)
    }
    if (this.#isTimeToSend()) {
      if (this.#looks.length > 0) this.#batchesBeforeLook += 1
      this.#sendBatch(this.#takeBatch())
    }
  }

  #isTimeToSend(): boolean {
    const [first, second] = this.#underWay
    if (second !== undefined) return false
    const least = first === undefined ? 1 : Math.max(first.length, this.#mostOpen * AHEAD_PART)
    return this.#waiting.length >= least
  }

  #isTimeToLook(): boolean {
    if (this.#looks.length === 0 || this.#look !== undefined || this.#underWay.length > 1) return false
    return this.#waiting.length === 0 || this.#batchesBeforeLook >= BATCHES_PER_LOOK
  }

  #sendBatch(batch: readonly Pending[]): void {
    // The one copy on this side: into memory of exactly the right size, which is then moved to the worker.
    const payloadBytes = payloadBytesOf(batch)
    this.#waitingPayloadBytes -= payloadBytes
    const payloads = new ArrayBuffer(payloadBytes)
    const target = Buffer.from(payloads)
    let offset = 0
    const operations = batch.map(({ operation, payload }): Operation => {
      if (payload === undefined || operation.name !== 'enqueueTask') return operation
      payload.copy(target, offset)
      const input: TaskToEnqueue = { ...operation.input, payloadOffset: offset }
      offset += payload.length
      return { name: 'enqueueTask', input }
    })
    this.#underWay.push(batch)
    this.#post({ kind: 'batch', operations, payloads }, [payloads])
  }

  #takeBatch(): readonly Pending[] {
    let count = 0
    let bytes = 0
    for (const { payload } of this.#waiting) {
      bytes += payload?.length ?? 0
      if (count === BATCH_OPERATIONS || (count > 0 && bytes > BATCH_PAYLOAD_BYTES)) break
      count += 1
    }
    return this.#waiting.splice(0, count)
  }

  #sendClose(): void {
    this.#post({ kind: 'close' })
  }

  #post(message: ToWorker, moved: ArrayBuffer[] = []): void {
    try {
      this.#worker.postMessage(message, moved)
    } catch (error) {
      // Something in an operation cannot be cloned; the batch is lost, the thread is not.
      const failure: Failure = { kind: 'failed', reason: String(error) }
      const batch = this.#underWay.pop() ?? []
      this.#finishBatch(
        batch,
        batch.map(() => ({ ok: false, failure })),
      )
    }
  }

  #receive(message: FromWorker, file: string): void {
    switch (message.kind) {
      case 'opened':
        this.#opened.resolve()
        break
      case 'refused': {
        this.#closed = true
        const Refusal = message.isDamage ? StoreDamaged : StoreRefused
        // Once the thread is gone: whoever catches this may open the file again.
        void this.#exited.promise.then(() => this.#opened.reject(new Refusal(file, message.reason)))
        break
      }
      case 'done':
        this.#commits = message.commits
        this.#finishBatch(this.#underWay.shift() ?? [], message.results)
        break
      case 'closed':
        this.#closed = true
        break
      case 'failed':
        // It is left as it is: to end it would close the database.
        this.#worker.unref()
        this.#exited.resolve()
        this.#fail(
          message.isDamage ? new StoreDamaged(file, message.reason) : new Error(message.reason),
          false,
        )
        break
    }
  }

  #finishBatch(batch: readonly Pending[], results: readonly Result[]): void {
    // First, so that the database works while this thread tells its callers.
    if (batch === this.#look) this.#look = undefined
    const open = batch.length + (this.#underWay[0]?.length ?? 0) + this.#waiting.length
    this.#mostOpen = Math.max(open, this.#mostOpen * OPEN_KEPT)
    this.#sendNext()
    for (const [index, pending] of batch.entries()) {
      const result = results[index]
      if (result === undefined) pending.reject(storeFailed('the database thread gave no answer'))
      else if (result.ok) pending.resolve(result.output)
      else pending.reject(errorOf(result.failure))
    }
    if (this.#closing !== undefined && this.#underWay.length === 0) this.#sendClose()
  }

  #fail(cause: unknown, mayEnd = true): void {
    if (this.#failure !== undefined) return
    const failure = storeFailed(cause instanceof Error ? cause.message : String(cause), cause)
    this.#failure = failure
    const lost = [...this.#underWay.flat(), ...this.#waiting, ...this.#looks]
    this.#underWay = []
    this.#waiting = []
    this.#looks.length = 0
    this.#waitingPayloadBytes = 0
    for (const pending of lost) pending.reject(failure)
    this.#opened.reject(failure)
    if (mayEnd) void this.#worker.terminate()
    this.#onFailure(failure)
  }
}

function payloadBytesOf(batch: readonly Pending[]): number {
  return batch.reduce((bytes, { payload }) => bytes + (payload?.length ?? 0), 0)
}

function errorOf(failure: Failure): Error {
  if (failure.kind === 'refused') return new EngineError(failure.code, failure.details)
  if (failure.kind === 'conflict') return new RevisionConflict(failure.key)
  if (failure.kind === 'full') return new EngineError('platform/store-full', {})
  return storeFailed(failure.reason)
}

function storeFailed(reason: string, cause?: unknown): EngineError<'platform/store-failed'> {
  return new EngineError('platform/store-failed', { reason }, { cause })
}
