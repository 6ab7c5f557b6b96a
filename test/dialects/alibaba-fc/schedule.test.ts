import { describe, expect, test } from 'vitest'
import { isScheduleExpression, isUtcTime, isZonedTime } from '../../../src/dialects/alibaba-fc/schedule.ts'

describe('isUtcTime', () => {
  test.each(['2020-10-10T10:10:10Z', '2024-02-29T23:59:59Z'])('takes %s', (text) => {
    expect(isUtcTime(text)).toBe(true)
  })

  test.each([
    '2020-10-10T10:10:10',
    '2020-10-10',
    '2020-13-10T10:10:10Z',
    '2023-02-29T00:00:00Z',
    '2020-10-10T24:00:00Z',
    '',
  ])('refuses %j', (text) => {
    expect(isUtcTime(text)).toBe(false)
  })

  test('is joined by times without a zone where the zone is named elsewhere', () => {
    expect([
      isZonedTime('2020-10-10T10:10:10'),
      isZonedTime('2020-10-10T10:10:10Z'),
      isZonedTime('today'),
    ]).toEqual([true, true, false])
  })
})

describe('isScheduleExpression', () => {
  test.each([
    'at(2020-10-20T10:10:10Z)',
    'cron(0 */30 * * * *)',
    'cron(0 0 8-18/2 1,15 JAN-MAR MON-FRI)',
    'cron(59 59 23 31 12 6)',
    'cron(0 0 4 ? * sun)',
    'cron(CRON_TZ=Asia/Shanghai 0 0 4 * * *)',
  ])('takes %s', (text) => {
    expect(isScheduleExpression(text, isUtcTime)).toBe(true)
  })

  test.each([
    'cron(0s */30 * * * *)',
    'cron(*/30 * * * *)',
    'cron(0 0 0 0 0 0 0)',
    'cron(60 * * * * *)',
    'cron(* * 24 * * *)',
    'cron(* * * 0 * *)',
    'cron(* * * * 13 *)',
    'cron(* * * * * 7)',
    'cron(*/0 * * * * *)',
    'cron(30-10 * * * * *)',
    'cron(1,,2 * * * * *)',
    'cron(CRON_TZ=Moon/Base 0 0 4 * * *)',
    'at(2020-10-20T10:10:10)',
    'rate(5m)',
    '0 */30 * * * *',
    `cron(${'1,'.repeat(200)}1 * * * * *)`,
    '',
  ])('refuses %j', (text) => {
    expect(isScheduleExpression(text, isUtcTime)).toBe(false)
  })
})
