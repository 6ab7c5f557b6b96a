/** Primary result codes; source: https://sqlite.org/rescode.html */
const SQLITE_BUSY = 5
const SQLITE_IOERR = 10
const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
const SQLITE_NOTADB = 26

/** The primary result code of an error from `node:sqlite`; undefined for any other error. */
function primaryCodeOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number')
    return undefined
  // Extended codes keep the primary one in their low byte.
  return error.errcode & 0xff
}

/** Whether another connection holds the database. */
export function isBusy(error: unknown): boolean {
  return primaryCodeOf(error) === SQLITE_BUSY
}

/** Whether there is no room on the disk. The transaction is rolled back, and what was committed before is safe. */
export function isFull(error: unknown): boolean {
  return primaryCodeOf(error) === SQLITE_FULL
}

/**
 * Whether nothing may be written any more. After a failed fsync the kernel may have dropped the pages, so a
 * second try that succeeds proves nothing; a new start reads what is really on the disk.
 */
export function isFatal(error: unknown): error is Error {
  const code = primaryCodeOf(error)
  return code === SQLITE_IOERR || code === SQLITE_CORRUPT || code === SQLITE_NOTADB
}
