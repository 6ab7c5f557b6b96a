import type { TaskRecord } from '../../store/task-queue.ts'
import { INVOKE_TYPE } from './async-settings.ts'
import { filterOf, STATES, statusCodeOf, statusOf, type Status } from './async-status.ts'
import { ScfError } from './errors.ts'
import { booleanField, invalidValue, objectField, textField, textListField } from './fields.ts'
import type { JsonObject, Operation } from './operation.ts'
import { orderOf, pageOf } from './paging.ts'
import { qualifierOf, requireLatest, shownQualifier, targetOf } from './targets.ts'
import { formatTimeMicros, parseTime } from './times.ts'

/** Source: the vendor's ListAsyncEvents page. */
const MAX_PAGE_ENTRIES = 100
const MAX_REQUEST_ID_CHARS = 128
/**
 * How long a run that was told to end may go on. The vendor publishes no bound; its clients wait for an answer for 60 seconds.
 */
const GRACE_MS = 30_000

/** @throws {ScfError} `ResourceNotFound.AsyncEvent` */
export const getAsyncEventStatus: Operation = async (call, { tasks }) => {
  const requestId = requestIdOf(call.params)
  const task = await tasks.find(call.accountId, requestId)
  if (task === undefined) throw eventNotFound(requestId)
  return {
    Result: { Status: statusOf(task), StatusCode: statusCodeOf(task), InvokeRequestId: requestId },
  }
}

/** The asynchronous calls of a function that are waiting, running, or ended not long ago. */
export const listAsyncEvents: Operation = async (call, rooms) => {
  const target = targetOf(call)
  requireLatest(rooms.catalogue, target)
  const { offset, limit } = pageOf(call.params, { maxLimit: MAX_PAGE_ENTRIES })
  const qualifier = qualifierOf(call.params)
  const types = textListField(call.params, 'InvokeType', { max: 20 }) ?? []
  const requestId = textField(call.params, 'InvokeRequestId', { max: MAX_REQUEST_ID_CHARS })
  const { key, descending } = orderOf(
    call.params,
    'Orderby',
    { StartTime: 'accepted', EndTime: 'ended' } as const,
    { key: 'accepted', descending: true },
  )
  const [acceptedFromMs, acceptedToMs] = readInterval(call.params, 'StartTimeInterval')
  const [endedFromMs, endedToMs] = readInterval(call.params, 'EndTimeInterval')
  const statuses = readStatuses(call.params)
  if (types.length > 0 && !types.includes(INVOKE_TYPE)) return { TotalCount: 0, EventList: [] }
  const { tasks, total } = await rooms.tasks.list({
    account: target.account,
    namespace: target.namespace,
    functionName: target.name,
    ...(qualifier === undefined ? {} : { qualifier }),
    ...(requestId ? { requestIds: [requestId] } : {}),
    ...(statuses === undefined ? {} : filterOf(statuses)),
    ...(acceptedFromMs === undefined ? {} : { acceptedFromMs }),
    ...(acceptedToMs === undefined ? {} : { acceptedToMs }),
    ...(endedFromMs === undefined ? {} : { endedFromMs }),
    ...(endedToMs === undefined ? {} : { endedToMs }),
    orderBy: key,
    order: descending ? 'newest' : 'oldest',
    offset,
    // The queue gives one at least.
    limit: Math.max(1, limit),
    isExhaustive: true,
  })
  return { TotalCount: total, EventList: (limit === 0 ? [] : tasks).map(eventBody) }
}

/**
 * Ends an asynchronous call: its run, or before it began. It is not repeated. Answers when it has ended. With `GraceShutdown` the code
 * gets SIGTERM and may come to an end of its own: what it returns counts then, and its failure.
 *
 * @throws {ScfError} `ResourceNotFound.AsyncEvent`, `FailedOperation.AsyncEventStatus`: it has ended
 */
export const terminateAsyncEvent: Operation = async (call, { tasks }) => {
  const target = targetOf(call)
  const requestId = requestIdOf(call.params)
  const isGraceful = booleanField(call.params, 'GraceShutdown') ?? false
  const task = await tasks.find(target.account, requestId)
  if (task?.functionName !== target.name || task.namespace !== target.namespace)
    throw eventNotFound(requestId)
  if (statusOf(task) !== 'RUNNING') throw hasEnded(requestId)
  const termination = await tasks.terminate(target.account, requestId, isGraceful ? GRACE_MS : 0)
  if (termination === 'unknown') throw eventNotFound(requestId)
  // A run that was told to end and did so by itself has done what it was to.
  if (termination === 'ended' && !isGraceful) throw hasEnded(requestId)
  return {}
}

function eventBody(task: TaskRecord): JsonObject {
  return {
    InvokeRequestId: task.requestId,
    InvokeType: INVOKE_TYPE,
    Qualifier: shownQualifier(task.qualifier),
    Status: statusOf(task),
    StartTime: formatTimeMicros(task.acceptedAtMs),
    EndTime: task.endedAtMs === undefined ? '' : formatTimeMicros(task.endedAtMs),
  }
}

function readStatuses(params: JsonObject): readonly Status[] | undefined {
  const code = 'InvalidParameterValue.Status'
  const words = textListField(params, 'Status', { max: 20, code })
  if (words === undefined || words.length === 0) return undefined
  return words.map((word) => {
    if (!isStatus(word)) throw invalidValue('Status', 'RUNNING, FINISHED, ABORTED or FAILED', word, code)
    return word
  })
}

function isStatus(word: string): word is Status {
  return Object.hasOwn(STATES, word)
}

/** A half-open interval. */
function readInterval(
  params: JsonObject,
  name: string,
): readonly [fromMs: number | undefined, toMs: number | undefined] {
  const interval = objectField(params, name)
  if (interval === undefined) return [undefined, undefined]
  return [readMoment(interval, 'Start'), readMoment(interval, 'End')]
}

function readMoment(interval: JsonObject, name: string): number | undefined {
  const text = textField(interval, name, { max: 64, code: 'InvalidParameterValue.DateTime' })
  if (text === undefined || text === '') return undefined
  const epochMs = parseTime(text)
  if (epochMs === undefined)
    throw invalidValue(name, 'YYYY-MM-DD HH:mm:ss', text, 'InvalidParameterValue.DateTime')
  return epochMs
}

function requestIdOf(params: JsonObject): string {
  return textField(params, 'InvokeRequestId', { required: true, min: 1, max: MAX_REQUEST_ID_CHARS })
}

function eventNotFound(requestId: string): ScfError {
  return new ScfError(
    'ResourceNotFound.AsyncEvent',
    `there is no asynchronous event '${requestId.slice(0, MAX_REQUEST_ID_CHARS)}'`,
  )
}

function hasEnded(requestId: string): ScfError {
  return new ScfError(
    'FailedOperation.AsyncEventStatus',
    `the asynchronous event '${requestId.slice(0, MAX_REQUEST_ID_CHARS)}' is not RUNNING`,
  )
}
