import { Writable } from 'node:stream'
import { format, inspect, type InspectOptions } from 'node:util'
import type { LogLevel } from './contract.ts'

/** A standard stream whose bytes become LOG frames at once. */
class LogStream extends Writable {
  readonly fd: number
  readonly isTTY = false
  readonly #sink: (bytes: Buffer | string) => void

  constructor(fd: number, sink: (bytes: Buffer | string) => void) {
    super({ decodeStrings: false, emitClose: false, autoDestroy: false })
    this.fd = fd
    this.#sink = sink
  }

  override _write(
    chunk: Buffer | string,
    encoding: BufferEncoding,
    done: (error?: Error | null) => void,
  ): void {
    this.#sink(typeof chunk === 'string' && encoding !== 'utf8' ? Buffer.from(chunk, encoding) : chunk)
    done()
  }

  /** Standard streams cannot be ended, as in Node itself. */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    done(error)
  }
}

/** Puts {@link LogStream}s in place of `process.stdout` and `process.stderr`, made when first used: little code does. */
export function replaceStreams(sink: (fd: 1 | 2, bytes: Buffer | string) => void): void {
  const replace = (name: 'stdout' | 'stderr', fd: 1 | 2): void => {
    let stream: LogStream | undefined
    const get = (): LogStream => (stream ??= new LogStream(fd, (bytes) => sink(fd, bytes)))
    Object.defineProperty(process, name, { configurable: true, enumerable: true, get })
  }
  replace('stdout', 1)
  replace('stderr', 2)
}

/** One printed text of several values, as the console forms it. */
export function printed(values: readonly unknown[]): string {
  const [first] = values
  return values.length === 1 && typeof first === 'string' ? first : format(...values)
}

/** Makes the console's printing methods write lines of the contract. The others are made of these or of the streams. */
export function replaceConsole(line: (level: LogLevel, text: string) => void): void {
  const printer =
    (level: LogLevel) =>
    (...values: unknown[]): void =>
      line(level, printed(values))
  const printTrace = (...values: unknown[]): void => {
    const trace = { name: 'Trace', message: printed(values), stack: '' }
    Error.captureStackTrace(trace, printTrace)
    line('error', trace.stack)
  }
  Object.assign(console, {
    log: printer('log'),
    info: printer('info'),
    debug: printer('debug'),
    warn: printer('warn'),
    error: printer('error'),
    trace: printTrace,
    dir: (value: unknown, options?: InspectOptions): void =>
      line('log', inspect(value, { customInspect: false, ...options })),
  })
}
