import { createHash } from 'node:crypto'

const PREFIX = 'merged-'
const NAME = new RegExp(`^${PREFIX}[0-9a-f]{64}$`)

/** The folder's name of the trees of several packages merged in this order. */
export function mergedName(digests: readonly string[]): string {
  return PREFIX + createHash('sha256').update(digests.join('\n')).digest('hex')
}

/** Names the tree that {@link mergedName} or, for one package, its digest names. */
export function layersName(digests: readonly string[]): string {
  const [only, ...more] = digests
  return only !== undefined && more.length === 0 ? only : mergedName(digests)
}

export function isMergedName(name: string): boolean {
  return NAME.test(name)
}
