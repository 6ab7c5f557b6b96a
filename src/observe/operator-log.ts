const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** What an event carries besides its words. Never a secret; an Error is written as its message. */
export type LogFields = Readonly<Record<string, unknown>>

export interface OperatorLogOptions {
  /** Events below it are not written. Default `info`. */
  readonly level?: LogLevel
  /** `text` for people, `json` for programs: one object a line. */
  readonly format: 'text' | 'json'
  /** Takes finished lines. Must not throw. */
  readonly write: (line: string) => void
  /** Epoch milliseconds. Default the system's clock. */
  readonly clock?: () => number
  /** Lines a second that are written on average, with as many saved up for bursts times ten. Default 50. */
  readonly linesPerSecond?: number
}

const LEFT_OUT = 'events left out: too many at once'
const BURST_SECONDS = 10
const MAX_FIELD_CHARS = 2_000
const MAX_LINE_CHARS = 8_000
/** Names of fields whose values are never written. */
const SECRET_NAME = /secret|password|token|signature|authorization|credential|signingkey/i

/**
 * Tells the operator what happens, one line an event. Its rate is bounded, so that nobody who can cause events can fill
 * a disk with them; what is left out is counted and said later. Errors have a budget of their own.
 */
export class OperatorLog {
  readonly #options: Required<OperatorLogOptions>
  readonly #budgets: { readonly error: Budget; readonly other: Budget }

  constructor(options: OperatorLogOptions) {
    this.#options = { level: 'info', clock: Date.now, linesPerSecond: 50, ...options }
    const { linesPerSecond, clock } = this.#options
    this.#budgets = { error: new Budget(linesPerSecond, clock()), other: new Budget(linesPerSecond, clock()) }
  }

  debug(event: string, fields?: LogFields): void {
    this.#tell('debug', event, fields)
  }

  info(event: string, fields?: LogFields): void {
    this.#tell('info', event, fields)
  }

  warn(event: string, fields?: LogFields): void {
    this.#tell('warn', event, fields)
  }

  error(event: string, fields?: LogFields): void {
    this.#tell('error', event, fields)
  }

  #tell(level: LogLevel, event: string, fields: LogFields = {}): void {
    const { clock, level: lowest, write } = this.#options
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(lowest)) return
    const nowMs = clock()
    const budget = level === 'error' ? this.#budgets.error : this.#budgets.other
    const leftOut = budget.take(nowMs)
    if (leftOut === undefined) return
    if (leftOut > 0) write(this.#render('warn', LEFT_OUT, { count: leftOut }, nowMs))
    write(this.#render(level, event, fields, nowMs))
  }

  #render(level: LogLevel, event: string, fields: LogFields, nowMs: number): string {
    const time = new Date(nowMs).toISOString()
    const clean = Object.entries(fields).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, cleanValue(name, value)] as const],
    )
    if (this.#options.format === 'json') {
      const line = JSON.stringify({ time, level, event, ...Object.fromEntries(clean) })
      return `${line.length <= MAX_LINE_CHARS ? line : JSON.stringify({ time, level, event })}\n`
    }
    const words = clean.map(([name, value]) => `${name}=${quote(value)}`)
    return `${[time, level.padEnd(5), oneLine(event), ...words].join(' ').slice(0, MAX_LINE_CHARS)}\n`
  }
}

/** A token bucket. */
class Budget {
  readonly #perSecond: number
  #tokens: number
  #filledAtMs: number
  #leftOut = 0

  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond
    this.#tokens = perSecond * BURST_SECONDS
    this.#filledAtMs = nowMs
  }

  /** How many were left out since the last one that was not; undefined when this one is left out, too. */
  take(nowMs: number): number | undefined {
    // A clock that was set back gives nothing, and takes nothing.
    const elapsedSeconds = Math.max(0, nowMs - this.#filledAtMs) / 1000
    this.#filledAtMs = nowMs
    this.#tokens = Math.min(this.#perSecond * BURST_SECONDS, this.#tokens + elapsedSeconds * this.#perSecond)
    if (this.#tokens < 1) {
      this.#leftOut += 1
      return undefined
    }
    this.#tokens -= 1
    const leftOut = this.#leftOut
    this.#leftOut = 0
    return leftOut
  }
}

/** Makes a value short, free of secrets, and certain to survive JSON. */
function cleanValue(name: string, value: unknown): string | number | boolean | null {
  if (SECRET_NAME.test(name)) return '[redacted]'
  if (value === null || typeof value === 'boolean') return value
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  return describe(value).slice(0, MAX_FIELD_CHARS)
}

function describe(value: unknown): string {
  if (typeof value === 'string') return value
  if (value instanceof Error) return value.message
  try {
    return (
      JSON.stringify(value, (key, member: unknown) => (SECRET_NAME.test(key) ? '[redacted]' : member)) ??
      String(value)
    )
  } catch {
    return String(value)
  }
}

function quote(value: string | number | boolean | null): string {
  const words = String(value)
  return typeof value === 'string' && !/^[\w./:@+-]+$/.test(words) ? JSON.stringify(words) : words
}

/** Keeps an event's words from passing for another line. */
function oneLine(words: string): string {
  return words.replaceAll(/\p{Cc}/gu, ' ')
}
