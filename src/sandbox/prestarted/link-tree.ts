import { chmod, link, mkdir, readdir, readlink, symlink } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Entries that a tree may have, folders included. Linking one takes about 30 µs of the serving thread, and is done again for
 * every start; a larger tree would cost more than the start it saves, and loading its code takes far longer than both.
 */
const MOST_ENTRIES = 500

/** Entries that the tree's root may have: each is moved while a call waits. */
const MOST_ROOT_ENTRIES = 64

/** A directory is as deep as paths may be long. */
const MOST_DEPTH = 64

/** A tree that is better not linked: it is too large, or holds what is neither file, folder nor symbolic link. */
export class UnsuitableTree extends Error {}

/**
 * Writes a second tree of the same files: folders are made anew, files are further links to the same data, symbolic links are
 * written as they are. Nothing of the source is changed but the number of links of its files. One file operation at a time, so that
 * others on the thread pool do not wait for many.
 *
 * @param source A tree of the package store; only read.
 * @param place Made; its parent exists. On failure it is left as it is.
 * @param most Entries that the tree and its root may have; default: what is worth moving while a call waits.
 * @returns The names at its root.
 * @throws {UnsuitableTree}
 */
export async function linkTree(
  source: string,
  place: string,
  most = { entries: MOST_ENTRIES, rootEntries: MOST_ROOT_ENTRIES },
): Promise<readonly string[]> {
  let left = most.entries
  const linkFolder = async (from: string, to: string, depth: number): Promise<string[]> => {
    const entries = await readdir(from, { withFileTypes: true })
    left -= entries.length
    if (left < 0 || depth > MOST_DEPTH || (depth === 0 && entries.length > most.rootEntries))
      throw new UnsuitableTree('the tree has too many entries')
    await mkdir(to)
    // Set after creation: the server's umask must not close the folder to functions' user ids.
    await chmod(to, 0o755)
    for (const entry of entries) {
      const [path, linked] = [join(from, entry.name), join(to, entry.name)]
      if (entry.isDirectory()) await linkFolder(path, linked, depth + 1)
      else if (entry.isFile()) await link(path, linked)
      else if (entry.isSymbolicLink()) await symlink(await readlink(path), linked)
      else throw new UnsuitableTree('the tree holds a special file')
    }
    return entries.map(({ name }) => name)
  }
  return linkFolder(source, place, 0)
}
