import { readdirSync, existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '../../config/load.ts'
import { ControlClient, DoorClosed, OperationRefused } from '../../control/client.ts'
import { CommandFailed, EXIT } from '../complaint.ts'

/** What every command that asks a running server can be given. */
export interface DoorOptions {
  readonly data?: string
  readonly config?: string
  readonly account?: string
  readonly json?: boolean
}

/** The function whose queue is meant. */
export interface QueueName {
  readonly namespace: string
  readonly name: string
}

/**
 * Asks the server that runs with a data directory: that of the settings, as `anvoke serve` finds them.
 *
 * @throws {ConfigError} settings that cannot be used.
 * @throws {CommandFailed} no server answers, or it did not do what it was asked to.
 */
export async function askServer<T>(
  options: DoorOptions,
  use: (client: ControlClient) => Promise<T>,
): Promise<T> {
  const { config } = await loadConfig({
    flags: new Map(options.data === undefined ? [] : [['dataDir', options.data] as const]),
    file: options.config,
    environment: process.env,
    cwd: process.cwd(),
  })
  try {
    const client = await ControlClient.open(config.dataDir)
    try {
      return await use(client)
    } finally {
      await client.close()
    }
  } catch (error) {
    if (error instanceof DoorClosed) throw explainClosed(error, config.dataDir)
    if (error instanceof OperationRefused) throw explainRefusal(error)
    throw error
  }
}

/** @throws {CommandFailed} exit code 2: it is no name. */
export function parseQueueName(text: string): QueueName {
  const [namespace = '', name = '', ...more] = text.split('/')
  if (namespace !== '' && name !== '' && more.length === 0) return { namespace, name }
  throw new CommandFailed(
    {
      what: `'${text.slice(0, 200)}' names no queue`,
      why: 'a queue has the name of its function: NAMESPACE/FUNCTION',
      fix: '`anvoke queue list` shows the names there are',
    },
    { exitCode: EXIT.usage },
  )
}

function explainClosed(error: DoorClosed, dataDir: string): CommandFailed {
  const what = `no server answers for the data directory ${dataDir}`
  switch (error.reason) {
    case 'absent': {
      const others = developmentDirs()
      return new CommandFailed(
        {
          what,
          why: existsSync(dataDir) ? 'none runs with it' : 'there is no such directory',
          fix:
            others.length > 0
              ? `servers of \`anvoke dev\` may run with ${others.map((dir) => `--data ${dir}`).join(' or ')}`
              : 'name that of a running server with --data, as its banner does, or start one: `anvoke serve`',
          see: 'docs/operating-queues.md',
        },
        { cause: error, exitCode: EXIT.unreachable },
      )
    }
    case 'forbidden':
      return new CommandFailed(
        {
          what: `the data directory ${dataDir} is another user's`,
          why: error.message,
          fix: 'be the user that the server runs as, for example with sudo -u USER',
        },
        { cause: error, exitCode: EXIT.notAllowed },
      )
    case 'silent':
      return new CommandFailed(
        { what, why: error.message, fix: "read the server's log, and try again" },
        { cause: error, exitCode: EXIT.unreachable },
      )
  }
}

function explainRefusal(error: OperationRefused): CommandFailed {
  const exitCode =
    error.status === 404 ? EXIT.notFound : error.code === 'caller/malformed' ? EXIT.usage : EXIT.failed
  return new CommandFailed(
    {
      what: `the server did not do it (${error.code})`,
      why: error.message,
      fix: error.fix ?? '`anvoke queue help` shows what can be asked for',
    },
    { cause: error, exitCode },
  )
}

/** Where servers to try things out may be running: they make their directories in the temporary one. */
function developmentDirs(): readonly string[] {
  try {
    return readdirSync(tmpdir())
      .filter((name) => name.startsWith('anvoke-dev'))
      .map((name) => join(tmpdir(), name))
      .filter((dir) => existsSync(join(dir, 'control.sock')))
      .slice(0, 3)
  } catch {
    return []
  }
}
