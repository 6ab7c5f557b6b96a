import type { FunctionName } from '../../model/function.ts'
import { TASK_ENDINGS, type QueueControl, type TaskEnding } from '../task-queue.ts'

/** What is counted for a function, and for all together. */
export interface QueueCounts {
  accepted: number
  waiting: number
  running: number
  succeeded: number
  failed: number
  expired: number
  cancelled: number
  repeats: number
  refusals: number
  duplicates: number
  liveBytes: number
  keptBytes: number
  forgottenSucceeded: number
  forgottenFailed: number
  forgottenExpired: number
  forgottenCancelled: number
  /** Ever written. */
  deliveries: number
  deliveriesWaiting: number
  delivering: number
  delivered: number
  undeliverable: number
  forgottenUndeliverable: number
  /** Of those waiting and delivering. */
  deliveryBytes: number
  undeliverableBytes: number
}

export type Count = keyof QueueCounts

/** The first task in the line of a function. */
export interface Head {
  readonly sequence: number
  /** While leased: when the lease ends. */
  readonly dueAtMs: number
  readonly acceptedAtMs: number
  readonly isLeased: boolean
}

/** The tasks of one function, as numbers. */
export interface FunctionQueue extends FunctionName {
  readonly counts: QueueCounts
  control: QueueControl
  /** Null: its line is empty. Undefined: not known. */
  head: Head | null | undefined
  /** No lease of its tasks ends before this: epoch milliseconds. */
  leasesUntilMs: number
  /** It was first seen then that the function is deleted and nothing of it is kept: epoch milliseconds. */
  goneSinceMs: number | undefined
}

export const FORGOTTEN = {
  succeeded: 'forgottenSucceeded',
  failed: 'forgottenFailed',
  expired: 'forgottenExpired',
  cancelled: 'forgottenCancelled',
} as const satisfies Record<TaskEnding, Count>

/** Columns of `function_queues`, in the order of their parameters. */
export const COUNT_COLUMNS: readonly (readonly [Count, string])[] = [
  ['accepted', 'accepted'],
  ['waiting', 'waiting'],
  ['running', 'running'],
  ['succeeded', 'succeeded'],
  ['failed', 'failed'],
  ['expired', 'expired'],
  ['cancelled', 'cancelled'],
  ['repeats', 'repeats'],
  ['refusals', 'refusals'],
  ['duplicates', 'duplicates'],
  ['liveBytes', 'live_bytes'],
  ['keptBytes', 'kept_bytes'],
  ['forgottenSucceeded', 'forgotten_succeeded'],
  ['forgottenFailed', 'forgotten_failed'],
  ['forgottenExpired', 'forgotten_expired'],
  ['forgottenCancelled', 'forgotten_cancelled'],
  ['deliveries', 'deliveries'],
  ['deliveriesWaiting', 'deliveries_waiting'],
  ['delivering', 'delivering'],
  ['delivered', 'delivered'],
  ['undeliverable', 'undeliverable'],
  ['forgottenUndeliverable', 'forgotten_undeliverable'],
  ['deliveryBytes', 'delivery_bytes'],
  ['undeliverableBytes', 'undeliverable_bytes'],
]

export function noCounts(): QueueCounts {
  return {
    accepted: 0,
    waiting: 0,
    running: 0,
    succeeded: 0,
    failed: 0,
    expired: 0,
    cancelled: 0,
    repeats: 0,
    refusals: 0,
    duplicates: 0,
    liveBytes: 0,
    keptBytes: 0,
    forgottenSucceeded: 0,
    forgottenFailed: 0,
    forgottenExpired: 0,
    forgottenCancelled: 0,
    deliveries: 0,
    deliveriesWaiting: 0,
    delivering: 0,
    delivered: 0,
    undeliverable: 0,
    forgottenUndeliverable: 0,
    deliveryBytes: 0,
    undeliverableBytes: 0,
  }
}

/** Tasks that have not ended. */
export function liveTasks({ waiting, running }: QueueCounts): number {
  return waiting + running
}

/** Ended tasks that are not forgotten. */
export function keptTasks(counts: QueueCounts, ending: TaskEnding): number {
  return counts[ending] - counts[FORGOTTEN[ending]]
}

/** Deliveries that have not ended. */
export function liveDeliveries({ deliveriesWaiting, delivering }: QueueCounts): number {
  return deliveriesWaiting + delivering
}

/** Undeliverable ones that are not forgotten. */
export function keptDeliveries({ undeliverable, forgottenUndeliverable }: QueueCounts): number {
  return undeliverable - forgottenUndeliverable
}

/** Whether there is nothing of a function but what was counted and set. */
export function isIdle({ counts }: FunctionQueue): boolean {
  const kept = TASK_ENDINGS.reduce((sum, ending) => sum + keptTasks(counts, ending), 0)
  return liveTasks(counts) + kept + liveDeliveries(counts) + keptDeliveries(counts) === 0
}

/** Tasks, and deliveries, that are accounted for in more than one state, or in none. */
export function imbalanceOf(counts: QueueCounts): number {
  const { accepted, succeeded, failed, expired, cancelled, deliveries, delivered, undeliverable } = counts
  return (
    Math.abs(accepted - liveTasks(counts) - succeeded - failed - expired - cancelled) +
    Math.abs(deliveries - liveDeliveries(counts) - delivered - undeliverable)
  )
}

/**
 * Whether `more` fits into a limit on all functions. Over the limit it fits a function that has less than a hundredth of it, up to a
 * tenth more: one that fills it leaves room for others.
 */
export function fits(more: number, own: number, all: number, limit: number): boolean {
  if (all + more <= limit) return true
  return own + more <= Math.floor(limit / 100) && all + more <= limit + Math.floor(limit / 10)
}
