import type { Call, CallEnd, Failure } from '../call.ts'
import type { Contract, Host, LogLevel, Setup } from '../contract.ts'
import { RESULT_FLAG } from '../frames.ts'
import { loadFunction, type UserFunction } from '../loader.ts'
import { isThenable, plainText } from '../unknown.ts'
import { Context, type InstanceContext } from './alibaba-fc-context.ts'
import {
  failureOf,
  handledEnd,
  MAX_RESULT_BYTES,
  PROMISE_GENERATION,
  tooLargeEnd,
  uncaughtEnd,
  unhandledEnd,
} from './alibaba-fc-errors.ts'
import { LineFormat } from './alibaba-fc-lines.ts'

/** The members of the INVOKE meta; see `perCall` of the host's half. */
interface CallMeta {
  readonly requestId: string
  readonly retryCount?: number
  readonly qualifier?: string
}

type Callback = (error?: unknown, value?: unknown) => void

const SUCCEEDED_EMPTY: CallEnd = Object.freeze({ flag: RESULT_FLAG.returned, payload: '' })

/**
 * Function Compute's handler contract for Node.js: `(event: Buffer, context, callback)`.
 *
 * Up to nodejs16 the result is what reaches the callback; from nodejs18 on also what a returned promise becomes.
 */
class AlibabaFc implements Contract {
  readonly #setup: Setup
  readonly #host: Host
  readonly #instance: InstanceContext
  readonly #generation: number
  readonly #lines: LineFormat
  #handler: UserFunction = () => undefined

  constructor(setup: Setup, host: Host) {
    this.#setup = setup
    this.#host = host
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the host's half of this contract wrote it
    this.#instance = setup.context as unknown as InstanceContext
    this.#generation = this.#instance.generation[0] ?? PROMISE_GENERATION
    this.#lines = new LineFormat(this.#generation, () => process.env['ALIYUN_FC_LOG_LEVEL'])
  }

  async load(): Promise<void> {
    const announced = this.#generation < PROMISE_GENERATION
    if (announced) process.stdout.write(`load code for handler:${this.#setup.handler}\n`)
    this.#handler = await loadFunction(this.#setup.codeDir, this.#setup.handler)
    if (announced) process.stdout.write('FunctionCompute nodejs runtime inited.\n')
  }

  async initialize(): Promise<void> {
    const name = this.#setup.initializer
    if (name === undefined) return
    const initializer = await loadFunction(this.#setup.codeDir, name)
    const context = new Context(this.#instance, this.#host, this.#setup.requestId, undefined, undefined)
    await new Promise<void>((resolve, reject) => {
      const returned = initializer(context, (error?: unknown) => {
        if (error) reject(error)
        else resolve()
      })
      if (this.#generation >= PROMISE_GENERATION && isThenable(returned)) {
        returned.then(() => resolve(), reject)
      }
    })
  }

  invoke(call: Call): void {
    const meta: CallMeta = JSON.parse(call.meta)
    call.requestId = meta.requestId
    const context = new Context(this.#instance, this.#host, meta.requestId, meta.retryCount, meta.qualifier)
    const callback: Callback = (error, value) => {
      if (call.settled) return
      const end = error
        ? this.#reported(call, handledEnd(error, this.#generation))
        : this.#succeeded(call, value)
      if (context.waitsForEmptyEventLoopBeforeCallback === true) {
        this.#host.whenEventLoopEmpty(() => this.#host.settle(call, end))
      } else {
        this.#host.settle(call, end)
      }
    }
    try {
      const returned = this.#handler(call.event, context, callback)
      if (this.#generation >= PROMISE_GENERATION && isThenable(returned)) {
        returned.then(
          (value) => this.#host.settle(call, this.#succeeded(call, value)),
          (error: unknown) => this.#fail(call, error),
        )
      }
    } catch (error) {
      this.#fail(call, error)
    }
  }

  bounded(call: Call, end: CallEnd): CallEnd {
    const { payload } = end
    const isSmall =
      typeof payload !== 'string'
        ? payload.length <= MAX_RESULT_BYTES
        : payload.length * 3 <= MAX_RESULT_BYTES
    if (isSmall || Buffer.byteLength(payload) <= MAX_RESULT_BYTES) return end
    return this.#reported(call, tooLargeEnd())
  }

  failureOf(error: unknown): Failure {
    const failure = failureOf(error, this.#generation)
    this.#report(this.#host.requestId(), failure.body)
    return failure
  }

  uncaught(error: unknown): CallEnd & Failure {
    const stack = error instanceof Error ? (error.stack ?? String(error)) : String(error)
    this.#host.logLine('error', this.#host.requestId(), stack)
    return uncaughtEnd()
  }

  formatLine(level: LogLevel, requestId: string, text: string): string | undefined {
    return this.#lines.format(level, requestId, text)
  }

  #fail(call: Call, error: unknown): void {
    if (call.settled) return
    this.#host.settle(call, this.#reported(call, unhandledEnd(error, this.#generation)))
  }

  #succeeded(call: Call, value: unknown): CallEnd {
    if (value === undefined || value === null) return SUCCEEDED_EMPTY
    try {
      return { flag: RESULT_FLAG.returned, payload: serialised(value) }
    } catch (error) {
      return this.#reported(call, unhandledEnd(error, this.#generation))
    }
  }

  #reported(call: Call, end: CallEnd): CallEnd {
    this.#report(call.requestId, String(end.payload))
    return end
  }

  /** The vendor's agent also prints what it answers for a failure: for an asynchronous call, the only place to read it. */
  #report(requestId: string, body: string): void {
    this.#host.logLine('error', requestId, body)
  }
}

function serialised(value: unknown): Buffer | string {
  if (typeof value === 'string' || Buffer.isBuffer(value)) return value
  if (typeof value === 'object') return JSON.stringify(value) ?? ''
  return plainText(typeof value === 'function' ? value.constructor : value)
}

export function createAlibabaFc(setup: Setup, host: Host): Contract {
  return new AlibabaFc(setup, host)
}
