import { answerOf } from '../../contracts/tencent-scf.ts'
import { aliasKey, functionKey } from '../../engine/keys.ts'
import { EngineError } from '../../model/errors.ts'
import { LATEST } from '../../model/function.ts'
import type { InvokeTarget } from '../../model/invocation.ts'
import { isJsonObject, parsedJson } from '../../model/json.ts'
import type { Outcome } from '../../model/outcome.ts'
import { payloadOf, type Payload } from '../../model/payload.ts'
import { utf8End } from '../../model/utf8.ts'
import type { FunctionRecord } from '../../store/definition-store.ts'
import { treatmentOf } from './async-settings.ts'
import { reservedMib } from './concurrency.ts'
import { ScfError } from './errors.ts'
import { field, textField, wordField } from './fields.ts'
import { DEFAULT_NAMESPACE, type Call, type JsonObject, type Operation, type Rooms } from './operation.ts'
import { matchedVersion } from './routing.ts'
import { isAsyncRun } from './shown-settings.ts'
import { DEFAULT_ALIAS, qualifierOf, requireLatest, targetOf } from './targets.ts'

/** Longest events, bytes. Sources: the vendor's quota page, "6 MB" and "128 KB", and the legacy page, "1 MB". */
const MAX_SYNC_BYTES = 6 * 1024 * 1024
const MAX_ASYNC_BYTES = 128 * 1024
const MAX_LEGACY_BYTES = 1024 * 1024

/** Longest routing key, bytes. Source: the vendor's Invoke page. */
const MAX_ROUTING_KEY_BYTES = 1024

/** Old answers count time in steps of this many milliseconds. */
const LEGACY_BILLING_MS = 100

const EMPTY_EVENT = payloadOf('{}')

/** Source of the names: the vendor's Invoke page. All of them are always there. */
interface Result extends JsonObject {
  readonly FunctionRequestId: string
  readonly RetMsg: string
  readonly ErrMsg: string
  readonly Log: string
  /** Bytes. */
  readonly MemUsage: number
  /** Milliseconds, with a fraction. */
  readonly Duration: number
  /** Milliseconds. */
  readonly BillDuration: number
  /** 0 for success. */
  readonly InvokeResult: number
}

/** What an action made of its own parameters. */
interface Invocation {
  readonly target: InvokeTarget
  readonly payload: Payload
  /** Nobody waits for the result. */
  readonly isEvent: boolean
}

/** Runs a function, or takes its event in to run it later (`InvocationType: Event`). */
export const invoke: Operation = (call, rooms) => {
  const isEvent = readIsEvent(call.params, 'InvocationType')
  const payload = readEvent(call.params, 'ClientContext', isEvent ? MAX_ASYNC_BYTES : MAX_SYNC_BYTES)
  const target = readTarget(call, rooms, undefined)
  return run(call, rooms, { target, payload, isEvent }, resultAnswer)
}

/** Runs a function and waits for it; through `$DEFAULT` unless the request names a version or an alias. */
export const invokeFunction: Operation = (call, rooms) => {
  const payload = readEvent(call.params, 'Event', MAX_SYNC_BYTES)
  const target = readTarget(call, rooms, DEFAULT_ALIAS)
  return run(call, rooms, { target, payload, isEvent: false }, resultAnswer)
}

/** The legacy API's way to do both. Its answer has every name that is in circulation for each figure. */
export const invokeFunctionLegacy: Operation = (call, rooms) => {
  const { functionName, namespace, version, logType } = call.params
  const params: JsonObject = {
    FunctionName: functionName,
    Namespace: namespace,
    Qualifier: version,
    LogType: logType,
  }
  const isEvent = readIsEvent(call.params, 'invokeType')
  const payload = readEvent(call.params, 'param', MAX_LEGACY_BYTES)
  const renamed = { ...call, params }
  const target = readTarget(renamed, rooms, undefined)
  return run(renamed, rooms, { target, payload, isEvent }, isEvent ? acceptedLegacyAnswer : legacyAnswer)
}

const resultAnswer = (result: Result): JsonObject => ({ Result: result })

const acceptedLegacyAnswer = ({ FunctionRequestId }: Result): JsonObject => ({ requestId: FunctionRequestId })

function legacyAnswer(result: Result): JsonObject {
  const { RetMsg, ErrMsg, Log, MemUsage, Duration, BillDuration } = result
  return {
    requestId: result.FunctionRequestId,
    retMsg: RetMsg,
    payLoad: RetMsg,
    errMsg: ErrMsg,
    log: Log,
    logMsg: Log,
    memUsage: MemUsage,
    memSize: MemUsage,
    duration: Duration,
    billDuration: Math.ceil(BillDuration / LEGACY_BILLING_MS) * LEGACY_BILLING_MS,
    invokeResult: result.InvokeResult,
  }
}

/** @param shaped Shapes what is answered: told here, it costs a call no promise of its own. */
async function run(
  call: Call,
  rooms: Rooms,
  { target, payload, isEvent }: Invocation,
  shaped: (result: Result) => JsonObject,
): Promise<JsonObject> {
  const wantsLogTail =
    wordField(call.params, 'LogType', ['None', 'Tail'], { anyCase: true, emptyIsAbsent: true }) === 'Tail'
  const { account, namespace, name } = target
  const head = rooms.catalogue.get('function', functionKey(account, namespace, name))?.value
  if (isEvent || (head !== undefined && isAsyncRun(head)))
    return shaped(await submit(call, rooms, target, payload))
  const { requestId, exchange } = call
  let outcome: Outcome
  try {
    outcome = await rooms.engine.invoke({ target, requestId, payload, retryCount: 0 }, exchange.caller)
  } catch (error) {
    throw refusalOf(error, rooms, target, head)
  }
  const { retMsg, errMsg, invokeResult } = answerOf(outcome, requestId)
  return shaped({
    FunctionRequestId: requestId,
    RetMsg: retMsg,
    ErrMsg: errMsg,
    // Calls that share an instance share its log.
    Log: wantsLogTail && outcome.version.instanceConcurrency === 1 ? utf8End(outcome.logTail()) : '',
    MemUsage: Math.round(outcome.maxMemoryBytes),
    Duration: Math.round(outcome.durationMs * 1000) / 1000,
    BillDuration: outcome.billedDurationMs,
    InvokeResult: invokeResult,
  })
}

/** Resolves once the call is durable. */
async function submit(
  { requestId }: Call,
  { catalogue, tasks }: Rooms,
  target: InvokeTarget,
  payload: Payload,
): Promise<Result> {
  requireLatest(catalogue, target)
  catalogue.resolve(target)
  await tasks.submit({ target, requestId, payload, ...treatmentOf(catalogue, target) })
  return { ...NOT_RUN, FunctionRequestId: requestId }
}

/** What is answered for a call that runs later. */
const NOT_RUN: Result = {
  FunctionRequestId: '',
  RetMsg: '',
  ErrMsg: '',
  Log: '',
  MemUsage: 0,
  Duration: 0,
  BillDuration: 0,
  InvokeResult: 0,
}

/** @param fallback The qualifier of requests that name none; undefined for the latest state. @throws {ScfError} */
function readTarget(call: Call, { catalogue }: Rooms, fallback: string | undefined): InvokeTarget {
  const target = targetOf(call)
  const routingKey = readRoutingKey(call.params)
  const named = qualifierOf(call.params) ?? fallback
  if (named === undefined || named === LATEST) return target
  const { account, namespace, name } = target
  const alias = catalogue.get('alias', aliasKey(account, namespace, named, name))?.value
  // `$DEFAULT` leads to the latest state until it is rerouted: until then there is no record of it.
  if (alias === undefined) return named === DEFAULT_ALIAS ? target : { ...target, qualifier: named }
  return { ...target, qualifier: matchedVersion(alias, routingKey) ?? named }
}

/** @throws {ScfError} `InvalidParameterValue` */
function readRoutingKey(params: JsonObject): JsonObject {
  const text = textField(params, 'RoutingKey')
  if (text === undefined || text === '') return {}
  const value = Buffer.byteLength(text) > MAX_ROUTING_KEY_BYTES ? undefined : parsedJson(text)
  if (isJsonObject(value)) return value
  throw new ScfError(
    'InvalidParameterValue',
    `RoutingKey is not the text of a JSON object of at most ${MAX_ROUTING_KEY_BYTES} bytes`,
  )
}

function readIsEvent(params: JsonObject, name: string): boolean {
  const type = wordField(params, name, ['RequestResponse', 'Event'], {
    anyCase: true,
    emptyIsAbsent: true,
    code: 'InvalidParameterValue.InvokeType',
  })
  return type === 'Event'
}

/** The event as it was sent; `{}` where there is none. @throws {ScfError} when it is no text of JSON, or too long */
function readEvent(params: JsonObject, name: string, maxBytes: number): Payload {
  const text = field(params, name)
  if (text === undefined || text === '') return EMPTY_EVENT
  if (typeof text !== 'string') throw notJson(name)
  const payload = payloadOf(text)
  if (payload.byteLength > maxBytes)
    throw new ScfError(
      'InvalidParameter.Payload',
      `RequestTooLarge (406): ${name} exceeds the maximum allowed size of ${maxBytes} bytes`,
    )
  if (parsedJson(text) === undefined) throw notJson(name)
  return payload
}

function notJson(name: string): ScfError {
  return new ScfError('InvalidParameterValue.Param', `${name} is not the text of a JSON value`)
}

/** What a call is refused with where the vendor says it in words of its own; else the error as it is. */
function refusalOf(
  error: unknown,
  { catalogue }: Rooms,
  { namespace, name }: InvokeTarget,
  head: FunctionRecord | undefined,
): unknown {
  if (!(error instanceof EngineError)) return error
  // `default` is there for everyone, also before its first function.
  if (error.code === 'caller/namespace-not-found' && namespace === DEFAULT_NAMESPACE)
    return new EngineError('caller/function-not-found', { namespace, name })
  if (error.code !== 'caller/concurrency-exceeded' && error.code !== 'platform/no-capacity') return error
  const mib = head && reservedMib(catalogue, head)
  return mib === undefined
    ? error
    : new ScfError(
        'LimitExceeded.FunctionReservedConcurrencyMemory',
        `ResourceLimitReached (432): Function [ ${name} ] concurrency exceeded reserved quota ${mib} MB`,
      )
}
