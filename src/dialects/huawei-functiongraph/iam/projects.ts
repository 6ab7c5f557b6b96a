import type { JsonObject } from '../../../model/json.ts'
import { domainIdOf, projectIdOf } from '../ids.ts'
import type { Answer } from '../operation.ts'
import { IamError } from './errors.ts'
import { member, namesAccount, text } from './identity.ts'
import { domainOf, type IamCall, type IamOperation } from './operation.ts'

/** Project names are region ids, or such with a suffix: `eu-de_team`. */
const PROJECT_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/

/** @throws {IamError} 400 */
export function requireProjectName(name: string): string {
  if (!PROJECT_NAME.test(name)) throw new IamError(400, 'the project name is no region id')
  return name
}

/** The account's project of that name: every name has one. */
export function projectNamed(
  accountId: string,
  name: string,
): { readonly id: string; readonly name: string } {
  return { id: projectIdOf(accountId, name), name }
}

/**
 * `GET /v3/projects` and `GET /v3/auth/projects`: the project of the server's region, or of the `name` asked for.
 *
 * The vendor's clients ask by the region they are set to and need exactly one.
 */
export const listProjects: IamOperation = (call, { region }) => {
  const accountId = accountOf(call)
  const name = call.query.get('name') || region
  const projects = PROJECT_NAME.test(name) ? [shownProject(accountId, name, call.origin)] : []
  return listed('projects', projects, `${call.origin}/v3/projects`)
}

/** `POST /v3/projects`: every project is there already, so making one tells its id. */
export const createProject: IamOperation = (call) => {
  const accountId = accountOf(call)
  const project = member(call.body, 'project')
  if (!namesAccount({ id: text(project, 'domain_id') }, accountId))
    throw new IamError(403, 'domain_id is another account.')
  const shown = shownProject(accountId, requireProjectName(text(project, 'name')), call.origin)
  return { status: 201, body: { project: { ...shown, description: text(project, 'description') } } }
}

/** `GET /v3/projects/{id}`: the project of the server's region alone: names cannot be told from ids. */
export const showProject: IamOperation = (call, { region }) => {
  const accountId = accountOf(call)
  if (call.param !== projectIdOf(accountId, region)) throw new IamError(404, 'The project is unknown.')
  return { status: 200, body: { project: shownProject(accountId, region, call.origin) } }
}

/** `GET /v3/regions` */
export const listRegions: IamOperation = ({ origin }, { region }) =>
  listed('regions', [shownRegion(region, origin)], `${origin}/v3/regions`)

/** `GET /v3/regions/{id}` */
export const showRegion: IamOperation = ({ param, origin }, { region }) => {
  if (param !== region) throw new IamError(404, 'The region is unknown.')
  return { status: 200, body: { region: shownRegion(region, origin) } }
}

/** `GET /v3/auth/domains`: the account. */
export const listDomains: IamOperation = (call) => {
  const self = `${call.origin}/v3/auth/domains`
  const domain = domainOf(accountOf(call))
  return listed('domains', [{ ...domain, enabled: true, description: '', links: { self } }], self)
}

/** `GET /v3`: for clients that look at what a version is before they use it. Needs no credentials. */
export const showVersion: IamOperation = ({ origin }) => ({
  status: 200,
  body: {
    version: {
      id: 'v3.6',
      status: 'stable',
      updated: '2016-04-04T00:00:00Z',
      links: [{ rel: 'self', href: `${origin}/v3/` }],
      'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.identity-v3+json' }],
    },
  },
})

/** The account of a request that had to be authenticated. */
export function accountOf({ principal }: IamCall): string {
  if (principal === undefined) throw new IamError(401, 'The request needs X-Auth-Token or a signature.')
  return principal.accountId
}

function shownProject(accountId: string, name: string, origin: string): JsonObject {
  const domainId = domainIdOf(accountId)
  const { id } = projectNamed(accountId, name)
  return {
    id,
    name,
    domain_id: domainId,
    parent_id: domainId,
    is_domain: false,
    enabled: true,
    description: '',
    links: { self: `${origin}/v3/projects/${id}` },
  }
}

function shownRegion(region: string, origin: string): JsonObject {
  return {
    id: region,
    type: 'public',
    description: '',
    parent_region_id: null,
    locales: { 'en-us': region, 'zh-cn': region },
    links: { self: `${origin}/v3/regions/${region}` },
  }
}

function listed(name: string, entries: readonly JsonObject[], self: string): Answer {
  return { status: 200, body: { [name]: entries, links: { self, previous: null, next: null } } }
}
