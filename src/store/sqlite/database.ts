import { closeSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { migrate } from './migrate.ts'
import { isBusy, isDamage } from './sqlite-error.ts'
import { StoreDamaged, StoreRefused } from './store-refused.ts'

/** How long a new server waits for one that is just ending. */
const LOCK_WAIT_MS = 1000
/** Pages of 4 KiB in the write-ahead log at which it is written back. Each time takes two fsyncs more, while calls wait to be accepted. */
const WAL_PAGES = 4000
/** Pages held in memory; indexes by random ids are all over the file. SQLite's own 2 MiB are read anew all the time. */
const CACHE_KIB = 8 * 1024
/** Size the write-ahead log is cut back to after a checkpoint. */
const WAL_KEPT_BYTES = 64 * 1024 * 1024

/**
 * Opens the database for this process alone and brings its schema up to date. The file is made with mode 0600:
 * definitions hold environment variables, which are often secrets.
 *
 * The lock is SQLite's own exclusive one, held until the database is closed. The kernel drops it with the process,
 * so none is left behind by a crash. It is a POSIX lock, which a process also loses when it closes *any* descriptor
 * of the file: nothing else in this process may open the database file.
 *
 * @throws {StoreRefused} in use by another server, written by a newer version, or not usable as a database.
 * @throws {StoreDamaged} what is in it is damaged, as far as opening reads it.
 */
export function openDatabase(file: string): DatabaseSync {
  let database: DatabaseSync | undefined
  try {
    createPrivately(file)
    database = new DatabaseSync(file, { timeout: LOCK_WAIT_MS, allowExtension: false })
    // Before the first access, so that the log's index lives in memory and needs no -shm file.
    database.exec('PRAGMA locking_mode = EXCLUSIVE')
    database.exec('PRAGMA journal_mode = WAL')
    database.exec('PRAGMA synchronous = FULL')
    database.exec(`PRAGMA wal_autocheckpoint = ${WAL_PAGES}`)
    database.exec(`PRAGMA cache_size = -${CACHE_KIB}`)
    database.exec(`PRAGMA journal_size_limit = ${WAL_KEPT_BYTES}`)
    database.exec('BEGIN EXCLUSIVE; COMMIT')
    migrate(database, file)
    // What undoes one operation of a transaction is not written to a temporary file. After the migration: that may sort whole tables.
    database.exec('PRAGMA temp_store = MEMORY')
    return database
  } catch (error) {
    database?.close()
    if (error instanceof StoreRefused) throw error
    if (isBusy(error)) throw new StoreRefused(file, 'is in use by another server', { cause: error })
    const reason = error instanceof Error ? error.message : String(error)
    if (isDamage(error)) throw new StoreDamaged(file, reason, { cause: error })
    throw new StoreRefused(file, `cannot be used as the database: ${reason}`, { cause: error })
  }
}

function createPrivately(file: string): void {
  try {
    // Only when it does not exist: closing a descriptor of a database in use would drop its lock, see above.
    closeSync(openSync(file, 'wx', 0o600))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
}
