import { readdirSync, existsSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findDataDir } from '../../config/load.ts'
import { ControlClient, DoorClosed, OperationRefused } from '../../control/client.ts'
import { CommandFailed, EXIT } from '../complaint.ts'
import { shellWord } from '../shell-word.ts'

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
 * @throws {ConfigError} settings that may name it cannot be used.
 * @throws {CommandFailed} no server answers, or it did not do what it was asked to.
 */
export async function askServer<T>(
  options: DoorOptions,
  use: (client: ControlClient) => Promise<T>,
): Promise<T> {
  const dataDir = await findDataDir({
    flags: new Map(options.data === undefined ? [] : [['dataDir', options.data] as const]),
    file: options.config,
    environment: process.env,
    cwd: process.cwd(),
  })
  try {
    const client = await ControlClient.open(dataDir)
    try {
      return await use(client)
    } finally {
      await client.close()
    }
  } catch (error) {
    if (error instanceof DoorClosed) throw explainClosed(error, dataDir, options.data !== undefined)
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

/** @param isNamed Whether the command named the directory: then no other one is meant. */
function explainClosed(error: DoorClosed, dataDir: string, isNamed: boolean): CommandFailed {
  const what = `no server answers for the data directory ${dataDir}`
  switch (error.reason) {
    case 'absent': {
      const start = `start one: \`anvoke serve --data ${shellWord(dataDir)}\``
      const others = isNamed ? [] : developmentDirs()
      const named = others.map((dir) => `--data ${shellWord(dir)}`).join(' or ')
      const isThere = existsSync(dataDir)
      if (isThere && !statSync(dataDir).isDirectory())
        return new CommandFailed(
          {
            what,
            why: 'it is not a directory',
            fix: 'name the data directory of a running server with --data, as its banner does',
          },
          { cause: error, exitCode: EXIT.unreachable },
        )
      return new CommandFailed(
        {
          what,
          why: isThere ? 'none runs with it' : 'there is no such directory',
          fix:
            others.length > 0
              ? `${start}; servers of \`anvoke dev\` may run with ${named}`
              : `name that of a running server with --data, as its banner does, or ${start}`,
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

/** The flags behind what the server calls otherwise. */
const FLAGS: ReadonlyMap<string, string> = new Map([
  ['maxRuns', '--max-runs'],
  ['maxTasks', '--max-tasks'],
  ['limit', '--limit'],
  ['after', '--after'],
  ['status', '--status'],
  ['order', '--order'],
  ['account', '--account'],
])

function explainRefusal(error: OperationRefused): CommandFailed {
  const [, member = '', refused = ''] = /^'(\w+)' (is .*)$/s.exec(error.message) ?? []
  const flag = FLAGS.get(member)
  if (error.code === 'caller/malformed' && flag !== undefined)
    return new CommandFailed(
      {
        what: `${flag} cannot be used`,
        why: `it ${refused}`,
        fix: refused.startsWith('is not ')
          ? `give ${flag} ${refused.slice('is not '.length)}`
          : `change ${flag}`,
      },
      { cause: error, exitCode: EXIT.usage },
    )
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
