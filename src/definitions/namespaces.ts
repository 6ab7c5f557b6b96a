import type { Definitions, Draft } from '../engine/catalogue.ts'
import { functionKey, namespaceKey, versionKey } from '../engine/keys.ts'
import { LATEST } from '../model/function.ts'
import type { FunctionRecord, Stored } from '../store/definition-store.ts'
import { newId } from './ids.ts'
import { QUOTA, requireQuota } from './quotas.ts'

/**
 * The namespace of that name, made empty where there is none: for APIs in which a namespace needs no making.
 *
 * @param nowMs Epoch milliseconds.
 * @throws {import('./quotas.ts').QuotaExceeded}
 */
export function ensureNamespace(
  draft: Draft,
  account: string,
  name: string,
  nowMs: number,
): Stored<'namespace'> {
  const key = namespaceKey(account, name)
  const known = draft.get('namespace', key)
  if (known !== undefined) return known
  const noun = 'namespaces in the account'
  requireQuota(draft, 'namespace', namespaceKey(account, ''), QUOTA.namespacesPerAccount, noun)
  return draft.put('namespace', key, {
    account,
    name,
    namespaceId: newId(),
    description: '',
    facts: {},
    lastVersion: 0,
    extras: {},
    createdAtMs: nowMs,
    modifiedAtMs: nowMs,
  })
}

/**
 * The functions of a namespace in the order of their names.
 *
 * @param version One of the namespace as a whole, default {@link LATEST}. A function's own version of the same name is none
 *   of them.
 */
export function namespaceFunctions(
  definitions: Definitions,
  account: string,
  namespace: string,
  version: string = LATEST,
): readonly Stored<'function'>[] {
  const functions = definitions.list('function', functionKey(account, namespace, '', version))
  return version === LATEST
    ? functions
    : functions.filter(({ value }) => !isOwnVersion(definitions, account, namespace, value.name, version))
}

/** The latest states of all functions of an account, by namespace and name. */
export function accountFunctions(definitions: Definitions, account: string): readonly FunctionRecord[] {
  return definitions
    .list('function', `${account}/`)
    .flatMap(({ value }) => (value.version === LATEST ? [value] : []))
}

/** Whether a version belongs to that function alone. */
export function isOwnVersion(
  definitions: Definitions,
  account: string,
  namespace: string,
  name: string,
  version: string,
): boolean {
  return definitions.get('version', versionKey(account, namespace, version, name)) !== undefined
}

/** What kinds of things are still in a namespace, settings and other leftovers aside: a namespace with any is not to be removed. */
export function namespaceContents(
  definitions: Definitions,
  account: string,
  namespace: string,
): readonly ('functions' | 'versions' | 'aliases')[] {
  const inside = `${namespaceKey(account, namespace)}/`
  const found: ('functions' | 'versions' | 'aliases')[] = []
  // Snapshots are no functions of their own: they go with their version.
  if (definitions.count('function', functionKey(account, namespace, '')) > 0) found.push('functions')
  if (definitions.count('version', inside) > 0) found.push('versions')
  if (definitions.count('alias', inside) > 0) found.push('aliases')
  return found
}
