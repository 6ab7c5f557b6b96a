import { closeSync, existsSync, openSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import type { Launchers, Privileges } from './bwrap/arguments.ts'
import { BwrapSandbox, type ZygoteNeeds } from './bwrap/driver.ts'
import { CONTROLLERS } from './cgroup/limits.ts'
import { CgroupTree } from './cgroup/tree.ts'
import { egressGuard } from './network/choice.ts'
import type { EgressPrograms } from './network/egress.ts'
import { ProcessSandbox, PROCESS_WARNING } from './process/driver.ts'
import type { GuardFinding, ProbeFinding, Sandbox, SandboxExit } from './sandbox.ts'
import { seccompFilter } from './seccomp/filter.ts'

/** What the setting names: one driver, or the best that works. */
export type SandboxSetting = 'auto' | Sandbox['name']

export interface ChosenSandbox {
  readonly sandbox: Sandbox
  /** One for each driver that was tried, in order. */
  readonly findings: readonly ProbeFinding[]
  /** What the operator must know before functions run, for the banner. */
  readonly warning?: string
}

export interface SandboxOptions {
  /** First user id for functions, default 700 000. */
  readonly uidBase?: number
  /** How many user ids there are, default 65 536. */
  readonly uidCount?: number
  /** Where the bwrap driver makes a directory for its own small files; default memory-backed storage. */
  readonly stateDir?: string
  /** Where the launchers are looked for, best first. */
  readonly programDirs?: readonly string[]
  /** Whose filter of system calls to take, as `process.arch` names processors; default that of this process. */
  readonly architecture?: string
  /** Whether processes are limited by cgroups where the host has them; default true. */
  readonly cgroups?: boolean
  /** What processes that are forked from a prepared one need; default: none are. */
  readonly zygotes?: ZygoteNeeds
  /** How long a driver may take for its harmless program, milliseconds; default 20 000. */
  readonly probeTimeoutMs?: number
}

/** The driver that was asked for does not work here; the message says what to do. */
export class SandboxUnavailable extends Error {
  override readonly name = 'SandboxUnavailable'
}

/** Launchers run inside the sandbox too, so they must lie where it shows the host's programs. */
const PROGRAM_DIRS = ['/usr/bin', '/usr/sbin', '/bin', '/usr/local/bin']

/** A program in a sandbox answers in some ten milliseconds; even a machine under heavy load is well within this. */
const PROBE_TIMEOUT_MS = 20_000

interface Probed {
  readonly finding: ProbeFinding
  readonly sandbox?: Sandbox
  /** What it lacks although it works. */
  readonly warning?: string
  /** It neither worked nor failed in time. */
  readonly isUndecided?: boolean
}

/** Runs each driver once with a harmless program and tells how it went. */
export async function probeSandboxes(options: SandboxOptions = {}): Promise<readonly ProbeFinding[]> {
  return await Promise.all([probeBwrapNetwork(options), probeOnly(probeProcess(options))])
}

/**
 * Finds the driver to run functions with, by really running it once.
 *
 * @param setting `auto` takes bwrap where it works, else process with a warning.
 * @throws {SandboxUnavailable} when the named driver, or with `auto` every driver, does not work here; and with `auto` when bwrap does
 *   not answer in time: a busy host is no reason to go without isolation.
 */
export async function chooseSandbox(
  setting: SandboxSetting,
  options: SandboxOptions = {},
): Promise<ChosenSandbox> {
  const findings: ProbeFinding[] = []
  if (setting !== 'process') {
    const { finding, sandbox, warning, isUndecided = false } = await probeBwrap(options)
    findings.push(finding)
    if (sandbox !== undefined) return { sandbox, findings, ...(warning !== undefined && { warning }) }
    if (setting === 'auto' && isUndecided)
      throw new SandboxUnavailable(
        `Whether the bwrap sandbox works here is not known. ${finding.detail} Try again; to run functions without isolation, set sandbox to process.`,
      )
    if (setting === 'bwrap')
      throw new SandboxUnavailable(`The bwrap sandbox does not work here. ${finding.detail}`)
  }
  const { finding, sandbox } = await probeProcess(options)
  findings.push(finding)
  if (sandbox === undefined)
    throw new SandboxUnavailable(`No sandbox works here. ${findings.map(({ detail }) => detail).join(' ')}`)
  const why = setting === 'auto' ? ` The bwrap sandbox does not work here. ${findings[0]?.detail ?? ''}` : ''
  return { sandbox, findings, warning: PROCESS_WARNING + why }
}

async function probeOnly(probing: Promise<Probed>): Promise<ProbeFinding> {
  const { sandbox, finding } = await probing
  await sandbox?.close()
  return finding
}

/** What the driver guards, and whether it has a way out. */
async function probeBwrapNetwork(options: SandboxOptions): Promise<ProbeFinding> {
  const { sandbox, finding } = await probeBwrap(options)
  if (sandbox === undefined) return finding
  const network = await egressGuard(sandbox)
  await sandbox.close()
  return { ...finding, guards: [...(finding.guards ?? []), network] }
}

async function probeBwrap(options: SandboxOptions): Promise<Probed> {
  const launchers = findLaunchers(options)
  if (typeof launchers === 'string') return { finding: { driver: 'bwrap', works: false, detail: launchers } }
  const { architecture = process.arch } = options
  let unfilteredWhy =
    seccompFilter(architecture) === undefined
      ? `this processor (${architecture}) has no table of system calls here`
      : undefined
  let tried = await tryBwrap(launchers, unfilteredWhy === undefined, options)
  // Only then: to go without the filter because a busy host did not answer in time would be a guard lost by chance.
  if (typeof tried === 'string' && SECCOMP_COMPLAINT.test(tried)) {
    unfilteredWhy = `this host refuses it (${tried})`
    tried = await tryBwrap(launchers, false, options)
  }
  if (typeof tried === 'string' && CGROUP_COMPLAINT.test(tried))
    tried = await tryBwrap(launchers, unfilteredWhy === undefined, options, tried)
  if (typeof tried === 'string')
    return {
      finding: { driver: 'bwrap', works: false, detail: adviceFor(tried) },
      isUndecided: tried === NO_ANSWER,
    }
  const finding = { driver: 'bwrap', works: true } as const
  const common = PRIVILEGES_TEXT[privilegesHere()] + (launchers.prlimit === undefined ? WITHOUT_PRLIMIT : '')
  const { sandbox, limits, memoryIsCounted } = tried
  const ids = userIdGuard()
  const guards = [filterGuard(unfilteredWhy, memoryIsCounted), ids, limits]
  const told = [...(ids.works ? [] : [ids.detail]), limits.detail].join(' ')
  if (unfilteredWhy === undefined)
    return {
      sandbox,
      finding: { ...finding, detail: `${common} System calls are filtered. ${told}`, guards },
    }
  const warning = `Functions run WITHOUT a filter of system calls: ${unfilteredWhy}.`
  const detail = `${common} ${warning} ${told}`
  return { sandbox, finding: { ...finding, detail, guards }, warning }
}

function filterGuard(unfilteredWhy: string | undefined, memoryIsCounted: boolean): GuardFinding {
  const works = unfilteredWhy === undefined
  const applied = memoryIsCounted
    ? 'the kernel applies it to every function'
    : 'the kernel applies it to every function; it refuses memfd_create and System V segments, too, whose memory only cgroups count'
  return { name: 'system call filter', works, detail: unfilteredWhy ?? applied }
}

/** What no namespace divides: a server without privileges has no other id to give. */
function userIdGuard(): GuardFinding {
  const name = 'user ids of functions'
  if (privilegesHere() === 'dropped') return { name, works: true, detail: 'each function has one of its own' }
  const fix =
    'Start the server as root, which gives each function an id of its own, or under a supervisor that starts it again: accepted asynchronous calls are kept.'
  const detail = `What the kernel counts by user id (epoll watches, inotify instances, descriptors in flight, memory of pipes) a function can use up for the server, which may end then. ${fix}`
  return { name, works: false, detail, fix }
}

interface TriedBwrap {
  readonly sandbox: Sandbox
  readonly limits: GuardFinding
  /** Whether the kernel limits the memory of each instance. */
  readonly memoryIsCounted: boolean
}

/**
 * @param isFiltered Whether to apply the filter of system calls.
 * @param unlimitedWhy Why no cgroups are used although there are some.
 * @returns The driver, or why it did not work.
 */
async function tryBwrap(
  launchers: Launchers,
  isFiltered: boolean,
  options: SandboxOptions,
  unlimitedWhy?: string,
): Promise<TriedBwrap | string> {
  const { cgroups: wantsGroups = true, ...rest } = options
  const cgroups = wantsGroups && unlimitedWhy === undefined ? await CgroupTree.open() : undefined
  const memoryIsCounted = cgroups?.finding.controllers.has('memory') === true
  const sandbox = new BwrapSandbox({
    ...rest,
    launchers,
    privileges: privilegesHere(),
    filter: isFiltered ? seccompFilter(options.architecture, { memoryIsCounted }) : undefined,
    cgroups,
    egress: findEgressPrograms(options),
  })
  const failure = await tryOnce(sandbox, isFiltered, options)
  if (failure === undefined) return { sandbox, limits: limitsGuard(cgroups, unlimitedWhy), memoryIsCounted }
  await sandbox.close()
  return failure
}

function limitsGuard(cgroups: CgroupTree | undefined, unlimitedWhy: string | undefined): GuardFinding {
  const name = 'cgroup limits'
  if (cgroups !== undefined) {
    const { controllers, freezes, detail, remedies } = cgroups.finding
    const works = freezes && CONTROLLERS.every((one) => controllers.has(one))
    return { name, works, detail, ...(!works && remedies.length > 0 && { fix: remedies.join(' ') }) }
  }
  const why = unlimitedWhy === undefined ? 'they are turned off' : `they do not work here (${unlimitedWhy})`
  const detail = `No cgroups are used, because ${why}: memory is watched and can be passed for a moment, idle instances are not frozen.`
  return { name, works: false, detail }
}

async function probeProcess(options: SandboxOptions): Promise<Probed> {
  const sandbox = new ProcessSandbox({
    setpriv: findProgram('setpriv', options),
    prlimit: findProgram('prlimit', options),
  })
  const failure = await tryOnce(sandbox, false, options)
  if (failure === undefined)
    return {
      sandbox,
      finding: {
        driver: 'process',
        works: true,
        detail: 'runs functions without isolation, for code that is trusted.',
      },
    }
  await sandbox.close()
  return {
    finding: { driver: 'process', works: false, detail: `A plain process could not be run: ${failure}.` },
  }
}

/** How bwrap, or the attempt itself, names a filter that cannot be had. */
const SECCOMP_COMPLAINT = /seccomp/i

/** How the driver names a group that a process could not be put into. */
const CGROUP_COMPLAINT = /cgroup/

/** It was ended because it had taken too long. */
const NO_ANSWER = 'it did not answer in time'

/** Says whether the kernel filters the calls of the program: a line `Seccomp: 2`. */
const TELL_FILTER =
  'while read -r name value; do [ "$name" = Seccomp: ] && echo "filter $value"; done < /proc/self/status'

/** @returns Why it failed, undefined when the program ran, and if so demanded, under a filter of system calls. */
async function tryOnce(
  sandbox: Sandbox,
  filtered: boolean,
  { probeTimeoutMs = PROBE_TIMEOUT_MS }: SandboxOptions,
): Promise<string | undefined> {
  const ticketsFd = openSync('/dev/null', 'r')
  try {
    const process = sandbox.start({
      functionId: 'probe',
      command: ['/bin/sh', '-c', `echo works${filtered ? `; ${TELL_FILTER}` : ''}; exit 0`],
      mounts: [],
      environment: {},
      workDir: '/tmp',
      memoryMib: 64,
      diskMib: 1,
      ticketsFd,
    })
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      process.kill()
    }, probeTimeoutMs)
    const [said, complaint, exit] = await Promise.all([
      text(process.stdout),
      text(process.stderr),
      process.exited,
    ])
    clearTimeout(timer)
    if (isLate) return NO_ANSWER
    if (exit.kind !== 'exited' || !said.startsWith('works\n')) return describe(exit, complaint)
    return filtered && !said.includes('\nfilter 2\n') ? 'seccomp is not in force' : undefined
  } finally {
    closeSync(ticketsFd)
  }
}

function describe(exit: SandboxExit, complaint: string): string {
  if (exit.kind === 'notStarted') return exit.reason
  return complaint.trim().split('\n').at(-1) || JSON.stringify(exit)
}

const isRoot = (): boolean => process.getuid?.() === 0

const privilegesHere = (): Privileges => (isRoot() ? 'dropped' : 'ownUserNamespace')

/** What is lost, beside what cgroups limit; programs that are forked limit themselves. */
const WITHOUT_PRLIMIT =
  ' prlimit is not installed: core dumps, the size of files and open files have no limit of their own.'

const PRIVILEGES_TEXT: Record<Privileges, string> = {
  ownUserNamespace:
    'every function has its own namespaces; on the host its processes run as the user of the server.',
  dropped: 'every function has its own namespaces and a user id of its own, on the host as well.',
}

/** @returns Paths of the programs, or what to install. */
function findLaunchers(options: SandboxOptions): Launchers | string {
  const bwrap = findProgram('bwrap', options)
  if (bwrap === undefined)
    return 'bubblewrap is not installed: run `apt-get install bubblewrap`, or your distribution’s equivalent.'
  const setpriv = findProgram('setpriv', options)
  const prlimit = findProgram('prlimit', options)
  if (setpriv !== undefined) return { bwrap, setpriv, prlimit }
  // Only root has privileges to drop.
  if (!isRoot()) return { bwrap, setpriv: '', prlimit }
  return 'setpriv is not installed: run `apt-get install util-linux`, or your distribution’s equivalent.'
}

/** @returns Paths of what makes a way out of the sandbox; undefined: something is not installed. */
function findEgressPrograms(options: SandboxOptions): EgressPrograms | undefined {
  const slirp4netns = findProgram('slirp4netns', options)
  const ip = findProgram('ip', options)
  const nsenter = findProgram('nsenter', options)
  const unshare = findProgram('unshare', options)
  if (slirp4netns === undefined || ip === undefined || nsenter === undefined || unshare === undefined)
    return undefined
  const [prlimit, setpriv] = ['prlimit', 'setpriv'].map((name) => findProgram(name, options))
  return { slirp4netns, ip, nsenter, unshare, prlimit, setpriv }
}

/** @returns The path of a launcher of this host, undefined when it is not installed. */
export function findProgram(
  name: string,
  { programDirs = PROGRAM_DIRS }: SandboxOptions,
): string | undefined {
  return programDirs.map((dir) => `${dir}/${name}`).find((path) => existsSync(path))
}

function adviceFor(failure: string): string {
  const said = `bubblewrap failed (${failure}).`
  if (/uid map|new namespace|user namespace|loopback|unshare/i.test(failure))
    return (
      `${said} The host forbids user namespaces to ordinary users: set the sysctls ` +
      'kernel.unprivileged_userns_clone=1 (Debian), kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu) and ' +
      'user.max_user_namespaces above 0, or run the server as root; in a container, allow it with ' +
      '`--security-opt seccomp=unconfined --security-opt apparmor=unconfined`.'
    )
  if (/\bproc\b/i.test(failure))
    return (
      `${said} The container around the server hides parts of /proc: start it with ` +
      '`--security-opt systempaths=unconfined`, or privileged.'
    )
  return said
}
