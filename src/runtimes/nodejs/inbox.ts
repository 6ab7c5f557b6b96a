import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import { setImmediate } from 'node:timers'
import type { Call, CallEnd } from './call.ts'
import type { Channel } from './channel.ts'
import { FRAME } from './frames.ts'
import { type MemoryPeak, nowMs } from './measure.ts'
import type { TicketBook } from './tickets.ts'

/**
 * Calls delivered ahead, started strictly in order.
 *
 * At most one call starts per turn of the event loop: what the one before left in microtasks, timers or rejections is
 * then over or reported, queued calls cannot starve the code's own timers, and the stack never grows.
 */
export class Inbox {
  readonly #channel: Channel
  readonly #tickets: TicketBook
  readonly #peak: MemoryPeak
  readonly #concurrency: number
  readonly #invoke: (call: Call) => void
  /** Answers over the limit of the contract, as an end of their own. */
  readonly #bounded: (call: Call, end: CallEnd) => CallEnd
  /** Turns begin in this context, so that a call never inherits the async context of the one before. */
  readonly #root = new AsyncResource('AnvokeInbox')
  /** Which call is running here; only kept where several can. */
  readonly #attribution: AsyncLocalStorage<Call> | undefined
  readonly #running = new Set<Call>()
  #current: Call | undefined
  #queue: (Call | undefined)[] = []
  #head = 0
  #turnPlanned = false
  #lastRequestId: string

  constructor(parts: {
    channel: Channel
    tickets: TicketBook
    peak: MemoryPeak
    concurrency: number
    /** The call the instance was set up for: lines before the first call carry it. */
    requestId: string
    invoke: (call: Call) => void
    bounded: (call: Call, end: CallEnd) => CallEnd
  }) {
    this.#channel = parts.channel
    this.#tickets = parts.tickets
    this.#peak = parts.peak
    this.#concurrency = parts.concurrency
    this.#lastRequestId = parts.requestId
    this.#invoke = parts.invoke
    this.#bounded = parts.bounded
    this.#attribution = parts.concurrency > 1 ? new AsyncLocalStorage<Call>() : undefined
    this.#channel.onIdle = () => this.#planTurn()
  }

  /** Calls that have begun and are not answered. */
  get running(): readonly Call[] {
    return this.#attribution === undefined
      ? this.#current === undefined
        ? []
        : [this.#current]
      : [...this.#running]
  }

  /** The call that what is written now belongs to. */
  get current(): Call | undefined {
    if (this.#attribution === undefined) return this.#current
    const call = this.#attribution.getStore()
    return call === undefined || call.settled ? undefined : call
  }

  /** The request id for lines written now: of the current call, else of the one that ended before. */
  get requestId(): string {
    const call = this.#attribution === undefined ? this.#current : this.#attribution.getStore()
    return call === undefined ? this.#lastRequestId : call.requestId
  }

  add(call: Call): void {
    this.#queue.push(call)
  }

  /** A batch of frames has arrived: the first call starts in this turn, others in turns of their own. */
  batchAdded(): void {
    if (!this.#turnPlanned) this.#turn()
  }

  /** Ends a running call and hands its RESULT to the kernel. Ends after the first are ignored. */
  settle(call: Call, unbounded: CallEnd): void {
    if (call.settled) return
    const { flag, errorType, payload } = this.#bounded(call, unbounded)
    call.settled = true
    const durationMs = Math.round((nowMs() - call.startedAtMs) * 1000) / 1000
    const figures = `{"durationMs":${durationMs},"peakKib":${this.#peak.read()}`
    const meta =
      errorType === undefined
        ? `${figures}}`
        : `${figures},"errorType":${JSON.stringify(clipped(errorType))}}`
    this.#channel.send(FRAME.result, flag, call.id, meta, payload)
    if (this.#attribution === undefined) {
      this.#current = undefined
      this.#lastRequestId = call.requestId
    } else {
      this.#running.delete(call)
    }
    if (this.#head < this.#queue.length) this.#planTurn()
  }

  get #hasRoom(): boolean {
    return this.#attribution === undefined
      ? this.#current === undefined
      : this.#running.size < this.#concurrency
  }

  #planTurn(): void {
    if (this.#turnPlanned) return
    this.#turnPlanned = true
    this.#root.runInAsyncScope(planImmediate, undefined, this.#plannedTurn)
  }

  readonly #plannedTurn = (): void => {
    this.#turnPlanned = false
    this.#turn()
  }

  #turn(): void {
    while (this.#hasRoom && this.#channel.idle) {
      const call = this.#next()
      if (call === undefined) return
      if (!this.#tickets.take(call.epoch)) continue
      this.#start(call)
      if (this.#head < this.#queue.length && this.#hasRoom) this.#planTurn()
      return
    }
  }

  #start(call: Call): void {
    if (this.#attribution === undefined) {
      this.#current = call
      this.#peak.reset()
      call.startedAtMs = nowMs()
      this.#invoke(call)
    } else {
      if (this.#running.size === 0) this.#peak.reset()
      this.#running.add(call)
      call.startedAtMs = nowMs()
      this.#attribution.run(call, this.#invoke, call)
    }
  }

  #next(): Call | undefined {
    const call = this.#queue[this.#head]
    if (call === undefined) return undefined
    this.#queue[this.#head++] = undefined
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0
      this.#head = 0
    } else if (this.#head >= 1024) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
    return call
  }
}

const planImmediate = (turn: () => void): void => {
  setImmediate(turn)
}

/** An error's name is the code's own text; the meta part of a frame has an end. */
function clipped(errorType: string): string {
  return errorType.length > 1024 ? errorType.slice(0, 1024) : errorType
}
