import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import type { Interpreter, Language } from '../interpreters.ts'
import { launchPlan } from '../launch-plan.ts'
import type { Mount, Sandbox, SandboxProcess, SandboxSpec } from '../sandbox.ts'
import { readParcel, UnusableParcel, type ParcelFile } from './parcel.ts'

const MIB = 1024 * 1024

/** Where the compile cache lies while it is made: as deep as the place where instances read it. */
const CACHE_DIR = '/tmp/compiled'

/** Some 10 MB of code are compiled in a second. */
const TIMEOUT_MS = 60_000

const MEMORY_MIB = 512
const DISK_MIB = 128

/** Code beyond these is not compiled ahead. */
const MOST_SOURCE_BYTES = 64 * MIB
const MOST_FILES = 8000

/** What is sent back may be as large as this. */
const MOST_PARCEL_BYTES = 96 * MIB

/**
 * Code below this is not worth it, bytes. Node.js compiles some 100 KB in a millisecond, which is about what opening a cache
 * takes; Python needs a millisecond for one KB.
 */
export const LEAST_SOURCE_BYTES: Readonly<Record<Language, number>> = { nodejs: 128 * 1024, python: 2048 }

const PROGRAMS: Readonly<Record<Language, URL>> = {
  nodejs: new URL(`nodejs-program${extname(import.meta.url)}`, import.meta.url),
  python: new URL('python-program.py', import.meta.url),
}

const NODE_OPTIONS = ['--expose-internals', '--no-warnings', '--input-type=module-typescript']

/** Stands for the bootstraps in a plan that needs none. */
const NO_DIRECTORY = ''
const NO_BOOTSTRAPS = { nodejs: NO_DIRECTORY, python: NO_DIRECTORY }

/** A directory with code and where it is seen. */
export interface Place {
  readonly path: string
  readonly target: string
}

export interface CompilationRooms {
  readonly sandbox: Sandbox
  /** Ends the process when it takes more memory than it may, bytes. */
  readonly watchMemory: (process: SandboxProcess, limitBytes: number) => unknown
}

let numbered = 0

/**
 * Compiles code in a sandbox like a function's, without network and without running it.
 *
 * @param places For Python one.
 * @param signal Ends it.
 * @returns For Node.js its compile cache, for Python .pyc files by their path in the tree; none where the code is too small
 *   or too large to be worth it.
 * @throws When it fails in any way, takes too long or too much, or sends what it was not asked for.
 */
export async function compileCode(
  interpreter: Interpreter,
  places: readonly Place[],
  { sandbox, watchMemory }: CompilationRooms,
  signal: AbortSignal,
): Promise<readonly ParcelFile[]> {
  signal.throwIfAborted()
  const nothing = openSync('/dev/null', 'r')
  try {
    const process = sandbox.start(await specificationOf(interpreter, places, sandbox, nothing))
    const kill = (): void => process.kill()
    const timer = setTimeout(kill, TIMEOUT_MS)
    signal.addEventListener('abort', kill)
    try {
      watchMemory(process, MEMORY_MIB * MIB)
      return await outcomeOf(process)
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', kill)
      kill()
      await process.exited
    }
  } finally {
    closeSync(nothing)
  }
}

async function outcomeOf(process: SandboxProcess): Promise<readonly ParcelFile[]> {
  let complaint = ''
  process.stdout.resume()
  process.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-1000)))
  const [sent, exit] = await Promise.all([
    readParcel(process.channel, { bytes: MOST_PARCEL_BYTES }).catch((error: unknown) => {
      process.kill()
      return error instanceof Error ? error : new Error(String(error))
    }),
    process.exited,
  ])
  if (sent instanceof UnusableParcel) throw sent
  if (exit.kind !== 'exited' || exit.exitCode !== 0)
    throw new Error(`compiling ended with ${JSON.stringify(exit)} ${complaint}`.trim())
  if (sent instanceof Error) throw sent
  return sent
}

async function specificationOf(
  interpreter: Interpreter,
  places: readonly Place[],
  { name }: Sandbox,
  ticketsFd: number,
): Promise<SandboxSpec> {
  const { language } = interpreter
  // Where mounts are not made, the host's paths are seen.
  const seen = name === 'process' ? places.map(({ path }) => ({ path, target: path })) : places
  const order = JSON.stringify({
    places: seen.map(({ target }) => target),
    cacheDir: CACHE_DIR,
    leastSourceBytes: LEAST_SOURCE_BYTES[language],
    mostSourceBytes: MOST_SOURCE_BYTES,
    mostFiles: MOST_FILES,
  })
  const plan = launchPlan(interpreter, NO_BOOTSTRAPS, { memoryMib: MEMORY_MIB })
  numbered += 1
  return {
    functionId: `compiling-${numbered}`,
    // The interpreter as functions get it: what it is told decides which compiled forms fit.
    command: [...plan.command.slice(0, -1), ...(await programArguments(language)), order],
    mounts: [
      ...plan.mounts.filter(({ source }) => source !== NO_DIRECTORY),
      ...seen.map(({ path, target }): Mount => ({ source: path, target })),
    ],
    environment: plan.environment,
    workDir: '/tmp',
    memoryMib: MEMORY_MIB,
    diskMib: DISK_MIB,
    network: 'none',
    isAhead: true,
    ticketsFd,
  }
}

async function programArguments(language: Language): Promise<readonly string[]> {
  const text = await readFile(PROGRAMS[language], 'utf8')
  // Isolated: modules of the working directory, which may be everybody's, must not stand in for those of the library.
  return language === 'python' ? ['-I', '-c', text] : [...NODE_OPTIONS, '-e', text]
}
