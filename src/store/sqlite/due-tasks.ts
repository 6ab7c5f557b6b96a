import type { DatabaseSync } from 'node:sqlite'
import type { FunctionName } from '../../model/function.ts'
import type { FunctionShare } from '../task-queue.ts'

/** Finds tasks by the time they are due. */
export interface DueTasks {
  /** Row numbers of up to `limit` due tasks, oldest due first, of each function no more than its share leaves. */
  readonly sequences: (limit: number, nowMs: number, share?: FunctionShare) => readonly number[]
  /** When the first task of a function that does not have its share is due. */
  readonly nextAtMs: (share?: FunctionShare) => number | undefined
}

/** A task, by what decides whether it is taken. */
interface DueRow extends OwnerRow {
  readonly sequence: number
  readonly due_at_ms: number
}

interface OwnerRow {
  readonly account: string
  readonly namespace: string
  readonly function_name: string
}

/** A function with the time its first task is due. */
interface FirstDueRow extends OwnerRow {
  readonly first_due_at_ms: number
}

/**
 * Prepares the searches. While no function has its share, they read no more rows than they return. Otherwise they go
 * through the functions that have tasks, one probe of the index each, and through the due tasks of those with room:
 * what it costs does not grow with the number of tasks that wait for their function.
 */
export function prepareDueTasks(database: DatabaseSync): DueTasks {
  const selectDue = database.prepare(
    `SELECT sequence, due_at_ms, account, namespace, function_name FROM tasks
     WHERE ended_at_ms IS NULL AND due_at_ms <= ? ORDER BY due_at_ms, sequence LIMIT ?`,
  )
  const selectDueOf = database.prepare(
    `SELECT sequence, due_at_ms, account, namespace, function_name FROM tasks INDEXED BY tasks_by_function
     WHERE ended_at_ms IS NULL AND account = ? AND namespace = ? AND function_name = ? AND due_at_ms <= ?
     ORDER BY due_at_ms, sequence LIMIT ?`,
  )
  // Row values are sought with >=: without the latest time there is, the search would read all tasks of the function.
  const selectNextFunction = database.prepare(
    `SELECT account, namespace, function_name, due_at_ms AS first_due_at_ms FROM tasks INDEXED BY tasks_by_function
     WHERE ended_at_ms IS NULL AND (account, namespace, function_name, due_at_ms) > (?, ?, ?, 9223372036854775807)
     ORDER BY account, namespace, function_name, due_at_ms LIMIT 1`,
  )
  const selectNextDue = database.prepare('SELECT min(due_at_ms) AS due FROM tasks WHERE ended_at_ms IS NULL')

  const functionsWithRoom = (rooms: Rooms): FirstDueRow[] => {
    const found: FirstDueRow[] = []
    let at: OwnerRow = { account: '', namespace: '', function_name: '' }
    for (;;) {
      const next = selectNextFunction.get(at.account, at.namespace, at.function_name)
      if (next === undefined) return found
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
      const row = next as unknown as FirstDueRow
      if (rooms.of(row) > 0) found.push(row)
      at = row
    }
  }

  return {
    sequences(limit, nowMs, share) {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
      const oldest = selectDue.all(nowMs, limit) as unknown as DueRow[]
      if (share === undefined) return oldest.map(({ sequence }) => sequence)
      const rooms = new Rooms(share)
      const taken = oldest.filter((row) => rooms.take(row))
      if (taken.length === oldest.length) return taken.map(({ sequence }) => sequence)

      const all = new Rooms(share)
      // A task among the first `limit` belongs to one of the `limit` functions whose first task is due earliest.
      const functions = functionsWithRoom(all)
        .filter(({ first_due_at_ms }) => first_due_at_ms <= nowMs)
        .sort((a, b) => a.first_due_at_ms - b.first_due_at_ms)
        .slice(0, limit)
      return functions
        .flatMap((row) => {
          const most = Math.min(all.of(row), limit)
          const { account, namespace, function_name } = row
          // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
          return selectDueOf.all(account, namespace, function_name, nowMs, most) as unknown as DueRow[]
        })
        .sort((a, b) => a.due_at_ms - b.due_at_ms || a.sequence - b.sequence)
        .slice(0, limit)
        .map(({ sequence }) => sequence)
    },

    nextAtMs(share) {
      if (share === undefined || share.running.every(({ runs }) => runs < share.maxRuns)) {
        const due = selectNextDue.get()?.['due'] ?? undefined
        return due === undefined ? undefined : Number(due)
      }
      let first: number | undefined
      for (const { first_due_at_ms } of functionsWithRoom(new Rooms(share)))
        if (first === undefined || first_due_at_ms < first) first = first_due_at_ms
      return first
    },
  }
}

/** How many more tasks of each function may be taken. */
class Rooms {
  readonly #maxRuns: number
  readonly #left = new Map<string, number>()

  constructor({ maxRuns, running }: FunctionShare) {
    this.#maxRuns = maxRuns
    for (const one of running) this.#left.set(keyOf(one), maxRuns - one.runs)
  }

  of(row: OwnerRow): number {
    return this.#left.get(ownerOf(row)) ?? this.#maxRuns
  }

  /** Counts a task as taken; false when there is no room for it. */
  take(row: OwnerRow): boolean {
    const left = this.of(row)
    if (left <= 0) return false
    this.#left.set(ownerOf(row), left - 1)
    return true
  }
}

function ownerOf({ account, namespace, function_name }: OwnerRow): string {
  return keyOf({ account, namespace, name: function_name })
}

/** No name contains a slash. */
function keyOf({ account, namespace, name }: FunctionName): string {
  return `${account}/${namespace}/${name}`
}
