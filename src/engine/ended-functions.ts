import type { FunctionName } from '../model/function.ts'
import type { Change } from '../store/definition-store.ts'
import type { Definitions } from './catalogue.ts'
import { namespaceKey } from './keys.ts'

/**
 * The functions of which a commit removed the last record, at whatever version.
 *
 * @param definitions As they are after the commit.
 */
export function functionsThatEnded(
  changes: readonly Change[],
  definitions: Definitions,
): readonly FunctionName[] {
  const removed = new Map<string, FunctionName>()
  for (const { kind, key, value } of changes) {
    const [account = '', namespace = '', _version, name = ''] = key.split('/')
    if (kind !== 'function' || value !== undefined) continue
    removed.set(`${account}/${namespace}/${name}`, { account, namespace, name })
  }
  const namespaces = new Set(
    [...removed.values()].map(({ account, namespace }) => namespaceKey(account, namespace)),
  )
  for (const namespace of namespaces)
    for (const { value } of definitions.list('function', `${namespace}/`))
      removed.delete(`${namespace}/${value.name}`)
  return [...removed.values()]
}
