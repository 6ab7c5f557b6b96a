import type { TaskRecord } from '../../store/task-queue.ts'

export type Status = 'RUNNING' | 'FINISHED' | 'ABORTED' | 'FAILED'

export const STATUSES: Readonly<Record<TaskRecord['status'], Status>> = {
  waiting: 'RUNNING',
  running: 'RUNNING',
  succeeded: 'FINISHED',
  failed: 'FAILED',
  expired: 'FAILED',
  cancelled: 'ABORTED',
}

/** The vendor's invocation status of what a failed event ended with; anything else is an exception of the code. */
const FAILURE_CODES: Readonly<Record<string, number>> = {
  timedOut: 433,
  outOfMemory: 434,
  exited: 439,
  signalled: 439,
  'caller/namespace-not-found': 435,
  'caller/function-not-found': 435,
  'caller/version-not-found': 442,
  'caller/alias-not-found': 442,
  'caller/concurrency-exceeded': 432,
  'caller/payload-budget-exceeded': 429,
  'caller/memory-unavailable': 449,
  'platform/no-capacity': 449,
}
const USER_EXCEPTION = 430
const PLATFORM_FAULT = 500
const TERMINATED = 499
export const SUCCESS_CODE = 200

/** The vendor's invocation status code of an event; 0 while it runs. */
export function statusCodeOf({ status, lastError }: Pick<TaskRecord, 'status' | 'lastError'>): number {
  switch (STATUSES[status]) {
    case 'RUNNING':
      return 0
    case 'FINISHED':
      return SUCCESS_CODE
    case 'ABORTED':
      return TERMINATED
    case 'FAILED':
      return failureCodeOf(lastError)
  }
}

/** @param lastError What the event's last try failed with; undefined where there was none. */
export function failureCodeOf(lastError: string | undefined): number {
  const known = lastError === undefined ? undefined : FAILURE_CODES[lastError]
  if (known !== undefined) return known
  const isOurs = lastError === undefined || lastError === 'internal' || lastError.startsWith('platform/')
  return isOurs ? PLATFORM_FAULT : USER_EXCEPTION
}
