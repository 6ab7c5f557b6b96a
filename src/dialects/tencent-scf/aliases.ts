import { QUOTA } from '../../definitions/quotas.ts'
import { removeSettingsThrough } from '../../definitions/remove.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import { aliasKey, functionKey } from '../../engine/keys.ts'
import { EngineError } from '../../model/errors.ts'
import type { FunctionName } from '../../model/function.ts'
import type { AliasRecord, FunctionRecord } from '../../store/definition-store.ts'
import { withExtras } from '../extras.ts'
import { aliasesOf, unroutedDefault } from './alias-records.ts'
import { aliasNotFound, ScfError } from './errors.ts'
import { invalidValue, textField } from './fields.ts'
import { DIALECT, type JsonObject, type Operation } from './operation.ts'
import { onPage, pageOf } from './paging.ts'
import { readRouting, routingBody, type Routing } from './routing.ts'
import { DEFAULT_ALIAS, qualifierOf, requireLatest, shownQualifier, targetOf } from './targets.ts'
import { formatTime } from './times.ts'

/** Source: the vendor's CreateAlias page. */
const MAX_DESCRIPTION_CHARS = 1000
const NEW_ALIAS_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/
const ALIAS_NAME = /^(?:\$DEFAULT|[A-Za-z0-9_.-]{1,128})$/

/** @throws {ScfError} `ResourceInUse.Alias`, `ResourceNotFound.Version`, `LimitExceeded.Alias` */
export const createAlias: Operation = async (call, { catalogue, now }) => {
  const target = targetOf(call)
  const name = textField(call.params, 'Name', { required: true, code: 'InvalidParameterValue.Name' })
  if (name !== DEFAULT_ALIAS && !NEW_ALIAS_NAME.test(name))
    throw invalidValue('Name', NEW_ALIAS_NAME.source, name, 'InvalidParameterValue.Name')
  const given = readAlias(call.params)
  await catalogue.change((draft) => {
    requireLatest(draft, target)
    requireVersions(draft, target, given)
    const key = aliasKey(target.account, target.namespace, name, target.name)
    // Whoever asks for a version before an alias would never reach an alias of that name.
    const isVersion =
      draft.get('function', functionKey(target.account, target.namespace, target.name, name)) !== undefined
    if (name === DEFAULT_ALIAS || isVersion || draft.get('alias', key) !== undefined)
      throw new ScfError('ResourceInUse.Alias', `alias '${name}' of function '${target.name}' already exists`)
    const own = aliasKey(target.account, target.namespace, '', target.name)
    if (draft.count('alias', own) >= QUOTA.aliases)
      throw new ScfError('LimitExceeded.Alias', `a function may have ${QUOTA.aliases} aliases at most`)
    const nowMs = now()
    draft.put('alias', key, {
      account: target.account,
      namespace: target.namespace,
      functionName: target.name,
      name,
      version: given.version,
      weights: given.routing.weights,
      description: given.description ?? '',
      extras: withExtras({}, DIALECT, { matches: given.routing.matches }),
      createdAtMs: nowMs,
      modifiedAtMs: nowMs,
    })
  })
  return {}
}

/** Reroutes an alias. Without `RoutingConfig` all calls go to its version; without `Description` that stays. */
export const updateAlias: Operation = async (call, { catalogue, now }) => {
  const target = targetOf(call)
  const name = aliasNameOf(call.params)
  const given = readAlias(call.params)
  await catalogue.change((draft) => {
    const head = requireLatest(draft, target)
    const before = requireOwnAlias(draft, head.value, name, 'FailedOperation.UpdateAlias')
    requireVersions(draft, target, given)
    draft.put('alias', aliasKey(target.account, target.namespace, name, target.name), {
      ...before,
      version: given.version,
      weights: given.routing.weights,
      description: given.description ?? before.description,
      extras: withExtras(before.extras, DIALECT, { matches: given.routing.matches }),
      modifiedAtMs: now(),
    })
  })
  return {}
}

/** @throws {ScfError} `ResourceNotFound.Alias` */
export const getAlias: Operation = (call, { catalogue }) => {
  const head = requireLatest(catalogue, targetOf(call))
  return aliasBody(requireAlias(catalogue, head.value, aliasNameOf(call.params)))
}

/** `$DEFAULT` stays. @throws {ScfError} `ResourceNotFound.Alias`, `FailedOperation.DeleteAlias` */
export const deleteAlias: Operation = async (call, { catalogue }) => {
  const target = targetOf(call)
  const name = aliasNameOf(call.params)
  if (name === DEFAULT_ALIAS)
    throw new ScfError('FailedOperation.DeleteAlias', `the alias ${DEFAULT_ALIAS} cannot be deleted`)
  await catalogue.change((draft) => {
    const head = requireLatest(draft, target)
    requireOwnAlias(draft, head.value, name, 'FailedOperation.DeleteAlias')
    draft.delete('alias', aliasKey(target.account, target.namespace, name, target.name))
    removeSettingsThrough(draft, target.account, target.namespace, target.name, name)
  })
  return {}
}

/** The aliases of a function, `$DEFAULT` first; those of one version where the request names it. */
export const listAliases: Operation = (call, { catalogue }) => {
  const target = targetOf(call)
  const page = pageOf(call.params)
  const version = qualifierOf(call.params, 'FunctionVersion')
  const head = requireLatest(catalogue, target).value
  const known = aliasesOf(catalogue, target).map(({ value }) => value)
  const isRouted = known.some(({ name }) => name === DEFAULT_ALIAS)
  const aliases = (isRouted ? known : [unroutedDefault(head), ...known]).filter(
    (alias) => version === undefined || alias.version === version || Object.hasOwn(alias.weights, version),
  )
  return { Aliases: onPage(aliases, page).map(aliasBody), TotalCount: aliases.length }
}

interface GivenAlias {
  readonly version: string
  readonly description: string | undefined
  readonly routing: Routing
}

function readAlias(params: JsonObject): GivenAlias {
  const version = qualifierOf(params, 'FunctionVersion', { required: true })
  if (version === undefined) throw invalidValue('FunctionVersion', 'a version', '')
  const description = textField(params, 'Description', {
    max: MAX_DESCRIPTION_CHARS,
    code: 'InvalidParameterValue.Description',
  })
  return { version, description, routing: readRouting(params, version) }
}

function aliasNameOf(params: JsonObject): string {
  const name = textField(params, 'Name', { required: true, code: 'InvalidParameterValue.Name' })
  // The vendor's tools look for its words for a missing alias, whatever name they asked for.
  if (!ALIAS_NAME.test(name)) throw aliasNotFound(name.slice(0, 128))
  return name
}

function requireAlias(definitions: Definitions, head: FunctionRecord, name: string): AliasRecord {
  const alias = aliasesOf(definitions, head).find(({ value }) => value.name === name)?.value
  if (alias !== undefined) return alias
  if (name === DEFAULT_ALIAS) return unroutedDefault(head)
  throw aliasNotFound(name)
}

/** An alias of the whole namespace is seen through each of its functions, and changed through none. */
function requireOwnAlias(
  definitions: Definitions,
  head: FunctionRecord,
  name: string,
  code: 'FailedOperation.UpdateAlias' | 'FailedOperation.DeleteAlias',
): AliasRecord {
  const alias = requireAlias(definitions, head, name)
  if (alias.functionName === undefined)
    throw new ScfError(
      code,
      `alias '${name}' is one of the whole namespace '${head.namespace}' and is not changed through one function`,
    )
  return alias
}

function requireVersions(
  definitions: Definitions,
  { account, namespace, name }: FunctionName,
  { version: main, routing }: GivenAlias,
): void {
  for (const version of [
    main,
    ...Object.keys(routing.weights),
    ...routing.matches.map((match) => match.version),
  ])
    if (definitions.get('function', functionKey(account, namespace, name, version)) === undefined)
      throw new EngineError('caller/version-not-found', { namespace, version })
}

function aliasBody(alias: AliasRecord): JsonObject {
  return {
    FunctionVersion: shownQualifier(alias.version),
    Name: alias.name,
    RoutingConfig: routingBody(alias),
    Description: alias.description,
    AddTime: formatTime(alias.createdAtMs),
    ModTime: formatTime(alias.modifiedAtMs),
  }
}
