import type { QueueView } from '../../control/api.ts'
import type { ControlClient } from '../../control/client.ts'
import { CommandFailed, EXIT } from '../complaint.ts'
import { askServer, type DoorOptions, type QueueName } from './door.ts'
import { tellQueue } from './show.ts'

export interface LimitOptions {
  readonly maxRuns?: string
  readonly maxTasks?: string
}

/** `anvoke queue pause` and `resume`: whether waiting calls run. */
export async function pauseQueue(queue: QueueName, isPaused: boolean, options: DoorOptions): Promise<void> {
  await change(queue, { isPaused }, options)
}

/** `anvoke queue limit`: sets limits of one function, or takes them back. @throws {CommandFailed} exit code 2: none was given. */
export async function limitQueue(queue: QueueName, options: DoorOptions & LimitOptions): Promise<void> {
  const limits = Object.entries({ maxRuns: options.maxRuns, maxTasks: options.maxTasks }).flatMap(
    ([name, text]) => (text === undefined ? [] : [[name, parseLimit(text)] as const]),
  )
  if (limits.length === 0)
    throw new CommandFailed(
      {
        what: 'no limit is given',
        why: 'this sets limits of one function',
        fix: 'add --max-runs COUNT, --max-tasks COUNT or both; `default` takes one back',
      },
      { exitCode: EXIT.usage },
    )
  await change(queue, Object.fromEntries(limits), options)
}

async function change({ namespace, name }: QueueName, body: object, options: DoorOptions): Promise<void> {
  const { account } = options
  const path = ['queues', namespace, name]
  const ask = (client: ControlClient): Promise<QueueView> =>
    client.ask({ method: 'PATCH', path, query: { account }, body })
  tellQueue(await askServer(options, ask), options)
}

function parseLimit(text: string): number | null {
  if (text === 'default') return null
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new CommandFailed(
    {
      what: `'${text.slice(0, 100)}' is no limit`,
      why: 'a limit is a whole number of calls',
      fix: 'give a number, or `default` for what the server has for all functions',
    },
    { exitCode: EXIT.usage },
  )
}
