import { isUtf8 } from 'node:buffer'
import type { IncomingHttpHeaders } from 'node:http'
import { findFunction } from '../../definitions/find-function.ts'
import { aliasKey, functionKey, qualifiedKey } from '../../engine/keys.ts'
import type { Catalogue } from '../../engine/catalogue.ts'
import type { Exchange, Reply } from '../../http/exchange.ts'
import { PARSED_BODY_BYTES } from '../../intake/large-body.ts'
import { EngineError } from '../../model/errors.ts'
import type { InvokeTarget } from '../../model/invocation.ts'
import { parsedJson } from '../../model/json.ts'
import { toBuffer, type Payload } from '../../model/payload.ts'
import type { AliasRecord } from '../../store/definition-store.ts'
import { extrasOf } from '../extras.ts'
import { versionByRules } from './alias-rules.ts'
import { treatmentOf } from './async-settings.ts'
import { FssError } from './errors.ts'
import { invalidValue } from './fields.ts'
import { reservedReply, resultReply, type Wishes } from './invoke-replies.ts'
import { DIALECT, type Rooms } from './operation.ts'
import { answerReply } from './replies.ts'
import { headerText } from './request-head.ts'
import type { InvokePath } from './routes.ts'
import { requireAt } from './target.ts'
import type { FunctionUrn } from './urn.ts'

/** Longest events, bytes. Source: the vendor's limits page: 6 MB and 256 KB. */
export const MAX_EVENT_BYTES: Readonly<Record<InvokePath['mode'], number>> = {
  sync: 6 * 1024 * 1024,
  reserved: 6 * 1024 * 1024,
  async: 256 * 1024,
}

/** Values of X-Cff-Instance-Memory, MB. Source: the vendor's table of memory sizes. */
const MEMORY_SIZES: ReadonlySet<string> = new Set(
  [128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 8192, 10240].map(String),
)

/** The refusal of an event over its limit; undefined for any other failure to read it. */
export function tooLongEvent(error: unknown, mode: InvokePath['mode']): FssError | undefined {
  if (!(error instanceof EngineError) || error.code !== 'caller/payload-too-large') return undefined
  return new FssError(
    'FSS.1201',
    `the request body exceeds the maximum allowed size (${MAX_EVENT_BYTES[mode]} bytes)`,
  )
}

/**
 * Runs or accepts a call of a function.
 *
 * @param requestId A UUID: the id of the run in the answer, in the log, and for code.
 * @throws {FssError}
 * @throws {EngineError} when the function was never given the event
 */
export async function invoke(
  mode: InvokePath['mode'],
  urn: FunctionUrn,
  account: string,
  requestId: string,
  payload: Payload,
  { headers, caller }: Exchange,
  rooms: Rooms,
): Promise<Reply> {
  requireJson(payload)
  const wishes = readWishes(headers)
  const target = targetOf(urn, account, headers, rooms.catalogue)
  const memory = headerText(headers, 'x-cff-instance-memory')
  if (memory !== undefined) requireDynamicMemory(memory, urn, account, rooms.catalogue)
  if (mode === 'async') return submit(target, requestId, payload, rooms)
  const outcome = await rooms.engine.invoke({ target, requestId, payload, retryCount: 0 }, caller)
  if (outcome.kind === 'cancelled') throw new FssError('FSS.0408', 'the client closed the request')
  return mode === 'sync' ? resultReply(outcome, requestId, wishes) : reservedReply(outcome, requestId)
}

/** @throws {FssError} FSS.0400 */
function readWishes(headers: IncomingHttpHeaders): Wishes {
  const logType = headerText(headers, 'x-cff-log-type')?.toLowerCase()
  if (logType !== undefined && logType !== 'tail' && logType !== 'none')
    throw invalidValue('X-Cff-Log-Type', 'tail', logType)
  const version = headerText(headers, 'x-cff-request-version')?.toLowerCase() ?? 'v0'
  if (version !== 'v0' && version !== 'v1') throw invalidValue('X-CFF-Request-Version', 'v0 | v1', version)
  return { wantsLog: logType === 'tail', version }
}

/**
 * Refuses an event that is no JSON. A large one is left to the runtime of the code: to parse it here would hold up every
 * other call.
 *
 * @throws {FssError} FSS.0406
 */
function requireJson(payload: Payload): void {
  if (payload.byteLength === 0 || payload.byteLength > PARSED_BODY_BYTES) return
  const bytes = toBuffer(payload)
  if (!isUtf8(bytes) || parsedJson(bytes.toString()) === undefined)
    throw new FssError('FSS.0406', 'the request body is not JSON')
}

/**
 * What the engine is to call. A version that does not exist is no alias, and the other way round; an alias with rules is
 * decided here, one with weights at the call.
 *
 * @throws {EngineError} `caller/…-not-found`
 */
function targetOf(
  urn: FunctionUrn,
  account: string,
  headers: IncomingHttpHeaders,
  catalogue: Catalogue,
): InvokeTarget {
  const { namespace, name, qualifier, isAlias } = urn
  if (qualifier === undefined) return { account, namespace, name }
  if (!isAlias) {
    const isVersion =
      catalogue.get('function', functionKey(account, namespace, name, qualifier)) !== undefined
    if (!isVersion) requireAt(catalogue, account, urn)
    return { account, namespace, name, qualifier }
  }
  const alias = aliasOf(catalogue, account, urn)
  const chosen = alias === undefined ? undefined : versionByRules(alias, headers)
  if (alias === undefined) requireAt(catalogue, account, urn)
  return { account, namespace, name, qualifier: chosen ?? qualifier }
}

function aliasOf(
  catalogue: Catalogue,
  account: string,
  { namespace, name, qualifier = '' }: FunctionUrn,
): AliasRecord | undefined {
  return (
    catalogue.get('alias', aliasKey(account, namespace, qualifier, name)) ??
    catalogue.get('alias', aliasKey(account, namespace, qualifier))
  )?.value
}

/** @throws {FssError} FSS.0406: no such size, or a function whose memory is not chosen by its callers */
function requireDynamicMemory(memory: string, urn: FunctionUrn, account: string, catalogue: Catalogue): void {
  if (!MEMORY_SIZES.has(memory))
    throw invalidValue('X-Cff-Instance-Memory', '128 - 10240', memory, 'FSS.0406')
  const { value } = requireAt(catalogue, account, urn)
  if (extrasOf(value.extras, DIALECT)['enable_dynamic_memory'] !== true)
    throw new FssError(
      'FSS.0406',
      'the memory of this function cannot be specified: dynamic memory is not enabled',
    )
}

/** Accepts a call to be run later: the reply is made once the task is durable. */
async function submit(
  target: InvokeTarget,
  requestId: string,
  payload: Payload,
  { catalogue, tasks }: Rooms,
): Promise<Reply> {
  const { account, namespace, name, qualifier } = target
  const { version } = findFunction(catalogue, account, namespace, name, qualifier).value
  if (catalogue.get('scaling', qualifiedKey(account, namespace, name, version))?.value.maxInstances === 0)
    throw new FssError('FSS.0429', 'Function Disabled')
  await tasks.submit({ target, requestId, payload, ...treatmentOf(catalogue, target) })
  const answer = { status: 202, body: { request_id: requestId }, headers: { 'X-Cff-Request-Id': requestId } }
  return answerReply(answer, requestId)
}
