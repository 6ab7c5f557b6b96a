/** Values of the six fields of a schedule, seconds first, and the names that stand for numbers. */
const CRON_FIELDS: readonly {
  readonly min: number
  readonly max: number
  readonly names?: readonly string[]
}[] = [
  { min: 0, max: 59 },
  { min: 0, max: 59 },
  { min: 0, max: 23 },
  { min: 1, max: 31 },
  {
    min: 1,
    max: 12,
    names: ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'],
  },
  { min: 0, max: 6, names: ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'] },
]

const CRON_PART = /^(?:([*?])|([A-Za-z0-9]+)(?:-([A-Za-z0-9]+))?)(?:\/(\d{1,4}))?$/

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

/** Whether this host knows a time zone such as `Asia/Shanghai`. */
export function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
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
    CRON_FIELDS.every((range, index) =>
      (fields[index] ?? '').split(',').every((part) => isCronPart(part, range)),
    )
  )
}

function isCronPart(part: string, range: (typeof CRON_FIELDS)[number]): boolean {
  const match = CRON_PART.exec(part)
  if (match === null) return false
  const [, any, first, last, step] = match
  if (step !== undefined && Number(step) === 0) return false
  if (any !== undefined) return true
  const from = cronNumber(first ?? '', range)
  const to = last === undefined ? from : cronNumber(last, range)
  return from !== undefined && to !== undefined && from <= to
}

function cronNumber(text: string, { min, max, names }: (typeof CRON_FIELDS)[number]): number | undefined {
  const named = names?.indexOf(text.toUpperCase()) ?? -1
  const number = named !== -1 ? named + min : /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN
  return number >= min && number <= max ? number : undefined
}

function isMoment(text: string): boolean {
  const epochMs = Date.parse(text)
  return Number.isFinite(epochMs) && `${new Date(epochMs).toISOString().slice(0, 19)}Z` === text
}
