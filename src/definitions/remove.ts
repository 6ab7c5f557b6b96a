import type { Draft } from '../engine/catalogue.ts'
import { aliasKey, functionKey, namespaceKey, qualifiedKey, tagsKey, versionKey } from '../engine/keys.ts'
import { EngineError } from '../model/errors.ts'
import { LATEST } from '../model/function.ts'
import type { FunctionRecord, Stored } from '../store/definition-store.ts'

/** Settings of a function by qualifier. */
const SETTING_KINDS = ['asyncConfig', 'scaling', 'provision'] as const

/**
 * Removes a function and all that is its own: versions, aliases, settings, triggers, documents, tags.
 *
 * What was published with its namespace stays, with the settings through those versions, until they are removed.
 *
 * @param record Its latest state.
 */
export function removeFunction(draft: Draft, { account, namespace, name }: FunctionRecord): void {
  const gone = new Set([LATEST])
  for (const { key, value } of draft.list('version', versionKey(account, namespace, '', name))) {
    gone.add(value.version)
    draft.delete('function', functionKey(account, namespace, name, value.version))
    draft.delete('version', key)
  }
  for (const { key, value } of draft.list('alias', aliasKey(account, namespace, '', name))) {
    gone.add(value.name)
    draft.delete('alias', key)
  }
  draft.delete('function', functionKey(account, namespace, name))
  const isStillPublished = draft
    .list('function', `${namespaceKey(account, namespace)}/`)
    .some(({ value }) => value.name === name)
  const own = qualifiedKey(account, namespace, name, '')
  for (const kind of SETTING_KINDS)
    for (const { key, value } of draft.list(kind, own))
      if (!isStillPublished || gone.has(value.qualifier)) draft.delete(kind, key)
  for (const { key } of draft.list('trigger', own)) draft.delete('trigger', key)
  const resource = `${namespace}/${name}`
  for (const { key, value } of draft.list('document', own))
    // The key of a namespace's document may begin like it.
    if (value.owner === resource) draft.delete('document', key)
  draft.delete('tags', tagsKey(account, resource))
}

/**
 * Removes a version that a function has by itself, and the settings through it. Aliases that name it stay.
 *
 * @throws {EngineError} `caller/version-not-found`: the function has no such version of its own
 */
export function removeFunctionVersion(
  draft: Draft,
  account: string,
  namespace: string,
  name: string,
  version: string,
): void {
  const key = versionKey(account, namespace, version, name)
  if (draft.get('version', key) === undefined)
    throw new EngineError('caller/version-not-found', { namespace, version })
  draft.delete('version', key)
  draft.delete('function', functionKey(account, namespace, name, version))
  removeSettingsThrough(draft, account, namespace, name, version)
}

/** Removes the settings of a function through one qualifier that is gone. */
export function removeSettingsThrough(
  draft: Draft,
  account: string,
  namespace: string,
  name: string,
  qualifier: string,
): void {
  for (const kind of SETTING_KINDS) draft.delete(kind, qualifiedKey(account, namespace, name, qualifier))
}

/** Removes a namespace that has no contents any more (see `namespaceContents`), with the leftovers of what was in it. */
export function removeNamespace(draft: Draft, { key, value }: Stored<'namespace'>): void {
  const inside = `${key}/`
  for (const kind of [...SETTING_KINDS, 'trigger', 'document', 'tags'] as const)
    for (const leftover of draft.list(kind, inside)) draft.delete(kind, leftover.key)
  draft.delete('tags', tagsKey(value.account, value.name))
  draft.delete('namespace', key)
}
