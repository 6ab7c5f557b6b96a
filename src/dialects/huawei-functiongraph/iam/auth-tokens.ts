import { isJsonObject, type JsonObject } from '../../../model/json.ts'
import { projectIdOf, userIdOf } from '../ids.ts'
import type { Answer } from '../operation.ts'
import { IamError } from './errors.ts'
import { identify, member, namesAccount, text } from './identity.ts'
import { domainOf, type IamOperation, type IamRooms } from './operation.ts'
import { projectNamed, requireProjectName } from './projects.ts'
import { TOKEN_LIFETIME_MS, type Token } from './tokens.ts'

const PROJECT_ID = /^[A-Za-z0-9_-]{1,64}$/

/** `POST /v3/auth/tokens`: gives a token for a proof of identity, good for 24 hours or as long as the proof. */
export const createToken: IamOperation = (call, rooms) => {
  const auth = member(call.body, 'auth')
  const { accountId, accessKeyId, methods, expiresAtMs } = identify(member(auth, 'identity'), call, rooms)
  const project = scopeOf(auth['scope'], accountId, rooms)
  const issuedAtMs = rooms.now()
  const token: Token = {
    accountId,
    accessKeyId,
    methods,
    ...(project === undefined ? {} : { project }),
    issuedAtMs,
    expiresAtMs: Math.min(issuedAtMs + TOKEN_LIFETIME_MS, expiresAtMs ?? Number.POSITIVE_INFINITY),
  }
  const catalog = call.query.get('nocatalog') === undefined ? catalogOf(token, call.origin, rooms) : []
  return tokenAnswer(201, token, rooms.tokens.issue(token), catalog)
}

/** `GET /v3/auth/tokens`: shows what a token of the same account says. */
export const showToken: IamOperation = (call, rooms) => {
  const { principal, subjectToken = '', query, origin } = call
  const token = rooms.tokens.read(subjectToken, rooms.now())
  if (token === undefined || token.accountId !== principal?.accountId)
    throw new IamError(404, 'The token is unknown or has expired.')
  const catalog = query.get('nocatalog') === undefined ? catalogOf(token, origin, rooms) : []
  return tokenAnswer(200, token, subjectToken, catalog)
}

/** UTC with six digits of a second, as these APIs write times. */
export function formatIamTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace('Z', '000Z')
}

/** The one project a token is to be good for; undefined: the whole account. @throws {IamError} */
function scopeOf(scope: unknown, accountId: string, { region }: IamRooms): Token['project'] {
  if (scope === undefined || scope === null) return undefined
  if (!isJsonObject(scope)) throw new IamError(400, 'scope is not an object')
  const { project, domain } = scope
  if (project === undefined || project === null) {
    if (!namesAccount(domain, accountId)) throw new IamError(401, 'The scope is another account.')
    return undefined
  }
  if (!isJsonObject(project)) throw new IamError(400, 'scope.project is not an object')
  if (!namesAccount(project['domain'], accountId))
    throw new IamError(401, 'The project belongs to another account.')
  const id = text(project, 'id')
  const name = text(project, 'name')
  if (id === '') return projectNamed(accountId, requireProjectName(name))
  if (!PROJECT_ID.test(id)) throw new IamError(400, 'scope.project.id is no project id')
  return { id, name: name || (id === projectIdOf(accountId, region) ? region : id) }
}

function tokenAnswer(status: number, token: Token, subjectToken: string, catalog: JsonObject[]): Answer {
  const { accountId, accessKeyId, methods, project, issuedAtMs, expiresAtMs } = token
  const domain = domainOf(accountId)
  return {
    status,
    headers: { 'X-Subject-Token': subjectToken },
    body: {
      token: {
        expires_at: formatIamTime(expiresAtMs),
        issued_at: formatIamTime(issuedAtMs),
        methods,
        catalog,
        ...(project === undefined ? { domain } : { project: { ...project, domain } }),
        roles: [{ id: '0', name: 'te_admin' }],
        user: { id: userIdOf(accountId, accessKeyId), name: accessKeyId, password_expires_at: '', domain },
      },
    },
  }
}

/** Where OpenStack-style clients find the services. */
function catalogOf({ project, accountId }: Token, origin: string, { region }: IamRooms): JsonObject[] {
  const projectId = project?.id ?? projectIdOf(accountId, region)
  return [
    catalogEntry('functiongraph', 'functiongraph', `${origin}/v2/${projectId}`, region),
    catalogEntry('iam', 'identity', `${origin}/v3`, '*'),
  ]
}

function catalogEntry(name: string, type: string, url: string, region: string): JsonObject {
  const endpoint = { id: `${name}-${region}`, interface: 'public', region, region_id: region, url }
  return { id: name, name, type, endpoints: [endpoint] }
}
