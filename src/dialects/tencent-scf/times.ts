/** Times of this API have no zone; the vendor's samples are UTC+8. */
const ZONE_MS = 8 * 60 * 60 * 1000

const TIME = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d{1,6})?$/

/** `YYYY-MM-DD HH:mm:ss`, UTC+8. */
export function formatTime(epochMs: number): string {
  return zoned(epochMs).slice(0, 19)
}

/** `YYYY-MM-DD HH:mm:ss.ffffff`, UTC+8. Nothing is measured below a millisecond: the last three digits are zeros. */
export function formatTimeMicros(epochMs: number): string {
  return `${zoned(epochMs).slice(0, 23)}000`
}

/** Epoch milliseconds of a time as {@link formatTime} or {@link formatTimeMicros} writes it, or undefined. */
export function parseTime(text: string): number | undefined {
  const [, day, time, fraction = ''] = TIME.exec(text.trim()) ?? []
  if (day === undefined || time === undefined) return undefined
  const epochMs = Date.parse(`${day}T${time}Z`) + Math.floor(Number(`0${fraction}`) * 1000) - ZONE_MS
  return Number.isNaN(epochMs) ? undefined : epochMs
}

function zoned(epochMs: number): string {
  return new Date(epochMs + ZONE_MS).toISOString().replace('T', ' ')
}
