import type { Definitions } from '../../engine/catalogue.ts'
import { aliasKey, functionKey, namespaceKey, versionKey } from '../../engine/keys.ts'
import { EngineError } from '../../model/errors.ts'
import { LATEST } from '../../model/function.ts'
import type { Stored } from '../../store/store.ts'

/** @throws {EngineError} `caller/namespace-not-found` */
export function requireService(
  definitions: Definitions,
  account: string,
  service: string,
): Stored<'namespace'> {
  const record = definitions.get('namespace', namespaceKey(account, service))
  if (record === undefined) throw new EngineError('caller/namespace-not-found', { namespace: service })
  return record
}

/**
 * The version a qualifier leads to now. A weighted alias leads to its main version: reading definitions draws no lots.
 *
 * @param qualifier A version number, an alias or `LATEST`; absent means `LATEST`.
 * @throws {EngineError} `caller/namespace-not-found`, `caller/version-not-found`, `caller/alias-not-found`
 */
export function versionThrough(
  definitions: Definitions,
  account: string,
  service: string,
  qualifier: string | undefined,
): string {
  requireService(definitions, account, service)
  if (qualifier === undefined || qualifier === LATEST) return LATEST
  if (/^\d+$/.test(qualifier)) return requireVersion(definitions, account, service, qualifier).value.version
  const alias = definitions.get('alias', aliasKey(account, service, qualifier))
  if (alias === undefined)
    throw new EngineError('caller/alias-not-found', { namespace: service, alias: qualifier })
  if (alias.value.version === LATEST) return LATEST
  return requireVersion(definitions, account, service, alias.value.version).value.version
}

/** A published version of a service. @throws {EngineError} `caller/version-not-found` */
export function requireVersion(
  definitions: Definitions,
  account: string,
  service: string,
  version: string,
): Stored<'version'> {
  const record = definitions.get('version', versionKey(account, service, version))
  if (record === undefined) throw new EngineError('caller/version-not-found', { namespace: service, version })
  return record
}

/**
 * A function as it is at one version.
 *
 * @throws {EngineError} `caller/namespace-not-found`, `caller/version-not-found`, `caller/alias-not-found`,
 *   `caller/function-not-found`
 */
export function requireFunction(
  definitions: Definitions,
  account: string,
  service: string,
  name: string,
  qualifier?: string,
): Stored<'function'> {
  const version = versionThrough(definitions, account, service, qualifier)
  const record = definitions.get('function', functionKey(account, service, name, version))
  if (record === undefined) throw new EngineError('caller/function-not-found', { namespace: service, name })
  return record
}
