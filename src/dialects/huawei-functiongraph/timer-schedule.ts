/** Units of a rate, and how many of each there may be. Source: the vendor's description of timer triggers. */
const RATE_UNITS: Readonly<Record<string, number>> = { m: 60, h: 24, d: 30 }

const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC']
const DAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT']

/** Seconds, minutes, hours, days of the month, months, and, if it is there, days of the week, of which 7 is one more Sunday. */
const FIELDS: readonly { readonly min: number; readonly max: number; readonly names?: readonly string[] }[] =
  [
    { min: 0, max: 59 },
    { min: 0, max: 59 },
    { min: 0, max: 23 },
    { min: 1, max: 31 },
    { min: 1, max: 12, names: MONTHS },
    { min: 0, max: 7, names: DAYS },
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
  if (zone !== undefined && !isZone(zone)) return false
  const every = /^@every +(\S+)$/.exec(rest)?.[1]
  if (every !== undefined) return isDuration(every)
  const fields = rest.trim().split(/ +/)
  return (
    (fields.length === 5 || fields.length === 6) &&
    fields.every((field, at) => isField(field, FIELDS[at] ?? { min: 0, max: 0 }))
  )
}

function isField(text: string, field: (typeof FIELDS)[number]): boolean {
  return text.split(',').every((item) => isItem(item, field))
}

/** `*`, `?`, a value or a range, and after a slash the width of a step. */
function isItem(text: string, field: (typeof FIELDS)[number]): boolean {
  const [range = '', step, ...more] = text.split('/')
  if (more.length > 0) return false
  if (step !== undefined && !(/^\d{1,2}$/.test(step) && Number(step) > 0)) return false
  if (range === '*' || range === '?') return true
  const [from = '', to, ...rest] = range.split('-')
  if (rest.length > 0) return false
  const first = valueOf(from, field)
  if (first === undefined || to === undefined) return first !== undefined
  const last = valueOf(to, field)
  return last !== undefined && first <= last
}

function valueOf(text: string, { min, max, names = [] }: (typeof FIELDS)[number]): number | undefined {
  const named = names.indexOf(text.toUpperCase())
  if (named !== -1) return min + named
  if (!/^\d{1,2}$/.test(text)) return undefined
  const value = Number(text)
  return value >= min && value <= max ? value : undefined
}

/** `1h30m`, `1.5s`: more than nothing. */
function isDuration(text: string): boolean {
  return new RegExp(`^(?:${DURATION_PART.source})+$`).test(text) && /[1-9]/.test(text)
}

function isZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}
