import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import { LATEST } from '../../model/function.ts'
import {
  LOOKED_AT_TASKS,
  TASK_ENDINGS,
  type TaskEnding,
  type TaskFilter,
  type TaskRecord,
} from '../task-queue.ts'
import { keptTasks, type FunctionQueue } from './function-queue.ts'
import { TASK_COLUMNS, type TaskColumns } from './task-rows.ts'

/** Up to so many that one condition fits are looked up and sorted, whatever else is asked for. */
const FEW_TASKS = 5000

/** Where a page ends: by time, and among equals by acceptance. */
export type Position = readonly [ms: number, sequence: number]

/** A part of an order: what comes after the one, up to and with the other. */
interface Stretch {
  readonly after?: Position | undefined
  readonly end?: Position | undefined
}

/** A part of a statement: all text is chosen here, what was asked for is bound. */
interface Condition {
  readonly text: string
  readonly values: readonly SQLInputValue[]
}

/** An index to go by, and what it decides without a look at the tasks. */
interface Way {
  /** Absent: no index, all tasks. */
  readonly index?: string
  /** What the index is of, as its definition says it. */
  readonly of?: readonly string[]
  /** Columns of which it decides the conditions, besides the owner's. */
  readonly decides?: readonly (keyof Conditions)[]
  /** It is gone along once for each, and they are merged in the order of the page. Default: once. */
  readonly branches?: readonly string[]
  /** It leads to few, in another order than that of the page. */
  readonly isFew?: boolean
}

type Conditions = Partial<
  Record<
    'qualifier' | 'source' | 'requestIds' | 'accepted' | 'started' | 'ended' | 'repeat' | 'prefix' | 'status',
    Condition
  >
>

/** What a filter asks the database. */
export class TaskSearch {
  readonly #database: DatabaseSync
  readonly #column: 'accepted_at_ms' | 'ended_at_ms'
  readonly #isOldestFirst: boolean
  /** All that was asked for, once for each branch. */
  readonly #wanted: readonly Condition[]
  /** Only what the index decides. */
  readonly #decided: readonly Condition[]
  readonly #isBounded: boolean
  /** Whether the index leads to the tasks that fit and to no others, in the order of the page. */
  readonly isDecided: boolean
  readonly #from: string

  constructor(database: DatabaseSync, filter: TaskFilter, queue: FunctionQueue | undefined) {
    this.#database = database
    this.#column = filter.orderBy === 'ended' ? 'ended_at_ms' : 'accepted_at_ms'
    this.#isOldestFirst = filter.order === 'oldest'
    const owner = allOf([
      where('account = ?', filter.account),
      where('namespace = ?', filter.namespace),
      where('function_name = ?', filter.functionName),
    ])
    const asked = conditionsOf(filter)
    const way: Way =
      filter.requestIds !== undefined
        ? { index: 'tasks_by_request', isFew: true }
        : queue === undefined
          ? { isFew: true }
          : wayOf(filter, queue, (index, condition) => this.#isFew(index, [owner, condition]))
    const { index, of = [], decides = [], branches = [], isFew = false } = way
    this.#from = index === undefined ? 'tasks' : `tasks INDEXED BY ${index}`
    const ended = filter.orderBy === 'ended' ? ['ended_at_ms IS NOT NULL'] : []
    const base = allOf([owner, ...[...new Set([...of, ...ended])].map((text) => where(text))])
    const each = branches.length === 0 ? [base] : branches.map((text) => allOf([base, where(text)]))
    const decided = decides.flatMap((name) => asked[name] ?? [])
    const rest = Object.values(asked).filter((one) => !decided.includes(one))
    this.#wanted = each.map((one) => allOf([one, ...decided, ...rest]))
    this.#decided = each.map((one) => allOf([one, ...decided]))
    this.#isBounded = !isFew && rest.length > 0
    this.isDecided = !isFew && rest.length === 0
  }

  /** The tasks of a stretch in the order of the page. */
  find(stretch: Stretch, limit: number, offset: number): readonly TaskColumns[] {
    const { text, values } = this.#select(TASK_COLUMNS, this.#wanted, stretch)
    const rows = this.#database
      .prepare(`${text} ${this.#order} LIMIT ? OFFSET ?`)
      .all(...values, limit, offset)
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
    return rows as unknown as TaskColumns[]
  }

  /** How many tasks of a stretch fit, at most {@link LOOKED_AT_TASKS}. */
  count(stretch: Stretch): number {
    const { text, values } = this.#select('1', this.#wanted, stretch)
    const counted = this.#database
      .prepare(`SELECT count(*) AS total FROM (${text} LIMIT ?)`)
      .get(...values, LOOKED_AT_TASKS)
    return Number(counted?.['total'])
  }

  /** The task up to which a page looks; undefined when there is no need for a bound, or there are not so many. */
  endOfLook(after?: Position): Position | undefined {
    return this.#isBounded ? this.positionAt(LOOKED_AT_TASKS, after) : undefined
  }

  /** The `count`th, 1 or more, of those that the index leads to, found in the index alone. */
  positionAt(count: number, after?: Position): Position | undefined {
    const { text, values } = this.#select(`${this.#column}, sequence`, this.#decided, { after })
    const row = this.#database.prepare(`${text} ${this.#order} LIMIT 1 OFFSET ?`).get(...values, count - 1)
    return row === undefined ? undefined : [Number(row[this.#column]), Number(row['sequence'])]
  }

  positionOf(row: TaskColumns): Position {
    return [row[this.#column] ?? 0, row.sequence]
  }

  get #order(): string {
    const direction = this.#isOldestFirst ? 'ASC' : 'DESC'
    return `ORDER BY ${this.#column} ${direction}, sequence ${direction}`
  }

  #select(columns: string, branches: readonly Condition[], { after, end }: Stretch): Condition {
    const [beyond, upTo] = this.#isOldestFirst ? ['>', '<='] : ['<', '>=']
    const position = `(${this.#column}, sequence)`
    const bounds = [
      ...(after === undefined ? [] : [where(`${position} ${beyond} (?, ?)`, ...after)]),
      ...(end === undefined ? [] : [where(`${position} ${upTo} (?, ?)`, ...end)]),
    ]
    const [low, high] = this.#isOldestFirst ? [after, end] : [end, after]
    // Of two bounds on one side the index is to go by the narrower one: the other is hidden from it.
    const hidden = (text: string, operator: '>=' | '<'): string =>
      text.replace(` AND ${this.#column} ${operator} ?`, ` AND +${this.#column} ${operator} ?`)
    const each = branches.map(({ text, values }) => {
      const above = low === undefined ? text : hidden(text, '>=')
      return allOf([{ text: high === undefined ? above : hidden(above, '<'), values }, ...bounds])
    })
    return {
      text: each.map(({ text }) => `SELECT ${columns} FROM ${this.#from} WHERE ${text}`).join(' UNION ALL '),
      values: each.flatMap(({ values }) => values),
    }
  }

  #isFew(index: string, conditions: readonly (Condition | undefined)[]): boolean {
    const { text, values } = allOf(conditions)
    const counted = this.#database
      .prepare(
        `SELECT count(*) AS there FROM (SELECT 1 FROM tasks INDEXED BY ${index} WHERE ${text} LIMIT ?)`,
      )
      .get(...values, FEW_TASKS + 1)
    return Number(counted?.['there']) <= FEW_TASKS
  }
}

/** Tasks of a function in some states, as they are counted anyway. */
export function countOf(queue: FunctionQueue, statuses: readonly TaskRecord['status'][]): number {
  return [...new Set(statuses)].reduce(
    (sum, status) => sum + (isEnding(status) ? keptTasks(queue.counts, status) : queue.counts[status]),
    0,
  )
}

/** The index to go by: one that leads to few tasks, or else one in the order of the page that leaves out most of what does not fit. */
function wayOf(
  filter: TaskFilter,
  queue: FunctionQueue,
  isFewIn: (index: string, condition: Condition | undefined) => boolean,
): Way {
  const { statuses = [], orderBy = 'accepted', taskIdPrefix, qualifier, source, isRepeat } = filter
  const asked = conditionsOf(filter)
  const isOfEnded = asked.ended !== undefined || orderBy === 'ended'
  const live = statuses.filter((status) => !isEnding(status))
  const endings = statuses.length === 0 && isOfEnded ? TASK_ENDINGS : statuses.filter(isEnding)

  if (statuses.length > 0 && countOf(queue, statuses) <= FEW_TASKS) {
    if (live.length === 0) return { index: 'tasks_by_ending', of: [ENDED], isFew: true }
    if (endings.length === 0) {
      if (live.includes('waiting')) return { index: 'tasks_by_function', of: [LIVE], isFew: true }
      return { index: 'tasks_leased', of: ["status = 'leased'"], isFew: true }
    }
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
      index: 'tasks_by_qualifier',
      of: ['qualifier IS NOT NULL', `qualifier <> '${LATEST}'`],
      decides: ['qualifier', 'accepted'],
    }
  if (endings.length > 0 && live.length === 0)
    return {
      index: 'tasks_by_ending',
      of: [ENDED],
      decides: ['status', 'accepted'],
      branches: [...new Set(endings)].map((ending) => `status = '${ending}'`),
    }
  if (taskIdPrefix !== undefined)
    return {
      index: 'tasks_with_own_id',
      of: ['task_id IS NOT NULL'],
      decides: taskIdPrefix === '' ? ['prefix', 'accepted'] : ['accepted'],
    }
  if (source !== undefined) return { index: 'tasks_by_source', decides: ['source', 'accepted'] }
  return { index: 'tasks_by_acceptance', decides: ['accepted'] }
}

const LIVE = 'ended_at_ms IS NULL'
const ENDED = 'ended_at_ms IS NOT NULL'

function conditionsOf(filter: TaskFilter): Conditions {
  const { taskIdPrefix: prefix, requestIds, isRepeat, statuses } = filter
  const all: Record<keyof Conditions, Condition | undefined> = {
    qualifier: where('qualifier = ?', filter.qualifier),
    source: where('source = ?', filter.source),
    requestIds:
      requestIds && where('request_id IN (SELECT value FROM json_each(?))', JSON.stringify(requestIds)),
    accepted: rangeOf('accepted_at_ms', filter.acceptedFromMs, filter.acceptedToMs),
    started: rangeOf('started_at_ms', filter.startedFromMs, filter.startedToMs),
    ended: rangeOf('ended_at_ms', filter.endedFromMs, filter.endedToMs),
    repeat: isRepeat === undefined ? undefined : where(isRepeat ? 'attempts > 0' : 'attempts = 0'),
    prefix:
      prefix === undefined
        ? undefined
        : allOf([
            where('task_id IS NOT NULL'),
            prefix === '' ? undefined : where('task_id >= ? AND task_id < ?', prefix, `${prefix}\u{10FFFF}`),
          ]),
    status: statuses && where(statusCondition(statuses)),
  }
  return Object.fromEntries(Object.entries(all).filter(([, condition]) => condition !== undefined))
}

function rangeOf(column: string, from: number | undefined, to: number | undefined): Condition | undefined {
  if (from === undefined && to === undefined) return undefined
  return allOf([where(`${column} >= ?`, from), where(`${column} < ?`, to)])
}

/** Undefined when a value is not given: then nothing is asked. */
function where(text: string, ...given: (SQLInputValue | undefined)[]): Condition | undefined {
  const values = given.filter((value) => value !== undefined)
  return values.length < given.length ? undefined : { text, values }
}

function allOf(conditions: readonly (Condition | undefined)[]): Condition {
  const given = conditions.filter((condition) => condition !== undefined)
  return {
    text: given.map(({ text }) => text).join(' AND '),
    values: given.flatMap(({ values }) => values),
  }
}

/** Words of ours, never of those who ask: what is not a status is left out. */
function statusCondition(statuses: readonly TaskRecord['status'][]): string {
  const stored = statuses.flatMap((status) =>
    status === 'running' ? ["'leased'"] : status === 'waiting' || isEnding(status) ? [`'${status}'`] : [],
  )
  return stored.length === 1 ? `status = ${stored[0]}` : `status IN (${stored.join(', ')})`
}

function isEnding(status: TaskRecord['status']): status is TaskEnding {
  return TASK_ENDINGS.some((ending) => ending === status)
}
