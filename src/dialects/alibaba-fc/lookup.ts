import type { Definitions } from '../../engine/catalogue.ts'
import { aliasKey } from '../../engine/keys.ts'
import { EngineError } from '../../model/errors.ts'
import { LATEST } from '../../model/function.ts'
import { requireService, requireVersion } from './target.ts'

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
  const version = behindAlias(definitions, account, service, qualifier ?? LATEST)
  requireVersion(definitions, account, service, version)
  return version
}

function behindAlias(definitions: Definitions, account: string, service: string, qualifier: string): string {
  if (qualifier === LATEST || /^\d+$/.test(qualifier)) return qualifier
  const alias = definitions.get('alias', aliasKey(account, service, qualifier))
  if (alias === undefined)
    throw new EngineError('caller/alias-not-found', { namespace: service, alias: qualifier })
  return alias.value.version
}
