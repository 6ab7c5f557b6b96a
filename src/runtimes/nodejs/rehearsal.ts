import { createRequire } from 'node:module'
import path from 'node:path'
import { loadFunction } from './loader.ts'
import { OWN_DIRECTORY } from './place.ts'

/**
 * Goes the way that loading the function will take, with one that lies beside the bootstrap and does nothing: what Node compiles and
 * reads at the first load of a module takes more than a millisecond, and is there then when a call waits. Leaves nothing in the cache
 * of modules.
 */
export async function rehearseLoading(): Promise<void> {
  const file = path.join(OWN_DIRECTORY, 'rehearsed.js')
  // One that is found, one that is not.
  for (const handler of ['rehearsed.handler', 'nothing.handler'])
    await loadFunction(OWN_DIRECTORY, handler).catch(() => undefined)
  const { cache } = createRequire(file)
  delete cache[file]
}
