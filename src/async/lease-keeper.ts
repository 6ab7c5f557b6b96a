import type { TaskQueue } from '../store/task-queue.ts'
import type { Clock } from './clock.ts'
import type { TaskRun } from './task-run.ts'

/** Renewals within one lease: two may fail or be late before it ends. */
const RENEWALS_PER_LEASE = 3
/** Between two tries to renew what could not be renewed; leases shorter than three of these renew as often as ever. */
const FAILED_RETRY_MS = 1000

export interface LeaseKeeperOptions {
  readonly tasks: TaskQueue
  readonly leaseMs: number
  readonly clock: Clock
  /** The run's lease is not current any more. Not called for a run that is finishing: its own settlement tells. */
  readonly onLost: (run: TaskRun) => void
  /** A renewal failed; the next one may succeed. */
  readonly onFailure: (error: unknown) => void
  /** A renewal succeeded after one that had failed: it {@link LeaseKeeper.isBehind} no more. */
  readonly onCaughtUp: () => void
}

/**
 * Renews the leases of all runs together, at every third of a lease, as long as there are runs: also of those whose result waits
 * to be written. What could not be renewed is tried again each second: a full disk that lasts longer than a lease ends it on disk, and
 * it stays current for as long as nobody claims.
 */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions
  readonly #runs = new Set<TaskRun>()
  /** Calls off the next renewal; there is none while some are under way. */
  #cancelNext: (() => void) | undefined
  #renewals = 0
  #hasFailed = false

  constructor(options: LeaseKeeperOptions) {
    this.#options = options
    // Leases may have ended in a sleep: what reads the time next is a claim, which would hand out what runs here. So does the one under way.
    options.clock.onSlept?.(() => {
      if (this.#runs.size > 0) void this.#renew()
    })
  }

  /**
   * Leases may have ended on disk while their runs go on: a claim would hand out what runs here. True from a renewal that failed until one
   * succeeds, or no lease is held any more.
   */
  get isBehind(): boolean {
    return this.#hasFailed
  }

  hold(run: TaskRun): void {
    this.#runs.add(run)
    this.#plan()
  }

  letGo(run: TaskRun): void {
    this.#runs.delete(run)
    if (this.#runs.size > 0) return
    this.#hasFailed = false
    this.#cancelNext?.()
    this.#cancelNext = undefined
  }

  #plan(): void {
    const { clock, leaseMs } = this.#options
    if (this.#renewals > 0 || this.#runs.size === 0) return
    const usualMs = leaseMs / RENEWALS_PER_LEASE
    const waitMs = this.#hasFailed ? Math.min(FAILED_RETRY_MS, usualMs) : usualMs
    this.#cancelNext ??= clock.after(waitMs, () => void this.#renew())
  }

  async #renew(): Promise<void> {
    const { tasks, clock, leaseMs, onLost, onFailure, onCaughtUp } = this.#options
    this.#cancelNext?.()
    this.#cancelNext = undefined
    this.#renewals += 1
    const runs = [...this.#runs]
    const leases = runs.map(({ task }) => task.lease)
    try {
      const current = await tasks.renew(leases, clock.now() + leaseMs)
      const wasBehind = this.#hasFailed
      this.#hasFailed = false
      for (const [index, run] of runs.entries())
        if (current[index] === false && this.#runs.has(run)) {
          this.#runs.delete(run)
          if (!run.finishing) onLost(run)
        }
      if (wasBehind) onCaughtUp()
    } catch (error) {
      this.#hasFailed = this.#runs.size > 0
      onFailure(error)
    }
    this.#renewals -= 1
    this.#plan()
  }
}
