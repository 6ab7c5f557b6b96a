import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** What a process did to the files of one directory, and what it printed, in the order of its system calls. */
export type FileEvent =
  | { readonly kind: 'created'; readonly path: string }
  | { readonly kind: 'written'; readonly path: string; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'cut'; readonly path: string; readonly size: number }
  | { readonly kind: 'removed'; readonly path: string }
  /** Of a file: its contents. Of the directory: which files there are. */
  | { readonly kind: 'synced'; readonly path: string }
  /** Said to have failed: what was written before may be on the disk or not. */
  | { readonly kind: 'notSynced'; readonly path: string }
  | { readonly kind: 'said'; readonly line: string }

/** Everything that changes files: one that is not known makes the recording worthless, and is noticed. */
const CHANGING = [
  'openat',
  'write',
  'pwrite64',
  'fsync',
  'fdatasync',
  'ftruncate',
  'unlink',
  'unlinkat',
  'rename',
  'renameat2',
  'writev',
  'pwritev',
  'pwritev2',
  'fallocate',
  'sync_file_range',
  'copy_file_range',
  'truncate',
]
/** More than any write. */
const LONGEST_WRITE_BYTES = 16 * 1024 * 1024

/** Why no system calls can be recorded or changed here; empty when they can. */
export function whyNotTraced(): string {
  const { error, status, stderr } = spawnSync('strace', ['-f', '-o', '/dev/null', 'true'], {
    encoding: 'utf8',
  })
  if (error !== undefined) return 'there is no strace'
  return status === 0 ? '' : `processes cannot be traced here: ${stderr.trim()}`
}

/**
 * Runs a program of Node.js to its end, and takes down what it does to the files of `dir` and what it prints.
 *
 * @param fault System calls that fail, in the words of strace's `inject`, counted by each thread for itself. Default: none.
 */
export function record(
  dir: string,
  log: string,
  program: readonly string[],
  fault = '',
): readonly FileEvent[] {
  const faults = fault === '' ? [] : ['-e', `inject=${fault}`]
  const flags = [
    ...faults,
    '-f',
    '-qq',
    '-xx',
    '-y',
    '-s',
    String(LONGEST_WRITE_BYTES),
    '-e',
    `trace=${CHANGING.join(',')}`,
  ]
  const { status, signal, stderr } = spawnSync(
    'strace',
    [...flags, '-o', log, process.execPath, ...program],
    {
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    },
  )
  // A program that kills itself takes its tracer with it.
  if (status !== 0 && signal !== 'SIGKILL')
    throw new Error(`the traced program ended with ${status ?? signal}: ${stderr}`)
  return parse(readFileSync(log, 'latin1'), dir)
}

function parse(log: string, dir: string): readonly FileEvent[] {
  const events: FileEvent[] = []
  /** What threads began and have not ended. */
  const begun = new Map<string, string>()
  const known = new Set<string>()
  for (const line of log.split('\n')) {
    const match = /^(\d+) +(.*)$/.exec(line)
    if (match === null) continue
    const [, thread = '', text = ''] = match
    if (text.endsWith(' <unfinished ...>')) {
      begun.set(thread, text.slice(0, -' <unfinished ...>'.length))
      continue
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text)
    const call = resumed === null ? text : (begun.get(thread) ?? '') + (resumed[1] ?? '')
    const event = eventOf(call, dir, known)
    if (event !== undefined) events.push(event)
  }
  return events
}

function eventOf(call: string, dir: string, known: Set<string>): FileEvent | undefined {
  const match = /^(\w+)\((.*)\) += (-?\d+)/.exec(call)
  if (match === null) return undefined
  const [, name = '', input = '', result = ''] = match
  const hasFailed = result.startsWith('-')
  const isSync = name === 'fsync' || name === 'fdatasync'
  if (hasFailed && !isSync) return undefined
  const [, fd = '', annotated = ''] = /^(\d+)<([^>]*)>/.exec(input) ?? []
  const texts = [...input.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, text = '']) => decode(text))
  const numbers = [...input.matchAll(/, (\d+)(?=,|$)/g)].map(([, number]) => Number(number))
  if (name === 'write' && fd === '1') return { kind: 'said', line: String(texts[0]).trimEnd() }
  const path =
    name === 'openat' || name.startsWith('unlink') || name.startsWith('rename') || name === 'truncate'
      ? String(texts[0])
      : String(decode(annotated))
  if (path !== dir && !path.startsWith(`${dir}/`)) return undefined
  switch (name) {
    case 'openat':
      if (!input.includes('O_CREAT') || known.has(path)) return undefined
      known.add(path)
      return { kind: 'created', path }
    case 'pwrite64':
      return {
        kind: 'written',
        path,
        offset: numbers.at(-1) ?? 0,
        bytes: (texts[0] ?? Buffer.alloc(0)).subarray(0, Number(result)),
      }
    case 'fsync':
    case 'fdatasync':
      return { kind: hasFailed ? 'notSynced' : 'synced', path }
    case 'ftruncate':
      return { kind: 'cut', path, size: numbers.at(-1) ?? 0 }
    case 'unlink':
      known.delete(path)
      return { kind: 'removed', path }
    default:
      throw new Error(`${name} of ${path}: what it does to a disk is not known here`)
  }
}

function decode(text: string): Buffer {
  return Buffer.from(text.replaceAll('\\x', ''), 'hex')
}
