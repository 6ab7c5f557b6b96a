import { EngineError, type EngineErrorCode } from '../model/errors.ts'
import { failureNameOf } from '../model/failure-name.ts'
import type { Ending } from '../model/outcome.ts'
import { DEFAULT_BACKOFF, type ClaimedTask, type Postponement, type Settlement } from '../store/task-queue.ts'

/**
 * Wait after the first refusal; doubles each time: 0.5, 1, 2, 4, 8 … s, for throttling and system errors.
 * Source: Alibaba Cloud Function Compute, "Asynchronous invocation", retry policy; it gives up after 5 hours.
 */
export const FIRST_DEFERRAL_MS = 500
/** Longest wait after a refusal: free capacity is found within a minute. */
export const LONGEST_DEFERRAL_MS = 60_000
/** Refusals in a row are waited out for this long altogether, counted as the sum of the waits. */
export const LONGEST_REFUSED_MS = 5 * 3_600_000
/**
 * Lost runs that a task may have beyond its `maxRetries`. A server that dies takes innocent tasks along, so there is
 * plenty of room; but a task that kills the server at each run must end some day.
 */
export const LOST_RUN_ALLOWANCE = 10

/** What the policy looks at. */
export type RetryState = Pick<
  ClaimedTask,
  'attempts' | 'deferrals' | 'lostRuns' | 'maxRetries' | 'backoff' | 'expiresAtMs'
>

/** What becomes of a claimed task. */
export type NextStep =
  | { readonly kind: 'settle'; readonly settlement: Settlement }
  | { readonly kind: 'postpone'; readonly postponement: Postponement }

/**
 * Whether a refusal goes away by itself. `wait`: throttling, a fault of ours, or something an operator can mend.
 * `fail`: what the task names does not exist (any more), or its event can never be taken.
 */
const REFUSALS: Record<EngineErrorCode, 'wait' | 'fail'> = {
  'caller/namespace-not-found': 'fail',
  'caller/function-not-found': 'fail',
  'caller/version-not-found': 'fail',
  'caller/alias-not-found': 'fail',
  'caller/payload-too-large': 'fail',
  'caller/runtime-missing': 'wait',
  'caller/concurrency-exceeded': 'wait',
  'caller/payload-budget-exceeded': 'wait',
  'caller/queue-full': 'wait',
  'caller/task-exists': 'wait',
  'caller/gone': 'wait',
  'platform/no-capacity': 'wait',
  'platform/start-failed': 'wait',
  'platform/draining': 'wait',
  'platform/store-full': 'wait',
  'platform/store-failed': 'wait',
}

/** Whether a task that was just claimed ends without a run: it is too old, or lost too many runs. */
export function beforeRun(task: RetryState, nowMs: number): Settlement | undefined {
  const { attempts, lostRuns, maxRetries, expiresAtMs } = task
  if (nowMs > expiresAtMs) return { ending: 'expired', attempts }
  if (lostRuns > maxRetries + LOST_RUN_ALLOWANCE) return { ending: 'failed', attempts, lastError: 'runsLost' }
  return undefined
}

/**
 * After a run. A failed one is repeated up to `maxRetries` times, each time after a wait that doubles within its
 * backoff, unless the task is too old by then.
 */
export function afterRun(task: RetryState, ending: Ending, nowMs: number): NextStep {
  if (ending.kind === 'cancelled') return waitOut(task, 'cancelled', nowMs)
  const attempts = task.attempts + 1
  if (ending.kind === 'terminated') return afterTermination(task, true)
  if (ending.kind === 'returned') return { kind: 'settle', settlement: { ending: 'succeeded', attempts } }
  const lastError = failureNameOf(ending)
  if (attempts > task.maxRetries)
    return { kind: 'settle', settlement: { ending: 'failed', attempts, lastError } }
  const { firstMs, longestMs } = task.backoff ?? DEFAULT_BACKOFF
  const dueAtMs = nowMs + Math.min(firstMs * 2 ** (attempts - 1), longestMs)
  return postponeOrExpire(task, { dueAtMs, attempts, deferrals: 0, lastError })
}

/**
 * After somebody asked for its end: no other run follows.
 *
 * @param hasRun Whether the engine ran it, or refused to.
 */
export function afterTermination(task: RetryState, hasRun: boolean): NextStep {
  const attempts = task.attempts + (hasRun ? 1 : 0)
  return { kind: 'settle', settlement: { ending: 'cancelled', attempts, lastError: 'terminated' } }
}

/**
 * After the engine refused to run the task, which is no attempt.
 *
 * @param error What it threw; anything but an {@link EngineError} is a fault of ours and waited out.
 */
export function afterRefusal(task: RetryState, error: unknown, nowMs: number): NextStep {
  if (!(error instanceof EngineError)) return waitOut(task, 'internal', nowMs)
  const code: EngineErrorCode = error.code
  if (REFUSALS[code] === 'wait') return waitOut(task, code, nowMs)
  return { kind: 'settle', settlement: { ending: 'failed', attempts: task.attempts, lastError: code } }
}

function waitOut(task: RetryState, lastError: string, nowMs: number): NextStep {
  const { attempts } = task
  const deferrals = task.deferrals + 1
  if (waitedAfter(deferrals) > LONGEST_REFUSED_MS)
    return { kind: 'settle', settlement: { ending: 'failed', attempts, lastError } }
  const dueAtMs = nowMs + deferralMs(deferrals)
  return postponeOrExpire(task, { dueAtMs, attempts, deferrals, lastError })
}

/** A task that could only run when it is too old ends now. */
function postponeOrExpire(task: RetryState, postponement: Postponement): NextStep {
  if (postponement.dueAtMs <= task.expiresAtMs) return { kind: 'postpone', postponement }
  const { attempts, lastError } = postponement
  return {
    kind: 'settle',
    settlement: { ending: 'expired', attempts, ...(lastError === undefined ? {} : { lastError }) },
  }
}

/** Wait after the `deferrals`-th refusal in a row. */
function deferralMs(deferrals: number): number {
  return Math.min(FIRST_DEFERRAL_MS * 2 ** (deferrals - 1), LONGEST_DEFERRAL_MS)
}

/** Sum of the waits after the first `deferrals` refusals. */
function waitedAfter(deferrals: number): number {
  const doubling = Math.min(deferrals, Math.ceil(Math.log2(LONGEST_DEFERRAL_MS / FIRST_DEFERRAL_MS)))
  return FIRST_DEFERRAL_MS * (2 ** doubling - 1) + (deferrals - doubling) * LONGEST_DEFERRAL_MS
}
