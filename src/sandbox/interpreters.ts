import { execFile } from 'node:child_process'
import { open, readdir, realpath } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

/** Languages with a bootstrap under `src/runtimes/`. */
export type Language = 'nodejs' | 'python'

/** A program of this host that runs a language. */
export interface Interpreter {
  readonly language: Language
  /** The program itself, no link and no script. */
  readonly path: string
  /** As it tells it, such as `26.10.0`. */
  readonly version: string
  /** The directory that holds the language's own library, where it lies outside `/usr` and the program needs it. */
  readonly prefix?: string
}

export interface DiscoverySettings {
  /** A Node.js program to prefer over every other. */
  readonly nodePath?: string | undefined
  /** A Python program to prefer over every other. */
  readonly pythonPath?: string | undefined
  /** Directories in the form of `PATH`; default the server's own. */
  readonly searchPath?: string | undefined
}

/** Where distributions put interpreters; preferred over `PATH`, where version managers put scripts in their place. */
const SYSTEM_DIRS = ['/usr/bin', '/usr/local/bin']

/** File names that may be an interpreter, by language. */
const PROGRAM_NAMES: Record<Language, RegExp> = {
  nodejs: /^(?:node|nodejs)(?:-?\d+)?$/,
  python: /^python3(?:\.\d+)?$/,
}

/** Oldest versions that the bootstraps are written for. */
const OLDEST: Record<Language, readonly [number, number]> = { nodejs: [20, 0], python: [3, 9] }

/** Longest wait for a program to tell its version. */
const VERSION_TIMEOUT_MS = 5000

/** Interpreters looked at for one language; version managers can keep hundreds. */
const MOST_CANDIDATES = 24

const run = promisify(execFile)
const asked = new Map<string, Promise<Interpreter | undefined>>()

/**
 * Finds the interpreters of this host: those named by settings, the Node.js that runs the server, then what the system's
 * directories and `PATH` hold. Each program is listed once, however many links lead to it.
 *
 * Links are followed to the program itself; scripts that stand for an interpreter (version managers' shims) are passed
 * over, since they would not work inside a sandbox. Every program found is asked for its version once.
 *
 * @returns In the order of preference among equal versions.
 */
export async function discoverInterpreters(
  settings: DiscoverySettings = {},
): Promise<readonly Interpreter[]> {
  const dirs = [...SYSTEM_DIRS, ...(settings.searchPath ?? process.env['PATH'] ?? '').split(delimiter)]
  const listings = await listAll([...new Set(dirs)].filter((dir) => dir.startsWith('/')))
  const found = await Promise.all([
    interpretersAmong('nodejs', [settings.nodePath, process.execPath, ...named(listings, 'nodejs')]),
    interpretersAmong('python', [settings.pythonPath, ...named(listings, 'python')]),
  ])
  return found.flat()
}

async function listAll(dirs: readonly string[]): Promise<readonly { dir: string; names: string[] }[]> {
  return Promise.all(dirs.map(async (dir) => ({ dir, names: await readdir(dir).catch(() => []) })))
}

function named(listings: readonly { dir: string; names: string[] }[], language: Language): string[] {
  return listings.flatMap(({ dir, names }) =>
    names.filter((name) => PROGRAM_NAMES[language].test(name)).map((name) => join(dir, name)),
  )
}

async function interpretersAmong(
  language: Language,
  paths: readonly (string | undefined)[],
): Promise<Interpreter[]> {
  const real = await Promise.all(paths.map((path) => programAt(path)))
  const programs = [...new Set(real.filter((path) => path !== undefined))].slice(0, MOST_CANDIDATES)
  const answers = await Promise.all(programs.map((path) => interpreterAt(language, path)))
  return answers.filter((interpreter) => interpreter !== undefined)
}

/** @returns The path of the program that `path` leads to, undefined when there is none or it is a script. */
async function programAt(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined
  try {
    const real = await realpath(path)
    await using file = await open(real)
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0)
    return buffer.toString('latin1') === '\x7fELF' ? real : undefined
  } catch {
    return undefined
  }
}

function interpreterAt(language: Language, path: string): Promise<Interpreter | undefined> {
  // A path and what it is are asked once for each process of ours.
  const known = asked.get(path) ?? (language === 'nodejs' ? nodeAt(path) : pythonAt(path))
  asked.set(path, known)
  return known
}

async function nodeAt(path: string): Promise<Interpreter | undefined> {
  if (path === (await realpath(process.execPath)))
    return { language: 'nodejs', path, version: process.versions.node }
  const version = /^v(\d+\.\d+\.\d+)/.exec(await output(path, ['--version']))?.[1]
  return version === undefined || isTooOld('nodejs', version)
    ? undefined
    : { language: 'nodejs', path, version }
}

async function pythonAt(path: string): Promise<Interpreter | undefined> {
  const tell = 'import sys; print("%d.%d.%d" % sys.version_info[:3], sys.base_prefix)'
  const [, version, prefix] =
    /^(\d+\.\d+\.\d+) (\/.*)$/m.exec(await output(path, ['-I', '-S', '-c', tell])) ?? []
  if (version === undefined || prefix === undefined || isTooOld('python', version)) return undefined
  const outside = !`${prefix}/`.startsWith('/usr/')
  return { language: 'python', path, version, ...(outside ? { prefix } : {}) }
}

async function output(path: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run(path, args, { env: {}, timeout: VERSION_TIMEOUT_MS, killSignal: 'SIGKILL' })
    return stdout
  } catch {
    return ''
  }
}

function isTooOld(language: Language, version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [oldestMajor, oldestMinor] = OLDEST[language]
  return major < oldestMajor || (major === oldestMajor && minor < oldestMinor)
}
