import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Ledger } from './ledger.ts'

/** A run says something each so often. */
const STEP_MS = 100

type Message = Readonly<Record<string, unknown>>

/**
 * Hears from runs and destinations themselves what happens to them: it lives in the process of the harness, so that nothing it knows
 * depends on what a killed server had time to write.
 */
export class Collector {
  readonly #server: Server
  readonly #ledger: Ledger

  private constructor(server: Server, ledger: Ledger) {
    this.#server = server
    this.#ledger = ledger
  }

  static async start(ledger: Ledger): Promise<Collector> {
    const server = createServer({ keepAlive: false }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const collector = new Collector(server, ledger)
    server.on('request', (request: IncomingMessage, response) => {
      text(request)
        .then((body) => {
          // What is answered is noted before: whoever hears the answer is alive after that moment.
          const answer = JSON.stringify(collector.#hear(request, JSON.parse(body)))
          response.end(answer)
        })
        // Whoever was killed while it spoke has said nothing.
        .catch(() => response.destroy())
    })
    return collector
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the collector does not listen')
    return address.port
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #hear(request: IncomingMessage, message: Message): object {
    const ledger = this.#ledger
    const { url = '' } = request
    switch (url) {
      case '/begin': {
        const { attempt } = message
        const run = ledger.begin({
          run: textOf(message, 'run'),
          call: textOf(message, 'call'),
          requestId: textOf(message, 'requestId'),
          attempt: typeof attempt === 'number' ? attempt : 0,
        })
        const holdMs = run?.call.plan.holdMs ?? 0
        return { order: run?.order ?? 'succeed', steps: Math.floor(holdMs / STEP_MS) }
      }
      case '/step':
      case '/end':
        ledger.proceed(textOf(message, 'run'), url === '/end')
        return {}
      case '/told':
        ledger.tell(textOf(message, 'cause'), textOf(message, 'deliveredAs'), textOf(message, 'condition'))
        return {}
      case '/webhook': {
        const context = message['requestContext'] as Message
        const id = request.headers['webhook-id']
        ledger.tell(textOf(context, 'requestId'), String(id), textOf(context, 'condition'))
        return {}
      }
      default:
        throw new Error(`nothing is heard at ${url}`)
    }
  }
}

function textOf(message: Message, member: string): string {
  const value = message[member]
  if (typeof value !== 'string') throw new Error(`${member} is no text`)
  return value
}
