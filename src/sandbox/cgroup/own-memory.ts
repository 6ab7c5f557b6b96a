import { dirname, join } from 'node:path'
import { fieldOf, readControl, readNumber } from './control-file.ts'
import type { Hierarchy } from './hierarchies.ts'

/** Memory that may be used, and how much of it is left. */
export interface MemoryRoom {
  readonly totalBytes: number
  readonly availableBytes: number
}

/** Files of the two versions; Linux, admin-guide/cgroup-v1/memory and cgroup-v2. What is kept of files is given up before anything is refused. */
const FILES = {
  1: {
    limits: ['memory.limit_in_bytes'],
    used: 'memory.usage_in_bytes',
    caches: ['total_inactive_file', 'total_active_file'],
  },
  2: {
    limits: ['memory.max', 'memory.high'],
    used: 'memory.current',
    caches: ['inactive_file', 'active_file', 'slab_reclaimable'],
  },
} as const

/**
 * What the groups around the server leave it and everything below it: containers and services get their memory this way.
 *
 * @returns One for each limit on the way from the server's own group up to the highest that can be seen; none where nothing limits it.
 */
export async function ownMemory(hierarchies: readonly Hierarchy[]): Promise<MemoryRoom[]> {
  const rooms: MemoryRoom[] = []
  for (const { version, controllers, ownDir, mountPoint } of hierarchies) {
    if (version === 1 && !controllers.includes('memory')) continue
    for (const dir of upwards(ownDir, mountPoint)) rooms.push(...(await roomsOf(version, dir)))
  }
  return rooms
}

function upwards(from: string, to: string): string[] {
  const dirs = [from]
  for (let dir = from; dir !== to && dir !== dirname(dir); dirs.push(dir)) dir = dirname(dir)
  return dirs
}

async function roomsOf(version: 1 | 2, dir: string): Promise<MemoryRoom[]> {
  const { limits, used, caches } = FILES[version]
  const rooms: MemoryRoom[] = []
  for (const file of limits) {
    const totalBytes = await readNumber(join(dir, file))
    if (totalBytes === undefined) continue
    const [usedBytes, stat] = await Promise.all([
      readNumber(join(dir, used)),
      readControl(join(dir, 'memory.stat')),
    ])
    if (usedBytes === undefined) continue
    let cachedBytes = 0
    for (const field of caches) cachedBytes += fieldOf(stat, field) ?? 0
    rooms.push({ totalBytes, availableBytes: totalBytes - Math.max(0, usedBytes - cachedBytes) })
  }
  return rooms
}
