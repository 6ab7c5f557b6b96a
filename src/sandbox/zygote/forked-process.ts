import { setTimeout as delay } from 'node:timers/promises'
import type { CgroupGroup } from '../cgroup/group.ts'
import { sendKill } from '../child.ts'
import { exitOf, fromShellCode } from '../exit-cause.ts'
import { Egress, type EgressRoom } from '../network/egress.ts'
import { hasLoopback, untilGone } from '../proc.ts'
import type { MemoryUsage, SandboxExit, SandboxProcess } from '../sandbox.ts'
import { TreeMemory, type TreeRoots } from '../tree-memory.ts'
import type { Fork, ForkPids } from './zygote.ts'

/** Why a process could not be isolated, as it says itself before it ends; see `_anvoke/zygote.py`. */
const COMPLAINT = /^zygote: .*/m
const COMPLAINT_CODE = 125

/** Longest wait for the last words on standard error of a process that has ended, when nobody reads them. */
const LAST_WORDS_MS = 100

/**
 * One process tree that a zygote has forked.
 *
 * It is ordered, born (its processes are known) and ended. With the first process of its namespaces everything in them ends, so
 * that is the one to kill; an order to kill that comes before its birth waits for it.
 */
export class ForkedProcess implements SandboxProcess {
  readonly channel: SandboxProcess['channel']
  readonly stdout: SandboxProcess['stdout']
  readonly stderr: Fork['stderr']
  readonly tickets: Fork['tickets']
  readonly exited: Promise<SandboxExit>
  readonly prepared?: Promise<void>
  readonly #treeMemory = new TreeMemory(() => this.#roots)
  readonly #group: CgroupGroup | undefined
  #pids: ForkPids | undefined
  #egress: Egress | undefined
  #killing = false
  #overMemory = false
  #ended = false
  /** What the group told last. */
  #usage: MemoryUsage = { currentBytes: 0, peakBytes: 0 }
  /** Why it never was, or ended again. */
  #refusal: string | undefined

  /**
   * @param group Its limits, which it enters; undefined where the host has none.
   * @param egress What gives its network namespace a way out; undefined: it has none.
   */
  constructor(fork: Fork, group: CgroupGroup | undefined, egress: EgressRoom | undefined) {
    this.channel = fork.channel
    this.stdout = fork.stdout
    this.stderr = fork.stderr
    this.tickets = fork.tickets
    this.#group = group
    this.exited = this.#supervise(fork)
    if (egress === undefined) return
    this.prepared = this.#connect(fork, egress)
    // Whoever needs the network waits for it; nobody has to.
    this.prepared.catch(() => undefined)
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

  hurry(): void {
    this.#group?.hurry()
  }

  freeze(): void {
    if (!this.#killing) this.#group?.freeze()
  }

  async thaw(): Promise<void> {
    await this.#group?.thaw()
  }

  kill(cause?: 'outOfMemory'): void {
    if (this.#ended) return
    this.#overMemory ||= cause === 'outOfMemory'
    if (this.#killing) return
    this.#killing = true
    void this.#group?.kill()
    if (this.#pids !== undefined) sendKill(this.#pids.first)
  }

  get #roots(): TreeRoots {
    if (this.#pids === undefined || this.#ended) return {}
    // Orphans become children of the first process.
    return { counted: this.#pids.function, launcher: this.#pids.first }
  }

  /** @throws When the way out could not be made, or the process ended before. */
  async #connect({ born }: Fork, room: EgressRoom): Promise<void> {
    try {
      const { first } = await born
      while (!this.#ended && !(await hasLoopback(first))) await delay(1)
      if (this.#ended) throw new Error('it ended before')
      this.#egress = new Egress(first, room, () => this.kill())
      await this.#egress.attached
    } catch (error) {
      const reason = `it has no network: ${error instanceof Error ? error.message : String(error)}`
      if (!this.#ended && !this.#killing) this.#refusal ??= reason
      this.kill()
      // A process that could not be started says more than its helpers, which end with it.
      const exit = await this.exited
      throw new Error(exit.kind === 'notStarted' ? exit.reason : reason, { cause: error })
    }
  }

  async #supervise(fork: Fork): Promise<SandboxExit> {
    try {
      this.#pids = await fork.born
      if (this.#killing) sendKill(this.#pids.first)
    } catch (error) {
      // One that was killed meanwhile was not refused.
      if (!this.#killing) this.#refusal = error instanceof Error ? error.message : String(error)
    }
    const exitCode = await fork.ended
    // Without an exit code its zygote has ended: the kernel ends the child as well, but nobody told.
    const untold = exitCode === undefined ? this.#pids : undefined
    if (untold !== undefined) sendKill(untold.first)
    this.#ended = true
    this.#egress?.end()
    if (untold !== undefined) await untilGone(untold.first)
    await this.#egress?.ended
    await this.stderr.complete(LAST_WORDS_MS)
    await this.#treeMemory.close()
    return this.#causeOf(exitCode, await this.#lastFigures())
  }

  /** Takes the peak of a tree that ended by itself. @returns How much of it the kernel ended for passing the limit. */
  async #lastFigures(): Promise<number> {
    if (this.#group === undefined || this.#killing) return 0
    const [usage, oomKills] = await Promise.all([this.#group.usage(), this.#group.oomKills()])
    const { currentBytes, peakBytes } = this.#usage
    this.#usage = { currentBytes, peakBytes: Math.max(peakBytes, usage?.peakBytes ?? 0) }
    return oomKills
  }

  #causeOf(exitCode: number | undefined, oomKills: number): SandboxExit {
    if (this.#refusal !== undefined) return { kind: 'notStarted', reason: this.#refusal }
    if (oomKills > 0 && exitCode !== 0) return { kind: 'outOfMemory' }
    if (this.#overMemory) return { kind: 'outOfMemory' }
    if (this.#killing || exitCode === undefined) return { kind: 'signalled', signal: 'SIGKILL' }
    const complaint = COMPLAINT.exec(this.stderr.text)?.[0]
    if (exitCode === COMPLAINT_CODE && complaint !== undefined && this.channel.bytesRead === 0)
      return { kind: 'notStarted', reason: complaint }
    return exitOf(fromShellCode(exitCode < 0 ? 128 - exitCode : exitCode), this.stderr.text)
  }
}
