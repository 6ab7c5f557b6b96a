import { lstatSync, readFileSync, readlinkSync } from 'node:fs'
import { release } from 'node:os'
import { dirname, normalize } from 'node:path'
import type { Mount, SandboxSpec } from '../sandbox.ts'
import { HOST_NAME, type SyntheticEtc } from './etc.ts'
import { placesOf } from './nested-mounts.ts'

/** Programs of the host that take part in a start; absolute paths under the read-only `/usr`. */
export interface Launchers {
  readonly bwrap: string
  /** Takes the function's user id; used by root alone. */
  readonly setpriv: string
  /** Sets the limits of {@link innerCommand}: tasks, open files, core dumps, file size; a host without it goes without them. */
  readonly prlimit?: string | undefined
}

/**
 * How the process loses its privileges. `ownUserNamespace`: the server is an ordinary user and bwrap maps its id. `dropped`: the
 * server is root, and setpriv takes the function's id inside.
 */
export type Privileges = 'ownUserNamespace' | 'dropped'

/** Descriptors of bwrap itself; 3 and 4 are the function's. All are closed before the program runs. */
export const ARGUMENTS_FD = 5
export const STATUS_FD = 6
export const FILTER_FD = 7

const MIB = 1024 * 1024

/** Size of `/dev/shm`, bytes: semaphores and small rings of language libraries, not data. */
export const SHARED_MEMORY_BYTES = 16 * MIB

/**
 * Processes and threads of one sandbox. Source: Function Compute's limits page, "threads", 1024.
 * What a fork bomb can take from the host.
 */
export const MOST_TASKS = 1024

/**
 * Processes and threads of one function, all its instances together: half of the process ids that Linux has unless it is told
 * otherwise (32 768), so that one function never takes the host's last one.
 */
const MOST_TASKS_OF_FUNCTION = 16_384

const [kernelMajor = 0, kernelMinor = 0] = release().split('.').map(Number)
const COUNTS_BY_NAMESPACE = kernelMajor > 5 || (kernelMajor === 5 && kernelMinor >= 14)

/** What the server itself may have at most, which nobody below it can raise: of some, little where the host has little memory. */
const SERVER_LIMITS = readFileSync('/proc/self/limits', 'latin1')

/** @param name As `/proc/self/limits` calls it. */
function atMost(name: string, most: number): number {
  const own = new RegExp(`^${name} +\\S+ +(\\d+)`, 'm').exec(SERVER_LIMITS)?.[1]
  return own === undefined ? most : Math.min(most, Number(own))
}

const MOST_TASKS_OF_SERVER = atMost('Max processes', Number.POSITIVE_INFINITY)

/**
 * What the kernel bounds for each process or user id, and a server may have without a bound: open files of a process, so that a
 * function does not take all that the host can have open; signals that wait and bytes of POSIX message queues, which are memory
 * of no process; pages that are never swapped. The last two are the kernel's own defaults (`MQ_BYTES_MAX`, `MLOCK_LIMIT`).
 */
export const KERNEL_LIMITS = {
  openFiles: atMost('Max open files', 65_536),
  pendingSignals: atMost('Max pending signals', 16_384),
  queueBytes: atMost('Max msgqueue size', 819_200),
  lockedBytes: atMost('Max locked memory', 8 * MIB),
} as const

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

/** @returns The trees of the host that every sandbox shows whole. */
export function systemTrees(): string[] {
  const own = SYSTEM_PLACES.filter(
    (place) => lstatSync(place, { throwIfNoEntry: false })?.isSymbolicLink() === false,
  )
  return ['/usr', ...own]
}

/** Whether a path of the host is seen in every sandbox, at the same path. */
export function isOfSystem(path: string): boolean {
  return ['/usr', ...SYSTEM_PLACES].some((place) => path.startsWith(`${place}/`))
}

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
    ...namespaceArguments(uid, privileges, spec.network),
    ...environmentArguments(spec.environment),
    ...system,
    '--ro-bind',
    etc.directoryFor(uid),
    '/etc',
    ...etc.shown.flatMap(({ source, target }) => ['--ro-bind', source, target]),
    ...(spec.network === 'host' ? etc.hostNameServers : []),
    ...words('--proc /proc --dev /dev'),
    // Over its terminals, of which the host has some thousands for all (kernel.pty.max), and bwrap sets no bound.
    ...words('--perms 0555 --size 4096 --tmpfs /dev/pts --remount-ro /dev/pts'),
    ...hiddenInit(privileges),
    ...words(`--perms 1777 --size ${SHARED_MEMORY_BYTES} --tmpfs /dev/shm`),
    ...words(`--perms 1777 --size ${Math.max(1, spec.diskMib) * MIB} --tmpfs /tmp`),
    ...mountArguments(spec.mounts),
    // The bare root and /dev are tmpfs without a size; where the server is no root they would be the function's to fill.
    ...words('--remount-ro /dev --remount-ro / --chdir'),
    spec.workDir,
  ]
  return argumentsText(parts)
}

/** @throws {UnusableSpec} Where one of them would be read as several. */
export function argumentsText(parts: readonly string[]): Buffer {
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
  const drop = words(
    `--reuid ${uid} --regid ${uid} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all --`,
  )
  return [launchers.setpriv, ...drop, ...limited]
}

/**
 * Limits that need no cgroup. A core dump would be written by the host's handler, outside of the sandbox. A server that may raise priorities,
 * as those of some service managers, does not hand that on: 0 is a nice value of 19 at best, and no realtime.
 */
function limitArguments(diskMib: number, privileges: Privileges, { prlimit }: Launchers): string[] {
  if (prlimit === undefined) return []
  const tasks = taskLimit(privileges)
  return [
    prlimit,
    '--core=0',
    '--rtprio=0',
    '--nice=0',
    `--fsize=${largestFileBytes(diskMib)}`,
    `--nofile=${KERNEL_LIMITS.openFiles}`,
    `--sigpending=${KERNEL_LIMITS.pendingSignals}`,
    `--msgqueue=${KERNEL_LIMITS.queueBytes}`,
    `--memlock=${KERNEL_LIMITS.lockedBytes}`,
    ...(tasks === undefined ? [] : [`--nproc=${tasks}`]),
    '--',
  ]
}

/**
 * More than any file of its own can have. It is for the ticket book, which a process with the user id of the server could open anew for
 * writing.
 */
export function largestFileBytes(diskMib: number): number {
  return Math.max(SHARED_MEMORY_BYTES, diskMib * MIB) + MIB
}

/**
 * RLIMIT_NPROC counts the tasks of a user id in its user namespace. That is one sandbox where bwrap made the namespace. As root all
 * instances of a function share the id and the host's namespace, so a limit low enough for one instance would fail the
 * honest starts of others; it is a bound for the function. Before Linux 5.14 the id of an ordinary user counts with
 * everything that this user runs outside: no limit.
 */
export function taskLimit(privileges: Privileges): number | undefined {
  if (privileges === 'dropped') return Math.min(MOST_TASKS_OF_FUNCTION, MOST_TASKS_OF_SERVER)
  return COUNTS_BY_NAMESPACE ? Math.min(MOST_TASKS, MOST_TASKS_OF_SERVER) : undefined
}

function namespaceArguments(uid: number, privileges: Privileges, network: SandboxSpec['network']): string[] {
  const common = words(
    `--unshare-pid --unshare-ipc --unshare-uts --unshare-cgroup-try --hostname ${HOST_NAME} ` +
      '--die-with-parent --new-session --cap-drop ALL',
  )
  if (network !== 'host') common.push('--unshare-net')
  if (privileges === 'ownUserNamespace')
    return [...common, ...words(`--unshare-user --uid ${uid} --gid ${uid}`)]
  // What setpriv needs; it drops them before the function's program.
  return [...common, ...words('--cap-add CAP_SETUID --cap-add CAP_SETGID --cap-add CAP_SETPCAP')]
}

/**
 * Where the namespace's first process, bwrap, has the function's user id, its memory and descriptors would be the function's to
 * read and write: paths of the host are in there, and that it ends with the server is up to it.
 */
function hiddenInit(privileges: Privileges): string[] {
  return privileges === 'ownUserNamespace' ? words('--perms 0555 --tmpfs /proc/1 --remount-ro /proc/1') : []
}

export function environmentArguments(environment: Readonly<Record<string, string>>): string[] {
  const entries = Object.entries(environment)
  const forbidden = entries.find(([name]) => LOADER_VARIABLE.test(name))
  if (forbidden !== undefined)
    throw new UnusableSpec(`the variable ${forbidden[0]} may not be set before the start`)
  return ['--clearenv', ...entries.flatMap(([name, value]) => ['--setenv', name, value])]
}

export function mountArguments(mounts: readonly Mount[]): string[] {
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
export function words(options: string): string[] {
  return options.split(' ')
}

/** @throws {UnusableSpec} Where nothing may be mounted at this path. */
export function requireUsableTarget(target: string): void {
  const plain =
    target.startsWith('/') && normalize(target) === target && target !== '/' && !target.endsWith('/')
  const covers = RESERVED.some((place) => target === place || target.startsWith(`${place}/`))
  if (!plain || covers) throw new UnusableSpec(`nothing may be mounted at ${target}`)
}

export function parentsOf(path: string): string[] {
  const parents: string[] = []
  for (let parent = dirname(path); parent !== '/'; parent = dirname(parent)) parents.unshift(parent)
  return parents
}
