import { newId } from '../../definitions/ids.ts'
import { namespaceContents, namespaceFunctions } from '../../definitions/namespaces.ts'
import { QUOTA, requireQuota } from '../../definitions/quotas.ts'
import { removeNamespace } from '../../definitions/remove.ts'
import type { Draft } from '../../engine/catalogue.ts'
import { namespaceKey, tagsKey, versionKey } from '../../engine/keys.ts'
import { LATEST, withNetwork, type FunctionSpec } from '../../model/function.ts'
import type { NamespaceRecord, Stored } from '../../store/definition-store.ts'
import { FcError } from './errors.ts'
import { required, stringField } from './fields.ts'
import { versionThrough } from './lookup.ts'
import { etagOf, formatTime, requireServiceName } from './names.ts'
import type { Answer, ApiVersion, Call, Operation } from './operation.ts'
import { DIALECT, withOwnExtras } from './own-extras.ts'
import { page } from './paging.ts'
import { requireMatch } from './precondition.ts'
import { DEFAULT_SETTINGS, factsOf, networkOf, readSettings, settingsOf } from './service-settings.ts'
import { requireService, serviceOf } from './target.ts'

/** Longest description, characters. Source: the vendor's API reference. */
const MAX_DESCRIPTION_CHARS = 256

/** Query parameters that hold a tag to filter by: `tag_{key}={value}`. */
const TAG_QUERY_PREFIX = 'tag_'

/** POST /services */
export const createService: Operation = async (call, { catalogue, now }) => {
  const name = requireServiceName(required(stringField(call.body, 'serviceName'), 'serviceName'))
  const description = stringField(call.body, 'description', { max: MAX_DESCRIPTION_CHARS }) ?? ''
  const settings = { ...DEFAULT_SETTINGS, ...readSettings(call.body) }
  const atMs = now()
  const record = await catalogue.change((draft) => {
    const key = namespaceKey(call.accountId, name)
    if (draft.get('namespace', key) !== undefined)
      throw new FcError('ServiceAlreadyExists', `service '${name}' already exists`)
    const others = namespaceKey(call.accountId, '')
    requireQuota(draft, 'namespace', others, QUOTA.namespacesPerAccount, 'services in the account')
    return draft.put('namespace', key, {
      account: call.accountId,
      name,
      namespaceId: newId(),
      description,
      facts: factsOf(settings),
      lastVersion: 0,
      extras: withOwnExtras(undefined, settings),
      createdAtMs: atMs,
      modifiedAtMs: atMs,
    })
  })
  return answerWith(call.api, record)
}

/** GET /services/{service} */
export const getService: Operation = (call, { catalogue }) => {
  const service = serviceOf(call)
  const version = versionThrough(catalogue, call.accountId, service, call.qualifier)
  const snapshot = catalogue.get('version', versionKey(call.accountId, service, version))?.value.snapshot
  if (snapshot !== undefined) return { status: 200, body: serviceBody(call.api, snapshot) }
  return answerWith(call.api, requireService(catalogue, call.accountId, service))
}

/**
 * GET /services: by `prefix`, `startKey`, `nextToken`, `limit`, and by `tag_{key}={value}`, all of which must match.
 */
export const listServices: Operation = (call, { catalogue }) => {
  const wanted = [...call.query]
    .filter(([name]) => name.startsWith(TAG_QUERY_PREFIX))
    .map(([name, value]) => [name.slice(TAG_QUERY_PREFIX.length), value] as const)
  const services = catalogue.list('namespace', namespaceKey(call.accountId, '')).filter(({ value }) => {
    if (wanted.length === 0) return true
    const tags = catalogue.get('tags', tagsKey(call.accountId, value.name))?.value.tags ?? {}
    return wanted.every(([key, text]) => Object.hasOwn(tags, key) && tags[key] === text)
  })
  const { items, nextToken } = page(call.query, services, ({ value }) => value.name)
  return {
    status: 200,
    body: { services: items.map(({ value }) => serviceBody(call.api, value)), nextToken },
  }
}

/** PUT /services/{service}: members that are absent or null stay as they are. */
export const updateService: Operation = async (call, { catalogue, now }) => {
  const service = requireLatest(call)
  const description = stringField(call.body, 'description', { max: MAX_DESCRIPTION_CHARS })
  const changes = readSettings(call.body)
  const atMs = now()
  const record = await catalogue.change((draft) => {
    const before = requireService(draft, call.accountId, service)
    requireMatch(call, before)
    const settings = { ...settingsOf(before.value), ...changes }
    const facts = factsOf(settings)
    followService(draft, before.value, facts, networkOf(settings))
    return draft.put('namespace', before.key, {
      ...before.value,
      description: description ?? before.value.description,
      facts,
      extras: withOwnExtras(before.value, settings),
      modifiedAtMs: atMs,
    })
  })
  return answerWith(call.api, record)
}

/** DELETE /services/{service}: refused while functions, versions or aliases remain. */
export const deleteService: Operation = async (call, { catalogue }) => {
  const service = requireLatest(call)
  await catalogue.change((draft) => {
    const record = requireService(draft, call.accountId, service)
    requireMatch(call, record)
    const remaining = namespaceContents(draft, call.accountId, service)
    if (remaining.length > 0)
      throw new FcError(
        'ServiceNotEmpty',
        `service '${service}' has ${remaining.join(' and ')}; delete them first`,
      )
    removeNamespace(draft, record)
  })
  return { status: 204 }
}

/** The service as the API shows it. */
export function serviceBody(api: ApiVersion, record: NamespaceRecord): Readonly<Record<string, unknown>> {
  const { ossMountConfig, ...settings } = settingsOf(record)
  return {
    serviceName: record.name,
    serviceId: record.namespaceId,
    description: record.description,
    ...settings,
    ...(api === '2021-04-06' ? { ossMountConfig, useSLRAuthentication: false } : {}),
    createdTime: formatTime(record.createdAtMs),
    lastModifiedTime: formatTime(record.modifiedAtMs),
  }
}

function answerWith(api: ApiVersion, record: Stored<'namespace'>): Answer {
  return { status: 200, headers: { ETag: etagOf(record) }, body: serviceBody(api, record.value) }
}

/** A version is a snapshot: only the service itself changes. */
function requireLatest(call: Call): string {
  if (call.qualifier !== undefined && call.qualifier !== LATEST)
    throw new FcError('InvalidArgument', `a service cannot be changed through version '${call.qualifier}'`)
  return serviceOf(call)
}

function sameFacts(a: NamespaceRecord['facts'], b: NamespaceRecord['facts']): boolean {
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name])
}

/**
 * Running instances were started with the facts and the network of before: functions get a new state, so that new ones replace
 * them. Functions that are written for another vendor have facts and a network of their own.
 */
function followService(
  draft: Draft,
  service: NamespaceRecord,
  facts: NamespaceRecord['facts'],
  network: FunctionSpec['network'],
): void {
  const hasSameFacts = sameFacts(facts, service.facts)
  for (const { key, value } of namespaceFunctions(draft, service.account, service.name)) {
    if (value.spec.contract !== DIALECT || (hasSameFacts && value.spec.network === network)) continue
    const spec = withNetwork(value.spec, network)
    draft.put('function', key, { ...value, spec, facts, stateId: newId() })
  }
}
