import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Duplex, Readable } from 'node:stream'
import { materialiseBootstraps, NODE_BOOTSTRAP } from '../../src/sandbox/bootstraps.ts'

/** A frame of `src/runtimes/protocol.md` as the bootstrap sent it. */
export interface Frame {
  readonly type: number
  readonly flag: number
  readonly callId: number
  readonly meta: Record<string, unknown>
  readonly payload: Buffer
}

export const TYPE = {
  hello: 1,
  setup: 2,
  ready: 3,
  failed: 4,
  invoke: 5,
  result: 6,
  log: 7,
  loaded: 8,
} as const

export interface SetupOverrides {
  handler: string
  codeDir: string
  initializer?: string
  concurrency?: number
  contract?: string
  environment?: Record<string, string>
  context?: Record<string, unknown>
}

const RUNTIMES = path.resolve(import.meta.dirname, '../../src/runtimes')

/** What `src/contracts/alibaba-fc.ts` puts into the set-up, for tests that drive a bootstrap by themselves. */
export function alibabaContext(generation: readonly number[], more: Record<string, unknown> = {}) {
  return {
    generation,
    region: 'cn-hangzhou',
    accountId: '1234567890123456',
    credentials: { accessKeyId: 'id', accessKeySecret: 'secret', securityToken: 'token' },
    function: { name: 'f', handler: 'index.handler', memory: 128, timeout: 3 },
    service: { name: 's', logProject: 'lp', logStore: 'ls', qualifier: 'LATEST', versionId: 'LATEST' },
    ...more,
  }
}

export const PYTHON_BOOTSTRAP = path.join(RUNTIMES, 'python', 'bootstrap.py')

/** One bootstrap as a real child process, seen from the server's end of the channel and of the ticket book. */
export class Driver {
  readonly child: ChildProcess
  readonly frames: Frame[] = []
  /** Bytes that reached descriptors 1 and 2 behind the bootstrap's back. */
  direct = ''
  epoch = 1
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  readonly #channel: Duplex
  readonly #bookFd: number
  readonly #bookPath: string
  readonly #writeFd: number
  #bookEnd = 0
  #nextCallId = 1
  #chunks: Buffer[] = []
  #unreadBytes = 0
  #neededBytes = 12
  readonly #waiters = new Set<() => void>()
  #ended = false
  #closed = false

  constructor(command: string, args: readonly string[], environment: Record<string, string> = {}) {
    this.#bookPath = path.join(fs.mkdtempSync(path.join(tmpdir(), 'anvoke-tickets-')), 'book')
    this.#writeFd = fs.openSync(this.#bookPath, 'w')
    this.#bookFd = fs.openSync(this.#bookPath, 'r')
    this.issue(4096)
    this.child = spawn(command, args, {
      env: { PATH: '/usr/bin:/bin', ...environment },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', this.#bookFd],
    })
    const [, stdout, stderr, channel] = this.child.stdio
    if (!(channel instanceof Duplex)) throw new Error('descriptor 3 is no socket')
    this.#channel = channel
    this.#channel.on('data', (chunk: Buffer) => this.#read(chunk))
    this.#channel.on('error', () => {})
    const end = (): void => {
      this.#ended = true
      for (const wake of this.#waiters) wake()
    }
    this.#channel.on('close', end)
    for (const stream of [stdout, stderr]) {
      if (!(stream instanceof Readable)) throw new Error('descriptors 1 and 2 are no pipes')
      stream.on('data', (chunk: Buffer) => {
        this.direct += chunk.toString()
        for (const wake of this.#waiters) wake()
      })
    }
    this.exited = once(this.child, 'close').then(([code, signal]) => ({ code, signal }))
  }

  /** Adds tickets of the current epoch to the book. */
  issue(count: number): void {
    fs.writeSync(this.#writeFd, Buffer.alloc(count, this.epoch), 0, count, this.#bookEnd)
    this.#bookEnd += count
  }

  /** Takes back every ticket that is left, and begins the next epoch. Returns how many were left. */
  revoke(): number {
    const rest = Buffer.alloc(1 << 16)
    let left = 0
    for (;;) {
      const bytes = fs.readSync(this.#bookFd, rest, 0, rest.length, null)
      if (bytes === 0) break
      left += bytes
    }
    this.epoch++
    return left
  }

  send(type: number, flag: number, callId: number, meta: string, payload: Buffer | string = ''): void {
    const head = Buffer.alloc(12)
    const metaBytes = Buffer.from(meta)
    const content = typeof payload === 'string' ? Buffer.from(payload) : payload
    head.writeUInt32LE(8 + metaBytes.length + content.length, 0)
    head[4] = type
    head[5] = flag
    head.writeUInt16LE(metaBytes.length, 6)
    head.writeUInt32LE(callId, 8)
    this.#channel.write(Buffer.concat([head, metaBytes, content]))
  }

  /** Raw bytes onto the channel. */
  write(bytes: Buffer): void {
    this.#channel.write(bytes)
  }

  setup(overrides: SetupOverrides): void {
    const setup = {
      contract: 'alibaba-fc',
      concurrency: 1,
      requestId: 'set-up-request',
      environment: { PATH: '/usr/bin:/bin' },
      context: alibabaContext([20]),
      ...overrides,
    }
    this.send(TYPE.setup, 0, 0, '', JSON.stringify(setup))
  }

  /** Delivers one call and returns its id. */
  deliver(event: Buffer | string = '', meta: Record<string, unknown> = {}): number {
    const callId = this.#nextCallId++
    this.send(TYPE.invoke, this.epoch, callId, JSON.stringify({ requestId: `r-${callId}`, ...meta }), event)
    return callId
  }

  /** Reads nothing from the channel until {@link Driver.resume}. */
  pause(): void {
    this.#channel.pause()
  }

  resume(): void {
    this.#channel.resume()
  }

  /** The first frame, seen or still to come, that matches. */
  async frame(matches: (frame: Frame) => boolean): Promise<Frame> {
    for (;;) {
      const found = this.frames.find(matches)
      if (found !== undefined) return found
      if (this.#ended) throw new Error(`the bootstrap ended without that frame; it wrote: ${this.direct}`)
      await this.#news()
    }
  }

  /** Resolves once what was written to descriptors 1 and 2 contains `text`. */
  async directOutput(text: string): Promise<void> {
    while (!this.direct.includes(text)) {
      if (this.#ended) throw new Error(`ended with only: ${this.direct}`)
      await this.#news()
    }
  }

  result(callId: number): Promise<Frame> {
    return this.frame((frame) => frame.type === TYPE.result && frame.callId === callId)
  }

  /** Sets the code up and waits until it is ready. */
  async ready(overrides: SetupOverrides): Promise<Frame> {
    this.setup(overrides)
    return this.frame((frame) => {
      if (frame.type === TYPE.failed) throw new Error(`failed: ${frame.payload.toString()}`)
      return frame.type === TYPE.ready
    })
  }

  /** One call from delivery to result. */
  call(event: Buffer | string = '', meta: Record<string, unknown> = {}): Promise<Frame> {
    return this.result(this.deliver(event, meta))
  }

  /** The text of the LOG frames of a call, in order. */
  logOf(callId: number): string {
    const logs = this.frames.filter((frame) => frame.type === TYPE.log && frame.callId === callId)
    return Buffer.concat(logs.map((frame) => frame.payload)).toString()
  }

  /** Ends the server's side; resolves when the bootstrap is gone. Kills it when it is stuck in code. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#channel.destroy()
    const kill = setTimeout(() => this.child.kill('SIGKILL'), 2000)
    await this.exited
    clearTimeout(kill)
    fs.closeSync(this.#writeFd)
    fs.closeSync(this.#bookFd)
    fs.rmSync(path.dirname(this.#bookPath), { recursive: true })
  }

  #news(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiters.add(resolve)
    return promise.finally(() => this.#waiters.delete(resolve))
  }

  #read(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#unreadBytes += chunk.length
    if (this.#unreadBytes < this.#neededBytes) return
    let bytes = Buffer.concat(this.#chunks)
    this.#neededBytes = 12
    while (bytes.length >= this.#neededBytes) {
      const end = 4 + bytes.readUInt32LE(0)
      if (bytes.length < end) {
        this.#neededBytes = end
        break
      }
      const metaLength = bytes.readUInt16LE(6)
      const meta = bytes.toString('utf8', 12, 12 + metaLength)
      this.frames.push({
        type: bytes[4]!,
        flag: bytes[5]!,
        callId: bytes.readUInt32LE(8),
        meta: meta === '' ? {} : JSON.parse(meta),
        payload: bytes.subarray(12 + metaLength, end),
      })
      bytes = bytes.subarray(end)
    }
    this.#chunks = [bytes]
    this.#unreadBytes = bytes.length
    for (const wake of this.#waiters) wake()
  }
}

const open = new Set<Driver>()
const directories = new Set<string>()

/** A directory with the given files, gone after {@link closeDrivers}. */
export function codeDirectory(files: Record<string, string>): string {
  const directory = fs.mkdtempSync(path.join(tmpdir(), 'anvoke-code-'))
  directories.add(directory)
  for (const [name, content] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(directory, name)), { recursive: true })
    fs.writeFileSync(path.join(directory, name), content)
  }
  return directory
}

/** A bootstrap that has said HELLO. `ANVOKE_TEST_NODE` and `ANVOKE_TEST_PYTHON` name other interpreters to test. */
export async function startBootstrap(language: 'nodejs' | 'python'): Promise<Driver> {
  const driver =
    language === 'nodejs'
      ? new Driver(process.env['ANVOKE_TEST_NODE'] ?? process.execPath, [
          '--expose-gc',
          await nodeBootstrap(),
        ])
      : new Driver(process.env['ANVOKE_TEST_PYTHON'] ?? 'python3', [PYTHON_BOOTSTRAP], {
          PYTHONDONTWRITEBYTECODE: '1',
        })
  open.add(driver)
  await driver.frame((frame) => frame.type === TYPE.hello)
  return driver
}

/** A ready instance of a Node.js function: its `index.js`, and its handler `index.handler` unless told otherwise. */
export async function nodeFunction(source: string, overrides: Partial<SetupOverrides> = {}): Promise<Driver> {
  const driver = await startBootstrap('nodejs')
  await driver.ready({
    handler: 'index.handler',
    codeDir: codeDirectory({ 'index.js': source }),
    ...overrides,
  })
  return driver
}

/** The same for Python: its `index.py`. */
export async function pythonFunction(
  source: string,
  overrides: Partial<SetupOverrides> = {},
): Promise<Driver> {
  const driver = await startBootstrap('python')
  await driver.ready({
    handler: 'index.handler',
    context: alibabaContext([3, 10]),
    codeDir: codeDirectory({ 'index.py': source }),
    ...overrides,
  })
  return driver
}

/** For afterEach: ends every instance and removes what it used. */
export async function closeDrivers(): Promise<void> {
  await Promise.all([...open].map((driver) => driver.close()))
  open.clear()
  for (const directory of directories) fs.rmSync(directory, { recursive: true, force: true })
  directories.clear()
  laidOut = undefined
}

let laidOut: Promise<string> | undefined

/** Laid out as the server does it, once for the instances of a test. */
function nodeBootstrap(): Promise<string> {
  laidOut ??= layOutNodeBootstrap()
  return laidOut
}

async function layOutNodeBootstrap(): Promise<string> {
  const directory = fs.mkdtempSync(path.join(tmpdir(), 'anvoke-bootstrap-'))
  directories.add(directory)
  const { nodejs } = await materialiseBootstraps(directory)
  return path.join(nodejs, NODE_BOOTSTRAP)
}
