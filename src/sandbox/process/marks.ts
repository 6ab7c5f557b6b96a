import { randomInt } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { sendKill } from '../child.ts'
import { hasEnded } from '../proc.ts'

/** The variable that carries the mark. */
export const MARK_VARIABLE = 'ANVOKE_INSTANCE'

/** Longest time that processes are looked for and killed, should they multiply faster than they die. */
const LONGEST_SWEEP_MS = 10_000

/** A number that no other instance of this host has; every process of its tree carries it. */
export function newMark(): string {
  return String(randomInt(2 ** 47, 2 ** 48 - 1))
}

/**
 * Options of prlimit that put a mark on a process and all it will ever start.
 *
 * The limit on file locks means nothing since Linux 2.4.25 (setrlimit(2), RLIMIT_LOCKS). But it is inherited, also by
 * what leaves the session and clears its environment, and everyone may read it.
 */
export function markOptions(mark: string): string[] {
  return [`--locks=${mark}:${mark}`]
}

/**
 * Kills every process with one of the marks until none is found any more, for at most ten seconds.
 *
 * @param calmPasses How many passes in a row must find nothing, since one can miss a child whose parent ends meanwhile.
 */
export async function endMarked(marks: ReadonlySet<string>, calmPasses = 2): Promise<void> {
  const deadline = performance.now() + LONGEST_SWEEP_MS
  let calm = 0
  for (let pauseMs = 1; performance.now() < deadline; pauseMs = Math.min(pauseMs * 2, 50)) {
    const found = await runningWith(marks)
    for (const pid of found) sendKill(pid)
    calm = found.length === 0 ? calm + 1 : 0
    if (calm >= calmPasses) return
    await delay(pauseMs)
  }
}

async function runningWith(marks: ReadonlySet<string>): Promise<number[]> {
  const listed = await nextListing()
  const marked = listed.filter(({ marks: own }) => own.some((mark) => marks.has(mark)))
  const ended = await Promise.all(marked.map(({ pid }) => hasEnded(pid)))
  return marked.filter((_, index) => ended[index] === false).map(({ pid }) => pid)
}

interface Listed {
  readonly pid: number
  readonly marks: readonly string[]
}

let current: Promise<unknown> = Promise.resolve()
let following: Promise<Listed[]> | undefined

/** A look at all processes that begins after the call; instances that end together share it. */
function nextListing(): Promise<Listed[]> {
  following ??= current.then(() => {
    following = undefined
    const listing = listMarked()
    current = listing
    return listing
  })
  return following
}

async function listMarked(): Promise<Listed[]> {
  const names = await readdir('/proc').catch(() => [])
  const pids = names.map(Number).filter((pid) => pid > 0)
  const listed = await Promise.all(pids.map(async (pid) => ({ pid, marks: await marksOf(pid) })))
  return listed.filter(({ marks }) => marks.length > 0)
}

async function marksOf(pid: number): Promise<string[]> {
  const [limits, environment] = await Promise.all(
    ['limits', 'environ'].map((name) => readFile(`/proc/${pid}/${name}`, 'latin1').catch(() => '')),
  )
  const found = [
    /^Max file locks\s+\d+\s+(\d+)/m.exec(limits ?? ''),
    /(?:^|\0)ANVOKE_INSTANCE=(\d+)/.exec(environment ?? ''),
  ]
  return found.flatMap((match) => match?.[1] ?? [])
}
