import { EngineError } from '../../model/errors.ts'
import type { Change, DefinitionStore } from '../store.ts'
import type { PackageStore } from './packages.ts'

/**
 * Definitions in which no function is recorded before the tree of its layers is there: what starts an instance does not wait for
 * a disk. See {@link PackageStore.ensureLayers}, which who makes a function may call ahead, so that no other change waits here.
 *
 * `commit` also throws {@link EngineError} `platform/store-failed` where a tree cannot be made; nothing was changed then.
 */
export function withLayers(
  definitions: DefinitionStore,
  packages: Pick<PackageStore, 'ensureLayers'>,
): DefinitionStore {
  return {
    load: () => definitions.load(),
    commit: async (changes) => {
      for (const layers of layersIn(changes)) {
        await packages.ensureLayers(layers).catch((error: unknown) => {
          const reason = 'the layers of a function could not be laid out'
          throw new EngineError('platform/store-failed', { reason }, { cause: error })
        })
      }
      await definitions.commit(changes)
    },
  }
}

/** The digests of each function's layers, each list once. */
function layersIn(changes: readonly Change[]): Iterable<readonly string[]> {
  const lists = new Map<string, readonly string[]>()
  for (const { value } of changes) {
    const layers = value !== undefined && 'spec' in value ? value.spec.layers : undefined
    if (layers === undefined || layers.length === 0) continue
    const digests = layers.map(({ digest }) => digest)
    lists.set(digests.join(' '), digests)
  }
  return lists.values()
}
