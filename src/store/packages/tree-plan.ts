import type { Entry } from 'yauzl'
import { decodeEntryName, madeOnUnix, splitEntryName } from './entry-path.ts'
import type { PackageLimits } from './limits.ts'
import { PackageError, shorten } from './package-error.ts'

const MODE_TYPE = 0o170000
const MODE_REGULAR = 0o100000
const MODE_DIRECTORY = 0o040000
const MODE_LINK = 0o120000
const MODE_ANY_EXECUTE = 0o111

export type PlannedNode =
  | { kind: 'directory' }
  | { kind: 'file'; entry: Entry; entryName: string; executable: boolean }
  | { kind: 'link'; entry: Entry; entryName: string }

/**
 * What an archive says its tree looks like, checked before a byte of it is written.
 *
 * Every path is relative, made of plain segments, claimed once, and has only folders above it: writing the plan in
 * order, links last, can therefore never pass through a link.
 */
export class TreePlan {
  readonly #limits: PackageLimits
  readonly #nodes = new Map<string, PlannedNode>()

  constructor(limits: PackageLimits) {
    this.#limits = limits
  }

  /** Paths relative to the root, `/`-separated; every folder comes before what it holds. */
  get nodes(): ReadonlyMap<string, PlannedNode> {
    return this.#nodes
  }

  /**
   * Adds one entry. A folder may be named again: archivers repeat them, and nothing but its being there is kept.
   *
   * @throws {PackageError} `unsafe-entry`, `duplicate-entry`, `encrypted-entry`, `unsupported-compression`,
   *   `path-too-long` or `too-many-entries`.
   */
  add(entry: Entry): void {
    const entryName = decodeEntryName(entry)
    const segments = splitEntryName(entryName, this.#limits)
    const node = classify(entry, entryName)
    if (segments.length === 0 && node.kind !== 'directory') {
      throw new PackageError('unsafe-entry', { reason: 'empty-name', entryName: shorten(entryName) })
    }
    let path = ''
    for (const [index, segment] of segments.entries()) {
      path = index === 0 ? segment : `${path}/${segment}`
      this.#claim(path, index === segments.length - 1 ? node : { kind: 'directory' }, entryName)
    }
  }

  #claim(path: string, node: PlannedNode, entryName: string): void {
    const present = this.#nodes.get(path)
    if (present === undefined) {
      if (this.#nodes.size >= this.#limits.entries) {
        throw new PackageError('too-many-entries', { limit: this.#limits.entries })
      }
      this.#nodes.set(path, node)
    } else if (present.kind !== 'directory' || node.kind !== 'directory') {
      throw new PackageError('duplicate-entry', { entryName: shorten(entryName) })
    }
  }
}

function classify(entry: Entry, entryName: string): PlannedNode {
  const shown = shorten(entryName)
  if (entry.isEncrypted()) throw new PackageError('encrypted-entry', { entryName: shown })
  const mode = madeOnUnix(entry) ? entry.externalFileAttributes >>> 16 : 0
  const type = mode & MODE_TYPE
  const namedAsDirectory = entryName.endsWith('/')
  if (
    ![0, MODE_REGULAR, MODE_DIRECTORY, MODE_LINK].includes(type) ||
    (type === MODE_LINK && namedAsDirectory)
  ) {
    throw new PackageError('unsafe-entry', { reason: 'special-file', entryName: shown })
  }
  if (namedAsDirectory || type === MODE_DIRECTORY) {
    if (entry.uncompressedSize > 0) {
      throw new PackageError('unsafe-entry', { reason: 'directory-with-content', entryName: shown })
    }
    return { kind: 'directory' }
  }
  if (!entry.canDecodeFileData()) {
    throw new PackageError('unsupported-compression', { entryName: shown, method: entry.compressionMethod })
  }
  if (type === MODE_LINK) return { kind: 'link', entry, entryName }
  return { kind: 'file', entry, entryName, executable: (mode & MODE_ANY_EXECUTE) !== 0 }
}
