import type { Definitions } from '../../engine/catalogue.ts'
import { aliasKey } from '../../engine/keys.ts'
import { isJsonObject } from '../../model/json.ts'
import { extrasOf } from '../extras.ts'
import type { AliasRecord, FunctionRecord, Stored } from '../../store/definition-store.ts'
import { formatTime, shownVersion } from './names.ts'
import { DIALECT, type Call, type JsonObject } from './operation.ts'
import { formatUrn } from './urn.ts'

/** The member of an alias's extras that holds its rules. */
export const STRATEGY = 'additional_version_strategy'

/** A function's own aliases, by name. */
export function aliasesOf(
  definitions: Definitions,
  { account, namespace, name }: Pick<FunctionRecord, 'account' | 'namespace' | 'name'>,
): readonly Stored<'alias'>[] {
  return definitions.list('alias', aliasKey(account, namespace, '', name))
}

/** The versions an alias sends some calls to beside its own, by weight or by rules. */
export function additionalVersionsOf({ weights, extras }: AliasRecord): readonly string[] {
  const strategy = extrasOf(extras, DIALECT)[STRATEGY]
  return [...Object.keys(weights), ...(isJsonObject(strategy) ? Object.keys(strategy) : [])]
}

/** An alias as answers show it. Shares of calls are whole percents. */
export function aliasBody(call: Call, alias: AliasRecord): JsonObject {
  const weights = Object.entries(alias.weights).map(([version, share]) => [
    shownVersion(version),
    Math.round(share * 100),
  ])
  const strategy = extrasOf(alias.extras, DIALECT)[STRATEGY]
  return {
    name: alias.name,
    version: shownVersion(alias.version),
    description: alias.description,
    last_modified: formatTime(alias.modifiedAtMs),
    alias_urn: formatUrn(
      call,
      { namespace: alias.namespace, name: alias.functionName ?? '' },
      `!${alias.name}`,
    ),
    ...(weights.length > 0 && { additional_version_weights: Object.fromEntries(weights) }),
    ...(isJsonObject(strategy) && {
      [STRATEGY]: Object.fromEntries(
        Object.entries(strategy).map(([version, rules]) => [shownVersion(version), rules]),
      ),
    }),
  }
}
