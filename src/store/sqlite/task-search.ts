import type { DatabaseSync } from 'node:sqlite'
import { LOOKED_AT_TASKS, type TaskFilter } from '../task-queue.ts'
import type { FunctionQueue } from './function-queue.ts'
import { allOf, conditionsOf, where, type Condition, type PartialIndex } from './task-conditions.ts'
import { TASK_COLUMNS, type TaskColumns } from './task-rows.ts'
import { wayOf, type Way } from './task-way.ts'

/** Counted in one look where an index leads to what fits and to nothing else. */
const COUNTED_TASKS = 25_000

/** Where a page ends: by time, and among equals by acceptance. */
export type Position = readonly [ms: number, sequence: number]

/** A part of an order: what comes after the one, up to and with the other. */
interface Stretch {
  readonly after?: Position | undefined
  readonly end?: Position | undefined
}

/** What a filter asks the database. */
export class TaskSearch {
  readonly #database: DatabaseSync
  readonly #owner: Condition
  readonly #column: 'accepted_at_ms' | 'ended_at_ms'
  readonly #isOldestFirst: boolean
  /** All that was asked for, once for each branch. */
  readonly #wanted: readonly Condition[]
  /** Only what the index decides. */
  readonly #decided: readonly Condition[]
  /** What each branch is selected from. */
  readonly #from: readonly string[]
  readonly #isBounded: boolean
  /** Whether the index leads to the tasks that fit and to no others, in the order of the page. */
  readonly isDecided: boolean

  constructor(database: DatabaseSync, filter: TaskFilter, queue: FunctionQueue | undefined) {
    this.#database = database
    this.#column = filter.orderBy === 'ended' ? 'ended_at_ms' : 'accepted_at_ms'
    this.#isOldestFirst = filter.order === 'oldest'
    this.#owner = allOf([
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
          : wayOf(filter, queue, this.#countIn.bind(this))
    const { index, of = [], decides = [], says = [], branches = [{ text: '' }], isFew = false } = way
    this.#from = branches.map((branch) => {
      const by = branch.index ?? index
      return by === undefined ? 'tasks' : `tasks INDEXED BY ${by}`
    })
    for (const name of says) delete asked[name]
    const ended = filter.orderBy === 'ended' ? ['ended_at_ms IS NOT NULL'] : []
    const base = allOf([this.#owner, ...[...new Set([...of, ...ended])].map((text) => where(text))])
    const each = branches.map(({ text }) => allOf([base, text === '' ? undefined : where(text)]))
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

  /** How many tasks of a stretch fit, at most so many. */
  count(stretch: Stretch, most = LOOKED_AT_TASKS): number {
    const { text, values } = this.#select('1', this.#wanted, stretch)
    const counted = this.#database
      .prepare(`SELECT count(*) AS total FROM (${text} LIMIT ?)`)
      .get(...values, most)
    return Number(counted?.['total'])
  }

  /** The task up to which a page looks; undefined when there is no need for a bound, or there are not so many. */
  endOfLook(after?: Position): Position | undefined {
    return this.#isBounded ? this.positionAt(LOOKED_AT_TASKS, after) : undefined
  }

  /** The task up to which is counted in one look; undefined when there are not so many, or few fit. */
  endOfCount(after?: Position): Position | undefined {
    return this.isDecided ? this.positionAt(COUNTED_TASKS, after) : this.endOfLook(after)
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
      text: each
        .map(({ text }, index) => `SELECT ${columns} FROM ${this.#from[index] ?? 'tasks'} WHERE ${text}`)
        .join(' UNION ALL '),
      values: each.flatMap(({ values }) => values),
    }
  }

  /** How many tasks of the function are in an index; undefined when they are too many for one look. */
  countPartial({ index, text }: PartialIndex): number | undefined {
    const count = this.#countIn(index, where(text), COUNTED_TASKS + 1)
    return count > COUNTED_TASKS ? undefined : count
  }

  #countIn(index: string, condition: Condition | undefined, most: number): number {
    const { text, values } = allOf([this.#owner, condition])
    const counted = this.#database
      .prepare(
        `SELECT count(*) AS there FROM (SELECT 1 FROM tasks INDEXED BY ${index} WHERE ${text} LIMIT ?)`,
      )
      .get(...values, most)
    return Number(counted?.['there'])
  }
}
