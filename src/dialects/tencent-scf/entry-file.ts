import { constants } from 'node:fs'
import { open, realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import type { FunctionSpec } from '../../model/function.ts'
import type { PackageStore } from '../../store/packages/packages.ts'

/** Larger entry files are not shown. Source: the vendor's GetFunction page. */
const MAX_SHOWN_BYTES = 1024 * 1024

/** Endings of the file a handler names, by the language of its runtime; the first that is there is shown. */
const ENDINGS: readonly (readonly [runtime: RegExp, endings: readonly string[]])[] = [
  [/^node/i, ['.js', '.mjs', '.cjs', '.ts']],
  [/^python/i, ['.py']],
  [/^php/i, ['.php']],
]

/** The source of the file that a handler names, or why it is not shown. */
export type EntryFile = { readonly source: string } | { readonly fault: string }

/** Reads the file that `folder/file.function` names in the function's package. Never follows a way out of it. */
export async function readEntryFile(packages: PackageStore, spec: FunctionSpec): Promise<EntryFile> {
  const file = spec.handler.slice(0, Math.max(0, spec.handler.lastIndexOf('.')))
  const endings = ENDINGS.find(([runtime]) => runtime.test(spec.runtime))?.[1] ?? []
  if (file === '' || file.includes('\0')) return { fault: 'the handler names no file' }
  const tree = await realpath(packages.treePath(spec.code.digest)).catch(() => undefined)
  if (tree === undefined) return { fault: 'the code package is not there' }
  for (const ending of endings) {
    const path = await realpath(join(tree, file + ending)).catch(() => undefined)
    if (path?.startsWith(tree + sep) === true) return readText(path)
  }
  return { fault: `the entry file of handler '${spec.handler.slice(0, 128)}' is not in the code package` }
}

async function readText(path: string): Promise<EntryFile> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => undefined,
  )
  if (handle === undefined) return { fault: 'the entry file cannot be read' }
  try {
    const stat = await handle.stat()
    if (!stat.isFile()) return { fault: 'the entry is no file' }
    if (stat.size > MAX_SHOWN_BYTES) return { fault: 'the entry file is larger than 1 MB' }
    const bytes = Buffer.alloc(stat.size)
    const { bytesRead } = await handle.read(bytes, 0, stat.size, 0)
    return { source: bytes.toString('utf8', 0, bytesRead) }
  } finally {
    await handle.close()
  }
}
