import { lstatSync, readlinkSync } from 'node:fs'
import { release } from 'node:os'
import { dirname, normalize } from 'node:path'
import type { Mount, SandboxSpec } from '../sandbox.ts'
import { HOST_NAME, type SyntheticEtc } from './etc.ts'
import { placesOf } from './nested-mounts.ts'

/** Programs of the host that take part in a start; absolute paths under the read-only `/usr`. */
export interface Launchers {
  readonly bwrap: string
  readonly setpriv: string
  readonly unshare: string
  /** Sets the limits of {@link innerCommand}: tasks, core dumps and file size; a host without it goes without them. */
  readonly prlimit?: string | undefined
}

/**
 * How the process loses its privileges. `ownUserNamespace`: the server is an ordinary user and bwrap maps its id.
 * `droppedThenUserNamespace`: the server is root, setpriv takes the function's id, unshare adds a user namespace.
 * `dropped`: the same without the last step, for hosts that allow user namespaces to root alone.
 */
export type Privileges = 'ownUserNamespace' | 'droppedThenUserNamespace' | 'dropped'

/** Descriptors of bwrap itself; 3 and 4 are the function's. Both are closed before the program runs. */
export const ARGUMENTS_FD = 5
export const STATUS_FD = 6

const MIB = 1024 * 1024

/** Size of `/dev/shm`, bytes: semaphores and small rings of language libraries, not data. */
const SHARED_MEMORY_BYTES = 16 * MIB

/**
 * Processes and threads of one sandbox. Source: Function Compute's limits page, "threads", 1024.
 * What a fork bomb can take from the host.
 */
const MOST_TASKS = 1024

const [kernelMajor = 0, kernelMinor = 0] = release().split('.').map(Number)
const COUNTS_BY_NAMESPACE = kernelMajor > 5 || (kernelMajor === 5 && kernelMinor >= 14)

/** Places that a mount may not cover, with everything under them. */
const RESERVED = [
  '/usr',
  '/bin',
  '/sbin',
  '/lib',
  '/lib32',
  '/lib64',
  '/libx32',
  '/etc',
  '/proc',
  '/sys',
  '/dev',
  '/tmp',
]

/** What mounts may become in places of their own: bwrap takes at most 9 000 arguments. */
const MOST_PLACES = 1000

/** Variables that would make the dynamic loader run the function's code inside the launchers, before ids are dropped. */
const LOADER_VARIABLE = /^(LD_|GLIBC_TUNABLES$|MALLOC_)/

/** Host directories outside `/usr` that distributions need to run anything; links on merged-/usr hosts. */
const SYSTEM_PLACES = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32']

/** A specification that no sandbox can be made from. Its message is for the operator. */
export class UnusableSpec extends Error {}

/** @returns The mounts that show the host's programs and libraries, as bwrap arguments. Read once at start. */
export function systemArguments(): string[] {
  const links = SYSTEM_PLACES.flatMap((place) => {
    const stat = lstatSync(place, { throwIfNoEntry: false })
    if (stat === undefined) return []
    return stat.isSymbolicLink() ? ['--symlink', readlinkSync(place), place] : ['--ro-bind', place, place]
  })
  return ['--ro-bind', '/usr', '/usr', ...links]
}

/**
 * The text for bwrap's `--args` descriptor. It travels there and not on the command line, which every process of the
 * sandbox can read in `/proc/1/cmdline`.
 *
 * @param system What {@link systemArguments} found.
 * @throws {UnusableSpec}
 */
export function encodeArguments(
  spec: SandboxSpec,
  uid: number,
  privileges: Privileges,
  system: readonly string[],
  etc: SyntheticEtc,
): Buffer {
  const parts = [
    ...namespaceArguments(uid, privileges),
    ...environmentArguments(spec.environment),
    ...system,
    '--ro-bind',
    etc.directoryFor(uid),
    '/etc',
    ...etc.shown.flatMap(({ source, target }) => ['--ro-bind', source, target]),
    ...words('--proc /proc --dev /dev'),
    ...words(`--perms 1777 --size ${SHARED_MEMORY_BYTES} --tmpfs /dev/shm`),
    ...words(`--perms 1777 --size ${Math.max(1, spec.diskMib) * MIB} --tmpfs /tmp`),
    ...mountArguments(spec.mounts),
    // The bare root and /dev are tmpfs without a size; where the server is no root they would be the function's to fill.
    ...words('--remount-ro /dev --remount-ro / --chdir'),
    spec.workDir,
  ]
  if (parts.some((part) => part.includes('\0')))
    throw new UnusableSpec('a path or variable holds a NUL character')
  return Buffer.from(parts.map((part) => `${part}\0`).join(''))
}

/** @returns Program and arguments that bwrap executes inside: the function's command behind what drops privileges. */
export function innerCommand(
  { command, diskMib }: Pick<SandboxSpec, 'command' | 'diskMib'>,
  uid: number,
  privileges: Privileges,
  launchers: Launchers,
): string[] {
  const limited = [...limitArguments(diskMib, privileges, launchers), ...command]
  if (privileges === 'ownUserNamespace') return limited
  const drop = [
    launchers.setpriv,
    ...words(
      `--reuid ${uid} --regid ${uid} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all --`,
    ),
  ]
  if (privileges === 'dropped') return [...drop, ...limited]
  return [...drop, launchers.unshare, ...words('--user --map-current-user --'), ...limited]
}

/** Limits that need no cgroup. A core dump would be written by the host's handler, outside of the sandbox. */
function limitArguments(diskMib: number, privileges: Privileges, { prlimit }: Launchers): string[] {
  if (prlimit === undefined) return []
  // Tasks are counted for each user namespace; where there is none, or before Linux 5.14, all instances of a function, or
  // everything the server's user runs, would share one count.
  const tasks = privileges !== 'dropped' && COUNTS_BY_NAMESPACE ? [`--nproc=${MOST_TASKS}`] : []
  // More than any file of its own can have. It is for the ticket book, which a process with the user id of the server could
  // open anew for writing.
  const fileBytes = Math.max(SHARED_MEMORY_BYTES, diskMib * MIB) + MIB
  return [prlimit, '--core=0', `--fsize=${fileBytes}`, ...tasks, '--']
}

function namespaceArguments(uid: number, privileges: Privileges): string[] {
  const common = words(
    `--unshare-pid --unshare-net --unshare-ipc --unshare-uts --unshare-cgroup-try --hostname ${HOST_NAME} ` +
      '--die-with-parent --new-session --cap-drop ALL',
  )
  if (privileges === 'ownUserNamespace')
    return [...common, ...words(`--unshare-user --uid ${uid} --gid ${uid}`)]
  // What setpriv needs; it drops them before the function's program.
  return [...common, ...words('--cap-add CAP_SETUID --cap-add CAP_SETGID --cap-add CAP_SETPCAP')]
}

function environmentArguments(environment: Readonly<Record<string, string>>): string[] {
  const entries = Object.entries(environment)
  const forbidden = entries.find(([name]) => LOADER_VARIABLE.test(name))
  if (forbidden !== undefined)
    throw new UnusableSpec(`the variable ${forbidden[0]} may not be set before the start`)
  return ['--clearenv', ...entries.flatMap(([name, value]) => ['--setenv', name, value])]
}

function mountArguments(mounts: readonly Mount[]): string[] {
  for (const { target } of mounts) requireUsableTarget(target)
  const places = placesOf(mounts, MOST_PLACES)
  if (places === undefined) throw new UnusableSpec('too many files lie beside a mount inside another')
  const made = new Set(['/'])
  return places.flatMap(({ option, source, target }) => {
    const parents = parentsOf(target).filter((parent) => !made.has(parent))
    for (const parent of parents) made.add(parent)
    made.add(target)
    // bwrap would make missing parents itself, but closed to every id except its own.
    return [...parents.flatMap((parent) => ['--dir', parent]), option, source, target]
  })
}

/** Splits options that hold nothing from outside. */
function words(options: string): string[] {
  return options.split(' ')
}

function requireUsableTarget(target: string): void {
  const plain =
    target.startsWith('/') && normalize(target) === target && target !== '/' && !target.endsWith('/')
  const covers = RESERVED.some((place) => target === place || target.startsWith(`${place}/`))
  if (!plain || covers) throw new UnusableSpec(`nothing may be mounted at ${target}`)
}

function parentsOf(path: string): string[] {
  const parents: string[] = []
  for (let parent = dirname(path); parent !== '/'; parent = dirname(parent)) parents.unshift(parent)
  return parents
}
