import { beforeEach, describe, expect, test } from 'vitest'
import { Alarm } from '../../src/async/alarm.ts'
import { FakeClock } from './fake-clock.ts'

describe('Alarm', () => {
  let clock: FakeClock
  let alarm: Alarm
  let rings: number
  beforeEach(() => {
    clock = new FakeClock()
    rings = 0
    alarm = new Alarm(clock, () => (rings += 1))
  })

  test('goes off once at the earliest moment that it was set to', () => {
    for (const inMs of [5000, 300, 900]) alarm.setTo(clock.now() + inMs)
    expect([clock.waiting, clock.nextInMs]).toEqual([1, 300])
    clock.advance(299)
    expect(rings).toBe(0)
    clock.advance(10_000)
    expect([rings, clock.waiting]).toEqual([1, 0])
  })

  test.each([
    { inMs: -1e9, waitsMs: 20 },
    { inMs: 0, waitsMs: 20 },
    { inMs: 1e12, waitsMs: 60_000 },
  ])('waits $waitsMs ms for a moment in $inMs ms', ({ inMs, waitsMs }) => {
    alarm.setTo(clock.now() + inMs)
    expect(clock.nextInMs).toBe(waitsMs)
  })

  test('that a sleep has made late goes off soon after it, and one that is not set does not', () => {
    alarm.setTo(clock.now() + 50_000)
    clock.sleep(8 * 3_600_000)
    expect([clock.waiting, clock.nextInMs]).toEqual([1, 20])
    clock.advance(20)
    expect(rings).toBe(1)
    clock.sleep(8 * 3_600_000)
    expect([clock.waiting, rings]).toEqual([0, 1])
  })

  test('may be set anew by what it wakes', () => {
    alarm = new Alarm(clock, () => {
      rings += 1
      if (rings < 3) alarm.setTo(clock.now() + 100)
    })
    alarm.setTo(clock.now() + 100)
    clock.advance(1000)
    expect(rings).toBe(3)
  })

  test('does not go off once it was stopped, and may be set again', () => {
    alarm.setTo(clock.now() + 100)
    alarm.stop()
    expect(clock.waiting).toBe(0)
    alarm.setTo(clock.now() + 500)
    clock.advance(499)
    expect(rings).toBe(0)
    clock.advance(1)
    expect(rings).toBe(1)
  })
})
