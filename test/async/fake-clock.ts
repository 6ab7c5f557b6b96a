import type { Clock } from '../../src/async/clock.ts'

interface Timer {
  atMs: number
  readonly run: () => void
}

/** Time that stands still until a test moves it. */
export class FakeClock implements Clock {
  #nowMs = 1_000_000
  readonly #timers = new Set<Timer>()
  readonly #onSlept: (() => void)[] = []

  now(): number {
    return this.#nowMs
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, run }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  onSlept(run: () => void): void {
    this.#onSlept.push(run)
  }

  /** The machine sleeps, and its timers with it. */
  sleep(ms: number): void {
    this.#nowMs += ms
    for (const timer of this.#timers) timer.atMs += ms
    for (const run of this.#onSlept) run()
  }

  /** Timers that wait; a test that is over should leave none. */
  get waiting(): number {
    return this.#timers.size
  }

  /** Delay until the next timer; undefined when there is none. */
  get nextInMs(): number | undefined {
    const times = [...this.#timers].map(({ atMs }) => atMs - this.#nowMs)
    return times.length === 0 ? undefined : Math.min(...times)
  }

  /** Moves the time and runs, in their order, the timers that are over. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms
    for (;;) {
      const [next] = [...this.#timers]
        .filter(({ atMs }) => atMs <= untilMs)
        .toSorted((a, b) => a.atMs - b.atMs)
      if (next === undefined) break
      this.#timers.delete(next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.run()
    }
    this.#nowMs = untilMs
  }
}
