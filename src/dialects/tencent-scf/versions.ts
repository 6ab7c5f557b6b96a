import { allVersions } from '../../definitions/function-versions.ts'
import { publishFunction } from '../../definitions/publish.ts'
import { removeFunctionVersion } from '../../definitions/remove.ts'
import type { Definitions, Draft } from '../../engine/catalogue.ts'
import { versionKey } from '../../engine/keys.ts'
import { LATEST, type FunctionName } from '../../model/function.ts'
import type { Stored } from '../../store/definition-store.ts'
import { aliasesOf } from './alias-records.ts'
import { applyReserve } from './concurrency.ts'
import { ScfError } from './errors.ts'
import { invalidValue, textField } from './fields.ts'
import type { Operation } from './operation.ts'
import { inOrder, onPage, orderOf, pageOf } from './paging.ts'
import { DEFAULT_ALIAS, qualifierOf, requireLatest, shownQualifier, targetOf } from './targets.ts'
import { formatTime } from './times.ts'

/** Source: the vendor's PublishVersion page. */
const MAX_DESCRIPTION_CHARS = 1000

/** A version of a function as lists show it. */
interface ShownVersion {
  readonly version: string
  readonly description: string
  readonly createdAtMs: number
  readonly modifiedAtMs: number
}

/** Freezes the function as it is under the next number, from 1. */
export const publishVersion: Operation = async (call, { catalogue, now }) => {
  const target = targetOf(call)
  const description =
    textField(call.params, 'Description', {
      max: MAX_DESCRIPTION_CHARS,
      code: 'InvalidParameterValue.Description',
    }) ?? ''
  const { head, version } = await catalogue.change((draft) => {
    const latest = requireLatest(draft, target)
    return { head: latest.value, version: publish(draft, latest, description, now()) }
  })
  return {
    FunctionVersion: version.value.version,
    CodeSize: head.spec.code.sizeBytes,
    MemorySize: head.spec.memoryMib,
    Description: description,
    Handler: head.spec.handler,
    Timeout: Math.ceil(head.spec.timeoutMs / 1000),
    Runtime: head.spec.runtime,
    Namespace: head.namespace,
  }
}

/** `$LATEST` and every version that holds the function, those of its namespace included. Newest first by default. */
export const listVersionByFunction: Operation = (call, { catalogue }) => {
  const target = targetOf(call)
  const page = pageOf(call.params)
  const { key, descending } = orderOf(
    call.params,
    'OrderBy',
    { AddTime: 'createdAtMs', ModTime: 'modifiedAtMs' } as const,
    { key: 'createdAtMs', descending: true },
  )
  const versions = inOrder(versionsOf(catalogue, target), (version) => version[key], descending)
  const head = requireLatest(catalogue, target).value
  const latest: ShownVersion = { ...head, version: LATEST }
  const all = [latest, ...versions]
  const shown = onPage(all, page)
  return {
    FunctionVersion: shown.map(({ version }) => shownQualifier(version)),
    Versions: shown.map(({ version, description, createdAtMs, modifiedAtMs }) => ({
      Version: shownQualifier(version),
      Description: description,
      AddTime: formatTime(createdAtMs),
      ModTime: formatTime(modifiedAtMs),
      Status: 'Active',
    })),
    TotalCount: all.length,
  }
}

/** Calls that run are not ended: `ForceDelete` makes no difference. @throws {ScfError} `UnsupportedOperation.AliasBind` */
export const deleteFunctionVersion: Operation = async (call, { catalogue }) => {
  const target = targetOf(call)
  const qualifier = qualifierOf(call.params, 'Qualifier', { required: true }) ?? LATEST
  await catalogue.change((draft) => {
    requireLatest(draft, target)
    removeVersion(draft, target, qualifier)
  })
  return {}
}

/** Publishes a function and holds the new version to the function's reserve. */
export function publish(
  draft: Draft,
  head: Stored<'function'>,
  description: string,
  nowMs: number,
): Stored<'version'> {
  const version = publishFunction(draft, head, { description, nowMs })
  applyReserve(draft, head.value, nowMs)
  return version
}

/** Removes a version of a function that no alias leads to. @throws {ScfError} */
export function removeVersion(draft: Draft, target: FunctionName, version: string): void {
  const { account, namespace, name } = target
  if (version === LATEST || version === DEFAULT_ALIAS)
    throw invalidValue(
      'Qualifier',
      'a published version',
      shownQualifier(version),
      'InvalidParameterValue.Qualifier',
    )
  for (const { value } of aliasesOf(draft, target))
    if (value.version === version || Object.hasOwn(value.weights, version))
      throw new ScfError(
        'UnsupportedOperation.AliasBind',
        `version ${version} is bound to alias '${value.name}': route the alias elsewhere first`,
      )
  const isOfNamespace = draft.get('version', versionKey(account, namespace, version)) !== undefined
  if (isOfNamespace && draft.get('version', versionKey(account, namespace, version, name)) === undefined)
    throw new ScfError(
      'UnsupportedOperation',
      `version ${version} was published for the whole namespace '${namespace}' and is removed with it`,
    )
  removeFunctionVersion(draft, account, namespace, name, version)
}

function versionsOf(definitions: Definitions, target: FunctionName): readonly ShownVersion[] {
  return allVersions(definitions, target)
    .map(({ version }) => version)
    .sort((a, b) => b.version.localeCompare(a.version, 'en', { numeric: true }))
}
