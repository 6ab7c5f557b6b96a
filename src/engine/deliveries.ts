import type { Caller } from '../model/invocation.ts'
import type { Call } from './call.ts'
import { type TicketBook, TICKETS_AHEAD } from './ticket-book.ts'

/** Calls delivered to one instance and not answered; well within the tickets that are always in the book. */
const MAX_DELIVERED = TICKETS_AHEAD / 4
/** Tickets that were read take memory until their epoch ends: one byte for each call. */
const MAX_CALLS_PER_EPOCH = 64 * 1024
/** In place of an ordinal: known to have begun. */
const BEGUN = 0
/** Call ids are 32 bits wide. */
const LAST_CALL_ID = 2 ** 32 - 1

/**
 * The calls delivered to one instance and not answered, in their order, and the tickets that say which have begun.
 *
 * The first `concurrency` of them are taken to be running; those behind were delivered ahead.
 */
export class Deliveries {
  readonly #concurrency: number
  readonly #book: TicketBook
  readonly #calls: Call[] = []
  #nextCallId = 1
  #inEpoch = 0

  /** @param book The process's; from here on theirs, who close it. */
  constructor(book: TicketBook, concurrency: number) {
    this.#concurrency = concurrency
    this.#book = book
  }

  get count(): number {
    return this.#calls.length
  }

  get first(): Call | undefined {
    return this.#calls[0]
  }

  /** Calls that wait for their turn. */
  get ahead(): number {
    return Math.max(0, this.#calls.length - this.#concurrency)
  }

  get isFull(): boolean {
    return this.#calls.length >= MAX_DELIVERED
  }

  /** Whether {@link takeBack} should begin a new epoch before the next call is added. */
  get epochIsLong(): boolean {
    return this.#inEpoch >= MAX_CALLS_PER_EPOCH
  }

  /** The calls that are taken to be running. */
  get running(): readonly Call[] {
    return this.#calls.slice(0, this.#concurrency)
  }

  /** How long the longest-running call has run, milliseconds; 0 when there is none. */
  runningForMs(nowMs: number): number {
    const [oldest] = this.#calls
    return oldest === undefined ? 0 : nowMs - oldest.runningSinceMs
  }

  /** How long the oldest call that is not known to have begun has been taken to be running, milliseconds; else 0. */
  unprovenForMs(nowMs: number): number {
    if (this.#inEpoch === 0) return 0
    const oldest = this.#calls.find(({ ordinal }) => ordinal > BEGUN)
    return oldest === undefined || oldest.runningSinceMs === 0 ? 0 : nowMs - oldest.runningSinceMs
  }

  /** Numbers a call and puts it last. @returns Whether it is taken to be running at once. */
  add(call: Call, nowMs: number): boolean {
    this.#inEpoch += 1
    call.callId = this.#nextCallId
    call.epoch = this.#book.epoch
    call.ordinal = this.#inEpoch
    call.deliveredAtMs = nowMs
    this.#nextCallId = this.#nextCallId === LAST_CALL_ID ? 1 : this.#nextCallId + 1
    this.#book.provideFor(this.#inEpoch)
    this.#calls.push(call)
    const isRunning = this.#calls.length <= this.#concurrency
    call.runningSinceMs = isRunning ? nowMs : 0
    return isRunning
  }

  find(callId: number): Call | undefined {
    return this.#calls.find((call) => call.callId === callId)
  }

  /** Whether the call of this caller is among them. Looks at all of them. */
  holds(caller: Caller): boolean {
    return this.#calls.some((call) => call.caller === caller)
  }

  /** Takes an answered call out, which lets the next one run. */
  remove(callId: number, nowMs: number): Call | undefined {
    const index = this.#calls.findIndex((call) => call.callId === callId)
    const call = this.#calls[index]
    if (call === undefined) return undefined
    if (index === 0) this.#calls.shift()
    else this.#calls.splice(index, 1)
    const next = this.#calls[this.#concurrency - 1]
    if (next !== undefined && next.runningSinceMs === 0) next.runningSinceMs = nowMs
    return call
  }

  /** Monotonic milliseconds since which the longest-running call is taken to be running; undefined when none is. */
  get runningSinceMs(): number | undefined {
    let since: number | undefined
    for (let index = 0; index < this.#concurrency; index += 1) {
      const call = this.#calls[index]
      if (call === undefined) break
      if (since === undefined || call.runningSinceMs < since) since = call.runningSinceMs
    }
    return since
  }

  /** Takes out, exactly, the calls that have not begun, in their order: from here on they never will. */
  takeBack(): readonly Call[] {
    if (this.#calls.length === 0 || this.#inEpoch === 0) return []
    this.#inEpoch = 0
    return this.#takeAfter(this.#book.revoke())
  }

  /** How many tickets the process has taken since the last {@link takeBack}; undefined where that cannot be told. */
  ticketsTaken(): number | undefined {
    return this.#book.taken()
  }

  /** Ends the book: nothing delivered begins any more. Both in their order. */
  close(): { readonly begun: readonly Call[]; readonly notBegun: readonly Call[] } {
    const notBegun = this.#takeAfter(this.#book.close())
    return { begun: this.#calls.splice(0), notBegun }
  }

  #takeAfter(begun: number): readonly Call[] {
    const kept: Call[] = []
    const notBegun: Call[] = []
    for (const call of this.#calls) {
      if (call.ordinal > begun) notBegun.push(call)
      else {
        // Epochs come round again: a call that outlives its epoch is told by this, not by the epoch's number.
        call.ordinal = BEGUN
        kept.push(call)
      }
    }
    if (notBegun.length > 0) this.#calls.splice(0, this.#calls.length, ...kept)
    return notBegun
  }
}
