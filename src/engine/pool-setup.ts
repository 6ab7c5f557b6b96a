import type { FunctionVersion } from '../model/function.ts'
import type { InstanceEnding } from './instance-ending.ts'
import type { Instance } from './instance.ts'

export interface PoolLimits {
  /** Instances of all functions together. */
  readonly maxInstances: number
  /** Instances of one state of one function. */
  readonly maxInstancesPerFunction: number
  /**
   * A lower limit that the owner of a function set for it: undefined for none; 0 admits no call, and those that would
   * wait are refused. Looked at only when a call waits; `Pool.applyCaps` makes a change hold for what runs.
   */
  readonly maxInstancesOf?: (version: FunctionVersion) => number | undefined
  /** Instances being started at the same time: more only make each other late. */
  readonly maxConcurrentStarts: number
  /** Sum of the configured memory of all instances, MiB. */
  readonly memoryBudgetMib: number
  /** An instance without calls ends after this. */
  readonly idleTimeoutMs: number
  /** An instance without calls gets no processors after this, until the next call. Default: it keeps them. */
  readonly freezeAfterMs?: number
  /**
   * An instance older than this is drained, and later calls get another: what it was given at its start, its keys among
   * it, does not last for ever. Default: none is too old.
   */
  readonly maxInstanceAgeMs?: number
  /** A call that found no instance for this long is refused. */
  readonly queueTimeoutMs: number
}

/** A state of a function, by its id, and what an instance of it is promised. */
export type FunctionState = Pick<
  FunctionVersion,
  'id' | 'account' | 'namespace' | 'name' | 'version' | 'memoryMib'
>

/** What the pool tells the operator's log and metrics. Must not throw. */
export interface PoolObserver {
  instanceStarted(instance: Instance): void
  instanceEnded(instance: Instance, ending: InstanceEnding): void
  /** Calls of this state are refused, because one instance wants more than `memoryBudgetMib`; told once for each state. */
  memoryUnavailable(state: FunctionState, memoryBudgetMib: number): void
}

/** Keeps instances ready without a call; the pool tells it what happens. Must not throw. */
export interface Keeper {
  /** Ready instances of this state that the idle timer and eviction leave alone. */
  countOf(stateId: string): number
  /** No name leads to these states any more: none of them is started again. */
  release(stateIds: readonly string[]): void
  ended(instance: Instance, ending: InstanceEnding): void
  /** Instances may be missing, or there may be room for missing ones. Called often. */
  look(): void
}
