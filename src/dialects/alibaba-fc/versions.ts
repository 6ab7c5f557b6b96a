import { isOwnVersion, namespaceFunctions } from '../../definitions/namespaces.ts'
import { isNamespaceUnchangedSince, isUnchangedSince, publishNamespace } from '../../definitions/publish.ts'
import type { Draft } from '../../engine/catalogue.ts'
import { aliasKey, namespaceKey, versionKey } from '../../engine/keys.ts'
import type { NamespaceRecord, ProvisionRecord, Stored } from '../../store/definition-store.ts'
import { FcError } from './errors.ts'
import { invalidValue, stringField } from './fields.ts'
import { etagOf, formatTime } from './names.ts'
import type { Operation } from './operation.ts'
import { page, type KeyOrder } from './paging.ts'
import { requireMatch } from './precondition.ts'
import { pathParameter, requireService, requireVersion, serviceOf } from './target.ts'

/** Longest description, characters. Source: the vendor's CreateService page. */
export const DESCRIPTION_CHARS = 256

const VERSION_ID = /^[1-9]\d{0,14}$/

/**
 * Freezes the service and all its functions as they are now under the next number. Numbers count from 1 and are not
 * used again after a deletion.
 *
 * @throws {FcError} InvalidArgument: nothing was changed since the newest version; LimitExceeded
 */
export const publishServiceVersion: Operation = async (call, { catalogue, now }) => {
  const account = call.accountId
  const service = serviceOf(call)
  const description = stringField(call.body, 'description', { max: DESCRIPTION_CHARS }) ?? ''
  const published = await catalogue.change((draft) => {
    const namespace = requireService(draft, account, service)
    requireMatch(call, namespace)
    const functions = namespaceFunctions(draft, account, service)
    if (!changedSinceLastVersion(draft, namespace.value, functions))
      throw new FcError(
        'InvalidArgument',
        `service '${service}' has no changes since version '${namespace.value.lastVersion}'`,
      )
    return publishNamespace(draft, namespace, { description, nowMs: now() })
  })
  return { status: 200, body: versionBody(published), headers: { ETag: etagOf(published) } }
}

/** Versions by number: `direction` `BACKWARD` (default) from the newest, `FORWARD` from the oldest. */
export const listServiceVersions: Operation = (call, { catalogue }) => {
  const service = serviceOf(call)
  requireService(catalogue, call.accountId, service)
  const direction = call.query.get('direction') || 'BACKWARD'
  if (direction !== 'BACKWARD' && direction !== 'FORWARD')
    throw invalidValue('direction', 'BACKWARD | FORWARD', direction)
  for (const name of ['startKey', 'nextToken']) {
    const key = call.query.get(name) ?? ''
    if (key !== '' && !VERSION_ID.test(key)) throw invalidValue(name, 'a version number', key)
  }
  const order: KeyOrder =
    direction === 'FORWARD' ? (a, b) => Number(a) - Number(b) : (a, b) => Number(b) - Number(a)
  const versions = catalogue.list('version', versionKey(call.accountId, service, ''))
  const { items, nextToken } = page(call.query, versions, ({ value }) => value.version, order)
  return { status: 200, body: { versions: items.map(versionBody), nextToken, direction } }
}

/** Removes a version and its functions. Aliases that name it stay, and calls through them fail. */
export const deleteServiceVersion: Operation = async (call, { catalogue }) => {
  const account = call.accountId
  const service = serviceOf(call)
  const version = pathParameter(call, 'versionId')
  if (!VERSION_ID.test(version)) throw invalidValue('versionId', 'the number of a published version', version)
  await catalogue.change((draft) => {
    requireService(draft, account, service)
    requireVersion(draft, account, service, version)
    for (const { key } of namespaceFunctions(draft, account, service, version)) draft.delete('function', key)
    draft.delete('version', versionKey(account, service, version))
    deleteProvisionsThrough(draft, account, service, version)
  })
  return { status: 204 }
}

/** A qualifier of the service that is gone keeps no instances ready; a function may have one of the same name by itself. */
export function deleteProvisionsThrough(
  draft: Draft,
  account: string,
  service: string,
  qualifier: string,
): void {
  for (const { key, value } of draft.list('provision', `${namespaceKey(account, service)}/`))
    if (value.qualifier === qualifier && !isOwnQualifier(draft, value)) draft.delete('provision', key)
}

function isOwnQualifier(
  draft: Draft,
  { account, namespace, functionName, qualifier }: ProvisionRecord,
): boolean {
  return (
    isOwnVersion(draft, account, namespace, functionName, qualifier) ||
    draft.get('alias', aliasKey(account, namespace, qualifier, functionName)) !== undefined
  )
}

/** A newest version that was deleted counts as different. */
function changedSinceLastVersion(
  draft: Draft,
  namespace: NamespaceRecord,
  functions: readonly Stored<'function'>[],
): boolean {
  const { account, name, lastVersion } = namespace
  const version = String(lastVersion)
  const snapshot = draft.get('version', versionKey(account, name, version))?.value.snapshot
  if (snapshot === undefined || !isNamespaceUnchangedSince(namespace, snapshot)) return true
  const frozen = namespaceFunctions(draft, account, name, version)
  return (
    frozen.length !== functions.length ||
    functions.some(({ value }, index) => {
      const before = frozen[index]?.value
      return before === undefined || !isUnchangedSince(value, before)
    })
  )
}

function versionBody({ value }: Stored<'version'>): Record<string, unknown> {
  return {
    versionId: value.version,
    description: value.description,
    createdTime: formatTime(value.createdAtMs),
    lastModifiedTime: formatTime(value.modifiedAtMs),
  }
}
