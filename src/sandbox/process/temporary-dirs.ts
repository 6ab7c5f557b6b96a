import { mkdirSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryBackedDir, ServerDirectory } from '../server-directory.ts'

/** Directories kept ready: as many instances can start before the disk has to answer again. */
const MOST_READY = 32

/**
 * Temporary directories for processes, made ahead so that taking one never waits for a disk. When the ready ones are used
 * up, a directory in memory-backed storage takes their place.
 */
export class TemporaryDirs {
  readonly #onDisk = new ServerDirectory(tmpdir())
  readonly #inMemory = new ServerDirectory(memoryBackedDir())
  readonly #ready: string[] = []
  #made = 0
  #filling: Promise<void> | undefined
  #closed = false

  constructor() {
    this.#fill()
  }

  /** What must be removed when the server cannot do so itself. */
  get roots(): readonly string[] {
    return [this.#onDisk.path, this.#inMemory.path]
  }

  /**
   * @returns An empty directory, mode 0700; the caller removes it.
   * @throws When none is ready and memory-backed storage is full.
   */
  take(): string {
    const ready = this.#ready.shift()
    this.#fill()
    if (ready !== undefined) return ready
    const path = join(this.#inMemory.path, this.#nextName())
    mkdirSync(path, { mode: 0o700 })
    return path
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#filling
    await Promise.all([this.#onDisk.remove(), this.#inMemory.remove()])
  }

  #fill(): void {
    if (!this.#closed) this.#filling ??= this.#makeReady().finally(() => (this.#filling = undefined))
  }

  async #makeReady(): Promise<void> {
    while (!this.#closed && this.#ready.length < MOST_READY) {
      const path = join(this.#onDisk.path, this.#nextName())
      try {
        await mkdir(path, { mode: 0o700 })
      } catch {
        // Tried again with the next start, which takes its directory from memory.
        return
      }
      this.#ready.push(path)
    }
  }

  #nextName(): string {
    this.#made += 1
    return `instance-${this.#made}`
  }
}
