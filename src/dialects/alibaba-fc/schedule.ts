import {
  isCronField,
  isTimeZone,
  MONTH_NAMES,
  WEEKDAY_NAMES,
  type CronField,
} from '../../intake/cron-field.ts'

const ANY = /^\?$/

/** The six fields of a schedule, seconds first. */
const CRON_FIELDS: readonly CronField[] = [
  { min: 0, max: 59, special: ANY },
  { min: 0, max: 59, special: ANY },
  { min: 0, max: 23, special: ANY },
  { min: 1, max: 31, special: ANY },
  { min: 1, max: 12, special: ANY, names: MONTH_NAMES },
  { min: 0, max: 6, special: ANY, names: WEEKDAY_NAMES },
]

/** Longest schedule that is looked at, characters. */
const MAX_SCHEDULE_CHARS = 256

/** Whether a text is a moment in UTC such as `2020-10-10T10:10:10Z`. */
export function isUtcTime(text: string): boolean {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) && isMoment(text)
}

/** Whether a text is a time of a zone named elsewhere: `2020-10-10T10:10:10`, with or without `Z`. */
export function isZonedTime(text: string): boolean {
  return isUtcTime(text.endsWith('Z') ? text : `${text}Z`)
}

/**
 * Whether a text is `at(2020-10-20T10:10:10Z)` or `cron(0 30 * * * *)`: six fields, seconds first.
 *
 * @param isTime Judges the moment within `at(…)`.
 */
export function isScheduleExpression(text: string, isTime: (text: string) => boolean): boolean {
  if (text.length > MAX_SCHEDULE_CHARS) return false
  const [, kind, inner = ''] = /^(at|cron)\((.*)\)$/.exec(text) ?? []
  if (kind === 'at') return isTime(inner)
  return kind === 'cron' && isCron(inner)
}

function isCron(text: string): boolean {
  const [, zone, rest = ''] = /^(?:CRON_TZ=(\S+)\s+)?(.*)$/.exec(text) ?? []
  if (zone !== undefined && !isTimeZone(zone)) return false
  const fields = rest.trim().split(/\s+/)
  return (
    fields.length === CRON_FIELDS.length &&
    CRON_FIELDS.every((field, index) => isCronField(fields[index] ?? '', field))
  )
}

function isMoment(text: string): boolean {
  const epochMs = Date.parse(text)
  return Number.isFinite(epochMs) && `${new Date(epochMs).toISOString().slice(0, 19)}Z` === text
}
