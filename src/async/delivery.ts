import { EngineError } from '../model/errors.ts'
import type { Caller, InvokeRequest } from '../model/invocation.ts'
import type { Outcome } from '../model/outcome.ts'
import type { ClaimedTask, FunctionShare, TaskLookup, TaskQueue } from '../store/task-queue.ts'
import { SYSTEM_CLOCK, type Clock } from './clock.ts'
import type { DeliveryEvent, DeliveryMode } from './delivery-event.ts'
import { LeaseKeeper } from './lease-keeper.ts'
import { afterRefusal, afterRun, afterTermination, beforeRun, type NextStep } from './retry-policy.ts'
import { TaskRun } from './task-run.ts'

/** A wake-up is never sooner than this, so that a queue that calls a task due but yields none cannot spin us. */
const SHORTEST_SLEEP_MS = 20
/** Nor later: the wall clock may be set, and other servers may add tasks to the same queue. */
const LONGEST_SLEEP_MS = 60_000
/** Wait before the queue is asked again after it failed. */
const QUEUE_RETRY_MS = 1000
/** A task may begin or end its run while it is looked for; it is looked for again this often. */
const TERMINATION_TRIES = 4

/**
 * What became of a task that was to end. `terminated`: its run was ended. `cancelled`: it waited, and never runs (again).
 * `ended`: it had ended before, or came to its end meanwhile. `unknown`: there is none, or nobody can end it now.
 */
export type Termination = 'terminated' | 'cancelled' | 'ended' | 'unknown'

export interface AsyncDeliveryOptions {
  readonly tasks: TaskQueue & Pick<TaskLookup, 'cancel'>
  /** Runs one call; rejects when the function was never given the event. */
  readonly invoke: (request: InvokeRequest, caller: Caller) => Promise<Outcome>
  /** Ends the run with this request id; false when the engine has none. */
  readonly terminate: (account: string, requestId: string) => boolean
  /** Runs at a time, 1 or more; also bounds the payloads in memory. Default 16. */
  readonly parallelRuns?: number
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
 *   ends, and at the time the queue names as its next due one. A look claims as many due tasks as there are free runs
 *   and no more, so what is leased is also running; of one function no more than its share, however many are due. Looks never overlap; a reason to look during one makes another
 *   one follow. When all runs are taken, nothing looks until one ends; when nothing is due that may run, one timer
 *   sleeps until something is. Tasks are taken by due time, but for functions that have their share: theirs wait until
 *   one of their runs ends.
 * - **draining**: claims nothing; a claim that was under way is given back. Runs go on, their leases are renewed, their
 *   results settled. When the grace is over, the tasks of unfinished runs are put back for now, as they were.
 * - **stopped**: holds no lease, arms no timer.
 *
 * A run holds its lease by renewing it at a third of its length. When a renewal says that the lease is not current any
 * more, someone else may run the task: the engine is told that nobody waits for this run, and its result is dropped.
 * The run still counts as one of the parallel ones until the engine lets go of it.
 *
 * A result whose settlement fails is lost, and the task runs again when its lease ends. A task whose server dies is
 * due again when its lease ends, or at once when the queue knows that the server is gone.
 */
export class AsyncDelivery {
  readonly #tasks: AsyncDeliveryOptions['tasks']
  readonly #invoke: AsyncDeliveryOptions['invoke']
  readonly #terminate: AsyncDeliveryOptions['terminate']
  readonly #parallelRuns: number
  readonly #parallelRunsPerFunction: number
  readonly #leaseMs: number
  readonly #clock: Clock
  readonly #observe: (event: DeliveryEvent) => void

  #mode: DeliveryMode = 'idle'
  /** Never more than `parallelRuns`. */
  readonly #runs = new Set<TaskRun>()
  readonly #leases: LeaseKeeper
  #looking: Promise<void> | undefined
  /** Something may have become due since the look under way claimed. */
  #lookAgain = false
  #wakeUp: { readonly atMs: number; readonly cancel: () => void } | undefined
  readonly #graceOver = Promise.withResolvers<void>()
  #drained: Promise<void> | undefined

  constructor(options: AsyncDeliveryOptions) {
    this.#tasks = options.tasks
    this.#invoke = options.invoke
    this.#terminate = options.terminate
    this.#parallelRuns = options.parallelRuns ?? 16
    this.#parallelRunsPerFunction = options.parallelRunsPerFunction ?? 32
    this.#leaseMs = options.leaseMs ?? 60_000
    this.#clock = options.clock ?? SYSTEM_CLOCK
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
    })
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
   * Ends a task, whether it waits or runs; it is settled as cancelled and never repeated. Resolves once that is durable.
   *
   * @throws {EngineError} `platform/store-failed`
   */
  async terminate(account: string, requestId: string): Promise<Termination> {
    for (let tries = 0; tries < TERMINATION_TRIES; tries += 1) {
      const run = this.#runOf(account, requestId)
      if (run !== undefined) {
        run.terminated = true
        if (!run.finishing) this.#terminate(account, requestId)
        await run.done
        if (run.ending !== undefined) return run.ending === 'cancelled' ? 'terminated' : 'ended'
        continue
      }
      const found = await this.#tasks.cancel(account, requestId, this.#clock.now())
      if (found === undefined) return 'unknown'
      if (found === 'waiting') return 'cancelled'
      if (found !== 'running') return 'ended'
      // It was claimed, and is not taken yet.
      await this.#looking
    }
    return 'unknown'
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
    this.#wakeUp?.cancel()
    this.#wakeUp = undefined
    await this.#looking
    const settled = Promise.all([...this.#runs].map(({ done }) => done))
    await Promise.race([settled, this.#graceOver.promise])
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
    const free = this.#parallelRuns - this.#runs.size
    if (free === 0) return
    try {
      const tasks = await this.#tasks.claim(free, this.#clock.now(), this.#leaseMs, this.#share())
      for (const task of tasks) this.#take(task)
      if (tasks.length === free) return
      const dueAtMs = await this.#tasks.nextDueAtMs(this.#share())
      if (dueAtMs !== undefined) this.#wakeAt(dueAtMs)
    } catch (error) {
      this.#emit({ kind: 'queueFailed', operation: 'claim', error })
      this.#lookAgain = false
      this.#wakeAt(this.#clock.now() + QUEUE_RETRY_MS)
    }
  }

  #share(): FunctionShare {
    return { maxRuns: this.#parallelRunsPerFunction }
  }

  /** Looks at `atMs`, or earlier when that was already planned. */
  #wakeAt(atMs: number): void {
    if (this.#mode !== 'delivering') return
    const nowMs = this.#clock.now()
    const sleepMs = Math.min(Math.max(atMs - nowMs, SHORTEST_SLEEP_MS), LONGEST_SLEEP_MS)
    if (this.#wakeUp !== undefined && this.#wakeUp.atMs <= nowMs + sleepMs) return
    this.#wakeUp?.cancel()
    const cancel = this.#clock.after(sleepMs, () => {
      this.#wakeUp = undefined
      this.#look()
    })
    this.#wakeUp = { atMs: nowMs + sleepMs, cancel }
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
    const step = await this.#runOnce(run)
    if (!run.gone) await this.#finish(run, step)
  }

  async #runOnce(run: TaskRun): Promise<NextStep> {
    try {
      const outcome = await this.#invoke(run.request, run)
      if (run.terminated && outcome.kind !== 'returned') return afterTermination(run.task, true)
      return afterRun(run.task, outcome, this.#clock.now())
    } catch (error) {
      if (!(error instanceof EngineError)) this.#emit({ kind: 'engineFaulted', task: run.label, error })
      if (run.terminated) return afterTermination(run.task, false)
      return afterRefusal(run.task, error, this.#clock.now())
    }
  }

  /** Puts the task back as it was, due now. */
  async #giveBack(run: TaskRun): Promise<void> {
    const { attempts, deferrals } = run.task
    const postponement = { dueAtMs: this.#clock.now(), attempts, deferrals }
    const finished = this.#finish(run, { kind: 'postpone', postponement })
    run.abandon()
    await finished
  }

  async #finish(run: TaskRun, step: NextStep): Promise<void> {
    run.finishing = true
    this.#leases.letGo(run)
    const { lease } = run.task
    try {
      const current =
        step.kind === 'settle'
          ? await this.#tasks.settle(lease, step.settlement)
          : await this.#tasks.postpone(lease, step.postponement)
      if (!current) this.#emit({ kind: 'leaseLost', task: run.label })
      else if (step.kind === 'settle') {
        const { ending, lastError } = step.settlement
        run.ending = ending
        this.#emit({
          kind: 'ended',
          task: run.label,
          ending,
          ...(lastError === undefined ? {} : { lastError }),
        })
      } else {
        const { dueAtMs, lastError } = step.postponement
        this.#wakeAt(dueAtMs)
        this.#emit({
          kind: 'postponed',
          task: run.label,
          dueAtMs,
          ...(lastError === undefined ? {} : { lastError }),
        })
      }
    } catch (error) {
      this.#emit({ kind: 'queueFailed', operation: step.kind, error })
    }
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
