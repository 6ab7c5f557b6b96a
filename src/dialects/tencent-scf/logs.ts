import type { CallRecord } from '../../model/call-record.ts'
import type { FunctionName } from '../../model/function.ts'
import { utf8OrBase64 } from '../../model/utf8.ts'
import type { TaskDetails } from '../../store/task-queue.ts'
import { statusCodeOf } from './async-status.ts'
import { ScfError } from './errors.ts'
import { invalidValue, objectField, textField } from './fields.ts'
import type { JsonObject, Operation, Rooms } from './operation.ts'
import { inOrder, onPage, orderOf, pageOf } from './paging.ts'
import { qualifierOf, requireAt, requireLatest, targetOf } from './targets.ts'
import { formatTime, parseTime } from './times.ts'

/** Source of these three: the vendor's GetFunctionLogs and GetRequestStatus pages. */
const MAX_REACH = 10_000
const MAX_SPAN_MS = 24 * 60 * 60 * 1000
const RECENT_MS = 15 * 60 * 1000
/** Calls counted where no filter makes it necessary to look at all of them. */
const COUNTED_CALLS = 1000
const MAX_REQUEST_ID_CHARS = 128
const BYTES_PER_MB = 1024 * 1024

/** How events end without a failure of their own. */
const END_MESSAGES: Readonly<Record<string, string>> = {
  cancelled: 'the event was terminated',
  expired: 'the event is older than its MsgTTL',
}

/** Which endings a `RetCode` of the filter lets through. */
const RET_CODE_FILTERS: Readonly<Record<string, (call: CallRecord) => boolean>> = {
  not0: (call) => retCodeOf(call) !== 0,
  is0: (call) => retCodeOf(call) === 0,
  TimeLimitExceeded: ({ ending, reason }) => ending === 'timedOut' || reason === 'timedOut',
  ResourceLimitExceeded: ({ reason }) => reason === 'outOfMemory',
  UserCodeException: ({ ending }) => ending === 'threw' || ending === 'initFailed',
}

const ORDER_KEYS = {
  function_name: 'version',
  duration: 'durationMs',
  mem_usage: 'maxMemoryBytes',
  start_time: 'startedAtMs',
  request_id: 'requestId',
} as const

/** What of a log query both APIs name alike, each in its own words. */
export interface LogQuery {
  readonly retCode: string | undefined
  readonly requestId: string | undefined
  readonly keyword: string | undefined
  readonly version: string | undefined
  readonly fromMs?: number
  readonly toMs?: number
}

/** The kept logs of a function's calls, newest first. Without a qualifier, those of all versions. */
export const getFunctionLogs: Operation = async (call, rooms) => {
  const target = targetOf(call)
  const context = objectField(call.params, 'SearchContext')
  const filter = objectField(call.params, 'Filter')
  const qualifier = qualifierOf(call.params)
  const [fromMs, toMs] = readSpan(call.params)
  if (fromMs !== undefined && toMs !== undefined && toMs - fromMs > MAX_SPAN_MS)
    throw new ScfError(
      'InvalidParameterValue.StartTimeOrEndTime',
      'StartTime and EndTime are at most a day apart',
    )
  requireLatest(rooms.catalogue, target)
  const query: LogQuery = {
    retCode: filter && textField(filter, 'RetCode', { max: 64 }),
    requestId: textField(call.params, 'FunctionRequestId', { max: MAX_REQUEST_ID_CHARS }),
    keyword: context && textField(context, 'Keyword', { max: 1024 }),
    version:
      qualifier === undefined ? undefined : requireAt(rooms.catalogue, target, qualifier).value.version,
    ...(fromMs === undefined ? {} : { fromMs }),
    ...(toMs === undefined ? {} : { toMs }),
  }
  const { total, calls } = await findCalls(rooms, target, call.params, query)
  return {
    TotalCount: total,
    Data: calls.map((one) => logBody(target.name, one)),
    SearchContext: {
      Offset: '',
      Limit: calls.length,
      Keyword: query.keyword ?? '',
      Type: (context && textField(context, 'Type', { max: 64 })) ?? '',
    },
  }
}

/** What became of a call: each of its tries that ended, and whether there is one to come. */
export const getRequestStatus: Operation = async (call, rooms) => {
  const target = targetOf(call)
  const requestId = textField(call.params, 'FunctionRequestId', {
    required: true,
    min: 1,
    max: MAX_REQUEST_ID_CHARS,
  })
  const [startMs, endMs] = readSpan(call.params)
  if (startMs !== undefined && endMs === undefined)
    throw new ScfError('InvalidParameterValue.StartTimeOrEndTime', 'StartTime needs an EndTime')
  requireLatest(rooms.catalogue, target)
  const nowMs = rooms.now()
  const filter = {
    ...target,
    requestId,
    fromMs: startMs ?? nowMs - RECENT_MS,
    ...(endMs === undefined ? {} : { toMs: endMs }),
  }
  const tries = (await rooms.history.find(filter, COUNTED_CALLS)).map((one) => statusBody(target.name, one))
  const task = await taskOf(rooms, target, requestId)
  const fromMs = startMs ?? rooms.tasks.nowMs() - RECENT_MS
  const Data = [...(task === undefined ? [] : openOrUntried(task, tries.length > 0, fromMs, endMs)), ...tries]
  return { TotalCount: Data.length, Data }
}

/** The asynchronous call of this function with this id; what is kept of its result once it has ended. */
async function taskOf(
  { tasks }: Rooms,
  { account, namespace, name }: FunctionName,
  requestId: string,
): Promise<TaskDetails | undefined> {
  const task = await tasks.details(account, requestId)
  return task?.functionName === name && task.namespace === namespace ? task : undefined
}

/** What an asynchronous call adds to the tries that the history of calls has: the one to come, or how it ended where there is none. */
function openOrUntried(
  task: TaskDetails,
  hasTries: boolean,
  fromMs: number,
  toMs: number = Infinity,
): JsonObject[] {
  const { functionName, requestId, status, attempts, endedAtMs, result } = task
  const common = {
    FunctionName: functionName,
    RequestId: requestId,
    StartTime: formatTime(task.startedAtMs ?? task.acceptedAtMs),
  }
  if (status === 'waiting' || status === 'running')
    return [{ ...common, RetMsg: '', RetCode: 1, Duration: 0, MemUsage: 0, RetryNum: attempts }]
  if (hasTries || endedAtMs === undefined || endedAtMs < fromMs || endedAtMs >= toMs) return []
  return [
    {
      ...common,
      RetMsg: endMessageOf(task),
      RetCode: status === 'succeeded' ? 0 : -1,
      Duration: shownMs(result?.durationMs ?? 0),
      MemUsage: shownMb(result?.maxMemoryBytes ?? 0),
      RetryNum: Math.max(0, attempts - 1),
    },
  ]
}

/** What is kept of its result; without one why there is none, in the form of the vendor's failures. */
function endMessageOf(task: TaskDetails): string {
  const { status, requestId, result } = task
  if (result !== undefined && result.payload.length > 0) return utf8OrBase64(result.payload)
  if (status === 'succeeded') return ''
  return JSON.stringify({
    errorCode: -1,
    errorMessage: END_MESSAGES[status] ?? 'the event was not run',
    requestId,
    statusCode: statusCodeOf(task),
  })
}

/**
 * Calls of a function on the page and in the order that a request names.
 *
 * @throws {ScfError} `LimitExceeded.Offset`: beyond what is looked through
 */
export async function findCalls(
  { history }: Pick<Rooms, 'history'>,
  target: FunctionName,
  params: JsonObject,
  query: LogQuery,
): Promise<{ readonly total: number; readonly calls: readonly CallRecord[] }> {
  const page = pageOf(params)
  if (page.offset + page.limit > MAX_REACH)
    throw new ScfError('LimitExceeded.Offset', `Offset and Limit together are at most ${MAX_REACH}`)
  const { key, descending } = orderOf(params, 'OrderBy', ORDER_KEYS, {
    key: 'startedAtMs',
    descending: true,
  })
  const passes = readRetCode(query.retCode)
  const looksAtAll = passes !== undefined || query.keyword || key !== 'startedAtMs' || !descending
  const filter = {
    ...target,
    ...(query.requestId ? { requestId: query.requestId } : {}),
    ...(query.version === undefined ? {} : { version: query.version }),
    ...(query.fromMs === undefined ? {} : { fromMs: query.fromMs }),
    ...(query.toMs === undefined ? {} : { toMs: query.toMs }),
  }
  const reach = looksAtAll ? MAX_REACH : Math.max(page.offset + page.limit, COUNTED_CALLS)
  const found = (await history.find(filter, reach)).filter(
    (one) => (passes?.(one) ?? true) && one.log.includes(query.keyword ?? ''),
  )
  const ordered = inOrder(found, (one) => (key === 'startedAtMs' ? startOf(one) : one[key]), descending)
  return { total: found.length, calls: onPage(ordered, page) }
}

/** When a call began, epoch milliseconds. */
export function startOf({ endedAtMs, durationMs }: CallRecord): number {
  return endedAtMs - Math.round(durationMs)
}

/** 0: success; 3: ended from outside; 1: any other failure. */
export function retCodeOf({ ending }: CallRecord): 0 | 1 | 3 {
  if (ending === 'returned') return 0
  return ending === 'cancelled' || ending === 'terminated' ? 3 : 1
}

/** What a call answered. A failure of the platform's making is no result: it stands in the last ERROR line of the log. */
export function retMsgOf({ requestId, ending, result = '', log }: CallRecord): string {
  if (result !== '' || ending === 'returned') return result
  const mark = `\nERROR RequestId:${requestId} Result:`
  const at = log.lastIndexOf(mark)
  return at < 0 ? '' : (log.slice(at + mark.length).split('\n', 1)[0] ?? '')
}

/** Milliseconds as answers show them: three decimals at most. */
export function shownMs(ms: number): number {
  return Math.round(ms * 1000) / 1000
}

/** Megabytes, two decimals at most. */
function shownMb(bytes: number): number {
  return Math.round((bytes / BYTES_PER_MB) * 100) / 100
}

function logBody(functionName: string, call: CallRecord): JsonObject {
  return {
    FunctionName: functionName,
    RetMsg: retMsgOf(call),
    RequestId: call.requestId,
    StartTime: formatTime(startOf(call)),
    RetCode: retCodeOf(call),
    InvokeFinished: 1,
    Duration: shownMs(call.durationMs),
    BillDuration: call.billedDurationMs,
    MemUsage: Math.round(call.maxMemoryBytes),
    Log: call.log,
    Level: '',
    Source: '',
    RetryNum: call.retryCount,
  }
}

function statusBody(functionName: string, call: CallRecord): JsonObject {
  return {
    FunctionName: functionName,
    RetMsg: retMsgOf(call),
    RequestId: call.requestId,
    StartTime: formatTime(startOf(call)),
    RetCode: call.ending === 'returned' ? 0 : -1,
    Duration: shownMs(call.durationMs),
    MemUsage: shownMb(call.maxMemoryBytes),
    RetryNum: call.retryCount,
  }
}

function readRetCode(name: string | undefined): ((call: CallRecord) => boolean) | undefined {
  if (name === undefined || name === '') return undefined
  const filter = Object.hasOwn(RET_CODE_FILTERS, name) ? RET_CODE_FILTERS[name] : undefined
  if (filter === undefined)
    throw invalidValue(
      'RetCode',
      Object.keys(RET_CODE_FILTERS).join(', '),
      name,
      'InvalidParameterValue.Filters',
    )
  return filter
}

/** @throws {ScfError} `InvalidParameterValue.DateTime`, `InvalidParameterValue.StartTimeOrEndTime` */
function readSpan(params: JsonObject): readonly [fromMs: number | undefined, toMs: number | undefined] {
  const [fromMs, toMs] = [readMoment(params, 'StartTime'), readMoment(params, 'EndTime')]
  if (fromMs !== undefined && toMs !== undefined && toMs < fromMs)
    throw new ScfError('InvalidParameterValue.StartTimeOrEndTime', 'EndTime is before StartTime')
  return [fromMs, toMs]
}

function readMoment(params: JsonObject, name: string): number | undefined {
  const text = textField(params, name, { max: 64, code: 'InvalidParameterValue.DateTime' })
  if (text === undefined || text === '') return undefined
  const epochMs = parseTime(text)
  if (epochMs === undefined)
    throw invalidValue(name, 'YYYY-MM-DD HH:mm:ss', text, 'InvalidParameterValue.DateTime')
  return epochMs
}
