import type { FunctionName } from '../model/function.ts'

/** An asynchronous call waiting for its run. Times are whole epoch milliseconds. */
export interface NewTask {
  /** The request id: the same over all attempts. */
  readonly requestId: string
  readonly account: string
  readonly namespace: string
  readonly functionName: string
  /** As the caller named it; undefined means the latest state. */
  readonly qualifier?: string
  /** Given by the caller to find the task again; unique per function while the task is kept. */
  readonly taskId?: string
  /** Must not be changed before `enqueue` has resolved. */
  readonly payload: Buffer
  readonly acceptedAtMs: number
  /** Earliest run. */
  readonly dueAtMs: number
  readonly maxRetries: number
  /** Waits between a failed run and its repeat. Default: {@link DEFAULT_BACKOFF}. */
  readonly backoff?: Backoff
  /** Moment after which it is not run any more. */
  readonly expiresAtMs: number
}

/** The wait before the first repeat, which doubles with each further one up to the longest. Whole milliseconds. */
export interface Backoff {
  readonly firstMs: number
  readonly longestMs: number
}

/** The vendors publish no figure for most APIs. */
export const DEFAULT_BACKOFF: Backoff = { firstMs: 1000, longestMs: 60_000 }

/** A task that this server may run until its lease ends. */
export interface ClaimedTask extends NewTask {
  /** Row number in the queue. */
  readonly sequence: number
  /** Only the holder of the current lease may renew, postpone or settle. Unique per claim. */
  readonly lease: string
  /** Ended runs that counted as attempts. */
  readonly attempts: number
  /** Refusals (throttling, platform faults) since the last attempt; they do not count as attempts. */
  readonly deferrals: number
  /** Claims that were neither postponed nor settled: the server died, or its lease ended, during the run. */
  readonly lostRuns: number
}

/** Why a task did not succeed, for those who look at it later: an error type or an error code, no message. */
interface Explained {
  /** At most {@link LAST_ERROR_CHARACTERS} characters; the rest is cut off. */
  readonly lastError?: string
}

/** Kept of the reason of a task's last failure. */
export const LAST_ERROR_CHARACTERS = 256

/** What a task that is put back continues with. */
export interface Postponement extends Explained {
  readonly dueAtMs: number
  readonly attempts: number
  readonly deferrals: number
}

export type TaskEnding = 'succeeded' | 'failed' | 'expired' | 'cancelled'

/** How a task ended. */
export interface Settlement extends Explained {
  readonly ending: TaskEnding
  /** Ended runs that counted as attempts, the last one included. */
  readonly attempts: number
}

/** How much of what a queue hands out one function may have, so that the tasks of one do not keep others waiting. */
export interface FunctionShare {
  /** Tasks of one function that run at a time, 1 or more. */
  readonly maxRuns: number
  /** The functions that run some now, each once; the others run none. */
  readonly running: readonly RunningFunction[]
}

export interface RunningFunction extends FunctionName {
  readonly runs: number
}

/**
 * Asynchronous calls: accepted means committed.
 *
 * A lease is current until it is postponed or settled or its task is claimed again. A lease whose time is over stays
 * current as long as nobody else claims the task, so a late holder loses nothing when nobody was faster.
 */
export interface TaskQueue {
  /**
   * Resolves once the task is durable; concurrent calls share one commit.
   *
   * @throws {EngineError} `caller/task-exists`, `caller/queue-full`, `platform/store-failed`
   */
  enqueue(task: NewTask): Promise<void>
  /**
   * Takes up to `limit` due tasks, oldest due first, for `leaseMs`. Tasks whose lease has ended are due again.
   *
   * @param share Tasks of functions that have their share are passed over, and taken by a later claim.
   */
  claim(limit: number, nowMs: number, leaseMs: number, share?: FunctionShare): Promise<readonly ClaimedTask[]>
  /** Whether each lease was still current and now lasts until `untilMs`. */
  renew(leases: readonly string[], untilMs: number): Promise<readonly boolean[]>
  /** Puts a task back; false when the lease was no longer current. */
  postpone(lease: string, next: Postponement): Promise<boolean>
  /** Ends a task; false when the lease was no longer current. */
  settle(lease: string, settlement: Settlement): Promise<boolean>
  /**
   * When the next task is due (for a leased one: when its lease ends), or undefined when there is none.
   *
   * @param share Tasks of functions that have their share are not looked at.
   */
  nextDueAtMs(share?: FunctionShare): Promise<number | undefined>
}

/** A task as it is now, for those who look at it. Ended ones are kept for seven days. */
export interface TaskRecord extends Explained {
  readonly requestId: string
  readonly account: string
  readonly namespace: string
  readonly functionName: string
  readonly qualifier?: string
  readonly taskId?: string
  readonly status: 'waiting' | 'running' | TaskEnding
  readonly acceptedAtMs: number
  /** Its first run began. */
  readonly startedAtMs?: number
  readonly endedAtMs?: number
  readonly attempts: number
  readonly maxRetries: number
}

/** Which tasks of an account are wanted; absent members exclude nothing. Ranges are half-open: from ≤ t < to. */
export interface TaskFilter {
  readonly account: string
  readonly namespace?: string
  readonly functionName?: string
  readonly qualifier?: string
  readonly requestIds?: readonly string[]
  readonly statuses?: readonly TaskRecord['status'][]
  readonly acceptedFromMs?: number
  readonly acceptedToMs?: number
  readonly endedFromMs?: number
  readonly endedToMs?: number
  /** By `acceptedAtMs` or `endedAtMs`. Default: accepted. */
  readonly orderBy?: 'accepted' | 'ended'
  /** Default: newest first. */
  readonly order?: 'newest' | 'oldest'
  /** Tasks left out at the front. Default 0. */
  readonly offset?: number
  /** 1 … 1000. */
  readonly limit: number
}

/** Looks at tasks, without leases. */
export interface TaskLookup {
  find(account: string, requestId: string): Promise<TaskRecord | undefined>
  /** `total`: how many the filter fits, beyond the page. */
  list(filter: TaskFilter): Promise<{ readonly tasks: readonly TaskRecord[]; readonly total: number }>
  /**
   * Ends a task that waits; it never runs (again). One that runs is left alone.
   *
   * @returns What it was found to be; `waiting` means: it is cancelled now. Undefined when there is none.
   */
  cancel(account: string, requestId: string, nowMs: number): Promise<TaskRecord['status'] | undefined>
}
