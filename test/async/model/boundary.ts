import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import type {
  FromWorker,
  Operation,
  OperationName,
  OutputOf,
  Result,
  ToWorker,
} from '../../../src/store/sqlite/operations.ts'

type Batch = Extract<ToWorker, { kind: 'batch' }>

/** Operations that find no room on a full disk; all others only read. */
const WRITES: ReadonlySet<OperationName> = new Set<OperationName>([
  'enqueueTask',
  'claimTasks',
  'renewLeases',
  'postponeTask',
  'settleTask',
  'cancelTask',
  'controlQueue',
  'purgeWaiting',
  'redriveTasks',
  'claimDeliveries',
  'renewDeliveries',
  'endDelivery',
  'retryDelivery',
  'redeliver',
  'purgeTasks',
])

/** More batches than any command needs: something spins. */
const MAX_BATCHES = 2000

export type Fault = 'full' | 'failed'

/** One transaction, as it was committed. */
export type Seen = (operation: Operation, result: Result) => void

/**
 * Stands between a store and its thread: batches wait here until they are stepped on, so that everything in between is chosen by the
 * test. What the thread answered is seen before the store learns of it.
 */
export class Boundary {
  readonly #worker: Worker
  readonly #post: Worker['postMessage']
  readonly #deliver: (message: FromWorker) => void
  readonly #seen: Seen
  /** Something is refused for a fault. */
  onFault: () => void = () => undefined
  /** The store has up to two under way. */
  #held: Batch[] = []
  #answered: ((results: readonly Result[]) => void) | undefined
  #fault: { readonly kind: Fault; batches: number } | undefined

  private constructor(worker: Worker, seen: Seen) {
    this.#worker = worker
    this.#seen = seen
    this.#post = worker.postMessage.bind(worker)
    const [deliver] = worker.listeners('message')
    assert.ok(deliver !== undefined)
    this.#deliver = (message) => {
      Reflect.apply(deliver, worker, [message])
    }
    worker.removeAllListeners('message')
    worker.on('message', (message: FromWorker) => this.#receive(message))
    worker.postMessage = (message: ToWorker): void => {
      if (message.kind === 'batch') this.#held.push(message)
      else this.#post(message)
    }
  }

  /** Opens a store, and stands at its boundary from the first batch on. */
  static async open<T>(open: () => Promise<T>, seen: Seen): Promise<{ store: T; boundary: Boundary }> {
    const started = new Promise<Boundary>((resolve) => {
      process.once('worker', (worker: Worker) => resolve(new Boundary(worker, seen)))
    })
    const [store, boundary] = await Promise.all([open(), started])
    return { store, boundary }
  }

  /** A disk that is full until it is told otherwise, or batches that fail. */
  breakDown(kind: Fault, batches = Number.POSITIVE_INFINITY): void {
    this.#fault = { kind, batches }
  }

  heal(): void {
    this.#fault = undefined
  }

  get isBroken(): boolean {
    return this.#fault !== undefined
  }

  get isQuiet(): boolean {
    return this.#held.length === 0
  }

  /** Lets the first batch that waits be committed and answered; false when none waits. */
  async step(): Promise<boolean> {
    const batch = this.#held.shift()
    if (batch === undefined) return false
    const results = await this.#execute(batch)
    this.#deliver({ kind: 'done', results, commits: 0 })
    await setImmediate()
    return true
  }

  /** Until nothing waits. */
  async quiet(): Promise<void> {
    await setImmediate()
    for (let batches = 0; await this.step(); batches += 1)
      assert.ok(batches < MAX_BATCHES, 'the store is asked again and again')
  }

  /** Commits the first that waits, but nobody learns of it. */
  async commitUnanswered(): Promise<void> {
    const batch = this.#held.shift()
    if (batch !== undefined) await this.#execute(batch)
  }

  /** Asks the thread past the store; outputs in the order of the operations. */
  async ask<const K extends readonly OperationName[]>(
    ...operations: { [I in keyof K]: Operation<K[I]> }
  ): Promise<{ [I in keyof K]: OutputOf<K[I]> }> {
    const results = await this.#send({ kind: 'batch', operations, payloads: new ArrayBuffer(0) })
    return results.map((result) => {
      assert.ok(result.ok, JSON.stringify(result))
      return result.output
    }) as { [I in keyof K]: OutputOf<K[I]> }
  }

  /** Ends the thread, without its having a chance to do anything. */
  async kill(): Promise<void> {
    this.#held = []
    await this.#worker.terminate()
  }

  async #execute(batch: Batch): Promise<readonly Result[]> {
    const results = await this.#withFaults(batch)
    for (const [index, operation] of batch.operations.entries()) this.#seen(operation, results[index]!)
    return results
  }

  async #withFaults(batch: Batch): Promise<readonly Result[]> {
    const fault = this.#fault
    if (fault === undefined) return await this.#send(batch)
    this.onFault()
    fault.batches -= 1
    if (fault.batches <= 0) this.#fault = undefined
    const failure =
      fault.kind === 'full'
        ? ({ kind: 'full' } as const)
        : ({ kind: 'failed', reason: 'for a test' } as const)
    const fails = ({ name }: Operation): boolean => fault.kind === 'failed' || WRITES.has(name)
    const rest = batch.operations.filter((operation) => !fails(operation))
    const answers = rest.length === 0 ? [] : [...(await this.#send({ ...batch, operations: rest }))]
    return batch.operations.map((one) => (fails(one) ? { ok: false, failure } : answers.shift()!))
  }

  #send(batch: Batch): Promise<readonly Result[]> {
    assert.equal(this.#answered, undefined)
    return new Promise((resolve) => {
      this.#answered = resolve
      this.#post(batch, [batch.payloads])
    })
  }

  #receive(message: FromWorker): void {
    if (message.kind !== 'done') {
      this.#deliver(message)
      return
    }
    const answered = this.#answered
    this.#answered = undefined
    answered?.(message.results)
  }
}
