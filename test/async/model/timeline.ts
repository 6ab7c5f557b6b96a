import { startClock, type Clock } from '../../../src/async/clock.ts'

interface Timer {
  readonly atMs: number
  readonly run: () => void
}

/** The time of a machine over several processes: what its wall clock shows, and the timers of the process that lives. */
export class Timeline {
  #wallMs = 1_700_000_000_000
  #monotonicMs = 0
  #sleptMs = 0
  #timers = new Set<Timer>()

  /** Sets the wall clock; nothing else notices. */
  setWall(byMs: number): void {
    this.#wallMs += byMs
  }

  /** The clock of a new process; the timers of the one before are gone. */
  boot(latestMs: number): Clock {
    const timers = new Set<Timer>()
    this.#timers = timers
    const line = startClock(latestMs, {
      wallMs: () => this.#wallMs,
      monotonicMs: () => this.#monotonicMs,
      bootMs: () => this.#monotonicMs + this.#sleptMs,
    })
    return {
      now: () => line.now(),
      after: (delayMs, run) => {
        const timer = { atMs: this.#monotonicMs + delayMs, run }
        timers.add(timer)
        return () => timers.delete(timer)
      },
      onSlept: (run) => line.onSlept?.(run),
    }
  }

  /** Milliseconds in which the machine was awake: those that timers count. */
  get awakeMs(): number {
    return this.#monotonicMs
  }

  get timers(): number {
    return this.#timers.size
  }

  /** Milliseconds until the next timer; undefined when there is none. */
  get nextInMs(): number | undefined {
    const next = this.#next()
    return next === undefined ? undefined : Math.max(0, next.atMs - this.#monotonicMs)
  }

  /** Lets time pass, with the timers in their order; `between` is done after each. */
  async pass(ms: number, between: () => Promise<void>): Promise<void> {
    const untilMs = this.#monotonicMs + ms
    for (;;) {
      const next = this.#next()
      if (next === undefined || next.atMs > untilMs) break
      this.#timers.delete(next)
      this.#moveTo(next.atMs)
      next.run()
      await between()
    }
    this.#moveTo(untilMs)
  }

  /** The process stands still, and finds all timers late. */
  async stall(ms: number, between: () => Promise<void>): Promise<void> {
    this.#moveTo(this.#monotonicMs + ms)
    await this.pass(0, between)
  }

  /** The same, but something else is first to be seen to: the timers are late still. */
  stand(ms: number): void {
    this.#moveTo(this.#monotonicMs + ms)
  }

  /** The machine sleeps: timers do not know of it. */
  sleep(ms: number): void {
    this.#wallMs += ms
    this.#sleptMs += ms
  }

  #moveTo(ms: number): void {
    if (ms <= this.#monotonicMs) return
    this.#wallMs += ms - this.#monotonicMs
    this.#monotonicMs = ms
  }

  #next(): Timer | undefined {
    return [...this.#timers].toSorted((a, b) => a.atMs - b.atMs)[0]
  }
}
