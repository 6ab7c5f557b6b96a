import { EngineError } from '../../model/errors.ts'
import type { FunctionName } from '../../model/function.ts'
import {
  LOOKED_AT_TASKS,
  type ClaimedTask,
  type ControlChange,
  type FunctionShare,
  type NewTask,
  type Postponement,
  type QueueAudit,
  type QueueControl,
  type QueueCounters,
  type RedriveFilter,
  type Redriven,
  type Settlement,
  type TaskDetails,
  type TaskFilter,
  type TaskLookup,
  type TaskOperations,
  type TaskPage,
  type TaskQueue,
  type TaskRecord,
} from '../task-queue.ts'
import { bufferOf, ownBytes } from './blobs.ts'
import type { DatabaseThread } from './database-thread.ts'
import type { DetailsRow, OutputOf, QueueLimits, RecordRow } from './operations.ts'

/** A page for which little is found in so many looks is short. */
const LOOKS_PER_PAGE = 4

/** The tasks of a database, asked for from the thread that serves calls. */
export class SqliteTasks implements TaskQueue, TaskLookup, TaskOperations {
  readonly #thread: DatabaseThread
  readonly #limits: QueueLimits
  readonly #now: () => number

  constructor(thread: DatabaseThread, limits: QueueLimits, now: () => number) {
    this.#thread = thread
    this.#limits = limits
    this.#now = now
  }

  async enqueue({ payload, ...task }: NewTask): Promise<void> {
    const { maxQueuedTasks, maxQueuedBytes } = this.#limits
    // The worker decides exactly; this bounds what waits for it in memory when the disk is slow.
    if (this.#thread.waitingOperations >= maxQueuedTasks)
      throw new EngineError('caller/queue-full', { scope: 'server', limit: maxQueuedTasks })
    if (this.#thread.waitingPayloadBytes + payload.length > maxQueuedBytes)
      throw new EngineError('caller/queue-full', { scope: 'server', limit: maxQueuedBytes })
    await this.#thread.run(
      'enqueueTask',
      { ...task, payloadOffset: 0, payloadBytes: payload.length },
      payload,
    )
  }

  async claim(
    limit: number,
    nowMs: number,
    leaseMs: number,
    share?: FunctionShare,
  ): Promise<readonly ClaimedTask[]> {
    const input = { limit, nowMs, leaseMs, ...(share === undefined ? {} : { share }) }
    const rows = await this.#thread.run('claimTasks', input)
    return rows.map((row) => ({ ...row, payload: bufferOf(row.payload) }))
  }

  renew(leases: readonly string[], untilMs: number): Promise<readonly boolean[]> {
    return this.#thread.run('renewLeases', { leases, untilMs })
  }

  postpone(lease: string, next: Postponement): Promise<boolean> {
    return this.#thread.run('postponeTask', { lease, next, nowMs: this.#now() })
  }

  async settle(lease: string, settlement: Settlement): Promise<boolean> {
    const { result, delivery, ...rest } = settlement
    const sent = {
      ...rest,
      ...(result === undefined
        ? {}
        : { result: { ...result, payload: ownBytes(result.payload), logTail: ownBytes(result.logTail) } }),
      ...(delivery === undefined ? {} : { delivery: { ...delivery, body: ownBytes(delivery.body) } }),
    }
    return await this.#thread.run('settleTask', { lease, settlement: sent, nowMs: this.#now() })
  }

  nextDueAtMs(share?: FunctionShare): Promise<number | undefined> {
    return this.#thread.run('findNextDue', share === undefined ? {} : { share })
  }

  async find(account: string, requestId: string): Promise<TaskRecord | undefined> {
    const row = await this.#thread.run('findTask', { account, requestId })
    return row && recordOf(row)
  }

  async details(account: string, requestId: string): Promise<TaskDetails | undefined> {
    const row = await this.#thread.run('findDetails', { account, by: { requestId } })
    return row && detailsOf(row)
  }

  async detailsOf(
    { account, namespace, name: functionName }: FunctionName,
    taskId: string,
  ): Promise<TaskDetails | undefined> {
    const row = await this.#thread.run('findDetails', { account, by: { namespace, functionName, taskId } })
    return row && detailsOf(row)
  }

  /** Each look is an operation of its own: what others ask for is done between them. */
  async list(filter: TaskFilter): Promise<TaskPage> {
    const { offset = 0, limit, withPayload = false, isExhaustive = false } = filter
    const page = await this.#thread.run('listTasks', { filter })
    const tasks = [...page.tasks]
    let { passed, next, isCut } = page
    const mostLooks = isExhaustive ? Number.POSITIVE_INFINITY : LOOKS_PER_PAGE
    let looks = 1
    while (looks < mostLooks && isCut === true && next !== undefined) {
      if (withPayload && tasks.length > 0) break
      const rest = { after: next, offset: offset - passed, limit: limit - tasks.length }
      const found = await this.#thread.run('listTasks', {
        filter: { ...filter, ...rest },
        isContinued: true,
      })
      tasks.push(...found.tasks)
      passed += found.passed
      if (found.passed < LOOKED_AT_TASKS) looks += 1
      next = found.next
      isCut = found.isCut
    }
    // What was found up to the end is all that there is.
    const isWhole = filter.after === undefined && next === undefined && tasks.length > 0
    let { total } = page
    let after = isWhole ? undefined : page.uncounted
    while (after !== undefined) {
      const counted: OutputOf<'countListed'> = await this.#thread.run('countListed', { filter, after })
      total += counted.count
      after = counted.uncounted
    }
    return {
      tasks: tasks.map(recordOf),
      total: Math.max(total, tasks.length === 0 ? 0 : passed + tasks.length),
      ...(next === undefined ? {} : { next }),
    }
  }

  cancel(account: string, requestId: string, nowMs: number): Promise<TaskRecord['status'] | undefined> {
    return this.#thread.run('cancelTask', { account, requestId, nowMs, marksRunning: false })
  }

  requestStop(account: string, requestId: string, nowMs: number): Promise<TaskRecord['status'] | undefined> {
    return this.#thread.run('cancelTask', { account, requestId, nowMs, marksRunning: true })
  }

  counters(of: Parameters<TaskOperations['counters']>[0]): Promise<readonly QueueCounters[]> {
    return this.#thread.run('countTasks', of)
  }

  control(owner: FunctionName, change: ControlChange): Promise<QueueControl> {
    return this.#thread.run('controlQueue', { owner, change })
  }

  purgeWaiting(owner: FunctionName, limit: number): Promise<number> {
    return this.#thread.run('purgeWaiting', { owner, limit, nowMs: this.#now() })
  }

  redrive(owner: FunctionName, limit: number, which?: RedriveFilter): Promise<readonly Redriven[]> {
    const nowMs = this.#now()
    return this.#thread.run('redriveTasks', {
      owner,
      limit,
      nowMs,
      ...(which === undefined ? {} : { which }),
    })
  }

  audit(): Promise<QueueAudit> {
    return this.#thread.run('auditQueues', null)
  }

  latestMs(): Promise<number> {
    return this.#thread.run('findLatestMs', null)
  }
}

function recordOf({ payload, ...record }: RecordRow): TaskRecord {
  return payload === undefined ? record : { ...record, payload: bufferOf(payload) }
}

function detailsOf({ payload, result, ...rest }: DetailsRow): TaskDetails {
  return {
    ...rest,
    ...(payload === undefined ? {} : { payload: bufferOf(payload) }),
    ...(result === undefined
      ? {}
      : { result: { ...result, payload: bufferOf(result.payload), logTail: bufferOf(result.logTail) } }),
  }
}
