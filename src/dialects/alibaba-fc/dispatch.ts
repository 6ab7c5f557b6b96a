import type { Tasks } from '../../async/tasks.ts'
import { constantTimeEqual } from '../../auth/compare.ts'
import type { KeyRing } from '../../auth/keyring.ts'
import type { Exchange, Reply } from '../../http/exchange.ts'
import { bodySha256 } from '../../intake/body-hash.ts'
import { CODE_LINK_PREFIX, type CodeLinks } from '../../intake/code-link.ts'
import { readJsonBody } from '../../intake/json-body.ts'
import type { Turns } from '../../intake/slices.ts'
import { LATEST } from '../../model/function.ts'
import type { Payload } from '../../model/payload.ts'
import { authenticate, type AuthVerdict } from './auth.ts'
import { FcError } from './errors.ts'
import { invokeAsync, invokeSync, maxEventBytes, readInvokeMode, type InvokeRooms } from './invoke.ts'
import { requireFunctionName, requireQualifier, requireServiceName } from './names.ts'
import type { Call, Rooms } from './operation.ts'
import { DEFAULT_BODY_BYTES } from './operations.ts'
import { answerReply, failureOf, failureReply, idHeaders } from './replies.ts'
import { originOf, readQuery, requestIdOf } from './request-head.ts'
import { matchInvoke, matchOperation, type InvokePath } from './routes.ts'

/** Everything requests of this dialect are answered with. */
export interface DispatchRooms extends Rooms, InvokeRooms {
  readonly tasks: Pick<Tasks, 'submit' | 'find' | 'detailsOf' | 'list' | 'terminate'>
  readonly keyring: KeyRing
  readonly links: CodeLinks
  /** Where bodies too large to be parsed whole wait for each other. */
  readonly largeBodies: Turns
  /** The listener's port, once it has one. */
  readonly ownPort: () => number | undefined
  /** Told of failures that are this server's own. */
  readonly observe: (error: unknown) => void
}

/** Where a request's code is. */
const ZIP_FILE = ['code.zipFile']

type Accepted = Extract<AuthVerdict, { kind: 'accepted' }>
type Refused = Extract<AuthVerdict, { kind: 'refused' }>

/**
 * Answers one request, in this order: route → authenticate from the head → read the body within its limit → compare
 * it with the hash that was signed → decode → run. Never rejects.
 */
export async function dispatch(exchange: Exchange, rooms: DispatchRooms): Promise<Reply> {
  const requestId = requestIdOf(exchange.headers)
  try {
    const invokePath = matchInvoke(exchange.method, exchange.rawPath)
    if (invokePath !== undefined) return await invoke(invokePath, requestId, exchange, rooms)
    if (exchange.rawPath.startsWith(CODE_LINK_PREFIX)) return await download(requestId, exchange, rooms)
    return await operate(requestId, exchange, rooms)
  } catch (error) {
    const failure = failureOf(error)
    if (failure.unexpected) rooms.observe(error)
    return failureReply(failure, requestId)
  }
}

async function invoke(
  { service, qualifier, functionName }: InvokePath,
  requestId: string,
  exchange: Exchange,
  rooms: DispatchRooms,
): Promise<Reply> {
  const verdict = authenticate(exchange, rooms.keyring, rooms.now())
  if (verdict.kind === 'refused') return refusal(verdict, requestId)
  const named = qualifier ?? (readQuery(exchange.rawQuery).get('qualifier') || LATEST)
  const target = {
    account: verdict.principal.accountId,
    namespace: requireServiceName(service),
    name: requireFunctionName(functionName),
    ...(named === LATEST ? {} : { qualifier: requireQualifier(named) }),
  }
  const mode = readInvokeMode(exchange.headers)
  const payload = await exchange.readBody(maxEventBytes(mode))
  const hash = signedHashOf(verdict, payload, rooms)
  // Not waited for in vain: each promise is a turn of the queue for every call.
  requireSignedBody(verdict, typeof hash === 'object' ? await hash : hash)
  return mode.kind === 'sync'
    ? await invokeSync(target, requestId, payload, mode.wantsLogTail, exchange, rooms)
    : await invokeAsync(target, requestId, payload, mode, rooms)
}

async function operate(requestId: string, exchange: Exchange, rooms: DispatchRooms): Promise<Reply> {
  const { method, rawPath, rawQuery, headers } = exchange
  const { api, definition, params, qualifier } = matchOperation(method, rawPath)
  const verdict = authenticate(exchange, rooms.keyring, rooms.now())
  if (verdict.kind === 'refused') return refusal(verdict, requestId)
  const payload = await exchange.readBody(definition.bodyBytes ?? DEFAULT_BODY_BYTES)
  requireSignedBody(verdict, await signedHashOf(verdict, payload, rooms))
  const { body, takeCut } = await readJsonBody(payload, rooms.largeBodies, ZIP_FILE, { anyCase: true })
  const query = readQuery(rawQuery)
  const named = qualifier ?? (query.get('qualifier') || undefined)
  const call: Call = {
    api,
    requestId,
    accountId: verdict.principal.accountId,
    params,
    ...(named === undefined ? {} : { qualifier: requireQualifier(named) }),
    query,
    headers,
    body,
    ...(takeCut === undefined ? {} : { takeZipFile: takeCut }),
    origin: originOf(headers, rooms.ownPort()),
  }
  return answerReply(await definition.run(call, rooms), requestId)
}

/** Serves what the links of GetFunctionCode lead to. */
async function download(requestId: string, exchange: Exchange, rooms: DispatchRooms): Promise<Reply> {
  const { method, rawPath, rawQuery } = exchange
  if (method !== 'GET')
    throw new FcError('PathNotSupported', `'${method}' against '${CODE_LINK_PREFIX}' is not supported`)
  const body = await rooms.links.open(rawPath, rawQuery)
  return { status: 200, headers: { ...idHeaders(requestId), 'Content-Type': 'application/zip' }, body }
}

/** A client whose signature differs compares its own string to sign with the one that was expected. */
function refusal({ status, code, message, stringToSign }: Refused, requestId: string): Reply {
  const explained =
    stringToSign === undefined ? message : `${message}. The string to sign of this server: '${stringToSign}'`
  return failureReply({ status, code, message: explained }, requestId)
}

/** The body's hash where a hash was signed; a promise only of a large body. */
function signedHashOf(
  { bodySha256: signed }: Accepted,
  payload: Payload,
  { largeBodies }: DispatchRooms,
): string | Promise<string> | undefined {
  return signed === undefined ? undefined : bodySha256(payload, largeBodies)
}

/** @throws {FcError} SignatureNotMatch */
function requireSignedBody({ bodySha256: signed }: Accepted, hash: string | undefined): void {
  if (signed !== undefined && !constantTimeEqual(hash ?? '', signed))
    throw new FcError('SignatureNotMatch', 'the body does not have the hash that the request was signed with')
}
