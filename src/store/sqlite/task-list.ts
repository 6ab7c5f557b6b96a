import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import {
  COUNTED_TASKS,
  PAGE_BYTES,
  TASK_ENDINGS,
  type TaskEnding,
  type TaskFilter,
  type TaskRecord,
} from '../task-queue.ts'
import { keptTasks, type FunctionQueue } from './function-queue.ts'
import type { FunctionQueues } from './function-queues.ts'
import type { InputOf, OutputOf, RecordRow } from './operations.ts'
import { recordOf, TASK_COLUMNS, type TaskColumns } from './task-rows.ts'

/** Finds the tasks of a page. */
export type ListTasks = (input: InputOf<'listTasks'>) => OutputOf<'listTasks'>

/** More are never returned at once, whatever is asked for. */
const MAX_PAGE = 1000
const MAX_OFFSET = 1_000_000

/** Parts of a statement: all text is chosen here, what was asked for is bound. */
interface Search {
  readonly from: string
  readonly where: string
  readonly values: readonly SQLInputValue[]
}

/**
 * A page costs what it returns: walks go along an index in the order of the page. Where few tasks fit a state, they are found by it
 * and sorted; where many do, the walk finds them soon.
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
    if (queue === undefined && name !== undefined && namespace !== undefined) return { tasks: [], total: 0 }

    const search = searchOf(filter, queue)
    const column = filter.orderBy === 'ended' ? 'ended_at_ms' : 'accepted_at_ms'
    const [direction, beyond] = filter.order === 'oldest' ? ['ASC', '>'] : ['DESC', '<']
    const after = cursorOf(filter.after)
    const rest = after === undefined ? '' : ` AND (${column}, sequence) ${beyond} (?, ?)`
    const limit = Math.min(filter.limit, MAX_PAGE)
    const found = database
      .prepare(
        `SELECT ${TASK_COLUMNS} FROM ${search.from} WHERE ${search.where}${rest}
         ORDER BY ${column} ${direction}, sequence ${direction} LIMIT ? OFFSET ?`,
      )
      .all(...search.values, ...(after ?? []), limit + 1, Math.min(filter.offset ?? 0, MAX_OFFSET))
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
    const rows = (found as unknown as TaskColumns[]).slice(0, limit)
    const tasks: RecordRow[] = []
    let bytes = 0
    for (const row of rows) {
      const payload = filter.withPayload === true ? payloadOf(row.sequence) : undefined
      bytes += payload?.length ?? 0
      if (tasks.length > 0 && bytes > PAGE_BYTES) break
      tasks.push(recordOf(row, payload))
    }
    const last = rows[tasks.length - 1]
    return {
      tasks,
      total: knownTotal(filter, queue) ?? countUpTo(database, search),
      ...(found.length > tasks.length && last !== undefined
        ? { next: `${last[column] ?? 0}.${last.sequence}` }
        : {}),
    }
  }
}

function searchOf(filter: TaskFilter, queue: FunctionQueue | undefined): Search {
  const conditions: string[] = ['account = ?']
  const values: SQLInputValue[] = [filter.account]
  const require = (condition: string, ...given: (SQLInputValue | undefined)[]): void => {
    const bound = given.filter((value) => value !== undefined)
    if (bound.length < given.length) return
    conditions.push(condition)
    values.push(...bound)
  }
  require('namespace = ?', filter.namespace)
  require('function_name = ?', filter.functionName)
  require('qualifier = ?', filter.qualifier)
  require('source = ?', filter.source)
  require('request_id IN (SELECT value FROM json_each(?))', listOf(filter.requestIds))
  require('accepted_at_ms >= ?', filter.acceptedFromMs)
  require('accepted_at_ms < ?', filter.acceptedToMs)
  require('started_at_ms >= ?', filter.startedFromMs)
  require('started_at_ms < ?', filter.startedToMs)
  require('ended_at_ms >= ?', filter.endedFromMs)
  require('ended_at_ms < ?', filter.endedToMs)
  if (filter.isRepeat !== undefined) conditions.push(filter.isRepeat ? 'attempts > 0' : 'attempts = 0')
  if (filter.orderBy === 'ended') conditions.push('ended_at_ms IS NOT NULL')
  const { taskIdPrefix: prefix } = filter
  if (prefix !== undefined) conditions.push('task_id IS NOT NULL')
  if (prefix !== undefined && prefix !== '')
    require('task_id >= ? AND task_id < ?', prefix, `${prefix}\u{10FFFF}`)
  if (filter.statuses !== undefined) conditions.push(statusCondition(filter.statuses))
  return { from: sourceOf(filter, queue), where: conditions.join(' AND '), values }
}

/** Words of ours, never of those who ask: what is not a status is left out. */
function statusCondition(statuses: readonly TaskRecord['status'][]): string {
  const isLive = statuses.every((status) => status === 'waiting' || status === 'running')
  const isEnded = statuses.every((status) => isEnding(status))
  const stored = statuses.flatMap((status) =>
    status === 'running' ? ["'leased'"] : status === 'waiting' || isEnding(status) ? [`'${status}'`] : [],
  )
  const any = stored.length === 1 ? `status = ${stored[0]}` : `status IN (${stored.join(', ')})`
  const side =
    statuses.length === 0
      ? ''
      : isLive
        ? ' AND ended_at_ms IS NULL'
        : isEnded
          ? ' AND ended_at_ms IS NOT NULL'
          : ''
  return any + side
}

/** The table, with the index to go by where the choice is known to matter. */
function sourceOf(filter: TaskFilter, queue: FunctionQueue | undefined): string {
  const { statuses = [], orderBy = 'accepted', requestIds, taskIdPrefix, source } = filter
  if (requestIds !== undefined) return 'tasks INDEXED BY tasks_by_request'
  if (queue === undefined) return 'tasks'
  if (orderBy === 'ended') return 'tasks INDEXED BY tasks_by_end'
  if (taskIdPrefix !== undefined) return 'tasks INDEXED BY tasks_with_own_id'
  const isFew = countOf(queue, statuses) <= COUNTED_TASKS
  if (statuses.length > 0 && isFew) {
    if (statuses.every((status) => status === 'running')) return 'tasks INDEXED BY tasks_leased'
    if (statuses.every((status) => !isEnding(status))) return 'tasks INDEXED BY tasks_by_function'
    if (statuses.every((status) => isEnding(status))) return 'tasks INDEXED BY tasks_by_ending'
  }
  if (source !== undefined) return 'tasks INDEXED BY tasks_by_source'
  if (statuses.length === 1 && statuses.every((status) => isEnding(status)))
    return 'tasks INDEXED BY tasks_by_ending'
  return 'tasks INDEXED BY tasks_by_acceptance'
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

function countOf(queue: FunctionQueue, statuses: readonly TaskRecord['status'][]): number {
  return [...new Set(statuses)].reduce(
    (sum, status) => sum + (isEnding(status) ? keptTasks(queue.counts, status) : queue.counts[status]),
    0,
  )
}

function countUpTo(database: DatabaseSync, { from, where, values }: Search): number {
  const counted = database
    .prepare(`SELECT count(*) AS total FROM (SELECT 1 FROM ${from} WHERE ${where} LIMIT ?)`)
    .get(...values, COUNTED_TASKS)
  return Number(counted?.['total'])
}

function isEnding(status: TaskRecord['status']): status is TaskEnding {
  return TASK_ENDINGS.some((ending) => ending === status)
}

/** Undefined, the first page, for text that no page gave. */
function cursorOf(text: string | undefined): readonly [number, number] | undefined {
  const match = text === undefined ? null : /^(\d{1,15})\.(\d{1,15})$/.exec(text)
  return match === null ? undefined : [Number(match[1]), Number(match[2])]
}

function listOf(values: readonly string[] | undefined): string | undefined {
  return values === undefined ? undefined : JSON.stringify(values)
}
