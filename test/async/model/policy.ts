import type { Postponement, Settlement } from '../../../src/store/task-queue.ts'
import type { Run, RunEnd } from './engine.ts'
import type { KnownTask } from './ledger.ts'

/** What may be written of a task's run. `cancelled` stands for any of the two ways in which a stopped one may end. */
export type Allowed =
  | { readonly ending: Settlement['ending']; readonly attempts: number }
  | { readonly dueAtMs: number; readonly attempts: number; readonly deferrals: number }

/** Runs lost beyond the retries after which a task is given up. */
const LOST_RUNS = 10
const BACKOFF = { firstMs: 1000, longestMs: 60_000 }
const REFUSALS = { firstMs: 500, longestMs: 60_000, forMs: 5 * 3_600_000 }

const FAILURES: ReadonlySet<RunEnd> = new Set<RunEnd>(['threw', 'timedOut', 'crashed', 'initFailed'])

/** The contract's retry policy, said a second time and in another way: every step that may follow this run, or its absence. */
export function allowedAfter(
  task: KnownTask,
  run: Run | undefined,
  isStopped: boolean,
  nowMs: number,
): readonly Allowed[] {
  const { attempts } = task
  if (run === undefined) {
    if (nowMs > task.expiresAtMs) return [{ ending: 'expired', attempts }]
    return task.lostRuns > task.maxRetries + LOST_RUNS ? [{ ending: 'failed', attempts }] : []
  }
  const { end } = run
  if (end === undefined) return []
  const { how, atMs } = end
  if (how === 'returned') return [{ ending: 'succeeded', attempts: attempts + 1 }]
  const stopped: Allowed[] = isStopped
    ? [
        { ending: 'cancelled', attempts },
        { ending: 'cancelled', attempts: attempts + 1 },
        ...(FAILURES.has(how) ? [{ ending: 'failed', attempts: attempts + 1 } as const] : []),
      ]
    : []
  if (how === 'terminated') return [...stopped, { ending: 'cancelled', attempts: attempts + 1 }]
  if (FAILURES.has(how)) return [...stopped, afterFailure(task, atMs)]
  if (how === 'refusedForGood') return [...stopped, { ending: 'failed', attempts }]
  return [...stopped, afterRefusal(task, atMs)]
}

function afterFailure(task: KnownTask, atMs: number): Allowed {
  const attempts = task.attempts + 1
  if (attempts === task.maxRetries + 1) return { ending: 'failed', attempts }
  let waitMs = (task.backoff ?? BACKOFF).firstMs
  for (let repeat = 1; repeat < attempts; repeat += 1) waitMs *= 2
  const dueAtMs = atMs + Math.min(waitMs, (task.backoff ?? BACKOFF).longestMs)
  return dueAtMs > task.expiresAtMs ? { ending: 'expired', attempts } : { dueAtMs, attempts, deferrals: 0 }
}

function afterRefusal(task: KnownTask, atMs: number): Allowed {
  const { attempts, refusals = REFUSALS } = task
  let waitMs = refusals.firstMs
  let sumMs = waitMs
  for (let refusal = 0; refusal < task.deferrals; refusal += 1) {
    waitMs = Math.min(2 * waitMs, refusals.longestMs)
    sumMs += waitMs
  }
  if (sumMs > refusals.forMs) return { ending: 'failed', attempts }
  const dueAtMs = atMs + waitMs
  return dueAtMs > task.expiresAtMs
    ? { ending: 'expired', attempts }
    : { dueAtMs, attempts, deferrals: task.deferrals + 1 }
}

export function isAllowed(
  allowed: readonly Allowed[],
  step: Pick<Settlement, 'ending' | 'attempts'> | Postponement,
): boolean {
  return allowed.some((one) => {
    if (one.attempts !== step.attempts) return false
    if ('ending' in one) return 'ending' in step && one.ending === step.ending
    return 'dueAtMs' in step && one.dueAtMs === step.dueAtMs && one.deferrals === step.deferrals
  })
}
