import type { HandlerContract, InstanceFacts, LoggedCall } from '../contracts/contract.ts'
import { EMPTY_PAYLOAD } from '../model/payload.ts'
import { FRAME, type Frame } from './channel.ts'
import { errorTypeOf, metaOf, peakBytesOf } from './frame-meta.ts'
import type { InstanceEnding } from './instance-ending.ts'
import type { InstanceLog } from './instance-log.ts'

/** The HELLO flag this server speaks; `runtimes/protocol.md`. */
const PROTOCOL_VERSION = 1
/** Loading the code may take as long as a call, but never less than this. */
const MIN_LOAD_TIMEOUT_MS = 10_000

type FailureReason =
  | { readonly reason: 'threw' | 'crashed' }
  /** `afterMs`: what it was given. */
  | { readonly reason: 'timedOut'; readonly afterMs: number }

interface Given {
  /** The call it is for, or the start itself where none asked for it, gives its name to the initializer's log lines. */
  readonly wantedBy: LoggedCall
  readonly contract: HandlerContract
  readonly facts: InstanceFacts
  readonly startTimeoutMs: number
  /** Settles when the sandbox has everything in place. Default: it has. */
  readonly prepared: Promise<void> | undefined
  readonly log: InstanceLog
}

/** What the instance does at the turns of its start. */
interface StartEvents {
  /** SETUP is due, with this content. */
  onSetUp(content: string): void
  /** The initializer runs. */
  onLoaded(): void
  /** `memoryBytes`: the peak so far. */
  onReady(memoryBytes: number): void
  onFailed(ending: InstanceEnding, memoryBytes: number): void
  /** A frame that is not due. */
  onOutOfTurn(frame: Frame): void
}

/**
 * The start of one instance, from the request to its sandbox until READY: the states starting and initialising of `README.md`, by
 * what is waited for. It is in exactly one of four phases.
 *
 * **greeting.** HELLO comes once and the sandbox gets everything in place, in either order, within the start timeout. Both
 * there: SETUP is sent, and loading begins.
 *
 * **loading.** LOADED of a function with an initializer leads to initialising, READY of one without ends the start well.
 * Time: the function's timeout, at least 10 s.
 *
 * **initialising.** READY ends the start well. Time: the initializer's own timeout.
 *
 * **over.** It has ended, well or not; nothing leaves this phase, and no timer runs.
 *
 * Each frame has its one moment: out of turn it could reset a timer or fail the wrong call. A start that ends in greeting is a failed start,
 * one that ends in loading or initialising a failed initialisation: either is told to a call, or starts would go on for ever.
 */
export class InstanceStart {
  readonly #given: Given
  readonly #events: StartEvents
  #phase: 'greeting' | 'loading' | 'initialising' | 'over' = 'greeting'
  #hasGreeted = false
  #isPrepared: boolean
  #timer: NodeJS.Timeout | undefined

  constructor(given: Given, events: StartEvents) {
    this.#given = given
    this.#events = events
    const { startTimeoutMs, prepared } = given
    this.#arm(startTimeoutMs, () =>
      this.breakOff(`${this.#hasGreeted ? 'not prepared' : 'no sign of life'} within ${startTimeoutMs} ms`),
    )
    this.#isPrepared = prepared === undefined
    void prepared?.then(
      () => {
        this.#isPrepared = true
        this.#setUpOncePossible()
      },
      (error: unknown) => this.breakOff(error instanceof Error ? error.message : String(error)),
    )
  }

  /** Whether the code has been asked for and may say that it fails. */
  get mayFail(): boolean {
    return this.#phase === 'loading' || this.#phase === 'initialising'
  }

  receive(frame: Frame): void {
    const { initializer } = this.#given.wantedBy.version
    const lastPhase = initializer === undefined ? 'loading' : 'initialising'
    if (!this.#hasGreeted && frame.type === FRAME.hello) this.#greeted(frame)
    else if (!this.mayFail) this.#events.onOutOfTurn(frame)
    else if (frame.type === FRAME.log) this.#given.log.add(0, frame.payload.chunks)
    else if (frame.type === FRAME.failed) this.#failed({ reason: 'threw' }, frame)
    else if (frame.type === FRAME.loaded && initializer !== undefined && this.#phase === 'loading')
      this.#loaded(initializer.timeoutMs)
    else if (frame.type === FRAME.ready && this.#phase === lastPhase) this.#ready(frame)
    else this.#events.onOutOfTurn(frame)
  }

  /** Ends it because of something that the code did not say itself. @param reason For a start that has not come to the code. */
  breakOff(reason: string): void {
    if (this.mayFail) this.#failed({ reason: 'crashed' }, undefined)
    else if (this.#phase === 'greeting') this.#events.onFailed({ kind: 'start-failed', reason }, 0)
  }

  /** It is over, however its instance ended. */
  stop(): void {
    this.#phase = 'over'
    clearTimeout(this.#timer)
  }

  #greeted(hello: Frame): void {
    if (hello.flag !== PROTOCOL_VERSION) {
      this.breakOff(
        `the bootstrap speaks version ${hello.flag} of the protocol, the server ${PROTOCOL_VERSION}`,
      )
      return
    }
    this.#hasGreeted = true
    this.#setUpOncePossible()
  }

  #setUpOncePossible(): void {
    if (this.#phase !== 'greeting' || !this.#hasGreeted || !this.#isPrepared) return
    this.#phase = 'loading'
    const { wantedBy, contract, facts } = this.#given
    const { version, requestId } = wantedBy
    const content = {
      contract: version.contract,
      handler: version.handler,
      ...(version.initializer === undefined ? {} : { initializer: version.initializer.handler }),
      codeDir: facts.codeDir,
      concurrency: version.instanceConcurrency,
      requestId,
      environment: { ...version.environment, ...contract.environment(version, facts) },
      context: contract.setup(version, facts),
    }
    this.#limitTo(Math.max(version.timeoutMs, MIN_LOAD_TIMEOUT_MS))
    this.#events.onSetUp(JSON.stringify(content))
  }

  #loaded(timeoutMs: number): void {
    this.#phase = 'initialising'
    const { log, contract, wantedBy } = this.#given
    log.keep(contract.initLogOpening(wantedBy))
    this.#limitTo(timeoutMs)
    this.#events.onLoaded()
  }

  #ready(frame: Frame): void {
    this.#closeLog(undefined)
    this.stop()
    this.#events.onReady(peakBytesOf(metaOf(frame)))
  }

  #limitTo(afterMs: number): void {
    this.#arm(afterMs, () => this.#failed({ reason: 'timedOut', afterMs }, undefined))
  }

  #failed(why: FailureReason, frame: Frame | undefined): void {
    const meta = frame === undefined ? {} : metaOf(frame)
    const errorType = errorTypeOf(meta)
    this.#closeLog(errorType)
    const phase = this.#phase === 'initialising' ? 'initializer' : 'load'
    const payload = frame?.payload ?? EMPTY_PAYLOAD
    const failure = { kind: 'initFailed', phase, ...why, errorType, payload } as const
    this.#events.onFailed({ kind: 'init-failed', failure }, peakBytesOf(meta))
  }

  /** Writes the contract's text after the initializer's own, where one has run. */
  #closeLog(failure: string | undefined): void {
    const { log, contract, wantedBy } = this.#given
    if (this.#phase === 'initialising') log.keep(contract.initLogClosing(wantedBy, failure))
  }

  #arm(delayMs: number, onTime: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(onTime, delayMs)
  }
}
