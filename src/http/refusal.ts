import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import { payloadOf } from '../model/payload.ts'
import type { Refusal, Reply } from './exchange.ts'

/** Of a refused request this much is thrown away, and for so long, so that its client gets to read the answer. */
export interface DiscardBounds {
  readonly discardBytes: number
  readonly discardMs: number
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  413: 'Content Too Large',
  431: 'Request Header Fields Too Large',
}

const NOT_HTTP: Refusal = { status: 400, code: 'BadRequest', message: 'the request is not valid HTTP/1.1' }
/** By the parser's error codes; everything else is {@link NOT_HTTP}. */
const BY_ERROR_CODE: ReadonlyMap<string | undefined, Refusal> = new Map<string | undefined, Refusal>([
  [
    'HPE_HEADER_OVERFLOW',
    {
      status: 431,
      code: 'RequestHeaderFieldsTooLarge',
      message: 'the request line and headers are too long',
    },
  ],
  [
    'HPE_CHUNK_EXTENSIONS_OVERFLOW',
    { status: 413, code: 'ContentTooLarge', message: 'the chunk extensions of the body are too long' },
  ],
  [
    'ERR_HTTP_REQUEST_TIMEOUT',
    { status: 408, code: 'RequestTimeout', message: 'the request took too long to arrive' },
  ],
])

/**
 * What the listener answers when no dialect can: JSON in every spelling of the members that clients are known to read,
 * because a client that cannot parse a failure tells its user about the parser, not about the failure.
 */
export function refusalReply({ status, code, message }: Refusal): Reply {
  const requestId = randomUUID()
  const content = {
    requestId,
    code,
    message,
    RequestId: requestId,
    Code: code,
    Message: message,
    ErrorCode: code,
    ErrorMessage: message,
  }
  return {
    status,
    headers: { 'Content-Type': 'application/json', 'X-Request-Id': requestId },
    body: payloadOf(`${JSON.stringify(content)}\n`),
  }
}

/**
 * Answers what is not HTTP, or too much of it, and closes the connection: at once where no answer can be read any more,
 * else when the client closes its side or the bounds are reached.
 */
export class BrokenHttp {
  readonly #bounds: DiscardBounds
  /** Bytes that each refused connection may have brought. */
  readonly #refused = new WeakMap<Socket, number>()

  constructor(bounds: DiscardBounds) {
    this.#bounds = bounds
  }

  /** @param midAnswer Whether an answer is under way: another one inside it would be taken for a part of it. */
  refuse(error: Error & { code?: string }, socket: Socket, midAnswer: boolean): void {
    const mostBytes = this.#refused.get(socket)
    // The parser complains again about everything that follows.
    if (mostBytes !== undefined && socket.bytesRead <= mostBytes) return
    if (mostBytes !== undefined || midAnswer || !socket.writable || error.code === 'ECONNRESET') {
      socket.destroy()
      return
    }
    const { discardBytes, discardMs } = this.#bounds
    this.#refused.set(socket, socket.bytesRead + discardBytes)
    const timer = setTimeout(() => socket.destroy(), discardMs)
    socket.once('close', () => clearTimeout(timer))
    socket.end(rawReply(refusalReply(BY_ERROR_CODE.get(error.code) ?? NOT_HTTP)))
  }
}

function rawReply({ status, headers, body }: Reply): Buffer {
  const chunks = body !== undefined && 'chunks' in body ? body.chunks : []
  const content = Buffer.concat(chunks)
  const fields = { ...headers, 'Content-Length': content.length, Connection: 'close' }
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`)
  const head = [`HTTP/1.1 ${status} ${REASONS[status] ?? ''}`, ...lines, '', ''].join('\r\n')
  return Buffer.concat([Buffer.from(head), content])
}
