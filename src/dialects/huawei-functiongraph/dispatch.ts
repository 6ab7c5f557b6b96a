import type { KeyRing } from '../../auth/keyring.ts'
import type { Exchange, Reply } from '../../http/exchange.ts'
import { bodySha256 } from '../../intake/body-hash.ts'
import { readJsonBody } from '../../intake/json-body.ts'
import { originOf } from '../../intake/request-head.ts'
import type { Turns } from '../../intake/slices.ts'
import type { Payload } from '../../model/payload.ts'
import { newRequestId } from '../../model/request-id.ts'
import { authenticate, type AuthVerdict, type Principal } from './auth.ts'
import { FssError } from './errors.ts'
import { dispatchIam, type IamDispatchRooms } from './iam/dispatch.ts'
import type { Tokens } from './iam/tokens.ts'
import { domainIdOf } from './ids.ts'
import { invoke, MAX_EVENT_BYTES, tooLongEvent } from './invoke.ts'
import type { Call, Rooms } from './operation.ts'
import { DEFAULT_BODY_BYTES } from './operations.ts'
import { answerReply, failureOf, failureReply } from './replies.ts'
import { headerText, readQuery } from './request-head.ts'
import { isIamPath, matchInvoke, matchOperation, type InvokePath } from './routes.ts'

/** Everything requests of this dialect are answered with. */
export interface DispatchRooms extends Rooms, IamDispatchRooms {
  readonly keyring: KeyRing
  readonly tokens: Tokens
  /** Where bodies too large to be parsed whole wait for each other. */
  readonly largeBodies: Turns
  /** Told of failures that are this server's own. */
  readonly observe: (error: unknown) => void
}

/** Where a request's code is: of a function, of an import, of a dependency. */
const CODE_MEMBERS = ['func_code.file', 'file_code', 'depend_file']

type Passed = Exclude<AuthVerdict, { kind: 'refused' }>

/**
 * Answers one request, in this order: route → authenticate from the head → read the body within its limit → compare its
 * hash with the signature → decode → run. Never rejects.
 */
export async function dispatch(exchange: Exchange, rooms: DispatchRooms): Promise<Reply> {
  const requestId = newRequestId()
  try {
    const path = matchInvoke(exchange.method, exchange.rawPath)
    if (path !== undefined) return await runFunction(path, requestId, exchange, rooms)
    if (isIamPath(exchange.rawPath)) return await dispatchIam(requestId, exchange, rooms)
    return await operate(requestId, exchange, rooms)
  } catch (error) {
    const failure = failureOf(error)
    if (failure.unexpected) rooms.observe(error)
    return failureReply(failure, requestId)
  }
}

async function runFunction(
  path: InvokePath,
  requestId: string,
  exchange: Exchange,
  rooms: DispatchRooms,
): Promise<Reply> {
  const { mode } = path
  const verdict = pass(exchange, path.projectId, rooms)
  const { target } = path
  let payload: Payload
  try {
    payload = await exchange.readBody(MAX_EVENT_BYTES[mode])
  } catch (error) {
    throw tooLongEvent(error, mode) ?? error
  }
  if (verdict.kind === 'signed') {
    const hash = bodySha256(payload, rooms.largeBodies)
    // Not waited for in vain: each promise is a turn of the queue for every call.
    requireSigned(verdict, typeof hash === 'string' ? hash : await hash)
  }
  return await invoke(mode, target, verdict.principal.accountId, requestId, payload, exchange, rooms)
}

async function operate(requestId: string, exchange: Exchange, rooms: DispatchRooms): Promise<Reply> {
  const { method, rawPath, rawQuery, headers } = exchange
  const { definition, projectId, params } = matchOperation(method, rawPath)
  const verdict = pass(exchange, projectId, rooms)
  const payload = await exchange.readBody(definition.bodyBytes ?? DEFAULT_BODY_BYTES)
  if (verdict.kind === 'signed') requireSigned(verdict, await bodySha256(payload, rooms.largeBodies))
  const { body, takeCut } = await readJsonBody(payload, rooms.largeBodies, CODE_MEMBERS)
  const { accountId } = verdict.principal
  const call: Call = {
    requestId,
    accountId,
    projectId,
    domainId: domainIdOf(accountId),
    region: rooms.region,
    params,
    query: readQuery(rawQuery),
    headers,
    body,
    ...(takeCut === undefined ? {} : { takeFile: takeCut }),
    origin: originOf(headers.host, rooms.ownPort()),
    exchange,
  }
  return answerReply(await definition.run(call, rooms), requestId)
}

/** What the head says of who calls, good for the path's project. @throws {FssError} */
function pass(exchange: Exchange, projectId: string, { keyring, tokens, now }: DispatchRooms): Passed {
  const verdict = authenticate(exchange, keyring, tokens, now())
  if (verdict.kind === 'refused') throw new FssError(verdict.code, verdict.message)
  requireProject(verdict.principal, projectId, headerText(exchange.headers, 'x-project-id'))
  return verdict
}

function requireProject(principal: Principal, projectId: string, named: string | undefined): void {
  if (principal.projectId !== undefined && principal.projectId !== projectId)
    throw new FssError('FSS.0403', 'invalid token: it is good for another project')
  if (named !== undefined && named !== projectId)
    throw new FssError('FSS.0403', 'X-Project-Id is not the project of the path')
}

/** @throws {FssError} APIGW.0301 */
function requireSigned(verdict: Extract<Passed, { kind: 'signed' }>, hash: string): void {
  const refused = verdict.check(hash)
  if (refused !== undefined) throw new FssError(refused.code, refused.message)
}
