import { EngineError } from '../model/errors.ts'
import { LATEST } from '../model/function.ts'
import type { InvokeTarget } from '../model/invocation.ts'
import type { AliasRecord, Stored } from '../store/store.ts'
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
  { account, namespace, name, qualifier = LATEST }: InvokeTarget,
  choose: (alias: AliasRecord) => string,
): Stored<'function'> {
  const at = (version: string): Stored<'function'> | undefined =>
    definitions.get('function', functionKey(account, namespace, name, version))
  const direct = at(qualifier)
  if (direct !== undefined) return direct
  const alias =
    definitions.get('alias', aliasKey(account, namespace, qualifier, name)) ??
    definitions.get('alias', aliasKey(account, namespace, qualifier))
  const version = alias === undefined ? qualifier : choose(alias.value)
  const behind = alias === undefined ? undefined : at(version)
  if (behind !== undefined) return behind
  if (definitions.get('namespace', namespaceKey(account, namespace)) === undefined)
    throw new EngineError('caller/namespace-not-found', { namespace })
  // The latest state, or a version of the whole namespace, without the function in it.
  if (version === LATEST || definitions.get('version', versionKey(account, namespace, version)) !== undefined)
    throw new EngineError('caller/function-not-found', { namespace, name })
  throw alias === undefined && !/^\d+$/.test(version)
    ? new EngineError('caller/alias-not-found', { namespace, alias: qualifier })
    : new EngineError('caller/version-not-found', { namespace, version })
}
