import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { isAlive, nameOf, treeBelow, type ProcessIdentity } from './processes.ts'

const LAUNCHER = resolve(import.meta.dirname, '../../bin/anvoke.js')
const READY_WITHIN_MS = 30_000
const GONE_WITHIN_MS = 10_000
const STOPPED_WITHIN_MS = 30_000
const OUTPUT_CHARS = 100_000

export const ACCOUNT = '1234567890123456'
export const KEY = { id: 'crashAccessKeyId', secret: 'crashAccessKeySecret' } as const

interface Run {
  readonly child: ChildProcess
  readonly pid: number
  /** Descendants that were seen. */
  readonly family: Map<string, ProcessIdentity>
  readonly exited: Promise<unknown>
}

/** `anvoke serve`, started again and again on one data directory. */
export class CrashServer {
  readonly port: number
  readonly dataDir: string
  readonly temporaryDir: string
  /** The part of the names of everything that a server makes outside of its data directory, of each that was started. */
  readonly names: string[] = []
  /** Milliseconds from the start of the process until it answered. */
  readonly startsMs: number[] = []
  /** Processes that outlived their server. */
  readonly orphans: string[] = []
  #run: Run | undefined
  #output = ''

  constructor(home: string, port: number) {
    this.port = port
    this.dataDir = join(home, 'data')
    this.temporaryDir = join(home, 'tmp')
    mkdirSync(this.temporaryDir, { recursive: true })
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** The last of what it wrote. */
  get output(): string {
    return this.#output
  }

  /** Starts the process and waits for nothing. */
  spawn(): void {
    if (this.#run !== undefined) throw new Error('the server runs already')
    const flags = {
      listen: `127.0.0.1:${this.port}`,
      data: this.dataDir,
      network: 'host',
      'webhook-addresses': 'any',
      'shutdown-grace-seconds': '1',
      'log-level': 'warn',
    }
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value])
    const child = spawn(process.execPath, [LAUNCHER, 'serve', ...args], {
      env: { ...cleanEnvironment(), TMPDIR: this.temporaryDir },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString()).slice(-OUTPUT_CHARS)
      })
    // Whoever gives the harness up must not leave a server behind.
    const killChild = (): unknown => child.kill('SIGKILL')
    process.once('exit', killChild)
    child.once('exit', () => process.off('exit', killChild))
    const exited = once(child, 'exit')
    const pid = child.pid
    if (pid === undefined) throw new Error('the server could not be started')
    this.names.push(nameOf(pid))
    this.#run = { child, pid, family: new Map(), exited }
  }

  /** Starts it. Resolves once it answers. */
  async start(): Promise<void> {
    const startedAtMs = performance.now()
    this.spawn()
    const { child } = this.#running()
    while (!(await this.#answers())) {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`the server ended as it started; it wrote:\n${this.#output}`)
      if (performance.now() - startedAtMs > READY_WITHIN_MS)
        throw new Error(`the server does not answer; it wrote:\n${this.#output}`)
      await delay(5)
    }
    this.startsMs.push(performance.now() - startedAtMs)
  }

  /** Everything that runs below it now. */
  descendants(): readonly ProcessIdentity[] {
    const { pid, family } = this.#running()
    const found = treeBelow(pid)
    for (const member of found) family.set(`${member.pid} ${member.startTicks}`, member)
    return found
  }

  /** SIGKILL. Resolves when nothing that was seen of its tree is left. */
  async kill(): Promise<void> {
    this.descendants()
    const { child, exited } = this.#running()
    child.kill('SIGKILL')
    await exited
    await this.#ended()
  }

  /** SIGTERM, and nothing more. */
  terminate(): void {
    this.descendants()
    this.#running().child.kill('SIGTERM')
  }

  /** SIGTERM. Resolves when it has ended, and nothing of it is left. @throws when it does not end, or not with code 0 */
  async stop(): Promise<void> {
    this.terminate()
    const { child, exited } = this.#running()
    const isOver = await Promise.race([
      exited.then(() => true),
      delay(STOPPED_WITHIN_MS, false, { ref: false }),
    ])
    if (!isOver) {
      const left = this.descendants().map(({ pid, command }) => `${command} (${pid})`)
      await this.kill()
      throw new Error(`the server did not stop; below it ran ${left.join(', ')}; it wrote:\n${this.#output}`)
    }
    await this.#ended()
    if (child.exitCode !== 0)
      throw new Error(
        `a stopped server ended with ${String(child.exitCode ?? child.signalCode)}; it wrote:\n${this.#output}`,
      )
  }

  /** Ends it at once, where it runs: the harness is over. */
  async end(): Promise<void> {
    if (this.#run !== undefined) await this.kill()
  }

  async #ended(): Promise<void> {
    const { family } = this.#running()
    this.#run = undefined
    const deadlineMs = performance.now() + GONE_WITHIN_MS
    let left = [...family.values()].filter(isAlive)
    while (left.length > 0 && performance.now() < deadlineMs) {
      await delay(10)
      left = left.filter(isAlive)
    }
    this.orphans.push(...left.map(({ pid, command }) => `${command} (${pid})`))
  }

  async #answers(): Promise<boolean> {
    try {
      const response = await fetch(`${this.origin}/healthz`)
      await response.arrayBuffer()
      return response.ok
    } catch {
      return false
    }
  }

  #running(): Run {
    if (this.#run === undefined) throw new Error('the server does not run')
    return this.#run
  }
}

/** Settings of whoever runs this would be settings of the server. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('ANVOKE_') && !name.startsWith('VITEST'),
  )
  return {
    ...Object.fromEntries(inherited),
    NODE_ENV: 'production',
    ANVOKE_ACCESS_KEY_ID: KEY.id,
    ANVOKE_ACCESS_KEY_SECRET: KEY.secret,
    ANVOKE_ACCOUNT_ID: ACCOUNT,
  }
}
