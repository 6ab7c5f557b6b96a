import { Command } from 'commander'
import { addHelpCommand } from './help-command.ts'
import type { DoorOptions } from './queue/door.ts'
import { addDoorOptions, addQueueCommands } from './queue/program.ts'
import { addSettingFlags, readSettingFlags } from './setting-flags.ts'
import { version } from './version.ts'

/** The command line. Each command's own code is loaded when it is called. */
export function createProgram(): Command {
  const program = new Command('anvoke')
    .description("Runs cloud functions on your own machine, speaking several clouds' protocols.")
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    // Its own one takes an unknown command, and even --help, for a mistake it says nothing about.
    .helpCommand(false)
    .addHelpText('beforeAll', ({ error }) => (error ? 'error: a command is missing' : ''))
    .showHelpAfterError('Run with --help to see what is possible.')
    .enablePositionalOptions()
    .exitOverride()

  addSettingFlags(program.command('serve'))
    .summary('run the server')
    .description(
      'Runs the server: durable, and closed to everyone without a key. SIGTERM and SIGINT let running calls end.',
    )
    .action(async (_options, command: Command) => {
      const { serve } = await import('./serve.ts')
      await serve(readSettingFlags(command))
    })

  addSettingFlags(program.command('dev'), 'dev')
    .summary('run a server to try things out')
    .description(
      'Runs the server for this machine alone, with a fixed well-known key. Data is removed at exit unless --data is given.',
    )
    .action(async (_options, command: Command) => {
      const { dev } = await import('./dev.ts')
      await dev(readSettingFlags(command))
    })

  addSettingFlags(program.command('doctor'))
    .summary('look at what this host offers for running functions')
    .description(
      'Tries what functions run on (sandbox drivers, launchers, interpreters, limits, the data directory) and prints what ' +
        'was found, with the command that mends what is missing. Changes nothing; a server may be running. Exit code 0 ' +
        'when functions can run isolated, 1 when something they need is missing.',
    )
    .option('--json', 'print one JSON document')
    .action(async (options: { json?: boolean }, command: Command) => {
      const { doctor } = await import('./doctor.ts')
      await doctor(readSettingFlags(command), options.json === true)
    })

  const config = program.command('config').description('Shows and checks the settings.')
  addSettingFlags(config.command('print'))
    .description('Prints every setting, its value and where it comes from. Secrets are left out.')
    .option('--json', 'print one JSON document')
    .action(async (options: { json?: boolean }, command: Command) => {
      const { printConfig } = await import('./config.ts')
      await printConfig(readSettingFlags(command), options.json === true)
    })
  addSettingFlags(config.command('check'))
    .description(
      'Checks the settings as `serve` does, and tries what can be tried without creating anything: whether the data ' +
        'directory could be used and the interpreters that are named work. Does not try the address, the sandbox or ' +
        'the database. Exit code 0, or 2 with what is wrong.',
    )
    .option('--json', 'print one JSON document')
    .action(async (options: { json?: boolean }, command: Command) => {
      const { checkConfig } = await import('./config.ts')
      await checkConfig(readSettingFlags(command), options.json === true)
    })

  addQueueCommands(program)
  addDoorOptions(program.command('webhook-secret'))
    .summary('print what receivers verify webhooks with')
    .description(
      'Asks the running server for the secret that the webhooks of an account are signed with, in the form that libraries of ' +
        'Standard Webhooks take. Keep it like a password.',
    )
    .action(async (options: DoorOptions) => {
      const { printWebhookSecret } = await import('./webhook-secret.ts')
      await printWebhookSecret(options)
    })
  addHelpCommand(program)
  addHelpCommand(config)
  return program
}
