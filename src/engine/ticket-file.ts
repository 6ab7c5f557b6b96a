import { randomUUID } from 'node:crypto'
import { closeSync, openSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { TicketFile } from '../sandbox/sandbox.ts'

/**
 * Makes the empty file of a ticket book. It has no name any more when this returns, so that it is gone with its descriptors.
 *
 * @param dir A directory on memory-backed storage that only the server can enter.
 * @throws When the file cannot be made or opened; nothing is left of it then.
 */
export function makeTicketFile(dir: string): TicketFile {
  const path = join(dir, `tickets-${randomUUID()}`)
  const writeFd = openSync(path, 'wx', 0o400)
  try {
    return { writeFd, readFd: openSync(path, 'r') }
  } catch (error) {
    closeSync(writeFd)
    throw error
  } finally {
    unlinkSync(path)
  }
}

/** Called once, by whoever has the file. */
export function closeTicketFile({ writeFd, readFd }: TicketFile): void {
  closeSync(writeFd)
  closeSync(readFd)
}
