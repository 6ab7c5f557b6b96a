import type { Catalogue } from '../engine/catalogue.ts'
import type { Pool } from '../engine/pool.ts'
import { layerDigests, type FunctionSpec } from '../model/function.ts'
import type { LogFiles } from '../observe/log-files.ts'
import type { CompiledCode, RunnableCode } from '../sandbox/compiled/compiled-code.ts'
import type { PackageStore } from '../store/packages/packages.ts'
import type { Launches } from './launches.ts'

const SWEEP_MS = 3_600_000

interface Rooms {
  readonly catalogue: Pick<Catalogue, 'list'>
  readonly pool: Pick<Pool, 'versionsInUse'>
  readonly packages: Pick<PackageStore, 'sweep'>
  readonly compiled: Pick<CompiledCode, 'sweep'>
  readonly launches: Pick<Launches, 'codeOf'>
  readonly logs: Pick<LogFiles, 'sweep'>
  /** Told when old packages could not be removed; the next sweep tries again. */
  readonly onFailure: (error: unknown) => void
}

/** Removes, once an hour, the code packages, what was compiled of them, and logs that belong to no function any more. */
export class Sweeper {
  readonly #rooms: Rooms
  #timer: NodeJS.Timeout | undefined

  constructor(rooms: Rooms) {
    this.#rooms = rooms
  }

  /** Sweeps now, and from now on. */
  start(): void {
    this.#sweep()
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #sweep(): void {
    const { catalogue, pool, packages, compiled, logs, onFailure } = this.#rooms
    void logs.sweep(() => catalogue.list('function', '').map(({ value }) => value))
    const specs: FunctionSpec[] = catalogue.list('function', '').map(({ value }) => value.spec)
    specs.push(...pool.versionsInUse)
    const live = new Set(specs.map(({ code }) => code.digest))
    for (const { value } of catalogue.list('layer', '')) live.add(value.code.digest)
    packages.sweep(live, specs.map(layerDigests)).catch(onFailure)
    compiled.sweep(specs.flatMap((spec) => this.#codeOf(spec))).catch(onFailure)
  }

  #codeOf(spec: FunctionSpec): readonly RunnableCode[] {
    try {
      return [this.#rooms.launches.codeOf(spec)]
    } catch {
      // Nothing of this host runs it any more.
      return []
    }
  }
}
