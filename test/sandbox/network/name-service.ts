import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'

/** A name whose answer has no place in a datagram: whoever asks has to ask again by TCP. */
export const LONG_NAME = 'long.example'
/** A name that every name service of the lab knows. */
export const WEB_NAME = 'web.example'

/** Answers by UDP and TCP with `answer` for the names of the lab, and to others with "no such name" (RFC 1035). Resolves when it listens. */
export async function serveNames(address: string, answer: string): Promise<void> {
  const datagrams = createSocket('udp4')
  datagrams.on('message', (question, peer) =>
    datagrams.send(answerTo(question, answer, false), peer.port, peer.address),
  )
  datagrams.bind(53, address)
  const streams = createServer((socket) => {
    socket.on('error', () => undefined)
    // A question of this size comes in one piece over a loopback.
    socket.once('data', (message: Buffer) => {
      const reply = answerTo(message.subarray(2), answer, true)
      const length = Buffer.alloc(2)
      length.writeUInt16BE(reply.length)
      socket.end(Buffer.concat([length, reply]))
    })
  }).listen(53, address)
  await Promise.all([once(datagrams, 'listening'), once(streams, 'listening')])
}

function answerTo(question: Buffer, answer: string, isStream: boolean): Buffer {
  const labels: string[] = []
  let at = 12
  for (let length = question[at] ?? 0; length > 0; length = question[at] ?? 0) {
    labels.push(question.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  const name = labels.join('.')
  const isCut = name === LONG_NAME && !isStream
  const isKnown = name === WEB_NAME || name === LONG_NAME
  const answers = isKnown && !isCut && question.readUInt16BE(at + 1) === 1
  const head = Buffer.from(question.subarray(0, 12))
  head.writeUInt16BE((isKnown ? 0x8180 : 0x8183) | (isCut ? 0x0200 : 0), 2)
  head.writeUInt16BE(answers ? 1 : 0, 6)
  head.writeUInt32BE(0, 8)
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...answer.split('.').map(Number)])
  return Buffer.concat([head, question.subarray(12, at + 5), ...(answers ? [record] : [])])
}
