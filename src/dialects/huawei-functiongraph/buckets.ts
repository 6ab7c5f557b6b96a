import type { CallRecord } from '../../model/call-record.ts'
import type { JsonObject } from './operation.ts'

/** What a report shows where there is no figure. Source: the vendor's description of its metrics. */
const UNKNOWN = -1

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
const DEFAULT_MINUTES = 60
const MAX_MINUTES = 30 * 24 * 60

/** Values of one series at most. */
const MAX_BUCKETS = 60

/** Time in equal parts, half-open, epoch milliseconds. */
export interface Span {
  readonly fromMs: number
  readonly toMs: number
  readonly stepMs: number
}

/** Of a call, what figures are made of. */
export type CallFigures = Pick<CallRecord, 'endedAtMs' | 'ending' | 'durationMs' | 'billedDurationMs'>

/** Values of one figure over time, in the words of the API. */
export type Series = readonly { readonly timestamp: number; readonly value: number }[]

/** What the calls of one bucket come to. */
interface Tally {
  count: number
  failed: number
  durationMs: number
  longestMs: number
  shortestMs: number
}

/** Figures of reports that this server does not keep. */
const NOT_KEPT = ['reject_count', 'system_error_count', 'reserved_instance_num', 'concurrency_num']

/** The time that `period` names, in minutes back from now. Clients also write a moment there; anything else is an hour. */
export function spanOf(period: string, nowMs: number): Span {
  const sinceMs = /^\d{4}-/.test(period) ? Date.parse(period) : Number.NaN
  const asked = /^\d{1,6}$/.test(period) ? Number(period) : Math.ceil((nowMs - sinceMs) / MINUTE_MS)
  const minutes = asked >= 1 ? Math.min(asked, MAX_MINUTES) : DEFAULT_MINUTES
  const stepMs = Math.ceil(minutes / MAX_BUCKETS) * MINUTE_MS
  const toMs = (Math.floor(nowMs / stepMs) + 1) * stepMs
  return { fromMs: toMs - Math.ceil((minutes * MINUTE_MS) / stepMs) * stepMs, toMs, stepMs }
}

/** Where each part of a span begins. */
export function bucketsOf({ fromMs, toMs, stepMs }: Span): readonly number[] {
  return Array.from({ length: Math.round((toMs - fromMs) / stepMs) }, (_, at) => fromMs + at * stepMs)
}

/** A series of which nothing is known. */
export function missingSeries(buckets: readonly number[]): Series {
  return buckets.map((timestamp) => ({ timestamp, value: UNKNOWN }))
}

/** Every figure of a report over the calls of a span; −1 where there was no call, or where nothing is known of it. */
export function seriesOf(span: Span, calls: readonly CallFigures[]): JsonObject {
  const buckets = bucketsOf(span)
  const tallies = new Map<number, Tally>()
  for (const { endedAtMs, durationMs, ending } of calls) {
    const at = Math.floor((endedAtMs - span.fromMs) / span.stepMs)
    const tally = tallies.get(at) ?? {
      count: 0,
      failed: 0,
      durationMs: 0,
      longestMs: 0,
      shortestMs: Number.POSITIVE_INFINITY,
    }
    tally.count += 1
    tally.failed += Number(ending !== 'returned')
    tally.durationMs += durationMs
    tally.longestMs = Math.max(tally.longestMs, durationMs)
    tally.shortestMs = Math.min(tally.shortestMs, durationMs)
    tallies.set(at, tally)
  }
  const series = (valueOf: (tally: Tally) => number): Series =>
    buckets.map((timestamp, at) => {
      const tally = tallies.get(at)
      return { timestamp, value: tally === undefined ? UNKNOWN : Math.round(valueOf(tally)) }
    })
  const missing = missingSeries(buckets)
  return {
    count: series(({ count }) => count),
    duration: series(({ durationMs, count }) => durationMs / count),
    fail_count: series(({ failed }) => failed),
    max_duration: series(({ longestMs }) => longestMs),
    min_duration: series(({ shortestMs }) => shortestMs),
    function_error_count: series(({ failed }) => failed),
    ...Object.fromEntries(NOT_KEPT.map((name) => [name, missing])),
  }
}

/** The UTC day a moment is in, `2006-01-02`. */
export function dayOf(epochMs: number): string {
  return new Date(epochMs).toISOString().slice(0, 10)
}

/**
 * What a monthly report covers, half-open: 0 this month, 1 the month before, 2 and 3 the three and six months up to now.
 *
 * @returns Undefined for any other option.
 */
export function reportSpanOf(option: string, nowMs: number): { fromMs: number; toMs: number } | undefined {
  const now = new Date(nowMs)
  const monthMs = (back: number): number => Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - back, 1)
  const toMs = (Math.floor(nowMs / DAY_MS) + 1) * DAY_MS
  switch (option) {
    case '0':
      return { fromMs: monthMs(0), toMs }
    case '1':
      return { fromMs: monthMs(1), toMs: monthMs(0) }
    case '2':
      return { fromMs: monthMs(2), toMs }
    case '3':
      return { fromMs: monthMs(5), toMs }
    default:
      return undefined
  }
}
