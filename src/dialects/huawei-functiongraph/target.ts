import type { Definitions } from '../../engine/catalogue.ts'
import { aliasKey, functionKey } from '../../engine/keys.ts'
import { findFunction } from '../../definitions/find-function.ts'
import { EngineError } from '../../model/errors.ts'
import type { Stored } from '../../store/definition-store.ts'
import { FssError } from './errors.ts'
import type { Call } from './operation.ts'
import { LATEST_VERSION, parseUrn, type FunctionUrn } from './urn.ts'

/** The function a path names. @throws {FssError} `FSS.1309` */
export function urnOf(call: Call): FunctionUrn {
  return parseUrn(call.params['function_urn'] ?? '', call)
}

/** Whether a path names the latest state in so many words: no qualifier at all means it as well. */
export function namesLatest(call: Call): boolean {
  const parts = (call.params['function_urn'] ?? '').split(':')
  return (parts.length === 8 || parts.length === 4) && parts.at(-1) === LATEST_VERSION
}

/** A function's latest state. @throws {EngineError} `caller/namespace-not-found`, `caller/function-not-found` */
export function requireHead(
  definitions: Definitions,
  account: string,
  { namespace, name }: Pick<FunctionUrn, 'namespace' | 'name'>,
): Stored<'function'> {
  return findFunction(definitions, account, namespace, name)
}

/**
 * The latest state of a function, for what only it can have done to it.
 *
 * @throws {FssError} `FSS.1015` when the URN names a version or an alias
 * @throws {EngineError} as {@link requireHead}
 */
export function requireMutable(
  definitions: Definitions,
  account: string,
  urn: FunctionUrn,
): Stored<'function'> {
  if (urn.qualifier !== undefined)
    throw new FssError('FSS.1015', `only version 'latest' can be changed, not '${urn.qualifier}'`)
  return requireHead(definitions, account, urn)
}

/**
 * A function at the version its URN leads to. A weighted alias leads to its main version.
 *
 * @throws {EngineError} `caller/…-not-found`
 */
export function requireAt(definitions: Definitions, account: string, urn: FunctionUrn): Stored<'function'> {
  const { namespace, name, qualifier, isAlias } = urn
  if (qualifier === undefined) return requireHead(definitions, account, urn)
  if (!isAlias) {
    const direct = definitions.get('function', functionKey(account, namespace, name, qualifier))
    if (direct !== undefined) return direct
    requireHead(definitions, account, urn)
    throw new EngineError('caller/version-not-found', { namespace, version: qualifier })
  }
  const isKnown =
    definitions.get('alias', aliasKey(account, namespace, qualifier, name)) !== undefined ||
    definitions.get('alias', aliasKey(account, namespace, qualifier)) !== undefined
  if (isKnown) return findFunction(definitions, account, namespace, name, qualifier)
  requireHead(definitions, account, urn)
  throw new EngineError('caller/alias-not-found', { namespace, alias: qualifier })
}
