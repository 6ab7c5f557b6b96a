import { expect, test } from 'vitest'
import { failureCodeOf } from '../../../src/dialects/tencent-scf/async-status.ts'

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
