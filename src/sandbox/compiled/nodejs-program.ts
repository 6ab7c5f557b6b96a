// Runs inside a sandbox, as text given to `node --expose-internals --input-type=module-typescript -e`: imports of Node.js alone.
// Compiles code without running it, through the doors that Node.js's own loaders use, so that its compile cache is filled by
// exactly what they will look for. Where a version of Node.js has no such doors, it ends with an error, and there is no cache.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import nodeModule, { createRequire } from 'node:module'
import { Socket } from 'node:net'
import { setPriority } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** What the server says as the program's one argument. */
interface Order {
  /** Directories with code. */
  readonly places: readonly string[]
  /** Where Node.js keeps the cache; as many directories deep as the place where it will be read. */
  readonly cacheDir: string
  readonly leastSourceBytes: number
  readonly mostSourceBytes: number
  readonly mostFiles: number
}

/** Functions of Node.js that are not public; each may be missing. */
interface Loaders {
  readonly wrapSafe: (file: string, text: string, module: undefined, format: 'commonjs') => unknown
  readonly compileSourceTextModule: (url: string, text: string, type: unknown) => unknown
  readonly userModule: unknown
}

const CODE = /\.[cm]?js$/

const order: Order = JSON.parse(process.argv[1] ?? '')
setPriority(19)
const files = order.places.flatMap((place) => codeFiles(place)).sort()
const sourceBytes = files.reduce((sum, file) => sum + statSync(file).size, 0)
const isWorthIt =
  sourceBytes >= order.leastSourceBytes &&
  sourceBytes <= order.mostSourceBytes &&
  files.length <= order.mostFiles
if (isWorthIt) {
  const loaders = findLoaders()
  // Portable: the names of entries come from where the code lies relative to the cache, and nothing of the user id is in them.
  nodeModule.enableCompileCache({ directory: order.cacheDir, portable: true })
  for (const file of files) compile(loaders, file)
  nodeModule.flushCompileCache()
}
send(isWorthIt ? cacheFiles() : [])

/** Without what links lead to, which may be where they lie themselves: Node.js 26 follows them where it lists a whole tree. */
function codeFiles(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name)
    if (entry.isDirectory()) return codeFiles(path)
    return entry.isFile() && CODE.test(entry.name) ? [path] : []
  })
}

function findLoaders(): Loaders {
  const internal = createRequire('/')
  const { wrapSafe } = internal('internal/modules/cjs/loader')
  const { compileSourceTextModule, SourceTextModuleTypes } = internal('internal/modules/esm/utils')
  return { wrapSafe, compileSourceTextModule, userModule: SourceTextModuleTypes.kUser }
}

/** A file that is not the code it looks like is left to whoever loads it. */
function compile(loaders: Loaders, file: string): void {
  const text = readFileSync(file, 'utf8')
  const asScript = (): unknown => loaders.wrapSafe(file, text, undefined, 'commonjs')
  const asModule = (): unknown =>
    loaders.compileSourceTextModule(pathToFileURL(file).href, text, loaders.userModule)
  const ways = isModule(file) ? [asModule] : [asScript, asModule]
  for (const way of ways) {
    try {
      way()
      return
    } catch {
      // Not written in this way.
    }
  }
}

/** As Node.js decides: by extension, else by the nearest package.json. */
function isModule(file: string): boolean {
  if (!file.endsWith('.js')) return file.endsWith('.mjs')
  for (let dir = dirname(file); ; dir = dirname(dir)) {
    try {
      return JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')).type === 'module'
    } catch {
      if (dir === dirname(dir)) return false
    }
  }
}

function cacheFiles(): { readonly path: string; readonly bytes: Buffer }[] {
  return readdirSync(order.cacheDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .map((file) => ({ path: file.slice(order.cacheDir.length + 1), bytes: readFileSync(file) }))
}

/** See `parcel.ts`. */
function send(parcel: readonly { readonly path: string; readonly bytes: Buffer }[]): void {
  const channel = new Socket({ fd: 3 })
  for (const { path, bytes } of [...parcel, { path: '', bytes: Buffer.alloc(0) }]) {
    const name = Buffer.from(path)
    const lengths = Buffer.alloc(8)
    lengths.writeUInt32BE(name.length, 0)
    lengths.writeUInt32BE(bytes.length, 4)
    channel.write(Buffer.concat([lengths, name, bytes]))
  }
  channel.end()
}
