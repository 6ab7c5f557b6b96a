import { lstat, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Mount } from '../sandbox.ts'
import { linkTree, UnsuitableTree } from './link-tree.ts'

/** Sources whose trees are kept ready: those asked for last. */
const MOST_SOURCES = 128

/** Trees ready for each source: a function that is called more than once at first gets more than one process at once. */
const TREES_PER_SOURCE = 2

/** A source that could not be linked for a reason that may pass is not tried again before this. */
const RETRY_MS = 60_000

/** A tree of links that belongs to whoever took it. */
export interface LinkedTree {
  readonly path: string
  /** Names at its root. */
  readonly names: readonly string[]
}

interface Source {
  readonly path: string
  readonly ready: LinkedTree[]
  /** Monotonic milliseconds before which it is not tried; Infinity: never. */
  notBeforeMs: number
}

/**
 * Keeps, for each code tree that is likely to be wanted, trees of hard links ready to be moved to their place. Made in the
 * background, one at a time, the last asked for first.
 */
export class LinkedTrees {
  readonly #dir: string
  /** The last asked for last. */
  readonly #sources = new Map<string, Source>()
  readonly #wanted: Source[] = []
  readonly #removals = new Set<Promise<void>>()
  #working: Promise<void> | undefined
  #made = 0
  #closed = false

  /** @param dir Exists, on the file system of the sources; nobody else makes anything named `tree-…` in it. */
  constructor(dir: string) {
    this.#dir = dir
  }

  /** Makes sure that trees of this source are ready soon. */
  expect(path: string): void {
    if (this.#closed) return
    const source = this.#sources.get(path) ?? { path, ready: [], notBeforeMs: 0 }
    this.#sources.delete(path)
    this.#sources.set(path, source)
    for (const oldest of this.#sources.values()) {
      if (this.#sources.size <= MOST_SOURCES) break
      this.#forget(oldest)
    }
    if (!isShort(source) || this.#wanted.includes(source)) return
    this.#wanted.push(source)
    this.#working ??= this.#work().finally(() => (this.#working = undefined))
  }

  /**
   * A tree for each mount's source, by the mount's target; from here on the caller's, who removes them.
   *
   * @returns Undefined unless all of them are ready.
   */
  takeAll(mounts: readonly Mount[]): ReadonlyMap<string, LinkedTree> | undefined {
    const taken = new Map<string, LinkedTree>()
    for (const { source, target } of mounts) {
      const ready = this.#sources.get(source)?.ready
      // Nothing of an empty one is moved away, so everybody may have it: many functions share one place that holds nothing.
      const tree = ready?.at(-1)?.names.length === 0 ? ready.at(-1) : ready?.pop()
      if (tree !== undefined) taken.set(target, tree)
    }
    if (taken.size === mounts.length) return taken
    for (const { path } of taken.values()) this.#remove(path)
    return undefined
  }

  /** Resolves when nothing that was asked for is still to be made. */
  async settled(): Promise<void> {
    await this.#working
  }

  /** Lets go of sources that are not there any more: what was deleted is to be gone. */
  async forgetMissing(): Promise<void> {
    for (const source of [...this.#sources.values()])
      if ((await lstat(source.path).catch(() => undefined)) === undefined) this.#forget(source)
  }

  /** Removes what was not taken. */
  async close(): Promise<void> {
    this.#closed = true
    this.#wanted.length = 0
    await this.#working
    for (const source of [...this.#sources.values()]) this.#forget(source)
    await Promise.all(this.#removals)
  }

  async #work(): Promise<void> {
    // Begun at the next turn of the event loop: whoever asked has something to do first.
    await new Promise((resolve) => setImmediate(resolve))
    for (let source = this.#wanted.pop(); source !== undefined; source = this.#wanted.pop())
      while (this.#isKnown(source) && isShort(source)) await this.#make(source)
  }

  async #make(source: Source): Promise<void> {
    this.#made += 1
    const path = join(this.#dir, `tree-${this.#made}`)
    try {
      const tree = { path, names: await linkTree(source.path, path) }
      if (this.#isKnown(source)) source.ready.push(tree)
      else this.#remove(path)
    } catch (error) {
      source.notBeforeMs = error instanceof UnsuitableTree ? Infinity : performance.now() + RETRY_MS
      this.#remove(path)
    }
  }

  #isKnown(source: Source): boolean {
    return !this.#closed && this.#sources.get(source.path) === source
  }

  #forget(source: Source): void {
    this.#sources.delete(source.path)
    for (const { path } of source.ready) this.#remove(path)
  }

  #remove(path: string): void {
    const removal = removeTree(path).finally(() => this.#removals.delete(removal))
    this.#removals.add(removal)
  }
}

/** Moves what a tree holds into a directory that is there already, and that a process may see. */
export async function moveInto(directory: string, { path, names }: LinkedTree): Promise<void> {
  await Promise.all(names.map((name) => rename(join(path, name), join(directory, name))))
}

/** Never rejects: what cannot be removed now is tried again by the next server's start. */
export async function removeTree(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined)
}

function isShort({ ready, notBeforeMs }: Source): boolean {
  return ready.length < TREES_PER_SOURCE && performance.now() >= notBeforeMs
}
