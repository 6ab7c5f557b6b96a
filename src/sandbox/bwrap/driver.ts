import type { CgroupGroup } from '../cgroup/group.ts'
import { cpuWeightOf } from '../cgroup/limits.ts'
import type { CgroupTree } from '../cgroup/tree.ts'
import { InheritedDescriptors } from '../inherited-descriptors.ts'
import type { EgressPrograms, EgressRoom } from '../network/egress.ts'
import { notStarted } from '../not-started.ts'
import type { Sandbox, SandboxProcess, SandboxSpec, TicketFile } from '../sandbox.ts'
import { memoryBackedDir, ServerDirectory } from '../server-directory.ts'
import { UidPool } from '../uid-pool.ts'
import { ForkedProcess } from '../zygote/forked-process.ts'
import { ZygoteRoom } from '../zygote/room.ts'
import {
  SHARED_MEMORY_BYTES,
  encodeArguments,
  innerCommand,
  MOST_TASKS,
  systemArguments,
  type Launchers,
  type Privileges,
} from './arguments.ts'
import { SyntheticEtc } from './etc.ts'
import { BwrapProcess } from './process.ts'

/** A bwrap has its child after milliseconds; even a machine under heavy load is well within this. */
const BIRTH_TIMEOUT_MS = 5000

const MIB = 1024 * 1024

export interface BwrapSettings {
  readonly launchers: Launchers
  readonly privileges: Privileges
  /** The filter of system calls that every process gets, see `../seccomp/filter.ts`; undefined: none. */
  readonly filter: Buffer | undefined
  /** Where the groups that limit processes are made; closed with the driver. Undefined: processes are not limited by groups. */
  readonly cgroups?: CgroupTree | undefined
  /** What makes a network of kind `egress`; undefined: a start that asks for one fails. */
  readonly egress?: EgressPrograms | undefined
  /** Where a directory for the driver's own small files is made; default memory-backed storage. */
  readonly stateDir?: string
  /** First user id for functions, default 700 000. */
  readonly uidBase?: number
  /** How many user ids there are, default 65 536. */
  readonly uidCount?: number
  /** Longest wait for a bwrap that is to be killed to have its child, ms; default 5 000. */
  readonly birthTimeoutMs?: number
  /** What processes that are forked from a prepared one need; undefined: none are. */
  readonly zygotes?: ZygoteNeeds | undefined
}

/** See `../zygote/zygotes.ts`. */
export interface ZygoteNeeds {
  /** Directories below which all mounts that hold code lie; they exist when the first start is prepared. */
  readonly codeRoots: readonly string[]
  /** Makes the empty ticket file of one process, on memory-backed storage. */
  readonly makeTickets: () => TicketFile
}

/** Runs processes in namespaces of their own with bubblewrap. See README for what that promises. */
export class BwrapSandbox implements Sandbox {
  readonly name = 'bwrap'
  readonly #settings: BwrapSettings
  readonly #uids: UidPool
  readonly #system = systemArguments()
  readonly #inherited = new InheritedDescriptors()
  readonly #running = new Set<SandboxProcess>()
  readonly #state: ServerDirectory
  readonly #etc: SyntheticEtc
  readonly #zygotes: ZygoteRoom | undefined
  #closed = false

  constructor(settings: BwrapSettings) {
    this.#settings = settings
    this.#uids = new UidPool(settings.uidBase, settings.uidCount)
    this.#state = new ServerDirectory(settings.stateDir ?? memoryBackedDir())
    this.#etc = new SyntheticEtc(this.#state.path)
    const { zygotes, launchers, privileges, filter, cgroups } = settings
    if (zygotes !== undefined)
      this.#zygotes = new ZygoteRoom({
        ...zygotes,
        bwrap: launchers.bwrap,
        privileges,
        filter,
        groupDirs: cgroups?.dirs ?? [],
        stateDir: this.#state.path,
        birthTimeoutMs: settings.birthTimeoutMs ?? BIRTH_TIMEOUT_MS,
        system: this.#system,
        etc: this.#etc,
        inherited: this.#inherited,
      })
  }

  async prepare(spec: Omit<SandboxSpec, 'functionId' | 'ticketsFd'>): Promise<void> {
    if (!this.#closed) await this.#zygotes?.prepare(spec)
  }

  relieve(): void {
    this.#zygotes?.relieve()
  }

  start(spec: SandboxSpec): SandboxProcess {
    if (this.#closed) return notStarted('the sandbox is closed')
    const egress = this.#egressFor(spec)
    if (egress === null)
      return notStarted('slirp4netns, ip, nsenter or unshare is not installed, so it has no network')
    const uid = this.#uids.acquire(spec.functionId)
    if (uid === undefined) return notStarted('every user id for functions is in use')
    const group = this.#settings.cgroups?.create({
      // The kernel counts files in memory as well: it holds both together to the sum, the watch the memory alone to its limit.
      memoryBytes: (spec.memoryMib + spec.diskMib) * MIB + SHARED_MEMORY_BYTES,
      tasks: MOST_TASKS,
      cpuWeight: cpuWeightOf(spec.memoryMib),
      isAhead: spec.isAhead === true,
    })
    try {
      const fork = this.#zygotes?.fork(spec, uid, group)
      const process =
        fork === undefined ? this.#launch(spec, uid, group, egress) : new ForkedProcess(fork, group, egress)
      void this.#attend(process, spec, group)
      return process
    } catch (error) {
      this.#uids.release(spec.functionId)
      if (group !== undefined) void this.#settings.cgroups?.remove(group)
      return notStarted(error instanceof Error ? error.message : String(error))
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const ends = [...this.#running].map((process) => {
      process.kill()
      return process.exited
    })
    await Promise.all(ends)
    // Not before its children: it is the one that buries them.
    await this.#zygotes?.close()
    await Promise.all([this.#settings.cgroups?.close(), this.#state.remove()])
  }

  async #attend(process: SandboxProcess, spec: SandboxSpec, group: CgroupGroup | undefined): Promise<void> {
    this.#running.add(process)
    await process.exited
    this.#running.delete(process)
    this.#uids.release(spec.functionId)
    if (group !== undefined) await this.#settings.cgroups?.remove(group)
  }

  /** @returns Undefined where none is needed, null where there is none. */
  #egressFor({ network }: SandboxSpec): EgressRoom | undefined | null {
    if (network !== 'egress') return undefined
    const { egress: programs, privileges } = this.#settings
    const inUserNamespace = privileges === 'ownUserNamespace'
    return programs === undefined ? null : { programs, inUserNamespace, inherited: this.#inherited }
  }

  #launch(
    spec: SandboxSpec,
    uid: number,
    group: CgroupGroup | undefined,
    egress: EgressRoom | undefined,
  ): BwrapProcess {
    const { launchers, privileges, filter } = this.#settings
    return new BwrapProcess({
      bwrap: launchers.bwrap,
      command: innerCommand(spec, uid, privileges, launchers),
      argumentsText: encodeArguments(spec, uid, privileges, this.#system, this.#etc),
      filter,
      ticketsFd: spec.ticketsFd,
      stateDir: this.#state.path,
      birthTimeoutMs: this.#settings.birthTimeoutMs ?? BIRTH_TIMEOUT_MS,
      group,
      egress,
      inherited: this.#inherited,
    })
  }
}
