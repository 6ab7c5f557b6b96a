import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { sendKill } from '../child.ts'
import { isOfDeadServer } from '../server-name.ts'
import { ASIDE } from './branches.ts'
import { readControl, readPids, removeGroup, setControl } from './control-file.ts'

/** Groups looked at in one hierarchy; a host has some hundred. */
const MOST_GROUPS = 10_000

/**
 * Ends and removes what servers that were killed left below a group: their groups may lie anywhere, since each makes them
 * below its own. Those of living servers and of others are left alone. Never rejects.
 */
export async function removeStale(root: string): Promise<void> {
  const open = [root]
  for (let seen = 0; open.length > 0 && seen < MOST_GROUPS; seen += 1) {
    const dir = open.pop() ?? root
    for (const name of await groupsIn(dir)) {
      const path = join(dir, name)
      if (isOfDeadServer(name)) await removeDead(path, !name.endsWith(`-${ASIDE}`))
      else if (!name.startsWith('anvoke-')) open.push(path)
    }
  }
}

/** @param mayKill Not where the server itself was: what is there may be what had started it. */
async function removeDead(dir: string, mayKill: boolean): Promise<void> {
  const groups = (await groupsIn(dir)).map((name) => join(dir, name))
  if (mayKill) {
    await setControl(join(dir, 'cgroup.kill'), 1).catch(() => undefined)
    for (const group of [dir, ...groups])
      for (const pid of await readPids(join(group, 'cgroup.procs'))) sendKill(pid)
  } else if ((await readControl(join(dir, 'cgroup.procs'))) !== '') return
  for (const group of groups) await removeGroup(group)
  await removeGroup(dir)
}

async function groupsIn(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => [])
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
}
