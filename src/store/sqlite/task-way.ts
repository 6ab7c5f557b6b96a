import { LATEST } from '../../model/function.ts'
import { TASK_ENDINGS, type TaskFilter, type TaskRecord } from '../task-queue.ts'
import { keptTasks, type FunctionQueue } from './function-queue.ts'
import {
  allOf,
  conditionsOf,
  ENDED,
  FAILED_IN_STOP,
  isEnding,
  LIVE,
  OF_VERSIONS,
  where,
  type Condition,
  type Conditions,
} from './task-conditions.ts'

/** Up to so many that one condition fits are looked up and sorted, whatever else is asked for. */
const FEW_TASKS = 5000

/** An index to go by, and what it decides without a look at the tasks. */
export interface Way {
  /** Absent: no index, all tasks. */
  readonly index?: string
  /** What the index is of, as its definition says it. */
  readonly of?: readonly string[]
  /** Columns of which it decides the conditions, besides the owner's. */
  readonly decides?: readonly (keyof Conditions)[]
  /** What its branches say already. */
  readonly says?: readonly (keyof Conditions)[]
  /** It is gone along once for each, and they are merged in the order of the page. Default: once. */
  readonly branches?: readonly Branch[]
  /** It leads to few, in another order than that of the page. */
  readonly isFew?: boolean
}

interface Branch {
  readonly text: string
  /** Instead of that of its way. */
  readonly index?: string
}

/** How many tasks of the function an index leads to, at most so many. */
export type CountIn = (index: string, condition: Condition | undefined, most: number) => number

/** Tasks of a function in some states, as they are counted anyway. */
export function countOf(queue: FunctionQueue, statuses: readonly TaskRecord['status'][]): number {
  return [...new Set(statuses)].reduce(
    (sum, status) => sum + (isEnding(status) ? keptTasks(queue.counts, status) : queue.counts[status]),
    0,
  )
}

/** The index to go by: one that leads to few tasks, or else one in the order of the page that leaves out most of what does not fit. */
export function wayOf(filter: TaskFilter, queue: FunctionQueue, countIn: CountIn): Way {
  const {
    statuses = [],
    orderBy = 'accepted',
    taskIdPrefix,
    qualifier,
    source,
    isRepeat,
    cancelledAs,
  } = filter
  const asked = conditionsOf(filter)
  const isFewIn = (index: string, condition: Condition | undefined): boolean =>
    countIn(index, condition, FEW_TASKS + 1) <= FEW_TASKS
  const failedInStop = where(FAILED_IN_STOP.text)
  const isOfEnded = asked.ended !== undefined || orderBy === 'ended'
  const live = statuses.filter((status) => !isEnding(status))
  const endings = filter.statuses === undefined && isOfEnded ? TASK_ENDINGS : statuses.filter(isEnding)
  // Where none failed so, all of them are the others.
  const saysWhy =
    cancelledAs === 'failed' ||
    (cancelledAs === 'stopped' && countIn(FAILED_IN_STOP.index, failedInStop, 1) === 0)
  const byEnding: Way = {
    index: 'tasks_by_ending',
    of: [ENDED],
    decides: ['accepted'],
    says: saysWhy ? ['status', 'cancelledAs'] : ['status'],
    branches: [...new Set(endings)].map((ending) =>
      ending === 'cancelled' && cancelledAs === 'failed' ? FAILED_IN_STOP : { text: `status = '${ending}'` },
    ),
  }

  if (statuses.length > 0 && countOf(queue, statuses) <= FEW_TASKS) {
    if (live.length === 0) return { ...byEnding, isFew: true }
    if (endings.length === 0) {
      if (live.includes('waiting')) return { index: 'tasks_by_function', of: [LIVE], isFew: true }
      return { index: 'tasks_leased', of: ["status = 'leased'"], isFew: true }
    }
  }
  if (cancelledAs === 'failed' && endings.length > 0 && live.length === 0) {
    const others = endings.filter((ending) => ending !== 'cancelled')
    if (countOf(queue, others) <= FEW_TASKS && isFewIn(FAILED_IN_STOP.index, failedInStop))
      return { ...byEnding, isFew: true }
  }
  if (taskIdPrefix !== undefined && taskIdPrefix !== '' && isFewIn('tasks_by_task_id', asked.prefix))
    return { index: 'tasks_by_task_id', isFew: true }
  if (orderBy === 'ended') return { index: 'tasks_by_end', of: [ENDED], decides: ['ended'] }
  if (asked.ended !== undefined && isFewIn('tasks_by_end', allOf([where(ENDED), asked.ended])))
    return { index: 'tasks_by_end', of: [ENDED], isFew: true }

  if (isRepeat === true && live.length > 0 && endings.length === 0)
    return { index: 'tasks_repeated', of: ['attempts > 0', LIVE], decides: ['repeat', 'accepted'] }
  if (qualifier !== undefined && qualifier !== LATEST)
    return {
      index: OF_VERSIONS.index,
      of: [OF_VERSIONS.text],
      decides: ['qualifier', 'accepted'],
    }
  if (endings.length > 0 && live.length === 0) return byEnding
  if (taskIdPrefix !== undefined)
    return {
      index: 'tasks_with_own_id',
      of: ['task_id IS NOT NULL'],
      decides: taskIdPrefix === '' ? ['prefix', 'accepted'] : ['accepted'],
    }
  if (source !== undefined) return { index: 'tasks_by_source', decides: ['source', 'accepted'] }
  return { index: 'tasks_by_acceptance', decides: ['accepted'] }
}
