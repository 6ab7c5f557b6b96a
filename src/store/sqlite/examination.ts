import {
  copyFileSync,
  constants,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  type BigIntStats,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { refuseEmptied } from './emptied.ts'
import { isDamage } from './sqlite-error.ts'
import { StoreRefused } from './store-refused.ts'

/** A second or so of reading. */
const MAX_EXAMINED_BYTES = 1024 ** 3
/** What is copied for it, where a server that was killed has left its log. */
const MAX_COPIED_BYTES = 256 * 1024 ** 2
const MIB = 1024 * 1024

/** What was found out about a database. */
export type DatabaseExamination =
  | { readonly state: 'absent' | 'in-use' }
  /** Every page hangs together, as `PRAGMA quick_check` has it; content within a page may still be wrong. */
  | { readonly state: 'sound'; readonly mib: number }
  | { readonly state: 'damaged'; readonly reason: string }
  | { readonly state: 'emptied'; readonly reason: string; readonly fix: string }
  | { readonly state: 'unexamined'; readonly reason: string }

/**
 * Looks whether the database of a server that does not run hangs together, and changes nothing: neither it nor its log is locked or written.
 * One that is larger than 1 GiB, or than 256 MiB with the log of a server that was killed, is not looked at.
 *
 * @param traces As for {@link refuseEmptied}.
 */
export function examineDatabase(file: string, traces: readonly string[]): DatabaseExamination {
  try {
    refuseEmptied(file, traces)
    return examine(file)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    if (error instanceof StoreRefused) return { state: 'emptied', reason, fix: error.fix ?? '' }
    return isDamage(error) ? { state: 'damaged', reason } : { state: 'unexamined', reason }
  }
}

function examine(file: string): DatabaseExamination {
  const before = statOf(file)
  if (before === undefined) return { state: 'absent' }
  if (isLocked(before)) return { state: 'in-use' }
  const log = statOf(`${file}-wal`)
  const bytes = Number(before.size + (log?.size ?? 0n))
  const hasLog = log !== undefined && log.size > 0n
  const limit = hasLog ? MAX_COPIED_BYTES : MAX_EXAMINED_BYTES
  const mib = Math.ceil(bytes / MIB)
  if (bytes > limit)
    return {
      state: 'unexamined',
      reason: `${mib} MiB are more than the ${limit / MIB} MiB that are looked at`,
    }
  const fault = hasLog ? faultOfCopy(file) : faultOf(unchanging(file))
  // A server of another container shows no lock here.
  if (!isSame(before, statOf(file)) || !isSame(log, statOf(`${file}-wal`))) return { state: 'in-use' }
  return fault === undefined ? { state: 'sound', mib } : { state: 'damaged', reason: fault }
}

/** With its log, as a start would read it: to open it in its place would write. */
function faultOfCopy(file: string): string | undefined {
  const dir = mkdtempSync(join(tmpdir(), 'anvoke-examined-'))
  try {
    const copy = join(dir, 'copy.db')
    copyFileSync(file, copy, constants.COPYFILE_FICLONE)
    copyFileSync(`${file}-wal`, `${copy}-wal`, constants.COPYFILE_FICLONE)
    return faultOf(copy)
  } finally {
    rmSync(dir, { recursive: true })
  }
}

/** So that no lock is taken, and no log or index of one is made. */
function unchanging(file: string): URL {
  const url = pathToFileURL(file)
  url.search = '?immutable=1'
  return url
}

function faultOf(file: string | URL): string | undefined {
  try {
    using database = new DatabaseSync(file, { readOnly: file instanceof URL, allowExtension: false })
    const found = database.prepare('PRAGMA quick_check(1)').get()?.['quick_check']
    return found === 'ok' ? undefined : String(found).replaceAll(/\s+/g, ' ').trim()
  } catch (error) {
    if (isDamage(error) && error instanceof Error) return error.message
    throw error
  }
}

/** Whether a process holds a lock on a file. Asked of the kernel, as to try the lock would keep a server from starting. */
function isLocked({ dev, ino }: BigIntStats): boolean {
  const hex = (number: bigint): string => number.toString(16).padStart(2, '0')
  // The numbers of a device as the kernel packs them for user space.
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn)
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn)
  const id = `${hex(major)}:${hex(minor)}:${ino}`
  return readFileSync('/proc/locks', 'utf8')
    .split('\n')
    .some((line) => line.split(/\s+/).includes(id))
}

function statOf(path: string): BigIntStats | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })
}

function isSame(before: BigIntStats | undefined, after: BigIntStats | undefined): boolean {
  return before?.size === after?.size && before?.mtimeNs === after?.mtimeNs && before?.ino === after?.ino
}
