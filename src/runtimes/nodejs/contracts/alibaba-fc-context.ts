import type { Host, LogLevel } from '../contract.ts'
import { PROMISE_GENERATION } from './alibaba-fc-errors.ts'

/** What the host's half of the contract says once per instance. */
export interface InstanceContext {
  /** The runtime name's number: `[20]` for nodejs20. */
  readonly generation: readonly number[]
  readonly region: string
  readonly accountId: string
  readonly credentials: {
    readonly accessKeyId: string
    readonly accessKeySecret: string
    readonly securityToken: string
  }
  readonly function: {
    readonly name: string
    readonly handler: string
    /** MB. */
    readonly memory: number
    /** Seconds. */
    readonly timeout: number
    readonly initializer?: string
    /** Seconds. */
    readonly initializationTimeout?: number
  }
  readonly service: {
    readonly name: string
    readonly logProject: string
    readonly logStore: string
    readonly qualifier: string
    readonly versionId: string
  }
}

type Log = (...values: unknown[]) => void
type Logger = Readonly<Record<LogLevel, Log>>

/** The `context` of one call. Every call has objects of its own, because code may write to them. */
export class Context {
  readonly requestId: string
  readonly credentials: InstanceContext['credentials']
  readonly function: Record<string, unknown>
  readonly service: Record<string, unknown>
  readonly region: string
  readonly accountId: string
  readonly retryCount: number
  readonly tracing = { openTracingSpanContext: '', openTracingSpanBaggages: {}, jaegerEndpoint: '' }
  /** Set by code: the answer then waits until the event loop is empty. From nodejs18 on. */
  waitsForEmptyEventLoopBeforeCallback?: boolean
  readonly #host: Host
  #logger: Logger | undefined

  constructor(
    instance: InstanceContext,
    host: Host,
    requestId: string,
    retryCount: number | undefined,
    qualifier: string | undefined,
  ) {
    this.requestId = requestId
    this.credentials = { ...instance.credentials }
    this.function = { ...instance.function }
    this.service = qualifier === undefined ? { ...instance.service } : { ...instance.service, qualifier }
    this.region = instance.region
    this.accountId = instance.accountId
    this.retryCount = retryCount ?? 0
    if ((instance.generation[0] ?? 0) >= PROMISE_GENERATION) this.waitsForEmptyEventLoopBeforeCallback = false
    this.#host = host
  }

  /** Lines with the request id of this call, whichever call is running when they are written. Made when first used. */
  get logger(): Logger {
    this.#logger ??= loggerFor(this.#host, this.requestId)
    return this.#logger
  }
}

function loggerFor(host: Host, requestId: string): Logger {
  const printer =
    (level: LogLevel): Log =>
    (...values) =>
      host.logValues(level, requestId, values)
  return {
    debug: printer('debug'),
    info: printer('info'),
    warn: printer('warn'),
    error: printer('error'),
    log: printer('log'),
  }
}
