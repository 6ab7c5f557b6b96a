import type { HandlerContract, LoggedCall } from '../contracts/contract.ts'
import type { FunctionVersion } from '../model/function.ts'
import type { Caller } from '../model/invocation.ts'
import type { Ending } from '../model/outcome.ts'
import { payloadOf } from '../model/payload.ts'
import type { SandboxExit, SandboxProcess } from '../sandbox/sandbox.ts'
import { CallMemory } from './call-memory.ts'
import type { Call } from './call.ts'
import { Channel, FRAME, type Frame } from './channel.ts'
import { Deadline } from './deadline.ts'
import { Deliveries } from './deliveries.ts'
import { durationOf, errorTypeOf, metaOf, peakBytesOf } from './frame-meta.ts'
import { Grace } from './grace.ts'
import { exitSentence, settleBegun, type InstanceEnding } from './instance-ending.ts'
import { InstanceLog } from './instance-log.ts'
import { factsOf, type InstanceEvents, type InstanceRoom, type LaunchPlan } from './instance-setup.ts'
import { InstanceStart } from './instance-start.ts'
import { Silence } from './silence.ts'
import { TicketBook } from './ticket-book.ts'
import { makeTicketFile } from './ticket-file.ts'
import { withLimit } from './time-limit.ts'

export type InstanceState = 'starting' | 'initialising' | 'idle' | 'busy' | 'draining' | 'dead'

/** After the process is gone its last frames are still read for at most this long. */
const LAST_WORDS_MS = 1000
/** A process whose channel has closed is given this long to end and say how. */
const LEAVING_MS = 5000
/** Nothing is delivered ahead while this much waits for the kernel: it would stay in memory beside its copies elsewhere. */
const MAX_BACKLOG_BYTES = 1024 * 1024

const OUT_OF_MEMORY: Ending = Object.freeze({ kind: 'crashed', cause: 'outOfMemory' })

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
  readonly #start: InstanceStart
  readonly #deadline: Deadline
  readonly #log: InstanceLog
  readonly #memory: CallMemory
  readonly #stopWatching: () => void
  #state: InstanceState = 'starting'
  /** Its channel has closed or its process has ended: nothing more is delivered. */
  #isLeaving = false
  /** Answered calls that may have taken too much memory and are being measured: until then nothing more is delivered. */
  #suspects = 0
  /** It has been idle for a while: its processors were taken from it, where the host can. */
  #isResting = false
  #silence: Silence | undefined
  #leavingTimer: NodeJS.Timeout | undefined
  /** It was told to end. */
  #grace: Grace | undefined
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
    this.#contract = contract
    this.#room = room
    this.#events = events
    this.startedAtMs = room.clock()
    const book = new TicketBook(makeTicketFile(room.ticketDir))
    this.#process = room.sandbox.start({ ...plan.spec, ticketsFd: book.fd })
    const concurrency = this.version.instanceConcurrency
    this.#deliveries = new Deliveries(bookOf(this.#process, book), concurrency)
    this.#log = new InstanceLog(this.#deliveries, concurrency)
    const channelEnd = new Promise<void>((resolve) => (this.#channelEnded = resolve))
    this.#channel = new Channel(this.#process.channel, room.budget, {
      onFrame: (frame) => this.#receive(frame),
      expectsLarge: (type, callId) => this.#expectsLarge(type, callId),
      onBroken: (reason) => this.#break(reason),
      onEnd: () => this.#channelClosed(),
    })
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.on('data', (text: Buffer) => this.#log.addRaw(text))
      stream.on('error', () => undefined)
    }
    const limitBytes = this.version.memoryMib * 1024 * 1024
    this.#memory = new CallMemory(this.#process, this.#deliveries, limitBytes, room.clock)
    this.#stopWatching = room.watchMemory(this.#process, limitBytes, this.#memory)
    this.#deadline = new Deadline({
      timeoutMs: this.version.timeoutMs,
      deliveries: this.#deliveries,
      channel: this.#channel,
      clock: room.clock,
      onLate: () => this.#end({ kind: 'timed-out' }),
    })
    this.#start = new InstanceStart(
      {
        wantedBy,
        contract,
        facts: factsOf(id, plan, this.#process, room.region),
        startTimeoutMs: room.startTimeoutMs,
        prepared: this.#process.prepared,
        log: this.#log,
      },
      {
        onSetUp: (content) => {
          this.#channel.send(FRAME.setup, 0, 0, '', payloadOf(content))
          this.#channel.flush()
        },
        onLoaded: () => (this.#state = 'initialising'),
        onReady: (memoryBytes) => this.#becomeReady(memoryBytes),
        onFailed: (ending, memoryBytes) => {
          this.lastMemoryBytes = memoryBytes
          this.#end(ending)
        },
        onOutOfTurn: (frame) => this.#outOfTurn(frame),
      },
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
      (this.#state === 'idle' || this.#state === 'busy') &&
      !this.#isLeaving &&
      this.#suspects === 0 &&
      this.#silence === undefined
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
    if (notBegun.some((call) => call.runningSinceMs !== 0)) this.#silence ??= new Silence(this.#room.clock())
    if (this.#isDone && this.#state === 'busy') this.#becomeIdle()
    return notBegun
  }

  /** Looks whether a silent process has shown a sign of life. Rare by itself. */
  listen(nowMs: number): void {
    if (this.#silence?.isOver(nowMs, this.#deliveries) === true) this.#silence = undefined
  }

  /** Ends it because it does not begin what it is given: it showed signs of life again and again, or none for long. */
  disown(): void {
    this.#break('it does not begin its calls')
  }

  /** Lets it finish what was delivered and end. */
  drain(): void {
    if (this.#state === 'dead') return
    if (this.#isDone) this.#end({ kind: 'retired' })
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

  /** Whether the call of this caller was delivered and is not answered. */
  holds(caller: Caller): boolean {
    return this.#deliveries.holds(caller)
  }

  /**
   * Ends it because the call of this caller is to end; the others that had begun are told that it crashed.
   *
   * @param graceMs With more than 0 it gets no more calls, its code is told (SIGTERM), and it may finish what it has for so long, or end
   *   by itself; told again, the shorter time holds.
   */
  terminate(caller: Caller, graceMs: number): void {
    if (this.#state === 'dead') return
    if (graceMs <= 0 || this.#process.terminate === undefined) {
      this.#end({ kind: 'terminated', caller })
      return
    }
    const isTold = this.#grace !== undefined
    this.#grace ??= new Grace(() => this.#graceOver(), this.#room.clock)
    this.#grace.add(caller, graceMs)
    if (isTold) return
    this.#state = 'draining'
    // Who cannot be told cannot make use of the time.
    this.#process.terminate().catch(() => this.#graceOver())
  }

  /** The text of loading and the initializer that no call has taken yet. */
  takeStartLog(): readonly Buffer[] {
    return this.#log.take()
  }

  #send(call: Call): void {
    const { requestId } = call.request
    const perCall = this.#contract.perCall(call.request)
    const meta = JSON.stringify(perCall === undefined ? { requestId } : { ...perCall, requestId })
    const now = this.#room.clock()
    if (this.#deliveries.add(call, now)) this.#deadline.arm()
    this.#channel.send(FRAME.invoke, call.epoch, call.callId, meta, call.request.payload)
  }

  #receive(frame: Frame): void {
    switch (this.#state) {
      case 'dead':
        return
      case 'starting':
      case 'initialising':
        this.#start.receive(frame)
        return
      case 'idle':
      case 'busy':
      case 'draining':
        if (frame.type === FRAME.result) this.#answer(frame)
        else if (frame.type === FRAME.log) this.#log.add(frame.callId, frame.payload.chunks)
        else this.#outOfTurn(frame)
    }
  }

  #outOfTurn(frame: Frame): void {
    this.#break(`a frame of type ${frame.type} while ${this.#state}`)
  }

  #expectsLarge(type: number, callId: number): boolean {
    if (type === FRAME.result) return this.#deliveries.find(callId) !== undefined
    return type === FRAME.failed && this.#start.mayFail
  }

  #becomeReady(memoryBytes: number): void {
    this.lastMemoryBytes = memoryBytes
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
    if (this.#deliveries.count > 0) this.#deadline.arm()
    const meta = metaOf(frame)
    const durationMs = durationOf(meta, now - call.deliveredAtMs)
    this.lastMemoryBytes = peakBytesOf(meta) || this.lastMemoryBytes
    this.#log.begin(call)
    const ending: Ending =
      frame.flag === 0
        ? { kind: 'returned', payload: frame.payload }
        : { kind: 'threw', errorType: errorTypeOf(meta), handled: frame.flag === 2, payload: frame.payload }
    const { id: instanceId, lastMemoryBytes } = this
    const isSuspect = this.#memory.isNewExcess(lastMemoryBytes)
    const sampled = this.#memory.lastSampleOf(call, isSuspect, now)
    if (sampled === undefined)
      call.settle(ending, { instanceId, durationMs, maxMemoryBytes: lastMemoryBytes })
    else {
      if (isSuspect) this.#suspects += 1
      void sampled.then(({ mostBytes, isOverLimit }) => {
        const maxMemoryBytes = Math.max(lastMemoryBytes, mostBytes)
        // Told so itself, and not whoever comes next.
        call.settle(isOverLimit ? OUT_OF_MEMORY : ending, { instanceId, durationMs, maxMemoryBytes })
        if (isOverLimit) this.#leaveOverMemory()
        if (isSuspect) this.#suspects -= 1
        if (isSuspect && this.#state !== 'dead') this.#afterAnswer(durationMs)
      })
    }
    if (!isSuspect) this.#afterAnswer(durationMs)
  }

  #leaveOverMemory(): void {
    this.#isLeaving = true
    this.#process.kill('outOfMemory')
  }

  #afterAnswer(durationMs: number): void {
    if (this.#isDone && this.#state === 'busy') this.#becomeIdle()
    this.#events.onAnswered(this, durationMs)
    // That may have given it another call, or ended it.
    if (this.#isDone && this.#state === 'draining') this.#end({ kind: 'retired' })
  }

  /** Whether nothing delivered is open. */
  get #isDone(): boolean {
    return this.#deliveries.count === 0 && this.#suspects === 0
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

  /** An end it brought upon itself has another name while it starts. */
  #leave(ending: InstanceEnding, reason: string): void {
    if (this.#state === 'starting' || this.#state === 'initialising') this.#start.breakOff(reason)
    else this.#end(ending)
  }

  /** Calls that were not to end may finish, when those that were have. */
  #graceOver(): void {
    for (const caller of this.#grace?.callers ?? [])
      if (this.holds(caller)) {
        this.#end({ kind: 'terminated', caller })
        return
      }
  }

  /** The one way to dead. Tickets first: from here on no delivered call can begin. */
  #end(ending: InstanceEnding): void {
    if (this.#state === 'dead') return
    this.#state = 'dead'
    this.#start.stop()
    this.#deadline.stop()
    this.#log.close()
    clearTimeout(this.#leavingTimer)
    this.#grace?.stop()
    this.#stopWatching()
    const { begun, notBegun } = this.#deliveries.close()
    const { id, lastMemoryBytes } = this
    const known = {
      id,
      lastMemoryBytes,
      atMs: this.#room.clock(),
      memory: () => this.#process.memory(),
      log: this.#log,
    }
    void settleBegun(begun, ending, known).then(() => {
      this.#channel.close()
      this.#channelEnded()
      this.#process.kill()
    })
    this.#events.onDead(this, ending, notBegun)
  }

  #wake(): void {
    this.#isResting = false
    this.#process.thaw?.().catch((error: unknown) => this.#break(`it cannot be thawed: ${String(error)}`))
  }

  #becomeIdle(): void {
    this.#state = 'idle'
    this.idleSinceMs = this.#room.clock()
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
