import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { FunctionName } from '../model/function.ts'

/** Longest name of a directory that is used as it is, bytes; most file systems end at 255. */
const MAX_SEGMENT_BYTES = 200

/** The directory of a function's log files. Different functions never share one, and none lies outside `dir`. */
export function logDirectory(dir: string, { account, namespace, name }: FunctionName): string {
  return join(dir, encodeSegment(account), encodeSegment(namespace), encodeSegment(name))
}

/** Percent-encodes a name for the file system; a very long one becomes its hash. */
function encodeSegment(name: string): string {
  // A lone percent sign stands for nothing that is encoded, so it can stand for the empty name.
  if (name === '') return '%'
  const encoded = encodeURIComponent(name.toWellFormed()).replaceAll('.', '%2E')
  if (encoded.length <= MAX_SEGMENT_BYTES) return encoded
  return `%${createHash('sha256').update(name).digest('hex')}`
}
