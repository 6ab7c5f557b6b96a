import { EXIT, explain } from './complaint.ts'
import { version } from './version.ts'

/** How long a process that has failed may linger. */
const LINGER_MS = 3_000

/**
 * Runs the command line and sets the process's exit code: 0 ok, 1 failed, 2 usage or settings, 3 not allowed, 4 not found,
 * 6 no server, 130 interrupted. Results go to stdout, everything else to stderr.
 *
 * @param args Without the interpreter and the program.
 */
export async function main(args: readonly string[]): Promise<void> {
  // A reader that goes away, such as `head` or a closed terminal, is no reason to fail.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  // Asked for by scripts, often: not worth loading the command line for.
  if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
    process.stdout.write(`${version()}\n`)
    return
  }
  const [{ createProgram }, { CommanderError }] = await Promise.all([
    import('./program.ts'),
    import('commander'),
  ])
  try {
    await createProgram().parseAsync(args, { from: 'user' })
  } catch (error) {
    // Commander has written its message; help and version count as errors without one.
    process.exitCode =
      error instanceof CommanderError ? (error.exitCode === 0 ? EXIT.ok : EXIT.usage) : explain(error)
    // Whatever a failed start left open must not keep the process; what was written gets time to be read.
    setTimeout(() => process.exit(), LINGER_MS).unref()
  }
}
