import type { SQLInputValue } from 'node:sqlite'
import { LATEST } from '../../model/function.ts'
import { TASK_ENDINGS, type TaskEnding, type TaskFilter, type TaskRecord } from '../task-queue.ts'

/** A part of a statement: all text is chosen here, what was asked for is bound. */
export interface Condition {
  readonly text: string
  readonly values: readonly SQLInputValue[]
}

/** What a filter asks for, by what it asks of. */
export type Conditions = Partial<
  Record<
    | 'qualifier'
    | 'source'
    | 'requestIds'
    | 'accepted'
    | 'started'
    | 'ended'
    | 'repeat'
    | 'prefix'
    | 'status'
    | 'cancelledAs',
    Condition
  >
>

/** A partial index, and its condition word by word. */
export interface PartialIndex {
  readonly index: string
  readonly text: string
}

/** Cancelled ones whose run failed by itself in the time that its stop gave it. */
export const FAILED_IN_STOP: PartialIndex = {
  index: 'tasks_failed_in_stop',
  text: "status = 'cancelled' AND stop_requested_at_ms IS NOT NULL AND last_error <> 'terminated'",
}

/** Those that are not of the latest state. */
export const OF_VERSIONS: PartialIndex = {
  index: 'tasks_by_qualifier',
  text: `qualifier IS NOT NULL AND qualifier <> '${LATEST}'`,
}

export const LIVE = 'ended_at_ms IS NULL'
export const ENDED = 'ended_at_ms IS NOT NULL'

export function conditionsOf(filter: TaskFilter): Conditions {
  const { taskIdPrefix: prefix, requestIds, isRepeat, statuses, cancelledAs } = filter
  const all: Record<keyof Conditions, Condition | undefined> = {
    qualifier:
      filter.qualifier === LATEST
        ? where(`(qualifier IS NULL OR qualifier = '${LATEST}')`)
        : where('qualifier = ?', filter.qualifier),
    source: where('source = ?', filter.source),
    requestIds:
      requestIds && where('request_id IN (SELECT value FROM json_each(?))', JSON.stringify(requestIds)),
    accepted: rangeOf('accepted_at_ms', filter.acceptedFromMs, filter.acceptedToMs),
    started: rangeOf('started_at_ms', filter.startedFromMs, filter.startedToMs),
    ended: rangeOf('ended_at_ms', filter.endedFromMs, filter.endedToMs),
    repeat: isRepeat === undefined ? undefined : where(isRepeat ? 'attempts > 0' : 'attempts = 0'),
    prefix:
      prefix === undefined
        ? undefined
        : allOf([
            where('task_id IS NOT NULL'),
            prefix === '' ? undefined : where('task_id >= ? AND task_id < ?', prefix, `${prefix}\u{10FFFF}`),
          ]),
    status: statuses && where(statusCondition(statuses)),
    cancelledAs: cancelledAs && where(cancelledCondition(cancelledAs)),
  }
  return Object.fromEntries(Object.entries(all).filter(([, condition]) => condition !== undefined))
}

function rangeOf(column: string, from: number | undefined, to: number | undefined): Condition | undefined {
  if (from === undefined && to === undefined) return undefined
  return allOf([where(`${column} >= ?`, from), where(`${column} < ?`, to)])
}

/** Undefined when a value is not given: then nothing is asked. */
export function where(text: string, ...given: (SQLInputValue | undefined)[]): Condition | undefined {
  const values = given.filter((value) => value !== undefined)
  return values.length < given.length ? undefined : { text, values }
}

export function allOf(conditions: readonly (Condition | undefined)[]): Condition {
  const given = conditions.filter((condition) => condition !== undefined)
  return {
    text: given.map(({ text }) => text).join(' AND '),
    values: given.flatMap(({ values }) => values),
  }
}

/** Words of ours, never of those who ask: what is not a status is left out. */
function statusCondition(statuses: readonly TaskRecord['status'][]): string {
  const stored = statuses.flatMap((status) =>
    status === 'running' ? ["'leased'"] : status === 'waiting' || isEnding(status) ? [`'${status}'`] : [],
  )
  return stored.length === 1 ? `status = ${stored[0]}` : `status IN (${stored.join(', ')})`
}

/** A condition that is neither true nor false, as one on no error, finds nothing. */
function cancelledCondition(cancelledAs: 'failed' | 'stopped'): string {
  return cancelledAs === 'failed'
    ? `(status <> 'cancelled' OR (${FAILED_IN_STOP.text}))`
    : `(status <> 'cancelled' OR stop_requested_at_ms IS NULL OR coalesce(last_error, 'terminated') = 'terminated')`
}

export function isEnding(status: TaskRecord['status']): status is TaskEnding {
  return TASK_ENDINGS.some((ending) => ending === status)
}
