import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Interpreter } from '../interpreters.ts'
import type { Mount } from '../sandbox.ts'
import { compileCode, LEAST_SOURCE_BYTES, type CompilationRooms, type Place } from './compilation.ts'
import { layOutCache, layOutTree } from './lay-out.ts'

const run = promisify(execFile)

/** Where instances of Node.js find the compile cache of their code; `runtimes/nodejs/compile-cache.ts` knows it, too. */
const CACHE_TARGET = '/anvoke/compiled'

/** What is seen there without a cache. */
const EMPTY = 'empty'

/** Directories that are not whole yet, or no more. */
const DRAFT_PREFIX = '.draft-'

/** No compiling begins so soon after a start, or after it was asked for: the call that wanted it is to have the processors first. */
const CALM_MS = 50
/** Starts that follow each other hold it up no longer than this. */
const LONGEST_HOLD_MS = 5000

/** Code that waits to be compiled; beyond this, the oldest is compiled at its next start. */
const MOST_WAITING = 1000

const DEFAULT_SPARED_MS = 600_000

/** Older ones have no cache that can be made by one user for another. */
const OLDEST_NODE_MAJOR = 24

const SYNC_TIMEOUT_MS = 60_000

/** Code as one of its places shows it: of a function, or of its layers. */
export interface CodeTree extends Place {
  /** Names its content; never another's. Digits, letters and `-` alone. */
  readonly id: string
  /** Size of its files. */
  readonly bytes: number
}

/** What an instance sees of code, and what runs it. The code's own tree comes first. */
export interface RunnableCode {
  readonly interpreter: Interpreter
  readonly trees: readonly CodeTree[]
}

export interface CompiledCodeSettings extends CompilationRooms {
  /** On the file system of the code trees, of this server alone. Made when missing. */
  readonly dir: string
  /** Told why code could not be compiled: it runs all the same. */
  readonly onFailure: (error: unknown) => void
  /** What was asked for in this time is not swept away, ms; default 600 000. */
  readonly sparedMs?: number
}

/** One thing to compile. */
interface Job {
  /** Names the outcome. */
  readonly key: string
  readonly interpreter: Interpreter
  readonly trees: readonly CodeTree[]
  readonly onReady: () => void
}

/**
 * The compiled forms of functions' code, one for each code and interpreter: made in the background, in a sandbox, one after
 * another, without running the code. See `../README.md`.
 */
export class CompiledCode {
  readonly #settings: CompiledCodeSettings
  /** Names of what is there. */
  readonly #made: Set<string>
  /** What came to nothing: not tried again by this server. */
  readonly #fruitless = new Set<string>()
  /** The last asked for last. */
  readonly #waiting = new Map<string, Job>()
  /** When each was asked for, monotonic milliseconds. */
  readonly #askedMs = new Map<string, number>()
  readonly #ending = new AbortController()
  #lastStartMs = -Infinity
  #working: Promise<void> | undefined
  #sweeping: Promise<void> = Promise.resolve()

  private constructor(settings: CompiledCodeSettings, made: Set<string>) {
    this.#settings = settings
    this.#made = made
  }

  /** @throws When the directory cannot be made or read. */
  static async open(settings: CompiledCodeSettings): Promise<CompiledCode> {
    const { dir } = settings
    await mkdir(join(dir, EMPTY), { recursive: true })
    for (const path of [dir, join(dir, EMPTY)]) await chmod(path, 0o755)
    const names = await readdir(dir)
    const drafts = names.filter((name) => name.startsWith(DRAFT_PREFIX))
    await Promise.all(drafts.map((name) => rm(join(dir, name), { recursive: true, force: true })))
    return new CompiledCode(
      settings,
      new Set(names.filter((name) => name !== EMPTY && !drafts.includes(name))),
    )
  }

  /** What shows the code to an instance, with its compiled forms where they are there. Changes nothing. */
  mountsOf(code: RunnableCode): readonly Mount[] {
    const { interpreter, trees } = code
    if (interpreter.language === 'python')
      return trees.map((tree) => {
        const source = this.#find(keyOf(interpreter, [tree])) ?? tree.path
        return { source, target: tree.target, holdsCode: true }
      })
    const mounts = trees.map(({ path, target }): Mount => ({ source: path, target, holdsCode: true }))
    if (!this.#canBeCompiled(interpreter)) return mounts
    // Always there: so a process can be started before it is known which code it runs.
    const source = this.#find(keyOf(interpreter, trees)) ?? join(this.#settings.dir, EMPTY)
    return [...mounts, { source, target: CACHE_TARGET, holdsCode: true }]
  }

  /**
   * Has the code compiled soon, unless it is.
   *
   * @param onReady Told when {@link mountsOf} has become another; not when it stays what it is.
   */
  expect(code: RunnableCode, onReady: () => void): void {
    if (this.#ending.signal.aborted) return
    for (const job of this.#jobsOf(code, onReady)) {
      this.#askedMs.set(job.key, performance.now())
      if (this.#made.has(job.key) || this.#fruitless.has(job.key) || this.#waiting.has(job.key)) continue
      this.#waiting.set(job.key, job)
      const [oldest] = this.#waiting.keys()
      if (this.#waiting.size > MOST_WAITING && oldest !== undefined) this.#waiting.delete(oldest)
    }
    if (this.#waiting.size > 0) this.#working ??= this.#work().finally(() => (this.#working = undefined))
  }

  /** An instance starts: what is done in the background lets it go first. */
  noteStart(): void {
    this.#lastStartMs = performance.now()
  }

  /** Resolves when nothing that was expected is still to be compiled. */
  async settled(): Promise<void> {
    await this.#working
  }

  /**
   * Removes what belongs to none of these, and was not expected lately.
   *
   * @param inUse Taken as it is now.
   */
  async sweep(inUse: Iterable<RunnableCode>): Promise<void> {
    const live = new Set([...inUse].flatMap((code) => this.#jobsOf(code).map(({ key }) => key)))
    const sparedSinceMs = performance.now() - (this.#settings.sparedMs ?? DEFAULT_SPARED_MS)
    for (const [key, askedMs] of this.#askedMs) if (askedMs <= sparedSinceMs) this.#askedMs.delete(key)
    for (const key of this.#fruitless) if (!live.has(key)) this.#fruitless.delete(key)
    const old = [...this.#made].filter((key) => !live.has(key) && !this.#askedMs.has(key))
    // From here on nobody is shown it.
    for (const key of old) this.#made.delete(key)
    this.#sweeping = this.#sweeping.then(() => this.#removeAll(old))
    await this.#sweeping
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    this.#ending.abort()
    this.#waiting.clear()
    await Promise.all([this.#working, this.#sweeping])
  }

  /** What was made under this name. Somebody may have deleted it meanwhile. */
  #find(key: string): string | undefined {
    if (!this.#made.has(key)) return undefined
    const path = join(this.#settings.dir, key)
    if (existsSync(path)) return path
    this.#made.delete(key)
    return undefined
  }

  #canBeCompiled({ language, version }: Interpreter): boolean {
    if (language === 'python') return true
    // The names of entries depend on where the code is seen, which differs from start to start without mounts.
    return this.#settings.sandbox.name !== 'process' && Number.parseInt(version, 10) >= OLDEST_NODE_MAJOR
  }

  #jobsOf({ interpreter, trees }: RunnableCode, onReady: () => void = () => undefined): Job[] {
    if (!this.#canBeCompiled(interpreter)) return []
    const groups = interpreter.language === 'python' ? trees.map((tree) => [tree]) : [trees]
    return groups
      .filter((group) => sizeOf(group) >= LEAST_SOURCE_BYTES[interpreter.language])
      .map((group) => ({ key: keyOf(interpreter, group), interpreter, trees: group, onReady }))
  }

  async #work(): Promise<void> {
    const { signal } = this.#ending
    for (;;) {
      await this.#untilCalm().catch(() => undefined)
      const job = [...this.#waiting.values()].at(-1)
      if (job === undefined || signal.aborted) return
      this.#waiting.delete(job.key)
      const isMade = await this.#make(job).catch((error: unknown) => {
        if (!signal.aborted) this.#settings.onFailure(error)
        return false
      })
      if (!isMade) this.#fruitless.add(job.key)
      else job.onReady()
    }
  }

  async #untilCalm(): Promise<void> {
    const sinceMs = performance.now()
    const options = { signal: this.#ending.signal, ref: false }
    await delay(CALM_MS, undefined, options)
    while (
      performance.now() - this.#lastStartMs < CALM_MS &&
      performance.now() - sinceMs < LONGEST_HOLD_MS &&
      !this.#ending.signal.aborted
    )
      await delay(CALM_MS, undefined, options)
  }

  /** @returns Whether there was anything to keep. */
  async #make({ key, interpreter, trees }: Job): Promise<boolean> {
    const { signal } = this.#ending
    const files = await compileCode(interpreter, trees, this.#settings, signal)
    const [first] = trees
    if (files.length === 0 || first === undefined) return false
    const draft = join(this.#settings.dir, `${DRAFT_PREFIX}${randomUUID()}`)
    try {
      if (interpreter.language === 'python') {
        await layOutTree(first.path, draft, files)
        // Python looks at no checksum: after a loss of power the name must not be there without the content.
        await run('sync', ['-f', draft], { timeout: SYNC_TIMEOUT_MS, signal })
      } else await layOutCache(draft, files)
      await rename(draft, join(this.#settings.dir, key))
    } catch (error) {
      await rm(draft, { recursive: true, force: true })
      throw error
    }
    this.#made.add(key)
    return true
  }

  async #removeAll(keys: readonly string[]): Promise<void> {
    const { dir } = this.#settings
    for (const key of keys) {
      const trash = join(dir, `${DRAFT_PREFIX}${randomUUID()}`)
      try {
        await rename(join(dir, key), trash)
        await rm(trash, { recursive: true, force: true })
      } catch (error) {
        this.#settings.onFailure(error)
      }
    }
  }
}

/**
 * A name for what the code's compiled forms are kept under. Node.js's depend on where the code is seen; whether a form fits is
 * checked by Node.js itself, by Python by its version alone.
 */
function keyOf({ language, version }: Interpreter, trees: readonly CodeTree[]): string {
  const parts = trees.map(({ id, target }) =>
    language === 'python' ? id : `${id}@${encodeURIComponent(target)}`,
  )
  return [language, version, process.arch, ...parts].join('~')
}

function sizeOf(trees: readonly CodeTree[]): number {
  return trees.reduce((sum, { bytes }) => sum + bytes, 0)
}
