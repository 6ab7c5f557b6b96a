import { rm, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { CallFilter, CallHistory, CallRecord, EndedCall } from '../model/call-record.ts'
import type { FunctionName, FunctionVersion } from '../model/function.ts'
import { utf8Cut } from '../model/utf8.ts'
import { ChunkMemory, LineBuffer, type Chunk } from './line-buffer.ts'
import { findCalls } from './log-history.ts'
import { renderCall, renderLoss, renderPiece } from './log-line.ts'
import { listLogDirectories, logDirectory } from './log-paths.ts'
import { OpenFiles } from './open-files.ts'
import { ENTRY_BYTES, RenderQueue } from './render-queue.ts'
import { openNewestFirst } from './rotating-file.ts'

export interface LogFilesOptions {
  /** Created when it is needed. */
  readonly dir: string
  /** Size at which a file is set aside, bytes; at least 128 KiB. Below 1 MiB, texts are cut that could become too long a line. */
  readonly maxFileBytes: number
  /** Files kept for each function, at least 1. */
  readonly maxFiles: number
  /** What may wait to be written, bytes; what comes beyond it is dropped. Default 8 MiB. */
  readonly maxWaitingBytes?: number
  /** Files held open for writing. Default 32. */
  readonly maxOpenFiles?: number
  /** Told once when writing begins to fail, and again only after it has worked in between. */
  readonly onFailure?: (error: unknown) => void
}

/** What is kept of one function until it is in its file. */
interface FunctionLines {
  readonly dir: string
  readonly lines: LineBuffer
  /** Bytes of text dropped and not yet told of. */
  untoldBytes: number
}

const WRITE_DELAY_MS = 100
/** In JSON a byte can become six, and the other members need room. */
const JSON_GROWTH = 8
/** A UTF-16 unit becomes at most this many bytes of UTF-8. */
const MAX_BYTES_PER_UNIT = 3
/** Shorter texts are copied when they are part of something bigger, which would be kept alive as a whole. */
const COPY_BYTES = 16 * 1024
/** Looked at in one search. */
const MAX_SEARCHED_FILES = 100

/**
 * Keeps what functions log and how their calls ended, one directory for each function, in JSON lines. A call that ended is
 * `{atMs, requestId, version, ending, reason?, durationMs, billedDurationMs, maxMemoryBytes, retryCount?, pieces?, result?,
 * text}`; pieces of a text that is long come before: `{atMs, requestId, version, piece, text}`.
 *
 * Logs are worth less than calls: they wait in memory, within bounds, and are dropped when the disk cannot follow or
 * fails. The next line that is written for the function says how much was lost: `{atMs, droppedBytes}`.
 *
 * The line of a call is made when it ends, as bytes at their place: so writing stalls nobody, and what waits for it is no
 * work for the collector. Long texts are made into lines in slices, one each turn of the event loop.
 */
export class LogFiles implements CallHistory {
  readonly #options: Required<LogFilesOptions>
  readonly #memory = new ChunkMemory()
  readonly #files: OpenFiles
  readonly #functions = new Map<string, FunctionLines>()
  readonly #functionOf = new WeakMap<FunctionVersion, FunctionLines>()
  /** Functions that have lines to write. */
  readonly #unwritten = new Set<FunctionLines>()
  readonly #queue = new RenderQueue()
  /** Bytes of lines that are not written. */
  #lineBytes = 0
  #droppedBytes = 0
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #searching: Promise<unknown> = Promise.resolve()
  #isWriting = false
  #isFailing = false
  #isClosed = false

  constructor(options: LogFilesOptions) {
    this.#options = { maxWaitingBytes: 8 * 1024 * 1024, maxOpenFiles: 32, onFailure: () => {}, ...options }
    this.#files = new OpenFiles(this.#options)
  }

  /** Bytes of text lost since the start. */
  get droppedBytes(): number {
    return this.#droppedBytes
  }

  /**
   * Takes a part of the log of a call that has not ended. Never waits, never throws.
   *
   * @param piece Counts the parts of the call from 1.
   */
  keep(version: FunctionVersion, requestId: string, text: Buffer, piece: number): void {
    const of = this.#linesOf(version)
    if (!this.#hasRoomFor(text.length)) {
      this.#drop(of, text.length)
      return
    }
    const isPart = text.length < COPY_BYTES && text.length < text.buffer.byteLength
    const own = isPart ? Buffer.from(text) : text
    const atMs = Date.now()
    this.#queue.enter(text.length, () => {
      const kept = this.#cut(of, own)
      this.#add(of, renderPiece(atMs, version.version, requestId, piece, kept), kept.length)
    })
  }

  /**
   * Takes a call that has ended, with what it logged after its parts. Never waits, never throws.
   *
   * @param pieces Parts of its log that were kept before.
   */
  ended(version: FunctionVersion, call: EndedCall, pieces: number): void {
    const of = this.#linesOf(version)
    if (!this.#hasRoomFor(call.log.length)) {
      this.#drop(of, Buffer.byteLength(call.log))
      return
    }
    const atMs = Date.now()
    if (this.#queue.isEmpty) this.#addCall(of, atMs, version, call, pieces)
    // Behind its own pieces: the lines of one call stay in their order.
    else this.#queue.enter(call.log.length, () => this.#addCall(of, atMs, version, call, pieces))
  }

  /**
   * Newest first, from what is in the files and what is to be. One search at a time, which yields to other work.
   *
   * @throws what the file system says.
   */
  async find(filter: CallFilter, limit: number): Promise<readonly CallRecord[]> {
    const before = this.#searching
    const search = before.then(() => this.#find(filter, limit))
    this.#searching = search.catch(() => undefined)
    return search
  }

  /** Resolves when everything kept so far is written or given up. Never rejects. */
  flush(): Promise<void> {
    return this.#afterWriting(async () => {
      await this.#queue.settled()
      await this.#writeWaiting()
    })
  }

  /** Deletes what was kept of a function; what it still logs begins anew. Resolves when done or given up. Never rejects. */
  remove(name: FunctionName): Promise<void> {
    const dir = logDirectory(this.#options.dir, name)
    this.#forget(dir)
    return this.#afterWriting(() => this.#delete(dir))
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
      for (const one of found) {
        if (kept.has(one)) continue
        this.#forget(one)
        await this.#delete(one)
      }
    })
  }

  /** Writes what waits and closes the files; what is kept afterwards is dropped. Never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.flush()
    await this.#searching
    await this.#files.closeAll()
  }

  async #find(filter: CallFilter, limit: number): Promise<readonly CallRecord[]> {
    const dir = logDirectory(this.#options.dir, filter)
    const maxFiles = Math.min(this.#options.maxFiles, MAX_SEARCHED_FILES)
    // Opened while nothing is written: all files are of the same moment, whatever is set aside later.
    const opened = this.flush().then(() => openNewestFirst(dir, maxFiles))
    this.#writing = opened.then(
      () => undefined,
      () => undefined,
    )
    return findCalls(await opened, filter, limit)
  }

  #afterWriting(run: () => Promise<void>): Promise<void> {
    this.#writing = this.#writing.then(run).catch(this.#options.onFailure)
    return this.#writing
  }

  /** Gives up what waits for a function that is gone. */
  #forget(dir: string): void {
    const of = this.#functions.get(dir)
    if (of === undefined) return
    this.#functions.delete(dir)
    of.untoldBytes = 0
    for (const chunk of of.lines.take()) this.#release(chunk)
  }

  async #delete(dir: string): Promise<void> {
    await this.#files.close(dir)
    await rm(dir, { recursive: true, force: true })
    // Only an empty directory lets itself be removed: the namespace's goes with its last function.
    await rmdir(dirname(dir)).catch(() => {})
  }

  #linesOf(version: FunctionVersion): FunctionLines {
    const known = this.#functionOf.get(version)
    if (known !== undefined) return known
    const dir = logDirectory(this.#options.dir, version)
    let of = this.#functions.get(dir)
    if (of === undefined) {
      of = { dir, lines: new LineBuffer(this.#memory, this.#options.maxFileBytes), untoldBytes: 0 }
      this.#functions.set(dir, of)
    }
    this.#functionOf.set(version, of)
    return of
  }

  #hasRoomFor(bytes: number): boolean {
    const waitingBytes = this.#lineBytes + this.#queue.bytes + bytes + ENTRY_BYTES
    return !this.#isClosed && waitingBytes <= this.#options.maxWaitingBytes
  }

  #addCall(of: FunctionLines, atMs: number, version: FunctionVersion, call: EndedCall, pieces: number): void {
    const isLong = call.log.length * MAX_BYTES_PER_UNIT > this.#maxTextBytes
    const kept = isLong ? { ...call, log: this.#cut(of, Buffer.from(call.log)) } : call
    this.#add(of, renderCall(atMs, version.version, kept, pieces), kept.log.length)
  }

  /** A line may not be larger than a file. */
  #cut(of: FunctionLines, text: Buffer): string {
    const bytes = utf8Cut(text, this.#maxTextBytes)
    if (bytes < text.length) this.#drop(of, text.length - bytes)
    return text.toString('utf8', 0, bytes)
  }

  get #maxTextBytes(): number {
    return Math.floor(this.#options.maxFileBytes / JSON_GROWTH)
  }

  #add(of: FunctionLines, line: string, textUnits: number): void {
    this.#lineBytes += of.lines.add(line, textUnits)
    this.#unwritten.add(of)
    this.#writeSoon(of.lines.hasFull)
  }

  #writeSoon(atOnce: boolean): void {
    if (this.#isWriting) return
    if (!atOnce) {
      this.#timer ??= setTimeout(() => this.#writeSoon(true), WRITE_DELAY_MS).unref()
      return
    }
    this.#isWriting = true
    void this.#afterWriting(() => this.#writeWaiting())
  }

  async #writeWaiting(): Promise<void> {
    this.#isWriting = true
    clearTimeout(this.#timer)
    this.#timer = undefined
    const functions = [...this.#unwritten]
    this.#unwritten.clear()
    for (const of of functions) for (const chunk of of.lines.take()) await this.#write(of, chunk)
    this.#isWriting = false
    for (const of of this.#unwritten) this.#writeSoon(of.lines.hasFull)
  }

  async #write(of: FunctionLines, chunk: Chunk): Promise<void> {
    let lostBytes = of.untoldBytes
    of.untoldBytes = 0
    try {
      if (lostBytes > 0) await this.#files.append(of.dir, Buffer.from(renderLoss(Date.now(), lostBytes)))
      lostBytes = 0
      await this.#files.append(of.dir, chunk.memory.subarray(0, chunk.usedBytes))
      this.#isFailing = false
    } catch (error) {
      this.#droppedBytes += chunk.textBytes
      of.untoldBytes += lostBytes + chunk.textBytes
      if (!this.#isFailing) this.#options.onFailure(error)
      this.#isFailing = true
    }
    this.#release(chunk)
  }

  #release({ memory, usedBytes }: Chunk): void {
    this.#lineBytes -= usedBytes
    this.#memory.give(memory)
  }

  #drop(of: FunctionLines, bytes: number): void {
    this.#droppedBytes += bytes
    of.untoldBytes += bytes
  }
}
