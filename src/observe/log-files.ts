import { rm, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { FunctionName, FunctionVersion } from '../model/function.ts'
import { listLogDirectories, logDirectory } from './log-paths.ts'
import { RotatingFile } from './rotating-file.ts'

export interface LogFilesOptions {
  /** Created when it is needed. */
  readonly dir: string
  /** Size at which a file is set aside, bytes; at least 1024. */
  readonly maxFileBytes: number
  /** Files kept for each function, at least 1. */
  readonly maxFiles: number
  /** Text that may wait to be written, bytes; what comes beyond it is dropped. Default 8 MiB. */
  readonly maxWaitingBytes?: number
  /** Files held open. Default 32. */
  readonly maxOpenFiles?: number
  /** Told once when writing begins to fail, and again only after it has worked in between. */
  readonly onFailure?: (error: unknown) => void
}

interface Entry {
  readonly version: FunctionVersion
  readonly requestId: string
  readonly text: Buffer
  readonly atMs: number
}

const WRITE_DELAY_MS = 100
/** Written in one go; bounds how long the rendering of lines keeps the thread. */
const CHUNK_BYTES = 256 * 1024
/** What an entry holds in memory besides its text, roughly. */
const ENTRY_BYTES = 200
/** In JSON a byte can become six, and the other members need room. */
const JSON_GROWTH = 8
/** Room for the line that tells of a loss. */
const LOSS_LINE_BYTES = 80
/** Shorter texts are copied when they are part of something bigger, which would be kept alive as a whole. */
const COPY_BYTES = 16 * 1024

/**
 * Keeps what functions log, in JSON lines of `{atMs, requestId, version, text}`, one directory for each function. Logs
 * are worth less than calls: text waits in memory, within bounds, and is dropped when the disk cannot follow or fails. The
 * next line that is written for the function says how much was lost: `{atMs, droppedBytes}`.
 */
export class LogFiles {
  readonly #options: Required<LogFilesOptions>
  readonly #files = new Map<string, RotatingFile>()
  /** By directory: bytes dropped and not yet told of. */
  readonly #untold = new Map<string, number>()
  #waiting: Entry[] = []
  #waitingBytes = 0
  #droppedBytes = 0
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  readonly #directories = new WeakMap<FunctionVersion, string>()
  #isWriting = false
  #isFailing = false
  #isClosed = false

  constructor(options: LogFilesOptions) {
    this.#options = { maxWaitingBytes: 8 * 1024 * 1024, maxOpenFiles: 32, onFailure: () => {}, ...options }
  }

  /** Bytes of text lost since the start. */
  get droppedBytes(): number {
    return this.#droppedBytes
  }

  /** Takes a piece of a call's log. Never waits, never throws. */
  keep(version: FunctionVersion, requestId: string, text: Buffer): void {
    const bytes = text.length + ENTRY_BYTES
    if (this.#isClosed || this.#waitingBytes + bytes > this.#options.maxWaitingBytes) {
      this.#drop(version, text.length)
      return
    }
    this.#waitingBytes += bytes
    const isPart = text.length < COPY_BYTES && text.length < text.buffer.byteLength
    this.#waiting.push({ version, requestId, text: isPart ? Buffer.from(text) : text, atMs: Date.now() })
    this.#schedule()
  }

  /** Resolves when everything kept so far is written or given up. Never rejects. */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = this.#writing.then(() => this.#writeWaiting())
    return this.#writing
  }

  /** Deletes what was kept of a function; what it still logs begins anew. Resolves when done or given up. Never rejects. */
  remove(name: FunctionName): Promise<void> {
    return this.#afterWriting(() => this.#delete(logDirectory(this.#options.dir, name)))
  }

  /**
   * Deletes the directories of functions that there are no more. Never rejects.
   *
   * @param existing Asked once the directories are known, so that a function made meanwhile keeps its own.
   */
  sweep(existing: () => Iterable<FunctionName>): Promise<void> {
    return this.#afterWriting(async () => {
      const { dir } = this.#options
      const found = await listLogDirectories(dir)
      const kept = new Set<string>()
      for (const name of existing()) kept.add(logDirectory(dir, name))
      for (const one of found) if (!kept.has(one)) await this.#delete(one)
    })
  }

  /** Writes what waits and closes the files; what is kept afterwards is dropped. Never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.flush()
    for (const dir of this.#files.keys()) await this.#release(dir)
  }

  #afterWriting(run: () => Promise<void>): Promise<void> {
    this.#writing = this.#writing.then(run).catch(this.#options.onFailure)
    return this.#writing
  }

  async #delete(dir: string): Promise<void> {
    await this.#release(dir)
    this.#untold.delete(dir)
    await rm(dir, { recursive: true, force: true })
    // Only an empty directory lets itself be removed: the namespace's goes with its last function.
    await rmdir(dirname(dir)).catch(() => {})
  }

  #schedule(): void {
    if (this.#isWriting) return
    this.#timer ??= setTimeout(() => void this.flush(), WRITE_DELAY_MS).unref()
  }

  async #writeWaiting(): Promise<void> {
    this.#isWriting = true
    const entries = this.#waiting
    this.#waiting = []
    const entriesOf = Map.groupBy(entries, ({ version }) => this.#directoryOf(version))
    for (const [dir, group] of entriesOf) await this.#writeGroup(dir, group)
    this.#isWriting = false
    if (this.#waiting.length > 0) this.#schedule()
  }

  #directoryOf(version: FunctionVersion): string {
    const known = this.#directories.get(version)
    if (known !== undefined) return known
    const dir = logDirectory(this.#options.dir, version)
    this.#directories.set(version, dir)
    return dir
  }

  async #writeGroup(dir: string, group: readonly Entry[]): Promise<void> {
    const maxChunkBytes = Math.min(CHUNK_BYTES, this.#options.maxFileBytes) - LOSS_LINE_BYTES
    let lines = ''
    let lineBytes = 0
    let textBytes = 0
    for (const entry of group) {
      const line = this.#render(entry)
      const bytes = Buffer.byteLength(line)
      if (lineBytes > 0 && lineBytes + bytes > maxChunkBytes) {
        await this.#append(dir, lines, textBytes)
        lines = ''
        lineBytes = 0
        textBytes = 0
      }
      lines += line
      lineBytes += bytes
      textBytes += entry.text.length
      this.#waitingBytes -= entry.text.length + ENTRY_BYTES
    }
    await this.#append(dir, lines, textBytes)
  }

  #render({ version, requestId, text, atMs }: Entry): string {
    const maxTextBytes = Math.floor(this.#options.maxFileBytes / JSON_GROWTH)
    if (text.length > maxTextBytes) this.#drop(version, text.length - maxTextBytes)
    const kept = text.subarray(0, maxTextBytes).toString()
    return `${JSON.stringify({ atMs, requestId, version: version.version, text: kept })}\n`
  }

  async #append(dir: string, lines: string, textBytes: number): Promise<void> {
    const lostBytes = this.#untold.get(dir) ?? 0
    this.#untold.delete(dir)
    const loss = lostBytes === 0 ? '' : `${JSON.stringify({ atMs: Date.now(), droppedBytes: lostBytes })}\n`
    try {
      await (await this.#fileOf(dir)).append(Buffer.from(loss + lines))
      this.#isFailing = false
    } catch (error) {
      this.#droppedBytes += textBytes
      this.#untold.set(dir, (this.#untold.get(dir) ?? 0) + lostBytes + textBytes)
      await this.#release(dir)
      if (!this.#isFailing) this.#options.onFailure(error)
      this.#isFailing = true
    }
  }

  /** The file of a directory; the one that was not used for longest is closed to make room. */
  async #fileOf(dir: string): Promise<RotatingFile> {
    const { maxFileBytes, maxFiles, maxOpenFiles } = this.#options
    const file = this.#files.get(dir) ?? new RotatingFile(dir, maxFileBytes, maxFiles)
    this.#files.delete(dir)
    this.#files.set(dir, file)
    const [oldest] = this.#files.keys()
    if (oldest !== undefined && this.#files.size > maxOpenFiles) await this.#release(oldest)
    return file
  }

  /** A file that cannot be closed has nothing left to lose: its lines were written or are counted as dropped. */
  async #release(dir: string): Promise<void> {
    const file = this.#files.get(dir)
    this.#files.delete(dir)
    await file?.close().catch(() => {})
  }

  #drop(version: FunctionVersion, bytes: number): void {
    this.#droppedBytes += bytes
    const dir = this.#directoryOf(version)
    this.#untold.set(dir, (this.#untold.get(dir) ?? 0) + bytes)
  }
}
