import { setImmediate } from 'node:timers/promises'
import type { MemoryFollower, SandboxProcess } from './sandbox.ts'

/** Time between samples, milliseconds, unless told otherwise. */
const DEFAULT_INTERVAL_MS = 200
/** Cheap looks in a row, each of some 10 µs, before whatever else is to be done comes first. */
const LOOKS_IN_A_ROW = 32

interface Watched {
  readonly limitBytes: number
  readonly follower: MemoryFollower | undefined
}

/**
 * Ends processes that use more memory than they may.
 *
 * One timer for all, running only while something is watched. A process can pass its limit for up to one interval.
 */
export class MemoryWatch {
  readonly #intervalMs: number
  readonly #watched = new Map<SandboxProcess, Watched>()
  #timer: NodeJS.Timeout | undefined

  /** @param intervalMs Time between samples, milliseconds, from 10; default 200. */
  constructor(intervalMs = DEFAULT_INTERVAL_MS) {
    this.#intervalMs = intervalMs
  }

  /**
   * Ends the process, with an exit of kind `outOfMemory`, when its tree is seen with more than `limitBytes`, or the kernel has ended
   * a part of it for that.
   *
   * @param follower Told of samples; default nobody.
   * @returns Stops watching. It stops by itself when the process has ended.
   */
  watch(process: SandboxProcess, limitBytes: number, follower?: MemoryFollower): () => void {
    this.#watched.set(process, { limitBytes, follower })
    if (this.#timer === undefined) this.#schedule()
    const forget = (): void => this.#forget(process)
    void process.exited.then(forget)
    return forget
  }

  /** Stops watching everything. */
  close(): void {
    this.#watched.clear()
    this.#stop()
  }

  #forget(process: SandboxProcess): void {
    this.#watched.delete(process)
    if (this.#watched.size === 0) this.#stop()
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
    let looks = 0
    // One after another: a burst of readings would fill the thread pool that the server's own files need.
    for (const [process, { limitBytes, follower }] of this.#watched) {
      const isWanted = follower?.wantsSample() === true
      // What stands still takes no more.
      if (process.isFrozen === true && !isWanted) continue
      if (!isWanted && process.staysWithin?.(limitBytes) === true) {
        looks += 1
        if (looks % LOOKS_IN_A_ROW === 0) await setImmediate()
        continue
      }
      const usage = await process.memory(limitBytes)
      if (!this.#watched.has(process)) continue
      if (isWanted) follower?.onSample(usage)
      if (usage.currentBytes > limitBytes || usage.overLimit === true) process.kill('outOfMemory')
    }
    // Forgetting the last and watching another in the meantime has set a new timer already.
    if (this.#timer === fired && fired !== undefined) this.#schedule()
  }
}
