import { printed } from '../streams.ts'

const SEVERITY = { DEBUG: 0, INFO: 1, WARN: 2, ERROR: 3 } as const
type Level = keyof typeof SEVERITY

/** A longer text becomes several records. Source: the vendor's runtime. */
const MAX_RECORD_CHARS = 90 * 1024

/** What `context.getLogger()` gives: records `{time} {request id} {level} {text}`, at first of level INFO and above. */
export class FunctionGraphLogger {
  readonly #requestId: string
  readonly #write: (level: 'info' | 'error', line: string) => void
  #least: Level = 'INFO'

  /** @param write Takes a finished line. */
  constructor(requestId: string, write: (level: 'info' | 'error', line: string) => void) {
    this.#requestId = requestId
    this.#write = write
  }

  /** `DEBUG`, `INFO`, `WARN` or `ERROR`; anything else changes nothing. */
  setLevel(level: string): void {
    if (isLevel(level)) this.#least = level
  }

  readonly debug = (...values: unknown[]): void => this.#log('DEBUG', values)
  readonly info = (...values: unknown[]): void => this.#log('INFO', values)
  readonly warn = (...values: unknown[]): void => this.#log('WARN', values)
  readonly error = (...values: unknown[]): void => this.#log('ERROR', values)

  #log(level: Level, values: readonly unknown[]): void {
    if (SEVERITY[level] < SEVERITY[this.#least]) return
    const text = printed(values)
    for (let at = 0; at === 0 || at < text.length; at += MAX_RECORD_CHARS) {
      const record = text.slice(at, at + MAX_RECORD_CHARS)
      this.#write(
        SEVERITY[level] < SEVERITY.WARN ? 'info' : 'error',
        recordOf(this.#requestId, level, record),
      )
    }
  }
}

/** One record: `2022-09-20T11:43:57Z 1939bbbb-4009-… INFO text`. */
export function recordOf(requestId: string, level: Level, text: string): string {
  return `${new Date().toISOString().slice(0, 19)}Z ${requestId} ${level} ${text}`
}

function isLevel(level: string): level is Level {
  return Object.hasOwn(SEVERITY, level)
}
