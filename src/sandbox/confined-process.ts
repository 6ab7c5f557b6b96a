import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { CgroupGroup } from './cgroup/group.ts'
import { sendTerm } from './child.ts'
import { exitOf, fromShellCode } from './exit-cause.ts'
import type { KnownProcess } from './known-process.ts'
import { Egress, type EgressRoom } from './network/egress.ts'
import { hasLoopback } from './proc.ts'
import type { MemoryUsage, SandboxExit, SandboxProcess } from './sandbox.ts'
import type { TextTail } from './text-tail.ts'
import { TreeMemory, type TreeRoots } from './tree-memory.ts'

/** Longest wait for the last words on standard error of a process that has ended, when nobody reads them. */
const LAST_WORDS_MS = 100

/** How often at most the operator is told of processes that cannot be frozen. */
const TOLD_EVERY_MS = 60_000
let toldAt = -Infinity

function tellOfUnfrozen(reason: unknown): void {
  if (performance.now() - toldAt < TOLD_EVERY_MS) return
  toldAt = performance.now()
  const why = reason instanceof Error ? reason.message : String(reason)
  process.emitWarning(`An idle instance that could not be frozen was ended: ${why}.`)
}

/**
 * A process tree in namespaces of its own, with a cgroup where the host has them and a way out where it may have one; however it
 * came there. With the first process of the namespaces everything in them ends.
 */
export abstract class ConfinedProcess implements SandboxProcess {
  abstract readonly channel: Socket
  abstract readonly stdout: Readable
  abstract readonly stderr: TextTail
  abstract readonly exited: Promise<SandboxExit>
  /** Why it was not let in, or ended again. */
  protected refusal: string | undefined
  protected isKilled = false
  protected hasEnded = false
  readonly #group: CgroupGroup | undefined
  readonly #treeMemory = new TreeMemory(() => (this.hasEnded ? {} : this.roots()))
  #egress: Egress | undefined
  #isOverMemory = false
  /** What the group told last. */
  #usage: MemoryUsage = { currentBytes: 0, peakBytes: 0 }

  /** @param group Its limits, which it enters by itself; undefined where the host has none. */
  protected constructor(group: CgroupGroup | undefined) {
    this.#group = group
  }

  /** Where its tree begins. */
  protected abstract roots(): TreeRoots

  /** The first process of its namespaces, as far as it is known. */
  protected abstract firstProcess(): KnownProcess | undefined

  /** The process that runs the function's code, as far as it is known. */
  protected abstract ownProcess(): Promise<KnownProcess | undefined>

  /** Ends the tree, as soon as it is there. */
  protected abstract end(): void

  locate(target: string): string {
    return target
  }

  get limitsMemory(): boolean {
    return this.#group?.limitsMemory === true
  }

  get isFrozen(): boolean {
    return this.#group?.isFrozen === true
  }

  async memory(limitBytes?: number): Promise<MemoryUsage> {
    if (this.#group?.limitsMemory !== true) return await this.#treeMemory.sample(limitBytes)
    if (this.hasEnded || this.isKilled) return this.#usage
    const [usage, oomKills] = await Promise.all([this.#group.usage(), this.#group.oomKills()])
    // What is seen of a tree that ends meanwhile is not its memory.
    if (usage !== undefined && !this.hasEnded && !this.isKilled)
      this.#usage = oomKills > 0 ? { ...usage, overLimit: true } : usage
    return this.#usage
  }

  staysWithin(limitBytes: number): boolean {
    return this.#group?.staysWithin(limitBytes) === true
  }

  async resetPeak(): Promise<boolean> {
    return this.#group !== undefined && (await this.#group.resetPeak())
  }

  freeze(): void {
    if (!this.isKilled)
      this.#group?.freeze((reason) => {
        if (this.hasEnded || this.isKilled) return
        tellOfUnfrozen(reason)
        this.kill()
      })
  }

  async thaw(): Promise<void> {
    await this.#group?.thaw()
  }

  hurry(): void {
    this.#group?.hurry()
  }

  async terminate(): Promise<void> {
    await this.thaw()
    const own = await this.ownProcess()
    if (own !== undefined && !this.hasEnded && !this.isKilled && own.isStill()) sendTerm(own.pid)
  }

  kill(cause?: 'outOfMemory'): void {
    if (this.hasEnded) return
    this.#isOverMemory ||= cause === 'outOfMemory'
    if (this.isKilled) return
    this.isKilled = true
    void this.#group?.kill()
    this.end()
  }

  /**
   * Gives it a way out, once its loopback is there.
   *
   * @param onHeld Called when its namespaces are held, whatever it does from then on.
   * @throws When the way out could not be made, or the process ended before.
   */
  protected async connect(room: EgressRoom, onHeld?: () => void): Promise<void> {
    while (!this.hasEnded && !(await hasLoopback(this.firstProcess()?.pid))) await delay(1)
    try {
      const first = this.firstProcess()
      if (this.hasEnded || first === undefined) throw new Error('it ended before')
      this.#egress = new Egress(first, room, () => this.kill())
      onHeld?.()
      await this.#egress.attached
    } catch (error) {
      const reason = `it has no network: ${error instanceof Error ? error.message : String(error)}`
      if (!this.hasEnded && !this.isKilled) this.refusal = reason
      this.kill()
      // A process that could not be started says more than its helpers, which end with it.
      const exit = await this.exited
      throw new Error(exit.kind === 'notStarted' ? exit.reason : reason, { cause: error })
    }
  }

  /**
   * What is done when the tree has ended.
   *
   * @param gone Resolves when nothing of it runs.
   * @returns How many of its processes the kernel has ended for passing the limit.
   */
  protected async conclude(gone: Promise<void>): Promise<number> {
    this.#egress?.end()
    await gone
    await this.#egress?.ended
    await this.stderr.complete(LAST_WORDS_MS)
    await this.#treeMemory.close()
    return await this.#lastFigures()
  }

  /**
   * @param exitCode As shells write it: 128 + n for death by signal n.
   * @param complaint Why a launcher gave up, if that is how it ended.
   */
  protected causeOf(exitCode: number, oomKills: number, complaint: () => string | undefined): SandboxExit {
    if (this.refusal !== undefined) return { kind: 'notStarted', reason: this.refusal }
    if ((oomKills > 0 && exitCode !== 0) || this.#isOverMemory) return { kind: 'outOfMemory' }
    if (this.isKilled) return { kind: 'signalled', signal: 'SIGKILL' }
    const reason = complaint()
    if (reason !== undefined) return { kind: 'notStarted', reason }
    return exitOf(fromShellCode(exitCode), this.stderr.text)
  }

  /** Takes the peak of a tree that ended by itself. */
  async #lastFigures(): Promise<number> {
    if (this.#group === undefined || this.isKilled) return 0
    const [usage, oomKills] = await Promise.all([this.#group.usage(), this.#group.oomKills()])
    const { currentBytes, peakBytes } = this.#usage
    this.#usage = { currentBytes, peakBytes: Math.max(peakBytes, usage?.peakBytes ?? 0) }
    return oomKills
  }
}
