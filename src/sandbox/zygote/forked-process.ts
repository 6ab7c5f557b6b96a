import type { CgroupGroup } from '../cgroup/group.ts'
import { sendKill } from '../child.ts'
import { ConfinedProcess } from '../confined-process.ts'
import type { EgressRoom } from '../network/egress.ts'
import { untilGone } from '../proc.ts'
import type { SandboxExit, SandboxProcess } from '../sandbox.ts'
import type { TreeRoots } from '../tree-memory.ts'
import type { Fork, ForkPids } from './zygote.ts'

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
  #pids: ForkPids | undefined

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

  protected override firstProcess(): number | undefined {
    return this.#pids?.first
  }

  protected override ownProcess(): Promise<number | undefined> {
    return Promise.resolve(this.#pids?.function)
  }

  protected override end(): void {
    if (this.#pids !== undefined) sendKill(this.#pids.first)
    this.#hasten()
  }

  async #supervise(fork: Fork): Promise<SandboxExit> {
    try {
      this.#pids = await fork.born
      if (this.isKilled) this.end()
    } catch (error) {
      // One that was killed meanwhile was not refused.
      if (!this.isKilled) this.refusal = error instanceof Error ? error.message : String(error)
    }
    const exitCode = await fork.ended
    // Without an exit code its zygote has ended, and the kernel ends the child as well, or does not tell.
    const untold = exitCode === undefined ? this.#pids : undefined
    if (untold !== undefined) sendKill(untold.first)
    this.hasEnded = true
    const oomKills = await this.conclude(untold === undefined ? Promise.resolve() : untilGone(untold.first))
    // What nobody reads would keep descriptors open; Node.js does the same for its own child processes.
    for (const stream of [this.channel, this.stdout, this.stderr])
      if (stream.readableFlowing === null) stream.resume()
    const shellCode = exitCode === undefined ? KILLED_CODE : exitCode < 0 ? 128 - exitCode : exitCode
    return this.causeOf(shellCode, oomKills, () => this.#complaint(exitCode))
  }

  #complaint(exitCode: number | undefined): string | undefined {
    if (exitCode !== COMPLAINT_CODE || this.channel.bytesRead > 0) return undefined
    return COMPLAINT.exec(this.stderr.text)?.[0]
  }
}
