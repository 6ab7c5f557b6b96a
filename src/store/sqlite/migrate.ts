import { readdirSync, readFileSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import { StoreRefused } from './store-refused.ts'

const MIGRATIONS = new URL('./migrations/', import.meta.url)
const MIGRATION_NAME = /^(\d{4})-[a-z0-9-]+\.sql$/

/**
 * Brings the database to the newest schema. Each `migrations/NNNN-….sql` runs once, in the order of its number,
 * in one transaction with the new `user_version`, which is the number of the last one applied.
 *
 * @throws {StoreRefused} the database was written by a newer version of this program.
 */
export function migrate(database: DatabaseSync, file: string): void {
  const names = readdirSync(MIGRATIONS)
    .filter((name) => MIGRATION_NAME.test(name))
    .toSorted()
  const applied = schemaVersionOf(database)
  if (applied > names.length)
    throw new StoreRefused(
      file,
      `was written by a newer version (schema ${applied}, this one knows ${names.length}); start that version`,
    )
  for (const [index, name] of names.entries()) {
    const number = index + 1
    if (Number(name.slice(0, 4)) !== number) throw new Error(`migration ${number} is missing, found ${name}`)
    if (number <= applied) continue
    database.exec('BEGIN IMMEDIATE')
    try {
      database.exec(readFileSync(new URL(name, MIGRATIONS), 'utf8'))
      // PRAGMA takes no bound parameter; the number is the loop's own.
      database.exec(`PRAGMA user_version = ${number}`)
      database.exec('COMMIT')
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK')
      throw error
    }
  }
}

function schemaVersionOf(database: DatabaseSync): number {
  return Number(database.prepare('PRAGMA user_version').get()?.['user_version'])
}
