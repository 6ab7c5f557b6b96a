import { access, constants, mkdir, readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { codeOf, readControl, readPids, removeGroup, setControl } from './control-file.ts'
import type { Hierarchy } from './hierarchies.ts'
import { CONTROLLERS, settingsAbove, type Controller } from './limits.ts'
import { ownTasks } from './own-tasks.ts'

/** The server's part of one hierarchy: a group below which every instance gets one. */
export interface Branch {
  readonly version: 1 | 2
  /** What it limits; empty where it only ends and freezes trees. */
  readonly controllers: ReadonlySet<Controller>
  readonly dir: string
  /** Removes it, once nothing is below, and puts back what was changed above. Never rejects. */
  readonly close: () => Promise<void>
}

/** Why something is not limited. */
export interface Obstacle {
  readonly controllers: readonly Controller[]
  /** The reason in words, without a full stop. */
  readonly reason: string
  /** What the operator can do, a sentence. */
  readonly remedy: string
}

export interface Opened {
  readonly branch?: Branch
  readonly obstacle?: Obstacle
}

const DELEGATE =
  'Start the server as a systemd service with Delegate=yes, or with `systemd-run --user --scope -p Delegate=yes`.'
const DELEGATE_OR_ROOT = 'Start the server as root, or on cgroup v2 as a systemd service with Delegate=yes.'
const CONTAINER =
  'Show the container its cgroups writable: start it with `--privileged`, or mount /sys/fs/cgroup without `ro`.'

/** Ends the name of the group that the server moves into where a group may not hold both processes and groups. */
export const ASIDE = 'server'

/** How often the processes of a group are moved before it is given up: new ones may come meanwhile. */
const MOVE_PASSES = 5

/**
 * Makes the server's group below its own one, so that whatever limits the server limits its functions too.
 *
 * @param name Name of the new group, without its last six characters.
 * @param suffix Those.
 */
export async function openV1(
  { controllers: mounted, ownDir }: Hierarchy,
  name: string,
  suffix: string,
): Promise<Opened> {
  const controllers = CONTROLLERS.filter((one) => mounted.includes(one))
  if (controllers.length === 0) return {}
  if (!(await holdsServer(ownDir))) return { obstacle: hidden(controllers, ownDir) }
  try {
    const base = { dir: ownDir, undo: nothing }
    return { branch: await makeBranch(1, controllers, base, `${name}-${suffix}`) }
  } catch (error) {
    return { obstacle: refusal(controllers, ownDir, error) }
  }
}

/**
 * The same in the one hierarchy of v2. There a group that hands controllers on may have no processes of its own, except the
 * root. So the server's group is tried first, then the one above where it is the systemd unit (`DelegateSubgroup=`, where
 * systemd hands on nothing to the server's group by itself), then the server is moved aside into a group of its own, if
 * nothing but its own processes would move.
 *
 * @param wanted Controllers that no hierarchy of v1 has. Without any, or where they cannot be had, the group can still freeze
 *   and end.
 */
export async function openV2(
  { ownDir, mountPoint }: Hierarchy,
  name: string,
  suffix: string,
  wanted: readonly Controller[],
): Promise<Opened> {
  if (!(await holdsServer(ownDir))) return { obstacle: hidden(wanted, ownDir) }
  const unit = await writableUnitAbove(ownDir, mountPoint)
  const offered = new Set((await Promise.all([ownDir, ...unit].map(offeredBy))).flat())
  const controllers = wanted.filter((one) => offered.has(one))
  const missing = wanted.filter((one) => !offered.has(one))
  let obstacle: Obstacle | undefined
  if (missing.length > 0)
    obstacle = {
      controllers: missing,
      reason: `${missing.join(', ')} not handed down to ${ownDir}`,
      remedy: DELEGATE,
    }
  if (controllers.length > 0) {
    try {
      const base = await delegate(ownDir, unit, controllers, `${name}-${ASIDE}`)
      const branch = await makeBranch(2, controllers, base, `${name}-${suffix}`)
      return { branch, ...(obstacle !== undefined && { obstacle }) }
    } catch (error) {
      obstacle = refusal(wanted, ownDir, error)
    }
  }
  try {
    const base = { dir: ownDir, undo: nothing }
    const branch = await makeBranch(2, [], base, `${name}-${suffix}`)
    return { branch, ...(obstacle !== undefined && { obstacle }) }
  } catch (error) {
    return { obstacle: obstacle ?? refusal([], ownDir, error) }
  }
}

async function makeBranch(
  version: 1 | 2,
  controllers: readonly Controller[],
  base: Base,
  name: string,
): Promise<Branch> {
  const dir = join(base.dir, name)
  const close = async (): Promise<void> => {
    await removeGroup(dir)
    await base.undo()
  }
  const limited = new Set(controllers)
  try {
    await mkdir(dir)
    if (version === 2 && controllers.length > 0) await handOn(dir, controllers)
    const supply = { processors: availableParallelism(), tasks: await ownTasks(base.dir) }
    for (const { file, value } of settingsAbove(version, limited, supply))
      await setControl(join(dir, file), value).catch(() => undefined)
    return { version, controllers: limited, dir, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Where the server's group may be made. */
interface Base {
  readonly dir: string
  readonly undo: () => Promise<void>
}

/** @returns The systemd unit whose subgroup this is, if it is one and the server may hand on its controllers. */
async function writableUnitAbove(ownDir: string, mountPoint: string): Promise<readonly string[]> {
  const above = dirname(ownDir)
  if (!above.startsWith(mountPoint) || !/\.(?:service|scope)$/.test(above)) return []
  return await access(join(above, 'cgroup.subtree_control'), constants.W_OK).then(
    () => [above],
    () => [],
  )
}

async function offeredBy(dir: string): Promise<string[]> {
  return (await readControl(join(dir, 'cgroup.controllers'))).split(/\s+/)
}

async function delegate(
  ownDir: string,
  unit: readonly string[],
  controllers: readonly Controller[],
  asideName: string,
): Promise<Base> {
  const refused = await handOn(ownDir, controllers).then(
    () => undefined,
    (error: unknown) => error,
  )
  if (refused === undefined) return { dir: ownDir, undo: nothing }
  // ENOENT: its own group does not have them all.
  if (codeOf(refused) !== 'EBUSY' && codeOf(refused) !== 'ENOENT') throw refused
  for (const above of unit) {
    const handedOn = await handOn(above, controllers).then(
      () => true,
      () => false,
    )
    if (handedOn) return { dir: above, undo: nothing }
  }
  if (codeOf(refused) !== 'EBUSY') throw refused
  return { dir: ownDir, undo: await stepAside(ownDir, controllers, join(ownDir, asideName)) }
}

/** Moves the server out of the way. @returns What moves it back. @throws With code EBUSY when others are in the group. */
async function stepAside(
  ownDir: string,
  controllers: readonly Controller[],
  aside: string,
): Promise<() => Promise<void>> {
  const back = async (): Promise<void> => {
    await setControl(
      join(ownDir, 'cgroup.subtree_control'),
      controllers.map((one) => `-${one}`).join(' '),
    ).catch(() => undefined)
    await moveAll(aside, ownDir).catch(() => undefined)
    await removeGroup(aside)
  }
  const inhabitants = await readPids(join(ownDir, 'cgroup.procs'))
  for (const pid of inhabitants) if (!(await isOurs(pid))) throw new Crowded(ownDir)
  await mkdir(aside)
  try {
    for (let pass = 1; ; pass += 1) {
      await moveAll(ownDir, aside)
      const refused = await handOn(ownDir, controllers).then(
        () => undefined,
        (error: unknown) => error,
      )
      if (refused === undefined) return back
      if (pass === MOVE_PASSES) throw refused
    }
  } catch (error) {
    await back()
    throw error
  }
}

async function nothing(): Promise<void> {}

class Crowded extends Error {
  readonly code = 'EBUSY'

  constructor(dir: string) {
    super(`other processes share the cgroup ${dir}`)
  }
}

async function moveAll(from: string, to: string): Promise<void> {
  for (const pid of await readPids(join(from, 'cgroup.procs')))
    await setControl(join(to, 'cgroup.procs'), pid)
}

async function handOn(dir: string, controllers: readonly Controller[]): Promise<void> {
  await setControl(join(dir, 'cgroup.subtree_control'), controllers.map((one) => `+${one}`).join(' '))
}

async function holdsServer(dir: string): Promise<boolean> {
  return (await readPids(join(dir, 'cgroup.procs'))).includes(process.pid)
}

/** This process, its children, and the launcher that started it on the Node.js that comes along. */
async function isOurs(pid: number): Promise<boolean> {
  if (pid === process.pid || (pid === process.ppid && process.channel !== undefined)) return true
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
  return stat === '' || Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === process.pid
}

function hidden(controllers: readonly Controller[], dir: string): Obstacle {
  return {
    controllers,
    reason: `the server's own cgroup is not the one that is seen at ${dir}`,
    remedy: CONTAINER,
  }
}

function refusal(controllers: readonly Controller[], dir: string, error: unknown): Obstacle {
  const code = codeOf(error)
  if (code === 'EROFS') return { controllers, reason: 'cgroups are mounted read-only', remedy: CONTAINER }
  if (code === 'EBUSY')
    return { controllers, reason: `other processes share the server's cgroup ${dir}`, remedy: DELEGATE }
  if (code === 'EACCES' || code === 'EPERM')
    return {
      controllers,
      reason: 'the user of the server may not write its cgroups',
      remedy: DELEGATE_OR_ROOT,
    }
  return { controllers, reason: `${dir} refuses groups (${code})`, remedy: DELEGATE_OR_ROOT }
}
