import type { Definitions } from '../../engine/catalogue.ts'
import { aliasKey } from '../../engine/keys.ts'
import { LATEST, type FunctionName } from '../../model/function.ts'
import type { AliasRecord, FunctionRecord, Stored } from '../../store/definition-store.ts'
import { DEFAULT_ALIAS } from './targets.ts'

/** The aliases that lead to versions of a function: its own, then those of its namespace that it does not hide. */
export function aliasesOf(
  definitions: Definitions,
  { account, namespace, name }: FunctionName,
): readonly Stored<'alias'>[] {
  const own = definitions.list('alias', aliasKey(account, namespace, '', name))
  const hidden = new Set(own.map(({ value }) => value.name))
  const common = definitions
    .list('alias', aliasKey(account, namespace, ''))
    .filter(({ value }) => !hidden.has(value.name))
  return [...own, ...common]
}

/** The alias every function has, as it is before it is rerouted for the first time. */
export function unroutedDefault(head: FunctionRecord): AliasRecord {
  return {
    account: head.account,
    namespace: head.namespace,
    functionName: head.name,
    name: DEFAULT_ALIAS,
    version: LATEST,
    weights: {},
    description: '',
    extras: {},
    createdAtMs: head.createdAtMs,
    modifiedAtMs: head.createdAtMs,
  }
}
