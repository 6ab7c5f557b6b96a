import { describe, expect, test } from 'vitest'
import { afterTry, TRIES } from '../../../src/async/destinations/delivery-policy.ts'

const FAILED = { kind: 'failed', reason: 'webhook-timeout' } as const

describe('after a try', () => {
  test('a delivery that was taken is delivered', () => {
    expect(afterTry({ attempts: 3 }, { kind: 'delivered' }, 5000)).toEqual({ kind: 'delivered' })
  })

  test('one that failed waits half a second, then twice as long each time, up to a minute', () => {
    const waits = Array.from({ length: 10 }, (_, attempts) => {
      const next = afterTry({ attempts, firstTriedAtMs: 0 }, FAILED, 1000)
      return next.kind === 'retry' ? next.dueAtMs - 1000 : undefined
    })
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000])
  })

  test('one that could only be tried again half an hour after its first try is given up', () => {
    const delivery = { attempts: 30, firstTriedAtMs: 0 }
    const lastMs = TRIES.forMs - TRIES.longestMs
    expect(afterTry(delivery, FAILED, lastMs)).toMatchObject({ kind: 'retry' })
    expect(afterTry(delivery, FAILED, lastMs + 1)).toEqual({
      kind: 'undeliverable',
      reason: 'webhook-timeout',
    })
  })

  test('one that was refused is given up at once', () => {
    const verdict = { kind: 'refused', reason: 'webhook-status 400' } as const
    expect(afterTry({ attempts: 0 }, verdict, 0)).toEqual({
      kind: 'undeliverable',
      reason: 'webhook-status 400',
    })
  })
})
