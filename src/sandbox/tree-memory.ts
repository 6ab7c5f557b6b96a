import { open, type FileHandle } from 'node:fs/promises'
import { childrenOf } from './proc.ts'

/** Memory of a process tree, bytes. */
export interface TreeUsage {
  readonly currentBytes: number
  readonly peakBytes: number
}

/** Where a tree begins, as far as it is known. */
export interface TreeRoots {
  /** A process that is part of the tree. */
  readonly counted?: number | undefined
  /** One that is not, but whose children are: a launcher, or who adopts orphans. */
  readonly launcher?: number | undefined
}

/** How often the tree is walked anew, in samples; between walks only the processes already known are read. */
const SAMPLES_PER_WALK = 5

/** Processes counted in one tree; more than a function may have. */
const MOST_PROCESSES = 1024

/**
 * Resident memory of a process and all its descendants, read from `/proc`.
 *
 * The sum counts pages that several processes share once for each. Each status file is opened once and read again from
 * its start, which takes one trip to the thread pool and can never read a stranger that was given the same pid.
 */
export class TreeMemory {
  readonly #roots: () => TreeRoots
  readonly #files = new Map<number, FileHandle>()
  readonly #buffer = Buffer.allocUnsafe(4096)
  #usage: TreeUsage = { currentBytes: 0, peakBytes: 0 }
  #sampling: Promise<TreeUsage> | undefined
  #samples = 0
  #closed = false

  /** @param roots Asked now and then. */
  constructor(roots: () => TreeRoots) {
    this.#roots = roots
  }

  /** The figures now, or the last known ones when the tree has ended. Calls at the same time share one reading. */
  sample(): Promise<TreeUsage> {
    this.#sampling ??= this.#read().finally(() => (this.#sampling = undefined))
    return this.#sampling
  }

  /** Lets go of the open files; later samples are the last one. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#sampling
    await Promise.all([...this.#files.keys()].map((pid) => this.#forget(pid)))
  }

  async #read(): Promise<TreeUsage> {
    if (this.#closed) return this.#usage
    if (this.#files.size === 0 || this.#samples % SAMPLES_PER_WALK === 0) await this.#walk()
    this.#samples += 1
    let currentBytes = 0
    let highestBytes = 0
    for (const [pid, file] of this.#files) {
      const status = await file
        .read(this.#buffer, 0, this.#buffer.length, 0)
        .then(({ bytesRead }) => this.#buffer.toString('latin1', 0, bytesRead))
        .catch(() => undefined)
      const residentBytes = fieldBytes(status, 'VmRSS')
      if (residentBytes === undefined) await this.#forget(pid)
      else currentBytes += residentBytes
      highestBytes = Math.max(highestBytes, fieldBytes(status, 'VmHWM') ?? 0)
    }
    if (currentBytes > 0) {
      const peakBytes = Math.max(this.#usage.peakBytes, currentBytes, highestBytes)
      this.#usage = { currentBytes, peakBytes }
    }
    return this.#usage
  }

  async #walk(): Promise<void> {
    const { counted, launcher } = this.#roots()
    if (counted === undefined && launcher === undefined) return
    const found = counted === undefined ? [] : [counted]
    if (launcher !== undefined) found.push(...(await childrenOf(launcher)))
    for (const pid of found) {
      if (found.length >= MOST_PROCESSES) break
      found.push(...(await childrenOf(pid)))
    }
    for (const pid of this.#files.keys()) if (!found.includes(pid)) await this.#forget(pid)
    for (const pid of found) {
      if (this.#files.has(pid)) continue
      const file = await open(`/proc/${pid}/status`).catch(() => undefined)
      if (file !== undefined) this.#files.set(pid, file)
    }
  }

  async #forget(pid: number): Promise<void> {
    const file = this.#files.get(pid)
    this.#files.delete(pid)
    await file?.close()
  }
}

function fieldBytes(status: string | undefined, field: 'VmRSS' | 'VmHWM'): number | undefined {
  const start = status?.indexOf(`${field}:`) ?? -1
  return status === undefined || start < 0 ? undefined : Number.parseInt(status.slice(start + 6), 10) * 1024
}
