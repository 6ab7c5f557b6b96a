import type { DeliveryRecord, Redelivered } from '../store/outbox.ts'
import type {
  QueueControl,
  QueueCounters,
  Redriven,
  TaskDetails,
  TaskRecord,
  TaskResult,
  TaskRun,
} from '../store/task-queue.ts'

export type { Redelivered } from '../store/outbox.ts'
export type { QueueAudit, Redriven } from '../store/task-queue.ts'

/**
 * What the door answers: JSON, described in `docs/operating-queues.md`. Times are epoch milliseconds (`…AtMs`) on the time line of the
 * queue, lengths of time milliseconds (`…Ms`).
 */

/** A page of a list. */
export interface Page<Item> {
  readonly items: readonly Item[]
  /** For the parameter `after`; absent on the last page. */
  readonly next?: string
}

/** The queue of one function. */
export interface QueueView extends Omit<QueueCounters, 'next' | 'control'> {
  readonly isPaused: boolean
  /** In force: tasks of the function that run at a time, and those that may wait and run. */
  readonly maxRuns: number
  readonly maxTasks: number
  /** What of them was set for this function; the rest is the server's. */
  readonly set: Pick<QueueControl, 'maxRuns' | 'maxTasks'>
  /** When this was so. */
  readonly nowMs: number
  /** `accepted` less all that waits, runs and has ended: 0. */
  readonly imbalance: number
  /** Of those that wait, the one that has been due longest; absent when none waits. */
  readonly oldest?: {
    readonly acceptedAtMs: number
    readonly dueAtMs: number
    /** Since it was accepted. */
    readonly ageMs: number
    /** Since it was due; 0 when it is not due yet. */
    readonly overdueMs: number
  }
}

/** Bytes: as text where they are UTF-8. */
export type Content = { readonly text: string } | { readonly base64: string }

/** A call, as lists show it. */
export type TaskView = Omit<TaskRecord, 'payload'>

/** A call with what is kept of it. */
export interface TaskDetailsView extends TaskView, Pick<TaskDetails, 'telling' | 'destinations'> {
  /** The telling of its end, while that is not delivered. */
  readonly delivery?: DeliveryView
  readonly history: readonly TaskRun[]
  readonly result?: Omit<TaskResult, 'payload' | 'logTail'> & {
    readonly payload: Content
    /** What is no UTF-8 in it is replaced. */
    readonly logTail: string
  }
  /** Where it was asked for and is kept. */
  readonly event?: Content
}

/** The telling of an ending. */
export interface DeliveryView extends Omit<DeliveryRecord, 'body'> {
  /** What would have been told, where it was asked for. */
  readonly body?: Content
}

export interface TaskPageView extends Page<TaskView> {
  readonly total: number
}

export interface Purged {
  readonly purged: number
  /** What waits still: more may have come. */
  readonly waiting: number
}

export interface RedrivenPage {
  readonly redriven: readonly Redriven[]
}

export interface RedeliveredPage {
  readonly redelivered: readonly Redelivered[]
  /** There is no room for the next. */
  readonly isFull: boolean
}

export interface WebhookSecret {
  readonly account: string
  /** `whsec_` and base64, as libraries of Standard Webhooks take it. */
  readonly secret: string
}
