import { once } from 'node:events'
import { fstatSync, mkdtempSync, readSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import type {
  Sandbox,
  SandboxExit,
  SandboxProcess,
  SandboxSpec,
  TicketFile,
} from '../../src/sandbox/sandbox.ts'

/** Frame types of `src/runtimes/protocol.md`. */
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

/** A call as a process sees it. */
export interface ScriptedCall {
  readonly callId: number
  readonly epoch: number
  readonly requestId: string
  readonly meta: Readonly<Record<string, unknown>>
  readonly event: string
}

/** What a process does, from its start on. It may stop at any point: a process that does nothing is a spinning one. */
export type Script = (process: ScriptedProcess) => Promise<void>

/**
 * A sandbox whose processes are scripts inside the test: real frames over a real socket, real tickets from the real book,
 * and no time of their own.
 */
export class ScriptedSandbox implements Sandbox {
  readonly name = 'process'
  readonly processes: ScriptedProcess[] = []
  /** Given each new process before the caller gets it. */
  equip: (process: ScriptedProcess) => void = () => undefined
  /** How often the call of each request id has been started, over all processes. */
  readonly begun = new Map<string, number>()
  /** The first process that the test waits for but that is not there yet. */
  readonly #arrivals: ((process: ScriptedProcess) => void)[] = []
  readonly #dir: string
  readonly #server: Server
  readonly #connecting: ScriptedProcess[] = []
  #script: (index: number) => Script

  private constructor(dir: string, script: (index: number) => Script) {
    this.#dir = dir
    this.#script = script
    this.#server = createServer((socket) => this.#connecting.shift()?.attach(socket))
  }

  /** @param script What the process with this number, from 0, does. */
  static async open(script: (index: number) => Script): Promise<ScriptedSandbox> {
    const sandbox = new ScriptedSandbox(mkdtempSync(join(tmpdir(), 'anvoke-scripted-')), script)
    sandbox.#server.listen(sandbox.path)
    await once(sandbox.#server, 'listening')
    return sandbox
  }

  get path(): string {
    return join(this.#dir, 'socket')
  }

  /** Directory for ticket books. */
  get dir(): string {
    return this.#dir
  }

  /** What processes started from now on do. */
  play(script: (index: number) => Script): void {
    this.#script = script
  }

  start(spec: SandboxSpec): SandboxProcess {
    const index = this.processes.length
    const process = new ScriptedProcess(index, spec, connect(this.path), this.begun)
    this.#connecting.push(process)
    this.processes.push(process)
    this.equip(process)
    for (const arrived of this.#arrivals.splice(0)) arrived(process)
    void process.run(this.#script(index))
    return process
  }

  /** The process with this number, once it is started. */
  async process(index: number): Promise<ScriptedProcess> {
    for (;;) {
      const process = this.processes[index]
      if (process !== undefined) return process
      await new Promise((resolve) => this.#arrivals.push(resolve))
    }
  }

  async close(): Promise<void> {
    for (const process of this.processes) process.kill()
    await Promise.all(this.processes.map(({ exited }) => exited))
    await new Promise((resolve) => this.#server.close(resolve))
    rmSync(this.#dir, { recursive: true })
  }
}

/** One process: the server's side of it is the {@link SandboxProcess}, the rest are the moves of its script. */
export class ScriptedProcess implements SandboxProcess {
  readonly index: number
  readonly spec: SandboxSpec
  readonly channel: Socket
  readonly stdout = new PassThrough()
  readonly stderr = new PassThrough()
  readonly exited: Promise<SandboxExit>
  prepared?: Promise<void>
  /** Its own tickets; they take the place of those that it was started with. */
  tickets?: TicketFile
  /** What {@link memory} tells. */
  peakBytes = 0
  /** Default: as much as the peak. */
  currentBytes: number | undefined
  /** Whether {@link memory} ever answers. */
  tellsMemory = true
  /** Whether a kill ends it. */
  obeysKill = true
  /** What a termination does, instead of ending it by SIGTERM. */
  onTold: (() => void | Promise<void>) | undefined
  /** Times it was told to end. */
  told = 0
  /** What SETUP said. */
  setup: Readonly<Record<string, unknown>> = {}
  readonly #attached = Promise.withResolvers<Socket>()
  readonly #exit = Promise.withResolvers<SandboxExit>()
  readonly #setUp = Promise.withResolvers<void>()
  readonly #begun: Map<string, number>
  #bookIdentity: string | undefined
  readonly #inbox: ScriptedCall[] = []
  readonly #hungry: (() => void)[] = []
  #socket: Socket | undefined
  #unread: Buffer = Buffer.alloc(0)
  #keptTicket = 0
  #ended = false

  constructor(index: number, spec: SandboxSpec, channel: Socket, begun: Map<string, number>) {
    this.index = index
    this.spec = spec
    this.channel = channel
    channel.on('error', () => undefined)
    this.exited = this.#exit.promise
    this.#begun = begun
  }

  // — what the server sees

  locate(target: string): string {
    return target
  }

  memory(): Promise<{ currentBytes: number; peakBytes: number }> {
    return this.tellsMemory
      ? Promise.resolve({ currentBytes: this.currentBytes ?? this.peakBytes, peakBytes: this.peakBytes })
      : new Promise(() => undefined)
  }

  kill(cause?: 'outOfMemory'): void {
    if (!this.obeysKill) return
    this.end(cause === undefined ? { kind: 'signalled', signal: 'SIGKILL' } : { kind: cause })
  }

  async terminate(): Promise<void> {
    this.told += 1
    if (this.onTold === undefined) this.end({ kind: 'signalled', signal: 'SIGTERM' })
    else await this.onTold()
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Calls that arrived and were not looked at: a script that does not call {@link next} leaves them there. */
  get unread(): number {
    return this.#inbox.length
  }

  // — moves

  /** Sends HELLO, waits for SETUP, and with `loaded` says that the initializer begins. */
  async begin(more: { loaded?: boolean } = {}): Promise<void> {
    this.send(TYPE.hello, 1, 0, { runtimeVersion: 'scripted' })
    await this.#setUp.promise
    if (more.loaded === true) this.send(TYPE.loaded, 0, 0)
  }

  ready(meta: Record<string, unknown> = {}): void {
    this.send(TYPE.ready, 0, 0, { loadMs: 1, initMs: 1, peakKib: 1024, ...meta })
  }

  /** Takes the next call that was not revoked, with its ticket: from here on it has begun. */
  async next(): Promise<ScriptedCall> {
    for (;;) {
      const call = this.#inbox.shift()
      if (call === undefined) await new Promise<void>((resolve) => this.#hungry.push(resolve))
      else if (this.#takeTicket(call.epoch)) {
        this.#begun.set(call.requestId, (this.#begun.get(call.requestId) ?? 0) + 1)
        return call
      }
    }
  }

  /** Waits until `count` calls have arrived, without looking at them. */
  async holds(count: number): Promise<void> {
    while (this.#inbox.length < count) await new Promise<void>((resolve) => this.#hungry.push(resolve))
  }

  answer(
    call: ScriptedCall,
    payload: Buffer | string = call.event,
    meta: Record<string, unknown> = {},
  ): void {
    this.send(TYPE.result, 0, call.callId, { durationMs: 0.01, peakKib: 2048, ...meta }, payload)
  }

  throwError(call: ScriptedCall, errorType: string, body: string, flag: 1 | 2 = 1): void {
    this.send(TYPE.result, flag, call.callId, { durationMs: 0.01, errorType }, body)
  }

  log(callId: number, text: string): void {
    this.send(TYPE.log, 1, callId, undefined, text)
  }

  send(type: number, flag: number, callId: number, meta?: unknown, payload: Buffer | string = ''): void {
    this.write(frame(type, flag, callId, meta === undefined ? '' : JSON.stringify(meta), payload))
  }

  /** Raw bytes onto the channel. */
  write(bytes: Buffer): void {
    if (this.#socket !== undefined) this.#socket.write(bytes)
    else void this.#attached.promise.then((socket) => socket.write(bytes))
  }

  /** Serves calls one after another, for ever. */
  async serve(handle: (call: ScriptedCall, process: ScriptedProcess) => void | Promise<void>): Promise<void> {
    for (;;) await handle(await this.next(), this)
  }

  /** Reads nothing more from its channel: what is sent stays in the kernel, then with the sender. */
  deafen(): void {
    this.#socket?.pause()
  }

  /** Closes its end of the channel and lives on. */
  async closeChannel(): Promise<void> {
    ;(await this.#attached.promise).end()
  }

  exit(exitCode: number): void {
    this.end({ kind: 'exited', exitCode })
  }

  /** Ends; what it wrote before reaches the server. */
  end(exit: SandboxExit): void {
    if (this.#ended) return
    this.#ended = true
    if (this.#socket === undefined) void this.#attached.promise.then((socket) => socket.end())
    else this.#socket.resume().end()
    this.stdout.end()
    this.stderr.end()
    this.#exit.resolve(exit)
  }

  // — wiring

  attach(socket: Socket): void {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', () => undefined)
    this.#attached.resolve(socket)
  }

  async run(script: Script): Promise<void> {
    this.#bookIdentity = identityOf(this.#ticketsFd)
    await this.#attached.promise
    if (!this.#ended) await script(this)
  }

  get #ticketsFd(): number {
    return this.tickets?.readFd ?? this.spec.ticketsFd
  }

  #takeTicket(epoch: number): boolean {
    if (this.#keptTicket === 0) {
      // The server's descriptor: a dead instance has closed it, and its number may be another's by now.
      if (this.#ended || identityOf(this.#ticketsFd) !== this.#bookIdentity) return false
      const ticket = Buffer.alloc(1)
      if (readSync(this.#ticketsFd, ticket, 0, 1, null) === 0) return false
      this.#keptTicket = ticket[0] ?? 0
    }
    if (this.#keptTicket !== epoch) return false
    this.#keptTicket = 0
    return true
  }

  #read(chunk: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, chunk])
    for (;;) {
      const bytes = this.#unread
      if (bytes.length < 12) break
      const length = bytes.readUInt32LE(0)
      if (bytes.length < 4 + length) break
      const payloadAt = 12 + bytes.readUInt16LE(6)
      const payload = bytes.toString('utf8', payloadAt, 4 + length)
      if (bytes[4] === TYPE.setup) {
        this.setup = JSON.parse(payload) as Record<string, unknown>
        this.#setUp.resolve()
      } else {
        const meta = JSON.parse(bytes.toString('utf8', 12, payloadAt)) as { requestId: string }
        const { requestId } = meta
        this.#inbox.push({
          callId: bytes.readUInt32LE(8),
          epoch: bytes[5] ?? 0,
          requestId,
          meta: { ...meta },
          event: payload,
        })
      }
      this.#unread = bytes.subarray(4 + length)
    }
    for (const wake of this.#hungry.splice(0)) wake()
  }
}

/** A frame as bytes. */
export function frame(
  type: number,
  flag: number,
  callId: number,
  meta: string,
  payload: Buffer | string,
): Buffer {
  const metaBytes = Buffer.from(meta)
  const content = typeof payload === 'string' ? Buffer.from(payload) : payload
  const head = Buffer.alloc(12)
  head.writeUInt32LE(8 + metaBytes.length + content.length, 0)
  head[4] = type
  head[5] = flag
  head.writeUInt16LE(metaBytes.length, 6)
  head.writeUInt32LE(callId, 8)
  return Buffer.concat([head, metaBytes, content])
}

/** A process that gets ready and answers each call with its event. */
export const echo: Script = async (process) => {
  await process.begin({ loaded: process.spec.environment['INITIALIZER'] !== undefined })
  process.ready()
  await process.serve((call) => process.answer(call))
}

function identityOf(fd: number): string {
  try {
    const { dev, ino, birthtimeNs } = fstatSync(fd, { bigint: true })
    return `${dev} ${ino} ${birthtimeNs}`
  } catch {
    return 'closed'
  }
}
