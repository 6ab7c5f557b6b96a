import { EngineError } from '../../model/errors.ts'
import { layerDigests } from '../../model/function.ts'
import type { Change, DefinitionStore } from '../definition-store.ts'
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
      for (const { digests } of layersIn(changes)) {
        await packages.ensureLayers(digests).catch((error: unknown) => {
          const reason = 'the layers of a function could not be laid out'
          throw new EngineError('platform/store-failed', { reason }, { cause: error })
        })
      }
      await definitions.commit(changes)
    },
  }
}

/**
 * Makes the trees again that recorded functions need and that were lost: before anything is started.
 *
 * @param records Those of functions among any.
 * @param onFailure Told of a function that cannot start, because its layers are not there; of several with the same, of one.
 */
export async function restoreLayers(
  records: readonly DefinedLayers[],
  packages: Pick<PackageStore, 'ensureLayers'>,
  onFailure: (functionKey: string, error: unknown) => void,
): Promise<void> {
  for (const { key, digests } of layersIn(records))
    await packages.ensureLayers(digests).catch((error: unknown) => onFailure(key, error))
}

/** A record, or a change of one. */
type DefinedLayers = Pick<Change, 'key' | 'value'>

interface LayerList {
  /** Of a function that has these layers. */
  readonly key: string
  readonly digests: readonly string[]
}

/** The layers of each function, each list once. */
function layersIn(records: readonly DefinedLayers[]): Iterable<LayerList> {
  const lists = new Map<string, LayerList>()
  for (const { key, value } of records) {
    const digests = value !== undefined && 'spec' in value ? layerDigests(value.spec) : []
    const name = digests.join(' ')
    if (digests.length > 0 && !lists.has(name)) lists.set(name, { key, digests })
  }
  return lists.values()
}
