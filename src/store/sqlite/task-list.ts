import type { DatabaseSync } from 'node:sqlite'
import { PAGE_BYTES, TASK_ENDINGS, type TaskFilter } from '../task-queue.ts'
import type { FunctionQueue } from './function-queue.ts'
import type { FunctionQueues } from './function-queues.ts'
import type { InputOf, OutputOf, RecordRow } from './operations.ts'
import { recordOf } from './task-rows.ts'
import { countOf, TaskSearch, type Position } from './task-search.ts'

/** Finds the tasks of a page. */
export type ListTasks = (input: InputOf<'listTasks'>) => OutputOf<'listTasks'>

/** More are never returned at once, whatever is asked for. */
const MAX_PAGE = 1000
const MAX_OFFSET = 1_000_000
/** Left out in one look where an index leads past them. */
const SKIPPED_TASKS = 100_000

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

  return ({ filter }) => {
    const { namespace, functionName: name, account } = filter
    const queue =
      namespace === undefined || name === undefined ? undefined : queues.find({ account, namespace, name })
    if (queue === undefined && name !== undefined && namespace !== undefined)
      return { tasks: [], total: 0, passed: 0 }

    const search = new TaskSearch(database, filter, queue)
    const after = cursorOf(filter.after)
    const end = search.endOfLook(after)
    const limit = Math.min(filter.limit, MAX_PAGE)
    const offset = Math.min(filter.offset ?? 0, MAX_OFFSET)
    if (offset > SKIPPED_TASKS && search.isDecided) {
      const total = knownTotal(filter, queue) ?? search.count({})
      const next = search.positionAt(SKIPPED_TASKS, after)
      if (next === undefined) return { tasks: [], total, passed: offset }
      return { tasks: [], total, passed: SKIPPED_TASKS, isCut: true, next: next.join('.') }
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
    const firstEnd = after === undefined ? end : search.endOfLook()
    return {
      tasks,
      total: knownTotal(filter, queue) ?? search.count({ end: firstEnd }),
      passed: isCut && tasks.length === 0 ? Math.min(offset, search.count({ after, end })) : offset,
      isCut: isCut && tasks.length < limit,
      ...(next === undefined ? {} : { next: next.join('.') }),
    }
  }
}

/** The number of tasks that fit, where it is counted anyway: all of a function, or those in some states. */
function knownTotal(filter: TaskFilter, queue: FunctionQueue | undefined): number | undefined {
  const {
    account: _account,
    namespace: _namespace,
    functionName: _functionName,
    statuses,
    orderBy,
    order: _order,
    after: _after,
    offset: _offset,
    limit: _limit,
    withPayload: _withPayload,
    ...narrowed
  } = filter
  if (queue === undefined || Object.values(narrowed).some((value) => value !== undefined)) return undefined
  if (statuses !== undefined) return orderBy === 'ended' ? undefined : countOf(queue, statuses)
  return countOf(queue, orderBy === 'ended' ? TASK_ENDINGS : ['waiting', 'running', ...TASK_ENDINGS])
}

/** Undefined, the first page, for text that no page gave. */
function cursorOf(text: string | undefined): Position | undefined {
  const match = text === undefined ? null : /^(\d{1,15})\.(\d{1,15})$/.exec(text)
  return match === null ? undefined : [Number(match[1]), Number(match[2])]
}
