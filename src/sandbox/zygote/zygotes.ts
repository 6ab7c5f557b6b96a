import type { SandboxSpec } from '../sandbox.ts'
import type { ForkOrder } from './messages.ts'
import { zygoteClassOf, type ZygoteClass } from './view.ts'
import type { Fork, Zygote } from './zygote.ts'

/** Classes that have a zygote: those asked for last. */
const MOST_CLASSES = 4

/** With so few children left, a zygote's successor is started. */
const FEW_LEFT = 4

/** Pauses after a zygote that ended by itself, doubled each time. */
const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 60_000

/** The zygotes of one driver. */
export class Zygotes {
  readonly #start: (zygoteClass: ZygoteClass) => Zygote
  /** The class asked for last is last. */
  readonly #lines = new Map<string, Line>()
  readonly #living = new Set<Zygote>()
  readonly #ending = new AbortController()
  /** Memory was short when it was last asked for: none are started. */
  #isRelieved = false

  /** @param start Starts one; may throw. */
  constructor(start: (zygoteClass: ZygoteClass) => Zygote) {
    this.#start = start
  }

  /** Resolves when {@link fork} can serve such a start, or cannot for now. */
  async prepare(spec: Omit<SandboxSpec, 'functionId' | 'ticketsFd'>): Promise<void> {
    const zygoteClass = zygoteClassOf(spec)
    if (zygoteClass === undefined || this.#ending.signal.aborted) return
    this.#isRelieved = false
    const line = this.#lines.get(zygoteClass.key) ?? new Line(zygoteClass)
    this.#lines.delete(zygoteClass.key)
    this.#lines.set(zygoteClass.key, line)
    for (const [key, oldest] of this.#lines) {
      if (this.#lines.size <= MOST_CLASSES) break
      this.#lines.delete(key)
      oldest.retire()
    }
    await this.#refill(line)
  }

  /** Ends those without children, and starts none before the next {@link prepare}. */
  relieve(): void {
    this.#isRelieved = true
    for (const line of this.#lines.values()) line.retireIdle()
  }

  /**
   * @param orderOf Asked when there is a zygote; undefined: it cannot serve this one.
   * @param when Settles when the order may be given.
   * @returns Undefined where no zygote is ready for this one: it is to be started in the ordinary way.
   */
  fork(
    spec: Omit<SandboxSpec, 'functionId' | 'ticketsFd'>,
    orderOf: () => ForkOrder | undefined,
    when?: Promise<void>,
  ): Fork | undefined {
    const line = this.#lines.get(zygoteClassOf(spec)?.key ?? '')
    if (line === undefined) return undefined
    const zygote = line.ready
    const order = zygote === undefined ? undefined : orderOf()
    const fork = order === undefined ? undefined : zygote?.fork(order, when)
    void this.#refill(line)
    return fork
  }

  /** Ends all zygotes; their children must have ended. */
  async close(): Promise<void> {
    this.#ending.abort()
    for (const zygote of this.#living) zygote.end()
    await Promise.all([...this.#living].map(({ ended }) => ended))
  }

  async #refill(line: Line): Promise<void> {
    if (line.left > FEW_LEFT) return
    line.refilling ??= this.#startNext(line).finally(() => (line.refilling = undefined))
    // Who needs one now has one.
    if (line.left === 0) await line.refilling
  }

  async #startNext(line: Line): Promise<void> {
    if (line.restMs > 0 || this.#isRelieved || this.#ending.signal.aborted) return
    try {
      const zygote = this.#start(line.zygoteClass)
      this.#living.add(zygote)
      void this.#attend(zygote, line)
      await zygote.ready
      // While it got ready, the class may have been given up, or memory have become short.
      if (this.#lines.get(line.zygoteClass.key) === line && !this.#isRelieved) line.put(zygote)
      else zygote.retire()
    } catch {
      line.failed()
    }
  }

  async #attend(zygote: Zygote, line: Line): Promise<void> {
    await zygote.ended
    this.#living.delete(zygote)
    line.remove(zygote)
  }
}

/** The zygotes of one class: the oldest that has children left serves. */
class Line {
  readonly zygoteClass: ZygoteClass
  refilling: Promise<void> | undefined
  #zygotes: Zygote[] = []
  #failures = 0
  #notBeforeMs = 0

  constructor(zygoteClass: ZygoteClass) {
    this.zygoteClass = zygoteClass
  }

  get ready(): Zygote | undefined {
    return this.#zygotes.find(({ left }) => left > 0)
  }

  get left(): number {
    return this.#zygotes.reduce((sum, { left }) => sum + left, 0)
  }

  /** How long no zygote is to be started, milliseconds. */
  get restMs(): number {
    return Math.max(0, this.#notBeforeMs - performance.now())
  }

  put(zygote: Zygote): void {
    this.#failures = 0
    this.#zygotes.push(zygote)
  }

  remove(zygote: Zygote): void {
    this.#zygotes = this.#zygotes.filter((one) => one !== zygote)
  }

  failed(): void {
    this.#notBeforeMs = performance.now() + Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, LONGEST_PAUSE_MS)
    this.#failures += 1
  }

  retire(): void {
    for (const zygote of this.#zygotes) zygote.retire()
  }

  retireIdle(): void {
    for (const zygote of this.#zygotes) if (zygote.isIdle) zygote.retire()
  }
}
