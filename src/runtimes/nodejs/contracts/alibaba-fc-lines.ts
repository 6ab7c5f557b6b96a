import type { LogLevel } from '../contract.ts'
import { PROMISE_GENERATION } from './alibaba-fc-errors.ts'

/** The first runtime whose lines begin with local time in place of ISO 8601. */
const LOCAL_TIME_GENERATION = 12

const SEVERITY: Record<string, number> = {
  verbose: 0,
  debug: 0,
  log: 1,
  info: 1,
  warn: 2,
  warning: 2,
  error: 3,
}

/** `{timestamp} {requestId} [{level}] {text}`, in the style of the runtime's generation. */
export class LineFormat {
  readonly #generation: number
  readonly #filterName: () => string | undefined
  #second = -1
  #secondText = ''

  /** @param filterName Reads `ALIYUN_FC_LOG_LEVEL`: from nodejs18 on, lines below that level are not written. */
  constructor(generation: number, filterName: () => string | undefined) {
    this.#generation = generation
    this.#filterName = filterName
  }

  format(level: LogLevel, requestId: string, text: string): string | undefined {
    if (this.#isFiltered(level)) return undefined
    const name = level === 'log' ? (this.#generation < LOCAL_TIME_GENERATION ? 'verbose' : 'info') : level
    return requestId === ''
      ? `${this.#timestamp()} [${name}] ${text}\n`
      : `${this.#timestamp()} ${requestId} [${name}] ${text}\n`
  }

  #isFiltered(level: LogLevel): boolean {
    if (this.#generation < PROMISE_GENERATION) return false
    const least = SEVERITY[this.#filterName()?.toLowerCase() ?? '']
    return least !== undefined && (SEVERITY[level] ?? 0) < least
  }

  #timestamp(): string {
    const nowMs = Date.now()
    const now = new Date(nowMs)
    if (this.#generation < LOCAL_TIME_GENERATION) return now.toISOString()
    const second = Math.floor(nowMs / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#secondText =
        `${now.getFullYear()}-${twoDigits(now.getMonth() + 1)}-${twoDigits(now.getDate())} ` +
        `${twoDigits(now.getHours())}:${twoDigits(now.getMinutes())}:${twoDigits(now.getSeconds())}`
    }
    return `${this.#secondText}.${String(now.getMilliseconds()).padStart(3, '0')}`
  }
}

function twoDigits(value: number): string {
  return value < 10 ? `0${value}` : String(value)
}
