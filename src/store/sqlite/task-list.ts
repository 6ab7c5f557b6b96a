import type { DatabaseSync } from 'node:sqlite'
import { LATEST } from '../../model/function.ts'
import { PAGE_BYTES, TASK_ENDINGS, type TaskFilter, type TaskRecord } from '../task-queue.ts'
import type { FunctionQueue } from './function-queue.ts'
import type { FunctionQueues } from './function-queues.ts'
import type { InputOf, OutputOf, RecordRow } from './operations.ts'
import { FAILED_IN_STOP, OF_VERSIONS } from './task-conditions.ts'
import { recordOf } from './task-rows.ts'
import { TaskSearch, type Position } from './task-search.ts'
import { countOf } from './task-way.ts'

/** Finds the tasks of a page. */
export type ListTasks = (input: InputOf<'listTasks'>) => OutputOf<'listTasks'>

/** Counts what an exhaustive list counts beyond its first look. */
export type CountListed = (input: InputOf<'countListed'>) => OutputOf<'countListed'>

/** More are never returned at once, whatever is asked for. */
const MAX_PAGE = 1000
const MAX_OFFSET = 1_000_000
/** Left out in one look where an index leads past them. */
const SKIPPED_TASKS = 100_000

const ALL: readonly TaskRecord['status'][] = ['waiting', 'running', ...TASK_ENDINGS]

/**
 * A page costs what it returns, or looks at {@link LOOKED_AT_TASKS} tasks. Where few tasks fit one of the conditions, an index leads to
 * them and they are sorted; otherwise the walk goes along an index in the order of the page, and ends, found or not, after so many tasks.
 */
export function prepareList(database: DatabaseSync, queues: FunctionQueues): ListTasks {
  const selectPayload = database.prepare('SELECT payload FROM task_payloads WHERE sequence = ?')
  const payloadOf = (sequence: number): Uint8Array<ArrayBuffer> | undefined => {
    const payload = selectPayload.get(sequence)?.['payload']
    return payload instanceof Uint8Array ? payload : undefined
  }

  return ({ filter, isContinued = false }) => {
    const { namespace, functionName: name } = filter
    const queue = queueOf(queues, filter)
    if (queue === undefined && name !== undefined && namespace !== undefined)
      return { tasks: [], total: 0, passed: 0 }

    const search = new TaskSearch(database, filter, queue)
    const after = cursorOf(filter.after)
    const end = search.endOfLook(after)
    const limit = Math.min(filter.limit, MAX_PAGE)
    const offset = Math.min(filter.offset ?? 0, MAX_OFFSET)
    if (offset > SKIPPED_TASKS && search.isDecided) {
      const total = isContinued ? { total: 0 } : totalOf(search, filter, queue)
      const next = search.positionAt(SKIPPED_TASKS, after)
      if (next === undefined) return { ...total, tasks: [], passed: offset }
      return { ...total, tasks: [], passed: SKIPPED_TASKS, isCut: true, next: next.join('.') }
    }
    const found = search.find({ after, end }, limit + 1, offset)
    const rows = found.slice(0, limit)
    const tasks: RecordRow[] = []
    let bytes = 0
    for (const row of rows) {
      const payload = filter.withPayload === true ? payloadOf(row.sequence) : undefined
      bytes += payload?.length ?? 0
      if (tasks.length > 0 && bytes > PAGE_BYTES) break
      tasks.push(recordOf(row, payload))
    }
    const last = rows[tasks.length - 1]
    const isCut = found.length === tasks.length && end !== undefined
    const next = isCut
      ? end
      : found.length > tasks.length && last !== undefined
        ? search.positionOf(last)
        : undefined
    return {
      tasks,
      ...(isContinued ? { total: 0 } : totalOf(search, filter, queue)),
      passed: isCut && tasks.length === 0 ? Math.min(offset, search.count({ after, end })) : offset,
      isCut: isCut && tasks.length < limit,
      ...(next === undefined ? {} : { next: next.join('.') }),
    }
  }
}

export function prepareCount(database: DatabaseSync, queues: FunctionQueues): CountListed {
  return ({ filter, after }) => countFrom(new TaskSearch(database, filter, queueOf(queues, filter)), after)
}

function countFrom(search: TaskSearch, cursor: string | undefined): OutputOf<'countListed'> {
  const after = cursorOf(cursor)
  const end = search.endOfCount(after)
  const count = search.count({ after, end }, Number.MAX_SAFE_INTEGER)
  return { count, ...(end === undefined ? {} : { uncounted: end.join('.') }) }
}

function queueOf(
  queues: FunctionQueues,
  { account, namespace, functionName: name }: TaskFilter,
): FunctionQueue | undefined {
  return namespace === undefined || name === undefined ? undefined : queues.find({ account, namespace, name })
}

function totalOf(
  search: TaskSearch,
  filter: TaskFilter,
  queue: FunctionQueue | undefined,
): Pick<OutputOf<'listTasks'>, 'total' | 'uncounted'> {
  const known = queue === undefined ? undefined : knownTotal(search, filter, queue)
  if (known !== undefined) return { total: known }
  if (filter.isExhaustive !== true) return { total: search.count({ end: search.endOfLook() }) }
  const { count, ...rest } = countFrom(search, undefined)
  return { total: count, ...rest }
}

/** The number of tasks that fit, where it is counted anyway: all of a function, those in some states, or those of its latest state. */
function knownTotal(search: TaskSearch, filter: TaskFilter, queue: FunctionQueue): number | undefined {
  const {
    account: _account,
    namespace: _namespace,
    functionName: _functionName,
    qualifier,
    statuses = ALL,
    cancelledAs,
    orderBy,
    order: _order,
    after: _after,
    offset: _offset,
    limit: _limit,
    isExhaustive: _isExhaustive,
    withPayload: _withPayload,
    ...narrowed
  } = filter
  if (Object.values(narrowed).some((value) => value !== undefined)) return undefined
  if (qualifier !== undefined) {
    const isAll = filter.statuses === undefined && cancelledAs === undefined && orderBy !== 'ended'
    if (qualifier !== LATEST || !isAll) return undefined
    const ofVersions = search.countPartial(OF_VERSIONS)
    return ofVersions === undefined ? undefined : countOf(queue, ALL) - ofVersions
  }
  const shown = orderBy === 'ended' ? TASK_ENDINGS.filter((one) => statuses.includes(one)) : statuses
  const total = countOf(queue, shown)
  if (cancelledAs === undefined || !shown.includes('cancelled')) return total
  const failed = search.countPartial(FAILED_IN_STOP)
  if (failed === undefined) return undefined
  return total - (cancelledAs === 'failed' ? countOf(queue, ['cancelled']) - failed : failed)
}

/** Undefined, the first page, for text that no page gave. */
function cursorOf(text: string | undefined): Position | undefined {
  const match = text === undefined ? null : /^(\d{1,15})\.(\d{1,15})$/.exec(text)
  return match === null ? undefined : [Number(match[1]), Number(match[2])]
}
