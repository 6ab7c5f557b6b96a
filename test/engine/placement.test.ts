import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  chooseSeat,
  expectedWaitMs,
  heldTooLong,
  wantsStart,
  type Costs,
  type Seat,
} from '../../src/engine/placement.ts'

const seat = (delivered: number, ranMs = 0, hasRoom = true): Seat => ({
  delivered,
  hasRoom,
  runningForMs: () => ranMs,
})

const costs = (serviceMs: number | undefined, meanServiceMs = serviceMs): Costs => ({
  serviceMs,
  meanServiceMs,
  wakeMs: 1,
  startMs: 60,
})

describe('expectedWaitMs', () => {
  test('is nothing while fewer calls run than the instance may run at once', () => {
    expect(expectedWaitMs(seat(0), 1, costs(undefined), 0)).toBe(0)
    expect(expectedWaitMs(seat(15, 1000), 16, costs(5), 0)).toBe(0)
  })

  test('is without bound behind a running call of unknown length', () => {
    expect(expectedWaitMs(seat(1), 1, costs(undefined), 0)).toBe(Infinity)
  })

  test('counts the rest of the running call and every call queued behind it', () => {
    expect(expectedWaitMs(seat(3, 4), 1, costs(10), 0)).toBe(6 + 2 * 10)
  })

  test('expects a call that is late to take as long again as it has taken', () => {
    expect(expectedWaitMs(seat(1, 50), 1, costs(10), 0)).toBe(50)
  })
})

describe('chooseSeat', () => {
  test('takes the most recently used seat that is free', () => {
    expect(chooseSeat([seat(0), seat(0)], 1, costs(10), 0)).toBe(0)
  })

  test('lets a short call wait its turn in the seat used last rather than waking another', () => {
    expect(chooseSeat([seat(3, 0.01), seat(0)], 1, costs(0.03), 0)).toBe(0)
  })

  test('wakes another seat when the wait would be longer than that costs', () => {
    expect(chooseSeat([seat(1), seat(0)], 1, costs(20), 0)).toBe(1)
  })

  test('goes around a seat that is slow just now, however short its calls usually are', () => {
    expect(chooseSeat([seat(1, 40), seat(0)], 1, costs(0.03), 0)).toBe(1)
  })

  test('puts nothing behind a call of unknown length', () => {
    expect(chooseSeat([seat(1)], 1, costs(undefined), 0)).toBe(-1)
  })

  test('passes over a seat without room', () => {
    expect(chooseSeat([seat(0, 0, false), seat(0)], 1, costs(1), 0)).toBe(1)
  })

  test('never chooses a wait longer than waking costs', () => {
    const seats = fc.array(
      fc.record({
        delivered: fc.nat(40),
        ran: fc.double({ min: 0, max: 1000, noNaN: true }),
        room: fc.boolean(),
      }),
    )
    fc.assert(
      fc.property(
        seats,
        fc.integer({ min: 1, max: 32 }),
        fc.option(fc.double({ min: 0, max: 500, noNaN: true }), { nil: undefined }),
        (given, concurrency, serviceMs) => {
          const all = given.map(({ delivered, ran, room }) => seat(delivered, ran, room))
          const chosen = all[chooseSeat(all, concurrency, costs(serviceMs), 0)]
          const acceptable = all.find(
            (one) => one.hasRoom && expectedWaitMs(one, concurrency, costs(serviceMs), 0) <= 1,
          )
          expect(chosen).toBe(acceptable)
        },
      ),
    )
  })
})

describe('wantsStart', () => {
  const queue = { waiting: 1, oldestWaitMs: 0, startingInstances: 0, readyInstances: 1, runningForMs: 0 }

  test('starts for the first call of all', () => {
    expect(wantsStart({ ...queue, readyInstances: 0 }, 1, costs(undefined))).toBe(true)
  })

  test('starts nothing more for calls that instances already starting will serve', () => {
    expect(wantsStart({ ...queue, waiting: 2, startingInstances: 2, readyInstances: 0 }, 1, costs(1))).toBe(
      false,
    )
    expect(wantsStart({ ...queue, waiting: 16, startingInstances: 1, readyInstances: 0 }, 16, costs(1))).toBe(
      false,
    )
  })

  test('lets calls wait for a busy instance when that is sooner than a start', () => {
    expect(wantsStart(queue, 1, costs(20))).toBe(false)
    expect(wantsStart({ ...queue, waiting: 4 }, 1, costs(20))).toBe(true)
  })

  test('counts many calls by what they take on average, not by what one may take', () => {
    expect(wantsStart({ ...queue, waiting: 16 }, 1, costs(8, 0.1))).toBe(false)
    expect(wantsStart({ ...queue, waiting: 16 }, 1, costs(8, 5))).toBe(true)
  })

  test('before anything is known starts four, or the square root of what would serve all at once', () => {
    const startsFor = (waiting: number, concurrency: number): number => {
      let startingInstances = 0
      while (
        wantsStart({ ...queue, waiting, startingInstances, readyInstances: 0 }, concurrency, costs(undefined))
      )
        startingInstances += 1
      return startingInstances
    }
    expect([1, 3, 4, 5, 16, 50].map((waiting) => startsFor(waiting, 1))).toEqual([1, 3, 4, 4, 4, 8])
    expect([16, 17, 50, 1600].map((waiting) => startsFor(waiting, 16))).toEqual([1, 2, 4, 10])
  })

  test('expects calls of which none was measured to take as long as one has run', () => {
    const many = { ...queue, waiting: 20 }
    expect(wantsStart({ ...many, runningForMs: 2 }, 1, costs(undefined))).toBe(false)
    expect(wantsStart({ ...many, runningForMs: 4 }, 1, costs(undefined))).toBe(true)
    expect(wantsStart({ ...many, runningForMs: 4 }, 1, costs(1))).toBe(false)
  })

  test('starts for a call that has waited as long as a start takes', () => {
    expect(wantsStart({ ...queue, oldestWaitMs: 61 }, 1, costs(1))).toBe(true)
  })
})

describe('heldTooLong', () => {
  test('never takes back a call that nothing is behind', () => {
    expect(heldTooLong(seat(1, 10_000), 1, costs(1), true, 0)).toBe(false)
  })

  test('takes calls back sooner when another instance is idle than when one would have to be started', () => {
    expect(heldTooLong(seat(2, 10), 1, costs(1), true, 0)).toBe(true)
    expect(heldTooLong(seat(2, 10), 1, costs(1), false, 0)).toBe(false)
    expect(heldTooLong(seat(2, 70), 1, costs(1), false, 0)).toBe(true)
  })
})
