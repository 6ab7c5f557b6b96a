import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { chmod, chown, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ProcessTree } from './process-tree.ts'
import { assertServerSound } from './soundness.ts'

const LAUNCHER = resolve(import.meta.dirname, '../../bin/anvoke.js')
const READY_WITHIN_MS = 30_000
/** Longer than the grace that the server gives running calls. */
const STOPPED_WITHIN_MS = 40_000
const POLL_MS = 25
const STRAY = 77

export const ACCOUNT = '1234567890123456'
export const KEY_ID = 'parityAccessKeyId'
export const KEY_SECRET = 'parityAccessKeySecret'

interface RunAs {
  /** A user id without privileges to run the server under; only root can ask for it. Default: that of the tests. */
  readonly uid?: number | undefined
  /** A further group of that user; only beside `uid`. Default: none. */
  readonly furtherGid?: number | undefined
  /** An open file of the tests that the server is started with, as whoever starts it may leave it one: its descriptor 77. */
  readonly strayFd?: number | undefined
}

interface Run {
  readonly child: ChildProcess
  readonly tree: ProcessTree
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

/**
 * `anvoke serve` as a child process on a free port of the loopback, with a data directory of its own that outlives
 * restarts. Every end of it checks that no process of its tree is left.
 */
export class TestServer {
  readonly port: number
  readonly dataDir: string
  readonly #home: string
  readonly #environment: Readonly<Record<string, string>>
  readonly #uid: number | undefined
  readonly #furtherGid: number | undefined
  #strayFd: number | undefined
  #run: Run | undefined
  /** Everything the server wrote, for the message of a failed test. */
  #output = ''

  private constructor(
    port: number,
    home: string,
    environment: Readonly<Record<string, string>>,
    { uid, furtherGid, strayFd }: RunAs,
  ) {
    this.port = port
    this.#home = home
    this.dataDir = join(home, 'data')
    this.#environment = environment
    this.#uid = uid
    this.#furtherGid = furtherGid
    this.#strayFd = strayFd
  }

  /** @param environment Further settings, as `ANVOKE_…` variables. */
  static async start(
    environment: Readonly<Record<string, string>> = {},
    runAs: RunAs = {},
  ): Promise<TestServer> {
    const home = await mkdtemp(join(tmpdir(), 'anvoke-parity-'))
    // Functions run as users of their own, who have to reach their code below it.
    await chmod(home, 0o711)
    const { uid } = runAs
    if (uid !== undefined) await chown(home, uid, uid)
    const server = new TestServer(await freePort(), home, environment, runAs)
    await server.launch()
    // Whoever gave it may close it now: a server that is started again has none.
    server.#strayFd = undefined
    return server
  }

  get endpoint(): string {
    return `127.0.0.1:${this.port}`
  }

  get origin(): string {
    return `http://${this.endpoint}`
  }

  get output(): string {
    return this.#output
  }

  get pid(): number {
    return this.#running().child.pid ?? 0
  }

  /** Descendants of the server that run now. */
  descendants(): number {
    return this.#running().tree.look().length
  }

  /** Starts it on the data directory of before. Resolves once it answers. */
  async launch(): Promise<void> {
    if (this.#run !== undefined) throw new Error('the server runs already')
    const command = [process.execPath, LAUNCHER, 'serve', '--listen', this.endpoint, '--data', this.dataDir]
    const [program = '', ...args] = [...this.#changeUser(), ...command]
    const child = spawn(program, args, {
      cwd: this.#home,
      env: this.#childEnvironment(),
      stdio: this.#stdio(),
    })
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => (this.#output += chunk.toString()))
    // Tests that are given up must not leave it behind.
    const killChild = (): unknown => child.kill('SIGKILL')
    process.once('exit', killChild)
    child.once('exit', () => process.off('exit', killChild))
    const exited = once(child, 'exit').then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
    }))
    this.#run = { child, tree: new ProcessTree(child.pid ?? 0), exited }
    try {
      await this.#untilAlive(exited)
    } catch (error) {
      await this.kill()
      throw error
    }
  }

  /** Starts a second server on the same data directory. @throws with what it wrote, when it ends at once */
  async launchAnother(): Promise<void> {
    const another = new TestServer(await freePort(), this.#home, this.#environment, {
      uid: this.#uid,
      furtherGid: this.#furtherGid,
    })
    await another.launch()
    await another.stop()
  }

  /**
   * Sends SIGTERM; resolves when it has ended as promised: exit code 0, nothing of its tree left. Fails also when what it counted of
   * asynchronous calls was off.
   */
  async stop(): Promise<void> {
    const { child, tree, exited } = this.#running()
    const sound = assertServerSound(this.dataDir)
    await Promise.allSettled([sound])
    tree.look()
    child.kill('SIGTERM')
    const ended = await Promise.race([exited, delay(STOPPED_WITHIN_MS, undefined, { ref: false })])
    if (ended === undefined) {
      await this.kill()
      throw new Error(`the server did not stop; it wrote:\n${this.#output}`)
    }
    this.#run = undefined
    await tree.assertGone()
    if (ended.code !== 0)
      throw new Error(`the server ended with ${ended.code ?? ended.signal}; it wrote:\n${this.#output}`)
    await sound
  }

  /** Kills it without warning; resolves when nothing of its tree is left. */
  async kill(): Promise<void> {
    const { child, tree, exited } = this.#running()
    tree.look()
    child.kill('SIGKILL')
    await exited
    this.#run = undefined
    await tree.assertGone()
  }

  /** Stops it, where it runs, and removes its data. */
  async close(): Promise<void> {
    try {
      if (this.#run !== undefined) await this.stop()
    } finally {
      await rm(this.#home, { recursive: true, force: true })
    }
  }

  /** Whether functions run in namespaces of their own here. */
  async isolates(): Promise<boolean> {
    const response = await fetch(`${this.origin}/readyz?verbose`)
    return (await response.text()).includes('sandbox bwrap')
  }

  /** The log files of a function as they are now, each as one text. */
  async functionLog(service: string, name: string): Promise<string> {
    const dir = join(this.dataDir, 'logs', ACCOUNT, service, name)
    const files = await readdir(dir).catch(() => [])
    const texts = await Promise.all(
      files
        .filter((file) => file.endsWith('.jsonl'))
        .sort()
        // A rotated file may be gone by now.
        .map((file) => readFile(join(dir, file), 'utf8').catch(() => '')),
    )
    return texts.join('')
  }

  /** Waits until the log files of a function satisfy a condition, and returns them. */
  async untilLogged(
    service: string,
    name: string,
    satisfies: (log: string) => boolean,
    withinMs = 20_000,
  ): Promise<string> {
    const deadline = Date.now() + withinMs
    for (;;) {
      const log = await this.functionLog(service, name)
      if (satisfies(log)) return log
      if (Date.now() > deadline) throw new Error(`not logged by ${service}/${name}; the log is:\n${log}`)
      await delay(POLL_MS)
    }
  }

  #stdio(): StdioOptions {
    const usual = ['ignore', 'pipe', 'pipe'] as const
    if (this.#strayFd === undefined) return [...usual]
    return [...usual, ...Array.from({ length: STRAY - usual.length }, () => 'ignore' as const), this.#strayFd]
  }

  /** The server takes the place of this program, so that signals reach it. */
  #changeUser(): readonly string[] {
    if (this.#uid === undefined) return []
    const groups = this.#furtherGid === undefined ? '--clear-groups' : `--groups=${this.#furtherGid}`
    return ['setpriv', `--reuid=${this.#uid}`, `--regid=${this.#uid}`, groups, '--']
  }

  #childEnvironment(): NodeJS.ProcessEnv {
    // Settings of whoever runs the tests would be settings of the server.
    const inherited = Object.entries(process.env).filter(
      ([key]) => !key.startsWith('ANVOKE_') && !key.startsWith('VITEST'),
    )
    return {
      ...Object.fromEntries(inherited),
      NODE_ENV: 'production',
      ...(this.#uid === undefined ? {} : { HOME: this.#home }),
      ANVOKE_ACCESS_KEY_ID: KEY_ID,
      ANVOKE_ACCESS_KEY_SECRET: KEY_SECRET,
      ANVOKE_ACCOUNT_ID: ACCOUNT,
      ...this.#environment,
    }
  }

  #running(): Run {
    if (this.#run === undefined) throw new Error('the server does not run')
    return this.#run
  }

  async #untilAlive(exited: Run['exited']): Promise<void> {
    let ended: Awaited<Run['exited']> | undefined
    void exited.then((result) => (ended = result))
    const deadline = Date.now() + READY_WITHIN_MS
    const outputBefore = this.#output.length
    for (;;) {
      // Its own word first: the port might be another program's.
      const listens = this.#output.includes(this.origin, outputBefore)
      const alive =
        listens &&
        (await fetch(`${this.origin}/healthz`).then(
          ({ status }) => status === 200,
          () => false,
        ))
      if (alive) return
      if (ended !== undefined)
        throw new Error(`the server ended with ${ended.code ?? ended.signal}; it wrote:\n${this.#output}`)
      if (Date.now() > deadline) throw new Error(`the server does not answer; it wrote:\n${this.#output}`)
      await delay(POLL_MS)
    }
  }
}

/** A port outside the range from which the system takes ports of its own accord, so that it stays free over restarts. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000)
    const probe = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false))
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
    })
    if (isFree) return port
  }
}
