import { createHash, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { getCompileCacheDir, stripTypeScriptTypes } from 'node:module'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isJsonObject, parsedJson } from '../model/json.ts'
import { joinModules } from './one-script.ts'

/** Directories with the bootstrap of each language, ready to be mounted. */
export interface Bootstraps {
  /** Holds {@link NODE_BOOTSTRAP}. */
  readonly nodejs: string
  /** Holds `bootstrap.py`. */
  readonly python: string
}

/** What says how sources are laid out: where it changes, they get another place. */
const CONVERTERS = [
  fileURLToPath(import.meta.url),
  fileURLToPath(new URL(`one-script${extname(import.meta.url)}`, import.meta.url)),
]

/** A file of a bootstrap: its path inside the directory and what it says. */
interface BootstrapFile {
  readonly path: string
  readonly text: string
}

/** What Node.js starts. Its ending says what it is where no package.json does. */
export const NODE_BOOTSTRAP = 'bootstrap.cjs'

/** What it starts instead to have the program compiled, see `compile-nodejs.ts`. */
export const NODE_COMPILER = 'compile.cjs'

/** Handler of a function that does nothing, in a file beside the bootstrap. */
export const NODE_REHEARSED = 'rehearsed.handler'

const REHEARSED = 'exports.handler = async (event, context) => undefined\n'

/** Relative imports of TypeScript files, static and dynamic. */
const TYPESCRIPT_IMPORT = /((?:from|import)\s*\(?\s*(['"])\.{1,2}\/[^'"\n]*)\.ts\2/g

/**
 * Lays out the programs that run inside sandboxes, in a form that every supported interpreter reads.
 *
 * Node.js's bootstrap becomes one script, see {@link joinModules}; in a checkout it is TypeScript, whose types are removed. Directories are
 * named by their content: a later start with the same files uses what is there, and several servers may share the target.
 *
 * @param targetDir Made when missing. Functions' user ids reach what is inside only through mounts, so its own mode may be 0700.
 * @param sourceDir Directory with one directory for each language.
 * @param cacheDir Keeps scripts for starts with other targets: removing types takes a sixth of a start. Not made when missing. Default: where
 *   Node.js keeps what it has compiled of this program; where it keeps nothing, nothing is kept.
 */
export async function materialiseBootstraps(
  targetDir: string,
  sourceDir = fileURLToPath(new URL('../runtimes', import.meta.url)),
  cacheDir = getCompileCacheDir(),
): Promise<Bootstraps> {
  await mkdir(targetDir, { recursive: true })
  const [nodejs, python, ...converters] = await Promise.all([
    readTree(join(sourceDir, 'nodejs'), /\.(?:ts|js)$/),
    readTree(join(sourceDir, 'python'), /\.py$/),
    ...CONVERTERS.map((path) => readFile(path, 'utf8')),
  ])
  const form = [process.version, ...converters]
  return {
    nodejs: await layOut(targetDir, nameOf('nodejs', [form, nodejs]), (name) =>
      keptOr(cacheDir, name, () => toScripts(nodejs)),
    ),
    python: await layOut(targetDir, nameOf('python', [form, python]), () => Promise.resolve(python)),
  }
}

async function readTree(dir: string, wanted: RegExp): Promise<BootstrapFile[]> {
  const names = await readdir(dir, { recursive: true }).catch(() => [])
  const paths = names.filter((path) => wanted.test(path) && !path.endsWith('.d.ts')).sort()
  return Promise.all(paths.map(async (path) => ({ path, text: await readFile(join(dir, path), 'utf8') })))
}

/** Two scripts to start, and the program that both run: `../runtimes/nodejs/program.ts`. */
function toScripts(files: readonly BootstrapFile[]): readonly BootstrapFile[] {
  const modules = files.map(toJavaScript)
  const started = (entry: string): string =>
    `${joinModules(modules, entry)}((specifier) => import(specifier), require)\n`
  return [
    { path: NODE_BOOTSTRAP, text: started('bootstrap.js') },
    { path: NODE_COMPILER, text: started('compile.js') },
    { path: 'program.js', text: joinModules(modules, 'life.js') },
    { path: 'rehearsed.js', text: REHEARSED },
  ]
}

function toJavaScript({ path, text }: BootstrapFile): BootstrapFile {
  if (!path.endsWith('.ts')) return { path, text }
  const script = stripTypes(text).replace(TYPESCRIPT_IMPORT, '$1.js$2')
  return { path: `${path.slice(0, -'.ts'.length)}.js`, text: script }
}

/** The same as {@link stripTypeScriptTypes}, which would tell the operator that it is experimental. */
function stripTypes(text: string): string {
  const emitWarning = process.emitWarning.bind(process)
  process.emitWarning = () => undefined
  try {
    return stripTypeScriptTypes(text)
  } finally {
    process.emitWarning = emitWarning
  }
}

/** @param content Everything that what is laid out depends on. */
function nameOf(language: string, content: readonly unknown[]): string {
  const hash = createHash('sha256').update(JSON.stringify(content))
  return `${language}-${hash.digest('hex').slice(0, 32)}`
}

/** The files that an earlier start kept under this name; else those that are made, which are kept if that can be. */
async function keptOr(
  cacheDir: string | undefined,
  name: string,
  make: () => readonly BootstrapFile[],
): Promise<readonly BootstrapFile[]> {
  if (cacheDir === undefined) return make()
  const place = join(cacheDir, `${name}.json`)
  const kept = parsedJson(await readFile(place, 'utf8').catch(() => ''))
  if (Array.isArray(kept) && kept.every(isFile) && kept.some(({ path }) => path === NODE_BOOTSTRAP))
    return kept
  const files = make()
  const draft = `${place}.${randomUUID()}`
  await writeFile(draft, JSON.stringify(files), { mode: 0o600 })
    .then(() => rename(draft, place))
    .catch(() => rm(draft, { force: true }))
    .catch(() => undefined)
  return files
}

function isFile(value: unknown): value is BootstrapFile {
  return isJsonObject(value) && typeof value['path'] === 'string' && typeof value['text'] === 'string'
}

/** @param filesOf Told the name; not asked where the directory is there. */
async function layOut(
  targetDir: string,
  name: string,
  filesOf: (name: string) => Promise<readonly BootstrapFile[]>,
): Promise<string> {
  const place = join(targetDir, name)
  if (existsSync(place)) return place
  const files = await filesOf(name)
  const draft = join(targetDir, `.${randomUUID()}`)
  await makeDirectory(draft)
  for (const { path, text } of files) {
    await makeDirectory(dirname(join(draft, path)))
    await writeFile(join(draft, path), text)
    await chmod(join(draft, path), 0o644)
  }
  try {
    await rename(draft, place)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    // Another server with the same files was quicker.
    if (!existsSync(place)) throw error
  }
  return place
}

// Modes are set after creation: the server's umask must not close the files to functions' user ids.
async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true })
  await chmod(path, 0o755)
}
