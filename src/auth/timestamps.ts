const MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec'

/**
 * Reads the one date format HTTP still writes (IMF-fixdate, `Mon, 06 May 2024 07:08:09 GMT`).
 *
 * Strict on purpose: a signature must not pass because a lenient parser finds a date in something else.
 *
 * @returns Epoch milliseconds, or undefined when the text has another form.
 */
export function parseHttpDate(text: string): number | undefined {
  if (text.length !== 29 || !text.endsWith(' GMT') || text[3] !== ',') return undefined
  const month = MONTHS.indexOf(text.slice(8, 11))
  if (month === -1 || month % 3 !== 0) return undefined
  return epochMs(digits(text, 12, 4), month / 3, digits(text, 5, 2), text, 17)
}

/**
 * Reads `YYYY-MM-DDTHH:MM:SSZ`.
 *
 * @returns Epoch milliseconds, or undefined when the text has another form.
 */
export function parseIsoSeconds(text: string): number | undefined {
  if (text.length !== 20 || text[4] !== '-' || text[7] !== '-' || text[10] !== 'T' || text[19] !== 'Z') {
    return undefined
  }
  return epochMs(digits(text, 0, 4), digits(text, 5, 2) - 1, digits(text, 8, 2), text, 11)
}

/** Combines a date with the `HH:MM:SS` at `timeStart`. NaN marks a part that was not a number. */
function epochMs(
  year: number,
  month: number,
  day: number,
  text: string,
  timeStart: number,
): number | undefined {
  if (text[timeStart + 2] !== ':' || text[timeStart + 5] !== ':') return undefined
  const hours = digits(text, timeStart, 2)
  const minutes = digits(text, timeStart + 3, 2)
  const seconds = digits(text, timeStart + 6, 2)
  const ms = Date.UTC(year, month, day, hours, minutes, seconds)
  return Number.isNaN(ms) ? undefined : ms
}

function digits(text: string, start: number, count: number): number {
  let value = 0
  for (let index = start; index < start + count; index += 1) {
    const digit = text.charCodeAt(index) - 48
    if (!(digit >= 0 && digit <= 9)) return Number.NaN
    value = value * 10 + digit
  }
  return value
}
