import { readFile } from 'node:fs/promises'

/** The share of the host's memory that can still be had without swapping, 0 … 1; 1 where the kernel does not tell. */
export async function availableMemoryShare(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'latin1').catch(() => '')
  const fieldKib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1])
  const share = fieldKib('MemAvailable') / fieldKib('MemTotal')
  return Number.isNaN(share) ? 1 : share
}
