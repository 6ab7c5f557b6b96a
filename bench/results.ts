import type { Growth } from './growth.ts'
import type { Machine } from './machine.ts'
import type { Memory } from './observation.ts'
import type { Plan } from './plan.ts'
import type { ColdStart } from './start-up.ts'
import type { Spread } from './statistics.ts'
import type { Tail } from './tail.ts'
import type { Target } from './targets.ts'
import type { Cell } from './throughput.ts'

/** Memory of one server before its first call and after all throughput rounds. */
export interface ServerMemory {
  readonly idle: Memory
  readonly loaded: Memory | undefined
}

/** Everything one run measured; this object is the JSON output. Times in ms, memory in MiB unless named otherwise. */
export interface Results {
  readonly startedAt: string
  readonly elapsedSeconds: number
  readonly plan: Plan
  readonly machine: Machine
  readonly cells: readonly Cell[]
  readonly readyMs: Readonly<Record<string, Spread>>
  readonly memory: Readonly<Record<string, ServerMemory>>
  readonly coldStart: ColdStart | undefined
  readonly growth: Growth | undefined
  readonly tails: readonly Tail[]
  readonly targets: readonly Target[]
  /** What went wrong. Not empty: the run failed, whatever the figures say. */
  readonly problems: readonly string[]
}
