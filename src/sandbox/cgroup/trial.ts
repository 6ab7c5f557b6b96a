import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { Branch, Obstacle } from './branches.ts'
import { codeOf, fieldOf, readControl, setControl } from './control-file.ts'
import { CgroupGroup } from './group.ts'

const LIMITS = { memoryBytes: 64 * 1024 * 1024, tasks: 16, cpuWeight: 64 }
const NAME = 'trial'
const SETPRIVS = ['/usr/bin/setpriv', '/bin/setpriv']
/** A group with one sleeping process is frozen at once; a busy host gets this long. */
const FREEZE_MS = 1000

/** What was seen to work. */
export interface Trial {
  readonly branches: readonly Branch[]
  readonly obstacles: readonly Obstacle[]
  readonly countsSwap: boolean
  readonly freezes: boolean
}

/**
 * Starts a process that does nothing and does not outlive this one: it reads a pipe of it; and as it cannot read while it is frozen, the
 * kernel kills it, where there is a setpriv to ask for that.
 */
export function startWaiting(): ChildProcessByStdio<Writable, null, null> {
  const setpriv = SETPRIVS.find((path) => existsSync(path))
  const [command, ...args] = [
    ...(setpriv === undefined ? [] : [setpriv, '--pdeathsig', 'KILL', '--']),
    '/bin/cat',
  ]
  return spawn(command, args, { stdio: ['pipe', 'ignore', 'ignore'], env: {} })
}

/** Limits, freezes and ends one small process in every branch. A branch that cannot be used is removed. Never rejects. */
export async function tryBranches(candidates: readonly Branch[]): Promise<Trial> {
  const child = startWaiting()
  const ended = once(child, 'exit').catch(() => undefined)
  child.stdin.on('error', () => undefined)
  const branches: Branch[] = []
  const obstacles: Obstacle[] = []
  const groups: CgroupGroup[] = []
  let [freezes, countsSwap] = [false, true]
  for (const branch of candidates) {
    const group = new CgroupGroup([branch], NAME, false)
    const dir = join(branch.dir, NAME)
    group.limit(LIMITS)
    groups.push(group)
    try {
      await group.attach(child.pid ?? 0)
      if (branch.controllers.has('memory')) countsSwap = await countsSwapIn(branch, dir)
      if (branch.version === 2) freezes = await freezesIn(dir)
      branches.push(branch)
    } catch (error) {
      const controllers = [...branch.controllers]
      const reason = `the cgroup ${branch.dir} takes no process (${codeOf(error)})`
      obstacles.push({
        controllers,
        reason,
        remedy: 'Start the server as root, or as a systemd service with Delegate=yes.',
      })
    }
  }
  child.kill('SIGKILL')
  await ended
  for (const group of groups) await group.remove()
  for (const branch of candidates) if (!branches.includes(branch)) await branch.close()
  return { branches, obstacles, countsSwap, freezes }
}

async function countsSwapIn({ version }: Branch, dir: string): Promise<boolean> {
  const file = join(dir, version === 1 ? 'memory.memsw.limit_in_bytes' : 'memory.swap.max')
  const isThere = await access(file).then(
    () => true,
    () => false,
  )
  return isThere || /^SwapTotal:\s+0 kB$/m.test(await readFile('/proc/meminfo', 'utf8'))
}

async function freezesIn(dir: string): Promise<boolean> {
  try {
    await setControl(join(dir, 'cgroup.freeze'), 1)
    const deadline = performance.now() + FREEZE_MS
    let isFrozen = false
    while (!isFrozen && performance.now() < deadline) {
      isFrozen = fieldOf(await readControl(join(dir, 'cgroup.events')), 'frozen') === 1
      if (!isFrozen) await delay(1)
    }
    await setControl(join(dir, 'cgroup.freeze'), 0)
    return isFrozen
  } catch {
    return false
  }
}
