import { execFile } from 'node:child_process'
import { open, readdir, realpath } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { isOfSystem } from './bwrap/arguments.ts'
import { treeShowing, type HiddenPlace } from './shown-trees.ts'

/** Languages with a bootstrap under `src/runtimes/`. */
export type Language = 'nodejs' | 'python'

/** A program of this host that runs a language. */
export interface Interpreter {
  readonly language: Language
  /** The program itself, no link and no script. */
  readonly path: string
  /** As it tells it, such as `26.10.0`. */
  readonly version: string
  /**
   * What lies outside `/usr` and the program needs: directories of the language's own library and single files, shared objects among
   * them. Never its whole prefix, which may be anything, a home among them. No one lies in another; absent where there is nothing.
   */
  readonly needs?: readonly string[]
}

export interface DiscoverySettings {
  /** A Node.js program to prefer over every other. */
  readonly nodePath?: string | undefined
  /** A Python program to prefer over every other. */
  readonly pythonPath?: string | undefined
  /** Directories in the form of `PATH`; default the server's own. */
  readonly searchPath?: string | undefined
  /** Directories that no function may see: an interpreter that cannot be shown without one is not used. */
  readonly hidden?: readonly HiddenPlace[] | undefined
  /** Told of each program that is passed over for that reason, and why. */
  readonly onPassedOver?: ((passedOver: PassedOver) => void) | undefined
}

/** A program that was found, and is not used. */
export interface PassedOver {
  readonly path: string
  readonly why: string
}

/** Settings that name an interpreter, by language. */
const SETTING_OF = { nodejs: 'nodePath', python: 'pythonPath' } as const

/** What a setting names is no interpreter that functions can run on; the message says why. */
export class InterpreterUnusable extends Error {
  override readonly name = 'InterpreterUnusable'
  readonly setting: (typeof SETTING_OF)[Language]

  constructor(language: Language, reason: string) {
    super(reason)
    this.setting = SETTING_OF[language]
  }
}

/** Where distributions put interpreters; preferred over `PATH`, where version managers put scripts in their place. */
const SYSTEM_DIRS = ['/usr/bin', '/usr/local/bin']

/** File names that may be an interpreter, by language. */
const PROGRAM_NAMES: Record<Language, RegExp> = {
  nodejs: /^(?:node|nodejs)(?:-?\d+)?$/,
  python: /^python3(?:\.\d+)?$/,
}

const PRODUCT: Record<Language, string> = { nodejs: 'Node.js', python: 'Python' }

/** Oldest versions that the bootstraps are written for. */
const OLDEST: Record<Language, readonly [number, number]> = { nodejs: [20, 0], python: [3, 9] }

/** Longest wait for a program to tell its version. */
const VERSION_TIMEOUT_MS = 5000

/** Interpreters looked at for one language; version managers can keep hundreds. */
const MOST_CANDIDATES = 24

/** Shared objects of a Python that are shown: some distributions keep a hundred beside it. */
const MOST_SHARED_OBJECTS = 400

/**
 * Prints the version, then what is needed, line by line: where modules of the library come from, shared objects in the directories around
 * them (of Python itself, and those that its own extensions are linked with), public certificates, time zones.
 */
const TELL_PYTHON = `
import os, re, sys, sysconfig
print('%d.%d.%d' % sys.version_info[:3])
libraries = [sysconfig.get_path(name) for name in ('stdlib', 'platstdlib', 'purelib', 'platlib')]
needs = libraries + sys.path + (sysconfig.get_config_var('TZPATH') or '').split(':')
around = [os.path.dirname(place) for place in libraries[:2]] + [sysconfig.get_config_var('LIBDIR') or '']
objects = [os.path.join(place, name) for place in dict.fromkeys(around) if os.path.isdir(place)
    for name in sorted(os.listdir(place)) if re.match(r'lib.*[.]so([.][0-9]+)*$', name)]
own = [place for place in objects if os.path.basename(place).startswith('libpython')]
needs += [place for place in dict.fromkeys(own + objects) if os.path.isfile(place)][:${MOST_SHARED_OBJECTS}]
try:
    import ssl
    needs.append(ssl.get_default_verify_paths().openssl_cafile)
except ImportError:
    pass
print('\\n'.join(os.path.normpath(place) for place in needs if os.path.exists(place)))
`

const run = promisify(execFile)
const asked = new Map<string, Promise<Examined>>()

/** A program, or why it is none that can be used. */
type Examined = Interpreter | { readonly unusable: string }

/**
 * Finds the interpreters of this host: those named by settings, the Node.js that runs the server, then what the system's
 * directories and `PATH` hold. Each program is listed once, however many links lead to it.
 *
 * Links are followed to the program itself; scripts that stand for an interpreter (version managers' shims) are passed
 * over, since they would not work inside a sandbox. Every program found is asked for its version once.
 *
 * @returns In the order of preference among equal versions.
 * @throws {InterpreterUnusable} see {@link requireNamedInterpreters}.
 */
export async function discoverInterpreters(
  settings: DiscoverySettings = {},
): Promise<readonly Interpreter[]> {
  await requireNamedInterpreters(settings)
  const dirs = [...SYSTEM_DIRS, ...(settings.searchPath ?? process.env['PATH'] ?? '').split(delimiter)]
  const listings = await listAll([...new Set(dirs)].filter((dir) => dir.startsWith('/')))
  const found = await Promise.all([
    interpretersAmong('nodejs', [settings.nodePath, process.execPath, ...named(listings, 'nodejs')]),
    interpretersAmong('python', [settings.pythonPath, ...named(listings, 'python')]),
  ])
  return found.flat().filter((interpreter) => {
    const why = showsWhatIsHidden(interpreter, settings.hidden)
    if (why !== undefined) settings.onPassedOver?.({ path: interpreter.path, why })
    return why === undefined
  })
}

function showsWhatIsHidden(
  { needs = [] }: Interpreter,
  hidden: readonly HiddenPlace[] = [],
): string | undefined {
  for (const place of hidden) {
    const tree = treeShowing(place, needs)
    if (tree !== undefined)
      return `needs ${tree}, and in that lies ${place.what} ${place.dir}, which no function may see`
  }
  return undefined
}

/**
 * Looks at the programs that settings name, and at no other.
 *
 * @throws {InterpreterUnusable} one is missing, a script, too old, no interpreter of its language, or cannot be shown to functions
 *   without what is hidden from them.
 */
export async function requireNamedInterpreters(settings: DiscoverySettings): Promise<void> {
  for (const language of ['nodejs', 'python'] as const) {
    const path = settings[SETTING_OF[language]]
    if (path === undefined) continue
    const program = await programAt(path)
    const examined = 'path' in program ? await interpreterAt(language, program.path) : program
    const why = 'unusable' in examined ? examined.unusable : showsWhatIsHidden(examined, settings.hidden)
    if (why !== undefined) throw new InterpreterUnusable(language, `'${path}' ${why}`)
  }
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
  const looked = await Promise.all(paths.filter((path) => path !== undefined).map((path) => programAt(path)))
  const programs = looked.flatMap((program) => ('path' in program ? [program.path] : []))
  const distinct = [...new Set(programs)].slice(0, MOST_CANDIDATES)
  const answers = await Promise.all(distinct.map((path) => interpreterAt(language, path)))
  return answers.flatMap((answer) => ('unusable' in answer ? [] : [answer]))
}

/** Follows links to the program itself. */
async function programAt(path: string): Promise<{ readonly path: string } | { readonly unusable: string }> {
  try {
    const real = await realpath(path)
    await using file = await open(real)
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0)
    const start = buffer.toString('latin1')
    if (start === '\x7fELF') return { path: real }
    return {
      unusable: start.startsWith('#!')
        ? 'is a script, which would not work inside a sandbox; the program that it starts is needed'
        : 'is not a program',
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    switch (code) {
      case 'ENOENT':
      case 'ENOTDIR':
        return { unusable: 'does not exist' }
      case 'EISDIR':
        return { unusable: 'is a directory' }
      case 'EACCES':
        return { unusable: 'cannot be read by this user' }
      default:
        return { unusable: `cannot be read: ${error instanceof Error ? error.message : String(error)}` }
    }
  }
}

function interpreterAt(language: Language, path: string): Promise<Examined> {
  // A path and what it is are asked once for each process of ours.
  const key = `${language} ${path}`
  const known = asked.get(key) ?? examine(language, path)
  asked.set(key, known)
  return known
}

async function examine(language: Language, path: string): Promise<Examined> {
  const found = await (language === 'nodejs' ? nodeAt(path) : pythonAt(path))
  const [major, minor] = OLDEST[language]
  const wanted = `${PRODUCT[language]} ${major}.${minor} or newer`
  if (found === undefined) return { unusable: `does not answer as ${wanted} does` }
  if (isTooOld(language, found.version)) return { unusable: `is version ${found.version}, not ${wanted}` }
  return found
}

async function nodeAt(path: string): Promise<Interpreter | undefined> {
  if (path === (await realpath(process.execPath)))
    return { language: 'nodejs', path, version: process.versions.node }
  const version = /^v(\d+\.\d+\.\d+)/.exec(await output(path, ['--version']))?.[1]
  return version === undefined ? undefined : { language: 'nodejs', path, version }
}

async function pythonAt(path: string): Promise<Interpreter | undefined> {
  const [version, ...told] = (await output(path, ['-I', '-S', '-c', TELL_PYTHON])).split('\n')
  if (version === undefined || !/^\d+\.\d+\.\d+$/.test(version)) return undefined
  const needed = [path, ...told].filter(
    (place) => place.startsWith('/') && !isOfSystem(place) && !isOfEtc(place),
  )
  const needs = [...new Set(needed)].filter(
    (place, _index, all) => !all.some((other) => place.startsWith(`${other}/`)),
  )
  return { language: 'python', path, version, ...(needs.length > 0 ? { needs } : {}) }
}

/** Sandboxes have an `/etc` of their own, with the host's certificates in it. */
function isOfEtc(path: string): boolean {
  return path.startsWith('/etc/')
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
