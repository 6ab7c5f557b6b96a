import type { Call, CallEnd, Failure } from '../call.ts'
import type { Contract, Host, LogLevel, Setup } from '../contract.ts'
import { RESULT_FLAG } from '../frames.ts'
import { jsonEventOf } from '../json-event.ts'
import { loadFunction, type UserFunction } from '../loader.ts'
import { nowMs } from '../measure.ts'
import { isThenable } from '../unknown.ts'
import { type CallDoor, contextOf, type InstanceContext } from './tencent-scf-context.ts'
import {
  loadFailure,
  MAX_RESULT_BYTES,
  reportedEnd,
  thrownEnd,
  tooLargeEnd,
  unserialisableEnd,
} from './tencent-scf-errors.ts'

/** The first runtime that awaits a returned promise. */
const PROMISE_GENERATION = 8
/** The first runtime whose callback answers at once, whatever the event loop still holds. */
const EARLY_ANSWER_GENERATION = 10

const NOTHING: CallEnd = Object.freeze({ flag: RESULT_FLAG.returned, payload: 'null' })

/**
 * SCF's handler contract for Node.js: `main_handler(event, context, callback)`.
 *
 * The result is what reaches the callback first, or what a returned promise becomes; `null` when the event loop runs empty without
 * either. Up to Nodejs8.9 a callback's answer waits for an empty event loop unless the context says otherwise.
 */
class TencentScf implements Contract {
  readonly #setup: Setup
  readonly #host: Host
  readonly #instance: InstanceContext
  readonly #generation: number
  /** Calls that an empty event loop answers, and with what. */
  readonly #whenEmpty = new Map<Call, CallEnd>()
  #isListening = false
  #isLoaded = false
  #handler: UserFunction = () => undefined

  constructor(setup: Setup, host: Host) {
    this.#setup = setup
    this.#host = host
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the host's half of this contract wrote it
    this.#instance = setup.context as unknown as InstanceContext
    this.#generation = this.#instance.generation[0] ?? EARLY_ANSWER_GENERATION
  }

  async load(): Promise<void> {
    this.#handler = await loadFunction(this.#setup.codeDir, this.#setup.handler, { orWholeModule: true })
    this.#isLoaded = true
  }

  /** The vendor's functions have no initializer. */
  initialize(): Promise<void> {
    return Promise.resolve()
  }

  invoke(call: Call): void {
    const { requestId }: { readonly requestId: string } = JSON.parse(call.meta)
    call.requestId = requestId
    let isAnswered = false
    const door: CallDoor = {
      waits: true,
      elapsedMs: () => nowMs() - call.startedAtMs,
      callback: (error, value) => {
        if (isAnswered || call.settled) return
        isAnswered = true
        const end =
          error === undefined || error === null ? succeeded(value, requestId) : reportedEnd(error, requestId)
        if (door.waits && this.#generation < EARLY_ANSWER_GENERATION) this.#settleWhenEmpty(call, end)
        else this.#settle(call, end)
      },
    }
    try {
      const context = contextOf(this.#instance, requestId, door)
      const returned = this.#handler(jsonEventOf(call.event), context, door.callback)
      if (this.#generation >= PROMISE_GENERATION && isThenable(returned)) {
        const settle = (end: () => CallEnd): void => {
          if (isAnswered) return
          isAnswered = true
          this.#settle(call, end())
        }
        returned.then(
          (value) => settle(() => succeeded(value, requestId)),
          (error: unknown) => settle(() => thrownEnd(error, requestId)),
        )
      }
    } catch (error) {
      this.#settle(call, thrownEnd(error, requestId))
    }
    // Most handlers have answered once the microtasks are over, and need nobody to look at the event loop.
    queueMicrotask(() => {
      if (!call.settled && !isAnswered) this.#settleWhenEmpty(call, NOTHING)
    })
  }

  bounded(call: Call, end: CallEnd): CallEnd {
    const { payload } = end
    if (typeof payload === 'string' && payload.length * 3 <= MAX_RESULT_BYTES) return end
    return Buffer.byteLength(payload) <= MAX_RESULT_BYTES ? end : tooLargeEnd(call.requestId)
  }

  failureOf(error: unknown): Failure {
    return loadFailure(error, this.#host.requestId())
  }

  uncaught(error: unknown): CallEnd & Failure {
    const requestId = this.#host.requestId()
    const end = thrownEnd(error, requestId)
    return this.#isLoaded ? end : { ...end, ...loadFailure(error, requestId) }
  }

  formatLine(_level: LogLevel, requestId: string, text: string): string {
    return `${new Date().toISOString()}\t${requestId}\t${text}\n`
  }

  #settle(call: Call, end: CallEnd): void {
    this.#whenEmpty.delete(call)
    this.#host.settle(call, end)
  }

  #settleWhenEmpty(call: Call, end: CallEnd): void {
    this.#whenEmpty.set(call, end)
    if (this.#isListening) return
    this.#isListening = true
    this.#host.whenEventLoopEmpty(() => {
      this.#isListening = false
      for (const [waiting, ending] of this.#whenEmpty) this.#settle(waiting, ending)
    })
  }
}

function succeeded(value: unknown, requestId: string): CallEnd {
  if (value === undefined || value === null) return NOTHING
  try {
    return { flag: RESULT_FLAG.returned, payload: JSON.stringify(value) ?? 'null' }
  } catch (error) {
    return unserialisableEnd(error, requestId)
  }
}

export function createTencentScf(setup: Setup, host: Host): Contract {
  return new TencentScf(setup, host)
}
