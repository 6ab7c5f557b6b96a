import { mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'

const CURRENT = 'current.jsonl'
const NEW_LINE = 10

/** A file of lines that is set aside when full: `current.jsonl`, then `1.jsonl` (the newest) and so on. */
export class RotatingFile {
  readonly #dir: string
  readonly #maxFileBytes: number
  readonly #maxFiles: number
  #handle: FileHandle | undefined
  #sizeBytes = 0

  /** @param maxFiles At least 1, the current one included; the oldest is deleted. */
  constructor(dir: string, maxFileBytes: number, maxFiles: number) {
    this.#dir = dir
    this.#maxFileBytes = maxFileBytes
    this.#maxFiles = maxFiles
  }

  /**
   * Appends whole lines, at most `maxFileBytes`. One writer at a time.
   *
   * @throws what the file system says. Then some of the lines may have been written, the last of them in part.
   */
  async append(lines: Buffer): Promise<void> {
    const handle = this.#handle ?? (await this.#open())
    if (this.#sizeBytes > 0 && this.#sizeBytes + lines.length > this.#maxFileBytes) {
      await this.#rotate()
      return this.append(lines)
    }
    this.#sizeBytes += lines.length
    await handle.appendFile(lines)
  }

  async close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    await handle?.close()
  }

  async #open(): Promise<FileHandle> {
    // What functions log may be anything, and is for the operator alone.
    await mkdir(this.#dir, { recursive: true, mode: 0o700 })
    const handle = await open(join(this.#dir, CURRENT), 'a+', 0o600)
    try {
      const { size } = await handle.stat()
      this.#sizeBytes = size
      if (size > 0) await this.#endTornLine(handle, size)
    } catch (error) {
      await handle.close()
      throw error
    }
    this.#handle = handle
    return handle
  }

  /** A crash or a full disk may have left the beginning of a line. */
  async #endTornLine(handle: FileHandle, size: number): Promise<void> {
    const last = Buffer.alloc(1)
    await handle.read(last, 0, 1, size - 1)
    if (last[0] === NEW_LINE) return
    await handle.appendFile('\n')
    this.#sizeBytes += 1
  }

  async #rotate(): Promise<void> {
    await this.close()
    const current = join(this.#dir, CURRENT)
    if (this.#maxFiles === 1) return rm(current, { force: true })
    for (let number = this.#maxFiles - 1; number > 1; number -= 1) {
      await renameIfThere(this.#numbered(number - 1), this.#numbered(number))
    }
    await renameIfThere(current, this.#numbered(1))
  }

  #numbered(number: number): string {
    return numbered(this.#dir, number)
  }
}

/**
 * Opens the files of a directory that a {@link RotatingFile} writes to, newest first, for reading. Nothing may be written
 * meanwhile; afterwards they stay what they are, whatever is set aside.
 */
export async function openNewestFirst(dir: string, maxFiles: number): Promise<readonly FileHandle[]> {
  const handles: FileHandle[] = []
  try {
    for (let number = 0; number < maxFiles; number += 1) {
      const file = number === 0 ? join(dir, CURRENT) : numbered(dir, number)
      const handle = await open(file, 'r').catch(unlessMissing)
      // The current file is missing when the last write was to set it aside and could not go on.
      if (handle === undefined && number > 0) break
      if (handle !== undefined) handles.push(handle)
    }
    return handles
  } catch (error) {
    await Promise.all(handles.map((handle) => handle.close()))
    throw error
  }
}

function numbered(dir: string, number: number): string {
  return join(dir, `${number}.jsonl`)
}

function unlessMissing(error: unknown): undefined {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  return undefined
}

async function renameIfThere(from: string, to: string): Promise<void> {
  await rename(from, to).catch(unlessMissing)
}
