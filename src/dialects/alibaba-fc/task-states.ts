import type { TaskDetails, TaskFilter, TaskRecord, TaskResult, TaskRun } from '../../store/task-queue.ts'
import { readFailureName } from '../../model/failure-name.ts'
import { fcCodeOf } from './errors.ts'

/** Every state of a task. Source: the vendor's StatefulAsyncInvocation page; `Dequeued` is one of its events only. */
export const TASK_STATES = [
  'Enqueued',
  'Dequeued',
  'Running',
  'Retrying',
  'Stopping',
  'Succeeded',
  'Failed',
  'Stopped',
  'Expired',
  'Invalid',
] as const

type TaskState = (typeof TASK_STATES)[number]

/** A transition of a task, as the API shows it. */
interface TaskEvent {
  /** From 1, in their order. */
  readonly eventId: number
  readonly status: TaskState
  /** Epoch milliseconds. */
  readonly timestamp: number
  /** JSON as text; empty where there is nothing to say. */
  readonly eventDetail: string
}

/** Why a task is `Invalid` and not `Failed`: what it named is gone. */
const GONE = new Set(['ServiceNotFound', 'FunctionNotFound', 'VersionNotFound', 'AliasNotFound'])

const INTERNAL_FAILURES = new Set(['runsLost', 'internal', 'cancelled'])

/** The state of a task now. */
export function stateOf(task: TaskRecord): TaskState {
  switch (task.status) {
    case 'waiting':
      return waitingState(task.attempts)
    case 'running':
      return task.stopRequestedAtMs === undefined ? 'Running' : 'Stopping'
    case 'succeeded':
      return 'Succeeded'
    case 'failed':
      return GONE.has(errorOf(task.lastError) ?? '') ? 'Invalid' : 'Failed'
    case 'expired':
      return 'Expired'
    case 'cancelled':
      return 'Stopped'
  }
}

/** What the tasks in a state have in common in the queue; some that are not in it have, too. Undefined: none ever is in it. */
export function searchFor(state: TaskState): Pick<TaskFilter, 'statuses' | 'isRepeat'> | undefined {
  switch (state) {
    case 'Dequeued':
      return undefined
    case 'Enqueued':
      return { statuses: ['waiting'], isRepeat: false }
    case 'Retrying':
      return { statuses: ['waiting'], isRepeat: true }
    case 'Running':
    case 'Stopping':
      return { statuses: ['running'] }
    case 'Succeeded':
      return { statuses: ['succeeded'] }
    case 'Failed':
    case 'Invalid':
      return { statuses: ['failed'] }
    case 'Expired':
      return { statuses: ['expired'] }
    case 'Stopped':
      return { statuses: ['cancelled'] }
  }
}

/** Why a run or a task failed: an error type of invocations, or an error code. Undefined when somebody stopped it, or nothing failed. */
export function errorOf(reason: string | undefined): string | undefined {
  if (reason === undefined || reason === 'terminated') return undefined
  if (INTERNAL_FAILURES.has(reason)) return 'InternalServerError'
  const code = fcCodeOf(reason)
  if (code !== undefined) return code
  const { kind } = readFailureName(reason)
  if (kind === 'handled') return 'HandledInvocationError'
  return kind === 'initTimedOut' || kind === 'initCrashed' || kind === 'initializerThrew'
    ? 'InitializationError'
    : 'UnhandledInvocationError'
}

/** What became of the telling of a task's end, in words of {@link TASK_STATES}: the vendor's only example is `Succeeded`. */
export function destinationStatusOf({ telling }: TaskDetails): TaskState | undefined {
  return telling === undefined ? undefined : TELLING_STATES[telling]
}

const TELLING_STATES = { waiting: 'Running', delivered: 'Succeeded', undeliverable: 'Failed' } as const

/** Repeats that have begun. */
export function retriesOf({ status, attempts }: TaskRecord): number {
  return Math.max(0, status === 'running' ? attempts : attempts - 1)
}

/**
 * Every transition of a task. A run that was refused or lost is followed by the state that the task waited in: it is not one that the
 * code failed.
 */
export function eventsOf(task: TaskDetails): readonly TaskEvent[] {
  const events: TaskEvent[] = []
  const add = (status: TaskState, timestamp: number | undefined, detail?: object): void => {
    if (timestamp === undefined) return
    events.push({
      eventId: events.length + 1,
      status,
      timestamp,
      eventDetail: detail === undefined ? '' : JSON.stringify(detail),
    })
  }
  add('Enqueued', task.acceptedAtMs)
  let failures = 0
  for (const run of task.history) {
    if (run.how === 'failed') failures += 1
    add('Dequeued', run.startedAtMs)
    if (run.how !== 'refused') add('Running', run.startedAtMs)
    add(waitingState(failures), run.endedAtMs, detailOf(run))
  }
  if (task.status === 'waiting') return events
  const wasDequeued = task.status !== 'cancelled' || task.stopRequestedAtMs !== undefined
  if (wasDequeued) add('Dequeued', task.claimedAtMs)
  if (hasLastRun(task, failures)) add('Running', task.claimedAtMs)
  const { stopRequestedAtMs, endedAtMs, result } = task
  add('Stopping', stopRequestedAtMs ?? (task.status === 'cancelled' && failures > 0 ? endedAtMs : undefined))
  add(stateOf(task), endedAtMs, endDetail(errorOf(task.lastError), result))
  return events
}

/** Whether the latest claim became a run. */
function hasLastRun(task: TaskDetails, failures: number): boolean {
  switch (task.status) {
    case 'running':
    case 'succeeded':
      return true
    case 'cancelled':
      return task.stopRequestedAtMs !== undefined
    case 'failed':
    case 'expired':
      return task.attempts > failures
    case 'waiting':
      return false
  }
}

function waitingState(failedRuns: number): TaskState {
  return failedRuns > 0 ? 'Retrying' : 'Enqueued'
}

/** Undefined where the server shut down: that is no error, and the task is put back as it was. */
function detailOf({ how, reason, count = 1 }: TaskRun): object | undefined {
  const error = errorOf(reason) ?? UNEXPLAINED[how]
  if (error === undefined && count === 1) return undefined
  return { ...(error === undefined ? {} : { Error: error }), ...(count > 1 ? { Count: count } : {}) }
}

/** The error of a run for which no reason is kept. One is refused without a reason only while the server shuts down. */
const UNEXPLAINED: Record<TaskRun['how'], string | undefined> = {
  failed: 'UnhandledInvocationError',
  lost: 'InternalServerError',
  refused: undefined,
  interrupted: undefined,
}

function endDetail(error: string | undefined, result: TaskResult | undefined): object | undefined {
  const logTail = result === undefined ? '' : result.logTail.toString()
  if (error === undefined && logTail === '') return undefined
  return { ...(error === undefined ? {} : { Error: error }), ...(logTail === '' ? {} : { logTail }) }
}
