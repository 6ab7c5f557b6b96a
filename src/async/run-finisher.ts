import type { NewDelivery } from '../store/outbox.ts'
import { TASK_ENDINGS, type TaskEnding, type TaskLookup, type TaskQueue } from '../store/task-queue.ts'
import type { Clock } from './clock.ts'
import type { DeliveryEvent } from './delivery-event.ts'
import type { EndedTask } from './destination-words.ts'
import type { NextStep } from './retry-policy.ts'
import { Settlements } from './settlements.ts'
import { taskResultOf } from './task-result.ts'
import type { TaskRun } from './task-run.ts'

export interface RunFinisherOptions {
  readonly tasks: Pick<TaskQueue, 'settle' | 'postpone'> & Pick<TaskLookup, 'find'>
  readonly clock: Clock
  /** What is told of an ending, if anybody is to be told; asked just before the ending is written, and written with it. */
  readonly tell: (ended: EndedTask) => NewDelivery | undefined
  /** An ending was written together with its telling. */
  readonly told: () => void
  /** A task was put back. */
  readonly onPostponed: (dueAtMs: number) => void
  readonly emit: (event: DeliveryEvent) => void
}

/** Writes what becomes of a run: that its task ended, with what is kept and told of that, or that it is put back. */
export class RunFinisher {
  readonly #options: RunFinisherOptions
  readonly #settlements: Settlements
  #droppedResults = 0

  constructor(options: RunFinisherOptions) {
    this.#options = options
    this.#settlements = new Settlements({
      clock: options.clock,
      onFull: (error) => options.emit({ kind: 'queueFailed', operation: 'settle', error }),
    })
  }

  /** Results that came when the lease of their run was not current any more. */
  get droppedResults(): number {
    return this.#droppedResults
  }

  /** Results that wait for room on the disk. */
  get unwritten(): number {
    return this.#settlements.unwritten
  }

  /** Tries once more what waits for room, and then no more. */
  giveUp(): void {
    this.#settlements.giveUp()
  }

  /** The lease of the run was lost before it came to this. */
  drop(step: NextStep): void {
    if (step.kind === 'settle') this.#droppedResults += 1
  }

  /** Resolves when it is written, or cannot be; never rejects. */
  async finish(run: TaskRun, next: NextStep): Promise<void> {
    const { tasks, emit } = this.#options
    const step = this.#withTelling(run, next)
    const { lease } = run.task
    try {
      const current = await this.#settlements.write(() =>
        step.kind === 'settle'
          ? tasks.settle(lease, step.settlement)
          : tasks.postpone(lease, step.postponement),
      )
      if (current) this.#tellFinished(run, await this.#asStored(run, step))
      else {
        this.#droppedResults += 1
        emit({ kind: 'leaseLost', task: run.label })
      }
    } catch (error) {
      emit({ kind: 'queueFailed', operation: step.kind, error })
    }
  }

  /**
   * What is on disk now. A stop that is there before the step makes another end of it: a failure, or putting the task back, comes to
   * `cancelled`, and nobody is told.
   */
  async #asStored(run: TaskRun, step: NextStep): Promise<NextStep> {
    if (run.stopped === undefined) return step
    const ending = await this.#endingOf(run)
    if (ending === undefined || (step.kind === 'settle' && step.settlement.ending === ending)) return step
    const { attempts, lastError } = step.kind === 'settle' ? step.settlement : step.postponement
    return { kind: 'settle', settlement: { ending, attempts, ...explained(lastError) } }
  }

  /** Undefined when it has not ended, or cannot be read. */
  async #endingOf({ task: { account, requestId } }: TaskRun): Promise<TaskEnding | undefined> {
    try {
      const stored = await this.#options.tasks.find(account, requestId)
      return TASK_ENDINGS.find((ending) => ending === stored?.status)
    } catch {
      return undefined
    }
  }

  #tellFinished(run: TaskRun, step: NextStep): void {
    const { told, onPostponed, emit } = this.#options
    if (step.kind === 'settle') {
      const { ending, lastError, delivery } = step.settlement
      run.ending = ending
      if (delivery !== undefined) told()
      emit({ kind: 'ended', task: run.label, ending, ...explained(lastError) })
    } else {
      const { dueAtMs, lastError } = step.postponement
      onPostponed(dueAtMs)
      emit({ kind: 'postponed', task: run.label, dueAtMs, ...explained(lastError) })
    }
  }

  /** Adds to an ending what is kept of the run, and what is told of it. */
  #withTelling(run: TaskRun, step: NextStep): NextStep {
    if (step.kind !== 'settle') return step
    const { task, outcome } = run
    const { ending, attempts, lastError } = step.settlement
    const isKept = task.keepsDetails === true || ending === 'failed' || ending === 'expired'
    const result = isKept && outcome !== undefined ? taskResultOf(outcome) : undefined
    const delivery =
      ending === 'cancelled'
        ? undefined
        : this.#tellingOf({
            task,
            ending,
            attempts,
            endedAtMs: this.#options.clock.now(),
            ...explained(lastError),
            ...(outcome === undefined ? {} : { outcome }),
          })
    const settlement = {
      ...step.settlement,
      ...(result === undefined ? {} : { result }),
      ...(delivery === undefined ? {} : { delivery }),
    }
    return { kind: 'settle', settlement }
  }

  #tellingOf(ended: EndedTask): NewDelivery | undefined {
    const { tell, emit } = this.#options
    try {
      return tell(ended)
    } catch (error) {
      const { payload: _payload, ...label } = ended.task
      emit({ kind: 'tellingFailed', task: label, error })
      return undefined
    }
  }
}

function explained(lastError: string | undefined): { readonly lastError?: string } {
  return lastError === undefined ? {} : { lastError }
}
