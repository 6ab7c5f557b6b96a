import { readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

/** Longest wait for a killed process that the kernel does not let go, such as one stuck in a dead file system. */
const LONGEST_WAIT_MS = 10_000

/**
 * Resolves when a process, by then somebody else's child, runs no more. A zombie counts as gone: for the first
 * process of a pid namespace the kernel reaches that state only after every other process in it has ended.
 */
export async function untilGone(pid: number): Promise<void> {
  const first = await processState(pid)
  const deadline = performance.now() + LONGEST_WAIT_MS
  for (let state = first, pauseMs = 1; performance.now() < deadline; pauseMs = Math.min(pauseMs * 2, 50)) {
    if (state === undefined || state.ended || state.startTime !== first?.startTime) return
    await delay(pauseMs)
    state = await processState(pid)
  }
}

/** Whether a process runs no more; a zombie does not. */
export async function hasEnded(pid: number): Promise<boolean> {
  return (await processState(pid))?.ended ?? true
}

/** When a process was started, clock ticks after boot; undefined when there is none. Together with its number it is its own for ever. */
export function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name in parentheses may hold anything, so fields are counted from its end; proc(5): field 22.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

/** Whether the network namespace of a process has its loopback: the local routes that come with the device. */
export async function hasLoopback(pid: number | undefined): Promise<boolean> {
  if (pid === undefined) return false
  const routes = await readFile(`/proc/${pid}/net/fib_trie`, 'latin1').catch(() => '')
  return routes.includes('127.0.0.1')
}

/** Children of every thread of a process; empty when it has ended. */
export async function childrenOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => [])
  const lists = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')),
  )
  return lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number))
}

/**
 * Resolves when no process of a group runs any more. Zombies do not count: a host whose first process does not collect
 * orphans keeps them.
 */
export async function untilGroupGone(group: number): Promise<void> {
  const deadline = performance.now() + LONGEST_WAIT_MS
  for (let pauseMs = 1; performance.now() < deadline; pauseMs = Math.min(pauseMs * 2, 50)) {
    if (!groupExists(group) || !(await groupRuns(group))) return
    await delay(pauseMs)
  }
}

function groupExists(group: number): boolean {
  try {
    process.kill(-group, 0)
    return true
  } catch {
    return false
  }
}

async function groupRuns(group: number): Promise<boolean> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0)
  const states = await Promise.all(pids.map((pid) => processState(pid)))
  return states.some((state) => state?.group === group && !state.ended)
}

interface ProcessState {
  readonly group: number
  readonly ended: boolean
  /** Clock ticks after boot: together with the pid it names one process for ever. */
  readonly startTime: string | undefined
}

async function processState(pid: number): Promise<ProcessState | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  if (stat === undefined) return undefined
  // The name in parentheses may hold anything, so fields are counted from its end: state is field 3.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { group: Number(fields[2]), ended: fields[0] === 'Z' || fields[0] === 'X', startTime: fields[19] }
}
