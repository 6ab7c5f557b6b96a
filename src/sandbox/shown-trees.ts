import { existsSync, realpathSync, statSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { systemTrees } from './bwrap/arguments.ts'
import { treesOfEtc } from './bwrap/etc.ts'
import { hostMounts, isWithin, placeOf, type FilePlace, type HostMount } from './mounts.ts'
import { memoryBackedDir } from './server-directory.ts'

/** A directory that no function may see, and what it is to the operator. */
export interface HiddenPlace {
  readonly what: string
  readonly dir: string
  /** Whether no part of it may be mounted where functions see it, either. Default: it may, as parts of a home are. */
  readonly isPrivate?: true
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
    { what: 'the data directory', dir: dataDir, isPrivate: true },
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
 * @throws {ShownToFunctions} the data directory, or one for the server's small files, lies in one of them, or a part of the data is mounted
 *   there.
 */
export function requireHidden(dataDir: string): void {
  const trees = [...systemTrees(), ...treesOfEtc()]
  const showing = treeShowing({ dir: dataDir, isPrivate: true }, trees)
  if (showing !== undefined)
    throw new ShownToFunctions(
      `the data directory ${dataDir} cannot be used`,
      `it lies in ${showing}, ${WHY}`,
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
 * @param trees What is shown, with all that is mounted below; each a directory or a file.
 * @returns The tree, or the mount in one, that is or holds this directory or shows what may not be seen of it.
 */
export function treeShowing(
  { dir, isPrivate }: Pick<HiddenPlace, 'dir' | 'isPrivate'>,
  trees: readonly string[],
): string | undefined {
  return treeAround(dir, trees) ?? (isPrivate === true ? mountFrom(dir, trees) : undefined)
}

/**
 * @param dir A directory; where it is not there yet, the nearest one above it counts.
 * @returns The tree, or the mount in one, that is or holds this directory, by whichever path, links and bind mounts included.
 */
export function treeAround(dir: string, trees: readonly string[]): string | undefined {
  const mounts = hostMounts()
  const shown = trees.flatMap((tree) => [tree, ...mountsIn(tree, mounts).map(({ mountPoint }) => mountPoint)])
  const known = new Map(
    shown.flatMap((path) => identityOf(path).map((identity) => [identity, path] as const)),
  )
  let above = nearestReal(resolve(dir))
  const place = placeOf(above, mounts)
  for (;;) {
    for (const identity of identityOf(above)) {
      const path = known.get(identity)
      if (path !== undefined) return path
    }
    if (above === dirname(above)) break
    above = dirname(above)
  }
  // What is mounted here from a directory that is not above it here, and in a tree, too.
  return shown.find((path) => existsSync(path) && holds(placeOf(nearestReal(path), mounts), place))
}

/** @returns A mount in one of the trees that shows something from inside the directory, or what is mounted there. */
function mountFrom(dir: string, trees: readonly string[]): string | undefined {
  const mounts = hostMounts()
  const real = realPathOf(resolve(dir))
  const inside = mounts.filter(({ mountPoint }) => isWithin(mountPoint, real)).map(placeOfMount)
  const places = [placeOf(real, mounts), ...inside]
  return trees
    .flatMap((tree) => mountsIn(tree, mounts))
    .find((mount) =>
      places.some((place) => holds(place, placeOfMount(mount)) || holds(placeOfMount(mount), place)),
    )?.mountPoint
}

function mountsIn(tree: string, mounts: readonly HostMount[]): readonly HostMount[] {
  if (!existsSync(tree)) return []
  const real = nearestReal(resolve(tree))
  return mounts.filter(({ mountPoint }) => isWithin(mountPoint, real))
}

function placeOfMount({ device, root }: HostMount): FilePlace {
  return { device, path: root }
}

function holds(place: FilePlace | undefined, other: FilePlace | undefined): boolean {
  if (place === undefined || other === undefined) return false
  return place.device === other.device && isWithin(other.path, place.path)
}

/** Not the path: one directory can have several. */
function identityOf(path: string): string[] {
  try {
    const { dev, ino } = statSync(path, { bigint: true })
    return [`${dev}:${ino}`]
  } catch {
    // Not there, or a mount of another user's that lets nobody in.
    return []
  }
}

/** The path without links, as far as it is there. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path === dirname(path) ? path : join(realPathOf(dirname(path)), basename(path))
  }
}

function nearestReal(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path === dirname(path) ? path : nearestReal(dirname(path))
  }
}
