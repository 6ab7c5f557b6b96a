import { EngineError, type EngineErrorCode } from '../model/errors.ts'
import { failureNameOf } from '../model/failure-name.ts'
import type { Ending } from '../model/outcome.ts'
import {
  DEFAULT_BACKOFF,
  DEFAULT_REFUSALS,
  type Backoff,
  type ClaimedTask,
  type Postponement,
  type Settlement,
} from '../store/task-queue.ts'

/**
 * Lost runs that a task may have beyond its `maxRetries`. A server that dies takes innocent tasks along, so there is
 * plenty of room; but a task that kills the server at each run must end some day.
 */
export const LOST_RUN_ALLOWANCE = 10

/** What the policy looks at. */
export type RetryState = Pick<
  ClaimedTask,
  'attempts' | 'deferrals' | 'lostRuns' | 'maxRetries' | 'backoff' | 'refusals' | 'expiresAtMs'
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
  'caller/memory-unavailable': 'wait',
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
  const dueAtMs = nowMs + waitMs(task.backoff ?? DEFAULT_BACKOFF, attempts)
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
 * After a run that was to end: a success counts, and no other run follows. A failure that it came to by itself in the time that it was
 * given is the reason of its end.
 */
export function afterStoppedRun(
  task: RetryState,
  ending: Ending,
  { graceMs }: { readonly graceMs: number },
): NextStep {
  const attempts = task.attempts + 1
  if (ending.kind === 'returned') return { kind: 'settle', settlement: { ending: 'succeeded', attempts } }
  if (graceMs <= 0 || ending.kind === 'terminated' || ending.kind === 'cancelled')
    return afterTermination(task, true)
  return { kind: 'settle', settlement: { ending: 'cancelled', attempts, lastError: failureNameOf(ending) } }
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
  const refusals = task.refusals ?? DEFAULT_REFUSALS
  const deferrals = task.deferrals + 1
  if (waitedMs(refusals, deferrals) > refusals.forMs)
    return { kind: 'settle', settlement: { ending: 'failed', attempts, lastError } }
  const dueAtMs = nowMs + waitMs(refusals, deferrals)
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

/** The wait before the `count`-th repeat, 1 or more. */
function waitMs({ firstMs, longestMs }: Backoff, count: number): number {
  return Math.min(firstMs * 2 ** (count - 1), longestMs)
}

/** Sum of the first `count` waits. */
function waitedMs({ firstMs, longestMs }: Backoff, count: number): number {
  const doubling = Math.min(count, Math.max(0, Math.ceil(Math.log2(longestMs / firstMs))))
  return firstMs * (2 ** doubling - 1) + (count - doubling) * longestMs
}
