import type { CgroupGroup } from '../cgroup/group.ts'
import { sendKill } from '../child.ts'
import { ConfinedProcess } from '../confined-process.ts'
import type { EgressRoom } from '../network/egress.ts'
import { KnownProcess } from '../known-process.ts'
import { untilGone } from '../proc.ts'
import type { SandboxExit, SandboxProcess } from '../sandbox.ts'
import type { TreeRoots } from '../tree-memory.ts'
import type { ForkPids } from './messages.ts'
import type { Fork } from './zygote.ts'

/** Why a process could not be isolated, as it says itself before it ends; see `_anvoke/zygote.py`. */
const COMPLAINT = /^zygote: .*/m
const COMPLAINT_CODE = 125

/** What a process that was killed exits with, as shells write it. */
const KILLED_CODE = 137

/**
 * One process tree that a zygote has forked.
 *
 * It is ordered, born (its processes are known) and ended. An order to kill that comes before its birth waits for it.
 */
export class ForkedProcess extends ConfinedProcess {
  readonly channel: SandboxProcess['channel']
  readonly stdout: SandboxProcess['stdout']
  readonly stderr: Fork['stderr']
  readonly tickets: Fork['tickets']
  readonly exited: Promise<SandboxExit>
  readonly prepared?: Promise<void>
  readonly #hasten: () => void
  /** Settles when it is known whether there are any. */
  readonly #birth: Promise<void>
  #pids: ForkPids | undefined
  #first: KnownProcess | undefined
  #own: KnownProcess | undefined

  /**
   * @param group Its limits, which it enters; undefined where the host has none.
   * @param egress What gives its network namespace a way out; undefined: it has none.
   */
  constructor(fork: Fork, group: CgroupGroup | undefined, egress: EgressRoom | undefined) {
    super(group)
    this.channel = fork.channel
    this.stdout = fork.stdout
    this.stderr = fork.stderr
    this.tickets = fork.tickets
    this.#hasten = fork.hasten
    this.#birth = fork.born.then(
      (pids) => {
        this.#pids = pids
        // Not as their numbers tell now: they may have ended, and been given to others.
        this.#first = new KnownProcess(pids.first, pids.firstStart)
        this.#own = new KnownProcess(pids.function, pids.functionStart)
      },
      (error: unknown) => {
        // One that was killed meanwhile was not refused.
        if (!this.isKilled) this.refusal = error instanceof Error ? error.message : String(error)
      },
    )
    this.exited = this.#supervise(fork)
    if (egress === undefined) return
    this.prepared = this.connect(egress)
    // Whoever needs the network waits for it; nobody has to.
    this.prepared.catch(() => undefined)
  }

  protected override roots(): TreeRoots {
    // Orphans become children of the first process.
    return { counted: this.#pids?.function, launcher: this.#pids?.first }
  }

  protected override firstProcess(): KnownProcess | undefined {
    return this.#first
  }

  protected override async ownProcess(): Promise<KnownProcess | undefined> {
    // It runs, and may be heard, before its zygote tells who it is.
    await this.#birth
    return this.#own
  }

  protected override end(): void {
    this.#killFirst()
    this.#hasten()
  }

  async #supervise(fork: Fork): Promise<SandboxExit> {
    await this.#birth
    if (this.isKilled && this.#pids !== undefined) this.end()
    const exitCode = await fork.ended
    // Without an exit code its zygote has ended, and the kernel ends the child as well, or does not tell.
    const untold = exitCode === undefined && this.#first?.isStill() === true ? this.#first.pid : undefined
    if (untold !== undefined) sendKill(untold)
    this.hasEnded = true
    const oomKills = await this.conclude(untold === undefined ? Promise.resolve() : untilGone(untold))
    // What nobody reads would keep descriptors open; Node.js does the same for its own child processes.
    for (const stream of [this.channel, this.stdout, this.stderr])
      if (stream.readableFlowing === null) stream.resume()
    const shellCode = exitCode === undefined ? KILLED_CODE : exitCode < 0 ? 128 - exitCode : exitCode
    return this.causeOf(shellCode, oomKills, () => this.#complaint(exitCode))
  }

  #killFirst(): void {
    if (this.#first?.isStill() === true) sendKill(this.#first.pid)
  }

  #complaint(exitCode: number | undefined): string | undefined {
    if (exitCode !== COMPLAINT_CODE || this.channel.bytesRead > 0) return undefined
    return COMPLAINT.exec(this.stderr.text)?.[0]
  }
}
