import type { MemoryFollower, MemoryUsage, SandboxProcess } from '../sandbox/sandbox.ts'
import type { Call } from './call.ts'
import { withLimit } from './time-limit.ts'

/** A call is sampled from this running time on: quicker ones have the figure of the bootstrap. */
const SAMPLED_FROM_MS = 200
/** An answer waits for its last sample no longer than this. */
const SAMPLE_MS = 500

/** The calls of an instance, as far as their memory is concerned. */
export interface RunningCalls {
  readonly running: readonly SampledCall[]
  /** How long the longest-running one has run, milliseconds; 0 when there is none. */
  runningForMs(nowMs: number): number
}

type MeasuredProcess = Pick<SandboxProcess, 'limitsMemory' | 'memory' | 'resetPeak'>
type SampledCall = Pick<Call, 'runningSinceMs' | 'sampledBytes'>

/** What calls of one instance are told of its memory, from samples of its whole process tree: `README.md`, Memory of a call. */
export class CallMemory implements MemoryFollower {
  readonly #process: MeasuredProcess
  readonly #deliveries: RunningCalls
  readonly #clock: () => number
  /** Whether the peak of the process counts from a moment after the last answered call. */
  #isFresh = false

  constructor(process: MeasuredProcess, deliveries: RunningCalls, clock: () => number) {
    this.#process = process
    this.#deliveries = deliveries
    this.#clock = clock
  }

  /** Only of a tree that the kernel counts: sums of what `/proc` tells of each process count shared pages again and again. */
  wantsSample(): boolean {
    return (
      this.#process.limitsMemory === true && this.#deliveries.runningForMs(this.#clock()) >= SAMPLED_FROM_MS
    )
  }

  onSample(usage: MemoryUsage): void {
    for (const call of this.#deliveries.running) this.#add(call, usage)
    this.beginAnew()
  }

  /** Begins a new peak, so that the next call is told its own. */
  beginAnew(): void {
    this.#isFresh = true
    void this.#process.resetPeak?.().then(
      (isReset) => (this.#isFresh &&= isReset),
      () => (this.#isFresh = false),
    )
  }

  /** @returns The most that was seen of an answered call, bytes, once its last sample is taken; undefined when it was too quick for one. */
  lastSampleOf(call: SampledCall, nowMs: number): Promise<number> | undefined {
    const isFresh = this.#isFresh
    this.#isFresh = false
    if (nowMs - call.runningSinceMs < SAMPLED_FROM_MS || this.#process.limitsMemory !== true) return undefined
    return this.#sample(call, isFresh)
  }

  async #sample(call: SampledCall, isFresh: boolean): Promise<number> {
    const sampled = this.#process.memory().then(
      (usage) => this.#add(call, usage, isFresh),
      () => undefined,
    )
    await withLimit(sampled, SAMPLE_MS)
    return call.sampledBytes
  }

  #add(call: SampledCall, { currentBytes, peakBytes }: MemoryUsage, isFresh = this.#isFresh): void {
    call.sampledBytes = Math.max(call.sampledBytes, isFresh ? peakBytes : currentBytes)
  }
}
