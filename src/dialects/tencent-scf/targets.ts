import { findFunction } from '../../definitions/find-function.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import { aliasKey, functionKey, namespaceKey } from '../../engine/keys.ts'
import { EngineError } from '../../model/errors.ts'
import { LATEST, type FunctionName } from '../../model/function.ts'
import type { Stored } from '../../store/definition-store.ts'
import { ScfError, type ScfCode } from './errors.ts'
import { textField } from './fields.ts'
import { DEFAULT_NAMESPACE, type Call, type JsonObject } from './operation.ts'

/** How this API names the latest state. */
const LATEST_QUALIFIER = '$LATEST'

/** The alias that every function has from the start; it leads to the latest state until it is rerouted. */
export const DEFAULT_ALIAS = '$DEFAULT'

/** Source: the vendor's CreateFunction page. */
const NEW_FUNCTION_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,58}[A-Za-z0-9]$/
/** Longest name of a new function with that of its namespace, characters. Source: the same page. */
const MAX_NEW_NAMES_CHARS = 118
/** Also names that other APIs give, which are a little freer. */
const FUNCTION_NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,127}$/
/** Source of the length: the vendor's quota page; the text of its error says 30. */
const NEW_NAMESPACE = /^[A-Za-z0-9_-]{1,60}$/
const NAMESPACE = /^[A-Za-z0-9_-]{1,128}$/
const NAMESPACE_OR_EMPTY = {
  pattern: /^$|^[A-Za-z0-9_-]{1,128}$/,
  code: 'InvalidParameterValue.Namespace',
} as const
const QUALIFIER = /^\$?[A-Za-z0-9_.-]{1,128}$/

/** The function a request is about: `FunctionName` in `Namespace`, default `default`. @throws {ScfError} */
export function targetOf(call: Call): FunctionName {
  const name = textField(call.params, 'FunctionName', {
    required: true,
    pattern: FUNCTION_NAME,
    code: 'InvalidParameterValue.FunctionName',
  })
  return { account: call.accountId, namespace: namespaceOf(call.params), name }
}

/** As {@link targetOf}, for a function that is to be made: its name is held to the vendor's grammar. @throws {ScfError} */
export function newTargetOf(call: Call): FunctionName {
  const code = 'InvalidParameterValue.FunctionName'
  textField(call.params, 'FunctionName', { required: true, pattern: NEW_FUNCTION_NAME, code })
  const target = targetOf(call)
  if (target.namespace.length + target.name.length > MAX_NEW_NAMES_CHARS)
    throw new ScfError(
      code,
      `the names of a function and its namespace have ${MAX_NEW_NAMES_CHARS} characters together at most`,
    )
  return target
}

/** `Namespace`, default `default`; empty text counts as absent. @throws {ScfError} */
export function namespaceOf(params: JsonObject): string {
  return textField(params, 'Namespace', NAMESPACE_OR_EMPTY) || DEFAULT_NAMESPACE
}

/** A namespace that an action is about, as it must be named. @throws {ScfError} */
export function requiredNamespaceOf(params: JsonObject, options: { readonly isNew: boolean }): string {
  return textField(params, 'Namespace', {
    required: true,
    pattern: options.isNew ? NEW_NAMESPACE : NAMESPACE,
    code: options.isNew ? 'InvalidParameterValue.NamespaceInvalid' : 'InvalidParameterValue.Namespace',
  })
}

/**
 * A version or alias as the engine's records name it: `$LATEST`, which clients also write `LATEST`, is `LATEST`.
 *
 * @returns Undefined when the parameter is absent or empty.
 * @throws {ScfError}
 */
export function qualifierOf(
  params: JsonObject,
  parameter = 'Qualifier',
  options: { readonly required?: boolean; readonly code?: ScfCode } = {},
): string | undefined {
  const { required = false, code = 'InvalidParameterValue.Qualifier' } = options
  const given = textField(params, parameter, { code, ...(required ? { required, min: 1 } : {}) })
  if (given === undefined || given === '') return undefined
  textField(params, parameter, { pattern: QUALIFIER, code })
  return given === LATEST_QUALIFIER ? LATEST : given
}

/** A version or alias as this API shows it. */
export function shownQualifier(qualifier: string = LATEST): string {
  return qualifier === LATEST ? LATEST_QUALIFIER : qualifier
}

/** Makes sure that a namespace is there; `default` always is. @throws {EngineError} `caller/namespace-not-found` */
export function requireNamespace(definitions: Definitions, account: string, namespace: string): void {
  if (namespace === DEFAULT_NAMESPACE) return
  if (definitions.get('namespace', namespaceKey(account, namespace)) === undefined)
    throw new EngineError('caller/namespace-not-found', { namespace })
}

/**
 * A function's latest state.
 *
 * @throws {EngineError} `caller/namespace-not-found`, `caller/function-not-found`
 */
export function requireLatest(definitions: Definitions, target: FunctionName): Stored<'function'> {
  const { account, namespace, name } = target
  requireNamespace(definitions, account, namespace)
  const head = definitions.get('function', functionKey(account, namespace, name))
  if (head === undefined) throw new EngineError('caller/function-not-found', { namespace, name })
  return head
}

/**
 * A function as it is at the version a qualifier leads to. `$DEFAULT` leads to the latest state until it is rerouted.
 *
 * @throws {EngineError} `caller/namespace-not-found`, `caller/function-not-found`, `caller/version-not-found`,
 *   `caller/alias-not-found`
 */
export function requireAt(
  definitions: Definitions,
  target: FunctionName,
  qualifier: string = LATEST,
): Stored<'function'> {
  const { account, namespace, name } = target
  const head = requireLatest(definitions, target)
  if (qualifier === LATEST) return head
  const isUnrouted =
    qualifier === DEFAULT_ALIAS &&
    definitions.get('alias', aliasKey(account, namespace, DEFAULT_ALIAS, name)) === undefined
  return isUnrouted ? head : findFunction(definitions, account, namespace, name, qualifier)
}
