import { readlinkSync } from 'node:fs'
import { startTimeOf } from './proc.ts'

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
