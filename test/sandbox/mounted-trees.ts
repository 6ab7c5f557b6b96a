/**
 * In a mount namespace of its own: mounts directories on others, and says what is thought of a data directory then. Its argument is an
 * {@link Order} as JSON; prints the thoughts.
 */
import { spawnSync } from 'node:child_process'
import { requireHidden, ShownToFunctions, treeShowing } from '../../src/sandbox/shown-trees.ts'

export interface Order {
  /** From where to where, one after another. */
  readonly binds: readonly (readonly [string, string])[]
  readonly trees: readonly string[]
  readonly dir: string
}

const { binds, trees, dir }: Order = JSON.parse(process.argv[2] ?? '')
for (const [from, to] of binds) {
  const { status, stderr } = spawnSync('/bin/mount', ['--bind', from, to], { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
}
const thought = {
  ofHome: treeShowing({ dir }, trees) ?? null,
  ofData: treeShowing({ dir, isPrivate: true }, trees) ?? null,
  refused: refusal(),
}
process.stdout.write(JSON.stringify(thought))

function refusal(): string | null {
  try {
    requireHidden(dir)
    return null
  } catch (error) {
    if (error instanceof ShownToFunctions) return error.message
    throw error
  }
}
