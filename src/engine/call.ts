import type { HandlerContract } from '../contracts/contract.ts'
import type { EngineError } from '../model/errors.ts'
import type { FunctionVersion } from '../model/function.ts'
import type { Caller, InvokeRequest } from '../model/invocation.ts'
import type { Ending, Measured, Outcome } from '../model/outcome.ts'
import { payloadBeginning } from '../model/payload.ts'
import { CallLog, tailOf, type LogKeeper } from './call-log.ts'

/** Kept of what a call returned, bytes, where the contract shows it with its logs. */
const KEPT_RESULT_BYTES = 4096
/** Kept of an error type: the code chooses it. */
const KEPT_REASON_CHARACTERS = 256

/** What an instance knows about a call when it ends. */
export interface Figures {
  readonly instanceId: string
  readonly durationMs: number
  readonly maxMemoryBytes: number
}

/**
 * One call inside the engine, from admission to its outcome.
 *
 * It waits in a crew's queue, is delivered to an instance (perhaps several times, each time only after it was certain that it had not begun) and
 * is settled exactly once.
 */
export class Call {
  readonly version: FunctionVersion
  readonly request: InvokeRequest
  readonly caller: Caller
  readonly contract: HandlerContract
  /** Monotonic milliseconds. */
  readonly enteredAtMs: number
  /** Set at each delivery: whether the call waited while this instance was started, and how long the start took. */
  coldStart = false
  initDurationMs = 0
  /** Set at each delivery: the frame id, and its place among the calls of its ticket epoch, counted from 1; 0 once known to have begun. */
  callId = 0
  epoch = 0
  ordinal = 0
  /** Monotonic milliseconds. */
  deliveredAtMs = 0
  /** Monotonic milliseconds from which it is taken to be running; 0 while it is not. */
  runningSinceMs = 0
  /** Most memory that samples of its instance saw while it ran, bytes; 0 when none was taken. */
  sampledBytes = 0
  /** Times it was taken back unbegun from an instance that ended. */
  redeliveries = 0
  readonly #logs: LogKeeper
  /** Made when the code logs something: most calls need none. */
  #log: CallLog | undefined
  #opened = false
  #settled = false
  readonly #resolve: (outcome: Outcome) => void
  readonly #reject: (error: EngineError) => void

  constructor(
    given: {
      version: FunctionVersion
      request: InvokeRequest
      caller: Caller
      contract: HandlerContract
      enteredAtMs: number
      logs: LogKeeper
    },
    resolve: (outcome: Outcome) => void,
    reject: (error: EngineError) => void,
  ) {
    this.version = given.version
    this.request = given.request
    this.caller = given.caller
    this.contract = given.contract
    this.enteredAtMs = given.enteredAtMs
    this.#logs = given.logs
    this.#resolve = resolve
    this.#reject = reject
  }

  get settled(): boolean {
    return this.#settled
  }

  /** What the code logs during it. */
  get log(): CallLog {
    this.#log ??= new CallLog((text, piece) =>
      this.#logs.keep(this.version, this.request.requestId, text, piece),
    )
    return this.#log
  }

  /** Whether its log has its opening. */
  get logBegun(): boolean {
    return this.#opened
  }

  /** Adds text the code wrote during this call. */
  addLog(text: Buffer): void {
    this.openLog()
    this.log.append(text)
  }

  /** Writes the contract's opening, once. */
  openLog(): void {
    if (this.#opened) return
    this.#opened = true
    const opening = this.contract.logOpening({ requestId: this.request.requestId, version: this.version })
    this.log.append(opening)
  }

  /** Ends the call with what the function did. A caller who hung up turns every ending into `cancelled`. */
  settle(ending: Ending, figures: Figures): void {
    if (this.#settled) return
    this.#settled = true
    this.caller.onGone = undefined
    const final: Ending = this.caller.gone ? { kind: 'cancelled' } : ending
    const measured: Omit<Measured, 'logTail'> = {
      version: this.version,
      instanceId: figures.instanceId,
      coldStart: this.coldStart,
      durationMs: figures.durationMs,
      billedDurationMs: Math.ceil(figures.durationMs),
      initDurationMs: this.initDurationMs,
      maxMemoryBytes: figures.maxMemoryBytes,
    }
    const logged = { requestId: this.request.requestId, version: this.version }
    const opening = this.#opened ? '' : this.contract.logOpening(logged)
    this.#opened = true
    const framing = opening + this.contract.logClosing(logged, final, measured)
    const log = this.#log
    const text = log === undefined ? framing : log.close(framing)
    this.#logs.ended(
      this.version,
      {
        requestId: logged.requestId,
        ending: final.kind,
        reason: reasonOf(final),
        durationMs: measured.durationMs,
        billedDurationMs: measured.billedDurationMs,
        maxMemoryBytes: measured.maxMemoryBytes,
        retryCount: this.request.retryCount,
        log: text,
        result:
          this.contract.keepsResults && 'payload' in final
            ? payloadBeginning(final.payload, KEPT_RESULT_BYTES)
            : undefined,
      },
      log?.pieces ?? 0,
    )
    const logTail = log === undefined ? () => tailOf(Buffer.from(text)) : () => log.tail()
    this.#resolve(Object.assign(measured, final, { logTail }))
  }

  /** Ends the call that was never given to the function. */
  refuse(error: EngineError): void {
    if (this.#settled) return
    this.#settled = true
    this.caller.onGone = undefined
    this.#log?.flush()
    this.#reject(error)
  }
}

/** Error type or cause of an ending that is no success. */
function reasonOf(ending: Ending): string | undefined {
  switch (ending.kind) {
    case 'threw':
    case 'initFailed':
      return ending.errorType.slice(0, KEPT_REASON_CHARACTERS)
    case 'crashed':
      return ending.cause
    case 'returned':
    case 'timedOut':
    case 'cancelled':
    case 'terminated':
      return undefined
  }
}
