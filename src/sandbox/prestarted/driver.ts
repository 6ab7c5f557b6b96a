import { randomUUID } from 'node:crypto'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { MemoryRoom } from '../cgroup/own-memory.ts'
import type { Sandbox, SandboxProcess, SandboxSpec, TicketFile } from '../sandbox.ts'
import { ClaimedProcess } from './claimed-process.ts'
import { LinkedTrees, removeTree } from './linked-trees.ts'
import { memoryRooms, shareLeft } from './memory-room.ts'
import { MOST_CLASSES, sharesOf } from './shares.ts'
import { Shelf } from './shelf.ts'
import { codeMountsOf, stemClassOf, templateOf, type SpecTemplate } from './stem-class.ts'
import { Stem } from './stem.ts'

/** How long after a start what it used is made again: the call that wanted the start is to have the processors first. */
const REFILL_DELAY_MS = 50

/** Starts that follow each other keep processes from being made for no longer than this: they would all be slow. */
const LONGEST_HOLD_MS = 2000

/** The longest pause between two looks at what is missing. */
const LONGEST_PAUSE_MS = 250

/** Below this share of the memory of the host, or of a limit around the server, none are kept. */
const LEAST_MEMORY_SHARE = 0.1

/** What one may take, well above what it does: none is started that would have to end again for the memory it takes itself. */
const STEM_BYTES = 32 * 1024 * 1024

const DEFAULT_LOOK_MS = 10_000

export interface PrestartedSettings {
  /** Starts the processes, and is closed with this. */
  readonly driver: Sandbox
  /** A directory on the file system of the code trees, of this server alone: what is in it is removed. Made when missing. */
  readonly dir: string
  /** Processes kept ready for each class of functions, from 0: then none are, and every start is direct. */
  readonly perClass: number
  /** Makes the empty ticket file of one process, on memory-backed storage. */
  readonly makeTickets: () => TicketFile
  /** Memory that can still be had; default: what the kernel tells. */
  readonly memoryRooms?: () => Promise<readonly MemoryRoom[]>
  /** How often memory is looked at, and whether code was deleted, milliseconds; default 10 000. */
  readonly lookMs?: number
}

/** What is there now, and what was used so far. */
export interface StemCounts {
  /** Started, and nobody's yet. */
  readonly kept: number
  /** Of those, the ones that have greeted. */
  readonly ready: number
  /** Starts that were given one. */
  readonly claims: number
  /** Starts that were not. */
  readonly directStarts: number
}

/**
 * Keeps processes of the driver started ahead of need, and gives one to a start that it fits. See `../README.md`.
 *
 * A process serves one function for its life, and has a user id of its own.
 */
export class PrestartedSandbox implements Sandbox {
  readonly name: Sandbox['name']
  readonly #settings: PrestartedSettings
  readonly #dir: string
  readonly #trees: LinkedTrees
  /** The class asked for last is last. */
  readonly #shelves = new Map<string, Shelf>()
  readonly #stems = new Set<Stem>()
  /** Direct starts that may not have greeted yet. */
  readonly #directs = new Set<SandboxProcess>()
  readonly #ending = new AbortController()
  readonly #leftovers: Promise<unknown>
  #timer: NodeJS.Timeout | undefined
  #refilling: Promise<void> | undefined
  #lastStartMs = -Infinity
  #made = 0
  #claims = 0
  #directStarts = 0

  private constructor(settings: PrestartedSettings, dir: string, leftovers: Promise<unknown>) {
    this.name = settings.driver.name
    this.#settings = settings
    this.#dir = dir
    this.#trees = new LinkedTrees(dir)
    this.#leftovers = leftovers
  }

  /**
   * Removes, in the background, what a killed server left in the directory.
   *
   * @throws When the directory cannot be made or read; the driver is closed then.
   */
  static async open(settings: PrestartedSettings): Promise<PrestartedSandbox> {
    const { driver, dir } = settings
    try {
      await mkdir(dir, { recursive: true, mode: 0o711 })
      const left = await readdir(dir)
      const own = join(dir, randomUUID())
      await mkdir(own, { mode: 0o711 })
      const leftovers = Promise.all(left.map((name) => removeTree(join(dir, name))))
      return new PrestartedSandbox(settings, own, leftovers)
    } catch (error) {
      await driver.close()
      throw error
    }
  }

  get counts(): StemCounts {
    const kept = [...this.#shelves.values()].flatMap(({ stems }) => stems)
    return {
      kept: kept.length,
      ready: kept.filter(({ isReady }) => isReady).length,
      claims: this.#claims,
      directStarts: this.#directStarts,
    }
  }

  start(spec: SandboxSpec): SandboxProcess {
    const process = this.#claim(spec) ?? this.#startDirectly(spec)
    this.#lastStartMs = performance.now()
    const template = templateOf(spec)
    this.#expectClass(template)
    // The call that wants this start is to have the processors first.
    setTimeout(() => this.#expectTrees(template), REFILL_DELAY_MS).unref()
    return process
  }

  /** A start like this is likely to come: makes ready what it will need. */
  expect(spec: SpecTemplate): void {
    this.#expectClass(spec)
    this.#expectTrees(spec)
  }

  async close(): Promise<void> {
    this.#ending.abort()
    clearInterval(this.#timer)
    for (const stem of this.#stems) stem.discard()
    await this.#refilling
    await this.#settings.driver.close()
    await Promise.all([...this.#stems].map(({ gone }) => gone))
    await this.#trees.close()
    await this.#leftovers
    await removeTree(this.#dir)
  }

  get #isClosed(): boolean {
    return this.#ending.signal.aborted
  }

  /** Whether any processes are kept. */
  get #isKept(): boolean {
    return this.#settings.perClass > 0 && !this.#isClosed
  }

  #expectTrees(spec: SpecTemplate): void {
    if (!this.#isKept || stemClassOf(spec) === undefined) return
    for (const { source } of codeMountsOf(spec)) this.#trees.expect(source)
  }

  #expectClass(spec: SpecTemplate): void {
    if (!this.#isKept) return
    const stemClass = stemClassOf(spec)
    if (stemClass === undefined) return
    const shelf = this.#shelves.get(stemClass.key) ?? new Shelf(stemClass)
    this.#shelves.delete(stemClass.key)
    this.#shelves.set(stemClass.key, shelf)
    this.#shareOut()
    this.#refill()
    this.#timer ??= setInterval(() => void this.#look(), this.#settings.lookMs ?? DEFAULT_LOOK_MS).unref()
  }

  #claim(spec: SandboxSpec): SandboxProcess | undefined {
    if (!this.#isKept) return undefined
    const template = templateOf(spec)
    const shelf = this.#shelves.get(stemClassOf(template)?.key ?? '')
    const stem = shelf?.first
    if (shelf === undefined || stem === undefined) return undefined
    const trees = this.#trees.takeAll(codeMountsOf(template))
    if (trees === undefined) return undefined
    shelf.takeOut(stem)
    this.#claims += 1
    return new ClaimedProcess(stem, stem.claim(trees))
  }

  #startDirectly(spec: SandboxSpec): SandboxProcess {
    const process = this.#settings.driver.start(spec)
    this.#directStarts += 1
    this.#directs.add(process)
    void process.exited.then(() => this.#directs.delete(process))
    return process
  }

  /** Ends what is beyond each class's share, and forgets classes that were not asked for for long. */
  #shareOut(): void {
    const recent = [...this.#shelves.values()].reverse()
    const shares = sharesOf(recent.length, this.#settings.perClass)
    for (const [index, shelf] of recent.entries()) {
      shelf.shrinkTo(shares[index] ?? 0)
      if (index >= MOST_CLASSES) this.#shelves.delete(shelf.stemClass.key)
    }
  }

  #refill(): void {
    if (this.#isClosed) return
    this.#refilling ??= this.#refillAll().finally(() => (this.#refilling = undefined))
  }

  /** Makes what is missing, one at a time. Never rejects. */
  async #refillAll(): Promise<void> {
    let sinceMs = performance.now()
    for (;;) {
      const shelf = this.#shortShelf()
      if (shelf === undefined || this.#isClosed) return
      const pauseMs = this.#pauseFor(shelf, sinceMs)
      if (pauseMs > 0) {
        await delay(Math.min(pauseMs, LONGEST_PAUSE_MS), undefined, {
          signal: this.#ending.signal,
          ref: false,
        }).catch(() => undefined)
        continue
      }
      if (await this.#isMemoryShort(STEM_BYTES)) return
      await this.#makeOne(shelf)
      sinceMs = performance.now()
    }
  }

  /** The class asked for last of those that have fewer than their share; one that may be filled at once comes first. */
  #shortShelf(): Shelf | undefined {
    const recent = [...this.#shelves.values()].reverse()
    const shares = sharesOf(recent.length, this.#settings.perClass)
    const short = recent.filter(({ stems }, index) => stems.length < (shares[index] ?? 0))
    return short.sort((a, b) => a.restMs - b.restMs)[0]
  }

  /** How long to wait before the next look, milliseconds; 0 or less: make one now. */
  #pauseFor({ restMs }: Shelf, sinceMs: number): number {
    if (restMs > 0) return restMs
    const now = performance.now()
    if (now - sinceMs > LONGEST_HOLD_MS) return 0
    for (const direct of this.#directs) if (direct.channel.bytesRead > 0) this.#directs.delete(direct)
    return this.#directs.size > 0 ? REFILL_DELAY_MS : this.#lastStartMs + REFILL_DELAY_MS - now
  }

  async #makeOne(shelf: Shelf): Promise<void> {
    const { driver, makeTickets } = this.#settings
    this.#made += 1
    try {
      const stem = await Stem.start({
        driver,
        stemClass: shelf.stemClass,
        name: `stem-${this.#made}`,
        dir: this.#dir,
        makeTickets,
      })
      this.#stems.add(stem)
      void stem.gone.then(() => this.#stems.delete(stem))
      shelf.put(stem, () => this.#refill())
      // Closed, or its class forgotten, while its directories were made.
      if (this.#isClosed) stem.discard()
      this.#shareOut()
      if (this.#shelves.get(shelf.stemClass.key) !== shelf) shelf.shrinkTo(0)
      await stem.settled
    } catch {
      shelf.failed()
    }
  }

  /** @param wantedBytes What is about to be taken. */
  async #isMemoryShort(wantedBytes: number): Promise<boolean> {
    const rooms = await (this.#settings.memoryRooms ?? memoryRooms)()
    return shareLeft(rooms, wantedBytes) < LEAST_MEMORY_SHARE
  }

  async #look(): Promise<void> {
    await this.#trees.forgetMissing()
    if (!(await this.#isMemoryShort(0))) {
      this.#refill()
      return
    }
    for (const shelf of this.#shelves.values()) shelf.shrinkTo(0)
    // What those that end now were made from is not in use by the next look.
    this.#settings.driver.relieve?.()
  }
}
