import { isCronField, MONTH_NAMES, WEEKDAY_NAMES, type CronField } from '../../intake/cron-field.ts'

/** Source: the vendor's timer trigger page. Sunday is 0. */
const FIELDS: readonly (CronField & { readonly name: string })[] = [
  { name: 'second', min: 0, max: 59 },
  { name: 'minute', min: 0, max: 59 },
  { name: 'hour', min: 0, max: 23 },
  { name: 'day', min: 1, max: 31, special: /^(?:\?|LW|L|(?:[1-9]|[12]\d|3[01])W)$/ },
  { name: 'month', min: 1, max: 12, names: MONTH_NAMES },
  {
    name: 'weekday',
    min: 0,
    max: 6,
    names: WEEKDAY_NAMES,
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
    const part = parts[index] ?? ''
    if (!isCronField(part, field))
      return `'${part.toUpperCase()}' is no ${field.name} of a cron expression (${field.min}-${field.max})`
  }
  return undefined
}
