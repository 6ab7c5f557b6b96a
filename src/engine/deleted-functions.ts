import type { FunctionName } from '../model/function.ts'
import type { Definitions } from './catalogue.ts'
import { functionKey } from './keys.ts'

/** Those of these functions of which there is no record, at whatever version. The objects that were given. */
export function deletedAmong<Name extends FunctionName>(
  functions: readonly Name[],
  definitions: Definitions,
): readonly Name[] {
  const missing = functions.filter(
    ({ account, namespace, name }) =>
      definitions.get('function', functionKey(account, namespace, name)) === undefined,
  )
  if (missing.length === 0) return []
  // One walk, however many are missing: a version can be there without the latest state.
  const there = new Set(
    definitions
      .list('function', '')
      .map(({ key, value }) => nameKey(key.split('/')[0], value.namespace, value.name)),
  )
  return missing.filter(({ account, namespace, name }) => !there.has(nameKey(account, namespace, name)))
}

/** No name contains a slash. */
function nameKey(account: string | undefined, namespace: string, name: string): string {
  return `${account}/${namespace}/${name}`
}
