import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EndedCall } from '../../src/model/call-record.ts'
import { parseLine, renderCall } from '../../src/observe/log-line.ts'

const text = fc.string({ unit: 'binary', maxLength: 50 })
const count = fc.nat()

test('the line of a call is one line, and says all of it again', () => {
  const call = fc.record<EndedCall>({
    requestId: text,
    ending: fc.constantFrom(
      'returned',
      'threw',
      'timedOut',
      'crashed',
      'initFailed',
      'cancelled',
      'terminated',
    ),
    reason: fc.option(text, { nil: undefined }),
    durationMs: fc.nat({ max: 1e9 }).map((microseconds) => microseconds / 1000),
    billedDurationMs: count,
    maxMemoryBytes: count,
    retryCount: count,
    log: text,
    result: fc.option(text, { nil: undefined }),
  })
  fc.assert(
    fc.property(fc.nat(), text, call, count, (atMs, version, ended, pieces) => {
      const line = renderCall(atMs, version, ended, pieces)
      expect(line.indexOf('\n')).toBe(line.length - 1)
      const members = Object.entries(ended).filter(([, value]) => value !== undefined)
      expect(parseLine(line)).toEqual({
        kind: 'call',
        pieces,
        record: { ...Object.fromEntries(members), version, endedAtMs: atMs },
      })
    }),
  )
})
