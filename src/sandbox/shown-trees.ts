import { realpathSync, statSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, resolve } from 'node:path'
import { systemTrees } from './bwrap/arguments.ts'
import { treesOfEtc } from './bwrap/etc.ts'
import { memoryBackedDir } from './server-directory.ts'

/** A directory that no function may see, and what it is to the operator. */
export interface HiddenPlace {
  readonly what: string
  readonly dir: string
}

/** What is kept from functions lies where every function looks. Its message says why that cannot be. */
export class ShownToFunctions extends Error {
  override readonly name = 'ShownToFunctions'
  readonly what: string
  readonly fix: string

  constructor(what: string, why: string, fix: string) {
    super(why)
    this.what = what
    this.fix = fix
  }
}

/** Why a tree of the host may not hold what is the server's: read-only mounts and modes do not stop a process with its user id. */
const WHY =
  'which every function sees; where the server is an ordinary user, functions have its user id and could read the keys and open the control socket'

/**
 * Directories that a tree which functions see may not hold.
 *
 * @param dataDir Of the server; it need not be there yet.
 */
export function hiddenPlaces(dataDir: string): readonly HiddenPlace[] {
  return [
    { what: 'the data directory', dir: dataDir },
    ...homes().map((dir) => ({ what: 'the home directory', dir })),
    { what: 'the temporary directory', dir: tmpdir() },
    { what: 'the directory for small files', dir: memoryBackedDir() },
  ]
}

function homes(): string[] {
  try {
    return [homedir()]
  } catch {
    // A user id without a name, and no HOME.
    return []
  }
}

/**
 * Looks at the trees of the host that every function sees.
 *
 * @param dataDir Of the server; it need not be there yet.
 * @throws {ShownToFunctions} the data directory, or one for the server's small files, lies in one of them.
 */
export function requireHidden(dataDir: string): void {
  const trees = [...systemTrees(), ...treesOfEtc()]
  const around = treeAround(dataDir, trees)
  if (around !== undefined)
    throw new ShownToFunctions(
      `the data directory ${dataDir} cannot be used`,
      `it lies in ${around}, ${WHY}`,
      'choose another directory with --data or ANVOKE_DATA_DIR',
    )
  for (const dir of new Set([tmpdir(), memoryBackedDir()])) {
    const tree = treeAround(dir, trees)
    if (tree !== undefined)
      throw new ShownToFunctions(
        `the temporary directory ${dir} cannot be used`,
        `it lies in ${tree}, which every function sees, and the server keeps files of its own there`,
        'name another in the variable TMPDIR',
      )
  }
}

/**
 * @param dir A directory; where it is not there yet, the nearest one above it counts.
 * @returns The tree that is, or holds, this directory, by whichever path, links and bind mounts included.
 */
export function treeAround(dir: string, trees: readonly string[]): string | undefined {
  const known = new Map(
    trees.flatMap((tree) => identityOf(tree).map((identity) => [identity, tree] as const)),
  )
  let above = nearestReal(resolve(dir))
  for (;;) {
    for (const identity of identityOf(above)) {
      const tree = known.get(identity)
      if (tree !== undefined) return tree
    }
    if (above === dirname(above)) return undefined
    above = dirname(above)
  }
}

/** Not the path: one directory can have several. */
function identityOf(path: string): string[] {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true })
  return stat === undefined ? [] : [`${stat.dev}:${stat.ino}`]
}

function nearestReal(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path === dirname(path) ? path : nearestReal(dirname(path))
  }
}
