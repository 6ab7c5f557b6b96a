import { readFile } from 'node:fs/promises'
import { mountedHierarchies } from '../cgroup/hierarchies.ts'
import { ownMemory, type MemoryRoom } from '../cgroup/own-memory.ts'

/**
 * What can still be had without swapping: of the host, and of each limit that was put around the server. Empty where the kernel does
 * not tell.
 *
 * Pressure (PSI) is not looked at: a single function that presses against its own limit raises it for the whole host.
 */
export async function memoryRooms(): Promise<MemoryRoom[]> {
  const text = await readFile('/proc/meminfo', 'latin1').catch(() => '')
  const bytesOf = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) * 1024
  const [totalBytes, availableBytes] = [bytesOf('MemTotal'), bytesOf('MemAvailable')]
  const host = Number.isNaN(availableBytes / totalBytes) ? [] : [{ totalBytes, availableBytes }]
  return [...host, ...(await ownMemory(await mountedHierarchies()))]
}

/** The smallest share that is left in one of them, 0 … 1, once `wantedBytes` more are taken; 1 where nothing is known. */
export function shareLeft(rooms: readonly MemoryRoom[], wantedBytes: number): number {
  return Math.min(
    1,
    ...rooms.map(({ totalBytes, availableBytes }) =>
      Math.max(0, (availableBytes - wantedBytes) / totalBytes),
    ),
  )
}
