import type { Call, CallEnd, Failure } from './call.ts'

/** The set-up JSON of `../protocol.md`. */
export interface Setup {
  readonly contract: string
  readonly handler: string
  readonly initializer?: string
  readonly codeDir: string
  readonly concurrency: number
  /** The call the instance is set up for. */
  readonly requestId: string
  readonly environment: Readonly<Record<string, string>>
  readonly context: Readonly<Record<string, unknown>>
}

export type LogLevel = 'debug' | 'log' | 'info' | 'warn' | 'error'

/** What a contract may ask of the bootstrap. */
export interface Host {
  /** Ends a call. Only the first end of a call counts. */
  settle(call: Call, end: CallEnd): void
  /** Calls `then` once nothing but the channel keeps the event loop alive. */
  whenEventLoopEmpty(then: () => void): void
  /** The request id that lines written now belong to: before the first call, of the one the instance is set up for. */
  requestId(): string
  /** Writes one line of the log as {@link Contract.formatLine} shapes it. */
  logLine(level: LogLevel, requestId: string, text: string): void
  /** The same for what was given to a printing function, formatted like the console's. */
  logValues(level: LogLevel, requestId: string, values: readonly unknown[]): void
}

/** How the code of one vendor is loaded, called and answered. The in-sandbox half of a handler contract. */
export interface Contract {
  /** Loads the code. A rejection is worded by {@link Contract.failureOf}. */
  load(): Promise<void>
  /** Runs the initializer. Only called when the set-up names one. */
  initialize(): Promise<void>
  /** Starts the handler; never throws. */
  invoke(call: Call): void
  /** The end itself, or the contract's error for a result over its limit, which then is in the log, too. */
  bounded(call: Call, end: CallEnd): CallEnd
  /** The failure of load or initializer in the contract's words. Called once; also writes it to the log. */
  failureOf(error: unknown): Failure
  /** The end of every running call after an exception that nothing caught; the process exits after it. */
  uncaught(error: unknown): CallEnd & Failure
  /** One console line, line feed included, or undefined when its level is filtered out. */
  formatLine(level: LogLevel, requestId: string, text: string): string | undefined
}

export type ContractFactory = (setup: Setup, host: Host) => Contract
