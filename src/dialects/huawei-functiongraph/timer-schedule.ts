import {
  isCronField,
  isTimeZone,
  MONTH_NAMES,
  WEEKDAY_NAMES,
  type CronField,
} from '../../intake/cron-field.ts'

/** Units of a rate, and how many of each there may be. Source: the vendor's description of timer triggers. */
const RATE_UNITS: Readonly<Record<string, number>> = { m: 60, h: 24, d: 30 }

/** What every field may be in place of `*`. */
const special = /^\?$/

/** Seconds, minutes, hours, days of the month, months, and, if it is there, days of the week, of which 7 is one more Sunday. */
const FIELDS: readonly CronField[] = [
  { min: 0, max: 59, special },
  { min: 0, max: 59, special },
  { min: 0, max: 23, special },
  { min: 1, max: 31, special },
  { min: 1, max: 12, names: MONTH_NAMES, special },
  { min: 0, max: 7, names: WEEKDAY_NAMES, special },
]

const DURATION_PART = /(?:\d+(?:\.\d+)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)/

/** Longest expression that is looked at, characters. */
const MAX_CHARS = 256

/** Whether a text is a rate such as `3m`: 1 – 60 minutes, 1 – 24 hours or 1 – 30 days. */
export function isRate(text: string): boolean {
  const [, digits = '', unit = ''] = /^([1-9]\d?)([mhd])$/.exec(text) ?? []
  return digits !== '' && Number(digits) <= (RATE_UNITS[unit] ?? 0)
}

/**
 * Whether a text is a cron expression as timer triggers take it: five or six fields that begin with the seconds, or
 * `@every {duration}`, after an optional `CRON_TZ={zone} `.
 */
export function isCron(text: string): boolean {
  if (text.length > MAX_CHARS) return false
  const [, zone, rest = ''] = /^(?:CRON_TZ=(\S+) +)?(.*)$/s.exec(text) ?? []
  if (zone !== undefined && !isTimeZone(zone)) return false
  const every = /^@every +(\S+)$/.exec(rest)?.[1]
  if (every !== undefined) return isDuration(every)
  const fields = rest.trim().split(/ +/)
  return (
    (fields.length === 5 || fields.length === 6) &&
    FIELDS.slice(0, fields.length).every((field, at) => isCronField(fields[at] ?? '', field))
  )
}

/** `1h30m`, `1.5s`: more than nothing. */
function isDuration(text: string): boolean {
  return new RegExp(`^(?:${DURATION_PART.source})+$`).test(text) && /[1-9]/.test(text)
}
