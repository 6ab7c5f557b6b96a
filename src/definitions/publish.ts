import { isDeepStrictEqual } from 'node:util'
import type { Draft } from '../engine/catalogue.ts'
import { functionKey, namespaceKey, versionKey } from '../engine/keys.ts'
import { LATEST } from '../model/function.ts'
import type { Extras, FunctionRecord, NamespaceRecord, Stored } from '../store/definition-store.ts'
import { newId } from './ids.ts'
import { namespaceFunctions } from './namespaces.ts'
import { QUOTA, requireFunctionStates, requireQuota } from './quotas.ts'

/** A name that is a number counted versions could come to; longer ones they never do. */
const COUNTED_NAME = /^[1-9]\d{0,8}$/

/** What a version of one function is published with. */
export interface FunctionPublication {
  /** Absent: the next number. Where given, it must not be `LATEST` and must be free, see {@link isVersionTaken}. */
  readonly name?: string
  readonly description: string
  /** Epoch milliseconds. */
  readonly nowMs: number
  /** Kept with the snapshot in place of the function's own. Default: the function's. */
  readonly extras?: Extras
}

/**
 * Freezes one function as it is now under a version of its own: the snapshot, the version's record, and the count.
 *
 * Numbers are the same for no two snapshots of a function, whether it was published alone or with its namespace, and are
 * not used again after a deletion. Where only single functions are published, each counts from 1.
 *
 * @param head The function's latest state, as the draft has it.
 * @throws {import('./quotas.ts').QuotaExceeded}
 * @throws {TypeError} the name is taken, or `LATEST`
 */
export function publishFunction(
  draft: Draft,
  head: Stored<'function'>,
  { name: given, description, nowMs, extras }: FunctionPublication,
): Stored<'version'> {
  const { lastVersion = 0, ...latest } = head.value
  const { account, namespace, name } = latest
  const publishedTogether = draft.get('namespace', namespaceKey(account, namespace))?.value.lastVersion ?? 0
  const version = given ?? String(Math.max(lastVersion, publishedTogether) + 1)
  if (version === LATEST || isVersionTaken(draft, account, namespace, name, version))
    throw new TypeError(`version '${version}' cannot be published`)
  const own = versionKey(account, namespace, '', name)
  requireQuota(draft, 'version', own, QUOTA.versions, 'versions of a function')
  requireFunctionStates(draft, account, 1)
  const counted = COUNTED_NAME.test(version) ? Number(version) : 0
  if (counted > lastVersion) draft.put('function', head.key, { ...latest, lastVersion: counted })
  draft.put('function', functionKey(account, namespace, name, version), {
    ...latest,
    version,
    stateId: newId(),
    ...(extras === undefined ? {} : { extras }),
  })
  return draft.put('version', versionKey(account, namespace, version, name), {
    account,
    namespace,
    functionName: name,
    version,
    description,
    createdAtMs: nowMs,
    modifiedAtMs: nowMs,
  })
}

/** Whether a function has a version of that name, its own or one of its namespace. */
export function isVersionTaken(
  draft: Pick<Draft, 'get'>,
  account: string,
  namespace: string,
  name: string,
  version: string,
): boolean {
  return draft.get('function', functionKey(account, namespace, name, version)) !== undefined
}

/**
 * Freezes a namespace and all its functions as they are now under the next number, which no version of one of these
 * functions has or had.
 *
 * @param record The namespace, as the draft has it.
 * @param nowMs Epoch milliseconds.
 * @throws {import('./quotas.ts').QuotaExceeded}
 */
export function publishNamespace(
  draft: Draft,
  record: Stored<'namespace'>,
  { description, nowMs }: { readonly description: string; readonly nowMs: number },
): Stored<'version'> {
  const { account, name: namespace } = record.value
  const functions = namespaceFunctions(draft, account, namespace)
  const all = versionKey(account, namespace, '')
  requireQuota(draft, 'version', all, QUOTA.versions, 'versions of a namespace')
  requireFunctionStates(draft, account, functions.length)
  const highest = functions.reduce(
    (number, { value }) => Math.max(number, value.lastVersion ?? 0),
    record.value.lastVersion,
  )
  const version = String(highest + 1)
  draft.put('namespace', record.key, { ...record.value, lastVersion: highest + 1 })
  for (const { value } of functions) {
    const { lastVersion: _, ...latest } = value
    draft.put('function', functionKey(account, namespace, value.name, version), {
      ...latest,
      version,
      stateId: newId(),
    })
  }
  return draft.put('version', versionKey(account, namespace, version), {
    account,
    namespace,
    version,
    description,
    snapshot: record.value,
    createdAtMs: nowMs,
    modifiedAtMs: nowMs,
  })
}

/** Whether publishing would freeze what is frozen already: what callers and code can tell apart is the same. */
export function isUnchangedSince(head: FunctionRecord, snapshot: FunctionRecord): boolean {
  return isDeepStrictEqual(contentOfFunction(head), contentOfFunction(snapshot))
}

/** As {@link isUnchangedSince}, of a namespace without its functions. */
export function isNamespaceUnchangedSince(head: NamespaceRecord, snapshot: NamespaceRecord): boolean {
  return isDeepStrictEqual(contentOfNamespace(head), contentOfNamespace(snapshot))
}

function contentOfFunction({ name, functionId, description, spec, facts, extras }: FunctionRecord): unknown {
  return { name, functionId, description, spec, facts, extras }
}

function contentOfNamespace({ namespaceId, description, facts, extras }: NamespaceRecord): unknown {
  return { namespaceId, description, facts, extras }
}
