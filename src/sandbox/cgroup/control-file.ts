import { closeSync, openSync, readSync } from 'node:fs'
import { constants, readFile, rmdir, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

/** How long a group is tried to be removed: the kernel lets go of ended processes a moment after their end is seen. */
const REMOVAL_MS = 5000

/** How long the kernel is given for that before somebody looks what is there. */
const PATIENCE_MS = 1000

/** Writes into a file of the kernel; it is neither made, cut nor read: `cgroup.kill` may be written alone, which root does not notice. */
export async function setControl(path: string, value: string | number): Promise<void> {
  await writeFile(path, String(value), { flag: constants.O_WRONLY })
}

/** The text of a file of the kernel, empty where there is none. */
export async function readControl(path: string): Promise<string> {
  return await readFile(path, 'latin1').catch(() => '')
}

const glimpsed = Buffer.allocUnsafe(4096)

/**
 * The beginning, 4 KiB, of a file of the kernel that takes it no time to tell; empty where there is none. At a tenth of what
 * {@link readControl} costs the server, and nothing else runs meanwhile.
 */
export function glimpse(path: string): string {
  let file: number | undefined
  try {
    file = openSync(path, 'r')
    return glimpsed.toString('latin1', 0, readSync(file, glimpsed, 0, glimpsed.length, 0))
  } catch {
    return ''
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/** The number in a file that holds nothing else; undefined where there is none. */
export async function readNumber(path: string): Promise<number | undefined> {
  return numberIn(await readControl(path))
}

/** The number that is all of a text, but for the white space around it; else undefined. */
export function numberIn(text: string): number | undefined {
  const trimmed = text.trim()
  return /^\d+$/.test(trimmed) ? Number(trimmed) : undefined
}

/** Process ids in a file with one a line; those that this pid namespace does not show are left out. */
export async function readPids(path: string): Promise<number[]> {
  return (await readControl(path))
    .split('\n')
    .map(Number)
    .filter((pid) => pid > 0)
}

/** The number behind a name in a file with one `name number` a line; undefined where there is none. */
export function fieldOf(text: string, name: string): number | undefined {
  const found = new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1]
  return found === undefined ? undefined : Number(found)
}

/**
 * Removes a group without groups below it, as soon as nothing runs there.
 *
 * @param onBusy Called now and then once the kernel has had time to let go of what ended.
 * @returns Whether it is gone.
 */
export async function removeGroup(dir: string, onBusy?: () => Promise<void>): Promise<boolean> {
  const begunAt = performance.now()
  const deadline = begunAt + REMOVAL_MS
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 50)) {
    try {
      await rmdir(dir)
      return true
    } catch (error) {
      const code = codeOf(error)
      if (code === 'ENOENT') return true
      if (code !== 'EBUSY' || performance.now() > deadline) return false
      if (performance.now() > begunAt + PATIENCE_MS) await onBusy?.()
    }
    await delay(pauseMs)
  }
}

/** The system's name for an error, such as `EBUSY`. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
