import { EngineError } from '../model/errors.ts'
import type { FunctionVersion } from '../model/function.ts'

/** A bound of its own for the calls that come through one name of a function. */
export interface NameBound {
  /** Which name of which function. */
  readonly key: string
  /** Instances that these calls may fill. */
  readonly instances: number
}

/**
 * How many calls may be inside the engine at once, running and waiting together: for one function, and for all.
 *
 * Without it a burst would only move from the sockets into memory. A refused call was never given to the function.
 */
export class Admission {
  readonly #perFunction: number
  readonly #total: number
  readonly #inside = new Map<string, number>()
  readonly #throughName = new Map<string, number>()
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
   * Lets one call in. Each success is paired with one {@link leave} that is given the same.
   *
   * @param bound Calls beyond what so many instances run at once are refused, not queued: other names lead to the same instances.
   * @throws {EngineError} `caller/concurrency-exceeded`
   */
  enter(version: FunctionVersion, bound?: NameBound): void {
    if (this.#insideTotal >= this.#total)
      throw new EngineError('caller/concurrency-exceeded', { scope: 'server', limit: this.#total })
    const count = this.#inside.get(version.functionId) ?? 0
    if (count >= this.#perFunction)
      throw new EngineError('caller/concurrency-exceeded', { scope: 'function', limit: this.#perFunction })
    if (bound !== undefined) this.#enterThrough(bound, version)
    this.#inside.set(version.functionId, count + 1)
    this.#insideTotal += 1
  }

  leave(version: FunctionVersion, bound?: NameBound): void {
    takeOne(this.#inside, version.functionId)
    if (bound !== undefined) takeOne(this.#throughName, bound.key)
    this.#insideTotal -= 1
  }

  #enterThrough({ key, instances }: NameBound, { instanceConcurrency }: FunctionVersion): void {
    const count = this.#throughName.get(key) ?? 0
    if (count >= instances * instanceConcurrency)
      throw new EngineError('caller/concurrency-exceeded', { scope: 'function', limit: instances })
    this.#throughName.set(key, count + 1)
  }
}

function takeOne(counts: Map<string, number>, key: string): void {
  const count = counts.get(key) ?? 0
  if (count <= 1) counts.delete(key)
  else counts.set(key, count - 1)
}
