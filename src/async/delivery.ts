import { EngineError } from '../model/errors.ts'
import type { Caller, InvokeRequest } from '../model/invocation.ts'
import type { Outcome } from '../model/outcome.ts'
import type { NewDelivery } from '../store/outbox.ts'
import type { ClaimedTask, FunctionShare, TaskLookup, TaskQueue } from '../store/task-queue.ts'
import { Alarm } from './alarm.ts'
import { startClock, type Clock } from './clock.ts'
import type { DeliveryEvent, DeliveryMode } from './delivery-event.ts'
import type { EndedTask } from './destination-words.ts'
import { LeaseKeeper } from './lease-keeper.ts'
import {
  afterRefusal,
  afterRun,
  afterStoppedRun,
  afterTermination,
  beforeRun,
  type NextStep,
} from './retry-policy.ts'
import { RunFinisher } from './run-finisher.ts'
import { TaskRun } from './task-run.ts'
import type { Termination } from './tasks.ts'

/** Wait before the queue is asked again after it failed. */
const QUEUE_RETRY_MS = 1000
/** A task may begin or end its run while it is looked for; it is looked for again this often. */
const TERMINATION_TRIES = 4

export interface AsyncDeliveryOptions {
  readonly tasks: TaskQueue & Pick<TaskLookup, 'requestStop' | 'find'>
  /** Runs one call; rejects when the function was never given the event. */
  readonly invoke: (request: InvokeRequest, caller: Caller) => Promise<Outcome>
  /** Ends the call of this caller, at the latest after `graceMs`; false when the engine has none. */
  readonly terminate: (caller: Caller, graceMs: number) => boolean
  /** What is told of an ending, if anybody is to be told; asked just before the ending is written, and written with it. */
  readonly tell?: (ended: EndedTask) => NewDelivery | undefined
  /** An ending was written together with its telling. */
  readonly told?: () => void
  /** Runs at a time that functions share, 1 or more. Default 16. */
  readonly parallelRuns?: number
  /**
   * Runs beyond, for functions that run nothing, one each: so that others whose calls take long do not keep theirs waiting.
   * With `parallelRuns` it bounds the payloads in memory. Default: three times `parallelRuns`.
   */
  readonly firstRuns?: number
  /** Runs of one function at a time, 1 or more: what is left of `parallelRuns` is for others. Default 32. */
  readonly parallelRunsPerFunction?: number
  /** Length of a lease, milliseconds; renewed while the run lasts. Default 60 000. */
  readonly leaseMs?: number
  readonly clock?: Clock
  /** Told of everything that happens; what it throws is ignored. */
  readonly observe?: (event: DeliveryEvent) => void
}

/**
 * Runs queued calls at least once each.
 *
 * Modes, in the order they follow each other:
 *
 * - **idle**: made, not started. Claims nothing.
 * - **delivering**: *looks* whenever something may have become due: at the start, when told of a new task, when a run
 *   ends, and at the time the queue names as its next due one. A look claims as many due tasks as there are places
 *   and no more, so what is leased is also running; the queue deals the places out between functions. Looks never
 *   overlap; a reason to look during one makes another one follow. When no place is left, nothing looks until a run ends; when
 *   nothing is due that may run, one timer sleeps until something is.
 * - **draining**: claims nothing; a claim that was under way is given back. Runs go on, their leases are renewed, their
 *   results settled. When the grace is over, the tasks of unfinished runs are put back for now, as they were.
 * - **stopped**: holds no lease, arms no timer.
 *
 * A run holds its lease by renewing it at a third of its length. When a renewal says that the lease is not current any
 * more, someone else may run the task: the engine is told that nobody waits for this run, and its result is dropped.
 * The run still counts as one of the parallel ones until the engine lets go of it.
 *
 * While results wait for room on a full disk nothing is claimed: the runs they belong to keep their leases and places. Nor is anything
 * after a renewal that failed, before one has succeeded: a claim would hand out what runs here.
 * A result that cannot be written for another reason is lost, and the task runs again when its lease ends. A task whose server
 * dies is due again at the next start.
 */
export class AsyncDelivery {
  readonly #tasks: AsyncDeliveryOptions['tasks']
  readonly #invoke: AsyncDeliveryOptions['invoke']
  readonly #terminate: AsyncDeliveryOptions['terminate']
  readonly #parallelRuns: number
  readonly #firstRuns: number
  readonly #parallelRunsPerFunction: number
  readonly #leaseMs: number
  readonly #clock: Clock
  readonly #observe: (event: DeliveryEvent) => void

  #mode: DeliveryMode = 'idle'
  /** Never more than `parallelRuns` and `firstRuns` together. */
  readonly #runs = new Set<TaskRun>()
  readonly #leases: LeaseKeeper
  readonly #finisher: RunFinisher
  #looking: Promise<void> | undefined
  /** Something may have become due since the look under way claimed. */
  #lookAgain = false
  readonly #alarm: Alarm
  readonly #graceOver = Promise.withResolvers<void>()
  #drained: Promise<void> | undefined

  constructor(options: AsyncDeliveryOptions) {
    this.#tasks = options.tasks
    this.#invoke = options.invoke
    this.#terminate = options.terminate
    this.#parallelRuns = options.parallelRuns ?? 16
    this.#firstRuns = options.firstRuns ?? 3 * this.#parallelRuns
    this.#parallelRunsPerFunction = options.parallelRunsPerFunction ?? 32
    this.#leaseMs = options.leaseMs ?? 60_000
    this.#clock = options.clock ?? startClock()
    this.#observe = options.observe ?? (() => undefined)
    this.#leases = new LeaseKeeper({
      tasks: this.#tasks,
      leaseMs: this.#leaseMs,
      clock: this.#clock,
      onLost: (run) => {
        run.abandon()
        this.#emit({ kind: 'leaseLost', task: run.label })
      },
      onFailure: (error) => this.#emit({ kind: 'queueFailed', operation: 'renew', error }),
      onCaughtUp: () => this.#look(),
    })
    this.#finisher = new RunFinisher({
      tasks: this.#tasks,
      clock: this.#clock,
      tell: options.tell ?? (() => undefined),
      told: options.told ?? (() => undefined),
      onPostponed: (dueAtMs) => this.#wakeAt(dueAtMs),
      emit: (event) => this.#emit(event),
    })
    this.#alarm = new Alarm(this.#clock, () => this.#look())
  }

  /** Results that came when the lease of their run was not current any more. */
  get droppedResults(): number {
    return this.#finisher.droppedResults
  }

  /** Runs that have not ended, or of which the queue does not know it yet. */
  get underWay(): number {
    return this.#runs.size
  }

  /** Begins to deliver; once. */
  start(): void {
    if (this.#mode !== 'idle') throw new Error(`the delivery is ${this.#mode} and cannot be started`)
    this.#setMode('delivering')
    this.#look()
  }

  /** A task was added to the queue, due at `dueAtMs` (default: now). Cheap; may be called at any time. */
  notify(dueAtMs = 0): void {
    if (dueAtMs <= this.#clock.now()) this.#look()
    else this.#wakeAt(dueAtMs)
  }

  /**
   * Ends a task, whether it waits or runs; it is settled as cancelled and never repeated. Resolves once that is durable. That it
   * is to end is durable before its run is ended.
   *
   * @throws {EngineError} `platform/store-failed`, `platform/store-full`: a task that waits goes on waiting, one that runs ends all the
   *   same, at the latest when its lease does
   */
  async terminate(account: string, requestId: string, graceMs = 0): Promise<Termination> {
    let wasRunning = false
    for (let tries = 0; tries < TERMINATION_TRIES; tries += 1) {
      const run = this.#runOf(account, requestId)
      // At once: should it fail meanwhile, it is over.
      if (run !== undefined) run.stop(graceMs)
      const found = await this.#requestStop(account, requestId)
      if (found === undefined) return 'unknown'
      if (found === 'waiting') return 'cancelled'
      if (found !== 'running') return wasRunning && found === 'cancelled' ? 'terminated' : 'ended'
      wasRunning = true
      if (run === undefined) {
        // It was claimed and is not taken yet; or its run is lost, and ends with the claim that finds its lease over.
        if (this.#looking === undefined) this.#look()
        await this.#looking
        continue
      }
      if (!run.finishing) this.#terminate(run, graceMs)
      await run.done
      if (run.ending !== undefined) return run.ending === 'cancelled' ? 'terminated' : 'ended'
    }
    // Its stop is on disk, and it ends when its lease does; what became of its run was not written.
    throw new EngineError('platform/store-failed', { reason: 'the end of the run is not written' })
  }

  /** A full disk does not keep a run from being ended: its ending is written when there is room. */
  async #requestStop(account: string, requestId: string): ReturnType<TaskLookup['requestStop']> {
    try {
      return await this.#tasks.requestStop(account, requestId, this.#clock.now())
    } catch (error) {
      const isFull = error instanceof EngineError && error.code === 'platform/store-full'
      if (isFull && this.#runOf(account, requestId) !== undefined) return 'running'
      throw error
    }
  }

  #runOf(account: string, requestId: string): TaskRun | undefined {
    for (const run of this.#runs)
      if (!run.gone && run.task.requestId === requestId && run.task.account === account) return run
    return undefined
  }

  /**
   * Claims no more, gives runs `graceMs` to end, and puts the tasks of the rest back. Resolves when no lease is held;
   * never rejects. Called again, the shorter grace counts.
   */
  drain(graceMs: number): Promise<void> {
    const cancel = this.#clock.after(graceMs, () => this.#graceOver.resolve())
    this.#drained ??= this.#drain()
    return this.#drained.finally(cancel)
  }

  async #drain(): Promise<void> {
    this.#setMode('draining')
    this.#alarm.stop()
    await this.#looking
    const settled = Promise.all([...this.#runs].map(({ done }) => done))
    await Promise.race([settled, this.#graceOver.promise])
    this.#finisher.giveUp()
    const finishing = [...this.#runs].filter((run) => run.finishing).map(({ done }) => done)
    const unfinished = [...this.#runs].filter((run) => !run.finishing && !run.gone)
    await Promise.all([...finishing, ...unfinished.map((run) => this.#giveBack(run))])
    this.#setMode('stopped')
  }

  #look(): void {
    if (this.#mode !== 'delivering') return
    if (this.#looking !== undefined) {
      this.#lookAgain = true
      return
    }
    this.#lookAgain = false
    this.#looking = this.#claimDue().finally(() => {
      this.#looking = undefined
      if (this.#lookAgain) this.#look()
    })
  }

  async #claimDue(): Promise<void> {
    const running = this.#runs.size
    const places = Math.max(0, this.#parallelRuns - running)
    const firstRuns = this.#firstRuns - Math.max(0, running - this.#parallelRuns)
    if (places + firstRuns <= 0) return
    if (this.#finisher.unwritten > 0 || this.#leases.isBehind) {
      this.#wakeAt(this.#clock.now() + QUEUE_RETRY_MS)
      return
    }
    const share: FunctionShare = { maxRuns: this.#parallelRunsPerFunction, firstRuns }
    try {
      const tasks = await this.#tasks.claim(places, this.#clock.now(), this.#leaseMs, share)
      for (const task of tasks) this.#take(task)
      const idleOnly = this.#runs.size >= this.#parallelRuns
      // The look that follows asks again: under load the queue is asked once for each.
      if (tasks.length === places + firstRuns || this.#lookAgain) return
      const dueAtMs = await this.#tasks.nextDueAtMs({ ...share, idleOnly })
      if (dueAtMs !== undefined) this.#wakeAt(dueAtMs)
    } catch (error) {
      this.#emit({ kind: 'queueFailed', operation: 'claim', error })
      this.#lookAgain = false
      this.#wakeAt(this.#clock.now() + QUEUE_RETRY_MS)
    }
  }

  /** Looks at `atMs`, or earlier. */
  #wakeAt(atMs: number): void {
    if (this.#mode === 'delivering') this.#alarm.setTo(atMs)
  }

  #take(task: ClaimedTask): void {
    const run = new TaskRun(task)
    this.#runs.add(run)
    this.#leases.hold(run)
    run.done = this.#deliver(run).finally(() => {
      this.#runs.delete(run)
      this.#look()
    })
  }

  /** Never rejects. */
  async #deliver(run: TaskRun): Promise<void> {
    const { task } = run
    if (this.#mode !== 'delivering') return this.#giveBack(run)
    const over = beforeRun(task, this.#clock.now())
    if (over !== undefined) return this.#finish(run, { kind: 'settle', settlement: over })
    this.#emit({ kind: 'started', task: run.label })
    run.hasBegun = true
    const step = await this.#runOnce(run)
    if (!run.gone) await this.#finish(run, step)
    else this.#finisher.drop(step)
  }

  async #runOnce(run: TaskRun): Promise<NextStep> {
    try {
      const outcome = await this.#invoke(run.request, run)
      run.outcome = outcome
      return run.stopped === undefined
        ? afterRun(run.task, outcome, this.#clock.now())
        : afterStoppedRun(run.task, outcome, run.stopped)
    } catch (error) {
      if (!(error instanceof EngineError)) this.#emit({ kind: 'engineFaulted', task: run.label, error })
      if (run.stopped !== undefined) return afterTermination(run.task, false)
      // It is the server that ends, not the engine that has no room: the next one runs it at once.
      const isDrained = error instanceof EngineError && error.code === 'platform/draining'
      if (isDrained && this.#mode !== 'delivering') return this.#asItWas(run, 'refused')
      return afterRefusal(run.task, error, this.#clock.now())
    }
  }

  /** Puts the task back as it was, due now. */
  async #giveBack(run: TaskRun): Promise<void> {
    const finished = this.#finish(run, this.#asItWas(run, run.hasBegun ? 'interrupted' : 'refused'))
    run.abandon()
    await finished
  }

  #asItWas({ task: { attempts, deferrals } }: TaskRun, how: 'interrupted' | 'refused'): NextStep {
    return { kind: 'postpone', postponement: { dueAtMs: this.#clock.now(), attempts, deferrals, how } }
  }

  async #finish(run: TaskRun, step: NextStep): Promise<void> {
    run.finishing = true
    await this.#finisher.finish(run, step)
    this.#leases.letGo(run)
  }

  #setMode(mode: DeliveryMode): void {
    this.#mode = mode
    this.#emit({ kind: 'modeChanged', mode })
  }

  #emit(event: DeliveryEvent): void {
    try {
      this.#observe(event)
    } catch {
      // An observer cannot break the delivery; it has no better place to complain either.
    }
  }
}
