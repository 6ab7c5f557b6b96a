import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { CgroupGroup } from '../cgroup/group.ts'
import { sendKill, startChild } from '../child.ts'
import { exitOf, fromShellCode, type RawExit } from '../exit-cause.ts'
import type { InheritedDescriptors } from '../inherited-descriptors.ts'
import { Egress, type EgressRoom } from '../network/egress.ts'
import { nameServersText } from '../network/name-servers.ts'
import { hasLoopback, untilGone } from '../proc.ts'
import type { MemoryUsage, SandboxExit, SandboxProcess } from '../sandbox.ts'
import type { TextTail } from '../text-tail.ts'
import { TreeMemory } from '../tree-memory.ts'
import { ARGUMENTS_FD, FILTER_FD, STATUS_FD } from './arguments.ts'
import { NAME_SERVERS } from './etc.ts'
import { StatusFile } from './status-file.ts'

/** How the launchers inside the sandbox begin the line that says why they could not go on. */
const LAUNCHER_COMPLAINT = /^(?:bwrap|setpriv|prlimit|cgroup): .*/m

/** Longest wait for the last words on standard error of a process that has ended, when nobody reads them. */
const LAST_WORDS_MS = 100

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
export class BwrapProcess implements SandboxProcess {
  readonly channel: Socket
  readonly stdout: Readable
  readonly stderr: TextTail
  readonly exited: Promise<SandboxExit>
  readonly prepared?: Promise<void>
  /** The server's ends of the further pipes. */
  readonly more: readonly Socket[]
  readonly #treeMemory = new TreeMemory(() => ({ launcher: this.#namespaceInit }))
  readonly #group: CgroupGroup | undefined
  readonly #status: StatusFile
  readonly #birthTimeoutMs: number
  readonly #outer: number | undefined
  #knownInit: number | undefined
  #egress: Egress | undefined
  #killing = false
  #overMemory = false
  #ended = false
  /** What the group told last. */
  #usage: MemoryUsage = { currentBytes: 0, peakBytes: 0 }
  /** Why it was not let in, or ended again. */
  #refusal: string | undefined

  /** @throws When the process cannot be created at all. */
  constructor(launch: BwrapLaunch) {
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
    this.#group = group
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
        this.prepared = this.#connect(egress, nameServers)
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

  locate(target: string): string {
    return target
  }

  get limitsMemory(): boolean {
    return this.#group?.limitsMemory === true
  }

  get isFrozen(): boolean {
    return this.#group?.isFrozen === true
  }

  async memory(): Promise<MemoryUsage> {
    if (this.#group?.limitsMemory !== true) return await this.#treeMemory.sample()
    if (this.#ended || this.#killing) return this.#usage
    const [usage, oomKills] = await Promise.all([this.#group.usage(), this.#group.oomKills()])
    // What is seen of a tree that ends meanwhile is not its memory.
    if (usage !== undefined && !this.#ended && !this.#killing)
      this.#usage = oomKills > 0 ? { ...usage, overLimit: true } : usage
    return this.#usage
  }

  async resetPeak(): Promise<boolean> {
    return this.#group !== undefined && (await this.#group.resetPeak())
  }

  freeze(): void {
    if (!this.#killing) this.#group?.freeze()
  }

  async thaw(): Promise<void> {
    await this.#group?.thaw()
  }

  hurry(): void {
    this.#group?.hurry()
  }

  kill(cause?: 'outOfMemory'): void {
    if (this.#ended) return
    this.#overMemory ||= cause === 'outOfMemory'
    if (this.#killing) return
    this.#killing = true
    void this.#group?.kill()
    void this.#killOnceBorn()
  }

  get #namespaceInit(): number | undefined {
    if (!this.#ended) this.#knownInit ??= this.#status.namespaceInit
    return this.#knownInit
  }

  async #letIn(group: CgroupGroup, pipe: Socket | undefined, argumentsText: Buffer): Promise<void> {
    try {
      await group.ready
      pipe?.write('\n')
      pipe?.end(argumentsText)
    } catch (error) {
      this.#refusal = `its cgroup could not be made: ${error instanceof Error ? error.message : String(error)}`
      // It still waits for its first line: nothing comes of it.
      if (!this.#ended && this.#outer !== undefined) sendKill(this.#outer)
    }
  }

  /** @throws When the way out could not be made, or the process ended before. */
  async #connect(room: EgressRoom, nameServers: Socket): Promise<void> {
    // bwrap makes the loopback of the namespace itself, and fails where it finds it made.
    while (!this.#ended && !(await hasLoopback(this.#namespaceInit))) await delay(1)
    try {
      if (this.#ended || this.#knownInit === undefined) throw new Error('it ended before')
      this.#egress = new Egress(this.#knownInit, room, () => this.kill())
      nameServers.end(nameServersText())
      await this.#egress.attached
    } catch (error) {
      const reason = `it has no network: ${error instanceof Error ? error.message : String(error)}`
      if (!this.#ended && !this.#killing) this.#refusal = reason
      this.kill()
      // A process that could not be started says more than its helpers, which end with it.
      const exit = await this.exited
      throw new Error(exit.kind === 'notStarted' ? exit.reason : reason, { cause: error })
    }
  }

  /** An outer bwrap killed before its child exists, or before that follows it into death, would leave it behind. */
  async #killOnceBorn(): Promise<void> {
    const deadline = performance.now() + this.#birthTimeoutMs
    while (!this.#ended && this.#namespaceInit === undefined && performance.now() < deadline) await delay(1)
    const target = this.#namespaceInit ?? this.#outer
    if (!this.#ended && target !== undefined) sendKill(target)
  }

  async #supervise(childEnded: Promise<RawExit | Error>): Promise<SandboxExit> {
    const raw = await childEnded
    this.#knownInit = this.#namespaceInit
    this.#ended = true
    const commandEnded = this.#status.commandEnded
    this.#status.close()
    if (raw instanceof Error) return { kind: 'notStarted', reason: `bwrap could not be run: ${raw.message}` }
    this.#egress?.end()
    if (this.#knownInit !== undefined) await untilGone(this.#knownInit)
    await this.#egress?.ended
    await this.stderr.complete(LAST_WORDS_MS)
    await this.#treeMemory.close()
    return this.#causeOf(raw, commandEnded, await this.#lastFigures())
  }

  /** Takes the peak of a tree that ended by itself. @returns How much of it the kernel ended for passing the limit. */
  async #lastFigures(): Promise<number> {
    if (this.#group === undefined || this.#killing) return 0
    const [usage, oomKills] = await Promise.all([this.#group.usage(), this.#group.oomKills()])
    const { currentBytes, peakBytes } = this.#usage
    this.#usage = { currentBytes, peakBytes: Math.max(peakBytes, usage?.peakBytes ?? 0) }
    return oomKills
  }

  #causeOf(raw: RawExit, commandEnded: boolean, oomKills: number): SandboxExit {
    if (this.#refusal !== undefined) return { kind: 'notStarted', reason: this.#refusal }
    if (oomKills > 0 && raw.exitCode !== 0) return { kind: 'outOfMemory' }
    if (this.#overMemory) return { kind: 'outOfMemory' }
    if (this.#killing) return { kind: 'signalled', signal: 'SIGKILL' }
    const complaint = LAUNCHER_COMPLAINT.exec(this.stderr.text)?.[0]
    // Without a report of bwrap, and not killed itself, it gave up before the command.
    const launcherFailed = commandEnded
      ? complaint !== undefined && this.channel.bytesRead === 0 && isLauncherFailure(raw.exitCode)
      : raw.signal === null
    if (launcherFailed) return { kind: 'notStarted', reason: complaint ?? `bwrap ended with ${raw.exitCode}` }
    if (raw.exitCode === null) return exitOf(raw, this.stderr.text)
    return exitOf(fromShellCode(raw.exitCode), this.stderr.text)
  }
}

function entering(group: CgroupGroup | undefined): string[] {
  return group === undefined ? [] : ['/bin/sh', '-c', ENTER_GROUPS, 'cgroup', ...group.entries, '--']
}

/** setpriv and prlimit answer 126 and 127 when the program cannot be executed and 1 when they themselves fail. */
function isLauncherFailure(exitCode: number | null): boolean {
  return exitCode === 1 || exitCode === 126 || exitCode === 127
}
