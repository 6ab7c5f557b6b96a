import type { Definitions } from '../engine/catalogue.ts'
import { aliasKey, functionKey, namespaceKey, versionKey } from '../engine/keys.ts'
import { EngineError } from '../model/errors.ts'
import { LATEST } from '../model/function.ts'
import type { Stored } from '../store/store.ts'

/**
 * A function as it is at the version a qualifier leads to now, by the same rules as a call of it: a version before an
 * alias, the function's own alias before its namespace's. A weighted alias leads to its main version: reading definitions
 * draws no lots.
 *
 * @param qualifier A version or an alias; absent or `LATEST` means the latest state.
 * @throws {EngineError} `caller/namespace-not-found`, `caller/function-not-found`, `caller/version-not-found`,
 *   `caller/alias-not-found`
 */
export function findFunction(
  definitions: Definitions,
  account: string,
  namespace: string,
  name: string,
  qualifier: string = LATEST,
): Stored<'function'> {
  const at = (version: string): Stored<'function'> | undefined =>
    definitions.get('function', functionKey(account, namespace, name, version))
  const direct = at(qualifier)
  if (direct !== undefined) return direct
  if (definitions.get('namespace', namespaceKey(account, namespace)) === undefined)
    throw new EngineError('caller/namespace-not-found', { namespace })
  const hasVersion = (version: string): boolean =>
    definitions.get('version', versionKey(account, namespace, version)) !== undefined
  if (qualifier === LATEST || hasVersion(qualifier))
    throw new EngineError('caller/function-not-found', { namespace, name })
  const alias =
    definitions.get('alias', aliasKey(account, namespace, qualifier, name)) ??
    definitions.get('alias', aliasKey(account, namespace, qualifier))
  if (alias === undefined)
    throw /^\d+$/.test(qualifier)
      ? new EngineError('caller/version-not-found', { namespace, version: qualifier })
      : new EngineError('caller/alias-not-found', { namespace, alias: qualifier })
  const { version } = alias.value
  const behind = at(version)
  if (behind !== undefined) return behind
  throw version === LATEST || hasVersion(version)
    ? new EngineError('caller/function-not-found', { namespace, name })
    : new EngineError('caller/version-not-found', { namespace, version })
}
