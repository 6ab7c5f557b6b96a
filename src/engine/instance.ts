import type { HandlerContract, InstanceFacts, LoggedCall } from '../contracts/contract.ts'
import type { FunctionVersion } from '../model/function.ts'
import type { Ending } from '../model/outcome.ts'
import { payloadOf } from '../model/payload.ts'
import type { Sandbox, SandboxExit, SandboxProcess, SandboxSpec } from '../sandbox/sandbox.ts'
import type { Call } from './call.ts'
import { Channel, FRAME, type Frame } from './channel.ts'
import type { PayloadBudget } from './payload-budget.ts'
import { TicketBook, TICKETS_AHEAD } from './ticket-book.ts'

export type InstanceState = 'starting' | 'initialising' | 'idle' | 'busy' | 'draining' | 'dead'

/** Every ending of an instance has one of these names; `README.md` says what each means for its calls. */
export type InstanceEnding =
  | { readonly kind: 'evicted' | 'retired' | 'killed' }
  | { readonly kind: 'start-failed'; readonly reason: string }
  | { readonly kind: 'init-failed'; readonly failure: Extract<Ending, { kind: 'initFailed' }> }
  | { readonly kind: 'timed-out' }
  | { readonly kind: 'crashed'; readonly exit: SandboxExit }
  | { readonly kind: 'broken'; readonly reason: string }

export interface InstanceEvents {
  onReady(instance: Instance): void
  /** A call was answered: there is room. `durationMs` is what the handler took. */
  onAnswered(instance: Instance, call: Call, durationMs: number): void
  /** It serves nothing more. `notBegun` in their old order; the calls that had begun are settled. */
  onDead(instance: Instance, ending: InstanceEnding, notBegun: readonly Call[]): void
  /** Frames were collected and want {@link Instance.flush}. */
  onCollected(instance: Instance): void
}

/** How one instance is started: made from its version by the composition root. */
export interface LaunchPlan {
  readonly spec: Omit<SandboxSpec, 'ticketsFd'>
  /** Mount target of the code package. */
  readonly codeTarget: string
  readonly credentials?: InstanceFacts['credentials']
}

/** What every instance is given by the pool. */
export interface InstanceRoom {
  readonly sandbox: Sandbox
  readonly budget: PayloadBudget
  readonly region: string
  readonly startTimeoutMs: number
  /** Memory-backed directory for ticket books. */
  readonly ticketDir: string
  /** Monotonic milliseconds. */
  readonly clock: () => number
  /** Follows the memory of a process and ends it when it passes its limit; returns how to stop following. */
  readonly watchMemory: (process: SandboxProcess, limitBytes: number) => () => void
}

/** Loading the code may take as long as a call, but never less than this. */
const MIN_LOAD_TIMEOUT_MS = 10_000
/** Text of loading and the initializer that is kept for the first call's log. */
const MAX_START_LOG_BYTES = 64 * 1024
/** After the process is gone its last frames are still read for at most this long. */
const LAST_WORDS_MS = 1000

/** One sandboxed process that serves one state of one function: the state machine of `README.md`. */
export class Instance {
  readonly id: string
  readonly version: FunctionVersion
  readonly startedAtMs: number
  /** Monotonic milliseconds of the last change from busy to idle, or of getting ready. */
  idleSinceMs = 0
  /** From start to ready, milliseconds; 0 before. */
  readyAfterMs = 0
  /** Peak memory last told by the process, bytes. */
  lastMemoryBytes = 0
  /** Whether a call has been delivered yet. */
  used = false
  readonly #contract: HandlerContract
  readonly #events: InstanceEvents
  readonly #room: InstanceRoom
  readonly #process: SandboxProcess
  readonly #channel: Channel
  readonly #book: TicketBook
  readonly #facts: InstanceFacts
  /** The call it was started for gives its name to the initializer's log lines. */
  readonly #wantedBy: LoggedCall
  readonly #stopWatching: () => void
  readonly #delivered: Call[] = []
  #state: InstanceState = 'starting'
  #nextCallId = 1
  #deliveredInEpoch = 0
  #startLog: Buffer[] = []
  #startLogBytes = 0
  #timer: NodeJS.Timeout | undefined
  #deadlineArmed = false
  #channelEnded: () => void = () => undefined

  constructor(
    id: string,
    wantedBy: LoggedCall,
    contract: HandlerContract,
    plan: LaunchPlan,
    room: InstanceRoom,
    events: InstanceEvents,
  ) {
    this.id = id
    this.version = wantedBy.version
    this.#wantedBy = wantedBy
    this.#contract = contract
    this.#room = room
    this.#events = events
    this.startedAtMs = room.clock()
    this.#book = new TicketBook(room.ticketDir)
    this.#process = room.sandbox.start({ ...plan.spec, ticketsFd: this.#book.fd })
    this.#facts = {
      instanceId: id,
      codeDir: this.#process.locate(plan.codeTarget),
      region: room.region,
      ...(plan.credentials === undefined ? {} : { credentials: plan.credentials }),
    }
    const channelEnd = new Promise<void>((resolve) => (this.#channelEnded = resolve))
    this.#channel = new Channel(this.#process.channel, room.budget, {
      onFrame: (frame) => this.#receive(frame),
      onBroken: (reason) => this.#end({ kind: 'broken', reason }),
      onEnd: () => this.#channelEnded(),
    })
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.on('data', (text: Buffer) => this.#logRaw(text))
      stream.on('error', () => undefined)
    }
    this.#stopWatching = room.watchMemory(this.#process, this.version.memoryMib * 1024 * 1024)
    this.#timer = setTimeout(() => this.#startTimedOut(), room.startTimeoutMs)
    void this.#process.exited.then(async (exit) => {
      if (this.#state !== 'dead') await withLimit(channelEnd, LAST_WORDS_MS)
      this.#exited(exit)
    })
  }

  get state(): InstanceState {
    return this.#state
  }

  /** Settles when nothing of it runs any more. */
  get gone(): Promise<unknown> {
    return this.#process.exited
  }

  /** Calls delivered and not answered. */
  get delivered(): number {
    return this.#delivered.length
  }

  /** Delivered calls that wait for their turn. */
  get ahead(): number {
    return Math.max(0, this.#delivered.length - this.version.instanceConcurrency)
  }

  get ready(): boolean {
    return this.#state === 'idle' || this.#state === 'busy'
  }

  /** Whether one more call may be delivered, ahead or not. */
  get hasRoom(): boolean {
    return this.ready && this.#delivered.length < TICKETS_AHEAD / 4
  }

  /** How long the longest-running call has run, milliseconds; 0 when idle. */
  runningForMs(nowMs: number): number {
    const [oldest] = this.#delivered
    return oldest === undefined ? 0 : nowMs - oldest.runningSinceMs
  }

  /** Delivers a call; the caller made sure that {@link hasRoom}. */
  deliver(call: Call): void {
    const now = this.#room.clock()
    this.#deliveredInEpoch += 1
    call.callId = this.#nextCallId
    call.epoch = this.#book.epoch
    call.ordinal = this.#deliveredInEpoch
    call.deliveredAtMs = now
    this.#nextCallId += 1
    this.#book.provideFor(this.#deliveredInEpoch)
    this.#delivered.push(call)
    if (this.#delivered.length <= this.version.instanceConcurrency) this.#takeToBeRunning(call, now)
    if (!this.used) this.#firstUse(call)
    if (this.#state === 'idle') this.#state = 'busy'
    const { requestId } = call.request
    const perCall = this.#contract.perCall(call.request)
    const meta = JSON.stringify(perCall === undefined ? { requestId } : { ...perCall, requestId })
    this.#channel.send(FRAME.invoke, call.epoch, call.callId, meta, call.request.payload)
    this.#events.onCollected(this)
  }

  /** Hands delivered calls to the kernel. */
  flush(): void {
    this.#channel.flush()
  }

  /** Takes back, exactly, the delivered calls that have not begun. They are the caller's to place again. */
  takeBack(): readonly Call[] {
    if (this.#delivered.length === 0 || this.#deliveredInEpoch === 0) return []
    const epoch = this.#book.epoch
    const begun = this.#book.revoke()
    this.#deliveredInEpoch = 0
    const notBegun = this.#delivered.filter((call) => call.epoch === epoch && call.ordinal > begun)
    if (notBegun.length === 0) return notBegun
    const kept = this.#delivered.filter((call) => !notBegun.includes(call))
    this.#delivered.splice(0, this.#delivered.length, ...kept)
    for (const call of notBegun) call.runningSinceMs = 0
    if (kept.length === 0 && this.#state === 'busy') this.#becomeIdle()
    return notBegun
  }

  /** Lets it finish what was delivered and end. */
  drain(): void {
    if (this.#state === 'dead' || this.#state === 'draining') return
    if (this.#delivered.length === 0) this.#end({ kind: 'retired' })
    else this.#state = 'draining'
  }

  /** Ends it to make room; only an idle one. */
  evict(): void {
    if (this.#state === 'idle') this.#end({ kind: 'evicted' })
  }

  /** Ends it at once, whatever it does. */
  kill(): void {
    this.#end({ kind: 'killed' })
  }

  #receive(frame: Frame): void {
    if (this.#state === 'dead') return
    switch (frame.type) {
      case FRAME.result:
        this.#answer(frame)
        return
      case FRAME.log:
        this.#log(frame.callId, frame.payload.chunks)
        return
      case FRAME.hello:
        this.#setUp()
        return
      case FRAME.loaded:
        this.#loaded()
        return
      case FRAME.ready:
        this.#becomeReady(frame)
        return
      case FRAME.failed:
        this.#initFailed(frame.flag === 2 ? 'initializer' : 'load', 'threw', frame)
        return
      default:
        this.#end({ kind: 'broken', reason: `a frame of type ${frame.type}` })
    }
  }

  #setUp(): void {
    const { version } = this
    const content = {
      contract: version.contract,
      handler: version.handler,
      ...(version.initializer === undefined ? {} : { initializer: version.initializer.handler }),
      codeDir: this.#facts.codeDir,
      concurrency: version.instanceConcurrency,
      environment: { ...version.environment, ...this.#contract.environment(version, this.#facts) },
      context: this.#contract.setup(version, this.#facts),
    }
    this.#arm(Math.max(version.timeoutMs, MIN_LOAD_TIMEOUT_MS), () =>
      this.#initFailed('load', 'timedOut', undefined),
    )
    this.#channel.send(FRAME.setup, 0, 0, '', payloadOf(JSON.stringify(content)))
    this.#channel.flush()
  }

  #loaded(): void {
    const { initializer } = this.version
    if (this.#state !== 'starting' || initializer === undefined) return
    this.#state = 'initialising'
    this.#keepStartLog(Buffer.from(this.#contract.initLogOpening(this.#wantedBy)))
    this.#arm(initializer.timeoutMs, () => this.#initFailed('initializer', 'timedOut', undefined))
  }

  #becomeReady(frame: Frame): void {
    if (this.#state !== 'starting' && this.#state !== 'initialising') return
    if (this.#state === 'initialising')
      this.#keepStartLog(Buffer.from(this.#contract.initLogClosing(this.#wantedBy, undefined)))
    clearTimeout(this.#timer)
    this.lastMemoryBytes = peakBytesOf(metaOf(frame))
    this.readyAfterMs = this.#room.clock() - this.startedAtMs
    this.#becomeIdle()
    this.#events.onReady(this)
  }

  #answer(frame: Frame): void {
    const index = this.#delivered.findIndex((call) => call.callId === frame.callId)
    const call = this.#delivered[index]
    if (call === undefined) {
      this.#end({ kind: 'broken', reason: `a result for call ${frame.callId}, which is not running here` })
      return
    }
    const now = this.#room.clock()
    const meta = metaOf(frame)
    const seenMs = now - call.deliveredAtMs
    const durationMs = durationOf(meta, seenMs)
    this.lastMemoryBytes = peakBytesOf(meta) || this.lastMemoryBytes
    if (index === 0) this.#delivered.shift()
    else this.#delivered.splice(index, 1)
    const next = this.#delivered[this.version.instanceConcurrency - 1]
    if (next !== undefined && next.runningSinceMs === 0) this.#takeToBeRunning(next, now)
    call.settle(
      frame.flag === 0
        ? { kind: 'returned', payload: frame.payload }
        : {
            kind: 'threw',
            errorType: typeof meta['errorType'] === 'string' ? meta['errorType'] : 'Error',
            handled: frame.flag === 2,
            payload: frame.payload,
          },
      { instanceId: this.id, durationMs, maxMemoryBytes: this.lastMemoryBytes },
    )
    if (this.#delivered.length === 0) {
      if (this.#state === 'draining') {
        this.#end({ kind: 'retired' })
        return
      }
      this.#becomeIdle()
    }
    this.#events.onAnswered(this, call, durationMs)
  }

  #log(callId: number, chunks: readonly Buffer[]): void {
    const call = callId === 0 ? undefined : this.#delivered.find((one) => one.callId === callId)
    for (const text of chunks) {
      if (call !== undefined) call.addLog(text)
      else this.#keepStartLog(text)
    }
  }

  /** Bytes written behind the bootstrap's back belong to the call that is running, if only one can be. */
  #logRaw(text: Buffer): void {
    const [running] = this.#delivered
    if (running !== undefined && this.version.instanceConcurrency === 1) running.addLog(text)
    else this.#keepStartLog(text)
  }

  /** Text of no call: the next call's log begins with it. */
  #keepStartLog(text: Buffer): void {
    const room = MAX_START_LOG_BYTES - this.#startLogBytes
    if (room <= 0 || text.length === 0) return
    const kept = text.subarray(0, room)
    this.#startLog.push(kept)
    this.#startLogBytes += kept.length
  }

  #firstUse(call: Call): void {
    this.used = true
    for (const text of this.#startLog) call.log.append(text)
    this.#startLog = []
    this.#startLogBytes = 0
  }

  #takeToBeRunning(call: Call, now: number): void {
    call.runningSinceMs = now
    if (this.#deadlineArmed) return
    this.#deadlineArmed = true
    this.#arm(this.version.timeoutMs, () => this.#checkDeadline())
  }

  /** The timer is armed once and looks again when it fires, so that a quick call costs no timer of its own. */
  #checkDeadline(): void {
    this.#deadlineArmed = false
    const now = this.#room.clock()
    const running = this.#delivered.slice(0, this.version.instanceConcurrency)
    const oldestMs = Math.min(...running.map((call) => call.runningSinceMs))
    if (running.length === 0) return
    const leftMs = oldestMs + this.version.timeoutMs - now
    if (leftMs > 0.5) {
      this.#deadlineArmed = true
      this.#arm(Math.ceil(leftMs), () => this.#checkDeadline())
      return
    }
    this.#end({ kind: 'timed-out' })
  }

  #startTimedOut(): void {
    this.#end({ kind: 'start-failed', reason: `no sign of life within ${this.#room.startTimeoutMs} ms` })
  }

  #initFailed(
    phase: 'load' | 'initializer',
    reason: 'threw' | 'timedOut' | 'crashed',
    frame: Frame | undefined,
  ): void {
    const meta = frame === undefined ? {} : metaOf(frame)
    const errorType = typeof meta['errorType'] === 'string' ? meta['errorType'] : 'Error'
    if (this.#state === 'initialising')
      this.#keepStartLog(Buffer.from(this.#contract.initLogClosing(this.#wantedBy, errorType)))
    const payload = frame?.payload ?? payloadOf('')
    this.#end({ kind: 'init-failed', failure: { kind: 'initFailed', phase, reason, errorType, payload } })
  }

  #exited(exit: SandboxExit): void {
    if (this.#state === 'starting' && exit.kind === 'notStarted')
      this.#end({ kind: 'start-failed', reason: exit.reason })
    else if (this.#state === 'starting') this.#initFailed('load', 'crashed', undefined)
    else if (this.#state === 'initialising') this.#initFailed('initializer', 'crashed', undefined)
    else this.#end({ kind: 'crashed', exit })
  }

  /** The one way to dead. Tickets first: from here on no delivered call can begin. */
  #end(ending: InstanceEnding): void {
    if (this.#state === 'dead') return
    this.#state = 'dead'
    clearTimeout(this.#timer)
    this.#stopWatching()
    const notBegun = this.takeBack()
    const begun = this.#delivered.splice(0)
    this.#book.close()
    void this.#settleBegun(begun, ending).then(() => {
      this.#channel.close()
      this.#process.kill()
    })
    this.#events.onDead(this, ending, notBegun)
  }

  /** Tells the calls that had begun; the memory is read before the process is ended. */
  async #settleBegun(begun: readonly Call[], ending: InstanceEnding): Promise<void> {
    if (begun.length === 0) return
    const now = this.#room.clock()
    const memory = await this.#process.memory().catch(() => undefined)
    const maxMemoryBytes = Math.max(memory?.peakBytes ?? 0, this.lastMemoryBytes)
    for (const call of begun) {
      const durationMs = now - call.runningSinceMs
      const late = ending.kind === 'timed-out' && durationMs >= this.version.timeoutMs - 0.5
      call.settle(late ? { kind: 'timedOut', afterMs: this.version.timeoutMs } : crashOf(ending), {
        instanceId: this.id,
        durationMs,
        maxMemoryBytes,
      })
    }
  }

  /** The text of loading and the initializer that no call has taken yet. */
  takeStartLog(): readonly Buffer[] {
    const log = this.#startLog
    this.#startLog = []
    return log
  }

  #becomeIdle(): void {
    this.#state = 'idle'
    this.idleSinceMs = this.#room.clock()
  }

  #arm(delayMs: number, onTime: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(onTime, delayMs)
  }
}

type Meta = Readonly<Record<string, unknown>>

/** A meta text comes from inside the sandbox: anything unreadable counts as empty. */
function metaOf(frame: Frame): Meta {
  if (frame.meta.length === 0) return {}
  try {
    const value: unknown = JSON.parse(frame.meta.toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Meta) : {}
  } catch {
    return {}
  }
}

function durationOf(meta: Meta, seenMs: number): number {
  const told = meta['durationMs']
  return typeof told === 'number' && told >= 0 && told <= seenMs ? told : seenMs
}

function peakBytesOf(meta: Meta): number {
  const told = meta['peakKib']
  return typeof told === 'number' && told > 0 && told < 2 ** 40 ? told * 1024 : 0
}

function crashOf(ending: InstanceEnding): Ending {
  if (ending.kind !== 'crashed') return { kind: 'crashed', cause: 'signalled', signal: 'SIGKILL' }
  switch (ending.exit.kind) {
    case 'exited':
      return { kind: 'crashed', cause: 'exited', exitCode: ending.exit.exitCode }
    case 'signalled':
      return { kind: 'crashed', cause: 'signalled', signal: ending.exit.signal }
    case 'outOfMemory':
      return { kind: 'crashed', cause: 'outOfMemory' }
    case 'notStarted':
      return { kind: 'crashed', cause: 'exited' }
  }
}

/** Waits for `promise`, but no longer than `limitMs`. */
async function withLimit(promise: Promise<unknown>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<void>((resolve) => (timer = setTimeout(resolve, limitMs)))
  await Promise.race([promise, limit])
  clearTimeout(timer)
}
