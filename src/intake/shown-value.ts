/** Longest piece of a refused value that is repeated in an error message, characters. */
const SHOWN_VALUE_CHARS = 64

/**
 * A refused value as an error message may repeat it, cut off where it is long. Never walks into a value: a caller may nest
 * one deeper than the stack.
 */
export function shownValue(value: unknown): string {
  if (typeof value === 'string')
    return value.length > SHOWN_VALUE_CHARS ? `${value.slice(0, SHOWN_VALUE_CHARS)}…` : value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return Array.isArray(value) ? '[…]' : value === null || value === undefined ? String(value) : '{…}'
}
