import type { SandboxProcess } from './sandbox.ts'

/** Time between samples, milliseconds, unless told otherwise. */
const DEFAULT_INTERVAL_MS = 200

/**
 * Ends processes that use more memory than they may.
 *
 * One timer for all, running only while something is watched. A process can pass its limit for up to one interval; an exact
 * limit is the kernel's to enforce, see README.
 */
export class MemoryWatch {
  readonly #intervalMs: number
  readonly #limits = new Map<SandboxProcess, number>()
  #timer: NodeJS.Timeout | undefined

  /** @param intervalMs Time between samples, milliseconds, from 10; default 200. */
  constructor(intervalMs = DEFAULT_INTERVAL_MS) {
    this.#intervalMs = intervalMs
  }

  /**
   * Ends the process, with an exit of kind `outOfMemory`, when its tree is seen with more than `limitBytes` resident.
   *
   * @returns Stops watching. It stops by itself when the process has ended.
   */
  watch(process: SandboxProcess, limitBytes: number): () => void {
    this.#limits.set(process, limitBytes)
    if (this.#timer === undefined) this.#schedule()
    const forget = (): void => this.#forget(process)
    void process.exited.then(forget)
    return forget
  }

  /** Stops watching everything. */
  close(): void {
    this.#limits.clear()
    this.#stop()
  }

  #forget(process: SandboxProcess): void {
    this.#limits.delete(process)
    if (this.#limits.size === 0) this.#stop()
  }

  #schedule(): void {
    this.#timer = setTimeout(() => void this.#tick(), this.#intervalMs)
    this.#timer.unref()
  }

  #stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  async #tick(): Promise<void> {
    const fired = this.#timer
    // One after another: a burst of readings would fill the thread pool that the server's own files need.
    for (const [process, limitBytes] of this.#limits) {
      const { currentBytes } = await process.memory()
      if (currentBytes > limitBytes && this.#limits.has(process)) process.kill('outOfMemory')
    }
    // Forgetting the last and watching another in the meantime has set a new timer already.
    if (this.#timer === fired && fired !== undefined) this.#schedule()
  }
}
