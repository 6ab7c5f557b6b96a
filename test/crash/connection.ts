import { Agent, request, type IncomingHttpHeaders } from 'node:http'
import { text } from 'node:stream/consumers'
import { queryText, type Unsigned } from './signing.ts'

const TIMEOUT_MS = 60_000

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/** No answer came. */
export class NoAnswer extends Error {
  /** No connection was made: the server has never seen the request. */
  readonly isUnsent: boolean

  constructor(cause: Error) {
    super(cause.message, { cause })
    this.name = 'NoAnswer'
    this.isUnsent = 'code' in cause && cause.code === 'ECONNREFUSED'
  }
}

/** Requests to one server, over connections that are kept. Nothing is sent twice. */
export class Connection {
  readonly origin: string
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 })

  constructor(origin: string) {
    this.origin = origin
  }

  get host(): string {
    return new URL(this.origin).host
  }

  /** @throws {NoAnswer} */
  async send({ method, path, query, body = '' }: Unsigned, headers: Record<string, string>): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const target = query === undefined ? path : `${path}?${queryText(query)}`
    const outgoing = request(`${this.origin}${target}`, {
      method,
      headers,
      agent: this.#agent,
      timeout: TIMEOUT_MS,
    })
    outgoing.once('error', (error) => reject(new NoAnswer(error)))
    outgoing.once('timeout', () => outgoing.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)))
    outgoing.once('response', (response) => {
      text(response).then(
        (received) =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text: received }),
        (error: unknown) => reject(new NoAnswer(error instanceof Error ? error : new Error(String(error)))),
      )
    })
    outgoing.end(body)
    return await promise
  }

  close(): void {
    this.#agent.destroy()
  }
}
