import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { constants } from 'node:os'

/** Primary result codes; source: https://sqlite.org/rescode.html */
const SQLITE_BUSY = 5
const SQLITE_IOERR = 10
const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
const SQLITE_NOTADB = 26
/** Extended; any fault of a write but ENOSPC, which is SQLITE_FULL. */
const SQLITE_IOERR_WRITE = SQLITE_IOERR | (3 << 8)

/** More than a block, less than anybody misses. */
const PROBE_BYTES = 64 * 1024

/** The write that SQLite reported as a fault of the disk was refused as the quota of the server's user is used up. */
export class QuotaUsedUp extends Error {
  override readonly name = 'QuotaUsedUp'
}

/**
 * The error, as {@link QuotaUsedUp} where it is that. SQLite does not tell: so the next file is written beside the database, to see why
 * it cannot be.
 */
export function namedError(error: unknown, file: string | null): unknown {
  if (!(error instanceof Error) || !('errcode' in error) || error.errcode !== SQLITE_IOERR_WRITE) return error
  if (file === null) return error
  const probe = `${file}-probe`
  try {
    const descriptor = openSync(probe, 'w', 0o600)
    try {
      const written = writeSync(descriptor, Buffer.alloc(PROBE_BYTES), 0, PROBE_BYTES, 0)
      return written < PROBE_BYTES ? new QuotaUsedUp(error.message, { cause: error }) : error
    } finally {
      closeSync(descriptor)
      unlinkSync(probe)
    }
  } catch (refusal) {
    // By its number: it has no name among those that Node.js gives.
    const isQuota =
      refusal instanceof Error && 'errno' in refusal && refusal.errno === -constants.errno.EDQUOT
    return isQuota ? new QuotaUsedUp(error.message, { cause: error }) : error
  }
}

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
  return primaryCodeOf(error) === SQLITE_FULL || error instanceof QuotaUsedUp
}

/** Whether what is in the database is not what was written: no start mends that. */
export function isDamage(error: unknown): boolean {
  const code = primaryCodeOf(error)
  return code === SQLITE_CORRUPT || code === SQLITE_NOTADB
}

/**
 * Whether nothing may be written any more. After a failed fsync the kernel may have dropped the pages, so a
 * second try that succeeds proves nothing; a new start reads what is really on the disk.
 */
export function isFatal(error: unknown): error is Error {
  return primaryCodeOf(error) === SQLITE_IOERR || isDamage(error)
}
