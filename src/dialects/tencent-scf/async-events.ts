import { LATEST } from '../../model/function.ts'
import type { TaskFilter, TaskRecord } from '../../store/task-queue.ts'
import { INVOKE_TYPE } from './async-settings.ts'
import { STATES, statusCodeOf, statusOf, type Status } from './async-status.ts'
import { ScfError } from './errors.ts'
import { booleanField, invalidValue, objectField, textField, textListField } from './fields.ts'
import type { JsonObject, Operation, Rooms } from './operation.ts'
import { orderOf, pageOf, type Page } from './paging.ts'
import { qualifierOf, requireLatest, shownQualifier, targetOf } from './targets.ts'
import { formatTimeMicros, parseTime } from './times.ts'

/** Source: the vendor's ListAsyncEvents page. */
const MAX_PAGE_ENTRIES = 100
const MAX_REQUEST_ID_CHARS = 128
/** Events looked through, and at once, where the queue cannot tell those that are wanted from others. */
const MAX_SCANNED_EVENTS = 10_000
const SCANNED_AT_ONCE = 1000

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
  // The queue knows the latest state by two names, and what was stopped by one.
  const isExact = qualifier !== LATEST && statuses?.includes('FAILED') === statuses?.includes('ABORTED')
  const filter = {
    account: target.account,
    namespace: target.namespace,
    functionName: target.name,
    ...(qualifier === undefined || qualifier === LATEST ? {} : { qualifier }),
    ...(requestId ? { requestIds: [requestId] } : {}),
    ...(statuses === undefined ? {} : { statuses: [...new Set(statuses.flatMap((one) => STATES[one]))] }),
    ...(acceptedFromMs === undefined ? {} : { acceptedFromMs }),
    ...(acceptedToMs === undefined ? {} : { acceptedToMs }),
    ...(endedFromMs === undefined ? {} : { endedFromMs }),
    ...(endedToMs === undefined ? {} : { endedToMs }),
    orderBy: key,
    order: descending ? 'newest' : 'oldest',
  } as const
  const isWanted = (task: TaskRecord): boolean =>
    (statuses?.includes(statusOf(task)) ?? true) &&
    (qualifier === undefined || qualifier === (task.qualifier ?? LATEST))
  const found = isExact ? await find(rooms, page, filter) : await search(rooms, page, filter, isWanted)
  return { TotalCount: found.total, EventList: found.tasks.map(eventBody) }
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

interface Found {
  readonly tasks: readonly TaskRecord[]
  readonly total: number
}

type Filter = Omit<TaskFilter, 'limit' | 'offset'>

async function find({ tasks }: Pick<Rooms, 'tasks'>, page: Page, filter: Filter): Promise<Found> {
  const found = await tasks.list({ ...filter, offset: page.offset, limit: Math.max(1, page.limit) })
  return page.limit === 0 ? { tasks: [], total: found.total } : found
}

/** Of what the filter finds some are not wanted: it is looked through, as far as the bound goes. */
async function search(
  { tasks }: Pick<Rooms, 'tasks'>,
  { offset, limit }: Page,
  filter: Filter,
  isWanted: (task: TaskRecord) => boolean,
): Promise<Found> {
  const shown: TaskRecord[] = []
  let total = 0
  let after: string | undefined
  for (let looked = 0; looked < MAX_SCANNED_EVENTS; looked += SCANNED_AT_ONCE) {
    const found = await tasks.list({
      ...filter,
      limit: SCANNED_AT_ONCE,
      ...(after === undefined ? {} : { after }),
    })
    for (const task of found.tasks) {
      if (!isWanted(task)) continue
      if (total >= offset && shown.length < limit) shown.push(task)
      total += 1
    }
    after = found.next
    if (after === undefined) break
  }
  return { tasks: shown, total }
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
