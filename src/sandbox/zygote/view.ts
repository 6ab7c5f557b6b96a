import { join, relative, sep } from 'node:path'
import {
  argumentsText,
  environmentArguments,
  mountArguments,
  parentsOf,
  requireUsableTarget,
  SHARED_MEMORY_BYTES,
  words,
  type Privileges,
} from '../bwrap/arguments.ts'
import { NAME_SERVERS, type SyntheticEtc } from '../bwrap/etc.ts'
import type { Mount, NetworkPolicy, SandboxSpec } from '../sandbox.ts'
import { HIDDEN } from './messages.ts'

/** Host directories that a zygote sees for its children's sake. */
export interface HiddenPlaces {
  /** Below them lies all code that can be shown to a child. */
  readonly codeRoots: readonly string[]
  /** Where the driver keeps its small files, the made `/etc`s among them. */
  readonly stateDir: string
  /** Where cgroups are made. */
  readonly groupDirs: readonly string[]
}

/** What the children of one zygote have in common; the rest of a specification is each one's own. */
export interface ZygoteClass {
  /** Equal for equal classes. */
  readonly key: string
  readonly command: readonly string[]
  readonly environment: SandboxSpec['environment']
  readonly mounts: readonly Mount[]
  readonly codeTargets: readonly string[]
  readonly network: NetworkPolicy
  readonly workDir: string
}

/** What a zygote may do that its children may not: make namespaces and mounts, take ids, bring up a loopback. */
const CAPABILITIES = ['CAP_SYS_ADMIN', 'CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP', 'CAP_NET_ADMIN']

/**
 * @returns Undefined where no zygote can have such a child: its command does not fork, or code lies inside another mount or around
 *   one, which only bwrap can take apart.
 */
export function zygoteClassOf(spec: Omit<SandboxSpec, 'functionId' | 'ticketsFd'>): ZygoteClass | undefined {
  const { command, environment, workDir, network = 'none' } = spec
  const mounts = spec.mounts.filter(({ holdsCode }) => holdsCode !== true)
  const codeTargets = spec.mounts.filter(({ holdsCode }) => holdsCode === true).map(({ target }) => target)
  const isNested = codeTargets.some((one) =>
    spec.mounts.some(({ target }) => target.startsWith(`${one}/`) || one.startsWith(`${target}/`)),
  )
  if (spec.forks !== true || isNested) return undefined
  codeTargets.sort()
  const key = JSON.stringify([command, environment, mounts, codeTargets, network, workDir])
  return { key, command, environment, mounts, codeTargets, network, workDir }
}

/**
 * The text for bwrap's `--args` descriptor that starts a zygote.
 *
 * @param system What `systemArguments` found.
 * @param nameServers The file that tells children with a way out of their name server.
 * @throws {UnusableSpec}
 */
export function zygoteArguments(
  zygoteClass: ZygoteClass,
  places: HiddenPlaces,
  privileges: Privileges,
  system: readonly string[],
  etc: SyntheticEtc,
  nameServers: string,
): Buffer {
  const { environment, mounts, codeTargets, network } = zygoteClass
  for (const target of codeTargets) requireUsableTarget(target)
  const parts = [
    // Not the host's, whose name a child could otherwise change while it has no namespace of its own yet.
    ...words('--unshare-uts --unshare-ipc --die-with-parent --new-session --cap-drop ALL'),
    ...CAPABILITIES.flatMap((name) => ['--cap-add', name]),
    // To give its id on to a user namespace of a child, root needs one capability more.
    ...(privileges === 'ownUserNamespace'
      ? words('--unshare-user --uid 0 --gid 0 --cap-add CAP_SETFCAP')
      : []),
    ...environmentArguments(environment),
    ...system,
    '--ro-bind',
    etc.directoryFor(0),
    '/etc',
    ...etc.shown.flatMap(({ source, target }) => ['--ro-bind', source, target]),
    ...(network === 'host' ? etc.hostNameServers : []),
    ...(network === 'egress' ? ['--ro-bind', nameServers, NAME_SERVERS] : []),
    // All of it: the kernel gives no other one to a user namespace that sees less, and pids are told as the host knows them.
    ...words('--bind /proc /proc --dev /dev'),
    // What children mount their own at.
    ...words(`--perms 1777 --size ${SHARED_MEMORY_BYTES} --tmpfs /dev/shm --perms 1777 --dir /tmp`),
    ...mountArguments(mounts),
    ...codeTargets.flatMap((target) => [...parentsOf(target), target].flatMap((dir) => ['--dir', dir])),
    ...hiddenArguments(places),
    ...words('--remount-ro /dev --remount-ro / --chdir /'),
  ]
  return argumentsText(parts)
}

function hiddenArguments({ codeRoots, stateDir, groupDirs }: HiddenPlaces): string[] {
  return [
    ...[...parentsOf(HIDDEN), HIDDEN].flatMap((dir) => ['--dir', dir]),
    ...codeRoots.flatMap((root, index) => ['--ro-bind', root, `${HIDDEN}/code-${index}`]),
    ...['--ro-bind', stateDir, `${HIDDEN}/state`],
    ...groupDirs.flatMap((dir, index) => ['--bind', dir, `${HIDDEN}/groups-${index}`]),
  ]
}

/** Where a zygote sees a file of the host; undefined: it does not. */
export function seenAt(path: string, { codeRoots, stateDir, groupDirs }: HiddenPlaces): string | undefined {
  const places = [
    ...codeRoots.map((dir, index) => ({ dir, seen: `code-${index}` })),
    { dir: stateDir, seen: 'state' },
    ...groupDirs.map((dir, index) => ({ dir, seen: `groups-${index}` })),
  ]
  for (const { dir, seen } of places) {
    const rest = relative(dir, path)
    if (rest !== '' && rest !== '..' && !rest.startsWith(`..${sep}`)) return join(HIDDEN, seen, rest)
  }
  return undefined
}
