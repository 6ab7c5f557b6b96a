import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { processesNaming } from './processes.ts'

/** Where servers may have left something. */
export interface Places {
  /** Ends of the names of everything that servers make outside of their data directory. */
  readonly names: readonly string[]
  readonly home: string
  readonly temporaryDir: string
}

/** What servers that have all ended left behind, in words. */
export function leftovers({ names, home, temporaryDir }: Places): readonly string[] {
  const isTheirs = (entry: string): boolean =>
    names.some((name) => entry.includes(`${name}-`) || entry.endsWith(name))
  return [
    ...processesNaming(home).map((text) => `process ${text}`),
    ...list(temporaryDir).map((entry) => `temporary file ${entry}`),
    ...list('/dev/shm')
      .filter(isTheirs)
      .map((entry) => `/dev/shm/${entry}`),
    ...cgroups()
      .filter((path) => isTheirs(path.slice(path.lastIndexOf('/') + 1)))
      .map((path) => `cgroup ${path}`),
    ...mountPoints()
      .filter((point) => point.startsWith(home))
      .map((point) => `mount ${point}`),
  ]
}

/** Groups of every mounted hierarchy. */
function cgroups(): readonly string[] {
  const roots = mountLines()
    .filter((line) => / - cgroup2? /.test(line))
    .map(pointOf)
  const found = [...new Set(roots)]
  for (const dir of found)
    for (const entry of readEntries(dir)) if (entry.isDirectory()) found.push(join(dir, entry.name))
  return found
}

function mountPoints(): readonly string[] {
  return mountLines().map(pointOf)
}

function mountLines(): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
}

/** proc(5), mountinfo: the fifth word. */
function pointOf(line: string): string {
  return line.split(' ')[4] ?? ''
}

function readEntries(dir: string) {
  try {
    return readdirSync(dir, { withFileTypes: true })
  } catch {
    return []
  }
}

function list(dir: string): readonly string[] {
  return readEntries(dir).map(({ name }) => name)
}
