import { describe, expect, test } from 'vitest'
import { afterTry, TRIES } from '../../../src/async/destinations/delivery-policy.ts'

const FAILED = { kind: 'failed', reason: 'webhook-timeout' } as const

describe('after a try', () => {
  test('a delivery that was taken is delivered', () => {
    expect(afterTry({ attempts: 3 }, { kind: 'delivered' }, 5000)).toEqual({ kind: 'delivered' })
  })

  test('one that failed waits half a second, then twice as long each time, up to a minute', () => {
    const waits = Array.from({ length: 10 }, (_, attempts) => {
      const next = afterTry({ attempts }, FAILED, 1000)
      return next.kind === 'retry' ? next.dueAtMs - 1000 : undefined
    })
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000])
  })

  test('one whose waits would sum up to more than half an hour is given up', () => {
    let attempts = 0
    let waitedMs = 0
    let next = afterTry({ attempts }, FAILED, 0)
    while (next.kind === 'retry') {
      attempts += 1
      waitedMs += next.dueAtMs
      next = afterTry({ attempts }, FAILED, 0)
    }
    expect(next).toEqual({ kind: 'undeliverable', reason: 'webhook-timeout' })
    expect(waitedMs).toBeLessThanOrEqual(TRIES.forMs)
    expect(waitedMs + TRIES.longestMs).toBeGreaterThan(TRIES.forMs)
  })

  test('one that is found after a long downtime has its other tries all the same', () => {
    const yearMs = 365 * 24 * 3_600_000
    expect(afterTry({ attempts: 1 }, FAILED, yearMs)).toMatchObject({ kind: 'retry', dueAtMs: yearMs + 1000 })
  })

  test('one that was refused is given up at once', () => {
    const verdict = { kind: 'refused', reason: 'webhook-status 400' } as const
    expect(afterTry({ attempts: 0 }, verdict, 0)).toEqual({
      kind: 'undeliverable',
      reason: 'webhook-status 400',
    })
  })
})
