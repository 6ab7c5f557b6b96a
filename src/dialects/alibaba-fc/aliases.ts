import { QUOTA, requireQuota } from '../../definitions/quotas.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import { aliasKey } from '../../engine/keys.ts'
import { EngineError } from '../../model/errors.ts'
import type { AliasRecord, Stored } from '../../store/definition-store.ts'
import { FcError } from './errors.ts'
import {
  field,
  invalidValue,
  numberField,
  objectField,
  objectListField,
  required,
  stringField,
} from './fields.ts'
import { etagOf, formatTime, requireAliasName } from './names.ts'
import type { ApiVersion, Answer, Call, JsonObject, Operation } from './operation.ts'
import { ownExtras, withOwnExtras } from './own-extras.ts'
import { page } from './paging.ts'
import { requireMatch } from './precondition.ts'
import { pathParameter, requireService, requireVersion, serviceOf } from './target.ts'
import { deleteProvisionsThrough, DESCRIPTION_CHARS } from './versions.ts'

/** Entries of a routing policy that are kept. The vendor publishes no number. */
const MAX_POLICY_ITEMS = 100

/** Room for decimal shares such as ten times 0.1, which do not add up to 1 exactly. */
const SHARE_ROUNDING = 1e-9

/** @throws {FcError} InvalidArgument, AliasAlreadyExists, LimitExceeded; VersionNotFound for the main or a weighted version */
export const createAlias: Operation = async (call, { catalogue, now }) => {
  const account = call.accountId
  const service = serviceOf(call)
  const name = requireAliasName(required(stringField(call.body, 'aliasName'), 'aliasName'))
  const version = required(stringField(call.body, 'versionId'), 'versionId')
  const given = aliasFields(call)
  const created = await catalogue.change((draft) => {
    requireService(draft, account, service)
    if (draft.get('alias', aliasKey(account, service, name)) !== undefined)
      throw new FcError('AliasAlreadyExists', `alias '${name}' already exists in service '${service}'`)
    requireVersions(draft, account, service, [version, ...Object.keys(given.weights ?? {})])
    const others = aliasKey(account, service, '')
    requireQuota(draft, 'alias', others, QUOTA.aliases, 'aliases of a service')
    const nowMs = now()
    return draft.put('alias', aliasKey(account, service, name), {
      account,
      namespace: service,
      name,
      version,
      weights: given.weights ?? {},
      description: given.description ?? '',
      extras: withOwnExtras(undefined, given.shown),
      createdAtMs: nowMs,
      modifiedAtMs: nowMs,
    })
  })
  return aliasAnswer(call.api, created)
}

/** Aliases of a service in the order of their names. */
export const listAliases: Operation = (call, { catalogue }) => {
  const service = serviceOf(call)
  requireService(catalogue, call.accountId, service)
  const aliases = catalogue.list('alias', aliasKey(call.accountId, service, ''))
  const { items, nextToken } = page(call.query, aliases, ({ value }) => value.name)
  return { status: 200, body: { aliases: items.map(({ value }) => aliasBody(call.api, value)), nextToken } }
}

/** @throws {EngineError} `caller/alias-not-found` */
export const getAlias: Operation = (call, { catalogue }) =>
  aliasAnswer(call.api, requireAlias(catalogue, call))

/** Changes the members that were sent; an empty `additionalVersionWeight` sends all calls to the main version again. */
export const updateAlias: Operation = async (call, { catalogue, now }) => {
  const version = stringField(call.body, 'versionId')
  const given = aliasFields(call)
  const updated = await catalogue.change((draft) => {
    const alias = requireAlias(draft, call)
    requireMatch(call, alias)
    const { account, namespace } = alias.value
    requireVersions(draft, account, namespace, [
      ...(version === undefined ? [] : [version]),
      ...Object.keys(given.weights ?? {}),
    ])
    return draft.put('alias', alias.key, {
      ...alias.value,
      version: version ?? alias.value.version,
      weights: given.weights ?? alias.value.weights,
      description: given.description ?? alias.value.description,
      extras: withOwnExtras(alias.value, { ...ownExtras(alias.value), ...given.shown }),
      modifiedAtMs: now(),
    })
  })
  return aliasAnswer(call.api, updated)
}

/** @throws {EngineError} `caller/alias-not-found` */
export const deleteAlias: Operation = async (call, { catalogue }) => {
  await catalogue.change((draft) => {
    const alias = requireAlias(draft, call)
    requireMatch(call, alias)
    draft.delete('alias', alias.key)
    deleteProvisionsThrough(draft, alias.value.account, alias.value.namespace, alias.value.name)
  })
  return { status: 204 }
}

function requireAlias(definitions: Definitions, call: Call): Stored<'alias'> {
  const service = serviceOf(call)
  requireService(definitions, call.accountId, service)
  const name = pathParameter(call, 'aliasName')
  const alias = definitions.get('alias', aliasKey(call.accountId, service, name))
  if (alias === undefined)
    throw new EngineError('caller/alias-not-found', { namespace: service, alias: name })
  return alias
}

function requireVersions(
  definitions: Definitions,
  account: string,
  service: string,
  versions: readonly string[],
): void {
  for (const version of versions) requireVersion(definitions, account, service, version)
}

function aliasFields(
  call: Call,
): Partial<Pick<AliasRecord, 'weights' | 'description'>> & { readonly shown: JsonObject } {
  const weights = weightsField(call.body)
  const description = stringField(call.body, 'description', { max: DESCRIPTION_CHARS })
  return {
    ...(weights !== undefined && { weights }),
    ...(description !== undefined && { description }),
    shown: call.api === '2021-04-06' ? routingFields(call.body) : {},
  }
}

/** Version → share. The main version may be among them: older clients send that. */
function weightsField(body: JsonObject): Readonly<Record<string, number>> | undefined {
  const name = 'additionalVersionWeight'
  const given = objectField(body, name)
  if (given === undefined) return undefined
  const weights = Object.fromEntries(
    Object.keys(given).map((version) => {
      const share = numberField(given, version, { min: 0, max: 1 })
      if (share === undefined) throw invalidValue(`${name}.${version}`, '0 - 1', null)
      return [version, share]
    }),
  )
  const total = Object.values(weights).reduce((sum, share) => sum + share, 0)
  if (total > 1 + SHARE_ROUNDING) throw invalidValue(name, 'shares of 1 or less together', given)
  return weights
}

/** Kept and given back; calls are shared out by weight alone. */
function routingFields(body: JsonObject): JsonObject {
  const resolvePolicy = stringField(body, 'resolvePolicy', { max: 128 })
  const routePolicy = objectField(body, 'routePolicy')
  return {
    ...(resolvePolicy !== undefined && { resolvePolicy }),
    ...(routePolicy !== undefined && {
      routePolicy: {
        ...textMembers(routePolicy, ['condition']),
        ...(field(routePolicy, 'policyItems') !== undefined && {
          policyItems: objectListField(routePolicy, 'policyItems', MAX_POLICY_ITEMS)?.map((item) =>
            textMembers(item, ['type', 'key', 'operator', 'value']),
          ),
        }),
      },
    }),
  }
}

function textMembers(object: JsonObject, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const text = stringField(object, name)
      return text === undefined ? [] : [[name, text]]
    }),
  )
}

function aliasAnswer(api: ApiVersion, alias: Stored<'alias'>): Answer {
  return { status: 200, body: aliasBody(api, alias.value), headers: { ETag: etagOf(alias) } }
}

/** Without weights the member is absent: the vendor's own suite insists on it. */
function aliasBody(api: ApiVersion, alias: AliasRecord): Record<string, unknown> {
  return {
    aliasName: alias.name,
    versionId: alias.version,
    description: alias.description,
    ...(Object.keys(alias.weights).length > 0 && { additionalVersionWeight: alias.weights }),
    ...(api === '2021-04-06' && ownExtras(alias)),
    createdTime: formatTime(alias.createdAtMs),
    lastModifiedTime: formatTime(alias.modifiedAtMs),
  }
}
