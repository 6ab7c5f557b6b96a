import { describe, expect, test } from 'vitest'
import { startClock } from '../../src/async/clock.ts'

/** A host whose clock can be set. */
class Host {
  wall = 1_000_000
  monotonic = 77.25
  wallMs = (): number => this.wall
  monotonicMs = (): number => this.monotonic

  pass(ms: number): void {
    this.wall += ms
    this.monotonic += ms
  }
}

describe('startClock', () => {
  test('begins at the wall clock and goes on with it, in whole milliseconds', () => {
    const host = new Host()
    const clock = startClock(0, host)
    expect(clock.now()).toBe(1_000_000)
    host.pass(1500.75)
    expect(clock.now()).toBe(1_001_500)
  })

  test.each([-86_400_000, -1, 1, 86_400_000])(
    'does not follow a step of the wall clock by %i ms',
    (stepMs) => {
      const host = new Host()
      const clock = startClock(0, host)
      host.wall += stepMs
      host.pass(10)
      expect(clock.now()).toBe(1_000_010)
    },
  )

  test('begins no earlier than the latest moment that was seen before it', () => {
    const host = new Host()
    const clock = startClock(2_000_000, host)
    host.pass(10)
    expect(clock.now()).toBe(2_000_010)
  })

  test('calls once, unless it is called off', async () => {
    const clock = startClock()
    const called: string[] = []
    const cancel = clock.after(1, () => called.push('cancelled'))
    cancel()
    // Its timers do not keep the process alive: this one does.
    const alive = setInterval(() => undefined, 1000)
    await new Promise<void>((resolve) => void clock.after(2, resolve))
    clearInterval(alive)
    expect(called).toEqual([])
  })
})
