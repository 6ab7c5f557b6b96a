import { closeSync } from 'node:fs'
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Sandbox, SandboxProcess, TicketFile } from '../sandbox.ts'
import { moveInto, removeTree, type LinkedTree } from './linked-trees.ts'
import type { StemClass } from './stem-class.ts'

/** Longest wait for a process that nobody waits for to greet; a machine under heavy load is well within this. */
const GREETING_TIMEOUT_MS = 30_000

export interface StemPlan {
  readonly driver: Sandbox
  readonly stemClass: StemClass
  /** Names it among all of this server: becomes the function id that the driver sees, and so a user id of its own. */
  readonly name: string
  /** An existing directory to make its slots in. */
  readonly dir: string
  readonly makeTickets: () => TicketFile
}

/**
 * A process that was started before it is known which function it will run. Where code is to be seen it sees its **slots**:
 * directories that are empty until it is claimed.
 *
 * It is starting, ready (it has greeted), claimed, or ended; only a claim leaves its ticket file to somebody else.
 */
export class Stem {
  readonly process: SandboxProcess
  readonly tickets: TicketFile
  /** Resolves when it is ready or has ended. */
  readonly settled: Promise<void>
  /** Resolves when nothing of it runs and its slots are removed. */
  readonly gone: Promise<void>
  readonly #dir: string
  /** By the place where they are seen. */
  readonly #slots: ReadonlyMap<string, string>
  #stopWaiting: () => void = () => undefined
  /** The trees whose content it was given. */
  #emptied: Promise<readonly LinkedTree[]> = Promise.resolve([])
  #state: 'starting' | 'ready' | 'claimed' | 'ended' = 'starting'

  private constructor(
    process: SandboxProcess,
    tickets: TicketFile,
    dir: string,
    slots: ReadonlyMap<string, string>,
  ) {
    this.process = process
    this.tickets = tickets
    this.#dir = dir
    this.#slots = slots
    this.settled = this.#settle()
    this.gone = this.#attend()
  }

  /** @throws When its directories or its ticket file cannot be made; nothing is left then. */
  static async start({ driver, stemClass, name, dir, makeTickets }: StemPlan): Promise<Stem> {
    const place = join(dir, name)
    const slots = new Map(stemClass.codeTargets.map((target, index) => [target, join(place, String(index))]))
    try {
      for (const path of [place, ...slots.values()]) {
        await mkdir(path)
        // Set after creation: the server's umask must not close the directory to functions' user ids.
        await chmod(path, 0o755)
      }
      const mounts = [...slots].map(([target, source]) => ({ source, target, holdsCode: true }) as const)
      const template = { ...stemClass.template, mounts: [...stemClass.template.mounts, ...mounts] }
      await driver.prepare?.(template)
      const offered = makeTickets()
      const process = driver.start({
        ...template,
        functionId: name,
        isAhead: true,
        ticketsFd: offered.readFd,
      })
      if (process.tickets !== undefined) closeTickets(offered)
      return new Stem(process, process.tickets ?? offered, place, slots)
    } catch (error) {
      await removeTree(place)
      throw error
    }
  }

  get isReady(): boolean {
    return this.#state === 'ready'
  }

  get isStarting(): boolean {
    return this.#state === 'starting'
  }

  /**
   * Makes it somebody's: the trees are moved to its slots, and removed where that fails. Only while it is starting or ready.
   *
   * @param trees One for each place where code is seen.
   * @returns Settles when the code is in place; a rejection says why it is not.
   */
  claim(trees: ReadonlyMap<string, LinkedTree>): Promise<void> {
    this.#state = 'claimed'
    this.process.hurry?.()
    this.#stopWaiting()
    const moves = Promise.allSettled([...trees].map(([target, tree]) => this.#fill(target, tree)))
    this.#emptied = moves.then(() => [...trees.values()])
    return this.#inPlace(moves)
  }

  /** Ends it, if it is nobody's yet. */
  discard(): void {
    if (this.#state !== 'claimed') this.process.kill()
  }

  async #fill(target: string, tree: LinkedTree): Promise<void> {
    const slot = this.#slots.get(target)
    if (slot !== undefined) await moveInto(slot, tree)
  }

  async #inPlace(moves: Promise<readonly PromiseSettledResult<void>[]>): Promise<void> {
    await this.process.prepared
    for (const move of await moves)
      if (move.status === 'rejected')
        throw new Error(`the code could not be put in place: ${String(move.reason)}`)
  }

  async #settle(): Promise<void> {
    const { channel, exited, prepared } = this.process
    const timer = setTimeout(() => this.discard(), GREETING_TIMEOUT_MS)
    const greeted = new Promise<void>((resolve) => {
      // Nothing is taken from the channel here: whoever claims it reads the greeting.
      channel.once('readable', resolve)
      this.#stopWaiting = () => {
        channel.off('readable', resolve)
        resolve()
      }
    })
    prepared?.catch(() => this.discard())
    await Promise.race([exited, greeted.then(() => prepared).catch(() => exited)])
    clearTimeout(timer)
    if (this.#state === 'starting' && channel.readableLength > 0) this.#state = 'ready'
  }

  async #attend(): Promise<void> {
    await this.process.exited
    const isClaimed = this.#state === 'claimed'
    this.#state = 'ended'
    if (!isClaimed) closeTickets(this.tickets)
    // Only now: what a claim leaves to be done must not keep the call that wants it waiting.
    for (const { path } of await this.#emptied) await removeTree(path)
    await removeTree(this.#dir)
  }
}

function closeTickets({ readFd, writeFd }: TicketFile): void {
  closeSync(readFd)
  closeSync(writeFd)
}
