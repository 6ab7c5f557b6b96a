import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  afterRefusal,
  afterRun,
  afterStoppedRun,
  beforeRun,
  LOST_RUN_ALLOWANCE,
  type NextStep,
  type RetryState,
} from '../../src/async/retry-policy.ts'
import { EngineError } from '../../src/model/errors.ts'
import type { Ending } from '../../src/model/outcome.ts'
import { EMPTY_PAYLOAD } from '../../src/model/payload.ts'
import { DEFAULT_BACKOFF, DEFAULT_REFUSALS } from '../../src/store/task-queue.ts'

const FRESH: RetryState = {
  attempts: 0,
  deferrals: 0,
  lostRuns: 0,
  maxRetries: 3,
  expiresAtMs: Number.MAX_SAFE_INTEGER,
}
const TIMED_OUT: Ending = { kind: 'timedOut', afterMs: 1000 }
const RETURNED: Ending = { kind: 'returned', payload: EMPTY_PAYLOAD }
const THROTTLED = new EngineError('caller/concurrency-exceeded', { scope: 'function', limit: 1 })

/** Feeds a task one ending or refusal after another, each at the time it asked for, until it is settled. */
function follow(
  start: RetryState,
  next: (task: RetryState, nowMs: number) => NextStep,
): { waitsMs: number[]; settled: (NextStep & { kind: 'settle' })['settlement']; nowMs: number } {
  let task = start
  let nowMs = 0
  const waitsMs: number[] = []
  for (;;) {
    const step = next(task, nowMs)
    if (step.kind === 'settle') return { waitsMs, settled: step.settlement, nowMs }
    const { dueAtMs, attempts, deferrals } = step.postponement
    waitsMs.push(dueAtMs - nowMs)
    nowMs = dueAtMs
    task = { ...task, attempts, deferrals }
  }
}

function initFailed(phase: 'load' | 'initializer', reason: 'threw' | 'timedOut' | 'crashed'): Ending {
  return { kind: 'initFailed', phase, reason, errorType: 'TypeError', payload: EMPTY_PAYLOAD }
}

test("the waits after refusals, and how long altogether, are the task's own where it has some", () => {
  const refusals = { firstMs: 60_000, longestMs: 60_000, forMs: 300_000 }
  const { waitsMs, settled } = follow({ ...FRESH, refusals }, (task, nowMs) =>
    afterRefusal(task, THROTTLED, nowMs),
  )
  expect(waitsMs).toEqual([60_000, 60_000, 60_000, 60_000, 60_000])
  expect(settled).toMatchObject({ ending: 'failed', attempts: 0 })
})

describe('afterRun', () => {
  test('repeats a failed run after 1, 2, 4 … s, at most 60 s, up to maxRetries times', () => {
    const { waitsMs, settled } = follow({ ...FRESH, maxRetries: 8 }, (task, nowMs) =>
      afterRun(task, TIMED_OUT, nowMs),
    )
    expect(waitsMs.map((ms) => ms / 1000)).toEqual([1, 2, 4, 8, 16, 32, 60, 60])
    expect(settled).toEqual({ ending: 'failed', attempts: 9, lastError: 'timedOut' })
  })

  test("repeats a failed run after the task's own waits", () => {
    const backoff = { firstMs: 20_000, longestMs: 70_000 }
    const { waitsMs } = follow({ ...FRESH, backoff }, (task, nowMs) => afterRun(task, TIMED_OUT, nowMs))
    expect(waitsMs.map((ms) => ms / 1000)).toEqual([20, 40, 70])
  })

  test.each<[Ending, string]>([
    [{ kind: 'threw', errorType: 'TypeError', handled: false, payload: EMPTY_PAYLOAD }, 'TypeError'],
    [TIMED_OUT, 'timedOut'],
    [{ kind: 'crashed', cause: 'outOfMemory' }, 'outOfMemory'],
    [
      {
        kind: 'initFailed',
        phase: 'load',
        reason: 'threw',
        errorType: 'SyntaxError',
        payload: EMPTY_PAYLOAD,
      },
      'SyntaxError',
    ],
    [initFailed('initializer', 'threw'), 'initializerThrew: TypeError'],
    [initFailed('initializer', 'timedOut'), 'initTimedOut'],
    [initFailed('load', 'timedOut'), 'initTimedOut'],
    [initFailed('load', 'crashed'), 'initCrashed'],
  ])('keeps the name of the failure: %o', (ending, lastError) => {
    const step = afterRun({ ...FRESH, maxRetries: 0 }, ending, 0)
    expect(step).toEqual({ kind: 'settle', settlement: { ending: 'failed', attempts: 1, lastError } })
  })

  test('ends a task that returned, whatever came before', () => {
    const step = afterRun({ ...FRESH, attempts: 3, deferrals: 7 }, RETURNED, 0)
    expect(step).toEqual({ kind: 'settle', settlement: { ending: 'succeeded', attempts: 4 } })
  })

  test('does not count a run that was cancelled', () => {
    const step = afterRun({ ...FRESH, attempts: 1 }, { kind: 'cancelled' }, 0)
    expect(step).toMatchObject({ kind: 'postpone', postponement: { attempts: 1, deferrals: 1 } })
  })

  test('starts the waits for refusals anew after a run', () => {
    const step = afterRun({ ...FRESH, deferrals: 9 }, TIMED_OUT, 0)
    expect(step).toMatchObject({ kind: 'postpone', postponement: { deferrals: 0 } })
  })
})

describe('afterStoppedRun', () => {
  const crashed: Ending = { kind: 'crashed', cause: 'exited', exitCode: 0 }

  test.each<[string, Ending, number, object]>([
    ['was ended', { kind: 'terminated' }, 5000, { ending: 'cancelled', lastError: 'terminated' }],
    ['nobody waits for', { kind: 'cancelled' }, 5000, { ending: 'cancelled', lastError: 'terminated' }],
    ['succeeded', RETURNED, 0, { ending: 'succeeded' }],
    ['failed', crashed, 0, { ending: 'cancelled', lastError: 'terminated' }],
    ['failed in its time', crashed, 1, { ending: 'cancelled', lastError: 'exited' }],
  ])('ends the task of a run that %s', (_, ending, graceMs, expected) => {
    const step = afterStoppedRun({ ...FRESH, attempts: 1 }, ending, { graceMs })
    expect(step).toEqual({ kind: 'settle', settlement: { ...expected, attempts: 2 } })
  })
})

describe('afterRefusal', () => {
  test('waits 0.5, 1, 2, 4 … s, at most 60 s, and gives up after 5 hours', () => {
    const { waitsMs, settled, nowMs } = follow(FRESH, (task, now) => afterRefusal(task, THROTTLED, now))
    expect(waitsMs.slice(0, 9).map((ms) => ms / 1000)).toEqual([0.5, 1, 2, 4, 8, 16, 32, 60, 60])
    expect(settled).toEqual({ ending: 'failed', attempts: 0, lastError: 'caller/concurrency-exceeded' })
    expect(nowMs).toBeLessThanOrEqual(DEFAULT_REFUSALS.forMs)
    expect(nowMs).toBeGreaterThan(DEFAULT_REFUSALS.forMs - DEFAULT_REFUSALS.longestMs)
  })

  test.each([
    new EngineError('caller/namespace-not-found', { namespace: 'n' }),
    new EngineError('caller/function-not-found', { namespace: 'n', name: 'f' }),
    new EngineError('caller/version-not-found', { namespace: 'n', version: '1' }),
    new EngineError('caller/alias-not-found', { namespace: 'n', alias: 'a' }),
  ])('ends a task whose function is gone: $code', (error) => {
    const settlement = { ending: 'failed', attempts: 2, lastError: error.code }
    expect(afterRefusal({ ...FRESH, attempts: 2 }, error, 0)).toEqual({ kind: 'settle', settlement })
  })

  test('waits out what nobody foresaw', () => {
    const step = afterRefusal(FRESH, new TypeError('x is undefined'), 0)
    expect(step).toMatchObject({ kind: 'postpone', postponement: { dueAtMs: 500, lastError: 'internal' } })
  })
})

describe('beforeRun', () => {
  test('expires a task after its last moment, not at it', () => {
    expect(beforeRun({ ...FRESH, expiresAtMs: 10 }, 10)).toBeUndefined()
    expect(beforeRun({ ...FRESH, expiresAtMs: 10 }, 11)).toEqual({ ending: 'expired', attempts: 0 })
  })

  test('gives up a task that takes the server down again and again', () => {
    const most = FRESH.maxRetries + LOST_RUN_ALLOWANCE
    expect(beforeRun({ ...FRESH, lostRuns: most }, 0)).toBeUndefined()
    expect(beforeRun({ ...FRESH, lostRuns: most + 1 }, 0)).toMatchObject({
      ending: 'failed',
      lastError: 'runsLost',
    })
  })
})

test('the policy always ends a task, never runs it too often, too late or too soon', () => {
  const happening = fc.constantFrom<Ending | EngineError>(
    TIMED_OUT,
    { kind: 'crashed', cause: 'exited' },
    THROTTLED,
  )
  fc.assert(
    fc.property(
      fc.infiniteStream(happening),
      fc.nat({ max: 8 }),
      fc.nat({ max: 2 * 24 * 3_600_000 }),
      (happenings, maxRetries, expiresAtMs) => {
        let runs = 0
        const { waitsMs, settled, nowMs } = follow({ ...FRESH, maxRetries, expiresAtMs }, (task, now) => {
          expect(beforeRun(task, now)).toBeUndefined()
          const next = happenings.next().value
          if (next instanceof EngineError) return afterRefusal(task, next, now)
          runs += 1
          return afterRun(task, next, now)
        })
        expect(runs).toBeLessThanOrEqual(maxRetries + 1)
        expect(settled.attempts).toBe(runs)
        expect(nowMs).toBeLessThanOrEqual(expiresAtMs)
        for (const waitMs of waitsMs) {
          expect(waitMs).toBeGreaterThanOrEqual(DEFAULT_REFUSALS.firstMs)
          expect(waitMs).toBeLessThanOrEqual(DEFAULT_BACKOFF.longestMs)
        }
        expect(['failed', 'expired']).toContain(settled.ending)
      },
    ),
  )
})
