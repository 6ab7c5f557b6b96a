import type { FunctionVersion } from './function.ts'
import type { Payload } from './payload.ts'

/** What was measured for one call, whatever its ending. */
export interface Measured {
  readonly version: FunctionVersion
  readonly instanceId: string
  /** Whether this call waited for its instance to be started. */
  readonly coldStart: boolean
  /** Handler time in milliseconds on the monotonic clock, fractions kept. */
  readonly durationMs: number
  /** What a bill counts: {@link Measured.durationMs} rounded up to whole milliseconds. */
  readonly billedDurationMs: number
  /** Time the instance took from its start until ready; 0 on a warm start. */
  readonly initDurationMs: number
  /** Peak resident memory of the instance during the call, bytes. */
  readonly maxMemoryBytes: number
  /** The end of what the call logged, framed by the function's contract: at most {@link LOG_TAIL_BYTES} bytes. */
  readonly logTail: () => Buffer
}

/** Kept of each call's log for its answer. The largest tail a supported API returns is 4 KB. */
export const LOG_TAIL_BYTES = 4096

export type CrashCause = 'exited' | 'signalled' | 'outOfMemory'

/** How the function ended, without the figures. A closed union: a new ending breaks every `switch` that forgot it. */
export type Ending =
  | { readonly kind: 'returned'; readonly payload: Payload }
  /** The code failed: `handled` when it reported the failure itself through the contract's own way. */
  | {
      readonly kind: 'threw'
      readonly errorType: string
      readonly handled: boolean
      readonly payload: Payload
    }
  | { readonly kind: 'timedOut'; readonly afterMs: number }
  | {
      readonly kind: 'crashed'
      readonly cause: CrashCause
      readonly exitCode?: number
      readonly signal?: string
    }
  /** The code never got ready: it could not be loaded, or its initializer failed. */
  | {
      readonly kind: 'initFailed'
      readonly phase: 'load' | 'initializer'
      readonly reason: 'threw' | 'timedOut' | 'crashed'
      /** With the reason `timedOut`: what it was given, which for a load may be more than the function's time limit. */
      readonly afterMs?: number
      readonly errorType: string
      readonly payload: Payload
    }
  /** The caller hung up while the call ran; the instance was not waited for. */
  | { readonly kind: 'cancelled' }
  /** Somebody asked for this call to be ended; it may have begun or not. */
  | { readonly kind: 'terminated' }

/** What the function did with one call: every ending is a result, none is an exception. */
export type Outcome = Measured & Ending
