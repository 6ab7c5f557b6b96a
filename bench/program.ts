import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { killAll, stopAll } from './process.ts'

/**
 * The frame of a program that starts servers: a directory of its own, which is gone at the end, and an end by signal that
 * ends the servers first. A second signal does not wait for that. One for each process.
 */
export class Program {
  /** An existing, empty directory. */
  readonly directory: string
  /** Aborts at SIGINT, SIGTERM and SIGHUP. */
  readonly signal: AbortSignal

  constructor(directoryPrefix: string) {
    const interruption = new AbortController()
    const directory = mkdtempSync(join(tmpdir(), directoryPrefix))
    this.directory = directory
    this.signal = interruption.signal
    process.once('exit', () => {
      killAll()
      rmSync(directory, { recursive: true, force: true })
    })
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(name, () => {
        if (interruption.signal.aborted) process.exit(130)
        interruption.abort(new Error(`interrupted by ${name}`))
      })
    }
  }

  /** Runs `main`, ends every server and then the process, with the code that `main` gives. */
  async run(main: () => Promise<number>): Promise<never> {
    let exitCode = 1
    try {
      exitCode = await main()
    } catch (error) {
      console.error(error instanceof Error ? error.message : error)
      if (this.signal.aborted) exitCode = 130
    } finally {
      await stopAll()
    }
    // Connections that fetch keeps alive would hold the process for some seconds.
    process.exit(exitCode)
  }
}

/** What a phase that failed leaves to be told. */
interface Phases {
  readonly signal: AbortSignal
  /** Receives the name of each phase. */
  readonly progress: (text: string) => void
  /** Receives one line for each phase that failed. */
  readonly problems: string[]
}

/** Runs one phase; undefined when it failed, so that the others still run. */
export type Attempt = <T>(phase: string, action: () => Promise<T>) => Promise<T | undefined>

/** @returns How to run phases; it rejects only when the signal aborts. */
export function attempts({ signal, progress, problems }: Phases): Attempt {
  return async (phase, action) => {
    signal.throwIfAborted()
    progress(phase)
    try {
      return await action()
    } catch (error) {
      signal.throwIfAborted()
      problems.push(`${phase}: ${error instanceof Error ? error.message : String(error)}`)
      return undefined
    }
  }
}

/** Tells the operator what is done now; standard output is for the results alone. */
export function progress(text: string): void {
  process.stderr.write(`bench: ${text}\n`)
}

interface Judged {
  readonly targets: readonly { readonly met?: boolean | undefined }[]
  readonly problems: readonly string[]
}

/**
 * Keeps results in a file, and prints them: as a table, or as they are with `json`.
 *
 * @returns The exit code: 1 with a problem, and with `strict` with a target that was missed.
 */
export function publish<R extends Judged>(
  results: R,
  file: URL,
  format: (results: R) => string,
  { json, strict }: { readonly json: boolean; readonly strict: boolean },
): number {
  const text = `${JSON.stringify(results, null, 2)}\n`
  mkdirSync(new URL('.', file), { recursive: true })
  writeFileSync(file, text)
  writeFileSync(1, json ? text : `${format(results)}\n`)
  const missed = results.targets.some(({ met }) => met === false)
  return results.problems.length > 0 || (strict && missed) ? 1 : 0
}

/** What every benchmark takes. */
export const OPTIONS = {
  quick: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  strict: { type: 'boolean', default: false },
} as const

/** The options of a benchmark that has no others; what is no option ends the program with 2. */
export function readOptions(usage: string) {
  try {
    return parseArgs({ options: OPTIONS }).values
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`)
    return process.exit(2)
  }
}
