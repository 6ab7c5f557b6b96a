import { describe, expect, test } from 'vitest'
import { isCronField, isTimeZone, MONTH_NAMES, WEEKDAY_NAMES } from '../../src/intake/cron-field.ts'

const day = { min: 1, max: 31, special: /^(?:\?|L|\d+W)$/ }
const month = { min: 1, max: 12, names: MONTH_NAMES }
const weekday = { min: 0, max: 6, names: WEEKDAY_NAMES }

describe('a field of a cron expression', () => {
  test.each([
    ['*', month],
    ['*/5', month],
    ['1', month],
    ['01', month],
    ['12', month],
    ['1-12/3', month],
    ['jan,Mar-DEC', month],
    ['SUN-6', weekday],
    ['0', weekday],
    ['?', day],
    ['l', day],
    ['1,15w,L', day],
  ])('is %s', (text, field) => {
    expect(isCronField(text, field)).toBe(true)
  })

  test.each([
    ['', month],
    ['0', month],
    ['13', month],
    ['12-1', month],
    ['1-2-3', month],
    ['*/0', month],
    ['*/5/5', month],
    ['*/', month],
    ['1,', month],
    ['-1', month],
    ['1.5', month],
    ['?', month],
    ['MON', month],
    ['7', weekday],
    ['?/2', day],
    ['32W ', day],
    ['99999', { min: 0, max: 99_999 }],
  ])('is not %j', (text, field) => {
    expect(isCronField(text, field)).toBe(false)
  })
})

test('knows the time zones of the host', () => {
  expect([isTimeZone('Asia/Shanghai'), isTimeZone('UTC'), isTimeZone('Moon/Base')]).toEqual([
    true,
    true,
    false,
  ])
})
