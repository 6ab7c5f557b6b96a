import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv4 } from 'node:net'

/** A question: a name in lower case, and 4 or 6 for the family of the addresses that are wanted. */
export interface Question {
  readonly name: string
  readonly family: 4 | 6
}

/** The addresses of that family; `silence`: no answer; `none`: there is no such name. */
export type Say = (question: Question) => readonly string[] | 'silence' | 'none'

const TYPE_A = 1
const TYPE_AAAA = 28

/** A name server on the loopback (RFC 1035, over UDP) that says what a test wants it to. */
export class NameServer {
  readonly asked: Question[] = []
  readonly #socket: Socket
  readonly #say: Say
  #wanted: (() => void) | undefined

  private constructor(socket: Socket, say: Say) {
    this.#socket = socket
    this.#say = say
    socket.on('message', (message, from) => this.#hear(message, from))
  }

  static async open(say: Say): Promise<NameServer> {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    return new NameServer(socket, say)
  }

  /** As `Resolver.setServers` takes it. */
  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`
  }

  /** Resolves once so many different names were asked for. */
  async untilAsked(names: number): Promise<void> {
    while (new Set(this.asked.map(({ name }) => name)).size < names)
      await new Promise<void>((resolve) => {
        this.#wanted = resolve
      })
  }

  async close(): Promise<void> {
    this.#socket.close()
    await once(this.#socket, 'close')
  }

  #hear(message: Buffer, { address, port }: RemoteInfo): void {
    const labels: string[] = []
    let at = 12
    for (let length = message.readUInt8(at); length > 0; length = message.readUInt8(at)) {
      labels.push(message.toString('latin1', at + 1, at + 1 + length))
      at += 1 + length
    }
    const type = message.readUInt16BE(at + 1)
    const question: Question = {
      name: labels.join('.').toLowerCase(),
      family: type === TYPE_AAAA ? 6 : 4,
    }
    const said = this.#say(question)
    this.asked.push(question)
    this.#wanted?.()
    if (said === 'silence') return
    const records = said === 'none' ? [] : said.map((text) => recordOf(text))
    const head = Buffer.alloc(12)
    message.copy(head, 0, 0, 2)
    // An answer, recursion wanted and available; its code is "no error" or "no such name".
    head.writeUInt16BE(said === 'none' ? 0x81_83 : 0x81_80, 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(records.length, 6)
    this.#socket.send(Buffer.concat([head, message.subarray(12, at + 5), ...records]), port, address)
  }
}

/** For the name of the question, to be forgotten at once. */
function recordOf(text: string): Buffer {
  const data = isIPv4(text) ? Buffer.from(text.split('.').map(Number)) : bytesOfIpv6(text)
  const head = Buffer.alloc(12)
  head.writeUInt16BE(0xc0_0c, 0)
  head.writeUInt16BE(data.length === 4 ? TYPE_A : TYPE_AAAA, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}

/** @param text With at most one `::`, and without an IPv4 address in it. */
function bytesOfIpv6(text: string): Buffer {
  const [before = '', after = ''] = text.split('::')
  const groups = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))
  const [left, right] = [groups(before), groups(after)]
  const bytes = Buffer.alloc(16)
  const all = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right]
  for (const [index, group] of all.entries()) bytes.writeUInt16BE(group, index * 2)
  return bytes
}
