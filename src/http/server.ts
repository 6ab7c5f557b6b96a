import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { Socket, type AddressInfo } from 'node:net'
import { pipeline } from 'node:stream'
import type { Dialect } from '../dialects/dialect.ts'
import type { Caller } from '../model/invocation.ts'
import { payloadOf, type Payload } from '../model/payload.ts'
import { BodyReader, type RequestBudget } from './body.ts'
import { chooseDialect } from './choose-dialect.ts'
import type { Exchange, Refusal, Reply, StreamedBody } from './exchange.ts'
import { BrokenHttp, refusalReply, type DiscardBounds } from './refusal.ts'

/** Counts payload bytes in both directions. */
export interface TrafficBudget extends RequestBudget {
  giveRequest(bytes: number): void
  /** Holds bytes of an answer until the client has taken them. */
  hold(bytes: number): void
  give(bytes: number): void
}

/** One line of `/readyz?verbose`. */
export interface ReadinessCheck {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
}

interface ListenerOptions {
  readonly dialects: readonly Dialect[]
  readonly budget: TrafficBudget
  readonly checks: () => readonly ReadinessCheck[]
  /** Told of what should never happen: a dialect that rejected. */
  readonly onFault: (error: unknown) => void
  /** Connections open at once, 1 or more; further ones are closed unanswered. Default 10 000. */
  readonly maxConnections?: number
  /** A client that takes nothing of a large answer for so long is cut off. Default 60 000. */
  readonly stalledClientMs?: number
  /** What a client may still send of a refused body and get to read the answer. Default 64 MiB, at least 0. */
  readonly discardBytes?: number
  /** How long it may go on sending it. Default 5 000. */
  readonly discardMs?: number
}

/** Longer than a load balancer's usual idle timeout of 60 s, so that it is the one that closes. */
const KEEP_ALIVE_MS = 65_000
/** Paths of the server's own: no sign of a dialect takes them over. */
const HOUSE_PATHS: ReadonlySet<string> = new Set(['/healthz', '/readyz'])
/** Longest head of a request, bytes; longer ones get 431. Source: Tencent Cloud's signature pages, 32 KB for a signed GET request. */
const MAX_HEAD_BYTES = 40 * 1024
/** Smaller answers fit into the kernel's buffers, so no client can keep them in this process. */
const LARGE_ANSWER_BYTES = 64 * 1024
/**
 * Answers up to this size travel as text of one byte per character: Node joins such text with the head into one write, while
 * bytes cost a vectored one. The size is a choice: copying larger answers would cost what the write saves.
 */
const JOINED_ANSWER_BYTES = 8 * 1024

/** The one listener: turns sockets into exchanges, hands each to the dialect that claims it, writes the reply. */
export class Listener {
  readonly #server: Server
  readonly #options: ListenerOptions
  readonly #stalledClientMs: number
  readonly #discardBounds: DiscardBounds
  /** Connections that a streamed answer is being written to. */
  readonly #streaming = new WeakSet<Socket>()
  #draining = false

  constructor(options: ListenerOptions) {
    const { maxConnections = 10_000, stalledClientMs = 60_000 } = options
    const { discardBytes = 64 * 1024 * 1024, discardMs = 5_000 } = options
    this.#options = options
    this.#stalledClientMs = stalledClientMs
    this.#discardBounds = { discardBytes, discardMs }
    this.#server = createServer(
      { keepAliveTimeout: KEEP_ALIVE_MS, maxHeaderSize: MAX_HEAD_BYTES },
      (request, response) => this.#receive(request, response),
    )
    this.#server.maxConnections = maxConnections
    this.#server.on('checkExpectation', (request, response) => this.#refuseExpectation(request, response))
    const broken = new BrokenHttp(this.#discardBounds)
    this.#server.on('clientError', (error, socket) => {
      if (socket instanceof Socket) broken.refuse(error, socket, this.#streaming.has(socket))
      else socket.destroy()
    })
  }

  /** @throws the socket's error, such as EADDRINUSE. */
  async listen(host: string, port: number): Promise<AddressInfo> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error(`no TCP address: ${String(address)}`)
    return address
  }

  /** Answers from now on close their connections, and readiness turns to 503: still served, so that probes see it. */
  beginDrain(): void {
    this.#draining = true
  }

  /** Resolves when every connection is closed; those still open after `graceMs` are cut. */
  async close(graceMs: number): Promise<void> {
    this.#draining = true
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    const idle = setInterval(() => this.#server.closeIdleConnections(), 50)
    const cut = setTimeout(() => this.#server.closeAllConnections(), graceMs)
    this.#server.closeIdleConnections()
    await closed
    clearInterval(idle)
    clearTimeout(cut)
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    const { method = 'GET', url = '/' } = request
    const question = url.indexOf('?')
    const rawPath = question < 0 ? url : url.slice(0, question)
    const rawQuery = question < 0 ? '' : url.slice(question + 1)
    const dialect = HOUSE_PATHS.has(rawPath)
      ? undefined
      : chooseDialect(this.#options.dialects, { method, rawPath, rawQuery, headers: request.headers })
    if (dialect === undefined) {
      this.#write(request, response, this.#house(method, rawPath, rawQuery))
      return
    }
    const body = new BodyReader(request, this.#options.budget)
    const exchange = new HttpExchange(request, response, rawPath, rawQuery, body, this.#options.budget)
    dialect.handle(exchange).then(
      (reply) => {
        exchange.holdAnswer(heldBytesOf(reply))
        this.#write(request, response, reply)
      },
      (error: unknown) => {
        this.#options.onFault(error)
        const refusal = {
          status: 500,
          code: 'InternalServerError',
          message: 'an internal error has occurred',
        }
        this.#refuse(request, response, dialect, refusal)
      },
    )
  }

  /** The server's own paths, for people and probes. */
  #house(method: string, rawPath: string, rawQuery: string): Reply {
    const reads = method === 'GET' || method === 'HEAD'
    if (reads && rawPath === '/healthz') return json(200, { status: 'alive' })
    if (reads && rawPath === '/readyz') {
      const checks = this.#options.checks()
      const ready = !this.#draining && checks.every(({ ok }) => ok)
      const status = this.#draining ? 'draining' : ready ? 'ready' : 'not ready'
      const verbose = rawQuery.split('&').some((pair) => pair === 'verbose' || pair.startsWith('verbose='))
      return json(ready ? 200 : 503, verbose ? { status, checks } : { status })
    }
    return refusalReply({
      status: 404,
      code: 'PathNotFound',
      message:
        `no API of this server has the path ${rawPath.slice(0, 200)}; point a vendor SDK at this address ` +
        'as its endpoint, the README has one example per SDK',
    })
  }

  #refuseExpectation(request: IncomingMessage, response: ServerResponse): void {
    const { method = 'GET', url = '/', headers } = request
    const [rawPath = '/'] = url.split('?', 1)
    const rawQuery = url.slice(rawPath.length + 1)
    const dialect = chooseDialect(this.#options.dialects, { method, rawPath, rawQuery, headers })
    const refusal = {
      status: 417,
      code: 'ExpectationFailed',
      message: "the only expectation that is met is '100-continue'",
    }
    this.#refuse(request, response, dialect, refusal)
  }

  #refuse(
    request: IncomingMessage,
    response: ServerResponse,
    dialect: Dialect | undefined,
    refusal: Refusal,
  ): void {
    this.#write(request, response, dialect?.refuse?.(refusal, request.headers) ?? refusalReply(refusal))
  }

  #write(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
    const { body } = reply
    const streamed = body !== undefined && 'stream' in body ? body : undefined
    if (response.destroyed || response.headersSent) {
      streamed?.stream.destroy()
      return
    }
    const held = body !== undefined && 'chunks' in body ? body : undefined
    const byteLength = streamed?.sizeBytes ?? held?.byteLength ?? 0
    // Names and values in a row: Node looks up nothing then.
    const head: (string | number)[] = []
    for (const [name, value] of Object.entries(reply.headers)) head.push(name, value)
    if (reply.status !== 204) head.push('Content-Length', byteLength)
    if (this.#draining) head.push('Connection', 'close')
    response.writeHead(reply.status, head)
    const [first] = held?.chunks ?? []
    if (streamed !== undefined) this.#pipe(streamed, request.socket, response)
    else if (held === undefined || first === undefined || byteLength === 0) response.end()
    else if (held.chunks.length > 1) {
      for (const chunk of held.chunks) response.write(chunk)
      response.end()
    } else if (byteLength <= JOINED_ANSWER_BYTES) response.end(first.toString('latin1'), 'latin1')
    else response.end(first)
    if (byteLength > LARGE_ANSWER_BYTES) response.setTimeout(this.#stalledClientMs, () => response.destroy())
    if (!request.complete && hasBody(request)) discard(request, this.#discardBounds)
  }

  /** The operator hears of a stream that failed; a client that went away is no fault. */
  #pipe({ stream, sizeBytes }: StreamedBody, socket: Socket, response: ServerResponse): void {
    this.#streaming.add(socket)
    pipeline(stream, exactly(sizeBytes), response, (error) => {
      this.#streaming.delete(socket)
      if (error && error.code !== 'ERR_STREAM_PREMATURE_CLOSE') this.#options.onFault(error)
    })
  }
}

class HttpExchange implements Exchange, Caller {
  readonly method: string
  readonly rawPath: string
  readonly rawQuery: string
  readonly headers: IncomingMessage['headers']
  readonly receivedAtMs = Date.now()
  gone = false
  onGone: (() => void) | undefined
  readonly #body: BodyReader
  readonly #budget: TrafficBudget
  #answerBytes = 0
  #closed = false

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    rawPath: string,
    rawQuery: string,
    body: BodyReader,
    budget: TrafficBudget,
  ) {
    this.method = request.method ?? 'GET'
    this.rawPath = rawPath
    this.rawQuery = rawQuery
    this.headers = request.headers
    this.#body = body
    this.#budget = budget
    response.on('close', () => {
      this.#closed = true
      budget.giveRequest(body.heldBytes)
      body.finish()
      if (this.#answerBytes > 0) budget.give(this.#answerBytes)
      if (response.writableFinished) return
      this.gone = true
      this.onGone?.()
    })
  }

  get caller(): Caller {
    return this
  }

  readBody(limitBytes: number): Promise<Payload> {
    return this.#body.read(limitBytes)
  }

  /** Counts the answer's bytes until the client has taken them or is gone. */
  holdAnswer(bytes: number): void {
    if (this.#closed || bytes === 0) return
    this.#answerBytes = bytes
    this.#budget.hold(bytes)
  }
}

/** A streamed body holds two buffers at any size, its reader's and the socket's: they do not count. */
function heldBytesOf({ body }: Reply): number {
  return body !== undefined && 'chunks' in body ? body.byteLength : 0
}

/** Passes bytes on if they are as many as announced; the client must never take a part for the whole. */
function exactly(sizeBytes: number): (source: AsyncIterable<Buffer>) => AsyncGenerator<Buffer> {
  return async function* (source) {
    let passedBytes = 0
    for await (const chunk of source) {
      passedBytes += chunk.length
      if (passedBytes > sizeBytes) break
      yield chunk
    }
    if (passedBytes !== sizeBytes) throw new Error(`a body of ${sizeBytes} bytes came with another length`)
  }
}

function json(status: number, content: unknown): Reply {
  return {
    status,
    headers: { 'Content-Type': 'application/json' },
    body: payloadOf(`${JSON.stringify(content)}\n`),
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/** Throws away what a client still sends of a body nobody wants, within bounds. */
function discard(request: IncomingMessage, { discardBytes, discardMs }: DiscardBounds): void {
  let bytes = 0
  const timer = setTimeout(() => request.destroy(), discardMs)
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > discardBytes) request.destroy()
  })
  request.once('close', () => clearTimeout(timer))
  request.resume()
}
