import { EngineError } from '../model/errors.ts'
import type { FunctionVersion } from '../model/function.ts'

/**
 * How many calls may be inside the engine at once, running and waiting together: for one function, and for all.
 *
 * Without it a burst would only move from the sockets into memory. A refused call was never given to the function.
 */
export class Admission {
  readonly #perFunction: number
  readonly #total: number
  readonly #inside = new Map<string, number>()
  #insideTotal = 0

  constructor(limits: { maxCallsPerFunction: number; maxCalls: number }) {
    this.#perFunction = limits.maxCallsPerFunction
    this.#total = limits.maxCalls
  }

  get inside(): number {
    return this.#insideTotal
  }

  insideOf(functionId: string): number {
    return this.#inside.get(functionId) ?? 0
  }

  /**
   * Lets one call in. Each success is paired with one {@link leave}.
   *
   * @throws {EngineError} `caller/concurrency-exceeded`
   */
  enter(version: FunctionVersion): void {
    if (this.#insideTotal >= this.#total)
      throw new EngineError('caller/concurrency-exceeded', { scope: 'server', limit: this.#total })
    const count = this.#inside.get(version.functionId) ?? 0
    if (count >= this.#perFunction)
      throw new EngineError('caller/concurrency-exceeded', { scope: 'function', limit: this.#perFunction })
    this.#inside.set(version.functionId, count + 1)
    this.#insideTotal += 1
  }

  leave(version: FunctionVersion): void {
    const count = this.#inside.get(version.functionId) ?? 0
    if (count <= 1) this.#inside.delete(version.functionId)
    else this.#inside.set(version.functionId, count - 1)
    this.#insideTotal -= 1
  }
}
