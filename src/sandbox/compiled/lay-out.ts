import { lstat, mkdir, chmod, realpath, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { linkTree } from '../prestarted/link-tree.ts'
import { UnusableParcel, type ParcelFile } from './parcel.ts'

/** `<version, architecture and tag of the engine>/<entry>`. A user id in the first would make it of use to one alone. */
const CACHE_ENTRY = /^v\d+\.\d+\.\d+-[a-z0-9]+-[0-9a-f]+\/[0-9a-f]{1,16}$/

const COMPILED_FILE = /(?:^|\/)__pycache__\/[^/]+\.pyc$/

/** Entries of a tree that a second one is made of. */
const MOST_ENTRIES = 20_000

/**
 * Writes a compile cache of Node.js.
 *
 * @param place Made; its parent exists.
 * @throws {UnusableParcel}
 */
export async function layOutCache(place: string, files: readonly ParcelFile[]): Promise<void> {
  await makeDirectory(place)
  for (const { path, bytes } of files) {
    if (!CACHE_ENTRY.test(path)) throw new UnusableParcel(`'${path.slice(0, 64)}' is no entry of a cache`)
    await makeDirectory(join(place, dirname(path)))
    await writeNew(join(place, path), bytes)
  }
}

/**
 * Writes a second tree of a package, of hard links, with the compiled files of Python beside their sources. The package's own tree is
 * not changed: where it has such a file already, the link gives way.
 *
 * @param source A tree of the package store.
 * @param place Made; its parent exists.
 * @throws {UnusableParcel} A file lies where the tree has no directory of its own.
 */
export async function layOutTree(source: string, place: string, files: readonly ParcelFile[]): Promise<void> {
  await linkTree(source, place, { entries: MOST_ENTRIES, rootEntries: MOST_ENTRIES })
  const root = await realpath(place)
  for (const { path, bytes } of files) {
    const parent = dirname(dirname(join(root, path)))
    if (!COMPILED_FILE.test(path) || !(await isDirectoryItself(parent)))
      throw new UnusableParcel(`'${path.slice(0, 64)}' lies beside no source`)
    const directory = dirname(join(root, path))
    await makeDirectory(directory)
    if (!(await isDirectoryItself(directory)))
      throw new UnusableParcel(`'${path.slice(0, 64)}' lies behind a link`)
    await rm(join(root, path), { force: true })
    await writeNew(join(root, path), bytes)
  }
}

/** Whether this is a directory and no name on the way is a link. */
async function isDirectoryItself(path: string): Promise<boolean> {
  return (await realpath(path).catch(() => undefined)) === path && (await lstat(path)).isDirectory()
}

// Modes are set after creation: the server's umask must not close what is made to functions' user ids.
async function makeDirectory(path: string): Promise<void> {
  const isNew = await mkdir(path).then(
    () => true,
    (error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
      throw error
    },
  )
  if (isNew) await chmod(path, 0o755)
}

async function writeNew(path: string, bytes: Buffer): Promise<void> {
  await writeFile(path, bytes, { flag: 'wx' })
  await chmod(path, 0o644)
}
