import { readdirSync, readFileSync } from 'node:fs'

/** A process, told from a later one with the same id. */
export interface ProcessIdentity {
  readonly pid: number
  readonly parentPid: number
  readonly command: string
  /** Clock ticks since boot. */
  readonly startTicks: string
}

/** All descendants of a process, parents before children. */
export function treeBelow(pid: number): readonly ProcessIdentity[] {
  const childrenOf = new Map<number, ProcessIdentity[]>()
  for (const one of allProcesses()) {
    const siblings = childrenOf.get(one.parentPid)
    if (siblings === undefined) childrenOf.set(one.parentPid, [one])
    else siblings.push(one)
  }
  const tree = [...(childrenOf.get(pid) ?? [])]
  for (const member of tree) tree.push(...(childrenOf.get(member.pid) ?? []))
  return tree
}

export function isAlive({ pid, startTicks }: ProcessIdentity): boolean {
  return identify(pid)?.startTicks === startTicks
}

/** `-PID-STARTTIME`: the end of the name that the server with this id gives to what it makes. */
export function nameOf(pid: number): string {
  return `-${pid}-${identify(pid)?.startTicks ?? '0'}`
}

/** Processes whose command line names a directory. */
export function processesNaming(directory: string): readonly string[] {
  return allProcesses()
    .filter(({ pid }) => pid !== process.pid && commandLine(pid).includes(directory))
    .map(({ pid, command }) => `${command} (${pid})`)
}

function allProcesses(): readonly ProcessIdentity[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => identify(Number(entry)) ?? [])
}

/** Field numbers: proc(5), /proc/pid/stat; the command is in parentheses and may hold anything. */
function identify(pid: number): ProcessIdentity | undefined {
  const stat = read(`/proc/${pid}/stat`)
  if (stat === undefined) return undefined
  const nameEnd = stat.lastIndexOf(')')
  const fields = stat.slice(nameEnd + 2).split(' ')
  const [state] = fields
  const startTicks = fields[19]
  if (state === 'Z' || state === 'X' || startTicks === undefined) return undefined
  return {
    pid,
    parentPid: Number(fields[1]),
    command: stat.slice(stat.indexOf('(') + 1, nameEnd),
    startTicks,
  }
}

function commandLine(pid: number): string {
  return read(`/proc/${pid}/cmdline`) ?? ''
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return undefined
  }
}
