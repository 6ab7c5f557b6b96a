import { EngineError } from '../model/errors.ts'
import { LATEST } from '../model/function.ts'
import type { InvokeTarget } from '../model/invocation.ts'
import type { AliasRecord, Stored } from '../store/definition-store.ts'
import type { Definitions } from './catalogue.ts'
import { aliasKey, functionKey, namespaceKey, versionKey } from './keys.ts'

/**
 * The record of a function at the version a qualifier leads to: a version before an alias, and an alias of the function
 * before one of its namespace.
 *
 * @param choose Which of an alias's versions is meant.
 * @throws {EngineError} `caller/namespace-not-found`, `caller/function-not-found`, `caller/version-not-found`,
 *   `caller/alias-not-found`
 */
export function findFunctionRecord(
  definitions: Definitions,
  target: InvokeTarget,
  choose: (alias: AliasRecord) => string,
): Stored<'function'> {
  const { account, namespace, name, qualifier = LATEST } = target
  return (
    definitions.get('function', functionKey(account, namespace, name, qualifier)) ??
    findThroughAlias(definitions, target, choose)
  )
}

/** As {@link findFunctionRecord}, of a qualifier that is known to be no version that holds the function. */
export function findThroughAlias(
  definitions: Definitions,
  { account, namespace, name, qualifier = LATEST }: InvokeTarget,
  choose: (alias: AliasRecord) => string,
): Stored<'function'> {
  const alias =
    definitions.get('alias', aliasKey(account, namespace, qualifier, name)) ??
    definitions.get('alias', aliasKey(account, namespace, qualifier))
  const version = alias === undefined ? qualifier : choose(alias.value)
  if (alias !== undefined) {
    const behind = definitions.get('function', functionKey(account, namespace, name, version))
    if (behind !== undefined) return behind
  }
  if (definitions.get('namespace', namespaceKey(account, namespace)) === undefined)
    throw new EngineError('caller/namespace-not-found', { namespace })
  // The latest state, or a version of the whole namespace, without the function in it.
  if (version === LATEST || definitions.get('version', versionKey(account, namespace, version)) !== undefined)
    throw new EngineError('caller/function-not-found', { namespace, name })
  throw alias === undefined && !/^\d+$/.test(version)
    ? new EngineError('caller/alias-not-found', { namespace, alias: qualifier })
    : new EngineError('caller/version-not-found', { namespace, version })
}
