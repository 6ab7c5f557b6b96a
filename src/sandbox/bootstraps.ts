import { createHash, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { joinModules } from './one-script.ts'

/** Directories with the bootstrap of each language, ready to be mounted. */
export interface Bootstraps {
  /** Holds {@link NODE_BOOTSTRAP}. */
  readonly nodejs: string
  /** Holds `bootstrap.py`. */
  readonly python: string
}

/** Counts up whenever the same sources are laid out in another way: they then get a place of their own. */
const FORM = 4

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
 */
export async function materialiseBootstraps(
  targetDir: string,
  sourceDir = fileURLToPath(new URL('../runtimes', import.meta.url)),
): Promise<Bootstraps> {
  await mkdir(targetDir, { recursive: true })
  const [nodejs, python] = await Promise.all([
    readTree(join(sourceDir, 'nodejs'), /\.(?:ts|js)$/),
    readTree(join(sourceDir, 'python'), /\.py$/),
  ])
  return {
    nodejs: await layOut(targetDir, 'nodejs', nodejs, toScripts),
    python: await layOut(targetDir, 'python', python, (files) => files),
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

async function layOut(
  targetDir: string,
  language: string,
  sources: readonly BootstrapFile[],
  convert: (sources: readonly BootstrapFile[]) => readonly BootstrapFile[],
): Promise<string> {
  const named = createHash('sha256')
    .update(JSON.stringify([FORM, process.version, sources]))
    .digest('hex')
  const place = join(targetDir, `${language}-${named.slice(0, 32)}`)
  if (existsSync(place)) return place
  const files = convert(sources)
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
