import type { FunctionName } from './function.ts'
import type { Outcome } from './outcome.ts'

/** One call that has ended, as it is found again later. */
export interface CallRecord {
  readonly requestId: string
  /** The version that ran, `LATEST` or a number. */
  readonly version: string
  /** Epoch milliseconds. */
  readonly endedAtMs: number
  readonly ending: Outcome['kind']
  /** Error type or cause of an ending that is no success. */
  readonly reason?: string
  readonly durationMs: number
  readonly billedDurationMs: number
  readonly maxMemoryBytes: number
  readonly retryCount: number
  /** All the call logged, framed by its contract; what was over the bound of one call is left out and said so. */
  readonly log: string
  /** The beginning of what it returned, or of its error body, as text; only of contracts that show it with their logs. */
  readonly result?: string
}

export interface CallFilter extends FunctionName {
  readonly requestId?: string
  readonly version?: string
  /** Half-open, epoch milliseconds: from ≤ endedAtMs < to. */
  readonly fromMs?: number
  readonly toMs?: number
}

/** Finds calls in the kept logs: as many as are still there, after restarts, too. */
export interface CallHistory {
  /**
   * Newest first. Reads files: rare and slow beside a call.
   *
   * @param limit Calls returned at most, 1 … 10 000.
   */
  find(filter: CallFilter, limit: number): Promise<readonly CallRecord[]>
}

/** What is told of a call when it ends; whoever keeps it adds the version and the time. */
export interface EndedCall extends Omit<CallRecord, 'version' | 'endedAtMs' | 'reason' | 'result'> {
  readonly reason: string | undefined
  readonly result: string | undefined
}
