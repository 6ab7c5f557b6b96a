import { LATEST } from '../../model/function.ts'
import type { TaskFilter, TaskRecord } from '../../store/task-queue.ts'
import { ScfError } from './errors.ts'
import { booleanField, invalidValue, objectField, textField, textListField } from './fields.ts'
import type { JsonObject, Operation, Rooms } from './operation.ts'
import { onPage, orderOf, pageOf, type Page } from './paging.ts'
import { qualifierOf, requireLatest, shownQualifier, targetOf } from './targets.ts'
import { formatTimeMicros, parseTime } from './times.ts'

/** Source: the vendor's ListAsyncEvents page. */
const MAX_PAGE_ENTRIES = 100
const MAX_REQUEST_ID_CHARS = 128
/** Events looked through where those of the latest state alone are wanted. */
const MAX_SCANNED_EVENTS = 1000

/** How every event came in. The vendor does not publish the words it uses. */
const INVOKE_TYPE = 'API'

type Status = 'RUNNING' | 'FINISHED' | 'ABORTED' | 'FAILED'

const STATUSES: Readonly<Record<TaskRecord['status'], Status>> = {
  waiting: 'RUNNING',
  running: 'RUNNING',
  succeeded: 'FINISHED',
  failed: 'FAILED',
  expired: 'FAILED',
  cancelled: 'ABORTED',
}

/** The vendor's invocation status of what a failed event ended with; anything else is an exception of the code. */
const FAILURE_CODES: Readonly<Record<string, number>> = {
  timedOut: 433,
  outOfMemory: 434,
  exited: 439,
  signalled: 439,
  'caller/namespace-not-found': 435,
  'caller/function-not-found': 435,
  'caller/version-not-found': 442,
  'caller/alias-not-found': 442,
  'caller/concurrency-exceeded': 432,
  'caller/payload-budget-exceeded': 429,
  'platform/no-capacity': 449,
}
const USER_EXCEPTION = 430
const PLATFORM_FAULT = 500

/** @throws {ScfError} `ResourceNotFound.AsyncEvent` */
export const getAsyncEventStatus: Operation = async (call, { tasks }) => {
  const requestId = requestIdOf(call.params)
  const task = await tasks.find(call.accountId, requestId)
  if (task === undefined) throw eventNotFound(requestId)
  return {
    Result: { Status: STATUSES[task.status], StatusCode: statusCodeOf(task), InvokeRequestId: requestId },
  }
}

/** The asynchronous calls of a function that are waiting, running, or ended not long ago. */
export const listAsyncEvents: Operation = async (call, rooms) => {
  const target = targetOf(call)
  requireLatest(rooms.catalogue, target)
  const page = pageOf(call.params, { maxLimit: MAX_PAGE_ENTRIES })
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
  const found = await find(rooms, page, {
    account: target.account,
    namespace: target.namespace,
    functionName: target.name,
    ...(qualifier === undefined ? {} : { qualifier }),
    ...(requestId ? { requestIds: [requestId] } : {}),
    ...(statuses === undefined ? {} : { statuses }),
    ...(acceptedFromMs === undefined ? {} : { acceptedFromMs }),
    ...(acceptedToMs === undefined ? {} : { acceptedToMs }),
    ...(endedFromMs === undefined ? {} : { endedFromMs }),
    ...(endedToMs === undefined ? {} : { endedToMs }),
    orderBy: key,
    order: descending ? 'newest' : 'oldest',
  })
  return { TotalCount: found.total, EventList: found.tasks.map(eventBody) }
}

/**
 * Ends an asynchronous call: its run, or before it began. It is not repeated. `GraceShutdown` makes no difference: code gets
 * no time to finish.
 *
 * @throws {ScfError} `ResourceNotFound.AsyncEvent`, `FailedOperation.AsyncEventStatus`: it has ended
 */
export const terminateAsyncEvent: Operation = async (call, { tasks }) => {
  const target = targetOf(call)
  const requestId = requestIdOf(call.params)
  booleanField(call.params, 'GraceShutdown')
  const task = await tasks.find(target.account, requestId)
  if (task?.functionName !== target.name || task.namespace !== target.namespace)
    throw eventNotFound(requestId)
  if (STATUSES[task.status] !== 'RUNNING') throw hasEnded(requestId)
  const termination = await tasks.terminate(target.account, requestId)
  if (termination === 'unknown') throw eventNotFound(requestId)
  if (termination === 'ended') throw hasEnded(requestId)
  return {}
}

/** Calls of the latest state name no qualifier, or `LATEST`: a filter on it is applied here. */
async function find(
  { tasks }: Pick<Rooms, 'tasks'>,
  page: Page,
  filter: Omit<TaskFilter, 'limit' | 'offset'>,
): Promise<{ readonly tasks: readonly TaskRecord[]; readonly total: number }> {
  if (filter.qualifier === LATEST) {
    const { qualifier: _, ...others } = filter
    const all = await tasks.list({ ...others, limit: MAX_SCANNED_EVENTS })
    const latest = all.tasks.filter(({ qualifier = LATEST }) => qualifier === LATEST)
    return { tasks: onPage(latest, page), total: latest.length }
  }
  const found = await tasks.list({ ...filter, offset: page.offset, limit: Math.max(1, page.limit) })
  return page.limit === 0 ? { tasks: [], total: found.total } : found
}

function eventBody(task: TaskRecord): JsonObject {
  return {
    InvokeRequestId: task.requestId,
    InvokeType: INVOKE_TYPE,
    Qualifier: shownQualifier(task.qualifier),
    Status: STATUSES[task.status],
    StartTime: formatTimeMicros(task.acceptedAtMs),
    EndTime: task.endedAtMs === undefined ? '' : formatTimeMicros(task.endedAtMs),
  }
}

function statusCodeOf({ status, lastError }: TaskRecord): number {
  switch (STATUSES[status]) {
    case 'RUNNING':
      return 0
    case 'FINISHED':
      return 200
    case 'ABORTED':
      return 499
    case 'FAILED': {
      const known = lastError === undefined ? undefined : FAILURE_CODES[lastError]
      if (known !== undefined) return known
      const isOurs = lastError === undefined || lastError === 'internal' || lastError.startsWith('platform/')
      return isOurs ? PLATFORM_FAULT : USER_EXCEPTION
    }
  }
}

function readStatuses(params: JsonObject): TaskRecord['status'][] | undefined {
  const code = 'InvalidParameterValue.Status'
  const words = textListField(params, 'Status', { max: 20, code })
  if (words === undefined || words.length === 0) return undefined
  const known: readonly string[] = Object.values(STATUSES)
  for (const word of words)
    if (!known.includes(word))
      throw invalidValue('Status', 'RUNNING, FINISHED, ABORTED or FAILED', word, code)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of that table are the statuses
  return (Object.keys(STATUSES) as TaskRecord['status'][]).filter((status) =>
    words.includes(STATUSES[status]),
  )
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
