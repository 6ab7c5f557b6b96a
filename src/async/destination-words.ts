import type { InvokeTarget } from '../model/invocation.ts'
import type { Outcome } from '../model/outcome.ts'
import type { ClaimedTask, TaskEnding } from '../store/task-queue.ts'
import type { Submission } from './tasks.ts'

/** A task that has just ended and is told to a destination. */
export interface EndedTask {
  readonly task: ClaimedTask
  readonly ending: Exclude<TaskEnding, 'cancelled'>
  /** Ended runs that counted as attempts. */
  readonly attempts: number
  readonly lastError?: string
  /** What the last run came to; absent when there was none. */
  readonly outcome?: Outcome
  readonly endedAtMs: number
}

/** How a task is treated that an ending makes. */
export interface DestinationSettings extends Pick<
  Submission,
  'policy' | 'keepsDetails' | 'destinations' | 'source'
> {
  /** It is looked for by a `taskId`: as no caller gives one, that is its request id. Default false. */
  readonly hasTaskId?: boolean
}

/** What a dialect knows about destinations: registered under its name, the `dialect` of a `Destination`. */
export interface DestinationWords {
  /** What a destination is told, in the vendor's shape. Must not throw. */
  bodyOf(ended: EndedTask): { readonly body: Buffer; readonly contentType: string }
  /** How a task is treated that a function gets as a destination: as the function's own configuration says. */
  settingsOf(target: InvokeTarget): DestinationSettings
}
