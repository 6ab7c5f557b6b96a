import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import type { Apis } from './apis.ts'
import { NoAnswer } from './connection.ts'
import type { CrashFunction } from './functions.ts'
import type { Gate } from './gate.ts'
import { labelOf, type CallRecord, type Ledger } from './ledger.ts'
import { plannedCall } from './plan.ts'

const CALLERS = 4
/** Calls that are handed over at once, just before a kill. */
const VOLLEY_CALLS = 6
/** Calls that run and are stopped then. */
const VOLLEY_STOPS = 2
/** Between two calls of one caller. */
const PAUSE_MS = 120
/** Calls that are known to go on: more are not made until some have ended. */
const MOST_LIVE = 40
/** How often calls are looked at, and how many then. */
const LOOK_EVERY_MS = 150
const LOOKS_AT_ONCE = 12
/** After a refusal, as clients do. */
const REFUSED_PAUSE_MS = 200

export interface LoadParts {
  readonly apis: Apis
  readonly ledger: Ledger
  readonly gate: Gate
  readonly seed: number
  readonly functions: readonly CrashFunction[]
}

/** Callers that hand over calls, stop some, and look at them, for as long as they are let. What they see goes into the ledger. */
export class Load {
  readonly #parts: LoadParts
  readonly #pending = new Set<Promise<void>>()
  #over = false
  #next = 0
  #lookFrom = 0
  #callers: Promise<unknown> = Promise.resolve()
  /** Submissions that were asked again by their own ids. */
  askedAgain = 0
  looks = 0

  constructor(parts: LoadParts) {
    this.#parts = parts
  }

  begin(): void {
    this.#callers = Promise.all([...Array.from({ length: CALLERS }, () => this.#call()), this.#look()])
  }

  /** Hands over no more; resolves when all that was asked has been answered. The server must be there. */
  async end(): Promise<void> {
    this.#over = true
    await this.#callers
    while (this.#pending.size > 0) await Promise.all(this.#pending)
  }

  /** Hands over a few calls at once, asks for the end of some that run, and waits for nothing. */
  volley(): void {
    for (let count = 0; count < VOLLEY_CALLS; count += 1) this.#later('submitting', this.#handOver())
    const running = [...this.#parts.ledger.calls.values()].filter(isRunning)
    for (const call of running.slice(0, VOLLEY_STOPS))
      this.#later(`the stop of ${labelOf(call)}`, this.#stop(call))
  }

  async #call(): Promise<void> {
    const { ledger, gate } = this.#parts
    while (!this.#over) {
      await gate.opened()
      if (ledger.live < MOST_LIVE) await this.#handOver()
      await delay(PAUSE_MS)
    }
  }

  async #handOver(): Promise<void> {
    const { ledger, seed, functions } = this.#parts
    const plan = plannedCall(seed, this.#next, functions)
    this.#next += 1
    const call = ledger.plan(plan)
    await this.#submit(call)
    if (call.submission === 'refused') await delay(REFUSED_PAUSE_MS)
    else if (call.submission === 'accepted' && plan.stopAfterMs !== undefined) {
      const { stopAfterMs } = plan
      this.#later(
        `the stop of ${labelOf(call)}`,
        delay(stopAfterMs).then(() => this.#stop(call)),
      )
    }
  }

  /** A call whose answer did not come is handed over again where it has an id of its own: it is there only once. */
  async #submit(call: CallRecord): Promise<void> {
    const { apis, ledger, gate } = this.#parts
    for (;;) {
      try {
        const taken = await apis.submit(call)
        if (taken.kind === 'accepted') ledger.accept(call, taken.requestId)
        else if (taken.kind === 'refused') call.submission = 'refused'
        else if (taken.kind === 'taken' && call.submission === 'unknown') await this.#recognise(call)
        else {
          call.submission = 'unknown'
          ledger.violate(`${labelOf(call)} was answered with ${taken.words}`)
        }
        return
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error
        if (!error.isUnsent) call.submission = 'unknown'
        else if (call.submission === 'pending') call.submission = 'unsent'
        gate.close()
        if (call.submission !== 'unknown' || call.plan.door !== 'fc-own-id') return
      }
      await gate.opened()
      this.askedAgain += 1
    }
  }

  /** Its id is taken: the answer that did not come would have been that it is accepted. */
  async #recognise(call: CallRecord): Promise<void> {
    const { apis, ledger } = this.#parts
    const task = await apis.task(call)
    const requestId = task?.['requestId']
    if (typeof requestId === 'string') ledger.accept(call, requestId)
    else ledger.violate(`${labelOf(call)}: its id is taken, and there is no such task`)
  }

  #later(what: string, work: Promise<void>): void {
    const watched = work
      .catch((error: unknown) => this.#parts.ledger.violate(`${what} failed: ${String(error)}`))
      .finally(() => this.#pending.delete(watched))
    this.#pending.add(watched)
  }

  /** Asks until there is an answer. */
  async #stop(call: CallRecord): Promise<void> {
    const { apis, ledger, gate } = this.#parts
    if (call.stop !== undefined) return
    call.stop = 'asked'
    for (;;) {
      await gate.opened()
      try {
        const answer = await apis.stop(call)
        if (typeof answer === 'object')
          return ledger.violate(`${labelOf(call)}: its stop was answered with ${answer.unexpected}`)
        call.stop = answer
        call.overAtMs ??= performance.now()
        return
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error
        gate.close()
      }
    }
  }

  /** Looks at those that go on, in turn: so the harness knows which have ended. */
  async #look(): Promise<void> {
    const { apis, ledger, gate } = this.#parts
    while (!this.#over) {
      await gate.opened()
      const open = [...ledger.calls.values()].filter(isOpen)
      const from = open.length === 0 ? 0 : this.#lookFrom % open.length
      this.#lookFrom += LOOKS_AT_ONCE
      try {
        for (const call of [...open.slice(from), ...open.slice(0, from)].slice(0, LOOKS_AT_ONCE)) {
          if (this.#over) break
          await lookAt(call, apis, ledger)
          this.looks += 1
        }
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error
        gate.close()
      }
      await delay(LOOK_EVERY_MS)
    }
  }
}

/** Notes how an accepted call looks. @throws {NoAnswer} */
export async function lookAt(call: CallRecord, apis: Apis, ledger: Ledger): Promise<void> {
  const sight = await apis.look(call)
  if (sight === undefined) ledger.violate(`${labelOf(call)} was accepted, and is not there: lost`)
  else ledger.see(call, sight)
}

function isRunning({ submission, stop, overAtMs, runs }: CallRecord): boolean {
  const isOn = submission === 'accepted' && stop === undefined && overAtMs === undefined
  return isOn && runs.at(-1)?.hasEnded === false
}

function isOpen({ submission, ended }: CallRecord): boolean {
  return submission === 'accepted' && ended === undefined
}
