import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const LAUNCHER = fileURLToPath(new URL('../../bin/anvoke.js', import.meta.url))

/** Shared by all starts: in a home directory of its own, each would compile everything anew. */
const COMPILED = fileURLToPath(new URL('../../node_modules/.cache/anvoke', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

/** The program as a user starts it, with nothing of this process's settings. */
export class Launched {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  #stdout = ''
  #stderr = ''

  /** @param environment `HOME` and `XDG_DATA_HOME` have to lead to a place of the test. */
  constructor(
    args: readonly string[],
    options: {
      readonly cwd: string
      readonly environment?: Readonly<Record<string, string>>
      readonly node?: string
    },
  ) {
    const { cwd, environment = {}, node = process.execPath } = options
    this.child = spawn(node, [LAUNCHER, ...args], {
      cwd,
      env: {
        PATH: process.env['PATH'],
        HOME: cwd,
        XDG_DATA_HOME: cwd,
        TMPDIR: cwd,
        NODE_COMPILE_CACHE: COMPILED,
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#stdout += text))
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text))
    this.ended = once(this.child, 'close').then(([code, signal]) => ({
      code: typeof code === 'number' ? code : null,
      signal: typeof signal === 'string' ? signal : null,
      stdout: this.#stdout,
      stderr: this.#stderr,
    }))
  }

  get stderr(): string {
    return this.#stderr
  }

  /** Resolves with the URL once the banner has been shown. */
  async ready(): Promise<string> {
    let isOver = false
    void this.ended.then(() => (isOver = true))
    for (;;) {
      // The banner ends with the line about clients.
      const url = /URL +(http:\S+)\n[^]*SDK .*\n/.exec(this.#stderr)?.[1]
      if (url !== undefined) return url
      if (isOver || this.child.stderr === null) throw new Error(`the server ended: ${this.#stderr}`)
      await Promise.race([once(this.child.stderr, 'data'), this.ended])
    }
  }

  async kill(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL')
    await this.ended
  }
}
