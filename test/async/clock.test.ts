import { describe, expect, test } from 'vitest'
import { startClock } from '../../src/async/clock.ts'

const HOUR_MS = 3_600_000

/** A host whose clock can be set, and that can sleep. */
class Host {
  wall = 1_000_000
  monotonic = 77.25
  slept = 5000
  wallMs = (): number => this.wall
  monotonicMs = (): number => this.monotonic
  /** In hundredths of a second. */
  bootMs = (): number => Math.floor((this.monotonic + this.slept) / 10) * 10

  pass(ms: number): void {
    this.wall += ms
    this.monotonic += ms
  }

  sleep(ms: number): void {
    this.wall += ms
    this.slept += ms
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

  test('goes on with the time that the machine sleeps, however often', () => {
    const host = new Host()
    const clock = startClock(0, host)
    for (const hours of [8, 1]) {
      host.pass(100)
      const beforeMs = clock.now()
      host.sleep(hours * HOUR_MS)
      expect(clock.now()).toBeGreaterThan(beforeMs + hours * HOUR_MS - 20)
      expect(clock.now()).toBeLessThan(beforeMs + hours * HOUR_MS + 20)
    }
  })

  test('goes on with short sleeps that add up', () => {
    const host = new Host()
    const clock = startClock(0, host)
    for (let times = 0; times < 100; times += 1) {
      host.sleep(500)
      clock.now()
    }
    expect(clock.now()).toBeGreaterThan(1_000_000 + 50_000 - 2500)
    expect(clock.now()).toBeLessThan(1_000_000 + 50_000 + 20)
  })

  test.each([-HOUR_MS, HOUR_MS])(
    'goes on with a sleep by what it took, though the wall clock is set by %i ms in it',
    (stepMs) => {
      const host = new Host()
      const clock = startClock(0, host)
      host.sleep(8 * HOUR_MS)
      host.wall += stepMs
      expect(Math.abs(clock.now() - 1_000_000 - 8 * HOUR_MS)).toBeLessThan(20)
      host.pass(1000)
      expect(Math.abs(clock.now() - 1_001_000 - 8 * HOUR_MS)).toBeLessThan(20)
    },
  )

  test('never goes back, nor forward for a sleep before it began', () => {
    const host = new Host()
    host.sleep(8 * HOUR_MS)
    const clock = startClock(0, host)
    const beganAtMs = clock.now()
    host.wall += 2 * HOUR_MS
    expect(clock.now()).toBe(beganAtMs)
    host.wall -= 5 * HOUR_MS
    expect(clock.now()).toBe(beganAtMs)
  })

  test('takes it for no sleep that the process stood still, be it between two readings', () => {
    const host = new Host()
    let standsMs = 0
    const standing = (read: () => number) => (): number => {
      const reading = read()
      host.pass(standsMs)
      return reading
    }
    const clock = startClock(0, {
      wallMs: standing(host.wallMs),
      monotonicMs: standing(host.monotonicMs),
      bootMs: standing(host.bootMs),
    })
    standsMs = 60_000
    for (let times = 0; times < 3; times += 1) clock.now()
    standsMs = 0
    expect(clock.now()).toBe(host.wall)
  })

  test('asks how long it slept only when the wall clock has moved by itself', () => {
    const host = new Host()
    let asked = 0
    const bootMs = (): number => {
      asked += 1
      return host.bootMs()
    }
    const clock = startClock(0, { wallMs: host.wallMs, monotonicMs: host.monotonicMs, bootMs })
    asked = 0
    for (let times = 0; times < 100; times += 1) {
      host.pass(HOUR_MS)
      clock.now()
    }
    expect(asked).toBe(0)
    host.wall += HOUR_MS
    for (let times = 0; times < 100; times += 1) clock.now()
    expect(asked).toBe(1)
  })

  test('tells of a sleep before anybody learns the time after it, and of nothing else', () => {
    const host = new Host()
    const clock = startClock(0, host)
    const told: string[] = []
    clock.onSlept?.(() => told.push(`slept until ${Math.round((clock.now() - 1_000_000) / HOUR_MS)}`))
    host.wall += HOUR_MS
    clock.now()
    host.sleep(8 * HOUR_MS)
    told.push(`it is ${Math.round((clock.now() - 1_000_000) / HOUR_MS)}`)
    clock.now()
    expect(told).toEqual(['slept until 8', 'it is 8'])
  })

  test('follows the real clocks of this host', () => {
    const clock = startClock()
    expect(Math.abs(clock.now() - Date.now())).toBeLessThan(60_000)
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
