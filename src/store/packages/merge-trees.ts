import { chmodSync, closeSync, constants, copyFileSync, fsyncSync, linkSync, mkdirSync } from 'node:fs'
import { openSync, readdirSync, readlinkSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'

const { COPYFILE_EXCL, COPYFILE_FICLONE, O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants

/** Why a file system refuses one more link to a file that it can copy. */
const LINK_REFUSALS = new Set(['EMLINK', 'EPERM', 'EXDEV', 'ENOTSUP', 'EOPNOTSUPP'])

/** Names → what they are in the merged tree. */
type Folder = Map<string, Folder | Entry>

/** A file, or a symbolic link, by its path in the tree that it is taken from. */
interface Entry {
  readonly path: string
  readonly isLink: boolean
}

/**
 * Writes the union of trees into the fresh folder `treeDir`, files as further links to the same data. Folders of the same path
 * are joined; otherwise the later tree's entry replaces the earlier one's with everything below it.
 *
 * What is where is decided by names alone before anything is written, so no symbolic link is ever followed. Links are taken over
 * as they are: where one leads after the merging is for the process that sees the tree. Every folder is synced to disk.
 *
 * File access is synchronous: call it on a worker thread.
 *
 * @param sourceDirs Trees that `unpackZip` made; only read.
 * @param treeDir Must not exist. On failure it is left as it is.
 */
export function mergeTrees(sourceDirs: readonly string[], treeDir: string): void {
  const root: Folder = new Map()
  for (const sourceDir of sourceDirs) addTree(root, sourceDir)
  writeFolder(root, treeDir)
}

function addTree(folder: Folder, sourceDir: string): void {
  for (const found of readdirSync(sourceDir, { withFileTypes: true })) {
    const path = join(sourceDir, found.name)
    if (!found.isDirectory()) {
      folder.set(found.name, { path, isLink: found.isSymbolicLink() })
      continue
    }
    const present = folder.get(found.name)
    const below: Folder = present instanceof Map ? present : new Map()
    folder.set(found.name, below)
    addTree(below, path)
  }
}

function writeFolder(folder: Folder, place: string): void {
  mkdirSync(place)
  chmodSync(place, 0o755)
  for (const [name, node] of folder) {
    const path = join(place, name)
    if (node instanceof Map) writeFolder(node, path)
    else if (node.isLink) symlinkSync(readlinkSync(node.path), path)
    else linkOrCopy(node.path, path)
  }
  sync(place, O_RDONLY | O_DIRECTORY)
}

function linkOrCopy(source: string, place: string): void {
  try {
    linkSync(source, place)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (typeof code !== 'string' || !LINK_REFUSALS.has(code)) throw error
    copyFileSync(source, place, COPYFILE_EXCL | COPYFILE_FICLONE)
    sync(place, O_RDONLY | O_NOFOLLOW)
  }
}

function sync(path: string, flags: number): void {
  const fd = openSync(path, flags)
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
