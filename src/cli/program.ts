import { Command } from 'commander'
import { addSettingFlags, readSettingFlags } from './setting-flags.ts'
import { version } from './version.ts'

/** The command line. Each command's own code is loaded when it is called. */
export function createProgram(): Command {
  const program = new Command('anvoke')
    .description("Runs cloud functions on your own machine, speaking several clouds' protocols.")
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
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

  addSettingFlags(program.command('dev'))
    .summary('run a server to try things out')
    .description(
      'Runs the server for this machine alone, with a fixed well-known key. Data is removed at exit unless --data is given.',
    )
    .action(async (_options, command: Command) => {
      const { dev } = await import('./dev.ts')
      await dev(readSettingFlags(command))
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
    .description('Says whether `serve` would accept the settings: exit code 0, or 2 with what is wrong.')
    .option('--json', 'print one JSON document')
    .action(async (options: { json?: boolean }, command: Command) => {
      const { checkConfig } = await import('./config.ts')
      await checkConfig(readSettingFlags(command), options.json === true)
    })
  return program
}
