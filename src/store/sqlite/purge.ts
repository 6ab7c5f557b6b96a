import type { DatabaseSync } from 'node:sqlite'
import type { InputOf } from './operations.ts'

/** Forgets tasks that ended long ago, oldest first; how many. */
export type PurgeTasks = (input: InputOf<'purgeTasks'>) => number

export function preparePurge(database: DatabaseSync): PurgeTasks {
  const purge = database.prepare(
    `DELETE FROM tasks WHERE sequence IN
       (SELECT sequence FROM tasks WHERE ended_at_ms < ? ORDER BY ended_at_ms LIMIT ?)`,
  )
  return ({ endedBeforeMs, limit }) => Number(purge.run(endedBeforeMs, limit).changes)
}
