import type { EngineErrorCode, EngineErrorDetails } from '../../model/errors.ts'
import type { FunctionName } from '../../model/function.ts'
import type { RecordKind } from '../definition-store.ts'
import type {
  ClaimedDelivery,
  DeliveryFilter,
  DeliveryRecord,
  DeliveryShare,
  NewDelivery,
  OutboxLosses,
  RedeliverFilter,
  Redelivered,
} from '../outbox.ts'
import type {
  ClaimedTask,
  ControlChange,
  FunctionShare,
  NewTask,
  Postponement,
  QueueAudit,
  QueueControl,
  QueueCounters,
  RedriveFilter,
  Redriven,
  Settlement,
  TaskDetails,
  TaskFilter,
  TaskRecord,
  TaskResult,
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

/** Bytes on their way between the threads: plain, in memory of their own. */
type Blob = Uint8Array<ArrayBuffer>

export interface RecordRow extends Omit<TaskRecord, 'payload'> {
  readonly payload?: Blob
}

export interface DetailsRow extends Omit<TaskDetails, 'payload' | 'result'> {
  readonly payload?: Blob
  readonly result?: ResultRow
}

export type ResultRow = Omit<TaskResult, 'payload' | 'logTail'> & {
  readonly payload: Blob
  readonly logTail: Blob
}

export interface SettlementRow extends Omit<Settlement, 'result' | 'delivery'> {
  readonly result?: ResultRow
  readonly delivery?: NewDeliveryRow
}

export interface NewDeliveryRow extends Omit<NewDelivery, 'body'> {
  readonly body: Blob
}

export interface DeliveryRow extends Omit<ClaimedDelivery, 'body'> {
  readonly body: Blob
}

export interface ListedDeliveryRow extends Omit<DeliveryRecord, 'body'> {
  readonly body?: Blob
}

export interface IdleFunction extends FunctionName {
  /** It was noted before that it is deleted. */
  readonly wasGone: boolean
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
  postponeTask: { input: { lease: string; next: Postponement; nowMs: number }; output: boolean }
  settleTask: { input: { lease: string; settlement: SettlementRow; nowMs: number }; output: boolean }
  findNextDue: { input: { share?: FunctionShare }; output: number | undefined }
  findTask: { input: { account: string; requestId: string }; output: RecordRow | undefined }
  findDetails: {
    input: {
      account: string
      by:
        | { readonly requestId: string }
        | { readonly namespace: string; readonly functionName: string; readonly taskId: string }
    }
    output: DetailsRow | undefined
  }
  /**
   * One look. `passed`: of the tasks to leave out, how many were; `isCut`: what follows `next` was not looked at. `uncounted`, where the filter
   * is exhaustive: after it begins what `total` is without.
   */
  listTasks: {
    input: { filter: TaskFilter; isContinued?: boolean }
    output: {
      readonly tasks: readonly RecordRow[]
      /** 0 where the list is continued: the first look has it. */
      readonly total: number
      readonly passed: number
      readonly isCut?: boolean
      readonly next?: string
      readonly uncounted?: string
    }
  }
  /** One look: how many fit after `after`, up to `uncounted`. */
  countListed: {
    input: { filter: TaskFilter; after: string }
    output: { readonly count: number; readonly uncounted?: string }
  }
  /** `marksRunning`: one that runs is marked to be ended. */
  cancelTask: {
    input: { account: string; requestId: string; nowMs: number; marksRunning: boolean }
    output: TaskRecord['status'] | undefined
  }
  countTasks: {
    input: { account: string; withForgotten?: boolean } & Partial<FunctionName>
    output: readonly QueueCounters[]
  }
  controlQueue: { input: { owner: FunctionName; change: ControlChange }; output: QueueControl }
  purgeWaiting: { input: { owner: FunctionName; limit: number; nowMs: number }; output: number }
  redriveTasks: {
    input: { owner: FunctionName; limit: number; nowMs: number; which?: RedriveFilter }
    output: readonly Redriven[]
  }
  auditQueues: { input: null; output: QueueAudit }
  findLatestMs: { input: null; output: number }
  claimDeliveries: {
    input: { limit: number; nowMs: number; leaseMs: number; share?: DeliveryShare }
    output: readonly DeliveryRow[]
  }
  renewDeliveries: { input: { leases: readonly string[]; untilMs: number }; output: readonly boolean[] }
  /** Without `lastError` it was delivered. */
  endDelivery: { input: { lease: string; lastError?: string; nowMs: number }; output: boolean }
  retryDelivery: { input: { lease: string; dueAtMs: number; lastError: string }; output: boolean }
  findNextDelivery: { input: { share?: DeliveryShare }; output: number | undefined }
  redeliver: {
    input: { owner: FunctionName; limit: number; which?: RedeliverFilter; nowMs: number }
    output: { readonly redelivered: readonly Redelivered[]; readonly isFull: boolean }
  }
  takeLosses: { input: null; output: OutboxLosses }
  listDeliveries: {
    input: { filter: DeliveryFilter }
    output: { readonly deliveries: readonly ListedDeliveryRow[]; readonly next?: string }
  }
  /** Forgets up to `limit` tasks, and as many deliveries, that ended before `endedBeforeMs`; how many of each. */
  purgeTasks: {
    input: { endedBeforeMs: number; limit: number }
    output: { readonly tasks: number; readonly deliveries: number }
  }
  /** The functions, from the `offset`th on, of which nothing is kept but what was counted and set; `next`: where to go on. */
  listIdleFunctions: {
    input: { offset: number; limit: number }
    output: { readonly idle: readonly IdleFunction[]; readonly next?: number }
  }
  /** Of those still idle: forgets the deleted ones that are gone since before `goneBeforeMs`, and notes for the rest whether they are. */
  followFunctions: {
    input: {
      deleted: readonly FunctionName[]
      present: readonly FunctionName[]
      nowMs: number
      goneBeforeMs: number
    }
    output: number
  }
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
  /** There is no room on the disk. */
  | { readonly kind: 'full' }
  | { readonly kind: 'failed'; readonly reason: string }

export type Result =
  | { readonly ok: true; readonly output: OutputOf<OperationName> }
  | { readonly ok: false; readonly failure: Failure }

/** Bounds of the queue. */
export interface QueueLimits {
  /** What has not ended. */
  readonly maxQueuedTasks: number
  readonly maxQueuedTasksPerFunction: number
  readonly maxQueuedBytes: number
  /** What has ended and is kept. */
  readonly maxEndedTasks: number
  readonly maxKeptBytes: number
  /** Deliveries to be made; and as many undeliverable ones that are kept. */
  readonly maxDeliveries: number
  /** The same for the bytes of their bodies. */
  readonly maxDeliveryBytes: number
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

/**
 * `opened` or `refused` once; then one `done` for each batch, after its COMMIT; `closed` at the end. `failed`
 * instead of any of the latter: it does nothing any more, not even close the database.
 */
export type FromWorker =
  | { readonly kind: 'opened' }
  | { readonly kind: 'refused'; readonly reason: string; readonly isDamage: boolean }
  | { readonly kind: 'done'; readonly results: readonly Result[]; readonly commits: number }
  | { readonly kind: 'closed' }
  | { readonly kind: 'failed'; readonly reason: string; readonly isDamage: boolean }
