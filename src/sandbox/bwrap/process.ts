import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { CgroupGroup } from '../cgroup/group.ts'
import { sendKill, startChild } from '../child.ts'
import { ConfinedProcess } from '../confined-process.ts'
import { toShellCode, type RawExit } from '../exit-cause.ts'
import type { InheritedDescriptors } from '../inherited-descriptors.ts'
import type { EgressRoom } from '../network/egress.ts'
import { KnownProcess } from '../known-process.ts'
import { nameServersText } from '../network/name-servers.ts'
import { childrenOf, untilGone } from '../proc.ts'
import type { SandboxExit } from '../sandbox.ts'
import type { TextTail } from '../text-tail.ts'
import type { TreeRoots } from '../tree-memory.ts'
import { ARGUMENTS_FD, FILTER_FD, STATUS_FD } from './arguments.ts'
import { NAME_SERVERS } from './etc.ts'
import { StatusFile } from './status-file.ts'

/** How the launchers inside the sandbox begin the line that says why they could not go on. */
const LAUNCHER_COMPLAINT = /^(?:bwrap|setpriv|prlimit|cgroup): .*/m

/**
 * Waits for a line on descriptor 5, where bwrap's arguments follow, moves to the groups named before `--` and becomes what is
 * named behind it. A thread that moves itself, and nothing else, spares the kernel a wait of some 10 ms for all processors.
 */
const ENTER_GROUPS =
  'read -r _ <&5 || exit 125; while [ "$1" != -- ]; do echo 0 > "$1" || exit 125; shift; done; shift; exec "$@"'

/** What to run: bwrap's own command line and what it reads from descriptors. */
export interface BwrapLaunch {
  readonly bwrap: string
  readonly command: readonly string[]
  readonly argumentsText: Buffer
  /** The filter of system calls; undefined: none. */
  readonly filter: Buffer | undefined
  readonly ticketsFd: number
  readonly stateDir: string
  readonly birthTimeoutMs: number
  /** Its limits, a group of its own; undefined where the host has none. */
  readonly group: CgroupGroup | undefined
  /** What gives its network namespace a way out; undefined: it has none, or no such namespace. */
  readonly egress: EgressRoom | undefined
  readonly inherited: InheritedDescriptors
  /** Further descriptors: a new two-way pipe, or an open one of the server. They follow those that are bwrap's own. */
  readonly more?: readonly ('pipe' | number)[]
}

/**
 * One bwrap with the process tree inside it.
 *
 * Two processes of bwrap are involved: the outer one, which is our child, and the first process of the pid namespace. The
 * kernel ends everything in the namespace together with the latter, so that is the one to kill; the outer one then
 * ends by itself. When the outer one dies first (by the server's death, too), the inner one is sent SIGKILL by the kernel.
 *
 * The child enters its group before it becomes bwrap, once the limits hold: everything is inside from its first instruction.
 *
 * A way out is fastened to the namespaces that the inner one has first: as an ordinary user, it then moves to a user namespace
 * inside, which could not do that. So it waits for the name of its name server until they are held.
 */
export class BwrapProcess extends ConfinedProcess {
  readonly channel: Socket
  readonly stdout: Readable
  readonly stderr: TextTail
  readonly exited: Promise<SandboxExit>
  readonly prepared?: Promise<void>
  /** The server's ends of the further pipes. */
  readonly more: readonly Socket[]
  readonly #status: StatusFile
  readonly #birthTimeoutMs: number
  readonly #outer: number | undefined
  #knownInit: KnownProcess | undefined

  /** @throws When the process cannot be created at all. */
  constructor(launch: BwrapLaunch) {
    super(launch.group)
    const { filter, group, egress } = launch
    const options = ['--args', String(ARGUMENTS_FD), '--json-status-fd', String(STATUS_FD)]
    this.#status = new StatusFile(launch.stateDir)
    const extra: ('pipe' | number)[] = ['pipe', this.#status.fd]
    if (filter !== undefined) {
      options.push('--seccomp', String(FILTER_FD))
      extra.push('pipe')
    }
    if (egress !== undefined)
      options.push(
        '--perms',
        '0444',
        '--ro-bind-data',
        String(ARGUMENTS_FD + extra.push('pipe') - 1),
        NAME_SERVERS,
      )
    extra.push(...(launch.more ?? []))
    this.#birthTimeoutMs = launch.birthTimeoutMs
    try {
      const child = startChild({
        command: [...entering(group), launch.bwrap, ...options, '--', ...launch.command],
        // bwrap's own environment: the function's is among its arguments.
        environment: {},
        workDir: '/',
        detached: false,
        ticketsFd: launch.ticketsFd,
        extra,
        inherited: launch.inherited,
      })
      this.#outer = child.process.pid
      this.channel = child.channel
      this.stdout = child.stdout
      this.stderr = child.stderr
      const pipes = [...child.extra]
      const argumentsPipe = pipes.shift()
      if (filter !== undefined) pipes.shift()?.end(filter)
      this.exited = this.#supervise(child.ended)
      const nameServers = egress === undefined ? undefined : pipes.shift()
      if (egress !== undefined && nameServers !== undefined) {
        // bwrap makes the loopback of the namespace itself, and fails where it finds it made.
        this.prepared = this.connect(egress, () => nameServers.end(nameServersText()))
        // Whoever needs the network waits for it; nobody has to.
        this.prepared.catch(() => undefined)
      }
      this.more = pipes
      if (group === undefined) argumentsPipe?.end(launch.argumentsText)
      else void this.#letIn(group, argumentsPipe, launch.argumentsText)
    } catch (error) {
      this.#status.close()
      throw error
    }
  }

  protected override roots(): TreeRoots {
    return { launcher: this.#namespaceInit?.pid }
  }

  protected override firstProcess(): KnownProcess | undefined {
    return this.#namespaceInit
  }

  protected override async ownProcess(): Promise<KnownProcess | undefined> {
    const init = this.#namespaceInit
    if (init === undefined) return undefined
    // The first is what the namespace was made for: orphans come behind it, and when it ends, all do.
    const own = (await childrenOf(init.pid))[0]
    if (own === undefined) return undefined
    const known = new KnownProcess(own)
    // While the first of its namespaces is there, the number that was read as its child's was not given to another.
    return (await childrenOf(init.pid))[0] === own && init.isStill() ? known : undefined
  }

  protected override end(): void {
    void this.#killOnceBorn()
  }

  get #namespaceInit(): KnownProcess | undefined {
    if (this.hasEnded || this.#knownInit !== undefined) return this.#knownInit
    const pid = this.#status.namespaceInit
    if (pid !== undefined) this.#knownInit = new KnownProcess(pid)
    return this.#knownInit
  }

  async #letIn(group: CgroupGroup, pipe: Socket | undefined, argumentsText: Buffer): Promise<void> {
    try {
      await group.ready
      pipe?.write('\n')
      pipe?.end(argumentsText)
    } catch (error) {
      this.refusal = `its cgroup could not be made: ${error instanceof Error ? error.message : String(error)}`
      // It still waits for its first line: nothing comes of it.
      if (!this.hasEnded && this.#outer !== undefined) sendKill(this.#outer)
    }
  }

  /** An outer bwrap killed before its child exists, or before that follows it into death, would leave it behind. */
  async #killOnceBorn(): Promise<void> {
    const deadline = performance.now() + this.#birthTimeoutMs
    while (!this.hasEnded && this.#namespaceInit === undefined && performance.now() < deadline) await delay(1)
    if (this.hasEnded) return
    const init = this.#namespaceInit
    if (init === undefined) {
      if (this.#outer !== undefined) sendKill(this.#outer)
    } else if (init.isStill()) sendKill(init.pid)
  }

  async #supervise(childEnded: Promise<RawExit | Error>): Promise<SandboxExit> {
    const raw = await childEnded
    this.#knownInit = this.#namespaceInit
    this.hasEnded = true
    const commandEnded = this.#status.commandEnded
    this.#status.close()
    if (raw instanceof Error) return { kind: 'notStarted', reason: `bwrap could not be run: ${raw.message}` }
    const init = this.#knownInit
    const oomKills = await this.conclude(init === undefined ? Promise.resolve() : untilGone(init.pid))
    return this.causeOf(toShellCode(raw), oomKills, () => this.#complaint(raw, commandEnded))
  }

  #complaint({ exitCode, signal }: RawExit, commandEnded: boolean): string | undefined {
    const complaint = LAUNCHER_COMPLAINT.exec(this.stderr.text)?.[0]
    // Without a report of bwrap, and not killed itself, it gave up before the command.
    const launcherFailed = commandEnded
      ? complaint !== undefined && this.channel.bytesRead === 0 && isLauncherFailure(exitCode)
      : signal === null
    return launcherFailed ? (complaint ?? `bwrap ended with ${exitCode}`) : undefined
  }
}

function entering(group: CgroupGroup | undefined): string[] {
  return group === undefined ? [] : ['/bin/sh', '-c', ENTER_GROUPS, 'cgroup', ...group.entries, '--']
}

/** setpriv and prlimit answer 126 and 127 when the program cannot be executed and 1 when they themselves fail. */
function isLauncherFailure(exitCode: number | null): boolean {
  return exitCode === 1 || exitCode === 126 || exitCode === 127
}
