import type { Call, CallEnd, Failure } from '../call.ts'
import type { Contract, Host, LogLevel, Setup } from '../contract.ts'
import { RESULT_FLAG } from '../frames.ts'
import { jsonEventOf } from '../json-event.ts'
import { loadFunction, type UserFunction } from '../loader.ts'
import { nowMs } from '../measure.ts'
import { isThenable, plainText } from '../unknown.ts'
import { type CallFacts, Context, type InstanceContext } from './huawei-functiongraph-context.ts'
import {
  EntryError,
  invalidResultEnd,
  loggedText,
  reportedEnd,
  startFailure,
  thrownEnd,
  tooLargeEnd,
} from './huawei-functiongraph-errors.ts'
import { recordOf } from './huawei-functiongraph-logger.ts'

/** The members of the INVOKE meta; see `perCall` of the host's half. */
interface CallMeta {
  readonly requestId: string
  readonly qualifier?: string
}

type Callback = (error?: unknown, value?: unknown) => void

/** The first runtime that awaits a returned promise, and takes handlers without a callback. */
const PROMISE_GENERATION = 8

/**
 * FunctionGraph's handler contract for Node.js: `(event, context, callback)`.
 *
 * The result is what reaches the callback first, or what a returned promise becomes; what a handler returns otherwise is ignored.
 */
class HuaweiFunctionGraph implements Contract {
  readonly #setup: Setup
  readonly #host: Host
  readonly #instance: InstanceContext
  readonly #startedAtMs = nowMs()
  #isLoaded = false
  #handler: UserFunction = () => undefined

  constructor(setup: Setup, host: Host) {
    this.#setup = setup
    this.#host = host
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the host's half of this contract wrote it
    this.#instance = setup.context as unknown as InstanceContext
  }

  async load(): Promise<void> {
    const handler = await loadFunction(this.#setup.codeDir, this.#setup.handler)
    const { length } = handler
    if (this.#awaitsPromises ? length !== 2 && length !== 3 : length !== 3) {
      const expected = this.#awaitsPromises ? '2 or 3' : '3'
      throw new EntryError(
        'FunctionLoadError',
        `handler expect to have ${expected} parameters, but received ${length}`,
      )
    }
    this.#handler = handler
    this.#isLoaded = true
  }

  async initialize(): Promise<void> {
    const name = this.#setup.initializer
    if (name === undefined) return
    const initializer = await loadFunction(this.#setup.codeDir, name)
    const { length } = initializer
    if (length !== 2 && !isAsync(initializer)) {
      throw new EntryError(
        'FunctionConfigError',
        `initializer expect to have 2 parameters, but received ${length}`,
      )
    }
    const { requestId } = this.#setup
    const context = this.#context({
      requestId,
      alias: '',
      elapsedMs: () => nowMs() - this.#startedAtMs,
    })
    await new Promise<void>((resolve, reject) => {
      const returned = initializer(context, (error: unknown = {}) => {
        if (error) reject(error)
        else resolve()
      })
      if (this.#awaitsPromises && isThenable(returned)) returned.then(() => resolve(), reject)
    })
  }

  invoke(call: Call): void {
    const { requestId, qualifier }: CallMeta = JSON.parse(call.meta)
    call.requestId = requestId
    const context = this.#context({
      requestId,
      alias: qualifier === undefined || qualifier === this.#instance.version ? '' : qualifier,
      elapsedMs: () => nowMs() - call.startedAtMs,
    })
    // Without an argument it counts as an error, as with the vendor.
    const callback: Callback = (error = {}, value) => {
      if (call.settled) return
      if (error) this.#fail(call, error, reportedEnd(error))
      else this.#succeed(call, value)
    }
    try {
      const returned = this.#handler(jsonEventOf(call.event), context, callback)
      if (this.#awaitsPromises && isThenable(returned)) {
        returned.then(
          (value) => this.#succeed(call, value),
          (error: unknown) => this.#fail(call, error, thrownEnd(error, this.#setup.codeDir)),
        )
      }
    } catch (error) {
      this.#fail(call, error, thrownEnd(error, this.#setup.codeDir))
    }
  }

  bounded(call: Call, end: CallEnd): CallEnd {
    const { payload } = end
    const { maxResultBytes } = this.#instance
    if (typeof payload === 'string' && payload.length * 3 <= maxResultBytes) return end
    const byteLength = Buffer.byteLength(payload)
    if (byteLength <= maxResultBytes) return end
    const refusal = tooLargeEnd(byteLength, maxResultBytes)
    this.#log(call.requestId, `response body size ${byteLength} exceeds the limit of ${maxResultBytes}`)
    return refusal
  }

  failureOf(error: unknown): Failure {
    const { codeDir, handler, initializer = '' } = this.#setup
    this.#log(this.#host.requestId(), loggedText(error, codeDir))
    return startFailure(error, this.#isLoaded, this.#isLoaded ? initializer : handler, codeDir)
  }

  uncaught(error: unknown): CallEnd & Failure {
    const { codeDir } = this.#setup
    this.#log(this.#host.requestId(), loggedText(error, codeDir))
    return thrownEnd(error, codeDir)
  }

  /** What is printed stays as it is. */
  formatLine(_level: LogLevel, _requestId: string, text: string): string {
    return `${text}\n`
  }

  get #awaitsPromises(): boolean {
    return this.#instance.generation >= PROMISE_GENERATION
  }

  #context(call: Omit<CallFacts, 'write'>): Context {
    return new Context(this.#instance, {
      ...call,
      write: (level, line) => this.#host.logLine(level, call.requestId, line),
    })
  }

  #succeed(call: Call, value: unknown): void {
    if (call.settled) return
    try {
      this.#host.settle(call, { flag: RESULT_FLAG.returned, payload: serialised(value) })
    } catch (error) {
      this.#fail(call, error, invalidResultEnd(error))
    }
  }

  #fail(call: Call, error: unknown, end: CallEnd): void {
    if (call.settled) return
    this.#log(call.requestId, loggedText(error, this.#setup.codeDir))
    this.#host.settle(call, end)
  }

  /** The vendor's runtime also logs what it answers for a failure: for an asynchronous call, the only place to read it. */
  #log(requestId: string, text: string): void {
    this.#host.logLine('error', requestId, recordOf(requestId, 'ERROR', text))
  }
}

/** Objects and null as JSON, everything else as text. */
function serialised(value: unknown): string {
  if (value === undefined) return ''
  if (typeof value !== 'object') return plainText(value)
  const text: string | undefined = JSON.stringify(value)
  if (text === undefined) throw new TypeError('the value has no form in JSON')
  return text
}

function isAsync(value: UserFunction): boolean {
  return value.constructor.name === 'AsyncFunction'
}

export function createHuaweiFunctionGraph(setup: Setup, host: Host): Contract {
  return new HuaweiFunctionGraph(setup, host)
}
