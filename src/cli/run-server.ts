import type { Credentials } from '../config/credentials.ts'
import type { Config } from '../config/schema.ts'
import type { RunningServer } from '../main.ts'
import { OperatorLog } from '../observe/operator-log.ts'
import { EXIT } from './complaint.ts'
import { SignalCount } from './signal-count.ts'
import { explainStart } from './start-errors.ts'

/** How long a server that has failed may take to stop its instances. */
const EMERGENCY_STOP_MS = 2_000
/** What a reader that does not keep up may leave in memory before events are dropped. */
const MAX_UNREAD_BYTES = 1024 * 1024

/**
 * Starts the server, shows the banner and stays until a signal: the first SIGTERM, SIGINT or SIGHUP lets running calls
 * end and exits with 0, the second exits at once with 143 or 130; what is one signal, {@link SignalCount} says.
 *
 * @throws {CommandFailed} the server cannot start; nothing of it is left running.
 */
export async function runServer(
  config: Config,
  credentials: Credentials,
  banner: (server: RunningServer) => string,
): Promise<void> {
  const log = createLog(config)
  const stopped = whenSignalled(log)
  let server: RunningServer | undefined
  process.on('uncaughtException', (error) => {
    void abandon(server, log, error)
  })
  const { startServer } = await import('../main.ts')
  try {
    server = await startServer(config, credentials, log)
  } catch (error) {
    throw explainStart(error, config)
  }
  // Each form tells everything once: the banner holds the warning too.
  if (config.logFormat === 'json') {
    log.info('ready', { ...server.address, sandbox: server.sandbox.name, network: server.network })
    if (server.sandbox.warning !== undefined) log.warn(server.sandbox.warning)
  } else writeStderr(banner(server))
  const signal = await stopped
  log.info('stopping', { signal, graceSeconds: config.shutdownGraceSeconds })
  try {
    const report = await server.stop(config.shutdownGraceSeconds * 1000)
    log.info('stopped', { ...report })
  } catch (error) {
    log.error('stopping failed', { error: stackOf(error) })
    process.exit(EXIT.failed)
  }
  process.exit(EXIT.ok)
}

/** Resolves with the first signal; the second ends the process. Takes over from the default at once, start included. */
function whenSignalled(log: OperatorLog): Promise<NodeJS.Signals> {
  const count = new SignalCount()
  return new Promise((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      process.on(name, (signal: NodeJS.Signals, number: number) => {
        resolve(signal)
        if (!count.isSecond(number === 0 ? 'handedOn' : 'direct', performance.now())) return
        log.warn('stopped at once', { signal })
        process.exit(signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated)
      })
    }
  })
}

/**
 * Ends a server whose state is not known any more. What was acknowledged is on the disk already; stopping ends the
 * instances, and what the stores are writing.
 */
async function abandon(server: RunningServer | undefined, log: OperatorLog, error: unknown): Promise<never> {
  log.error('something that should not happen; the server ends', { error: stackOf(error) })
  // A second failure, on the way out, must not begin anew.
  process.removeAllListeners('uncaughtException').on('uncaughtException', () => process.exit(EXIT.failed))
  setTimeout(() => process.exit(EXIT.failed), EMERGENCY_STOP_MS)
  try {
    await server?.stop(0)
  } finally {
    process.exit(EXIT.failed)
  }
}

function createLog({ logLevel, logFormat }: Config): OperatorLog {
  const automatic = process.stderr.isTTY ? 'text' : 'json'
  const format = logFormat === 'auto' ? automatic : logFormat
  return new OperatorLog({ level: logLevel, format, write: writeStderr })
}

function writeStderr(text: string): void {
  if (process.stderr.writableLength < MAX_UNREAD_BYTES) process.stderr.write(text)
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
