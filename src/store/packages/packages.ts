import { randomUUID } from 'node:crypto'
import type { Dirent } from 'node:fs'
import { chmod, lstat, mkdir, open, readdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { CodePackage } from '../../model/function.ts'
import { IntakeThread } from './intake-thread.ts'
import { KeyedLock } from './keyed-lock.ts'
import type { PackageLimits } from './limits.ts'
import { DEFAULT_PACKAGE_LIMITS } from './limits.ts'
import { isMergedName, mergedName } from './merged-name.ts'
import { PackageError, toPackageError } from './package-error.ts'
import { encodePackageMeta, readPackageMeta } from './package-meta.ts'

export type { CodePackage } from '../../model/function.ts'

const DIGEST = /^[0-9a-f]{64}$/
/** Folders that are not packages yet, or no more. Both lie beside the packages, so that a rename moves them. */
const INTAKE_PREFIX = '.intake-'
const TRASH_PREFIX = '.trash-'
/** Others may pass through to the tree, and read nothing on the way: functions run under users of their own. */
const PASSAGE_MODE = 0o711

export interface PackageStoreOptions {
  /** The folder that holds the packages; made if missing. One store, in one process, may own it at a time. */
  dir: string
  /** Overrides of `DEFAULT_PACKAGE_LIMITS`. */
  limits?: Partial<PackageLimits>
  /**
   * Milliseconds for which `sweep` spares a package after its last `put`: the time between storing code and recording
   * the function that uses it. Default 600 000. Kept in memory: after a restart no upload can still be under way.
   */
  unreferencedGraceMs?: number
}

/**
 * Code packages on disk, addressed by the sha256 of their zip.
 *
 * `<dir>/<digest>/` holds `archive.zip` byte for byte, `tree/` with the files (folders 0755, files 0644 or 0755) and
 * `meta.json`. Such a folder appears by one rename when all of it is on disk, and disappears by one rename before any
 * of it is deleted, so what is there is whole, whenever the process was killed. Checking, hashing, unpacking, merging
 * and deleting run on a worker thread.
 *
 * Beside them, `<dir>/merged-<name>/` holds the trees of several packages as one, made of hard links: see `ensureLayers`.
 */
export class PackageStore {
  readonly #dir: string
  readonly #limits: PackageLimits
  readonly #graceMs: number
  readonly #thread: IntakeThread
  readonly #locks = new KeyedLock()
  readonly #staging = new Set<string>()
  readonly #underway = new Set<Promise<unknown>>()
  /** Folder → when it was last put or ensured, on the monotonic clock. Entries past the grace go at the next sweep. */
  readonly #lastPutMs = new Map<string, number>()
  #putCount = 0
  #closed = false

  private constructor(options: PackageStoreOptions) {
    this.#dir = options.dir
    this.#limits = { ...DEFAULT_PACKAGE_LIMITS, ...options.limits }
    this.#graceMs = options.unreferencedGraceMs ?? 600_000
    this.#thread = new IntakeThread({ timeoutMs: this.#limits.intakeTimeoutMs })
  }

  /** Opens the store in `options.dir`. What a killed process left there stays until the next `sweep`. */
  static async open(options: PackageStoreOptions): Promise<PackageStore> {
    const created = await mkdir(options.dir, { recursive: true })
    if (created !== undefined) await chmod(options.dir, PASSAGE_MODE)
    return new PackageStore(options)
  }

  /**
   * Checks, unpacks and keeps a zip. Resolves once all of it is synced to disk. The same bytes put again, also at the
   * same time, are one package and are unpacked once.
   *
   * @param zip The archive, whole or in chunks. The bytes are not copied, and must not change until this settles.
   * @throws {PackageError} every code but `not-found`; see `PackageErrorDetails`. Nothing is kept then.
   */
  async put(zip: Buffer | readonly Buffer[]): Promise<CodePackage> {
    this.#refuseWhenClosed()
    const chunks = Buffer.isBuffer(zip) ? [zip] : zip
    const sizeBytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    const { archiveBytes, concurrentPuts } = this.#limits
    if (sizeBytes > archiveBytes) {
      throw new PackageError('too-large', { what: 'archive', limitBytes: archiveBytes })
    }
    if (this.#putCount >= concurrentPuts) throw new PackageError('busy', { limit: concurrentPuts })
    this.#putCount += 1
    try {
      return await this.#track(this.#putStaged(chunks, sizeBytes))
    } catch (error) {
      throw toPackageError(error)
    } finally {
      this.#putCount -= 1
    }
  }

  /** The folder with a package's files. Says nothing about whether the package exists. @throws {TypeError} */
  treePath(digest: string): string {
    return join(this.#folder(digest), 'tree')
  }

  /** Whether a package with this digest is kept; false for anything that is no digest. */
  async has(digest: string): Promise<boolean> {
    return (await this.find(digest)) !== undefined
  }

  /** The package with this digest, or undefined. */
  async find(digest: string): Promise<CodePackage | undefined> {
    if (!DIGEST.test(digest)) return undefined
    return readPackageMeta(join(this.#folder(digest), 'meta.json'), digest)
  }

  /**
   * Opens a package's zip for download, the bytes exactly as they were put. The stream holds one file handle until it
   * ends or is destroyed, and survives the removal of the package.
   *
   * @throws {PackageError} `not-found`.
   */
  async openArchive(digest: string): Promise<{ stream: Readable; sizeBytes: number }> {
    const codePackage = await this.find(digest)
    if (codePackage === undefined) throw new PackageError('not-found', { digest: digest.slice(0, 64) })
    const archive = await open(join(this.#folder(digest), 'archive.zip')).catch((error: unknown) => {
      if (isMissing(error)) throw new PackageError('not-found', { digest }, { cause: error })
      throw error
    })
    return { stream: archive.createReadStream(), sizeBytes: codePackage.sizeBytes }
  }

  /**
   * Deletes packages, used or not, and resolves with how many were there. A `put` of the same bytes that is under way
   * ends with the package present. Prefer `sweep`, which knows about uploads whose function is not recorded yet.
   */
  async remove(digests: Iterable<string>): Promise<number> {
    this.#refuseWhenClosed()
    return this.#track(this.#removeEach(digests))
  }

  /**
   * Makes sure that {@link layersPath} of these packages is there: call it before a function that names them is recorded,
   * and at a start for every function that is. For several packages their trees are merged, once for each order of
   * digests; of two entries of the same path the later package's is seen, a file in place of a folder and the reverse.
   * Spares the packages and the tree from sweeps like a `put` does.
   *
   * @param digests In the order in which they are merged; none is no error.
   * @throws {PackageError} `not-found` when one of the packages is not there; `intake-failed`.
   */
  async ensureLayers(digests: readonly string[]): Promise<void> {
    this.#refuseWhenClosed()
    try {
      await this.#track(this.#ensureMerged(digests))
    } catch (error) {
      throw toPackageError(error)
    }
  }

  /**
   * The folder with the files of layers: of one package its own tree, of several the merged one. Says nothing about whether
   * it exists.
   *
   * @param digests As they were given to {@link ensureLayers}; one or more. @throws {TypeError}
   */
  layersPath(digests: readonly string[]): string {
    const [only, ...more] = digests
    if (only === undefined) throw new TypeError('There is no tree of no layers')
    if (more.length === 0) return this.treePath(only)
    return join(this.#dir, mergedName(digests))
  }

  /**
   * Deletes packages that are not in `liveDigests`, merged trees of layers that nobody has any more, and what killed
   * processes left half done.
   *
   * Spared are packages that are being put, were put since this sweep began, or within `unreferencedGraceMs`; the same goes
   * for what was ensured.
   *
   * @param liveLayers The digests of each function that has layers: their packages and merged trees stay. Default: none.
   * @returns How many packages were deleted; merged trees and leftovers are not counted.
   */
  async sweep(
    liveDigests: ReadonlySet<string>,
    liveLayers: Iterable<readonly string[]> = [],
  ): Promise<number> {
    this.#refuseWhenClosed()
    const live = new Set(liveDigests)
    for (const digests of liveLayers) {
      for (const digest of digests) live.add(digest)
      if (digests.length > 1) live.add(mergedName(digests))
    }
    return this.#track(this.#sweepAll(live))
  }

  /** Waits for what is under way, then ends the worker thread. The store answers nothing but reads afterwards. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.allSettled(this.#underway)
    await this.#thread.close()
  }

  async #putStaged(chunks: readonly Buffer[], sizeBytes: number): Promise<CodePackage> {
    const name = `${INTAKE_PREFIX}${randomUUID()}`
    const stagingDir = join(this.#dir, name)
    this.#staging.add(name)
    let staged = true
    try {
      await mkdir(stagingDir, { mode: PASSAGE_MODE })
      await chmod(stagingDir, PASSAGE_MODE)
      const archivePath = join(stagingDir, 'archive.zip')
      await writeFile(archivePath, chunks, { flag: 'wx', mode: 0o600 })
      const { digest, crc64 } = await this.#thread.run('fingerprint', { archivePath })
      return await this.#locks.withLock(digest, async () => {
        const known = await this.find(digest)
        const codePackage = known ?? (await this.#commit(stagingDir, { digest, crc64, sizeBytes }))
        // Nothing may be left to wait for once the lock is given back: until then, no sweep touches the package.
        if (known !== undefined) await this.#thread.run('erase', { path: stagingDir })
        staged = false
        this.#lastPutMs.set(digest, performance.now())
        return codePackage
      })
    } finally {
      // What cannot be deleted now is the next sweep's; the caller is owed the first error.
      if (staged) await this.#thread.run('erase', { path: stagingDir }).catch(() => null)
      this.#staging.delete(name)
    }
  }

  /** Completes a staged package and moves it to its place. The caller holds the digest's lock. */
  async #commit(stagingDir: string, identity: Omit<CodePackage, 'expandedBytes'>): Promise<CodePackage> {
    const archivePath = join(stagingDir, 'archive.zip')
    const treeDir = join(stagingDir, 'tree')
    const { expandedBytes } = await this.#thread.run('unpack', { archivePath, treeDir, limits: this.#limits })
    const codePackage = { ...identity, expandedBytes }
    const metaPath = join(stagingDir, 'meta.json')
    await writeFile(metaPath, encodePackageMeta(codePackage), { flag: 'wx', mode: 0o600 })
    for (const path of [archivePath, metaPath, stagingDir]) await syncPath(path)
    // A folder without a readable meta.json is damage from outside: it makes way.
    await this.#discard(identity.digest)
    await rename(stagingDir, this.#folder(identity.digest))
    await syncPath(this.#dir)
    return codePackage
  }

  async #ensureMerged(digests: readonly string[]): Promise<void> {
    const nowMs = performance.now()
    for (const digest of digests) {
      if ((await this.find(digest)) === undefined)
        throw new PackageError('not-found', { digest: digest.slice(0, 64) })
      this.#lastPutMs.set(digest, nowMs)
    }
    if (digests.length < 2) return
    const name = mergedName(digests)
    await this.#locks.withLock(name, async () => {
      this.#lastPutMs.set(name, performance.now())
      if (!(await isFolder(join(this.#dir, name)))) await this.#merge(digests, name)
    })
  }

  /** Makes a merged tree and moves it to its place. The caller holds the lock of its name. */
  async #merge(digests: readonly string[], name: string): Promise<void> {
    const stagingName = `${INTAKE_PREFIX}${randomUUID()}`
    const treeDir = join(this.#dir, stagingName)
    this.#staging.add(stagingName)
    try {
      const sourceDirs = digests.map((digest) => this.treePath(digest))
      await this.#thread.run('merge', { sourceDirs, treeDir })
      await rename(treeDir, join(this.#dir, name))
      await syncPath(this.#dir)
    } catch (error) {
      await this.#thread.run('erase', { path: treeDir }).catch(() => null)
      throw error
    } finally {
      this.#staging.delete(stagingName)
    }
  }

  async #removeEach(digests: Iterable<string>): Promise<number> {
    let count = 0
    for (const digest of digests) {
      if (!DIGEST.test(digest)) continue
      if (await this.#locks.withLock(digest, () => this.#discard(digest))) count += 1
    }
    return count
  }

  /** @param live Names of folders. */
  async #sweepAll(live: ReadonlySet<string>): Promise<number> {
    const spareSinceMs = performance.now() - this.#graceMs
    let count = 0
    for (const { name } of await this.#folders()) {
      const isPackage = DIGEST.test(name)
      if (isPackage || isMergedName(name)) {
        if (live.has(name) || this.#locks.isHeld(name)) continue
        const putMs = this.#lastPutMs.get(name)
        if (putMs !== undefined && putMs >= spareSinceMs) continue
        if ((await this.#locks.withLock(name, () => this.#discard(name))) && isPackage) count += 1
      } else if (isLeftover(name) && !this.#staging.has(name)) {
        await this.#thread.run('erase', { path: join(this.#dir, name) })
      }
    }
    for (const [name, putMs] of this.#lastPutMs) {
      if (putMs < spareSinceMs) this.#lastPutMs.delete(name)
    }
    return count
  }

  /** Moves a folder out of sight at once and deletes it; false when it was not there. The caller holds its lock. */
  async #discard(name: string): Promise<boolean> {
    const trash = `${TRASH_PREFIX}${randomUUID()}`
    try {
      await rename(join(this.#dir, name), join(this.#dir, trash))
    } catch (error) {
      if (isMissing(error)) return false
      throw error
    }
    this.#lastPutMs.delete(name)
    await this.#thread.run('erase', { path: join(this.#dir, trash) })
    return true
  }

  async #folders(): Promise<Dirent[]> {
    return (await readdir(this.#dir, { withFileTypes: true })).filter((entry) => entry.isDirectory())
  }

  #folder(digest: string): string {
    if (!DIGEST.test(digest)) throw new TypeError('A package digest is 64 lower-case hex digits')
    return join(this.#dir, digest)
  }

  #refuseWhenClosed(): void {
    if (this.#closed) throw new PackageError('intake-failed', { reason: 'closed' })
  }

  async #track<T>(work: Promise<T>): Promise<T> {
    this.#underway.add(work)
    try {
      return await work
    } finally {
      this.#underway.delete(work)
    }
  }
}

function isLeftover(name: string): boolean {
  return name.startsWith(INTAKE_PREFIX) || name.startsWith(TRASH_PREFIX)
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory()
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
