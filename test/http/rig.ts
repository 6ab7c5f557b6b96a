import { once } from 'node:events'
import {
  Agent,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Dialect } from '../../src/dialects/dialect.ts'
import { PayloadBudget } from '../../src/engine/payload-budget.ts'
import type { Exchange, Reply } from '../../src/http/exchange.ts'
import { Listener } from '../../src/http/server.ts'
import { EngineError } from '../../src/model/errors.ts'
import { payloadOf, toBuffer } from '../../src/model/payload.ts'

export type ListenerOptions = ConstructorParameters<typeof Listener>[0]

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A budget that tells whoever waits for it that bytes were given back. */
export class WatchedBudget extends PayloadBudget {
  #changed = Promise.withResolvers<void>()

  override giveRequest(bytes: number): void {
    super.giveRequest(bytes)
    this.#tell()
  }

  override give(bytes: number): void {
    super.give(bytes)
    this.#tell()
  }

  async untilEmpty(): Promise<void> {
    while (this.heldBytes > 0) await this.#changed.promise
  }

  #tell(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers<void>()
  }
}

/** The body a request to `/t/…` may have. */
export const BODY_LIMIT = 1024

/** Answers with the body it got, and an engine's error with its code. */
export async function echo(exchange: Exchange): Promise<Reply> {
  try {
    const body = await exchange.readBody(BODY_LIMIT)
    return { status: 200, headers: { 'X-Method': exchange.method }, body: payloadOf(toBuffer(body)) }
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    return {
      status: error.code === 'caller/payload-too-large' ? 413 : 429,
      headers: {},
      body: payloadOf(error.code),
    }
  }
}

/** A listener whose one dialect claims `/t/` and answers as the test says. */
export class HttpRig {
  readonly listener: Listener
  readonly budget: WatchedBudget
  readonly faults: unknown[] = []
  handle: Dialect['handle'] = echo
  checks: ReturnType<ListenerOptions['checks']> = []
  port = 0
  readonly #sockets: Socket[] = []

  constructor(options: Partial<ListenerOptions> & { limitBytes?: number } = {}) {
    const { limitBytes = 64 * 1024, ...listening } = options
    this.budget = new WatchedBudget(limitBytes)
    this.listener = new Listener({
      dialects: [
        {
          name: 'tiny',
          claims: ({ rawPath, headers }) =>
            headers['x-tiny'] !== undefined ? 'action' : rawPath.startsWith('/t/') ? 'path' : undefined,
          handle: (exchange) => this.handle(exchange),
          refuse: ({ status, code }) => ({
            status,
            headers: { 'X-Tiny': code },
            body: payloadOf(`tiny ${code}`),
          }),
        },
      ],
      budget: this.budget,
      checks: () => this.checks,
      onFault: (error) => this.faults.push(error),
      ...listening,
    })
  }

  async start(): Promise<this> {
    this.port = (await this.listener.listen('127.0.0.1', 0)).port
    return this
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await this.listener.close(0)
  }

  /** One request on a connection of its own unless `agent` says otherwise. */
  async send(options: RequestOptions, body?: string | Buffer): Promise<Answer> {
    const request = httpRequest({ host: '127.0.0.1', port: this.port, agent: false, ...options })
    const answered = once(request, 'response') as Promise<[IncomingMessage]>
    request.end(body)
    const [response] = await answered
    const chunks: Buffer[] = []
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk)
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      body: Buffer.concat(chunks).toString(),
    }
  }

  /** A connection to write bytes to as they are. */
  async raw(): Promise<RawClient> {
    const socket = connect({ host: '127.0.0.1', port: this.port, allowHalfOpen: true })
    this.#sockets.push(socket)
    const client = new RawClient(socket)
    await once(socket, 'connect')
    return client
  }
}

export class RawClient {
  readonly socket: Socket
  /** Resolves when the server closed its side or cut the connection. */
  readonly ended: Promise<void>
  /** Everything that came. */
  text = ''
  #arrived = Promise.withResolvers<void>()

  constructor(socket: Socket) {
    this.socket = socket
    const ended = Promise.withResolvers<void>()
    this.ended = ended.promise
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('latin1')
      this.#tell()
    })
    for (const event of ['end', 'close'])
      socket.once(event, () => {
        ended.resolve()
        this.#tell()
      })
  }

  write(text: string | Buffer): void {
    this.socket.write(text)
  }

  /** Resolves once what came matches; rejects when the connection ends first. */
  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.text)) {
      if (this.socket.readableEnded || this.socket.destroyed) throw new Error(`ended after ${this.text}`)
      await this.#arrived.promise
    }
  }

  #tell(): void {
    this.#arrived.resolve()
    this.#arrived = Promise.withResolvers<void>()
  }
}

export function oneConnection(): Agent {
  return new Agent({ keepAlive: true, maxSockets: 1 })
}
