import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { useCompileCache } from './compile-cache.ts'
import { errorCode, isRecord } from './unknown.ts'

export type LoadErrorKind =
  'invalidHandlerName' | 'moduleNotFound' | 'syntaxError' | 'moduleThrew' | 'handlerNotFound'

/** Why a handler could not be had. `cause` is what the code threw, where it did. */
export class LoadError extends Error {
  readonly kind: LoadErrorKind

  constructor(kind: LoadErrorKind, message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
  }
}

export type UserFunction = (...parameters: unknown[]) => unknown

const EXTENSIONS = ['', '.js', '.mjs', '.cjs'] as const

/**
 * Loads the function that `path/file.export` names, relative to `codeDir`.
 *
 * The file is taken as it is named, else with `.js`, `.mjs` or `.cjs`, else as a directory with an index. ES modules
 * (`.mjs`, or `"type": "module"`) are imported, everything else is required.
 *
 * @param options.orWholeModule Takes a module that is itself a function (`module.exports = …`) where it has no such export.
 * @throws {LoadError}
 */
export async function loadFunction(
  codeDir: string,
  handler: string,
  options: { readonly orWholeModule?: boolean } = {},
): Promise<UserFunction> {
  const dot = handler.lastIndexOf('.')
  const modulePath = handler.slice(0, dot)
  const exportName = handler.slice(dot + 1)
  if (dot <= 0 || exportName === '' || modulePath.endsWith('/')) {
    throw new LoadError('invalidHandlerName', `Invalid handler '${handler}'`)
  }
  const loaded = await loadModule(codeDir, modulePath)
  const found = exported(loaded, exportName) ?? (options.orWholeModule === true ? loaded : undefined)
  if (!isFunction(found)) {
    throw new LoadError('handlerNotFound', `Handler '${exportName}' is missing on module '${modulePath}'`)
  }
  return found
}

async function loadModule(codeDir: string, modulePath: string): Promise<unknown> {
  const file = findFile(path.resolve(codeDir, modulePath))
  if (file === undefined) {
    throw new LoadError('moduleNotFound', `Cannot find module '${path.resolve(codeDir, modulePath)}'`)
  }
  useCompileCache()
  try {
    return isEsModule(file) ? await import(pathToFileURL(file).href) : await requireOrImport(file)
  } catch (error) {
    throw loadErrorOf(error)
  }
}

async function requireOrImport(file: string): Promise<unknown> {
  try {
    return createRequire(file)(file)
  } catch (error) {
    const code = errorCode(error)
    // Code that Node recognises as an ES module by its syntax, or one that awaits at its top level.
    if (code === 'ERR_REQUIRE_ESM' || code === 'ERR_REQUIRE_ASYNC_MODULE') {
      return import(pathToFileURL(file).href)
    }
    throw error
  }
}

function exported(loaded: unknown, name: string): unknown {
  if (!isRecord(loaded)) return undefined
  if (loaded[name] !== undefined) return loaded[name]
  const fallback = loaded['default']
  return isRecord(fallback) ? fallback[name] : undefined
}

function findFile(base: string): string | undefined {
  for (const extension of EXTENSIONS) {
    if (isFile(base + extension)) return base + extension
  }
  try {
    return createRequire(`${base}/`).resolve(base)
  } catch {
    return undefined
  }
}

function isFile(file: string): boolean {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() === true
}

/** By extension, else by the nearest `package.json`, as Node decides. */
function isEsModule(file: string): boolean {
  if (file.endsWith('.mjs')) return true
  if (!file.endsWith('.js')) return false
  let directory = path.dirname(file)
  while (path.basename(directory) !== 'node_modules') {
    try {
      const manifestFile = path.join(directory, 'package.json')
      // Looked for first: an exception takes longer, while a call waits. Without one the directory above decides.
      if (isFile(manifestFile)) {
        const manifest: unknown = JSON.parse(fs.readFileSync(manifestFile, 'utf8'))
        return isRecord(manifest) && manifest['type'] === 'module'
      }
    } catch (error) {
      // Not to be read: the directory above may have one. Not JSON: Node decides what that means.
      if (errorCode(error) === undefined) return false
    }
    const parent = path.dirname(directory)
    if (parent === directory) return false
    directory = parent
  }
  return false
}

function loadErrorOf(error: unknown): LoadError {
  const message = error instanceof Error ? error.message : String(error)
  const code = errorCode(error)
  if (code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND') {
    return new LoadError('moduleNotFound', message, { cause: error })
  }
  if (error instanceof SyntaxError) return new LoadError('syntaxError', message, { cause: error })
  return new LoadError('moduleThrew', message, { cause: error })
}

function isFunction(value: unknown): value is UserFunction {
  return typeof value === 'function'
}
