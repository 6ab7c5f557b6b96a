import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Admission } from '../../src/engine/admission.ts'
import { CallLog } from '../../src/engine/call-log.ts'
import { Durations } from '../../src/engine/durations.ts'
import { PayloadBudget } from '../../src/engine/payload-budget.ts'
import { aVersion } from '../helpers/versions.ts'

describe('Admission', () => {
  test('refuses the call over the limit of one function and lets another function in', () => {
    const admission = new Admission({ maxCallsPerFunction: 1, maxCalls: 10 })
    const [one, other] = [aVersion({ functionId: 'one' }), aVersion({ functionId: 'other' })]
    admission.enter(one)
    expect(() => admission.enter(one)).toThrow(
      expect.objectContaining({
        code: 'caller/concurrency-exceeded',
        details: { scope: 'function', limit: 1 },
      }),
    )
    admission.enter(other)
    admission.leave(one)
    admission.enter(one)
    expect(admission.inside).toBe(2)
  })

  test('refuses the call over the limit of all functions together', () => {
    const admission = new Admission({ maxCallsPerFunction: 5, maxCalls: 2 })
    admission.enter(aVersion({ functionId: 'a' }))
    admission.enter(aVersion({ functionId: 'b' }))
    expect(() => admission.enter(aVersion({ functionId: 'c' }))).toThrow(
      expect.objectContaining({ details: { scope: 'server', limit: 2 } }),
    )
  })
})

describe('PayloadBudget', () => {
  test('refuses a request beyond its half and takes it once room was given back', () => {
    const budget = new PayloadBudget(200)
    expect(budget.takeForRequest(80)).toBe(true)
    expect(budget.takeForRequest(30)).toBe(false)
    budget.giveRequest(80)
    expect(budget.takeForRequest(30)).toBe(true)
  })

  test('lets results wait for room in their order, and one always through', () => {
    const budget = new PayloadBudget(200)
    expect(budget.takeForResult(500)).toBe(true)
    const resumed: string[] = []
    expect(budget.takeForResult(10)).toBe(false)
    budget.whenRoomForResult(90, () => resumed.push('first'))
    budget.whenRoomForResult(20, () => resumed.push('second'))
    budget.give(500)
    expect(resumed).toEqual(['first'])
    budget.give(90)
    expect(resumed).toEqual(['first', 'second'])
  })

  test('does not let requests take the room of results', () => {
    const budget = new PayloadBudget(200)
    budget.takeForRequest(100)
    expect(budget.takeForResult(100)).toBe(true)
  })
})

describe('CallLog', () => {
  const written = (): { log: CallLog; pieces: string[] } => {
    const pieces: string[] = []
    const log = new CallLog((text, piece) => {
      expect(text.length).toBeLessThanOrEqual(32 * 1024)
      pieces.push(text.toString())
      expect(piece).toBe(pieces.length)
    })
    return { log, pieces }
  }

  test('hands everything on as text, wherever its chunks are cut, and keeps the last 4096 bytes for the answer', () => {
    const text = fc
      .array(fc.string({ unit: 'binary', minLength: 1, maxLength: 50 }), { maxLength: 50 })
      .chain((parts) =>
        fc.nat({ max: 300 }).map((times) => Buffer.from(parts.join('').toWellFormed().repeat(times))),
      )
    const chunkBytes = fc.constantFrom(1, 7, 1000, 4096, 40_000, 1_000_000)
    fc.assert(
      fc.property(text, chunkBytes, (all, bytes) => {
        const { log, pieces } = written()
        const step = Math.max(bytes, Math.ceil(all.length / 1000))
        for (let at = 0; at < all.length; at += step) log.append(all.subarray(at, at + step))
        const last = log.close('END\n')
        expect(log.pieces).toBe(pieces.length)
        const expected = Buffer.concat([all, Buffer.from('END\n')])
        // Not compared by the matcher, which would print it all.
        expect(pieces.join('') + last === expected.toString()).toBe(true)
        expect(log.tail().equals(expected.subarray(Math.max(0, expected.length - 4096)))).toBe(true)
      }),
    )
  })

  test('takes text and bytes in turn', () => {
    const { log } = written()
    const é = Buffer.from('é')
    for (const part of ['', 'ö\n', é.subarray(0, 1), é.subarray(1), 'end\n']) log.append(part)
    expect(log.close('END\n')).toBe('ö\néend\nEND\n')
    expect(log.tail().toString()).toBe('ö\néend\nEND\n')
    const usual = written().log
    usual.append('START\n')
    usual.append(Buffer.from('line\n'))
    expect(usual.close('END\n')).toBe('START\nline\nEND\n')
  })

  test('cuts what is no text, too', () => {
    const { log, pieces } = written()
    log.append(Buffer.alloc(100 * 1024, 0x80))
    expect(pieces.map(({ length }) => length)).toEqual([32 * 1024, 32 * 1024, 32 * 1024])
    expect(log.close('')).toHaveLength(4 * 1024)
  })

  test('stops writing one call after 4 MiB, says so, and still has the end of it', () => {
    const { log, pieces } = written()
    const line = Buffer.alloc(32 * 1024, 'x')
    for (let i = 0; i < 200; i += 1) log.append(line)
    log.append(Buffer.from('the last words\n'))
    const last = log.close('closing\n')
    expect(pieces.join('').length).toBeLessThan(5 * 1024 * 1024)
    expect(last).toMatch(/… \d+ bytes of log left out\nclosing\n$/)
    expect(log.tail().toString()).toContain('the last words\n')
  })
})

describe('Durations', () => {
  test('knows nothing before the first measurement', () => {
    expect(new Durations().estimateMs).toBeUndefined()
  })

  test('comes close to a steady duration', () => {
    const durations = new Durations()
    for (let i = 0; i < 100; i += 1) durations.add(10)
    expect(durations.estimateMs).toBeCloseTo(10, 1)
  })

  test('does not take something quick for slow because one of many was held up', () => {
    const durations = new Durations()
    for (let i = 0; i < 1000; i += 1) durations.add(i % 100 === 0 ? 4 : 0.02)
    expect(durations.estimateMs ?? 1).toBeLessThan(0.5)
  })

  test('takes something usually quick and sometimes slow for slow', () => {
    const durations = new Durations()
    for (let i = 0; i < 100; i += 1) durations.add(i % 10 === 0 ? 1000 : 1)
    expect(durations.estimateMs ?? 0).toBeGreaterThan(100)
  })
})
