import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readPids } from './control-file.ts'

/**
 * Leaves out processes whose first thread has ended and whose other threads are all in one group. The kernel moves no thread that has ended,
 * and lists such a process for ever where its first one was; nothing of it runs there.
 *
 * @param pids Listed in another group.
 * @param dir The group, of v2, that they are to be in.
 */
export async function withoutDeadLeaders(pids: readonly number[], dir: string): Promise<number[]> {
  const dead = await Promise.all(pids.map(hasDeadLeader))
  const doubtful = pids.filter((_pid, index) => dead[index])
  if (doubtful.length === 0) return [...pids]
  const threads = await Promise.all(doubtful.map(livingThreads))
  // Read after them: what a thread in the group starts is in it from the first.
  const inside = new Set(await readPids(join(dir, 'cgroup.threads')))
  const left = new Set(doubtful.filter((_pid, index) => isWithin(threads[index] ?? [], inside)))
  return pids.filter((pid) => !left.has(pid))
}

/** Where no thread is left the process has only just ended, and may have started another one outside: that is to be looked for. */
function isWithin(threads: readonly number[], inside: ReadonlySet<number>): boolean {
  return threads.length > 0 && threads.every((thread) => inside.has(thread))
}

async function hasDeadLeader(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
  // The name in parentheses may hold anything: the state follows it.
  return stat.startsWith('Z', stat.lastIndexOf(')') + 2)
}

async function livingThreads(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => [])
  return threads.map(Number).filter((thread) => thread !== pid)
}
