import { Catalogue, type Draft } from '../../src/engine/catalogue.ts'
import { aliasKey, functionKey, namespaceKey } from '../../src/engine/keys.ts'
import { LATEST } from '../../src/model/function.ts'
import type { FunctionRecord, RecordKind, Stored } from '../../src/store/definition-store.ts'
import { MemoryDefinitions } from '../helpers/memory-definitions.ts'
import { aVersion } from '../helpers/versions.ts'

export const ACCOUNT = '1234567890123456'
const stamps = { createdAtMs: 1, modifiedAtMs: 1 }

export const openCatalogue = (): Promise<Catalogue> => Catalogue.open(new MemoryDefinitions(), () => 0)

export function putNamespace(draft: Draft, name = 'demo', lastVersion = 0): Stored<'namespace'> {
  return draft.put('namespace', namespaceKey(ACCOUNT, name), {
    ...stamps,
    account: ACCOUNT,
    name,
    namespaceId: `id-of-${name}`,
    description: '',
    facts: {},
    lastVersion,
    extras: {},
  })
}

export function putFunction(
  draft: Draft,
  name: string,
  changes: Partial<FunctionRecord> = {},
): Stored<'function'> {
  const { id: _id, functionId: _functionId, facts: _facts, ...spec } = aVersion()
  const namespace = changes.namespace ?? 'demo'
  const version = changes.version ?? LATEST
  return draft.put('function', functionKey(ACCOUNT, namespace, name, version), {
    ...stamps,
    account: ACCOUNT,
    namespace,
    name,
    version,
    functionId: `id-of-${name}`,
    stateId: `state-of-${name}-${version}`,
    description: '',
    spec,
    facts: {},
    extras: {},
    ...changes,
  })
}

export function putAlias(
  draft: Draft,
  name: string,
  version: string,
  functionName?: string,
  weights: Readonly<Record<string, number>> = {},
): Stored<'alias'> {
  return draft.put('alias', aliasKey(ACCOUNT, 'demo', name, functionName), {
    ...stamps,
    account: ACCOUNT,
    namespace: 'demo',
    ...(functionName === undefined ? {} : { functionName }),
    name,
    version,
    weights,
    description: '',
    extras: {},
  })
}

/** Every record there is, as `kind key`. */
export function everything(catalogue: Catalogue): string[] {
  const kinds: readonly RecordKind[] = [
    'namespace',
    'function',
    'version',
    'alias',
    'asyncConfig',
    'scaling',
    'provision',
    'tags',
    'trigger',
    'layer',
    'document',
  ]
  return kinds.flatMap((kind) => catalogue.list(kind, '').map(({ key }) => `${kind} ${key}`))
}
