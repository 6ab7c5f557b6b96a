import { open, readFile, type FileHandle } from 'node:fs/promises'
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
 * The sum counts pages that several processes share once for each, as after a fork. Where it passes the limit, each process is asked
 * for its share of such pages instead (PSS), which the kernel works out page by page: too much work for every sample. One that does not
 * tell it (it belongs to another user) is counted as before. Each status file is opened once and read again from
 * its start, which takes one trip to the thread pool and can never read a stranger that was given the same pid.
 */
export class TreeMemory {
  readonly #roots: () => TreeRoots
  readonly #files = new Map<number, FileHandle>()
  readonly #buffer = Buffer.allocUnsafe(4096)
  #usage: TreeUsage = { currentBytes: 0, peakBytes: 0 }
  #sampling: Promise<TreeUsage> | undefined
  #samples = 0
  #limitBytes = Number.POSITIVE_INFINITY
  #closed = false

  /** @param roots Asked now and then. */
  constructor(roots: () => TreeRoots) {
    this.#roots = roots
  }

  /**
   * The figures now, or the last known ones when the tree has ended. Calls at the same time share one reading.
   *
   * @param limitBytes Above it the figures are exact where they can be, also in samples that follow; default the last one that was told.
   */
  sample(limitBytes?: number): Promise<TreeUsage> {
    if (limitBytes !== undefined) this.#limitBytes = limitBytes
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
      const status = await this.#statusOf(file)
      const residentBytes = fieldBytes(status, 'VmRSS')
      if (residentBytes === undefined) await this.#forget(pid)
      else currentBytes += residentBytes
      highestBytes = Math.max(highestBytes, fieldBytes(status, 'VmHWM') ?? 0)
    }
    // One process alone shares nothing with the tree.
    if (currentBytes > this.#limitBytes && this.#files.size > 1) currentBytes = await this.#shares()
    if (currentBytes > 0) {
      const peakBytes = Math.max(this.#usage.peakBytes, currentBytes, highestBytes)
      this.#usage = { currentBytes, peakBytes }
    }
    return this.#usage
  }

  async #shares(): Promise<number> {
    let bytes = 0
    for (const [pid, file] of this.#files) {
      const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'latin1').catch(() => undefined)
      // Read after it: as long as this file answers, the pid is no stranger's.
      const residentBytes = fieldBytes(await this.#statusOf(file), 'VmRSS')
      if (residentBytes !== undefined) bytes += fieldBytes(rollup, 'Pss') ?? residentBytes
    }
    return bytes
  }

  async #statusOf(file: FileHandle): Promise<string | undefined> {
    return await file
      .read(this.#buffer, 0, this.#buffer.length, 0)
      .then(({ bytesRead }) => this.#buffer.toString('latin1', 0, bytesRead))
      .catch(() => undefined)
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

function fieldBytes(text: string | undefined, field: 'VmRSS' | 'VmHWM' | 'Pss'): number | undefined {
  const start = text?.indexOf(`${field}:`) ?? -1
  return text === undefined || start < 0
    ? undefined
    : Number.parseInt(text.slice(start + field.length + 1), 10) * 1024
}
