/** Who must act comes first: `caller/…` was refused or malformed, `platform/…` is ours to fix. */
export interface EngineErrorDetails {
  'caller/namespace-not-found': { namespace: string }
  'caller/function-not-found': { namespace: string; name: string }
  'caller/version-not-found': { namespace: string; version: string }
  'caller/alias-not-found': { namespace: string; alias: string }
  /** The runtime's interpreter is not on this host; `hint` says what to install. */
  'caller/runtime-missing': { runtime: string; hint: string }
  /** One instance of the function is configured with more memory than all instances of the server together may have. */
  'caller/memory-unavailable': { neededMib: number; availableMib: number }
  /** The cap of calls running and waiting at once, for the function or for all. */
  'caller/concurrency-exceeded': { scope: 'function' | 'server'; limit: number }
  /** More payload bytes in flight than the server's budget. */
  'caller/payload-budget-exceeded': { limitBytes: number }
  'caller/payload-too-large': { limitBytes: number }
  /** The queue of asynchronous calls is full, for the function or for all; `limit` in calls or bytes. */
  'caller/queue-full': { scope: 'function' | 'server'; limit: number }
  /** An asynchronous call with this id is already known. */
  'caller/task-exists': { taskId: string }
  /** The caller hung up before the function was given the event. */
  'caller/gone': Record<string, never>
  /** No instance became free within the bounded wait. */
  'platform/no-capacity': { waitedMs: number }
  /** The sandbox or the interpreter could not be started. */
  'platform/start-failed': { reason: string }
  'platform/draining': Record<string, never>
  /** There is no room on the disk: nothing was changed, and it works again once there is. */
  'platform/store-full': Record<string, never>
  /** The store refused or lost a write. */
  'platform/store-failed': { reason: string }
}

export type EngineErrorCode = keyof EngineErrorDetails

/**
 * The function was never given the event, so the call is safe to repeat.
 * A function that ran and failed is an {@link import('./outcome.ts').Outcome}.
 */
export class EngineError<C extends EngineErrorCode = EngineErrorCode> extends Error {
  readonly code: C
  readonly details: EngineErrorDetails[C]

  constructor(code: C, details: EngineErrorDetails[C], options?: ErrorOptions) {
    super(`${code} ${JSON.stringify(details)}`, options)
    this.name = 'EngineError'
    this.code = code
    this.details = details
  }
}
