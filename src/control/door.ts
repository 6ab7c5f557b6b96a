import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { ControlError, refusalOf } from './errors.ts'
import { OPERATIONS, type ControlRooms, type Operation } from './operations.ts'
import { readBody } from './request-body.ts'
import { listenIn, type OpenSocket } from './socket.ts'

export interface ControlDoorOptions {
  /** Told of what should never happen. */
  readonly onFault: (error: unknown) => void
  /** Connections open at once; further ones are closed unanswered. Default 16. */
  readonly maxConnections?: number
  /** Longest time until the head of a request is there, and until all of it is. Default 5 000. */
  readonly requestTimeoutMs?: number
  /** A client that takes nothing of its answer for so long is cut off. Default 10 000. */
  readonly stalledClientMs?: number
}

const MAX_HEAD_BYTES = 8 * 1024
const MAX_HEADERS = 32
/** Who is still inside of a server that stops is cut off after this. */
const CLOSE_WITHIN_MS = 1_000

/**
 * An administrator's way in: JSON over HTTP, through a socket in the data directory. Whoever may open it may read the data directory
 * with all its keys: there is no further check of who asks.
 */
export class ControlDoor {
  readonly #server: Server
  readonly #rooms: ControlRooms
  readonly #onFault: (error: unknown) => void
  readonly #stalledClientMs: number
  #socket: OpenSocket | undefined

  private constructor(rooms: ControlRooms, options: ControlDoorOptions) {
    const { onFault, maxConnections = 16, requestTimeoutMs = 5_000, stalledClientMs = 10_000 } = options
    this.#rooms = rooms
    this.#onFault = onFault
    this.#stalledClientMs = stalledClientMs
    this.#server = createServer(
      {
        maxHeaderSize: MAX_HEAD_BYTES,
        headersTimeout: requestTimeoutMs,
        requestTimeout: requestTimeoutMs,
        connectionsCheckingInterval: Math.ceil(requestTimeoutMs / 4),
        keepAliveTimeout: requestTimeoutMs,
      },
      (request, response) => void this.#receive(request, response),
    )
    this.#server.maxConnections = maxConnections
    // Some versions of Node leave out what is over the limit: one more tells that there was something.
    this.#server.maxHeadersCount = MAX_HEADERS + 1
    this.#server.on('clientError', (error, socket) => refuseBroken(error, socket))
  }

  /**
   * Opens the door of a server whose store is open, so that the data directory is no other server's.
   *
   * @throws the system's error, where there can be no socket in the data directory.
   */
  static async open(dataDir: string, rooms: ControlRooms, options: ControlDoorOptions): Promise<ControlDoor> {
    const door = new ControlDoor(rooms, options)
    door.#socket = await listenIn(dataDir, door.#server)
    door.#server.on('error', options.onFault)
    return door
  }

  /** Takes no more requests, and resolves once those inside have been answered and the socket is gone. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => void this.#server.close(resolve))
    this.#server.closeIdleConnections()
    const cutOff = setTimeout(() => this.#server.closeAllConnections(), CLOSE_WITHIN_MS)
    await closed
    clearTimeout(cutOff)
    await this.#socket?.remove()
  }

  /** Never rejects. */
  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      this.#answer(response, 200, await this.#run(request))
    } catch (error) {
      const { status, allow, error: content } = refusalOf(error, this.#onFault)
      if (allow !== undefined) response.setHeader('Allow', allow)
      // What is left of a refused body is not waited for.
      if (!request.complete) {
        response.setHeader('Connection', 'close')
        response.once('finish', () => request.socket.destroySoon())
      }
      this.#answer(response, status, { error: content })
    }
  }

  async #run(request: IncomingMessage): Promise<object> {
    if (request.rawHeaders.length > 2 * MAX_HEADERS)
      throw new ControlError('caller/head-too-large', `a request has at most ${MAX_HEADERS} headers`)
    const [path = '', ...queries] = (request.url ?? '').split('?')
    const segments = segmentsOf(path)
    const operation = find(request.method ?? '', segments)
    const query = queryOf(queries.join('?'))
    const body = operation.method === 'GET' ? undefined : await readBody(request)
    const names = segments.filter((_, index) => operation.path[index] === '*')
    return operation.run({ names, query, body }, this.#rooms)
  }

  #answer(response: ServerResponse, status: number, content: object): void {
    if (response.destroyed) return
    const body = Buffer.from(`${JSON.stringify(content)}\n`)
    response.writeHead(status, {
      'Content-Type': 'application/json',
      'Content-Length': body.length,
      'Cache-Control': 'no-store',
      ...(this.#server.listening ? {} : { Connection: 'close' }),
    })
    response.setTimeout(this.#stalledClientMs, () => response.destroy())
    response.end(body)
  }
}

/** @throws {ControlError} `caller/operation-unknown`, `caller/method-not-allowed` */
function find(method: string, segments: readonly string[]): Operation {
  const there = OPERATIONS.filter(
    ({ path }) =>
      path.length === segments.length &&
      path.every((part, index) => part === segments[index] || (part === '*' && segments[index] !== '')),
  )
  if (there.length === 0)
    throw new ControlError('caller/operation-unknown', 'there is nothing of this name here', {
      fix: 'the program that asks may be of another version than the server: use the same for both',
    })
  const operation = there.find((one) => one.method === method)
  if (operation !== undefined) return operation
  const allowed = there.map((one) => one.method).join(', ')
  throw new ControlError('caller/method-not-allowed', `this has no ${method}, but ${allowed}`, {
    allow: allowed,
  })
}

function segmentsOf(path: string): readonly string[] {
  try {
    return path.split('/').slice(1).map(decodeURIComponent)
  } catch {
    throw new ControlError('caller/malformed', 'the path has a % that stands for nothing')
  }
}

/** @throws {ControlError} `caller/malformed`: a name that is there twice has no meaning. */
function queryOf(raw: string): Readonly<Record<string, string>> {
  const entries = [...new URLSearchParams(raw)]
  const query = Object.fromEntries(entries)
  if (Object.keys(query).length < entries.length)
    throw new ControlError('caller/malformed', 'the query says something twice')
  return query
}

const BROKEN: Readonly<Record<string, { status: number; reason: string; code: string; message: string }>> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    reason: 'Request Header Fields Too Large',
    code: 'caller/head-too-large',
    message: `the head of a request has at most ${MAX_HEAD_BYTES} bytes and ${MAX_HEADERS} headers`,
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    reason: 'Request Timeout',
    code: 'caller/time-out',
    message: 'the request did not come in time',
  },
}

/** What is no HTTP, or came too slowly, gets an answer in the same form as everything else. */
function refuseBroken(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const { status, reason, code, message } = BROKEN[error.code ?? ''] ?? {
    status: 400,
    reason: 'Bad Request',
    code: 'caller/malformed',
    message: 'this is no HTTP request',
  }
  const body = `${JSON.stringify({ error: { code, message } })}\n`
  const head = `HTTP/1.1 ${status} ${reason}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`
  socket.end(head + body, () => socket.destroy())
}
