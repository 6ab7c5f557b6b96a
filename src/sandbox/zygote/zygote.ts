import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { closeSync } from 'node:fs'
import { BwrapProcess } from '../bwrap/process.ts'
import type { InheritedDescriptors } from '../inherited-descriptors.ts'
import type { TicketFile } from '../sandbox.ts'
import { TextTail } from '../text-tail.ts'
import {
  encodeConfig,
  encodeOrder,
  encodeWithdrawal,
  MessageReader,
  type ForkOrder,
  type ForkPids,
  type ZygoteConfig,
  type ZygoteMessage,
} from './messages.ts'

/** Processes that one zygote forks in its life: so many sets of descriptors it is started with. */
export const MOST_CHILDREN = 16

/** Descriptor 3 is the channel, 4 the first ticket file, 5 and 6 are bwrap's. */
const FIRST_FD = 7

/** Longest wait for a zygote to be ready; a machine under heavy load is well within this. */
const READY_TIMEOUT_MS = 30_000

/** Of the time after which a zygote that bears no child is given up, what it has to give up the child and say so. */
const REFUSAL_SHARE = 0.8

export interface ZygotePlan {
  readonly bwrap: string
  /** Program and arguments, which become those of every child. */
  readonly command: readonly string[]
  readonly argumentsText: Buffer
  readonly config: Omit<ZygoteConfig, 'firstFd' | 'birthTimeoutMs'>
  readonly stateDir: string
  readonly birthTimeoutMs: number
  readonly inherited: InheritedDescriptors
  readonly makeTickets: () => TicketFile
}

/** The server's ends of the descriptors of a child. */
export interface ForkEnds {
  readonly stdout: Readable
  readonly stderr: TextTail
  readonly channel: Socket
  readonly tickets: TicketFile
}

/** A child, from its order on. */
export interface Fork extends ForkEnds {
  /**
   * Its processes; rejects when there are none, with the reason: the zygote refuses a child that takes too long, and goes on. Settles
   * within 30 s: a zygote that says nothing until then is ended.
   */
  readonly born: Promise<ForkPids>
  /**
   * It is to end: a zygote that does not tell of it within the time that any process has to be killed is not waited for. One that has
   * not even told of the birth by then is ended itself.
   */
  readonly hasten: () => void
  /** Exit code of the function's process, negative for a signal; undefined when it ended with the zygote or never was. Never rejects. */
  readonly ended: Promise<number | undefined>
}

/**
 * One zygote: starting, ready, retired (it gives no more children, and ends with its last one), ended.
 *
 * It sees the host's processes, so that both number its children alike. They end with it.
 */
export class Zygote {
  /** Resolves when it can fork; rejects with why it never will. */
  readonly ready: Promise<void>
  /** Resolves when it and all its children have ended. */
  readonly ended: Promise<void>
  readonly #process: BwrapProcess
  readonly #free: (ForkEnds | undefined)[]
  readonly #living = new Map<number, Living>()
  readonly #reader = new MessageReader()
  readonly #birthTimeoutMs: number
  #next = 0
  #isReady = false
  #isRetired = false
  #onReady: () => void = () => undefined

  /** @throws When the process cannot be created at all. */
  constructor(plan: ZygotePlan) {
    this.#birthTimeoutMs = plan.birthTimeoutMs
    const tickets: TicketFile[] = []
    try {
      for (let index = 0; index < MOST_CHILDREN; index += 1) tickets.push(plan.makeTickets())
      this.#process = new BwrapProcess({
        bwrap: plan.bwrap,
        command: [...plan.command, '--zygote'],
        argumentsText: plan.argumentsText,
        filter: undefined,
        ticketsFd: tickets[0]?.readFd ?? -1,
        stateDir: plan.stateDir,
        birthTimeoutMs: plan.birthTimeoutMs,
        group: undefined,
        egress: undefined,
        inherited: plan.inherited,
        more: tickets.flatMap(({ readFd }) => ['pipe', 'pipe', 'pipe', readFd]),
      })
    } catch (error) {
      for (const file of tickets) closeFile(file)
      throw error
    }
    const pipes = this.#process.more
    this.#free = tickets.map((file, index) => endsOf(pipes.slice(index * 3, index * 3 + 3), file))
    const { channel, stdout, stderr } = this.#process
    stdout.resume()
    stderr.resume()
    channel.on('data', (chunk: Buffer) => this.#hear(chunk))
    const birthTimeoutMs = Math.floor(plan.birthTimeoutMs * REFUSAL_SHARE)
    channel.write(encodeConfig({ ...plan.config, firstFd: FIRST_FD, birthTimeoutMs }))
    this.ended = this.#attend()
    this.ready = this.#awaitReady()
    this.ready.catch(() => this.end())
  }

  /** How many children it can still have; 0 until it is ready. */
  get left(): number {
    return this.#isReady && !this.#isRetired ? MOST_CHILDREN - this.#next : 0
  }

  /** Whether it has no children now. */
  get isIdle(): boolean {
    return this.#living.size === 0
  }

  /**
   * @param when Settles when the order may be given; a rejection says why there is no child.
   * @returns Undefined when it has none {@link left}.
   */
  fork(order: ForkOrder, when?: Promise<void>): Fork | undefined {
    if (this.left === 0) return undefined
    const set = this.#next
    this.#next += 1
    const ends = this.#free[set]
    if (ends === undefined) return undefined
    this.#free[set] = undefined
    const born = Promise.withResolvers<ForkPids>()
    const ended = Promise.withResolvers<number | undefined>()
    let isBorn = false
    let deadline = setTimeout(() => this.end(), READY_TIMEOUT_MS)
    born.promise.then(
      () => {
        isBorn = true
        clearTimeout(deadline)
      },
      () => undefined,
    )
    void ended.promise.then(() => clearTimeout(deadline))
    this.#living.set(set, { born, ended })
    const give = (): void => void this.#process.channel.write(encodeOrder(set, order))
    if (when === undefined) give()
    else
      when.then(give, (error: unknown) => {
        this.#process.channel.write(encodeWithdrawal(set))
        this.#take({ kind: 'refused', set, reason: error instanceof Error ? error.message : String(error) })
      })
    const hasten = (): void => {
      if (!this.#living.has(set)) return
      clearTimeout(deadline)
      const giveUp = (): void => (isBorn ? this.#take({ kind: 'lost', set }) : this.end())
      deadline = setTimeout(giveUp, this.#birthTimeoutMs)
    }
    return { ...ends, born: born.promise, ended: ended.promise, hasten }
  }

  /** Gives no more children; ends when the last one has ended. */
  retire(): void {
    this.#isRetired = true
    if (this.#living.size === 0) this.end()
  }

  /** Ends it and its children at once. */
  end(): void {
    this.#isRetired = true
    this.#process.kill()
  }

  #hear(chunk: Buffer): void {
    try {
      for (const message of this.#reader.read(chunk)) this.#take(message)
    } catch {
      this.end()
    }
  }

  #take(message: ZygoteMessage | Lost): void {
    if (message.kind === 'ready') {
      this.#isReady = true
      this.#onReady()
      return
    }
    const living = this.#living.get(message.set)
    if (living === undefined) return
    if (message.kind === 'born') {
      living.born.resolve(message)
      return
    }
    this.#living.delete(message.set)
    if (message.kind === 'refused') living.born.reject(new Error(message.reason))
    living.ended.resolve(message.kind === 'ended' ? message.exitCode : undefined)
    if ((this.#isRetired || this.left === 0) && this.#living.size === 0) this.end()
  }

  async #awaitReady(): Promise<void> {
    const timer = setTimeout(() => this.end(), READY_TIMEOUT_MS)
    const told = new Promise<true>((resolve) => (this.#onReady = () => resolve(true)))
    const exit = await Promise.race([told, this.#process.exited])
    clearTimeout(timer)
    if (exit === true) return
    const why = exit.kind === 'notStarted' ? exit.reason : this.#process.stderr.text.trim().split('\n').at(-1)
    throw new Error(`no process could be prepared to be forked: ${why || exit.kind}`)
  }

  async #attend(): Promise<void> {
    await this.#process.exited
    this.#isRetired = true
    for (const { born, ended } of this.#living.values()) {
      born.reject(new Error('the process that was to fork it has ended'))
      ended.resolve(undefined)
    }
    this.#living.clear()
    for (const ends of this.#free) if (ends !== undefined) discard(ends)
    this.#free.length = 0
  }
}

/** A child of which the zygote does not tell any more. */
interface Lost {
  readonly kind: 'lost'
  readonly set: number
}

interface Living {
  readonly born: PromiseWithResolvers<ForkPids>
  readonly ended: PromiseWithResolvers<number | undefined>
}

function endsOf([stdout, stderr, channel]: readonly Socket[], tickets: TicketFile): ForkEnds {
  if (stdout === undefined || stderr === undefined || channel === undefined)
    throw new Error('the pipes of a new process are missing')
  return { stdout, stderr: stderr.pipe(new TextTail()), channel, tickets }
}

function discard({ stdout, stderr, channel, tickets }: ForkEnds): void {
  stdout.destroy()
  stderr.destroy()
  channel.destroy()
  closeFile(tickets)
}

function closeFile({ readFd, writeFd }: TicketFile): void {
  closeSync(readFd)
  closeSync(writeFd)
}
