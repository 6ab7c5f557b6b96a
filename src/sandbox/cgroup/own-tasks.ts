import { dirname, join } from 'node:path'
import { readNumber } from './control-file.ts'

/** Where the kernel bounds the numbers of processes and threads, and how many there are; proc(5). */
const HOST_LIMITS = ['/proc/sys/kernel/pid_max', '/proc/sys/kernel/threads-max']

/** What Linux has where nobody can tell: the smallest default of `pid_max`. */
const FEW_TASKS = 32_768

/**
 * How many processes and threads there may be where the server is: the least of what the host has numbers for, and of the limits of a
 * group and of those above it, as containers and services have them.
 *
 * @param dir The group, in a hierarchy that counts processes; in any other the host's limits alone count.
 */
export async function ownTasks(dir: string): Promise<number> {
  const files = [...HOST_LIMITS, ...upwards(dir).map((above) => join(above, 'pids.max'))]
  const limits = await Promise.all(files.map(readNumber))
  const least = Math.min(...limits.filter((limit) => limit !== undefined))
  return Number.isFinite(least) ? least : FEW_TASKS
}

function upwards(from: string): string[] {
  return from === dirname(from) ? [] : [from, ...upwards(dirname(from))]
}
