import type { CallRecord } from '../../model/call-record.ts'
import type { FunctionName } from '../../model/function.ts'
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
  requireLatest(rooms.catalogue, target)
  const nowMs = rooms.now()
  const filter = {
    ...target,
    requestId,
    fromMs: startMs ?? nowMs - RECENT_MS,
    ...(endMs === undefined ? {} : { toMs: endMs }),
  }
  const task = await rooms.tasks.find(target.account, requestId)
  const ended = (await rooms.history.find(filter, COUNTED_CALLS)).map((one) => statusBody(target.name, one))
  const isOpen =
    task?.functionName === target.name &&
    task.namespace === target.namespace &&
    (task.status === 'waiting' || task.status === 'running')
  const open: JsonObject[] = !isOpen
    ? []
    : [
        {
          FunctionName: target.name,
          RetMsg: '',
          RequestId: requestId,
          StartTime: formatTime(task.startedAtMs ?? task.acceptedAtMs),
          RetCode: 1,
          Duration: 0,
          MemUsage: 0,
          RetryNum: task.attempts,
        },
      ]
  const Data = [...open, ...ended]
  return { TotalCount: Data.length, Data }
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
    MemUsage: Math.round((call.maxMemoryBytes / BYTES_PER_MB) * 100) / 100,
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
