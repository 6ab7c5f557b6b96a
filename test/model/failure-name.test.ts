import { describe, expect, test } from 'vitest'
import {
  failureNameOf,
  readFailureName,
  shownFailureName,
  type NamedFailure,
} from '../../src/model/failure-name.ts'
import type { Ending } from '../../src/model/outcome.ts'
import { EMPTY_PAYLOAD } from '../../src/model/payload.ts'

type Failed = Parameters<typeof failureNameOf>[0]

const initFailed = (
  phase: 'load' | 'initializer',
  reason: Extract<Ending, { kind: 'initFailed' }>['reason'],
): Failed => ({ kind: 'initFailed', phase, reason, errorType: 'E', payload: EMPTY_PAYLOAD })

describe('the name of a failure', () => {
  test.each<[NamedFailure, Failed]>([
    [{ kind: 'timedOut' }, { kind: 'timedOut', afterMs: 1 }],
    [{ kind: 'exited' }, { kind: 'crashed', cause: 'exited', exitCode: 3 }],
    [{ kind: 'signalled' }, { kind: 'crashed', cause: 'signalled', signal: 'SIGSEGV' }],
    [{ kind: 'outOfMemory' }, { kind: 'crashed', cause: 'outOfMemory' }],
    [
      { kind: 'threw', errorType: 'E' },
      { kind: 'threw', errorType: 'E', handled: false, payload: EMPTY_PAYLOAD },
    ],
    [
      { kind: 'handled', errorType: 'E' },
      { kind: 'threw', errorType: 'E', handled: true, payload: EMPTY_PAYLOAD },
    ],
    [
      { kind: 'handled', errorType: 'timedOut' },
      { kind: 'threw', errorType: 'timedOut', handled: true, payload: EMPTY_PAYLOAD },
    ],
    [{ kind: 'threw', errorType: 'E' }, initFailed('load', 'threw')],
    [{ kind: 'initializerThrew', errorType: 'E' }, initFailed('initializer', 'threw')],
    [{ kind: 'initTimedOut' }, initFailed('initializer', 'timedOut')],
    [{ kind: 'initCrashed' }, initFailed('load', 'crashed')],
  ])('tells %o again', (failure, ending) => {
    expect(readFailureName(failureNameOf(ending))).toEqual(failure)
  })

  test.each([
    ['handled: E', 'E'],
    ['E', 'E'],
    ['timedOut', 'timedOut'],
  ])('%j is shown as %j', (name, shown) => {
    expect(shownFailureName(name)).toBe(shown)
  })

  test('that code chose is its error, whatever it begins with', () => {
    expect(readFailureName('initializerThrewUp')).toEqual({ kind: 'threw', errorType: 'initializerThrewUp' })
  })
})
