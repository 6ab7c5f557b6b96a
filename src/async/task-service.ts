import type { FunctionName } from '../model/function.ts'
import { toBuffer } from '../model/payload.ts'
import type {
  ControlChange,
  QueueAudit,
  QueueControl,
  QueueCounters,
  RedriveFilter,
  Redriven,
  TaskDetails,
  TaskFilter,
  TaskLookup,
  TaskOperations,
  TaskPage,
  TaskQueue,
  TaskRecord,
} from '../store/task-queue.ts'
import type { Clock } from './clock.ts'
import type { AsyncDelivery } from './delivery.ts'
import type { Accepted, Submission, Tasks, Termination } from './tasks.ts'

export interface TaskServiceOptions {
  readonly queue: TaskQueue & TaskLookup & TaskOperations
  readonly delivery: Pick<AsyncDelivery, 'notify' | 'terminate'>
  readonly clock: Clock
}

/** Asynchronous calls, from their submission to what is kept of them. */
export class TaskService implements Tasks {
  readonly #queue: TaskServiceOptions['queue']
  readonly #delivery: TaskServiceOptions['delivery']
  readonly #clock: Clock

  constructor({ queue, delivery, clock }: TaskServiceOptions) {
    this.#queue = queue
    this.#delivery = delivery
    this.#clock = clock
  }

  async submit(submission: Submission): Promise<Accepted> {
    const { target, requestId, taskId, payload, policy, delayMs = 0 } = submission
    const { qualifier } = target
    const acceptedAtMs = this.#clock.now()
    const dueAtMs = acceptedAtMs + delayMs
    await this.#queue.enqueue({
      requestId,
      account: target.account,
      namespace: target.namespace,
      functionName: target.name,
      ...(qualifier === undefined ? {} : { qualifier }),
      ...(taskId === undefined ? {} : { taskId }),
      payload: toBuffer(payload),
      acceptedAtMs,
      dueAtMs,
      maxRetries: policy.maxRetries,
      expiresAtMs: acceptedAtMs + policy.maxAgeMs,
      ...(policy.backoff === undefined ? {} : { backoff: policy.backoff }),
      ...(policy.refusals === undefined ? {} : { refusals: policy.refusals }),
      ...rarely(submission),
    })
    this.#delivery.notify(dueAtMs)
    return { requestId, acceptedAtMs, ...(taskId === undefined ? {} : { taskId }) }
  }

  find(account: string, requestId: string): Promise<TaskRecord | undefined> {
    return this.#queue.find(account, requestId)
  }

  details(account: string, requestId: string): Promise<TaskDetails | undefined> {
    return this.#queue.details(account, requestId)
  }

  detailsOf(owner: FunctionName, taskId: string): Promise<TaskDetails | undefined> {
    return this.#queue.detailsOf(owner, taskId)
  }

  list(filter: TaskFilter): Promise<TaskPage> {
    return this.#queue.list(filter)
  }

  terminate(account: string, requestId: string, graceMs = 0): Promise<Termination> {
    return this.#delivery.terminate(account, requestId, graceMs)
  }

  nowMs(): number {
    return this.#clock.now()
  }

  counters(of: Parameters<TaskOperations['counters']>[0]): Promise<readonly QueueCounters[]> {
    return this.#queue.counters(of)
  }

  async control(owner: FunctionName, change: ControlChange): Promise<QueueControl> {
    const control = await this.#queue.control(owner, change)
    // What it held back may be due.
    this.#delivery.notify()
    return control
  }

  purgeWaiting(owner: FunctionName, limit: number): Promise<number> {
    return this.#queue.purgeWaiting(owner, limit)
  }

  async redrive(owner: FunctionName, limit: number, which?: RedriveFilter): Promise<readonly Redriven[]> {
    const redriven = await this.#queue.redrive(owner, limit, which)
    if (redriven.length > 0) this.#delivery.notify()
    return redriven
  }

  audit(): Promise<QueueAudit> {
    return this.#queue.audit()
  }

  latestMs(): Promise<number> {
    return this.#queue.latestMs()
  }
}

type Rare = Pick<Submission, 'keepsDetails' | 'destinations' | 'source' | 'causedBy' | 'depth' | 'once'>

/** The members that few submissions have; absent ones stay absent. */
function rarely({ keepsDetails, destinations, source, causedBy, depth, once }: Submission): Rare {
  return {
    ...(keepsDetails === undefined ? {} : { keepsDetails }),
    ...(destinations === undefined ? {} : { destinations }),
    ...(source === undefined ? {} : { source }),
    ...(causedBy === undefined ? {} : { causedBy }),
    ...(depth === undefined ? {} : { depth }),
    ...(once === undefined ? {} : { once }),
  }
}
