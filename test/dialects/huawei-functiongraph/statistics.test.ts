import * as fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { bucketsOf, spanOf } from '../../../src/dialects/huawei-functiongraph/buckets.ts'
import type { CallRecord } from '../../../src/model/call-record.ts'
import { clear, controlPlane, HELLO, P, refusal, type ControlPlane } from './control-plane.ts'
import { F, openHarness, urnOf, type Harness } from './harness.ts'

let server: Harness
let api: ControlPlane
beforeAll(async () => {
  server = await openHarness()
  api = controlPlane(server)
})
afterAll(() => server.close())
beforeEach(() => api.make('hello'))
afterEach(async () => {
  expect(server.observed).toEqual([])
  await clear(server)
})

const NOW_MS = Date.parse('2026-11-21T10:00:00Z')
const KEYS = [
  ...[
    'concurrency_num',
    'count',
    'duration',
    'fail_count',
    'function_error_count',
    'max_duration',
    'min_duration',
  ],
  ...['reject_count', 'reserved_instance_num', 'system_error_count'],
]

const called = (agoMs: number, more: Partial<CallRecord> = {}): CallRecord => ({
  requestId: 'r',
  version: 'LATEST',
  endedAtMs: NOW_MS - agoMs,
  ending: 'returned',
  durationMs: 10,
  billedDurationMs: 100,
  maxMemoryBytes: 0,
  retryCount: 0,
  log: '',
  ...more,
})

beforeEach(() => {
  server.records.length = 0
})

type Series = { timestamp: number; value: number }[]
const known = (series: unknown): unknown[] =>
  (series as Series).filter(({ value }) => value !== -1).map(({ value }) => value)

describe('figures of a function', () => {
  test('are those of its calls, by the minute, and −1 where there was none', async () => {
    server.records.push(
      called(0, { durationMs: 30 }),
      called(10_000, { ending: 'threw' }),
      called(20_000),
      called(120_000),
    )
    const { status, json } = await api.get(`${F}/${HELLO}/statistics/60`)
    expect([status, Object.keys(json).sort()]).toEqual([200, KEYS])
    for (const series of Object.values(json) as Series[]) {
      expect(series).toHaveLength(60)
      expect(
        series.every(({ timestamp, value }) => Number.isInteger(timestamp) && Number.isInteger(value)),
      ).toBe(true)
    }
    expect(known(json['count'])).toEqual([1, 2, 1])
    expect(known(json['duration'])).toEqual([10, 10, 30])
    expect(known(json['fail_count'])).toEqual([0, 1, 0])
    expect(known(json['function_error_count'])).toEqual([0, 1, 0])
    expect(known(json['max_duration'])).toEqual([10, 10, 30])
    for (const name of ['reject_count', 'system_error_count', 'concurrency_num', 'reserved_instance_num'])
      expect([name, known(json[name])]).toEqual([name, []])
    const last = (json['count'] as Series).at(-1)
    expect(last).toEqual({ timestamp: NOW_MS, value: 1 })
  })

  test('come with the number of instances in reports of service levels', async () => {
    const { json } = await api.get(`${F}/${HELLO}/slareports/5`)
    expect(Object.keys(json).sort()).toEqual([...KEYS, 'instance_num'].sort())
    expect(json['instance_num']).toHaveLength(5)
  })

  test.each(['x', '0', '999999999', '2026-11-21T09:50:00Z', '2099-01-01T00:00:00Z', '-5'])(
    'are given for the odd period %j',
    async (period) => {
      const { status, json } = await api.get(`${F}/${HELLO}/statistics/${period}`)
      expect(status).toBe(200)
      expect((json['count'] as Series).length).toBeGreaterThan(0)
      expect((json['count'] as Series).length).toBeLessThanOrEqual(61)
    },
  )

  test('are none of a function that is not there', async () => {
    expect(refusal(await api.get(`${F}/${urnOf('none')}/statistics/60`))).toEqual([404, 'FSS.1051'])
    expect(refusal(await api.get(`${F}/${urnOf('hello', 'v9')}/slareports/60`))).toEqual([404, 'FSS.1052'])
  })
})

describe('figures of all functions', () => {
  test('are summed up by the minute', async () => {
    await api.make('other')
    server.records.push(called(0))
    const { json } = await api.get(`${F}/statistics?filter=monitor_data&period=10`)
    const statistics = json['statistics'] as Record<string, Series>
    expect(Object.keys(statistics).sort()).toEqual(KEYS)
    expect(known(statistics['count'])).toEqual([2])
  })

  test('are summed up by the day', async () => {
    server.records.push(called(0), called(86_400_000), called(86_400_000))
    const { json } = await api.get(`${F}/statistics?filter=monthly_report&option=0`)
    expect(json).toEqual({
      count: [
        { date: '2026-11-20', value: 2 },
        { date: '2026-11-21', value: 1 },
      ],
      gbs: [
        { date: '2026-11-20', value: 0.025 },
        { date: '2026-11-21', value: 0.013 },
      ],
      gpu_gbs: [],
    })
    for (const option of ['1', '2', '3', ''])
      expect((await api.get(`${F}/statistics?filter=monthly_report&option=${option}`)).status).toBe(200)
  })

  test.each(['', '?filter=other', '?filter=monthly_report&option=4', '?filter=monthly_report&option=x'])(
    'are refused for %j',
    async (query) => {
      expect(refusal(await api.get(`${F}/statistics${query}`))).toEqual([400, 'FSS.1001'])
    },
  )

  test('name the functions that failed', async () => {
    server.records.push(called(0, { ending: 'threw' }), called(1, { ending: 'timedOut' }), called(2))
    expect((await api.get(`${P}/fgs/function/report`)).json).toEqual({
      values: [{ key: HELLO, value: 2 }],
      count: 1,
    })
    expect(
      (await api.get(`${P}/fgs/function/report?type=failcount&start_time=0&end_time=2026-11-22T00:00:00Z`))
        .json['count'],
    ).toBe(1)
    expect(refusal(await api.get(`${P}/fgs/function/report?type=other`))).toEqual([400, 'FSS.1001'])
    expect(refusal(await api.get(`${P}/fgs/function/report?start_time=soon`))).toEqual([400, 'FSS.1001'])
  })
})

test('the parts of any period are equal, at most 61, and end after now', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.nat(10_000_000).map(String), fc.string()),
      fc.nat(4_000_000_000_000),
      (period, nowMs) => {
        const span = spanOf(period, nowMs)
        const starts = bucketsOf(span)
        expect(starts.length).toBeGreaterThan(0)
        expect(starts.length).toBeLessThanOrEqual(61)
        expect(starts.at(-1)).toBe(span.toMs - span.stepMs)
        expect(span.toMs).toBeGreaterThan(nowMs)
        expect(span.toMs - span.stepMs).toBeLessThanOrEqual(nowMs)
      },
    ),
  )
})

test('quotas tell what is used', async () => {
  const { quotas } = (await api.get(`${P}/fgs/quotas`)).json as {
    quotas: { resources: Record<string, unknown>[] }
  }
  const byType = Object.fromEntries(quotas.resources.map(({ type, ...rest }) => [type, rest]))
  expect(byType['fgs_func_num']).toEqual({ quota: 400, used: 1, unit: '' })
  expect(byType['fgs_func_code_size']).toEqual({ quota: 10_240, used: 1, unit: 'MB' })
  expect(Object.keys(byType)).toHaveLength(8)
})
