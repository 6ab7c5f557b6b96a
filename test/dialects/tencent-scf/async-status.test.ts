import { expect, test } from 'vitest'
import { failureCodeOf, statusCodeOf, statusOf } from '../../../src/dialects/tencent-scf/async-status.ts'

test.each([
  ['timedOut', 433],
  ['caller/memory-unavailable', 449],
  ['platform/no-capacity', 449],
  ['platform/start-failed', 500],
  ['TypeError', 430],
  [undefined, 500],
])('an event that last failed with %s has the code %i', (lastError, code) => {
  expect(failureCodeOf(lastError)).toBe(code)
})

test.each([
  ['was ended', { stopRequestedAtMs: 1, lastError: 'terminated' }, 'ABORTED', 499],
  ['was ended before it began', { lastError: 'TypeError' }, 'ABORTED', 499],
  [
    'ended by the signal that it was given time with',
    { stopRequestedAtMs: 1, lastError: 'signalled' },
    'FAILED',
    439,
  ],
  ['threw in the time that it was given', { stopRequestedAtMs: 1, lastError: 'TypeError' }, 'FAILED', 430],
])('an event that was stopped and %s is told so', (_, how, status, code) => {
  const task = { status: 'cancelled' as const, ...how }
  expect([statusOf(task), statusCodeOf(task)]).toEqual([status, code])
})
