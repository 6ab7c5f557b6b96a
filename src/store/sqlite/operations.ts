import type { EngineErrorCode, EngineErrorDetails } from '../../model/errors.ts'
import type { RecordKind } from '../definition-store.ts'
import type {
  ClaimedTask,
  FunctionShare,
  NewTask,
  Postponement,
  Settlement,
  TaskFilter,
  TaskRecord,
} from '../task-queue.ts'

/** A record as it is kept: its value as JSON text. */
export interface DefinitionRow {
  readonly kind: RecordKind
  readonly key: string
  readonly revision: number
  readonly value: string
}

/** A change with its value as JSON text; absent: deleted. */
export interface DefinitionChange {
  readonly kind: RecordKind
  readonly key: string
  readonly expectedRevision: number
  readonly value?: string
}

/** A task on its way to the worker; its payload is `payloadBytes` bytes of the batch's `payloads` at `payloadOffset`. */
export interface TaskToEnqueue extends Omit<NewTask, 'payload'> {
  readonly payloadOffset: number
  readonly payloadBytes: number
}

/** A claimed task on its way back; its payload owns its memory, which is moved and not copied. */
export interface TaskRow extends Omit<ClaimedTask, 'payload'> {
  readonly payload: Uint8Array<ArrayBuffer>
}

/** Everything the worker can do: what goes in and what comes out. */
interface OperationMap {
  loadDefinitions: { input: null; output: readonly DefinitionRow[] }
  commitDefinitions: { input: readonly DefinitionChange[]; output: undefined }
  enqueueTask: { input: TaskToEnqueue; output: undefined }
  claimTasks: {
    input: { limit: number; nowMs: number; leaseMs: number; share?: FunctionShare }
    output: readonly TaskRow[]
  }
  renewLeases: { input: { leases: readonly string[]; untilMs: number }; output: readonly boolean[] }
  postponeTask: { input: { lease: string; next: Postponement }; output: boolean }
  settleTask: { input: { lease: string; settlement: Settlement; nowMs: number }; output: boolean }
  findNextDue: { input: { share?: FunctionShare }; output: number | undefined }
  findTask: { input: { account: string; requestId: string }; output: TaskRecord | undefined }
  listTasks: {
    input: { filter: TaskFilter }
    output: { readonly tasks: readonly TaskRecord[]; readonly total: number }
  }
  cancelTask: {
    input: { account: string; requestId: string; nowMs: number }
    output: TaskRecord['status'] | undefined
  }
  /** Forgets up to `limit` tasks that ended before `endedBeforeMs`; how many. */
  purgeTasks: { input: { endedBeforeMs: number; limit: number }; output: number }
}

export type OperationName = keyof OperationMap
export type InputOf<K extends OperationName> = OperationMap[K]['input']
export type OutputOf<K extends OperationName> = OperationMap[K]['output']

/** One operation; distributes over the names, so that `name` decides the type of `input`. */
export type Operation<K extends OperationName = OperationName> = {
  [N in K]: { readonly name: N; readonly input: InputOf<N> }
}[K]

/** Why an operation changed nothing. Error classes do not survive the way between threads. */
export type Failure =
  | {
      readonly kind: 'refused'
      readonly code: EngineErrorCode
      readonly details: EngineErrorDetails[EngineErrorCode]
    }
  | { readonly kind: 'conflict'; readonly key: string }
  | { readonly kind: 'failed'; readonly reason: string }

export type Result =
  | { readonly ok: true; readonly output: OutputOf<OperationName> }
  | { readonly ok: false; readonly failure: Failure }

/** Bounds of the queue: what has not ended. */
export interface QueueLimits {
  readonly maxQueuedTasks: number
  readonly maxQueuedBytes: number
}

/** Given to the worker at its start. */
export interface WorkerStart {
  readonly file: string
  readonly limits: QueueLimits
}

/** `batch`: operations to commit together. `close`: the last message. */
export type ToWorker =
  | { readonly kind: 'batch'; readonly operations: readonly Operation[]; readonly payloads: ArrayBuffer }
  | { readonly kind: 'close' }

/** `opened` or `refused` once; then one `done` for each batch, after its COMMIT; `closed` at the end. */
export type FromWorker =
  | { readonly kind: 'opened' }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'done'; readonly results: readonly Result[]; readonly commits: number }
  | { readonly kind: 'closed' }
