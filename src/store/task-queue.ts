import type { FunctionName } from '../model/function.ts'
import type { Destinations, NewDelivery } from './outbox.ts'

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
  /** Repeats after a failed run, 0 or more. */
  readonly maxRetries: number
  /** Waits between a failed run and its repeat. Default: {@link DEFAULT_BACKOFF}. */
  readonly backoff?: Backoff
  /** Waits after the engine refused it. Default: {@link DEFAULT_REFUSALS}. */
  readonly refusals?: Refusals
  /** Moment after which it is not run any more. */
  readonly expiresAtMs: number
  /** Keep its event, result and log tail also when it succeeds or is cancelled. Default false. */
  readonly keepsDetails?: boolean
  /** Who is told when it ends. Default: nobody. */
  readonly destinations?: Destinations
  /** How it came in, in a word of the API it came through; at most 64 characters. */
  readonly source?: string
  /** Request id of the task whose ending, or whose failure, made this one. */
  readonly causedBy?: string
  /** Deliveries to destinations that led to it, one caused by the other. Default 0. */
  readonly depth?: number
  /** A task of this account with this request id that is known already is left as it is, and none is added. Default false. */
  readonly once?: boolean
}

/** The wait before the first repeat, which doubles with each further one up to the longest. Whole milliseconds, 1 or more. */
export interface Backoff {
  readonly firstMs: number
  readonly longestMs: number
}

/** Waits after refusals in a row: throttling and faults of ours, which do not count as attempts. Whole milliseconds. */
export interface Refusals extends Backoff {
  /** The task fails once the waits in a row sum up to more than this. */
  readonly forMs: number
}

/** The vendors publish no figure for most APIs. */
export const DEFAULT_BACKOFF: Backoff = { firstMs: 1000, longestMs: 60_000 }

/**
 * 0.5, 1, 2, 4, 8 … s, and no longer than a minute: free capacity is found soon.
 * Source: Alibaba Cloud Function Compute, "Asynchronous invocation", retry policy; it gives up after 5 hours.
 */
export const DEFAULT_REFUSALS: Refusals = { firstMs: 500, longestMs: 60_000, forMs: 5 * 3_600_000 }

/** A task that this server may run until its lease ends. */
export interface ClaimedTask extends Omit<NewTask, 'once'> {
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
  /** Why it is put back, for its history. Default: `refused` when `deferrals` is not 0, else `failed`. */
  readonly how?: TaskRun['how']
}

export type TaskEnding = 'succeeded' | 'failed' | 'expired' | 'cancelled'

export const TASK_ENDINGS: readonly TaskEnding[] = ['succeeded', 'failed', 'expired', 'cancelled']

/** How a task ended. */
export interface Settlement extends Explained {
  readonly ending: TaskEnding
  /** Ended runs that counted as attempts, the last one included. */
  readonly attempts: number
  /** What the last run came to; absent when there was none. Kept as the task's {@link NewTask.keepsDetails} says. */
  readonly result?: TaskResult
  /** Written in the same transaction. */
  readonly delivery?: NewDelivery
}

/** Kept of a result or an error, bytes. */
export const RESULT_BYTES = 128 * 1024

/** What the last run of a task came to. */
export interface TaskResult {
  /** What the function answered, or the body of its error; at most {@link RESULT_BYTES}. */
  readonly payload: Buffer
  /** There was more than is kept. */
  readonly isCut: boolean
  /** The end of its log, at most `LOG_TAIL_BYTES` of `model/outcome.ts`. */
  readonly logTail: Buffer
  /** How the run ended: a kind of `Ending` of `model/outcome.ts`. */
  readonly kind: string
  /** Milliseconds, fractions kept. */
  readonly durationMs: number
  readonly billedDurationMs: number
  readonly maxMemoryBytes: number
  readonly instanceId: string
  /** The version that ran. */
  readonly version: string
}

/** A run that is over and was not the last: the task was put back. */
export interface TaskRun {
  readonly startedAtMs: number
  readonly endedAtMs: number
  /** `interrupted`: the server shut down. `lost`: the server died, or the lease ended. */
  readonly how: 'failed' | 'refused' | 'interrupted' | 'lost'
  readonly reason?: string
  /** Refusals in a row are one entry: how many. Default 1. */
  readonly count?: number
}

/** Runs in the history of one task: the first and the latest are kept. */
export const HISTORY_RUNS = 32

/** How much of what a queue hands out one function may have, so that the tasks of one do not keep others waiting. */
export interface FunctionShare {
  /** Tasks of one function that run at a time, 1 or more, where nothing else is set for it. */
  readonly maxRuns: number
  /** Tasks beyond `limit` for functions that run none, one each. Default 0. */
  readonly firstRuns?: number
  /** Only functions that run nothing. Default false. */
  readonly idleOnly?: boolean
}

/**
 * Asynchronous calls: accepted means committed.
 *
 * A lease is current until it is postponed or settled or its task is claimed again. A lease whose time is over stays
 * current as long as nobody else claims the task, so a late holder loses nothing when nobody was faster.
 *
 * Any operation may throw `platform/store-failed` or `platform/store-full`; nothing was changed then.
 */
export interface TaskQueue {
  /**
   * Resolves once the task is durable; concurrent calls share one commit.
   *
   * @throws {EngineError} `caller/task-exists`, `caller/queue-full`
   */
  enqueue(task: NewTask): Promise<void>
  /**
   * Takes up to `limit` due tasks for `leaseMs`: each from the function that runs the fewest, of those the one whose task has
   * been due longest; of a function the oldest due first. Tasks whose lease has ended are due again.
   *
   * @param nowMs On a time line that never goes back while this process lives.
   * @param leaseMs 1 or more: a task whose lease has ended may be handed out again by the same claim.
   * @param share Tasks of functions that have their share are passed over, and taken by a later claim; so are those of paused ones.
   */
  claim(limit: number, nowMs: number, leaseMs: number, share?: FunctionShare): Promise<readonly ClaimedTask[]>
  /** Whether each lease was still current and now lasts until `untilMs`. */
  renew(leases: readonly string[], untilMs: number): Promise<readonly boolean[]>
  /** Puts a task back, or ends it as cancelled when its stop was requested; false when the lease was no longer current. */
  postpone(lease: string, next: Postponement): Promise<boolean>
  /** Ends a task; false when the lease was no longer current. */
  settle(lease: string, settlement: Settlement): Promise<boolean>
  /**
   * When the next task is due (for a leased one: when its lease ends), or undefined when there is none.
   *
   * @param share Of functions that have their share only the ends of leases are looked at, of paused ones nothing.
   */
  nextDueAtMs(share?: FunctionShare): Promise<number | undefined>
}

/** A task as it is now, for those who look at it. Ended ones are kept for the retention time. */
export interface TaskRecord extends Explained {
  readonly requestId: string
  readonly account: string
  readonly namespace: string
  readonly functionName: string
  readonly qualifier?: string
  readonly taskId?: string
  readonly status: 'waiting' | 'running' | TaskEnding
  readonly acceptedAtMs: number
  /** When it is due, while it waits. */
  readonly dueAtMs?: number
  /** Its first run began. */
  readonly startedAtMs?: number
  /** Its latest run began. */
  readonly claimedAtMs?: number
  readonly endedAtMs?: number
  /** Its end was asked for while it ran. */
  readonly stopRequestedAtMs?: number
  readonly attempts: number
  readonly maxRetries: number
  /** Runs that were lost; the next run of each was a duplicate. */
  readonly lostRuns: number
  /** As it was submitted. */
  readonly source?: string
  readonly causedBy?: string
  /** Its event: where it was asked for and is kept. */
  readonly payload?: Buffer
}

/** A task with everything that is kept of it. */
export interface TaskDetails extends TaskRecord {
  readonly result?: TaskResult
  /** The runs after which it was put back, oldest first. */
  readonly history: readonly TaskRun[]
  /**
   * What became of the telling of its end; absent when it has not ended, or nobody is told. Only what is not delivered is kept: one that
   * was given up and is forgotten since reads as delivered.
   */
  readonly telling?: 'waiting' | 'delivered' | 'undeliverable'
  /** Who is told of its end, as it was submitted. */
  readonly destinations?: Destinations
}

/**
 * Which tasks of an account are wanted; absent members exclude nothing. Ranges are half-open: from ≤ t < to. With a function's name a list
 * costs some milliseconds, however many tasks the function has; without, all tasks are walked: for tests and for diagnosis.
 */
export interface TaskFilter {
  readonly account: string
  readonly namespace?: string
  readonly functionName?: string
  /** `LATEST`: of the latest state, by whatever name; without a qualifier, too. */
  readonly qualifier?: string
  readonly requestIds?: readonly string[]
  readonly statuses?: readonly TaskRecord['status'][]
  /**
   * Of the cancelled ones only those whose run failed by itself in the time that its stop gave it (`failed`: with another
   * {@link TaskRecord.lastError} than `terminated`), or only the others (`stopped`).
   */
  readonly cancelledAs?: 'failed' | 'stopped'
  /** Whether a run of it has failed already. */
  readonly isRepeat?: boolean
  /** Those that came in so: exactly this {@link NewTask.source}. */
  readonly source?: string
  /** Those with an id of their own that begins so; the empty text for all of them. */
  readonly taskIdPrefix?: string
  readonly acceptedFromMs?: number
  readonly acceptedToMs?: number
  readonly startedFromMs?: number
  readonly startedToMs?: number
  readonly endedFromMs?: number
  readonly endedToMs?: number
  /** By `acceptedAtMs` or `endedAtMs`. Default: accepted. */
  readonly orderBy?: 'accepted' | 'ended'
  /** Default: newest first. */
  readonly order?: 'newest' | 'oldest'
  /** Continues after the page whose `next` this is, in the same order; what was added or changed meanwhile moves nothing. */
  readonly after?: string
  /** Tasks that fit and are left out at the front, 0 … 1 000 000; costs time. Default 0. */
  readonly offset?: number
  /** 1 … 1000. */
  readonly limit: number
  /**
   * Default false. True: it is looked on until the page is full and all that fit are counted, in as many looks as that takes, between which
   * others go first. With a million tasks that are in the way that is seconds.
   */
  readonly isExhaustive?: boolean
  /** Default false. A page ends early rather than to hold more than {@link PAGE_BYTES} of events; it holds one task at least. */
  readonly withPayload?: boolean
}

/**
 * A page of tasks. It may be short, even empty, and have a `next`: where an index does not lead to what fits, a page looks at
 * {@link LOOKED_AT_TASKS} tasks, a few times, and ends.
 */
export interface TaskPage {
  readonly tasks: readonly TaskRecord[]
  /**
   * How many the filter fits, beyond the page. Where it asks for more than a function and statuses: of the first
   * {@link LOOKED_AT_TASKS} that are looked at, unless {@link TaskFilter.isExhaustive}, and no fewer than the pages up to this one have.
   */
  readonly total: number
  /** For {@link TaskFilter.after}; absent on the last page. */
  readonly next?: string
}

/** Events, or messages, in one page of a list: what is asked for is held in memory whole. */
export const PAGE_BYTES = 16 * 1024 * 1024

/** Tasks that are looked at in one go, for a page or its total: more would keep others waiting. */
export const LOOKED_AT_TASKS = 10_000

/** Looks at tasks, without leases. */
export interface TaskLookup {
  /** The latest with this request id. */
  find(account: string, requestId: string): Promise<TaskRecord | undefined>
  details(account: string, requestId: string): Promise<TaskDetails | undefined>
  /** By the id of its own. */
  detailsOf(owner: FunctionName, taskId: string): Promise<TaskDetails | undefined>
  list(filter: TaskFilter): Promise<TaskPage>
  /**
   * Ends a task that waits; it never runs (again). One that runs is left alone.
   *
   * @returns What it was found to be; `waiting` means: it is cancelled now. Undefined when there is none.
   */
  cancel(account: string, requestId: string, nowMs: number): Promise<TaskRecord['status'] | undefined>
  /** As {@link TaskLookup.cancel}; one that runs is marked, so that it is never put back: durable when this resolves. */
  requestStop(account: string, requestId: string, nowMs: number): Promise<TaskRecord['status'] | undefined>
}

/** What happened to the tasks of a function, counted in the transactions of what happened. */
export interface QueueCounters extends FunctionName {
  readonly accepted: number
  readonly waiting: number
  readonly running: number
  readonly succeeded: number
  readonly failed: number
  readonly expired: number
  readonly cancelled: number
  /** Failed runs after which another one was to follow. */
  readonly repeats: number
  /** Runs that the engine refused. */
  readonly refusals: number
  /** Runs that may have repeated one that was under way: its server died or shut down, or its lease ended. */
  readonly duplicates: number
  /** Bytes of the events of waiting and running tasks. */
  readonly liveBytes: number
  /** Tellings of their endings; absent before the first. Those that were delivered, or were not, are counted for ever. */
  readonly deliveries?: {
    readonly waiting: number
    readonly delivering: number
    readonly delivered: number
    readonly undeliverable: number
  }
  /** Of the tasks that wait the one that is due first; absent when none waits. */
  readonly next?: { readonly acceptedAtMs: number; readonly dueAtMs: number }
  readonly control: QueueControl
}

/** What an administrator set for the queue of a function. */
export interface QueueControl {
  /** Takes tasks in and runs none. Default false. */
  readonly isPaused: boolean
  /** Instead of the server's, 1 or more. */
  readonly maxRuns?: number
  /** Waiting and running tasks; instead of the server's, 0 or more. */
  readonly maxTasks?: number
}

/** Looks after queues. */
export interface TaskOperations {
  /**
   * Those of functions that had tasks, in the order of their names. A function that is deleted for the retention time, and of which nothing
   * is kept, is forgotten, with what was set for it.
   *
   * @param of `withForgotten`: before them what forgotten functions of the account counted, if any, under an empty namespace and name;
   *   so sums over all never go down. Default false.
   */
  counters(
    of: { readonly account: string; readonly withForgotten?: boolean } & Partial<FunctionName>,
  ): Promise<readonly QueueCounters[]>
  /** Sets the members that are given; null unsets. */
  control(owner: FunctionName, change: ControlChange): Promise<QueueControl>
  /** Cancels up to `limit` (1 … 1000) waiting tasks of a function, the oldest due first. @returns How many. */
  purgeWaiting(owner: FunctionName, limit: number): Promise<number>
  /**
   * Accepts failed and expired tasks of a function anew, the oldest first, each once. Ends early rather than to take more than
   * {@link PAGE_BYTES} of events; it takes one at least.
   *
   * @param limit 1 … 1000
   * @param which Default: all of them.
   * @throws {EngineError} `caller/queue-full`: none was accepted
   */
  redrive(owner: FunctionName, limit: number, which?: RedriveFilter): Promise<readonly Redriven[]>
  /** Compares the counters with the tasks themselves. Walks over all of them: for tests and for diagnosis. */
  audit(): Promise<QueueAudit>
  /** The latest moment that the queue has seen, epoch milliseconds; 0 when there is none. */
  latestMs(): Promise<number>
}

export interface ControlChange {
  readonly isPaused?: boolean
  readonly maxRuns?: number | null
  readonly maxTasks?: number | null
}

/** Which failed and expired tasks are accepted anew; absent members exclude nothing. The range is half-open: from ≤ t < to. */
export interface RedriveFilter {
  readonly requestIds?: readonly string[]
  readonly endedFromMs?: number
  readonly endedToMs?: number
}

/** A task that was accepted anew. */
export interface Redriven {
  readonly requestId: string
  /** Of the task that failed. */
  readonly causedBy: string
  /** When that one ended: where a next step may begin. */
  readonly endedAtMs: number
}

/** All members are 0 when the queue is sound. */
export interface QueueAudit {
  /** Sum over all functions of |accepted − waiting − running − ended|, and the same of their deliveries. */
  readonly imbalance: number
  /** Sum over all functions and states of |counted − there|, and what is held in memory of queues and deliveries that is not as on disk. */
  readonly miscounted: number
  /** Events without a task that needs them, and tasks without their event. */
  readonly strayPayloads: number
}
