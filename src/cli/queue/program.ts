import { Argument, Option, type Command } from 'commander'
import { addHelpCommand } from '../help-command.ts'
import type { LimitOptions } from './change.ts'
import type { DoorOptions } from './door.ts'
import type { PageOptions } from './show.ts'
import type { RedriveOptions } from './redrive.ts'
import type { EndedOptions, TaskListOptions } from './tasks.ts'

const EXIT_CODES = `
Exit codes: 0 done, 1 not done, 2 usage, 3 the data directory is another user's, 4 no such account, namespace, function or call, 6 no server answers.`

/** Adds what every command takes that asks a running server. */
export function addDoorOptions(command: Command): Command {
  return command
    .option(
      '--data <directory>',
      'data directory of the server (default: as `anvoke serve` finds it; ANVOKE_DATA_DIR)',
    )
    .option('--config <file>', 'read the data directory from this file of settings (ANVOKE_CONFIG)')
    .option('--account <digits>', "account of the functions (default: the server's own)")
    .option('--json', 'print one JSON document')
    .addHelpText('after', EXIT_CODES)
}

function addPageOptions(command: Command): Command {
  return command
    .option('--limit <count>', 'at most so many, 1 to 1000 (default 100)')
    .option('--after <cursor>', 'go on after a page that said `next`')
}

function addEndedOptions(command: Command): Command {
  return command
    .option('--ended-from <moment>', 'only those that ended then or later, such as 2026-01-31T12:00:00Z')
    .option('--ended-to <moment>', 'only those that ended before')
}

const queueArgument = (): Argument =>
  new Argument('<namespace/function>', 'the function whose queue is meant')

/** Adds `anvoke queue` and its commands, which look after the asynchronous calls of a running server. */
export function addQueueCommands(program: Command): void {
  const queue = program
    .command('queue')
    .summary('look after asynchronous calls')
    .description(
      'Looks after the asynchronous calls of a running server, through the socket in its data directory: for the user it runs as.',
    )
  acceptInFront(queue)
  addPageOptions(addDoorOptions(queue.command('list').argument('[namespace]', 'only of this namespace')))
    .description('Lists the queues: a line for each function that has or had asynchronous calls.')
    .action(async (namespace: string | undefined, options: DoorOptions & PageOptions) => {
      const { listQueues } = await import('./show.ts')
      await listQueues(namespace, options)
    })
  addDoorOptions(queue.command('show').addArgument(queueArgument()))
    .description('Shows all counters of one queue and its limits.')
    .action(async (name: string, options: DoorOptions) => {
      const { showQueue } = await import('./show.ts')
      await showQueue(await parse(name), options)
    })
  addDoorOptions(queue.command('pause').addArgument(queueArgument()))
    .description(
      'Pauses a queue: calls are taken in and wait, those that run go on. Calls grow old while they wait.',
    )
    .action(async (name: string, options: DoorOptions) => {
      const { pauseQueue } = await import('./change.ts')
      await pauseQueue(await parse(name), true, options)
    })
  addDoorOptions(queue.command('resume').addArgument(queueArgument()))
    .description('Lets a paused queue run again.')
    .action(async (name: string, options: DoorOptions) => {
      const { pauseQueue } = await import('./change.ts')
      await pauseQueue(await parse(name), false, options)
    })
  addDoorOptions(queue.command('limit').addArgument(queueArgument()))
    .description("Sets limits of one function instead of the server's; kept over restarts.")
    .option('--max-runs <count>', 'calls that run at a time, 1 to 10000; `default` takes it back')
    .option(
      '--max-tasks <count>',
      'calls that wait and run, 0 or more: further ones are refused; `default` takes it back',
    )
    .action(async (name: string, options: DoorOptions & LimitOptions) => {
      const { limitQueue } = await import('./change.ts')
      await limitQueue(await parse(name), options)
    })
  addDoorOptions(queue.command('purge').addArgument(queueArgument()))
    .description('Cancels the calls that wait, for ever. Those that run go on.')
    .option('--yes', 'do not ask')
    .action(async (name: string, options: DoorOptions & { yes?: boolean }) => {
      const { purgeQueue } = await import('./sweep.ts')
      await purgeQueue(await parse(name), options)
    })
  addEndedOptions(addDoorOptions(queue.command('redrive').addArgument(queueArgument())))
    .argument('[request-id...]', 'only these calls')
    .description(
      'Accepts calls that failed or expired anew, each once, the oldest first: as new calls that say what caused them. They keep the ' +
        'retries, the greatest age and the destinations of the first acceptance, whatever is configured now; their age begins anew.',
    )
    .option('--limit <count>', 'at most so many (default: all)')
    .action(async (name: string, requestIds: readonly string[], options: DoorOptions & RedriveOptions) => {
      const { redriveQueue } = await import('./redrive.ts')
      await redriveQueue(await parse(name), requestIds, options)
    })
  addEndedOptions(addPageOptions(addDoorOptions(queue.command('tasks').addArgument(queueArgument()))))
    .description('Lists the calls of a function, the newest first.')
    .option(
      '--status <states>',
      'only these, by commas: waiting, running, succeeded, failed, expired, cancelled',
    )
    .addOption(new Option('--order <order>', 'which come first').choices(['newest', 'oldest']))
    .action(async (name: string, options: DoorOptions & TaskListOptions) => {
      const { listTasks } = await import('./tasks.ts')
      await listTasks(await parse(name), options)
    })
  addDoorOptions(
    queue.command('task').argument('<request-id>', 'the id of the call, or what its caller named it'),
  )
    .description('Shows one call: its runs, its result and its log, as far as they are kept.')
    .option('--event', 'show its event, too')
    .action(async (requestId: string, options: DoorOptions & { event?: boolean }) => {
      const { showTask } = await import('./tasks.ts')
      await showTask(requestId, options)
    })
  addPageOptions(
    addDoorOptions(queue.command('undelivered').argument('[namespace/function]', 'only of this function')),
  )
    .description('Lists the endings that a destination could not be told.')
    .option('--body', 'show what would have been told, too; at most 8 at a time')
    .action(async (name: string | undefined, options: DoorOptions & PageOptions & { body?: boolean }) => {
      const { listUndelivered } = await import('./undelivered.ts')
      await listUndelivered(name === undefined ? undefined : await parse(name), options)
    })
  addEndedOptions(addDoorOptions(queue.command('redeliver').addArgument(queueArgument())))
    .argument('[request-id...]', 'only the endings of these calls')
    .description('Tells endings that a destination could not be told once more, with new tries.')
    .action(async (name: string, requestIds: readonly string[], options: DoorOptions & EndedOptions) => {
      const { redeliverEndings } = await import('./redeliver.ts')
      await redeliverEndings(await parse(name), requestIds, options)
    })
  addDoorOptions(queue.command('audit'))
    .description(
      'Compares the counters with the calls themselves. Exit code 1 where they differ. Calls wait meanwhile: seconds for a million.',
    )
    .action(async (options: DoorOptions) => {
      const { auditQueues } = await import('./audit.ts')
      await auditQueues(options)
    })
  addHelpCommand(queue)
}

/** Takes what every command takes also in front of its name; what stands behind counts. */
function acceptInFront(queue: Command): void {
  for (const flags of ['--data <directory>', '--config <file>', '--account <digits>', '--json'])
    queue.addOption(new Option(flags).hideHelp())
  queue.hook('preAction', (_, command) => {
    for (const [name, value] of Object.entries(queue.opts<Record<string, unknown>>()))
      if (command.getOptionValue(name) === undefined) command.setOptionValue(name, value)
  })
}

async function parse(name: string): Promise<{ readonly namespace: string; readonly name: string }> {
  const { parseQueueName } = await import('./door.ts')
  return parseQueueName(name)
}
