import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isCron, isRate } from '../../../src/dialects/huawei-functiongraph/timer-schedule.ts'

describe('a rate', () => {
  test('is a number of minutes, hours or days within its bounds', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -5, max: 120 }),
        fc.constantFrom('m', 'h', 'd', 's', 'M', ''),
        (number, unit) => {
          const most =
            new Map([
              ['m', 60],
              ['h', 24],
              ['d', 30],
            ]).get(unit) ?? 0
          expect([number, unit, isRate(`${number}${unit}`)]).toEqual([
            number,
            unit,
            number >= 1 && number <= most,
          ])
        },
      ),
    )
  })

  test.each(['', '3', '03m', '3 m', '1.5h', '3m ', '1m1h'])('is not %j', (text) => {
    expect(isRate(text)).toBe(false)
  })
})

describe('a cron expression', () => {
  test.each([
    '0 0 12 * * ?',
    '0 0 12 * *',
    '0 */10 * * * ?',
    '0 15 10 ? * MON-FRI',
    '0 0 0 1,15 JAN,jul *',
    '5/20 * * * * *',
    '0 0 8-18/2 * * 1-5',
    '0 0 0 * * 7',
    '@every 1h30m',
    '@every 1.5h',
    '@every 500ms',
    'CRON_TZ=Asia/Shanghai 0 0 8 * * *',
    'CRON_TZ=UTC @every 10s',
  ])('is %j', (text) => {
    expect(isCron(text)).toBe(true)
  })

  test.each([
    '',
    '* * * *',
    '0 0 12 * * ? 2026',
    '60 * * * * *',
    '* 60 * * * *',
    '* * 24 * * *',
    '* * * 0 * *',
    '* * * 32 * *',
    '* * * * 13 *',
    '* * * * 0 *',
    '* * * * * 8',
    '* * * * * FRI-MON',
    '5-1 * * * * *',
    '*/0 * * * * *',
    '*/ * * * * *',
    '1,,2 * * * * *',
    '1/2/3 * * * * *',
    '1-2-3 * * * * *',
    'a * * * * *',
    '@every',
    '@every 0s',
    '@every -1s',
    '@every 1',
    '@daily',
    'CRON_TZ=Nowhere/City 0 0 8 * * *',
    'CRON_TZ= 0 0 8 * * *',
    `0 0 12 * * ${'1,'.repeat(200)}1`,
  ])('is not %j', (text) => {
    expect(isCron(text)).toBe(false)
  })

  test('may be any combination of fields within their bounds, and is not with one beyond', () => {
    const bounds = [
      [0, 59],
      [0, 59],
      [0, 23],
      [1, 31],
      [1, 12],
      [0, 7],
    ] as const
    const fieldOf = ([min, max]: (typeof bounds)[number]) =>
      fc.oneof(
        fc.constantFrom('*', '?'),
        fc.integer({ min, max }).map(String),
        fc
          .tuple(fc.integer({ min, max }), fc.integer({ min, max }))
          .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
        fc.integer({ min: 1, max: 59 }).map((step) => `*/${step}`),
        fc.array(fc.integer({ min, max }), { minLength: 1, maxLength: 4 }).map((list) => list.join(',')),
      )
    const fields = fc.tuple(...bounds.map(fieldOf))
    fc.assert(fc.property(fields, (parts) => isCron(parts.join(' '))))
    fc.assert(
      fc.property(fields, fc.nat({ max: 5 }), (parts, at) => {
        const broken = parts.with(at, String((bounds[at]?.[1] ?? 0) + 1))
        return !isCron(broken.join(' '))
      }),
    )
  })

  test('is looked for in any text without harm', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        isCron(text)
        isCron(`CRON_TZ=${text}`)
        isRate(text)
      }),
    )
  })
})
