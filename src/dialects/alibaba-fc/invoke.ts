import type { IncomingHttpHeaders } from 'node:http'
import type { Tasks } from '../../async/tasks.ts'
import type { Catalogue } from '../../engine/catalogue.ts'
import type { Exchange, Reply } from '../../http/exchange.ts'
import type { Caller, InvokeRequest, InvokeTarget } from '../../model/invocation.ts'
import type { Outcome } from '../../model/outcome.ts'
import { EMPTY_PAYLOAD, type Payload } from '../../model/payload.ts'
import { newRequestId } from '../../model/request-id.ts'
import { asyncSettingsOf, taskMembers } from './async-settings.ts'
import { FcError } from './errors.ts'
import { failedRun } from './failed-run.ts'
import { invalidValue } from './fields.ts'
import type { KeyedTurns } from './keyed-turns.ts'
import { requireTaskId } from './names.ts'
import { headerText } from './request-head.ts'

/** Longest events and results, bytes. Source: the vendor's limits page: 32 MB and 128 KB. */
export const MAX_SYNC_BYTES = 32 * 1024 * 1024
export const MAX_ASYNC_BYTES = 128 * 1024

/** Delays of a first delivery, seconds. Source: the vendor's page on delayed calls, "0 < n < 3600". */
const MAX_DELAY_S = 3599

const BYTES_PER_MB = 1024 * 1024

/** Response headers that scripts in browsers may read. */
const EXPOSED_HEADERS =
  'Date,x-fc-request-id,x-fc-error-type,x-fc-code-checksum,x-fc-invocation-duration,x-fc-max-memory-usage,x-fc-log-result,x-fc-invocation-code-version'

/** How a caller wants a function run, read from the request's head. */
export type InvokeMode =
  | { readonly kind: 'sync'; readonly wantsLogTail: boolean }
  | {
      readonly kind: 'async'
      readonly delayMs: number
      /** The id the caller gave, for finding the task again. */
      readonly taskId: string | undefined
      /** What the caller says about keeping the task findable; undefined leaves it to the configuration. */
      readonly stateful: boolean | undefined
      /** The request may go by an id that its caller gave. */
      readonly hasTraceId: boolean
    }

/** What invocations may use. */
export interface InvokeRooms {
  readonly catalogue: Catalogue
  readonly engine: { invoke(request: InvokeRequest, caller: Caller): Promise<Outcome> }
  readonly tasks: Pick<Tasks, 'submit' | 'find'>
  /** Where asynchronous calls that come with the same trace id wait for each other: at one moment neither would find the other. */
  readonly traces: KeyedTurns
}

/** @throws {FcError} InvalidArgument, in the vendor's words */
export function readInvokeMode(headers: IncomingHttpHeaders): InvokeMode {
  const type = headerText(headers, 'x-fc-invocation-type') ?? 'Sync'
  const logType = headerText(headers, 'x-fc-log-type') ?? 'None'
  if (type === 'Sync') {
    if (logType !== 'None' && logType !== 'Tail') throw invalidValue('logType', 'Tail | None', logType)
    return logType === 'Tail' ? SYNC_WITH_TAIL : SYNC
  }
  if (type !== 'Async') throw invalidValue('invocationType', 'Sync | Async', type)
  if (logType !== 'None') throw invalidValue('logType', 'None', logType)
  const taskId =
    headerText(headers, 'x-fc-stateful-async-invocation-id') ?? headerText(headers, 'x-fc-async-task-id')
  return {
    kind: 'async',
    delayMs: readDelayMs(headers),
    taskId: taskId === undefined ? undefined : requireTaskId(taskId),
    stateful: readStateful(headers),
    hasTraceId: headers['x-fc-trace-id'] !== undefined,
  }
}

/** The longest event of a call in this mode, bytes. */
export function maxEventBytes(mode: InvokeMode): number {
  return mode.kind === 'sync' ? MAX_SYNC_BYTES : MAX_ASYNC_BYTES
}

/**
 * Runs a function and answers with what it did. A function that failed is a 200 with an `X-Fc-Error-Type`.
 *
 * @throws {import('../../model/errors.ts').EngineError} when the function was never given the event
 */
export async function invokeSync(
  target: InvokeTarget,
  requestId: string,
  payload: Payload,
  wantsLogTail: boolean,
  exchange: Exchange,
  { engine }: InvokeRooms,
): Promise<Reply> {
  const outcome = await engine.invoke({ target, requestId, payload, retryCount: 0 }, exchange.caller)
  if (outcome.kind === 'cancelled') throw new FcError('ClientClosedRequest', 'the client closed the request')
  const { version } = outcome
  const headers: Record<string, string> = {
    'X-Fc-Request-Id': requestId,
    'x-acs-request-id': requestId,
    'Content-Type': 'application/octet-stream',
    'Access-Control-Expose-Headers': EXPOSED_HEADERS,
    'X-Fc-Code-Checksum': version.code.crc64,
    'X-Fc-Instance-Id': outcome.instanceId,
    'X-Fc-Invocation-Duration': outcome.durationMs.toFixed(2),
    'X-Fc-Max-Memory-Usage': (outcome.maxMemoryBytes / BYTES_PER_MB).toFixed(2),
    'X-Fc-Invocation-Service-Version': version.version,
  }
  // Calls that share an instance share its log: the vendor returns none then.
  if (wantsLogTail && version.instanceConcurrency === 1)
    headers['X-Fc-Log-Result'] = outcome.logTail().toString('base64')
  if (outcome.kind === 'returned') {
    if (outcome.payload.byteLength > MAX_SYNC_BYTES)
      throw new FcError(
        'EntityTooLarge',
        `payload size exceeds maximum allowed size (${MAX_SYNC_BYTES} bytes)`,
      )
    return { status: 200, headers, body: outcome.payload }
  }
  const { errorType, body } = failedRun(outcome)
  headers['Content-Type'] = 'application/json'
  headers['X-Fc-Error-Type'] = errorType
  return { status: 200, headers, body }
}

/**
 * Accepts a call to be run later: the reply is made once the task is durable.
 *
 * @param requestId What the request goes by. Tasks are told apart by it: where it is a trace id that another one has, a new one is made.
 * @throws {import('../../model/errors.ts').EngineError} the target does not exist, or the queue refuses the task
 */
export function invokeAsync(
  target: InvokeTarget,
  requestId: string,
  payload: Payload,
  mode: AsyncMode,
  rooms: InvokeRooms,
): Promise<Reply> {
  const accept = (): Promise<Reply> => acceptAsync(target, requestId, payload, mode, rooms)
  return mode.hasTraceId ? rooms.traces.run(`${target.account}/${requestId}`, accept) : accept()
}

type AsyncMode = InvokeMode & { readonly kind: 'async' }

async function acceptAsync(
  target: InvokeTarget,
  requestId: string,
  payload: Payload,
  mode: AsyncMode,
  { catalogue, tasks }: InvokeRooms,
): Promise<Reply> {
  catalogue.resolve(target)
  const { policy, isStateful, destinations } = asyncSettingsOf(catalogue, target)
  const isTask = mode.stateful ?? isStateful
  const isTaken = mode.hasTraceId && (await isKnown(target, requestId, isTask, mode.taskId, tasks))
  const ownRequestId = isTaken ? newRequestId() : requestId
  // An id that the caller chose guards against a second run of the same call even where tasks are not listed.
  const taskId = mode.stateful === false ? undefined : (mode.taskId ?? (isTask ? ownRequestId : undefined))
  await tasks.submit({
    target,
    requestId: ownRequestId,
    ...(taskId === undefined ? {} : { taskId }),
    payload,
    delayMs: mode.delayMs,
    policy,
    ...taskMembers(isTask),
    ...(destinations === undefined ? {} : { destinations }),
  })
  const headers: Record<string, string> = {
    'X-Fc-Request-Id': ownRequestId,
    'x-acs-request-id': ownRequestId,
    'Access-Control-Expose-Headers': EXPOSED_HEADERS,
  }
  if (taskId !== undefined) {
    headers['X-Fc-Stateful-Async-Invocation-Id'] = taskId
    headers['X-Fc-Async-Task-Id'] = taskId
  }
  return { status: 202, headers, body: EMPTY_PAYLOAD }
}

/** Whether another call has this request id. A task that would have the same id of its own is no other: it is refused as such. */
async function isKnown(
  target: InvokeTarget,
  requestId: string,
  isTask: boolean,
  taskId: string | undefined,
  tasks: InvokeRooms['tasks'],
): Promise<boolean> {
  const known = await tasks.find(target.account, requestId)
  if (known === undefined) return false
  const isSame = known.namespace === target.namespace && known.functionName === target.name
  return !(isTask && isSame && known.taskId === (taskId ?? requestId))
}

const SYNC: InvokeMode = Object.freeze({ kind: 'sync', wantsLogTail: false })
const SYNC_WITH_TAIL: InvokeMode = Object.freeze({ kind: 'sync', wantsLogTail: true })

function readDelayMs(headers: IncomingHttpHeaders): number {
  const text = headerText(headers, 'x-fc-async-delay')
  if (text === undefined) return 0
  const seconds = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (seconds < 1 || seconds > MAX_DELAY_S) throw invalidValue('asyncDelay', `1 - ${MAX_DELAY_S}`, text)
  return seconds * 1000
}

function readStateful(headers: IncomingHttpHeaders): boolean | undefined {
  const text = headerText(headers, 'x-fc-stateful-async-invocation-enable')
  if (text === undefined) return undefined
  if (text !== 'true' && text !== 'false')
    throw invalidValue('statefulAsyncInvocationEnable', 'true | false', text)
  return text === 'true'
}
