import type { InstanceFacts } from '../contracts/contract.ts'
import type { MemoryFollower, Sandbox, SandboxProcess, SandboxSpec } from '../sandbox/sandbox.ts'
import type { Call } from './call.ts'
import type { InstanceEnding } from './instance-ending.ts'
import type { Instance } from './instance.ts'
import type { PayloadBudget } from './payload-budget.ts'

/** Whom an instance tells what happens. */
export interface InstanceEvents {
  onReady(instance: Instance): void
  /** A call was answered: there is room. `durationMs` is what the handler took. */
  onAnswered(instance: Instance, durationMs: number): void
  /** It serves nothing more. `notBegun` in their old order; the calls that had begun are settled. */
  onDead(instance: Instance, ending: InstanceEnding, notBegun: readonly Call[]): void
  /** Frames were collected and want {@link Instance.flush}. */
  onCollected(instance: Instance): void
}

/** How one instance is started: made from its version by the composition root. */
export interface LaunchPlan {
  readonly spec: Omit<SandboxSpec, 'ticketsFd'>
  /** Mount target of the code package. */
  readonly codeTarget: string
  /** Mount target of the tree of its layers; absent when it has none. */
  readonly layersTarget?: string
  readonly credentials?: InstanceFacts['credentials']
}

/** What every instance is given by the pool. */
export interface InstanceRoom {
  readonly sandbox: Sandbox
  readonly budget: PayloadBudget
  readonly region: string
  readonly startTimeoutMs: number
  /** Memory-backed directory for ticket books. */
  readonly ticketDir: string
  /** Monotonic milliseconds. */
  readonly clock: () => number
  /** Follows the memory of a process, tells the follower, and ends it when it passes its limit; returns how to stop following. */
  readonly watchMemory: (process: SandboxProcess, limitBytes: number, follower: MemoryFollower) => () => void
}

/** What a contract tells the code about its instance. */
export function factsOf(
  instanceId: string,
  { codeTarget, layersTarget, credentials }: LaunchPlan,
  process: Pick<SandboxProcess, 'locate'>,
  region: string,
): InstanceFacts {
  return {
    instanceId,
    codeDir: process.locate(codeTarget),
    region,
    ...(layersTarget === undefined ? {} : { layersDir: process.locate(layersTarget) }),
    ...(credentials === undefined ? {} : { credentials }),
  }
}
