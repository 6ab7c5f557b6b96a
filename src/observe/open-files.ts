import { RotatingFile } from './rotating-file.ts'

export interface OpenFilesOptions {
  readonly maxFileBytes: number
  readonly maxFiles: number
  readonly maxOpenFiles: number
}

/** The current files of many directories, of which those used last are held open. One writer at a time. */
export class OpenFiles {
  readonly #options: OpenFilesOptions
  /** By directory, used last at the end. */
  readonly #files = new Map<string, RotatingFile>()

  constructor(options: OpenFilesOptions) {
    this.#options = options
  }

  /**
   * Appends whole lines.
   *
   * @throws what the file system says. The file is opened anew next time.
   */
  async append(dir: string, lines: Buffer): Promise<void> {
    try {
      const file = await this.#fileOf(dir)
      await file.append(lines)
    } catch (error) {
      await this.close(dir)
      throw error
    }
  }

  /** A file that cannot be closed has nothing left to lose: its lines were written, or their writer knows that they were not. */
  async close(dir: string): Promise<void> {
    const file = this.#files.get(dir)
    this.#files.delete(dir)
    await file?.close().catch(() => {})
  }

  async closeAll(): Promise<void> {
    for (const dir of this.#files.keys()) await this.close(dir)
  }

  /** The one that was not used for longest is closed to make room. */
  async #fileOf(dir: string): Promise<RotatingFile> {
    const { maxFileBytes, maxFiles, maxOpenFiles } = this.#options
    const file = this.#files.get(dir) ?? new RotatingFile(dir, maxFileBytes, maxFiles)
    this.#files.delete(dir)
    this.#files.set(dir, file)
    const [oldest] = this.#files.keys()
    if (oldest !== undefined && this.#files.size > maxOpenFiles) await this.close(oldest)
    return file
  }
}
