/** Control characters, and those that turn the direction of text: what functions and callers wrote must not steer a terminal. */
const STEERING = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu
const STEERING_BUT_LINES = /[^\n\t\P{Cc}]|[\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

/** A text that came from outside, on one line: what could steer a terminal is shown as an escape. */
export function oneLine(text: string): string {
  return text.replaceAll(STEERING, escaped)
}

/** The same for text of many lines. */
export function manyLines(text: string): string {
  return text.replaceAll(STEERING_BUT_LINES, escaped)
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** One JSON document, for programs; what could steer a terminal is escaped, which means the same. */
export function toJson(document: object): string {
  return `${JSON.stringify(document, null, 2).replaceAll(STEERING_BUT_LINES, escaped)}\n`
}

const UNITS = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
] as const

/** A length of time in the largest unit that it has two of, such as `95 s` or `3 h`. */
export function lengthOf(ms: number): string {
  const [unitMs, unit] = UNITS.find(([size]) => ms >= 2 * size) ?? ([1, 'ms'] as const)
  return `${Math.floor(ms / unitMs)} ${unit}`
}

/** A measured length of time, to a tenth of a millisecond. */
export function millisecondsOf(ms: number): string {
  return `${Math.round(ms * 10) / 10} ms`
}

/** An amount of bytes, in MiB to a tenth. */
export function mebibytesOf(bytes: number): string {
  const mib = bytes / 1024 ** 2
  return `${bytes > 0 && mib < 0.1 ? 'less than 0.1' : Math.round(mib * 10) / 10} MiB`
}

/** A moment by the clock of UTC. */
export function momentOf(ms: number): string {
  return new Date(ms).toISOString()
}

/** How many, with the word in its number. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}

/** Lines of columns, with a head: numbers end, texts begin at the same place. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [head, ...rows].map((row) =>
    row.map((cell) => (typeof cell === 'number' ? String(cell) : oneLine(cell))),
  )
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  const isNumber = head.map(
    (_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'),
  )
  const lines = cells.map((row) =>
    row
      .map((cell, column) =>
        isNumber[column] === true ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n`
}

/** Lines of names and values; what is undefined is left out. */
export function facts(rows: readonly (readonly [string, string | number | undefined])[]): string {
  const there = rows.flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)] as const]))
  const width = Math.max(...there.map(([name]) => name.length))
  return there.map(([name, value]) => `${name.padEnd(width)}  ${oneLine(value)}\n`).join('')
}
