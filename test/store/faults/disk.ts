import { writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { FileEvent } from './system-calls.ts'

/** What a disk writes whole or not at all. */
const SECTOR_BYTES = 512

/** A change that the page cache holds, and the disk may. */
type Pending =
  | { readonly offset: number; readonly bytes: Buffer }
  /** The file was cut to this size. */
  | { readonly size: number }

interface File {
  synced: Buffer
  pending: Pending[]
}

/** What becomes of what was not synced: nothing of it is there, all of it, or any sectors of it. */
export type Loss = 'all' | 'none' | 'some'

/** A directory on a disk behind a page cache, as POSIX allows it to be: what is synced is there, of all else anything may be. */
export class Disk {
  readonly #dir: string
  /** Names as the running system sees them, and as they are certainly found after a power cut. */
  readonly #names = new Map<string, File>()
  readonly #syncedNames = new Map<string, File>()

  constructor(dir: string) {
    this.#dir = dir
  }

  apply(event: FileEvent): void {
    switch (event.kind) {
      case 'created':
        this.#names.set(event.path, { synced: Buffer.from(new ArrayBuffer(0)), pending: [] })
        return
      case 'written':
        this.#file(event.path).pending.push({ offset: event.offset, bytes: event.bytes })
        return
      case 'cut':
        this.#file(event.path).pending.push({ size: event.size })
        return
      case 'removed':
        this.#names.delete(event.path)
        return
      case 'synced':
        if (event.path === this.#dir) this.#syncNames()
        else sync(this.#file(event.path))
        return
      case 'notSynced':
      case 'said':
    }
  }

  /** Writes the files into `dir` as a start after a power cut now may find them. @param random 0 … 1 */
  writeTo(dir: string, loss: Loss, random: () => number): void {
    const isLost = (): boolean => (loss === 'some' ? random() < 0.5 : loss === 'all')
    const names = new Map(isLost() ? this.#syncedNames : this.#names)
    for (const [path, file] of names) writeFileSync(join(dir, basename(path)), imageOf(file, isLost))
  }

  #file(path: string): File {
    const file = this.#names.get(path)
    if (file === undefined) throw new Error(`${path} was changed, but not made`)
    return file
  }

  #syncNames(): void {
    this.#syncedNames.clear()
    for (const [path, file] of this.#names) this.#syncedNames.set(path, file)
  }
}

function sync(file: File): void {
  file.synced = withPending(file, file.synced, () => false)
  file.pending = []
}

/** What is found of a file. */
function imageOf(file: File, isLost: () => boolean): Buffer {
  return withPending(file, resized(file.synced, file.synced.length), isLost)
}

/** @param image Of the synced contents; it may be changed. */
function withPending({ pending }: File, image: Buffer, isLost: () => boolean): Buffer {
  let file = image
  for (const change of pending) {
    if ('size' in change) {
      if (!isLost()) file = resized(file, change.size)
      continue
    }
    const { offset, bytes } = change
    for (let from = 0; from < bytes.length;) {
      const to = Math.min(bytes.length, from + SECTOR_BYTES - ((offset + from) % SECTOR_BYTES))
      if (!isLost()) {
        if (offset + to > file.length) file = resized(file, offset + to)
        bytes.copy(file, offset + from, from, to)
      }
      from = to
    }
  }
  return file
}

/** Zeros where it grows. There is room to grow, so that a file that grows by sectors is not copied for each. */
function resized(file: Buffer, size: number): Buffer {
  if (size > file.length && file.byteOffset + size <= file.buffer.byteLength)
    return Buffer.from(file.buffer, file.byteOffset, size)
  const moved = Buffer.from(new ArrayBuffer(2 * size), 0, size)
  file.copy(moved)
  return moved
}
