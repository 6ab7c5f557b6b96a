import { readFileSync, readlinkSync } from 'node:fs'

/** What makes a name: pid namespace, pid and start time say for ever which server it stands for. */
const NAME = /^anvoke-(?:dev-)?(\d+)-(\d+)-(\d+)-\w{6}$/

/**
 * @param prefix What it begins with, for people.
 * @returns A name that no other server ever has; whoever uses it more than once appends six word characters of its own.
 */
export function serverName(prefix: 'anvoke' | 'anvoke-dev' = 'anvoke'): string {
  return `${prefix}-${pidNamespace()}-${process.pid}-${startTimeOf(process.pid) ?? '0'}`
}

/**
 * Whether a name, {@link serverName} with six characters behind it, is of a server that runs no more. One of another container may
 * be alive: that cannot be seen from here, so it is not.
 */
export function isOfDeadServer(name: string): boolean {
  const [, where, pid, startTime] = NAME.exec(name) ?? []
  return where !== undefined && where === pidNamespace() && startTimeOf(Number(pid)) !== startTime
}

function pidNamespace(): string {
  return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0'
}

/** @returns Clock ticks after boot, undefined when there is no such process. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
