import type { ClaimedTask, TaskEnding } from '../store/task-queue.ts'

/** Names a task in logs: everything but its payload. */
export type TaskLabel = Omit<ClaimedTask, 'payload'>

export type DeliveryMode = 'idle' | 'delivering' | 'draining' | 'stopped'

/** What happened in the delivery, for logs and tests. */
export type DeliveryEvent =
  | { readonly kind: 'modeChanged'; readonly mode: DeliveryMode }
  | { readonly kind: 'started'; readonly task: TaskLabel }
  /** The task is over. `lastError` says why it did not succeed. */
  | {
      readonly kind: 'ended'
      readonly task: TaskLabel
      readonly ending: TaskEnding
      readonly lastError?: string
    }
  /** The task runs again later: after a failed run, after a refusal, or because the server stops. */
  | {
      readonly kind: 'postponed'
      readonly task: TaskLabel
      readonly dueAtMs: number
      readonly lastError?: string
    }
  /** Someone else may run the task now; what this server's run yields is dropped. */
  | { readonly kind: 'leaseLost'; readonly task: TaskLabel }
  /** The engine broke its contract: it threw something that is no `EngineError`. */
  | { readonly kind: 'engineFaulted'; readonly task: TaskLabel; readonly error: unknown }
  /** What was to be told of an ending could not be put into words: the ending stands, and nobody is told. */
  | { readonly kind: 'tellingFailed'; readonly task: TaskLabel; readonly error: unknown }
  /** The queue did not do what it was asked to. What was leased becomes due when its lease ends. */
  | {
      readonly kind: 'queueFailed'
      readonly operation: 'claim' | 'renew' | 'postpone' | 'settle'
      readonly error: unknown
    }
