import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/** A server on the loopback that answers a message, which it does not read, with bytes of a test's choice. */
export class WireReceiver {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #ended = Promise.withResolvers<void>()

  private constructor(answer: (socket: Socket) => void) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket)
      // The other side may leave in the middle of a word.
      socket.on('error', () => undefined)
      socket.once('data', () => answer(socket))
      socket.on('close', () => this.#ended.resolve())
    })
  }

  static async open(answer: (socket: Socket) => void): Promise<WireReceiver> {
    const receiver = new WireReceiver(answer)
    receiver.#server.listen(0, '127.0.0.1')
    await once(receiver.#server, 'listening')
    return receiver
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo
    return `http://127.0.0.1:${port}/hook`
  }

  /** Resolves once a connection is over. */
  async ended(): Promise<void> {
    await this.#ended.promise
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
