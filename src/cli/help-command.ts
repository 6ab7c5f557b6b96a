import type { Command } from 'commander'
import { suggest } from '../config/suggest.ts'

/** Adds `help [command...]` to a command that has commands. */
export function addHelpCommand(parent: Command): void {
  parent
    .command('help')
    .argument('[command...]')
    .description('Shows help for a command.')
    .action((names: readonly string[], _options, help: Command) => {
      let command = parent
      for (const name of names) {
        const known = command.commands
        const found = known.find((candidate) => candidate.name() === name)
        if (found === undefined) {
          const nearest = suggest(
            name,
            known.map((candidate) => candidate.name()),
          )
          const hint = nearest === undefined ? '' : `\n(Did you mean ${nearest}?)`
          help.error(`error: unknown command '${name}'${hint}`, { code: 'commander.unknownCommand' })
        }
        command = found
      }
      command.help()
    })
}
