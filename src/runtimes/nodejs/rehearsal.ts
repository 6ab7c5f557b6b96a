import Module, { createRequire } from 'node:module'
import path from 'node:path'
import { loadFunction } from './loader.ts'
import { OWN_DIRECTORY } from './place.ts'

/** A name beside the bootstrap that no file has. */
const NOWHERE = path.join(OWN_DIRECTORY, 'nothing.cjs')

/**
 * Goes the way that loading the function will take, with nothing of anybody's: what Node compiles and reads at the first load of a
 * module takes more than a millisecond, and is there then when a call waits. Leaves nothing in the cache of modules.
 */
export async function rehearseLoading(): Promise<void> {
  // One module that is found and has no such export, one that is not found.
  for (const handler of ['package.json.none', 'nothing.none'])
    await loadFunction(OWN_DIRECTORY, handler).catch(() => undefined)
  const { cache } = createRequire(NOWHERE)
  delete cache[path.join(OWN_DIRECTORY, 'package.json')]
  // What every module's text goes through; not documented, so its absence must not matter.
  const compile: unknown = Reflect.get(Module.prototype, '_compile')
  if (typeof compile === 'function')
    Reflect.apply(compile, new Module(NOWHERE), ['exports.handler = async () => undefined', NOWHERE])
}
