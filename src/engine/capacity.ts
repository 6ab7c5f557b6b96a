import type { Crew } from './crew.ts'
import { chooseVictims } from './eviction.ts'
import type { Instance } from './instance.ts'
import type { FunctionState, PoolLimits } from './pool-setup.ts'

/** Part of the starts that may be under way at once which no call asked for: a call that comes meanwhile finds one. */
const AHEAD_SHARE = 1 / 2

interface Given {
  readonly limits: PoolLimits
  /** Whose idle instances may give way. */
  readonly crews: ReadonlyMap<string, Crew>
  /** Ready instances of a state that are left alone. */
  readonly keptOf: (stateId: string) => number
}

/** Whether another instance fits into the limits of the host and of its function, and which idle ones give way to it. */
export class Capacity {
  readonly #given: Given
  #instances = 0
  #reservedMib = 0
  #starting = 0
  #evicting = false

  constructor(given: Given) {
    this.#given = given
  }

  /** An instance is being evicted for one that is about to start: its room is for that one, nothing else is started in it. */
  get evicting(): boolean {
    return this.#evicting
  }

  /** Whether no more starts may be under way. */
  get startsFull(): boolean {
    return this.#starting >= this.#given.limits.maxConcurrentStarts
  }

  /** Whether no more starts that no call asked for may be under way. */
  get aheadStartsFull(): boolean {
    return this.#starting >= Math.ceil(this.#given.limits.maxConcurrentStarts * AHEAD_SHARE)
  }

  /** The cap that its owner set; undefined for none. */
  capOf({ version }: Crew): number | undefined {
    return this.#given.limits.maxInstancesOf?.(version)
  }

  /** Whether its own limits allow it another instance. */
  hasPlace(crew: Crew): boolean {
    const { maxInstancesPerFunction } = this.#given.limits
    return crew.instances.length < Math.min(this.capOf(crew) ?? Infinity, maxInstancesPerFunction)
  }

  /** Whether the host could have an instance of this state at all, if it had no other. */
  canEverHave({ memoryMib }: FunctionState): boolean {
    return memoryMib <= this.#given.limits.memoryBudgetMib
  }

  /** Makes room for another instance of the crew, by evicting idle ones where that is enough. @returns Whether it may start now. */
  makeRoomFor(crew: Crew): boolean {
    if (this.startsFull) return false
    if (this.hasPlace(crew)) return this.#makeRoom(crew.version.memoryMib)
    const { silent } = crew
    if (silent === undefined) return false
    this.#evict([silent])
    return this.#makeRoom(crew.version.memoryMib)
  }

  /** Idle instances that may end: those beyond what is kept ready. */
  spareOf(crew: Crew): readonly Instance[] {
    return crew.idleBeyond(this.#given.keptOf(crew.version.id))
  }

  /** An instance begins to start. */
  take(memoryMib: number): void {
    this.#instances += 1
    this.#reservedMib += memoryMib
    this.#starting += 1
  }

  /** A start has ended, well or not. */
  started(): void {
    this.#starting -= 1
  }

  /** An instance is dead. */
  give(memoryMib: number): void {
    this.#instances -= 1
    this.#reservedMib -= memoryMib
  }

  #makeRoom(memoryMib: number): boolean {
    const { limits, crews } = this.#given
    const missingMib = this.#reservedMib + memoryMib - limits.memoryBudgetMib
    const missingPlaces = this.#instances + 1 - limits.maxInstances
    if (missingMib <= 0 && missingPlaces <= 0) return true
    const idle = [...crews.values()].flatMap((crew) => this.spareOf(crew))
    const victims = chooseVictims(idle, missingMib, missingPlaces)
    if (victims !== undefined) this.#evict(victims)
    return victims !== undefined
  }

  #evict(victims: readonly Instance[]): void {
    this.#evicting = true
    for (const instance of victims) instance.evict()
    this.#evicting = false
  }
}
