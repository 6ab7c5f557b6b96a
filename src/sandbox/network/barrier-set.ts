import { Writable } from 'node:stream'
import type { InheritedDescriptors } from '../inherited-descriptors.ts'
import { barrierRules, isAlwaysBarred, laterRules } from './barriers.ts'
import { Helper } from './helper.ts'
import { NET_PATH, type Namespaces } from './namespaces.ts'
import { MOST_RANGES } from './own-addresses.ts'

/** Programs of the host that make barriers; absolute paths. */
export interface BarrierPrograms {
  /** Of iproute2. */
  readonly ip: string
  /** Of util-linux. */
  readonly nsenter: string
}

/** The barriers in the network namespace of one sandbox. There are more with time, never fewer. */
export class BarrierSet {
  readonly #namespaces: Namespaces
  readonly #programs: BarrierPrograms
  readonly #inherited: InheritedDescriptors
  /** The helper for the first rules starts at once; the rules follow. */
  #first: Helper | undefined
  #barred: ReadonlySet<string> | undefined
  #latest: Promise<void> = Promise.resolve()
  #current: Helper | undefined

  /** @throws When the kernel refuses another process. */
  constructor(namespaces: Namespaces, programs: BarrierPrograms, inherited: InheritedDescriptors) {
    this.#namespaces = namespaces
    this.#programs = programs
    this.#inherited = inherited
    this.#first = this.#current = this.#startHelper()
  }

  /**
   * Bars what must never be reached, and these ranges; each of them once, one call after another.
   *
   * @throws When they could not be made: some may be missing.
   */
  raise(own: Promise<readonly string[]>): Promise<void> {
    const raised = this.#latest.then(async () => this.#raise(await own))
    this.#latest = raised.catch(() => undefined)
    return raised
  }

  /** Resolves when no helper runs. */
  get idle(): Promise<void> {
    return Promise.all([this.#latest, this.#current?.ended]).then(() => undefined)
  }

  /** Ends the helper that works, if any. */
  kill(): void {
    this.#current?.kill()
  }

  async #raise(own: readonly string[]): Promise<void> {
    const barred = this.#barred
    const added = own.filter((range) => barred === undefined || !(barred.has(range) || isAlwaysBarred(range)))
    if (barred !== undefined && added.length === 0) return
    const all = new Set([...(barred ?? []), ...added])
    if (all.size > MOST_RANGES) throw new Error('this host has had too many addresses of its own')
    const helper = this.#first ?? this.#startHelper()
    this.#first = undefined
    this.#current = helper
    const [rules] = helper.pipes
    if (!(rules instanceof Writable)) throw new Error('the pipe of a helper is missing')
    rules.end(barred === undefined ? barrierRules(added) : laterRules(added))
    const why = await helper.ended
    if (why !== undefined) throw new Error(why)
    this.#barred = all
  }

  #startHelper(): Helper {
    const { descriptors, ownerOptions } = this.#namespaces
    const { nsenter, ip } = this.#programs
    const command = [nsenter, ...ownerOptions, `--net=${NET_PATH}`, '--', ip, '-batch', '-']
    return new Helper('ip', command, ['pipe', 'ignore', 'pipe', ...descriptors], this.#inherited)
  }
}
