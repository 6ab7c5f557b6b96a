import { closeSync, openSync, readSync, unlinkSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'

/** More than bwrap ever writes there. */
const MOST_BYTES = 1024

/**
 * What bwrap tells through `--json-status-fd`: a file without a name, written by bwrap and read here when needed.
 *
 * A pipe would be read more easily. But a bwrap that writes to a pipe whose reader has just been killed ends
 * before it has let its child go on, which then waits for ever.
 */
export class StatusFile {
  readonly fd: number
  #text = ''
  #closed = false

  /** @param dir Where the file has its name for a moment; on memory-backed storage, since it is made at every start. */
  constructor(dir: string) {
    const path = join(dir, `status-${randomUUID()}`)
    this.fd = openSync(path, 'wx+', 0o600)
    unlinkSync(path)
  }

  /** The first process of the pid namespace as the host numbers it, once there is one. */
  get namespaceInit(): number | undefined {
    const pid = /"child-pid"\s*:\s*(\d+)/.exec(this.#read())?.[1]
    return pid === undefined ? undefined : Number(pid)
  }

  /** Whether the command was executed and has ended: bwrap writes its exit code only then. */
  get commandEnded(): boolean {
    return /"exit-code"\s*:\s*\d+/.test(this.#read())
  }

  /** Closes the file; what it said stays known. */
  close(): void {
    this.#read()
    this.#closed = true
    closeSync(this.fd)
  }

  #read(): string {
    if (this.#closed) return this.#text
    const buffer = Buffer.alloc(MOST_BYTES)
    this.#text = buffer.toString('latin1', 0, readSync(this.fd, buffer, 0, MOST_BYTES, 0))
    return this.#text
  }
}
