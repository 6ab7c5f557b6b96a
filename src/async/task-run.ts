import type { Caller, InvokeRequest } from '../model/invocation.ts'
import type { Outcome } from '../model/outcome.ts'
import { payloadOf } from '../model/payload.ts'
import type { ClaimedTask, TaskEnding } from '../store/task-queue.ts'
import type { TaskLabel } from './delivery-event.ts'

/** A run is to end. */
export interface Stop {
  /** How long it may go on, and end by itself, milliseconds. */
  readonly graceMs: number
}

/** One run of a claimed task, and the caller that the engine sees behind it. */
export class TaskRun implements Caller {
  readonly task: ClaimedTask
  readonly label: TaskLabel
  /** Nobody waits for the result any more: the lease is lost or given back. */
  gone = false
  onGone: (() => void) | undefined
  #stopped: Stop | undefined
  /** How its task ended, once the queue knows it; undefined also for one that was put back. */
  ending: TaskEnding | undefined
  /** The engine was asked to run it. */
  hasBegun = false
  /** What the run came to; undefined also when the engine refused it. */
  outcome: Outcome | undefined
  /** The queue has been asked to settle or postpone the task; its lease is not renewed any more. */
  finishing = false
  /** Resolves when the run has ended and the queue knows it; set by who runs it. Never rejects. */
  done: Promise<void> = Promise.resolve()

  constructor(task: ClaimedTask) {
    const { payload: _payload, ...label } = task
    this.task = task
    this.label = label
  }

  get request(): InvokeRequest {
    const { account, namespace, functionName, qualifier, requestId, payload, attempts } = this.task
    const target = { account, namespace, name: functionName }
    return {
      target: qualifier === undefined ? target : { ...target, qualifier },
      requestId,
      payload: payloadOf(payload),
      retryCount: attempts,
    }
  }

  /** How it is to be ended, once somebody asked for that: no other run follows. */
  get stopped(): Stop | undefined {
    return this.#stopped
  }

  /** Somebody asks for it to be ended; asked again, the shorter time holds. */
  stop(graceMs: number): void {
    this.#stopped = { graceMs: Math.min(graceMs, this.#stopped?.graceMs ?? graceMs) }
  }

  /** Tells the engine that nobody waits for the result; once. */
  abandon(): void {
    if (this.gone) return
    this.gone = true
    this.onGone?.()
  }
}
