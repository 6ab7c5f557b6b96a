import { accountFunctions } from '../../definitions/namespaces.ts'
import { QUOTA, requireQuota } from '../../definitions/quotas.ts'
import { putTags } from '../../definitions/tags.ts'
import type { Definitions, Draft } from '../../engine/catalogue.ts'
import { documentKey, functionKey, tagsKey } from '../../engine/keys.ts'
import type { FunctionRecord } from '../../store/definition-store.ts'
import { EngineError } from '../../model/errors.ts'
import { FssError } from './errors.ts'
import {
  booleanField,
  enumField,
  integerField,
  listField,
  objectListField,
  stringField,
  stringListField,
} from './fields.ts'
import { DIALECT, type Call, type JsonObject, type Operation } from './operation.ts'
import { addTags, tagsOfList, type Tags } from './tag-records.ts'
import { formatUrn, parseUrn } from './urn.ts'

/** The one type of resource that has tags. */
const RESOURCE_TYPE = 'functions'

/** Tags that the platform's own services put on functions are kept under that name. */
const SYSTEM_TAGS = 'sys-tags'

/** Most entries of any list of a request. */
const MAX_ENTRIES = 100

const PAGE = { min: 0, max: 1_000_000 }

/** GET /{resource_type}/{resource_id}/tags */
export const listFunctionTags: Operation = (call, { catalogue }) => {
  const record = requireResource(catalogue, call)
  return {
    status: 200,
    body: { tags: listOf(tagsOf(catalogue, record)), sys_tags: listOf(systemTagsOf(catalogue, record)) },
  }
}

/** POST …/tags/create: a key that is there gets the new value. @throws {FssError} `FSS.0400` */
export const createTags: Operation = async (call, { catalogue, now }) => {
  requireAction(call, 'create')
  const { tags, system } = givenTags(call.body)
  await catalogue.change((draft) => {
    const record = requireResource(draft, call)
    if (Object.keys(tags).length > 0) addTags(draft, record, tags, now())
    if (Object.keys(system).length > 0)
      putSystemTags(draft, record, { ...systemTagsOf(draft, record), ...system }, now())
  })
  return { status: 204 }
}

/** DELETE …/tags/delete: keys that are not there are none to take away, and values do not matter. */
export const deleteTags: Operation = async (call, { catalogue, now }) => {
  requireAction(call, 'delete')
  const { tags, system } = givenTags(call.body)
  await catalogue.change((draft) => {
    const record = requireResource(draft, call)
    const before = draft.get('tags', keyOf(record))
    const kept = without(before?.value.tags ?? {}, tags)
    if (before !== undefined) putTags(draft, before.value.account, before.value.resource, kept, now())
    if (Object.keys(system).length > 0)
      putSystemTags(draft, record, without(systemTagsOf(draft, record), system), now())
  })
  return { status: 204 }
}

/** GET /{resource_type}/tags: every key that some function has, with its values. */
export const showProjectTagsList: Operation = (call, { catalogue }) => {
  requireType(call)
  const heads = accountFunctions(catalogue, call.accountId)
  return {
    status: 200,
    body: {
      tags: valuesOf(heads.map((record) => tagsOf(catalogue, record))),
      sys_tags: valuesOf(heads.map((record) => systemTagsOf(catalogue, record))),
    },
  }
}

/** POST /{resource_type}/resource-instances/{filter|count}: functions by their tags and a part of their names. */
export const showResInstanceInfo: Operation = (call, { catalogue }) => {
  requireType(call)
  const { body } = call
  const action = call.params['action'] ?? ''
  if (action !== 'filter' && action !== 'count')
    throw new FssError('FSS.0404', `unknown action '${action.slice(0, 64)}'`)
  const untagged = booleanField(body, 'without_any_tag') ?? false
  const wanted = wantedTags(body, 'tags')
  const wantedSystem = wantedTags(body, 'sys_tags')
  const names = (objectListField(body, 'matches', MAX_ENTRIES) ?? []).flatMap((match) =>
    stringField(match, 'key') === 'resource_name' ? [stringField(match, 'value') ?? ''] : [],
  )
  const limit = integerField(body, 'limit', PAGE) || PAGE.max
  const offset = integerField(body, 'offset', PAGE) ?? 0
  const found = accountFunctions(catalogue, call.accountId).filter((record) => {
    const tags = tagsOf(catalogue, record)
    return (
      names.every((name) => record.name.includes(name)) &&
      (untagged ? Object.keys(tags).length === 0 : fits(tags, wanted)) &&
      fits(systemTagsOf(catalogue, record), wantedSystem)
    )
  })
  if (action === 'count') return { status: 200, body: { total_count: found.length } }
  return {
    status: 200,
    body: {
      resources: found.slice(offset, offset + limit).map((record) => ({
        resource_id: record.functionId,
        resource_detail: { detailId: formatUrn(call, record) },
        tags: listOf(tagsOf(catalogue, record)),
        sys_tags: listOf(systemTagsOf(catalogue, record)),
        resource_name: record.name,
      })),
      total_count: found.length,
    },
  }
}

/** A function by its id or by its URN, with or without a version. */
function requireResource(definitions: Definitions, call: Call): FunctionRecord {
  requireType(call)
  const id = call.params['resource_id'] ?? ''
  const byId = accountFunctions(definitions, call.accountId).find(({ functionId }) => functionId === id)
  if (byId !== undefined) return byId
  const { namespace, name } = parseUrn(id, call)
  const record = definitions.get('function', functionKey(call.accountId, namespace, name))
  if (record === undefined) throw new EngineError('caller/function-not-found', { namespace, name })
  return record.value
}

function requireType(call: Call): void {
  const type = call.params['resource_type'] ?? ''
  if (type !== RESOURCE_TYPE)
    throw new FssError('FSS.0404', `resources of type '${type.slice(0, 64)}' have no tags here`)
}

/** Older clients name the action in the body as well. */
function requireAction(call: Call, action: string): void {
  enumField(call.body, 'action', [action])
}

function givenTags(body: JsonObject): { tags: Tags; system: Tags } {
  const list = (name: string): Tags => tagsOfList(name, listField(body, name, MAX_ENTRIES) ?? [])
  return { tags: list('tags'), system: list('sys_tags') }
}

function keyOf({ account, namespace, name }: FunctionRecord): string {
  return tagsKey(account, `${namespace}/${name}`)
}

function tagsOf(definitions: Definitions, record: FunctionRecord): Tags {
  return definitions.get('tags', keyOf(record))?.value.tags ?? {}
}

function systemKey({ account, namespace, name }: FunctionRecord): string {
  return documentKey(account, `${namespace}/${name}`, DIALECT, SYSTEM_TAGS)
}

function systemTagsOf(definitions: Definitions, record: FunctionRecord): Tags {
  const content = definitions.get('document', systemKey(record))?.value.content ?? {}
  return Object.fromEntries(Object.entries(content).map(([key, value]) => [key, String(value)]))
}

function putSystemTags(draft: Draft, record: FunctionRecord, tags: Tags, nowMs: number): void {
  const key = systemKey(record)
  const before = draft.get('document', key)?.value
  if (Object.keys(tags).length === 0) {
    draft.delete('document', key)
    return
  }
  if (Object.keys(tags).length > MAX_ENTRIES)
    throw new FssError('FSS.0400', `a function may have no more than ${MAX_ENTRIES} sys_tags`)
  if (before === undefined)
    requireQuota(draft, 'document', `${record.account}/`, QUOTA.documentsPerAccount, 'documents of functions')
  draft.put('document', key, {
    account: record.account,
    owner: `${record.namespace}/${record.name}`,
    name: SYSTEM_TAGS,
    content: tags,
    createdAtMs: before?.createdAtMs ?? nowMs,
    modifiedAtMs: nowMs,
  })
}

function without(tags: Tags, gone: Tags): Tags {
  return Object.fromEntries(Object.entries(tags).filter(([key]) => !Object.hasOwn(gone, key)))
}

function listOf(tags: Tags): readonly { key: string; value: string }[] {
  return Object.entries(tags).map(([key, value]) => ({ key, value }))
}

function valuesOf(all: readonly Tags[]): readonly { key: string; values: readonly string[] }[] {
  const values = new Map<string, Set<string>>()
  for (const tags of all)
    for (const [key, value] of Object.entries(tags))
      values.set(key, (values.get(key) ?? new Set()).add(value))
  return [...values].map(([key, each]) => ({ key, values: [...each] }))
}

/** Keys, and of each the values that will do; none means any. */
function wantedTags(body: JsonObject, name: string): ReadonlyMap<string, readonly string[]> {
  return new Map(
    (objectListField(body, name, MAX_ENTRIES) ?? []).map((tag) => [
      stringField(tag, 'key') ?? '',
      stringListField(tag, 'values', MAX_ENTRIES) ?? [],
    ]),
  )
}

function fits(tags: Tags, wanted: ReadonlyMap<string, readonly string[]>): boolean {
  return [...wanted].every(
    ([key, values]) => Object.hasOwn(tags, key) && (values.length === 0 || values.includes(tags[key] ?? '')),
  )
}
