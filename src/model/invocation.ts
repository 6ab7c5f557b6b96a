import type { FunctionName } from './function.ts'
import type { Payload } from './payload.ts'

/** A function and the version or alias that was asked for; no qualifier means the latest state. */
export interface InvokeTarget extends FunctionName {
  readonly qualifier?: string
}

/** Tells the engine that nobody waits for the answer any more. */
export interface Caller {
  readonly gone: boolean
  /** Called once, when the caller hangs up. */
  onGone: (() => void) | undefined
}

/** A caller that never hangs up: the asynchronous delivery. */
export function patientCaller(): Caller {
  return { gone: false, onGone: undefined }
}

/** One call as a dialect or the asynchronous delivery hands it to the engine. */
export interface InvokeRequest {
  readonly target: InvokeTarget
  /** Shown to code and in logs; given by the dialect, unique per call, the same over all attempts. */
  readonly requestId: string
  /** The event: bytes that nobody between the listener and the bootstrap parses. */
  readonly payload: Payload
  /** Attempts of the same asynchronous task that ended before this one; 0 for the first and for every synchronous call. */
  readonly retryCount: number
}
