import { errorCodeOfName, RUN_CODE } from '../../contracts/huawei-functiongraph.ts'
import type { TaskFilter, TaskRecord } from '../../store/task-queue.ts'
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

/** Asynchronous calls of a function, the newest first. Its qualifier does not matter. */
export const listAsyncInvocations: Operation = (call, rooms) => {
  const { query } = call
  const requestId = query.get('request_id')
  return listRecords(call, rooms, {
    ...(requestId ? { requestIds: [requestId] } : {}),
    ...statesOf(query.get('status')),
  })
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
  { catalogue, tasks, now }: Rooms,
  narrowed: Pick<TaskFilter, 'requestIds' | 'statuses'>,
): Promise<Answer> {
  const { query, accountId } = call
  const { namespace, name } = requireHead(catalogue, accountId, urnOf(call)).value
  const offset = queryInteger(query, 'marker', { min: 0, max: 1_000_000_000 }) ?? 0
  const limit = queryInteger(query, 'limit', { min: 1, max: MAX_LIMIT }) ?? DEFAULT_LIMIT
  const fromMs = timeOf(query, 'query_begin_time')
  const toMs = timeOf(query, 'query_end_time')
  const { tasks: page, total } = await tasks.list({
    account: accountId,
    namespace,
    functionName: name,
    ...narrowed,
    // Who asks for a call by its id wants it whenever it was.
    ...(fromMs === undefined && narrowed.requestIds !== undefined
      ? {}
      : { acceptedFromMs: fromMs ?? (toMs ?? now()) - DEFAULT_SPAN_MS }),
    ...(toMs === undefined ? {} : { acceptedToMs: toMs }),
    offset,
    limit,
  })
  const next = offset + page.length
  return {
    status: 200,
    body: {
      invocations: page.map(shownRecord),
      count: total,
      ...(next < total && page.length > 0 ? { next_marker: next } : {}),
    },
  }
}

function shownRecord(task: TaskRecord): JsonObject {
  const { requestId, startedAtMs, acceptedAtMs, endedAtMs, lastError = '' } = task
  const gaveUp = task.status === 'failed' || task.status === 'expired' || task.status === 'cancelled'
  return {
    request_id: requestId,
    status: shownStatus(task),
    error_message: gaveUp ? lastError || task.status : '',
    error_code: gaveUp ? codeOf(task) : RUN_CODE.success,
    start_time: formatSeconds(startedAtMs ?? acceptedAtMs),
    end_time: endedAtMs === undefined ? '' : formatSeconds(endedAtMs),
  }
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
