/** What the host's half of the contract says once per instance. */
export interface InstanceContext {
  /** The runtime name's numbers: `[12, 16]` for Nodejs12.16. */
  readonly generation: readonly number[]
  readonly members: Readonly<Record<string, string | number>> & { readonly time_limit_in_ms: number }
}

export type Callback = (error?: unknown, value?: unknown) => void

/** What a context may do for its call. */
export interface CallDoor {
  /** Whether an answer waits for an empty event loop, where the runtime's generation lets it. */
  waits: boolean
  readonly callback: Callback
  /** Milliseconds since the call began. */
  readonly elapsedMs: () => number
}

/**
 * The `context` of one call. Every call has an object of its own, because code may write to it.
 *
 * `getContext` gives the plain members alone. `done`, `succeed` and `fail` answer without waiting for the event loop.
 */
export function contextOf(instance: InstanceContext, requestId: string, door: CallDoor): object {
  const members = { ...instance.members, request_id: requestId }
  const done: Callback = (error, value) => {
    door.waits = false
    door.callback(error, value)
  }
  return {
    get callbackWaitsForEmptyEventLoop(): boolean {
      return door.waits
    },
    set callbackWaitsForEmptyEventLoop(waits: unknown) {
      door.waits = Boolean(waits)
    },
    getRemainingTimeInMillis: (): number =>
      Math.max(0, Math.floor(instance.members.time_limit_in_ms - door.elapsedMs())),
    getContext: (): object => members,
    done,
    succeed: (value: unknown): void => done(null, value),
    fail: (error: unknown): void => done(error ?? 'null', null),
    ...members,
  }
}
