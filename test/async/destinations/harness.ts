import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { FakeClock } from '../fake-clock.ts'

/** What a receiver got. */
export interface Received {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
  /** The address that the message came to. */
  readonly address: string | undefined
}

export type Answer = (received: Received, response: ServerResponse) => void

/** A server on the loopback that takes messages down. */
export class Receiver {
  readonly received: Received[] = []
  readonly #server: Server
  #answer: Answer

  private constructor(answer: Answer, tls?: { readonly key: Buffer; readonly cert: Buffer }) {
    this.#answer = answer
    const take = (request: IncomingMessage, response: ServerResponse): void => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const received = {
          method: request.method ?? '',
          path: request.url ?? '',
          headers: request.headers,
          body: Buffer.concat(chunks).toString(),
          address: request.socket.localAddress,
        }
        this.received.push(received)
        this.#answer(received, response)
      })
    }
    this.#server = tls === undefined ? createServer(take) : createTlsServer(tls, take)
  }

  static async open(
    answer: Answer,
    tls?: { readonly key: Buffer; readonly cert: Buffer },
  ): Promise<Receiver> {
    const receiver = new Receiver(answer, tls)
    receiver.#server.listen(0, '127.0.0.1')
    await once(receiver.#server, 'listening')
    return receiver
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/hook`
  }

  answerWith(answer: Answer): void {
    this.#answer = answer
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** Answers with a status and nothing else. */
export function status(code: number, headers: Record<string, string> = {}): Answer {
  return (_received, response) => response.writeHead(code, headers).end()
}

/** Things that come one after another and are waited for. */
export class Feed<T> {
  readonly #come: T[] = []
  #wanted: (() => void) | undefined

  add(item: T): void {
    this.#come.push(item)
    this.#wanted?.()
  }

  /** The first that matches, taken out; waits for it. */
  async take<S extends T = T>(matches: (item: T) => item is S): Promise<S> {
    for (;;) {
      const item = this.#come.find(matches)
      if (item !== undefined) {
        this.#come.splice(this.#come.indexOf(item), 1)
        return item
      }
      await new Promise<void>((resolve) => {
        this.#wanted = resolve
      })
    }
  }
}

/** A clock that tells when somebody waits for a moment. */
export class WatchedClock extends FakeClock {
  readonly #awaited = new Set<number>()
  readonly #watchers = new Set<() => void>()

  override after(delayMs: number, run: () => void): () => void {
    const atMs = this.now() + delayMs
    this.#awaited.add(atMs)
    for (const tell of this.#watchers) tell()
    return super.after(delayMs, run)
  }

  /** Resolves once there is, or was, a timer for this moment. */
  async awaited(atMs: number): Promise<void> {
    if (this.#awaited.has(atMs)) return
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (!this.#awaited.has(atMs)) return
        this.#watchers.delete(look)
        resolve()
      }
      this.#watchers.add(look)
    })
  }
}
