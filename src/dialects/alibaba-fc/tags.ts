import { putTags } from '../../definitions/tags.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import { functionKey, tagsKey } from '../../engine/keys.ts'
import { EngineError } from '../../model/errors.ts'
import { FcError } from './errors.ts'
import { booleanField, invalidValue, objectField, required, stringField, stringListField } from './fields.ts'
import { functionArn, requireFunctionName, requireServiceName, serviceArn } from './names.ts'
import type { Call, JsonObject, Operation } from './operation.ts'
import { page } from './paging.ts'
import { requireService } from './target.ts'

/** Source of these four: the vendor's tag limits. Lengths in characters; a value may be empty. */
const MAX_TAGS = 20
const KEY_CHARS = 64
const VALUE_CHARS = 128
const MAX_UNTAG_KEYS = 50

const RESOURCE_ARN =
  /^(?:acs:fc:[^:/]*:(?<account>[^:/]*):)?services\/(?<service>[^/]+)(?:\/functions\/(?<name>[^/]+))?$/

/** A service, or one of its functions when `name` is there. */
interface Resource {
  readonly service: string
  readonly name?: string
}

/** Adds tags to a resource; a key it already has gets the new value. */
export const tagResource: Operation = async (call, { catalogue, now }) => {
  const resource = resourceOf(call, required(stringField(call.body, 'resourceArn'), 'resourceArn'))
  const given = tagsField(call.body)
  await catalogue.change((draft) => {
    requireResource(draft, call.accountId, resource)
    const before = draft.get('tags', tagsKeyOf(call.accountId, resource))?.value
    const tags = { ...before?.tags, ...given }
    const count = Object.keys(tags).length
    if (count > MAX_TAGS)
      throw new FcError('LimitExceeded', `a resource has too many tags (max: ${MAX_TAGS}, actual: ${count})`)
    putTags(draft, call.accountId, pathOf(resource), tags, now())
  })
  return { status: 204 }
}

/** Takes tags from a resource: those named by `tagKeys`, or every one with `all`. Keys it does not have are ignored. */
export const untagResource: Operation = async (call, { catalogue, now }) => {
  const resource = resourceOf(call, required(stringField(call.body, 'resourceArn'), 'resourceArn'))
  const all = booleanField(call.body, 'all') ?? false
  const keys = stringListField(call.body, 'tagKeys', MAX_UNTAG_KEYS) ?? []
  if (!all && keys.length === 0)
    throw new FcError('InvalidArgument', 'At least 1 tag key is required if all=false')
  await catalogue.change((draft) => {
    requireResource(draft, call.accountId, resource)
    const before = draft.get('tags', tagsKeyOf(call.accountId, resource))
    if (before === undefined) return
    const kept = Object.entries(before.value.tags).filter(([key]) => !all && !keys.includes(key))
    putTags(draft, call.accountId, pathOf(resource), Object.fromEntries(kept), now())
  })
  return { status: 204 }
}

/** The tags of one resource, none being an empty object. */
export const getResourceTags: Operation = (call, { catalogue, region }) => {
  const resource = resourceOf(call, required(call.query.get('resourceArn'), 'resourceArn'))
  requireResource(catalogue, call.accountId, resource)
  const found = catalogue.get('tags', tagsKeyOf(call.accountId, resource))
  return {
    status: 200,
    body: { resourceArn: arnOf(region, call.accountId, resource), tags: found?.value.tags ?? {} },
  }
}

/** Every resource that has tags, in the order of their ARNs. */
export const listTaggedResources: Operation = (call, { catalogue, region }) => {
  const resources = catalogue.list('tags', `${call.accountId}/`).map(({ value }) => {
    const [service = '', name] = value.resource.split('/')
    return {
      resourceArn: arnOf(region, call.accountId, name === undefined ? { service } : { service, name }),
      tags: value.tags,
    }
  })
  const { items, nextToken } = page(call.query, resources, ({ resourceArn }) => resourceArn)
  return { status: 200, body: { resources: items, nextToken } }
}

/** Reads `services/demo` as well as the full ARN; its region is not looked at, this server being every region. */
function resourceOf(call: Call, arn: string): Resource {
  const { account, service, name } = RESOURCE_ARN.exec(arn)?.groups ?? {}
  if (service === undefined)
    throw invalidValue(
      'resourceArn',
      'services/{service} or acs:fc:{region}:{account}:services/{service}',
      arn,
    )
  if (account !== undefined && account !== call.accountId)
    throw new FcError('AccessDenied', `the resource '${arn.slice(0, 256)}' belongs to another account`)
  return {
    service: requireServiceName(service),
    ...(name !== undefined && { name: requireFunctionName(name) }),
  }
}

function requireResource(definitions: Definitions, account: string, { service, name }: Resource): void {
  requireService(definitions, account, service)
  if (name !== undefined && definitions.get('function', functionKey(account, service, name)) === undefined)
    throw new EngineError('caller/function-not-found', { namespace: service, name })
}

function pathOf({ service, name }: Resource): string {
  return name === undefined ? service : `${service}/${name}`
}

function tagsKeyOf(account: string, resource: Resource): string {
  return tagsKey(account, pathOf(resource))
}

function arnOf(region: string, account: string, { service, name }: Resource): string {
  return name === undefined
    ? serviceArn(region, account, service)
    : functionArn(region, account, service, name)
}

/** A `null` value is an empty one. */
function tagsField(body: JsonObject): Readonly<Record<string, string>> {
  const entries = Object.entries(required(objectField(body, 'tags'), 'tags'))
  if (entries.length === 0) throw new FcError('InvalidArgument', 'At least 1 tag is required')
  if (entries.length > MAX_TAGS)
    throw new FcError(
      'InvalidArgument',
      `Tags contains too many values (max: ${MAX_TAGS}, actual: ${entries.length})`,
    )
  return Object.fromEntries(entries.map(([key, value]) => [requireTagKey(key), requireTagValue(key, value)]))
}

function requireTagKey(key: string): string {
  if (key.length === 0 || key.length > KEY_CHARS || /^(?:aliyun|acs:)|https?:\/\//.test(key))
    throw invalidValue(
      'tag key',
      `1 - ${KEY_CHARS} characters, not beginning with aliyun or acs:, without http:// and https://`,
      key,
    )
  return key
}

function requireTagValue(key: string, value: unknown): string {
  const text = value ?? ''
  if (typeof text !== 'string' || text.length > VALUE_CHARS)
    throw invalidValue(`tags.${key}`, `a string of 0 - ${VALUE_CHARS} characters`, value)
  return text
}
