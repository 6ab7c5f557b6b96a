import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { FunctionName } from '../model/function.ts'

/** Longest name of a directory that is used as it is, bytes; most file systems end at 255. */
const MAX_SEGMENT_BYTES = 200
/** Account, namespace, function. */
const NAME_SEGMENTS = 3

/** The directory of a function's log files. Different functions never share one, and none lies outside `dir`. */
export function logDirectory(dir: string, { account, namespace, name }: FunctionName): string {
  return join(dir, encodeSegment(account), encodeSegment(namespace), encodeSegment(name))
}

/** All directories that {@link logDirectory} named before and that exist. */
export async function listLogDirectories(dir: string): Promise<readonly string[]> {
  let level = [dir]
  for (let depth = 0; depth < NAME_SEGMENTS; depth += 1) {
    const deeper: string[] = []
    for (const parent of level) deeper.push(...(await listDirectories(parent)))
    level = deeper
  }
  return level
}

async function listDirectories(dir: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(dir, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(dir, name))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

/** Percent-encodes a name for the file system; a very long one becomes its hash. */
function encodeSegment(name: string): string {
  // A lone percent sign stands for nothing that is encoded, so it can stand for the empty name.
  if (name === '') return '%'
  const encoded = encodeURIComponent(name.toWellFormed()).replaceAll('.', '%2E')
  if (encoded.length <= MAX_SEGMENT_BYTES) return encoded
  return `%${createHash('sha256').update(name).digest('hex')}`
}
