/** Values of one field of a cron expression, and what it takes beside numbers, `*`, lists, ranges and steps. */
export interface CronField {
  readonly min: number
  readonly max: number
  /** Names that stand for numbers from `min` on, in upper case; taken in any case. */
  readonly names?: readonly string[]
  /** What a whole list entry, in upper case, may be beside: `?`, `L`, `2#1`. Default: nothing. */
  readonly special?: RegExp
}

export const MONTH_NAMES: readonly string[] = [
  'JAN',
  'FEB',
  'MAR',
  'APR',
  'MAY',
  'JUN',
  'JUL',
  'AUG',
  'SEP',
  'OCT',
  'NOV',
  'DEC',
]
/** From Sunday, 0. */
export const WEEKDAY_NAMES: readonly string[] = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT']

/** Whether a text is one field of a cron expression: entries with commas between, each `*`, a value or a range, and a step. */
export function isCronField(text: string, field: CronField): boolean {
  return text
    .toUpperCase()
    .split(',')
    .every((entry) => isEntry(entry, field))
}

/** Whether this host knows a time zone such as `Asia/Shanghai`. */
export function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}

function isEntry(entry: string, field: CronField): boolean {
  if (field.special?.test(entry) === true) return true
  const [base = '', step, ...more] = entry.split('/')
  if (more.length > 0) return false
  if (step !== undefined && (!/^\d{1,4}$/.test(step) || Number(step) === 0)) return false
  if (base === '*') return true
  const [from = '', to, ...rest] = base.split('-')
  const first = valueOf(from, field)
  if (rest.length > 0 || first === undefined) return false
  if (to === undefined) return true
  const last = valueOf(to, field)
  return last !== undefined && first <= last
}

function valueOf(text: string, { min, max, names = [] }: CronField): number | undefined {
  const named = names.indexOf(text)
  if (named >= 0) return min + named
  if (!/^\d{1,4}$/.test(text)) return undefined
  const value = Number(text)
  return value >= min && value <= max ? value : undefined
}
