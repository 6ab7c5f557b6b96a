/** One field of a timer's cron text: its range and what it takes beside numbers, `*`, lists, ranges and steps. */
interface CronField {
  readonly name: string
  readonly min: number
  readonly max: number
  /** Names that stand for numbers from `min` on, in upper case. */
  readonly words?: readonly string[]
  /** Further operators, as a pattern of a whole list entry. */
  readonly special?: RegExp
}

const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC']
/** 0 is Sunday. */
const WEEKDAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT']

/** Source: the vendor's timer trigger page. */
const FIELDS: readonly CronField[] = [
  { name: 'second', min: 0, max: 59 },
  { name: 'minute', min: 0, max: 59 },
  { name: 'hour', min: 0, max: 23 },
  { name: 'day', min: 1, max: 31, special: /^(?:\?|LW|L|(?:[1-9]|[12]\d|3[01])W)$/ },
  { name: 'month', min: 1, max: 12, words: MONTHS },
  {
    name: 'weekday',
    min: 0,
    max: 6,
    words: WEEKDAYS,
    special: /^(?:\?|L|(?:[0-6]|SUN|MON|TUE|WED|THU|FRI|SAT)(?:L|#[1-5]))$/,
  },
  { name: 'year', min: 1970, max: 2099 },
]

/** Longest cron text, characters. The vendor publishes no number. */
const MAX_CRON_CHARS = 256

/**
 * What is wrong with a timer's cron text: seven fields from second to year, or five from minute to weekday.
 *
 * @returns A sentence for the caller, or undefined when the text is one.
 */
export function cronFault(text: string): string | undefined {
  if (text.length > MAX_CRON_CHARS) return `a cron expression has at most ${MAX_CRON_CHARS} characters`
  const parts = text.trim().split(/\s+/)
  if (parts.length !== 7 && parts.length !== 5)
    return 'a cron expression has 7 fields (second minute hour day month weekday year) or 5 (minute … weekday)'
  const fields = parts.length === 7 ? FIELDS : FIELDS.slice(1, 6)
  for (const [index, field] of fields.entries()) {
    const part = (parts[index] ?? '').toUpperCase()
    if (!part.split(',').every((entry) => isEntry(field, entry)))
      return `'${part}' is no ${field.name} of a cron expression (${field.min}-${field.max})`
  }
  return undefined
}

function isEntry(field: CronField, entry: string): boolean {
  if (field.special?.test(entry) === true) return true
  const [base = '', step, ...more] = entry.split('/')
  if (more.length > 0) return false
  if (step !== undefined && (!/^\d{1,4}$/.test(step) || Number(step) === 0)) return false
  if (base === '*') return true
  const [from = '', to, ...rest] = base.split('-')
  if (rest.length > 0) return false
  const first = numberOf(field, from)
  if (first === undefined) return false
  if (to === undefined) return true
  const last = numberOf(field, to)
  return last !== undefined && last >= first
}

function numberOf({ min, max, words = [] }: CronField, text: string): number | undefined {
  const word = words.indexOf(text)
  if (word >= 0) return min + word
  if (!/^\d{1,4}$/.test(text)) return undefined
  const number = Number(text)
  return number >= min && number <= max ? number : undefined
}
