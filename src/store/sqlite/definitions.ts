import type { DatabaseSync } from 'node:sqlite'
import { RevisionConflict } from '../definition-store.ts'
import type { DefinitionChange, DefinitionRow } from './operations.ts'

/** Operations on definitions; each runs inside the transaction of its batch. */
export interface DefinitionOperations {
  loadDefinitions(): readonly DefinitionRow[]
  commitDefinitions(changes: readonly DefinitionChange[]): undefined
}

export function prepareDefinitionOperations(database: DatabaseSync): DefinitionOperations {
  const selectAll = database.prepare('SELECT kind, key, revision, value FROM definitions ORDER BY kind, key')
  const selectRevision = database.prepare('SELECT revision FROM definitions WHERE kind = ? AND key = ?')
  const upsert = database.prepare(
    `INSERT INTO definitions (kind, key, revision, value) VALUES (?, ?, ?, ?)
     ON CONFLICT (kind, key) DO UPDATE SET revision = excluded.revision, value = excluded.value`,
  )
  const remove = database.prepare('DELETE FROM definitions WHERE kind = ? AND key = ?')

  return {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement selects these columns
    loadDefinitions: () => selectAll.all() as unknown as DefinitionRow[],

    commitDefinitions(changes) {
      for (const { kind, key, expectedRevision, value } of changes) {
        const revision = Number(selectRevision.get(kind, key)?.['revision'] ?? 0)
        // The batch undoes the changes before this one: they share its savepoint.
        if (revision !== expectedRevision) throw new RevisionConflict(key)
        if (value === undefined) remove.run(kind, key)
        else upsert.run(kind, key, revision + 1, value)
      }
      return undefined
    },
  }
}
