import { uptime } from 'node:os'

/** Time and timers of the queue, so that tests can move both. */
export interface Clock {
  /** Epoch milliseconds, whole; never goes back. */
  now(): number
  /**
   * Calls `run` once.
   *
   * @param delayMs 0 … 2 147 483 647, in which the time that the machine sleeps does not count
   * @returns Calls it off; harmless afterwards.
   */
  after(delayMs: number, run: () => void): () => void
  /**
   * Calls `run` each time that the machine was found to have slept, before anybody is told the time after it: what was to be done
   * while it slept has not been done, and timers are late. Absent where nothing sleeps.
   */
  onSlept?(run: () => void): void
}

/** Where a clock takes time from. */
export interface TimeSource {
  /** What the system's clock shows, epoch milliseconds. May be set at any time. */
  wallMs(): number
  /** Milliseconds since some moment; never set, and stands still while the machine sleeps. */
  monotonicMs(): number
  /** Milliseconds since some moment, with those that the machine slept; coarse, and slow to ask. */
  bootMs(): number
}

const SYSTEM: TimeSource = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  bootMs: () => uptime() * 1000,
}

/** Sleeps that are shorter wait until they add up: clocks are slewed, and that of sleep is coarse. */
const NOTICED_MS = 2000

/**
 * A time line that begins at the wall clock and goes on by itself from there, with the time that the machine sleeps: who sets the system's
 * clock delays and hurries nothing.
 *
 * Each reading looks whether the wall clock has moved by itself, as it does in a sleep; only then the clock that counts sleep is asked for
 * how long. A host that is paused from outside, and does not know it, has not slept.
 *
 * @param latestMs It begins no earlier: the latest moment that was seen before, so that it does not go back over a restart.
 */
export function startClock(latestMs = 0, source: TimeSource = SYSTEM): Clock {
  // A process may be stopped between two readings: in this order, and the other one below, that is never taken for sleep.
  const wallMs = source.wallMs()
  const startedAtMs = source.monotonicMs()
  let sleptMs = source.bootMs() - startedAtMs
  let aheadMs = Math.max(wallMs, latestMs) - startedAtMs
  let wallAheadMs = wallMs - startedAtMs
  const listeners: (() => void)[] = []

  const lookForSleep = (): void => {
    const nowSleptMs = source.bootMs() - source.monotonicMs()
    if (nowSleptMs - sleptMs < NOTICED_MS) return
    aheadMs += nowSleptMs - sleptMs
    sleptMs = nowSleptMs
    for (const run of listeners) run()
  }

  return {
    now() {
      const monotonicMs = source.monotonicMs()
      const nowWallAheadMs = source.wallMs() - monotonicMs
      if (Math.abs(nowWallAheadMs - wallAheadMs) >= NOTICED_MS) {
        wallAheadMs = nowWallAheadMs
        lookForSleep()
      }
      return Math.floor(aheadMs + monotonicMs)
    },
    after(delayMs, run) {
      const timer = setTimeout(run, delayMs)
      // Waiting for the next task alone does not keep the process alive.
      timer.unref()
      return () => clearTimeout(timer)
    },
    onSlept: (run) => void listeners.push(run),
  }
}
