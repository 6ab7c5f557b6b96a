import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import type { Stream } from 'node:stream'
import type { InheritedDescriptors } from '../inherited-descriptors.ts'
import { TextTail } from '../text-tail.ts'

/** Longest wait for what a program that has ended had to say. */
const LAST_WORDS_MS = 500

/** A small program of the host that works beside a sandbox, not in it. */
export class Helper {
  /** Undefined when it ended well, else why not. Never rejects. */
  readonly ended: Promise<string | undefined>
  /** The server's ends of its pipes, by descriptor. */
  readonly pipes: readonly (Stream | null | undefined)[]
  readonly #process: ChildProcess

  /**
   * @param name What to call it; its program may be another's that starts it.
   * @param command Program and arguments.
   * @param stdio Its descriptors; the third is a `pipe`: what it says there explains its end.
   * @throws When the kernel refuses another process or descriptor.
   */
  constructor(
    name: string,
    command: readonly string[],
    stdio: readonly ('pipe' | 'ignore' | number)[],
    inherited: InheritedDescriptors,
  ) {
    const [program = '', ...args] = command
    // A session of its own: what a terminal sends to the server, the server handles.
    const options: SpawnOptions = { cwd: '/', env: {}, detached: true, stdio: inherited.shadow(stdio) }
    const child = spawn(program, args, options)
    this.#process = child
    this.pipes = child.stdio
    const said = new TextTail()
    // A peer that is gone is told by `ended`; an error nobody listens to would end the server.
    for (const pipe of child.stdio) pipe?.on('error', () => undefined)
    child.stderr?.pipe(said).resume()
    this.ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('exit', (exitCode, signal) => {
        if (exitCode === 0) resolve(undefined)
        else
          void said
            .complete(LAST_WORDS_MS)
            .then(() => resolve(`${name}: ${lastWords(said.text) || `ended by ${signal ?? exitCode}`}`))
      })
    })
  }

  /** Undefined when it could not be started. */
  get pid(): number | undefined {
    return this.#process.pid
  }

  /** Ends it at once. Safe to call any number of times. */
  kill(): void {
    this.#process.kill('SIGKILL')
  }
}

/** The last line often tells only that the one before was fatal. */
function lastWords(text: string): string {
  return text.trim().split('\n').slice(-2).join('; ')
}
