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

/** What was seen of a call when it had been answered. */
export interface LastSample {
  /** The most of all its samples, bytes. */
  readonly mostBytes: number
  /** Whether the tree has more now than the function may use. */
  readonly isOverLimit: boolean
}

/** What calls of one instance are told of its memory, from samples of its whole process tree: `README.md`, Memory of a call. */
export class CallMemory implements MemoryFollower {
  readonly #process: MeasuredProcess
  readonly #deliveries: RunningCalls
  readonly #limitBytes: number
  readonly #clock: () => number
  /** Highest peak that the process told of itself. */
  #toldBytes = 0
  /** Whether the peak of the process counts from a moment after the last answered call. */
  #isFresh = false

  /** @param limitBytes What the function may use. */
  constructor(process: MeasuredProcess, deliveries: RunningCalls, limitBytes: number, clock: () => number) {
    this.#process = process
    this.#deliveries = deliveries
    this.#limitBytes = limitBytes
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

  /** Whether this peak, which the process told with an answer, is a new one above what the function may use. */
  isNewExcess(toldBytes: number): boolean {
    if (toldBytes <= Math.max(this.#limitBytes, this.#toldBytes)) return false
    this.#toldBytes = toldBytes
    return true
  }

  /**
   * Measures an answered call.
   *
   * @param isSuspect Whether it may have taken too much; else it is measured only when it ran long.
   * @returns Undefined when it is not measured.
   */
  lastSampleOf(call: SampledCall, isSuspect: boolean, nowMs: number): Promise<LastSample> | undefined {
    const isFresh = this.#isFresh
    this.#isFresh = false
    const isLong = nowMs - call.runningSinceMs >= SAMPLED_FROM_MS && this.#process.limitsMemory === true
    return isLong || isSuspect ? this.#sample(call, isFresh) : undefined
  }

  async #sample(call: SampledCall, isFresh: boolean): Promise<LastSample> {
    let isOverLimit = false
    const sampled = this.#process.memory(this.#limitBytes).then(
      (usage) => {
        this.#add(call, usage, isFresh)
        isOverLimit = usage.currentBytes > this.#limitBytes || usage.overLimit === true
      },
      () => undefined,
    )
    await withLimit(sampled, SAMPLE_MS)
    return { mostBytes: call.sampledBytes, isOverLimit }
  }

  #add(call: SampledCall, { currentBytes, peakBytes }: MemoryUsage, isFresh = this.#isFresh): void {
    call.sampledBytes = Math.max(call.sampledBytes, isFresh ? peakBytes : currentBytes)
  }
}
