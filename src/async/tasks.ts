import type { FunctionName } from '../model/function.ts'
import type { InvokeTarget } from '../model/invocation.ts'
import type { Payload } from '../model/payload.ts'
import type { Destinations } from '../store/outbox.ts'
import type {
  Backoff,
  Refusals,
  TaskDetails,
  TaskFilter,
  TaskOperations,
  TaskPage,
  TaskRecord,
} from '../store/task-queue.ts'

/** An asynchronous call as a dialect hands it over. */
export interface Submission {
  readonly target: InvokeTarget
  /** Unique in the account; made by the dialect. */
  readonly requestId: string
  /** The caller's own, already checked against the API's grammar. Default: none. */
  readonly taskId?: string
  readonly payload: Payload
  /** Milliseconds until the first run may begin, 0 or more. Default 0. */
  readonly delayMs?: number
  readonly policy: RetryPolicy
  /** Keep its event, result and log tail also when it succeeds or is cancelled. Default false. */
  readonly keepsDetails?: boolean
  readonly destinations?: Destinations
  /** How it came in, in a word of the API; at most 64 characters. */
  readonly source?: string
  /** For a task that the ending of another one made. */
  readonly causedBy?: string
  readonly depth?: number
  readonly once?: boolean
}

/** How failures of a task are answered. */
export interface RetryPolicy {
  /** Repeats after a failed run, 0 or more. */
  readonly maxRetries: number
  /** Age at which it is given up, milliseconds since its acceptance, 1 or more. */
  readonly maxAgeMs: number
  /** Default: `DEFAULT_BACKOFF` of `store/task-queue.ts`. */
  readonly backoff?: Backoff
  /** Default: `DEFAULT_REFUSALS` of `store/task-queue.ts`. */
  readonly refusals?: Refusals
}

/** A task that is on disk. */
export interface Accepted {
  readonly requestId: string
  readonly taskId?: string
  readonly acceptedAtMs: number
}

/**
 * What became of a task that was to end. `terminated`: its run was ended; `cancelled`: it waited, and never runs (again);
 * `ended`: it had come to its end before, or came to it meanwhile; `unknown`: there is none.
 */
export type Termination = 'terminated' | 'cancelled' | 'ended' | 'unknown'

/** Asynchronous calls as dialects and administrators see them. Accounts never see each other's. */
export interface Tasks extends TaskOperations {
  /**
   * Resolves once the call is on disk. Whether the target exists is the dialect's to check, in its words.
   *
   * @throws {EngineError} `caller/task-exists`, `caller/queue-full`, `platform/store-full`, `platform/store-failed`
   */
  submit(submission: Submission): Promise<Accepted>
  /** Without what is large. */
  find(account: string, requestId: string): Promise<TaskRecord | undefined>
  /** With event, result, log tail and history, as far as they are kept. */
  details(account: string, requestId: string): Promise<TaskDetails | undefined>
  /** The same, by the caller's own id. */
  detailsOf(owner: FunctionName, taskId: string): Promise<TaskDetails | undefined>
  list(filter: TaskFilter): Promise<TaskPage>
  /**
   * Ends a task, whether it waits or runs; it is never repeated. Resolves once it has ended, and that is durable.
   *
   * @param graceMs How long a run may go on after it was told to end, before its process is killed. Default 0.
   */
  terminate(account: string, requestId: string, graceMs?: number): Promise<Termination>
  /** The time of the queue, epoch milliseconds: all times of tasks are on this line. */
  nowMs(): number
}
