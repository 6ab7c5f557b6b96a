import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { hierarchiesOf } from '../../../src/sandbox/cgroup/hierarchies.ts'

const read = (path: string): string => {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

/** Directories of the server's groups that a process is in; empty when it is in none, or gone. */
export function groupsOf(pid: number): string[] {
  return hierarchiesOf(read(`/proc/${pid}/cgroup`), read('/proc/self/mountinfo'))
    .map(({ ownDir }) => ownDir)
    .filter((dir) => dir.includes('/anvoke-'))
}

/** Directories with this in their name, in every hierarchy of the host. */
export function groupsNamed(word: string): string[] {
  const hierarchies = hierarchiesOf(read('/proc/self/cgroup'), read('/proc/self/mountinfo'))
  return hierarchies.flatMap(({ mountPoint }) => below(mountPoint).filter((dir) => dir.includes(word)))
}

function below(dir: string): string[] {
  try {
    return readdirSync(dir, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join(dir, name))
      .flatMap((path) => [path, ...below(path)])
  } catch {
    return []
  }
}

/** A number in a file of one of these groups, undefined where none has it. */
export function figureOf(groups: readonly string[], file: string, field?: string): number | undefined {
  for (const group of groups) {
    const text = read(join(group, file))
    const found = field === undefined ? text.trim() : new RegExp(`^${field} (.*)$`, 'm').exec(text)?.[1]
    if (found !== undefined && found !== '') return Number(found)
  }
  return undefined
}
