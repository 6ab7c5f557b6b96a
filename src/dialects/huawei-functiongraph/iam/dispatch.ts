import { percentDecode } from '../../../auth/percent.ts'
import type { Exchange, Reply } from '../../../http/exchange.ts'
import { IntakeError } from '../../../intake/intake-error.ts'
import { parseJsonObject } from '../../../intake/json-body.ts'
import { originOf } from '../../../intake/request-head.ts'
import { EngineError } from '../../../model/errors.ts'
import { payloadOf, toBuffer } from '../../../model/payload.ts'
import { authenticate, type Principal } from '../auth.ts'
import { sha256Hex } from '../../../auth/digest.ts'
import type { JsonObject } from '../../../model/json.ts'
import { STATUS_OF } from '../errors.ts'
import { answerReply, failureReply } from '../replies.ts'
import { gatewayId, headerText, readQuery } from '../request-head.ts'
import type { Refused } from '../signatures/verdict.ts'
import { createToken, showToken } from './auth-tokens.ts'
import { IamError } from './errors.ts'
import type { IamOperation, IamRooms } from './operation.ts'
import {
  createProject,
  listDomains,
  listProjects,
  listRegions,
  showProject,
  showRegion,
  showVersion,
} from './projects.ts'
import { createSecurityToken } from './security-tokens.ts'

/** Longest request body, bytes: the longest holds a token and a few names. */
const BODY_BYTES = 64 * 1024

interface IamRoute {
  readonly method: 'GET' | 'POST'
  /** A last segment `*` is one that is not empty, and the operation's parameter. */
  readonly path: string
  readonly run: IamOperation
  /** Whether credentials in the request's head are needed, taken where they are good, or not looked at. */
  readonly credentials: 'needed' | 'taken' | 'ignored'
}

const ROUTES: readonly IamRoute[] = [
  { method: 'GET', path: '/v3', run: showVersion, credentials: 'ignored' },
  { method: 'POST', path: '/v3/auth/tokens', run: createToken, credentials: 'taken' },
  { method: 'GET', path: '/v3/auth/tokens', run: showToken, credentials: 'needed' },
  { method: 'GET', path: '/v3/auth/projects', run: listProjects, credentials: 'needed' },
  { method: 'GET', path: '/v3/auth/domains', run: listDomains, credentials: 'needed' },
  { method: 'GET', path: '/v3/projects', run: listProjects, credentials: 'needed' },
  { method: 'POST', path: '/v3/projects', run: createProject, credentials: 'needed' },
  { method: 'GET', path: '/v3/projects/*', run: showProject, credentials: 'needed' },
  { method: 'GET', path: '/v3/regions', run: listRegions, credentials: 'needed' },
  { method: 'GET', path: '/v3/regions/*', run: showRegion, credentials: 'needed' },
  {
    method: 'POST',
    path: '/v3.0/OS-CREDENTIAL/securitytokens',
    run: createSecurityToken,
    credentials: 'taken',
  },
]

export interface IamDispatchRooms extends IamRooms {
  /** The listener's port, once it has one. */
  readonly ownPort: () => number | undefined
}

/**
 * Answers a request to identity and access management: what clients ask before they call functions.
 *
 * @throws what is this server's own fault, and {@link import('../errors.ts').FssError} for a malformed query
 */
export async function dispatchIam(
  requestId: string,
  exchange: Exchange,
  rooms: IamDispatchRooms,
): Promise<Reply> {
  try {
    const { route, param } = match(exchange.method, exchange.rawPath)
    const verdict =
      route.credentials === 'ignored'
        ? undefined
        : authenticate(exchange, rooms.keyring, rooms.tokens, rooms.now())
    if (verdict?.kind === 'refused' && route.credentials === 'needed') return refusal(verdict, requestId)
    const bytes = toBuffer(await exchange.readBody(BODY_BYTES))
    if (verdict?.kind === 'signed') {
      const refused = verdict.check(sha256Hex([bytes]))
      if (refused !== undefined) return refusal(refused, requestId)
    }
    // Who asks for a new token may still send the old one.
    const principal: Principal | undefined = verdict?.kind === 'refused' ? undefined : verdict?.principal
    const body: JsonObject = parseJsonObject(bytes)
    const answer = route.run(
      {
        principal,
        param,
        query: readQuery(exchange.rawQuery),
        subjectToken: headerText(exchange.headers, 'x-subject-token'),
        body,
        origin: originOf(exchange.headers.host, rooms.ownPort()),
      },
      rooms,
    )
    return answerReply(answer, requestId)
  } catch (error) {
    const known = iamErrorOf(error)
    if (known === undefined) throw error
    const { status, message, title } = known
    return {
      status,
      headers: { 'X-Request-Id': gatewayId(requestId), 'Content-Type': 'application/json' },
      body: payloadOf(JSON.stringify({ error: { code: status, message, title } })),
    }
  }
}

function refusal({ code, message }: Refused, requestId: string): Reply {
  return failureReply({ status: STATUS_OF[code], code, message }, requestId)
}

function match(method: string, rawPath: string): { route: IamRoute; param: string } {
  const path = rawPath.length > 1 && rawPath.endsWith('/') ? rawPath.slice(0, -1) : rawPath
  const slash = path.lastIndexOf('/')
  const open = `${path.slice(0, slash)}/*`
  const exact = ROUTES.filter((route) => route.path === path)
  const found = exact.length > 0 ? exact : ROUTES.filter((route) => route.path === open)
  if (found.length === 0) throw new IamError(404, 'The API does not exist.')
  const route = found.find((candidate) => candidate.method === method)
  if (route === undefined) throw new IamError(405, 'The method is not allowed for this API.')
  const param = percentDecode(path.slice(slash + 1))
  if (param === undefined) throw new IamError(400, 'The path is not percent-encoded UTF-8.')
  return { route, param }
}

function iamErrorOf(error: unknown): IamError | undefined {
  if (error instanceof IamError) return error
  if (error instanceof IntakeError) return new IamError(400, 'The request body is not a JSON object.')
  if (error instanceof EngineError && error.code === 'caller/payload-too-large')
    return new IamError(413, `The request body is longer than ${BODY_BYTES} bytes.`)
  return undefined
}
