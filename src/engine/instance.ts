import type { HandlerContract, InstanceFacts, LoggedCall } from '../contracts/contract.ts'
import type { FunctionVersion } from '../model/function.ts'
import type { Ending } from '../model/outcome.ts'
import { payloadOf } from '../model/payload.ts'
import type { MemoryFollower, Sandbox, SandboxExit, SandboxProcess, SandboxSpec } from '../sandbox/sandbox.ts'
import { CallMemory } from './call-memory.ts'
import type { Call } from './call.ts'
import { Channel, FRAME, type Frame } from './channel.ts'
import { Deliveries } from './deliveries.ts'
import { durationOf, errorTypeOf, metaOf, peakBytesOf } from './frame-meta.ts'
import { crashOf, exitSentence, type InstanceEnding } from './instance-ending.ts'
import { LooseText } from './loose-text.ts'
import type { PayloadBudget } from './payload-budget.ts'
import { TicketBook } from './ticket-book.ts'
import { makeTicketFile } from './ticket-file.ts'

export type InstanceState = 'starting' | 'initialising' | 'idle' | 'busy' | 'draining' | 'dead'

export interface InstanceEvents {
  onReady(instance: Instance): void
  /** A call was answered: there is room. `durationMs` is what the handler took. */
  onAnswered(instance: Instance, durationMs: number): void
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
  /** Mount target of the tree of its layers; absent when it has none. */
  readonly layersTarget?: string
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
  /** Follows the memory of a process, tells the follower, and ends it when it passes its limit; returns how to stop following. */
  readonly watchMemory: (process: SandboxProcess, limitBytes: number, follower: MemoryFollower) => () => void
}

/** The HELLO flag this server speaks; `runtimes/protocol.md`. */
const PROTOCOL_VERSION = 1
/** Loading the code may take as long as a call, but never less than this. */
const MIN_LOAD_TIMEOUT_MS = 10_000
/** After the process is gone its last frames are still read for at most this long. */
const LAST_WORDS_MS = 1000
/** A process whose channel has closed is given this long to end and say how. */
const LEAVING_MS = 5000
/** The memory of a process about to be ended is waited for no longer than this. */
const MEMORY_READ_MS = 500
/** Nothing is delivered ahead while this much waits for the kernel: it would stay in memory beside its copies elsewhere. */
const MAX_BACKLOG_BYTES = 1024 * 1024
/** A late call whose result waits for room in the budget is looked at again after this. */
const ROOM_CHECK_MS = 250
/** A silent process is asked for a sign of life after this, then after twice as long each time, at most {@link MAX_LISTEN_MS}. */
const MIN_LISTEN_MS = 3
const MAX_LISTEN_MS = 250

/** A process that did not begin calls it could have run at once. */
interface Silence {
  readonly sinceMs: number
  nextLookMs: number
  pauseMs: number
}

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
  readonly #contract: HandlerContract
  readonly #events: InstanceEvents
  readonly #room: InstanceRoom
  readonly #process: SandboxProcess
  readonly #channel: Channel
  readonly #deliveries: Deliveries
  readonly #facts: InstanceFacts
  /** The call it was started for, or the start itself where none asked for it, gives its name to the initializer's log lines. */
  readonly #wantedBy: LoggedCall
  readonly #stopWatching: () => void
  readonly #looseText = new LooseText()
  readonly #memory: CallMemory
  #state: InstanceState = 'starting'
  #hasGreeted = false
  #isPrepared: boolean
  #isSetUp = false
  /** Its channel has closed or its process has ended: nothing more is delivered. */
  #isLeaving = false
  /** It has been idle for a while: its processors were taken from it, where the host can. */
  #isResting = false
  #silence: Silence | undefined
  /** Of the state's own limit: start, load, initializer, or the deadline of calls. */
  #timer: NodeJS.Timeout | undefined
  #leavingTimer: NodeJS.Timeout | undefined
  #deadlineArmed = false
  #channelEnded: () => void = () => undefined

  /** @throws When there is no room for its ticket book. */
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
    const book = new TicketBook(makeTicketFile(room.ticketDir))
    this.#process = room.sandbox.start({ ...plan.spec, ticketsFd: book.fd })
    this.#deliveries = new Deliveries(bookOf(this.#process, book), this.version.instanceConcurrency)
    this.#facts = {
      instanceId: id,
      codeDir: this.#process.locate(plan.codeTarget),
      region: room.region,
      ...(plan.layersTarget === undefined ? {} : { layersDir: this.#process.locate(plan.layersTarget) }),
      ...(plan.credentials === undefined ? {} : { credentials: plan.credentials }),
    }
    const channelEnd = new Promise<void>((resolve) => (this.#channelEnded = resolve))
    this.#channel = new Channel(this.#process.channel, room.budget, {
      onFrame: (frame) => this.#receive(frame),
      expectsLarge: (type, callId) => this.#expectsLarge(type, callId),
      onBroken: (reason) => this.#break(reason),
      onEnd: () => this.#channelClosed(),
    })
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.on('data', (text: Buffer) => this.#logRaw(text))
      stream.on('error', () => undefined)
    }
    this.#memory = new CallMemory(this.#process, this.#deliveries, room.clock)
    this.#stopWatching = room.watchMemory(this.#process, this.version.memoryMib * 1024 * 1024, this.#memory)
    this.#arm(room.startTimeoutMs, () =>
      this.#startFailed(
        `${this.#hasGreeted ? 'not prepared' : 'no sign of life'} within ${room.startTimeoutMs} ms`,
      ),
    )
    this.#isPrepared = this.#process.prepared === undefined
    void this.#process.prepared?.then(
      () => {
        this.#isPrepared = true
        this.#setUpOnceReady()
      },
      (error: unknown) => this.#startFailed(error instanceof Error ? error.message : String(error)),
    )
    void this.#process.exited.then(async (exit) => {
      this.#isLeaving = true
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
    return this.#deliveries.count
  }

  /** Delivered calls that wait for their turn. */
  get ahead(): number {
    return this.#deliveries.ahead
  }

  /** Its channel has closed or its process has ended, and it is not known yet how. */
  get leaving(): boolean {
    return this.#isLeaving && this.#state !== 'dead'
  }

  get ready(): boolean {
    return (
      (this.#state === 'idle' || this.#state === 'busy') && !this.#isLeaving && this.#silence === undefined
    )
  }

  /** Whether one more call may be delivered, ahead or not. */
  get hasRoom(): boolean {
    const deliveries = this.#deliveries
    return (
      this.ready &&
      !deliveries.isFull &&
      (deliveries.count < this.version.instanceConcurrency || this.#channel.backlogBytes < MAX_BACKLOG_BYTES)
    )
  }

  /** How long the longest-running call has run, milliseconds; 0 when idle. */
  runningForMs(nowMs: number): number {
    return this.#deliveries.runningForMs(nowMs)
  }

  /** How long a call has been taken to be running that is not known to have begun, milliseconds; 0 when there is none. */
  unprovenForMs(nowMs: number): number {
    return this.#deliveries.unprovenForMs(nowMs)
  }

  /** How long it has been silent, milliseconds: it did not begin calls that it could have run at once. 0 when it is not. */
  silentForMs(nowMs: number): number {
    return this.#silence === undefined ? 0 : nowMs - this.#silence.sinceMs
  }

  /** Delivers a call; the caller made sure that {@link hasRoom}. */
  deliver(call: Call): void {
    if (this.#deliveries.epochIsLong) for (const again of this.#deliveries.takeBack()) this.#send(again)
    this.#send(call)
    if (this.#state === 'idle') this.#state = 'busy'
    this.#events.onCollected(this)
  }

  /** Hands delivered calls to the kernel. */
  flush(): void {
    if (this.#isResting) this.#wake()
    this.#channel.flush()
  }

  /** Takes the processors from it when it has been idle for `afterMs`, until something is handed to it. Looked at now and then. */
  rest(nowMs: number, afterMs: number): void {
    if (this.#isResting || this.#state !== 'idle' || !this.ready) return
    if (nowMs - this.idleSinceMs < afterMs) return
    this.#isResting = true
    this.#process.freeze?.()
    this.#memory.beginAnew()
  }

  /**
   * Takes back, exactly, the delivered calls that have not begun. They are the caller's to place again, and {@link drain}
   * is to be called again when it was draining.
   *
   * Calls that could have run at once and have not begun make it silent: it gets no more until it shows a sign of life.
   */
  takeBack(): readonly Call[] {
    const notBegun = this.#deliveries.takeBack()
    const now = this.#room.clock()
    if (notBegun.some((call) => call.runningSinceMs !== 0))
      this.#silence ??= { sinceMs: now, nextLookMs: now + MIN_LISTEN_MS, pauseMs: MIN_LISTEN_MS }
    if (this.#deliveries.count === 0 && this.#state === 'busy') this.#becomeIdle()
    return notBegun
  }

  /** Looks whether a silent process has shown a sign of life: revoked calls cost it a ticket to drop. Rare by itself. */
  listen(nowMs: number): void {
    const silence = this.#silence
    if (silence === undefined || nowMs < silence.nextLookMs) return
    // Where the kernel does not tell, the next call has to find out.
    if (this.#deliveries.ticketsTaken() !== 0) {
      this.#silence = undefined
      return
    }
    silence.pauseMs = Math.min(silence.pauseMs * 2, MAX_LISTEN_MS)
    silence.nextLookMs = nowMs + silence.pauseMs
  }

  /** Ends it because a call was taken back from it again and again, although it showed signs of life. */
  disown(): void {
    this.#break('it lives and does not begin its calls')
  }

  /** Lets it finish what was delivered and end. */
  drain(): void {
    if (this.#state === 'dead') return
    if (this.#deliveries.count === 0) this.#end({ kind: 'retired' })
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

  /** Whether a call with this request id was delivered and is not answered. */
  holds(requestId: string): boolean {
    return this.#deliveries.holds(requestId)
  }

  /** Ends it at once, because the call with this id is to end; the others that had begun are told that it crashed. */
  terminate(requestId: string): void {
    this.#end({ kind: 'terminated', requestId })
  }

  /** The text of loading and the initializer that no call has taken yet. */
  takeStartLog(): readonly Buffer[] {
    return this.#looseText.take()
  }

  #send(call: Call): void {
    const { requestId } = call.request
    const perCall = this.#contract.perCall(call.request)
    const meta = JSON.stringify(perCall === undefined ? { requestId } : { ...perCall, requestId })
    const now = this.#room.clock()
    if (this.#deliveries.add(call, now)) this.#armDeadline()
    this.#channel.send(FRAME.invoke, call.epoch, call.callId, meta, call.request.payload)
  }

  #receive(frame: Frame): void {
    switch (this.#state) {
      case 'dead':
        return
      case 'starting':
      case 'initialising':
        this.#receiveEarly(frame)
        return
      case 'idle':
      case 'busy':
      case 'draining':
        if (frame.type === FRAME.result) this.#answer(frame)
        else if (frame.type === FRAME.log) this.#log(frame.callId, frame.payload.chunks)
        else this.#outOfTurn(frame)
    }
  }

  /** Each frame of the start has its one moment: out of turn it could reset a timer or fail the wrong call. */
  #receiveEarly(frame: Frame): void {
    const isLoading = this.#state === 'starting' && this.#isSetUp
    const hasInitializer = this.version.initializer !== undefined
    if (!this.#hasGreeted && frame.type === FRAME.hello) this.#greeted(frame)
    else if (!this.#isSetUp) this.#outOfTurn(frame)
    else if (frame.type === FRAME.log) this.#log(0, frame.payload.chunks)
    else if (frame.type === FRAME.failed)
      this.#initFailed(this.#state === 'initialising' ? 'initializer' : 'load', 'threw', frame)
    else if (frame.type === FRAME.loaded && isLoading && hasInitializer) this.#loaded()
    else if (frame.type === FRAME.ready && isLoading !== hasInitializer) this.#becomeReady(frame)
    else this.#outOfTurn(frame)
  }

  #outOfTurn(frame: Frame): void {
    this.#break(`a frame of type ${frame.type} while ${this.#state}`)
  }

  #expectsLarge(type: number, callId: number): boolean {
    if (type === FRAME.result) return this.#deliveries.find(callId) !== undefined
    return (
      type === FRAME.failed && this.#isSetUp && (this.#state === 'starting' || this.#state === 'initialising')
    )
  }

  #greeted(hello: Frame): void {
    if (hello.flag !== PROTOCOL_VERSION) {
      this.#startFailed(
        `the bootstrap speaks version ${hello.flag} of the protocol, the server ${PROTOCOL_VERSION}`,
      )
      return
    }
    this.#hasGreeted = true
    this.#setUpOnceReady()
  }

  #setUpOnceReady(): void {
    if (this.#state === 'starting' && this.#hasGreeted && this.#isPrepared) this.#setUp()
  }

  #setUp(): void {
    this.#isSetUp = true
    const { version } = this
    const content = {
      contract: version.contract,
      handler: version.handler,
      ...(version.initializer === undefined ? {} : { initializer: version.initializer.handler }),
      codeDir: this.#facts.codeDir,
      concurrency: version.instanceConcurrency,
      requestId: this.#wantedBy.requestId,
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
    this.#state = 'initialising'
    this.#looseText.keep(Buffer.from(this.#contract.initLogOpening(this.#wantedBy)))
    this.#arm(this.version.initializer?.timeoutMs ?? 0, () =>
      this.#initFailed('initializer', 'timedOut', undefined),
    )
  }

  #becomeReady(frame: Frame): void {
    if (this.#state === 'initialising')
      this.#looseText.keep(Buffer.from(this.#contract.initLogClosing(this.#wantedBy, undefined)))
    clearTimeout(this.#timer)
    this.lastMemoryBytes = peakBytesOf(metaOf(frame))
    this.readyAfterMs = this.#room.clock() - this.startedAtMs
    this.#becomeIdle()
    this.#events.onReady(this)
  }

  #answer(frame: Frame): void {
    const now = this.#room.clock()
    const call = this.#deliveries.remove(frame.callId, now)
    if (call === undefined) {
      this.#break(`a result for call ${frame.callId}, which is not running here`)
      return
    }
    this.#silence = undefined
    if (this.#deliveries.count > 0) this.#armDeadline()
    const meta = metaOf(frame)
    const durationMs = durationOf(meta, now - call.deliveredAtMs)
    this.lastMemoryBytes = peakBytesOf(meta) || this.lastMemoryBytes
    this.#beginLog(call)
    const ending: Ending =
      frame.flag === 0
        ? { kind: 'returned', payload: frame.payload }
        : { kind: 'threw', errorType: errorTypeOf(meta), handled: frame.flag === 2, payload: frame.payload }
    const { id: instanceId, lastMemoryBytes: maxMemoryBytes } = this
    const sampled = this.#memory.lastSampleOf(call, now)
    if (sampled === undefined) call.settle(ending, { instanceId, durationMs, maxMemoryBytes })
    else
      void sampled.then((sampledBytes) =>
        call.settle(ending, {
          instanceId,
          durationMs,
          maxMemoryBytes: Math.max(maxMemoryBytes, sampledBytes),
        }),
      )
    if (this.#deliveries.count === 0 && this.#state === 'busy') this.#becomeIdle()
    this.#events.onAnswered(this, durationMs)
    // That may have given it another call, or ended it.
    if (this.#deliveries.count === 0 && this.#state === 'draining') this.#end({ kind: 'retired' })
  }

  #log(callId: number, chunks: readonly Buffer[]): void {
    const call = callId === 0 ? undefined : this.#deliveries.find(callId)
    for (const text of chunks) this.#logTo(call, text)
  }

  /** Bytes written behind the bootstrap's back belong to the call that is running, if only one can be. */
  #logRaw(text: Buffer): void {
    this.#logTo(this.version.instanceConcurrency === 1 ? this.#deliveries.first : undefined, text)
  }

  #logTo(call: Call | undefined, text: Buffer): void {
    if (call === undefined) {
      if (this.#state !== 'dead') this.#looseText.keep(text)
      return
    }
    this.#beginLog(call)
    call.addLog(text)
  }

  /** The first words of a call are what the instance wrote before it. */
  #beginLog(call: Call): void {
    if (this.#looseText.isEmpty || call.logBegun) return
    for (const text of this.#looseText.take()) call.log.append(text)
  }

  #armDeadline(): void {
    if (this.#deadlineArmed) return
    this.#deadlineArmed = true
    this.#arm(this.version.timeoutMs, () => this.#checkDeadline())
  }

  /** The timer is armed once and looks again when it fires, so that a quick call costs no timer of its own. */
  #checkDeadline(): void {
    this.#deadlineArmed = false
    const sinceMs = this.#deliveries.runningSinceMs
    if (sinceMs === undefined) return
    const leftMs = sinceMs + this.version.timeoutMs - this.#room.clock()
    // An answer that only waits for room of ours is not late.
    if (leftMs <= 0.5 && !this.#channel.waitsForRoom) {
      this.#end({ kind: 'timed-out' })
      return
    }
    this.#deadlineArmed = true
    this.#arm(leftMs > 0.5 ? Math.ceil(leftMs) : ROOM_CHECK_MS, () => this.#checkDeadline())
  }

  #startFailed(reason: string): void {
    this.#end({ kind: 'start-failed', reason })
  }

  #initFailed(
    phase: 'load' | 'initializer',
    reason: 'threw' | 'timedOut' | 'crashed',
    frame: Frame | undefined,
  ): void {
    const meta = frame === undefined ? {} : metaOf(frame)
    const errorType = errorTypeOf(meta)
    this.lastMemoryBytes = peakBytesOf(meta)
    if (this.#state === 'initialising')
      this.#looseText.keep(Buffer.from(this.#contract.initLogClosing(this.#wantedBy, errorType)))
    const payload = frame?.payload ?? payloadOf('')
    this.#end({ kind: 'init-failed', failure: { kind: 'initFailed', phase, reason, errorType, payload } })
  }

  #channelClosed(): void {
    this.#channelEnded()
    this.#isLeaving = true
    if (this.#state === 'dead') return
    this.#leavingTimer = setTimeout(() => this.#break('it closed its channel and lived on'), LEAVING_MS)
  }

  #exited(exit: SandboxExit): void {
    this.#leave({ kind: 'crashed', exit }, exitSentence(exit))
  }

  #break(reason: string): void {
    this.#leave({ kind: 'broken', reason }, reason)
  }

  /** An end it brought upon itself has another name while it starts: there it must be told to a call, or starts would go on for ever. */
  #leave(ending: InstanceEnding, reason: string): void {
    if (this.#state === 'initialising') this.#initFailed('initializer', 'crashed', undefined)
    else if (this.#state !== 'starting') this.#end(ending)
    else if (this.#isSetUp) this.#initFailed('load', 'crashed', undefined)
    else this.#startFailed(reason)
  }

  /** The one way to dead. Tickets first: from here on no delivered call can begin. */
  #end(ending: InstanceEnding): void {
    if (this.#state === 'dead') return
    this.#state = 'dead'
    clearTimeout(this.#timer)
    clearTimeout(this.#leavingTimer)
    this.#stopWatching()
    const { begun, notBegun } = this.#deliveries.close()
    void this.#settleBegun(begun, ending).then(() => {
      this.#channel.close()
      this.#channelEnded()
      this.#process.kill()
    })
    this.#events.onDead(this, ending, notBegun)
  }

  /** Tells the calls that had begun; the memory is read before the process is ended. */
  async #settleBegun(begun: readonly Call[], ending: InstanceEnding): Promise<void> {
    const now = this.#room.clock()
    if (begun.length === 0) return
    let peakBytes = 0
    const memory = this.#process.memory().then(
      (usage) => (peakBytes = usage.peakBytes),
      () => undefined,
    )
    await withLimit(memory, MEMORY_READ_MS)
    for (const call of begun) {
      const maxMemoryBytes = Math.max(peakBytes, this.lastMemoryBytes, call.sampledBytes)
      // One behind the running calls began just now: the answer before it was still on its way.
      const durationMs = call.runningSinceMs === 0 ? 0 : now - call.runningSinceMs
      this.#beginLog(call)
      const told = this.#endingOf(call, ending, durationMs)
      call.settle(told, { instanceId: this.id, durationMs, maxMemoryBytes })
    }
  }

  #endingOf(call: Call, ending: InstanceEnding, durationMs: number): Ending {
    const { timeoutMs } = this.version
    if (ending.kind === 'timed-out' && durationMs >= timeoutMs - 0.5)
      return { kind: 'timedOut', afterMs: timeoutMs }
    if (ending.kind === 'terminated' && ending.requestId === call.request.requestId)
      return { kind: 'terminated' }
    return crashOf(ending)
  }

  #wake(): void {
    this.#isResting = false
    this.#process.thaw?.().catch((error: unknown) => this.#break(`it cannot be thawed: ${String(error)}`))
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

/** A process that was started before it was asked for has a ticket file of its own. */
function bookOf(process: SandboxProcess, offered: TicketBook): TicketBook {
  if (process.tickets === undefined) return offered
  offered.close()
  try {
    return new TicketBook(process.tickets)
  } catch (error) {
    process.kill()
    throw error
  }
}

/** Waits for `promise`, but no longer than `limitMs`. */
async function withLimit(promise: Promise<unknown>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<void>((resolve) => (timer = setTimeout(resolve, limitMs)))
  await Promise.race([promise, limit])
  clearTimeout(timer)
}
