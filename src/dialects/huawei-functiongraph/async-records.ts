import { readFailureBody } from '../../contracts/failure-body.ts'
import { errorCodeOfName, RUN_CODE } from '../../contracts/huawei-functiongraph.ts'
import { shownFailureName } from '../../model/failure-name.ts'
import { payloadOf } from '../../model/payload.ts'
import type { TaskDetails, TaskFilter, TaskRecord } from '../../store/task-queue.ts'
import { FssError } from './errors.ts'
import { queryInteger, required, stringField } from './fields.ts'
import { projectLogPlaceOf } from './log-places.ts'
import type { Answer, Call, JsonObject, Operation, Rooms } from './operation.ts'
import { requireHead, urnOf } from './target.ts'

/** Pages of records. Source: the vendor's ListAsyncInvocations page. */
const DEFAULT_LIMIT = 100
const MAX_LIMIT = 500
/** Ids that the active records may be asked for at once. Source: the client's description of `requests`. */
const MAX_REQUESTS = 10
/** Records of so long ago are listed when the query does not say. Source: as above, "the last hour". */
const DEFAULT_SPAN_MS = 3_600_000

/** Later pages are not reached: who wants to see so many narrows the time. */
const MAX_MARKER = 1_000_000
/** Shown of the message of a failure. */
const MESSAGE_CHARACTERS = 1024

/** A function that does not exist any more, and one that was at its limit till the end. Source: the vendor's open-source kernel. */
const META_NOT_FOUND = 4024
const MAX_INSTANCES_REACHED = 150_429

/** The words of the API, and the states behind them. */
type ShownStatus = 'WAIT' | 'RUNNING' | 'SUCCESS' | 'FAIL' | 'DISCARD'

const STATES: Readonly<Record<ShownStatus, readonly TaskRecord['status'][]>> = {
  WAIT: ['waiting'],
  RUNNING: ['running'],
  SUCCESS: ['succeeded'],
  FAIL: ['failed'],
  DISCARD: ['expired', 'cancelled'],
}

/**
 * Asynchronous calls of a function, the newest first. Its qualifier does not matter. The record of one that is asked for by its id has
 * the message of its failure, too: in a longer list it has the name alone.
 */
export const listAsyncInvocations: Operation = (call, rooms) => {
  const { query } = call
  const requestId = query.get('request_id')
  const narrowed = { ...(requestId ? { requestIds: [requestId] } : {}), ...statesOf(query.get('status')) }
  return listRecords(call, rooms, narrowed, Boolean(requestId))
}

/** Those of them that have not ended. */
export const listActiveAsyncInvocations: Operation = (call, rooms) => {
  const { query } = call
  const requestIds = (query.get('requests') ?? '').split(',').filter((id) => id !== '')
  if (requestIds.length > MAX_REQUESTS)
    throw new FssError('FSS.0400', `invalid parameter requests: more than ${MAX_REQUESTS} ids`)
  const { statuses = ['waiting', 'running'] } = statesOf(query.get('status'))
  const active = statuses.filter((status) => status === 'waiting' || status === 'running')
  if (active.length === 0) return { status: 200, body: { invocations: [], count: 0 } }
  return listRecords(call, rooms, {
    statuses: active,
    ...(requestIds.length === 0 ? {} : { requestIds }),
  })
}

/**
 * Ends an asynchronous call, whether it waits or runs. `type` says how; both words end the run with its instance: calls that a
 * function made are calls of their own here.
 */
export const cancelAsyncInvocation: Operation = async (call, { catalogue, tasks }) => {
  const { accountId, body } = call
  const { namespace, name } = requireHead(catalogue, accountId, urnOf(call)).value
  const requestId = required(stringField(body, 'request_id', { max: 128 }), 'request_id')
  stringField(body, 'type', { pattern: /^(?:force|recursive)?$/ })
  const task = await tasks.find(accountId, requestId)
  if (task?.namespace !== namespace || task.functionName !== name) throw unknownRequest()
  const ended = await tasks.terminate(accountId, requestId)
  if (ended === 'unknown') throw unknownRequest()
  return { status: 200, body: {} }
}

/** Records are always kept: there is nothing to enable. */
export const enableAsyncStatusLog: Operation = () => ({ status: 200, body: {} })

/** Where the vendor's log service would have the records of all functions. */
export const showProjectAsyncStatusLogInfo: Operation = ({ accountId }) => {
  const { groupId, groupName, streamId, streamName } = projectLogPlaceOf(accountId)
  return {
    status: 200,
    body: { group_name: groupName, group_id: groupId, stream_id: streamId, stream_name: streamName },
  }
}

async function listRecords(
  call: Call,
  rooms: Rooms,
  narrowed: Pick<TaskFilter, 'requestIds' | 'statuses'>,
  withMessages = false,
): Promise<Answer> {
  const { query, accountId } = call
  const { catalogue, tasks } = rooms
  const { namespace, name } = requireHead(catalogue, accountId, urnOf(call)).value
  const offset = queryInteger(query, 'marker', { min: 0, max: MAX_MARKER }) ?? 0
  const limit = queryInteger(query, 'limit', { min: 1, max: MAX_LIMIT }) ?? DEFAULT_LIMIT
  const fromMs = timeOf(query, 'query_begin_time')
  const toMs = timeOf(query, 'query_end_time')
  const {
    tasks: page,
    total,
    next,
  } = await tasks.list({
    account: accountId,
    namespace,
    functionName: name,
    ...narrowed,
    // Who asks for a call by its id wants it whenever it was.
    ...(fromMs === undefined && narrowed.requestIds !== undefined
      ? {}
      : { acceptedFromMs: fromMs ?? (toMs ?? tasks.nowMs()) - DEFAULT_SPAN_MS }),
    ...(toMs === undefined ? {} : { acceptedToMs: toMs }),
    offset,
    limit,
  })
  const records = withMessages ? await Promise.all(page.map((task) => withMessage(call, rooms, task))) : page
  const marker = offset + page.length
  return {
    status: 200,
    body: {
      invocations: records.map(shownRecord),
      count: total,
      // The count may end before the records do: whether there are more, the page knows.
      ...(next !== undefined && page.length > 0 && marker <= MAX_MARKER ? { next_marker: marker } : {}),
    },
  }
}

/** What the code said about its failure. */
interface Told {
  readonly message?: string
}

async function withMessage(
  { accountId }: Call,
  { tasks }: Rooms,
  task: TaskRecord,
): Promise<TaskRecord & Told> {
  if (task.status !== 'failed' && task.status !== 'expired') return task
  const message = messageOf(await tasks.details(accountId, task.requestId))
  return message === undefined ? task : { ...task, message }
}

function messageOf(task: TaskDetails | undefined): string | undefined {
  if (task?.result === undefined) return undefined
  return readFailureBody(payloadOf(task.result.payload))?.message.slice(0, MESSAGE_CHARACTERS)
}

function shownRecord(task: TaskRecord & Told): JsonObject {
  const { requestId, startedAtMs, acceptedAtMs, endedAtMs, lastError = '', message } = task
  const gaveUp = task.status === 'failed' || task.status === 'expired' || task.status === 'cancelled'
  return {
    request_id: requestId,
    status: shownStatus(task),
    error_message: gaveUp ? shownMessage(shownFailureName(lastError) || task.status, message) : '',
    error_code: gaveUp ? codeOf(task) : RUN_CODE.success,
    start_time: formatSeconds(startedAtMs ?? acceptedAtMs),
    end_time: endedAtMs === undefined ? '' : formatSeconds(endedAtMs),
  }
}

/** `TypeError: x is not a function`; the name alone where the code said nothing. */
function shownMessage(name: string, message: string | undefined): string {
  return message === undefined || message === '' ? name : `${name}: ${message}`
}

function shownStatus({ status }: TaskRecord): string {
  return Object.entries(STATES).find(([, states]) => states.includes(status))?.[0] ?? ''
}

/** What is kept of a failure is its name: an error type of the code, or a code of the engine. */
function codeOf({ status, lastError = '' }: TaskRecord): number {
  if (status === 'cancelled') return RUN_CODE.cancelled
  if (lastError === '') return RUN_CODE.success
  if (/^caller\/[a-z]+-not-found$/.test(lastError)) return META_NOT_FOUND
  return lastError === 'caller/concurrency-exceeded' ? MAX_INSTANCES_REACHED : errorCodeOfName(lastError)
}

/** @throws {FssError} FSS.0400 */
function statesOf(status: string | undefined): Pick<TaskFilter, 'statuses'> {
  if (status === undefined || status === '') return {}
  const found = Object.entries(STATES).find(([name]) => name === status)
  if (found === undefined)
    throw new FssError('FSS.0400', `invalid parameter status (allowed: ${Object.keys(STATES).join(' | ')})`)
  return { statuses: found[1] }
}

/** `YYYY-MM-DDTHH:mm:ss`, UTC; a trailing `Z` is no mistake. @throws {FssError} FSS.0400 */
function timeOf(query: Call['query'], name: string): number | undefined {
  const text = query.get(name)
  if (text === undefined || text === '') return undefined
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ?$/.test(text)
    ? Date.parse(`${text.slice(0, 19)}Z`)
    : Number.NaN
  if (Number.isNaN(ms))
    throw new FssError('FSS.0400', `invalid parameter ${name} (allowed: YYYY-MM-DDTHH:mm:ss)`)
  return ms
}

/** UTC without a zone, as these records write times. */
function formatSeconds(epochMs: number): string {
  return new Date(epochMs).toISOString().slice(0, 19)
}

function unknownRequest(): FssError {
  return new FssError('FSS.0400', 'Invalid RequestId')
}
