import { isUtf8 } from 'node:buffer'
import { chmodSync, closeSync, constants, fchmodSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ZipFile } from 'yauzl'
import { fromBufferPromise } from 'yauzl'
import { ExpansionBudget, expandEntry } from './expansion.ts'
import type { PackageLimits } from './limits.ts'
import { checkLinksStayInside } from './links.ts'
import { PackageError, shorten, toPackageError } from './package-error.ts'
import { TreePlan } from './tree-plan.ts'

const CENTRAL_RECORD_SIGNATURE = 0x02014b50
const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = constants

/** What `unpackZip` wrote: the bytes of all files and link targets together. */
export interface UnpackedTree {
  expandedBytes: number
}

/**
 * Checks a zip and writes its tree into the fresh folder `treeDir`.
 *
 * Nothing in the archive is believed: names, modes and links are judged before anything is written, sizes and CRC-32
 * while it is. Folders end up 0755, files 0644 or 0755 by their execute bit, links only where every target stays in
 * the tree; owners, times and all other bits are dropped. Every file and folder below and including `treeDir` is
 * synced to disk. On any failure `treeDir` is removed again.
 *
 * File access is synchronous and inflating is CPU work: call it on a worker thread.
 *
 * @param zip The archive's bytes; only read.
 * @param treeDir Must not exist; its parent must, on the disk of its final place. Rename the whole into place after.
 * @throws {PackageError} every code but `busy` and `not-found`; `intake-failed` names the errno, e.g. `ENOSPC`.
 */
export async function unpackZip(
  zip: Buffer | readonly Buffer[],
  treeDir: string,
  limits: PackageLimits,
): Promise<UnpackedTree> {
  let created = false
  try {
    const bytes = Buffer.isBuffer(zip) ? zip : Buffer.concat(zip)
    if (bytes.length > limits.archiveBytes) {
      throw new PackageError('too-large', { what: 'archive', limitBytes: limits.archiveBytes })
    }
    const zipFile = await openZip(bytes)
    const plan = await planTree(bytes, zipFile, limits)
    const budget = new ExpansionBudget(bytes.length, limits)
    const targets = await readLinkTargets(bytes, zipFile, plan, budget, limits)
    mkdirSync(treeDir)
    created = true
    await writeTree(bytes, zipFile, plan, targets, budget, treeDir)
    syncTree(plan, treeDir)
    return { expandedBytes: budget.spentBytes }
  } catch (error) {
    if (created) rmSync(treeDir, { recursive: true, force: true })
    throw toPackageError(error)
  }
}

async function openZip(zip: Buffer): Promise<ZipFile> {
  try {
    return await fromBufferPromise(zip, { decodeStrings: false, validateEntrySizes: true })
  } catch (error) {
    throw new PackageError('not-a-zip', { reason: shorten(messageOf(error)) }, { cause: error })
  }
}

async function planTree(zip: Buffer, zipFile: ZipFile, limits: PackageLimits): Promise<TreePlan> {
  if (zipFile.entryCount > limits.entries)
    throw new PackageError('too-many-entries', { limit: limits.entries })
  const plan = new TreePlan(limits)
  let declaredBytes = 0
  try {
    for await (const entry of zipFile.eachEntry()) {
      plan.add(entry)
      declaredBytes += entry.uncompressedSize
      // Only a shortcut: the bytes are counted again as they are written, whatever was declared.
      if (declaredBytes > limits.expandedBytes) {
        throw new PackageError('too-large', { what: 'expanded', limitBytes: limits.expandedBytes })
      }
    }
  } catch (error) {
    if (error instanceof PackageError) throw error
    const reason = messageOf(error)
    // The reader itself refuses strongly encrypted entries, with nothing but a message.
    if (reason.includes('encryption')) throw new PackageError('encrypted-entry', {}, { cause: error })
    throw new PackageError('corrupt', { reason: shorten(reason) }, { cause: error })
  }
  // The count is 16 bits wide and some archivers let it wrap: unpacking a part of the files would be silent damage.
  const end = Number(zipFile.readEntryCursor)
  if (end + 4 <= zip.length && zip.readUInt32LE(end) === CENTRAL_RECORD_SIGNATURE) {
    throw new PackageError('corrupt', { reason: 'more entries than the archive says it has' })
  }
  return plan
}

async function readLinkTargets(
  zip: Buffer,
  zipFile: ZipFile,
  plan: TreePlan,
  budget: ExpansionBudget,
  limits: PackageLimits,
): Promise<Map<string, string>> {
  const targets = new Map<string, string>()
  for (const [path, node] of plan.nodes) {
    if (node.kind !== 'link') continue
    const entryName = shorten(node.entryName)
    if (node.entry.uncompressedSize > limits.pathBytes) throw new PackageError('path-too-long', { entryName })
    const chunks: Buffer[] = []
    for await (const chunk of expandEntry(zip, zipFile, node.entry, node.entryName, budget))
      chunks.push(chunk)
    const target = Buffer.concat(chunks)
    if (!isUtf8(target) || target.includes(0)) {
      throw new PackageError('unsafe-entry', { reason: 'link-target', entryName })
    }
    targets.set(path, target.toString())
  }
  checkLinksStayInside(targets, limits.pathDepth)
  return targets
}

/** Writes folders and files first and links last, so that no write can pass through a link. */
async function writeTree(
  zip: Buffer,
  zipFile: ZipFile,
  plan: TreePlan,
  targets: ReadonlyMap<string, string>,
  budget: ExpansionBudget,
  treeDir: string,
): Promise<void> {
  // Modes are set explicitly because the process's umask narrows those given at creation.
  chmodSync(treeDir, 0o755)
  for (const [path, node] of plan.nodes) {
    const place = join(treeDir, path)
    if (node.kind === 'directory') {
      mkdirSync(place)
      chmodSync(place, 0o755)
    } else if (node.kind === 'file') {
      const fd = openSync(place, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o600)
      try {
        for await (const chunk of expandEntry(zip, zipFile, node.entry, node.entryName, budget)) {
          writeFileSync(fd, chunk)
        }
        fchmodSync(fd, node.executable ? 0o755 : 0o644)
      } finally {
        closeSync(fd)
      }
    }
  }
  for (const [path, target] of targets) symlinkSync(target, join(treeDir, path))
}

/**
 * Syncs in a pass of its own: by then most of it has been written back together, which is several times faster than
 * waiting for the disk file by file. Synchronous, because the threads that serve asynchronous file access are shared
 * by the whole process.
 */
function syncTree(plan: TreePlan, treeDir: string): void {
  for (const [path, node] of plan.nodes) {
    if (node.kind === 'file') syncPath(join(treeDir, path), O_RDONLY | O_NOFOLLOW)
    if (node.kind === 'directory') syncPath(join(treeDir, path), O_RDONLY | O_NOFOLLOW | O_DIRECTORY)
  }
  syncPath(treeDir, O_RDONLY | O_DIRECTORY)
}

function syncPath(path: string, flags: number): void {
  const fd = openSync(path, flags)
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unreadable'
}
