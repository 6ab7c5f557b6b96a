import { randomBytes } from 'node:crypto'
import { closeSync, constants, openSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { TicketFile } from '../sandbox/sandbox.ts'
import { serverName } from '../sandbox/server-name.ts'

/** A file that never had a name; open(2), `O_TMPFILE`. Linux has this number on every processor but alpha, parisc and sparc. */
const NAMELESS = 0o20_000_000 | constants.O_DIRECTORY

/**
 * Makes the empty file of a ticket book. It has no name, so that it is gone with its descriptors, and never had one, so that a
 * server killed meanwhile leaves nothing.
 *
 * Where the file system knows no such files (overlayfs before Linux 6.1) it has the server's name for a moment: what a server killed
 * in it leaves is removed by the next one, as its directories are.
 *
 * @param dir A directory on memory-backed storage.
 * @throws When the file cannot be made or opened; nothing is left of it then.
 */
export function makeTicketFile(dir: string): TicketFile {
  const writeFd = openNameless(dir)
  return writeFd === undefined ? makeNamed(dir) : reopened(writeFd, `/proc/self/fd/${writeFd}`)
}

/** Called once, by whoever has the file. */
export function closeTicketFile({ writeFd, readFd }: TicketFile): void {
  closeSync(writeFd)
  closeSync(readFd)
}

function openNameless(dir: string): number | undefined {
  try {
    // Exclusive: nobody who has a descriptor can give it a name.
    return openSync(dir, NAMELESS | constants.O_EXCL | constants.O_WRONLY, 0o400)
  } catch {
    return undefined
  }
}

function makeNamed(dir: string): TicketFile {
  const path = join(dir, `${serverName()}-${randomBytes(3).toString('hex')}`)
  const writeFd = openSync(path, 'wx', 0o400)
  try {
    return reopened(writeFd, path)
  } finally {
    unlinkSync(path)
  }
}

function reopened(writeFd: number, path: string): TicketFile {
  try {
    return { writeFd, readFd: openSync(path, 'r') }
  } catch (error) {
    closeSync(writeFd)
    throw error
  }
}
