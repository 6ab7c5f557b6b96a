import type { TaskFilter, TaskRecord } from '../../store/task-queue.ts'

/** The words of the API, and the states behind them. */
export const STATES = {
  RUNNING: ['waiting', 'running'],
  FINISHED: ['succeeded'],
  ABORTED: ['cancelled'],
  FAILED: ['failed', 'expired', 'cancelled'],
} as const satisfies Readonly<Record<string, readonly TaskRecord['status'][]>>

export type Status = keyof typeof STATES

/** Those that {@link statusOf} says one of these of. */
export function filterOf(statuses: readonly Status[]): Pick<TaskFilter, 'statuses' | 'cancelledAs'> {
  const hasFailed = statuses.includes('FAILED')
  return {
    statuses: [...new Set(statuses.flatMap((one) => STATES[one]))],
    ...(hasFailed === statuses.includes('ABORTED') ? {} : { cancelledAs: hasFailed ? 'failed' : 'stopped' }),
  }
}

type Ended = Pick<TaskRecord, 'status' | 'lastError' | 'stopRequestedAtMs'>

/** A run that was given time to end and failed in it has failed: the one that was ended is aborted. Source: the vendor's page. */
export function statusOf({ status, lastError, stopRequestedAtMs }: Ended): Status {
  switch (status) {
    case 'waiting':
    case 'running':
      return 'RUNNING'
    case 'succeeded':
      return 'FINISHED'
    case 'cancelled': {
      const hasFailed = stopRequestedAtMs !== undefined && (lastError ?? STOPPED) !== STOPPED
      return hasFailed ? 'FAILED' : 'ABORTED'
    }
    case 'failed':
    case 'expired':
      return 'FAILED'
  }
}

/** The reason of the end of a task whose run was ended. */
const STOPPED = 'terminated'

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
export function statusCodeOf(task: Ended): number {
  switch (statusOf(task)) {
    case 'RUNNING':
      return 0
    case 'FINISHED':
      return SUCCESS_CODE
    case 'ABORTED':
      return TERMINATED
    case 'FAILED':
      return failureCodeOf(task.lastError)
  }
}

/** @param lastError What the event's last try failed with; undefined where there was none. */
export function failureCodeOf(lastError: string | undefined): number {
  const known = lastError === undefined ? undefined : FAILURE_CODES[lastError]
  if (known !== undefined) return known
  const isOurs = lastError === undefined || lastError === 'internal' || lastError.startsWith('platform/')
  return isOurs ? PLATFORM_FAULT : USER_EXCEPTION
}
