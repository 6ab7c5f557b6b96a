import { createInterface } from 'node:readline/promises'
import { CommandFailed, EXIT } from '../complaint.ts'

/**
 * Asks at the terminal whether to go on; without a terminal there is nobody to ask.
 *
 * @param question Says what will be done, and what cannot be undone.
 * @throws {CommandFailed} exit code 2: it was not confirmed and nobody can be asked; 1: the answer was not yes.
 */
export async function confirm(question: string, yes: boolean): Promise<void> {
  if (yes) return
  const isTerminal: boolean | undefined = process.stdin.isTTY
  if (!isTerminal)
    throw new CommandFailed(
      { what: 'not confirmed', why: question, fix: 'add --yes: there is no terminal to ask at' },
      { exitCode: EXIT.usage },
    )
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  // The end of the input is no answer, and would leave the question open for ever.
  const ended = new Promise<string>((resolve) => terminal.once('close', () => resolve('')))
  const answer = await Promise.race([terminal.question(`${question} Go on? [y/N] `), ended])
  terminal.close()
  if (/^y(?:es)?$/i.test(answer.trim())) return
  throw new CommandFailed({
    what: 'nothing was done',
    why: 'the answer was not yes',
    fix: 'answer y to go on',
  })
}
