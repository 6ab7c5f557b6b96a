/** The world outside of the lab: a web server, a name server and a listener to a group. Says a line once all of them answer. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { GROUP, NAME_SERVER, PORTS, WEB, WEB_NAME } from './lab.ts'

const web = createServer((request, response) => {
  response.end(`the world at ${request.socket.localAddress}`)
}).listen(PORTS.web, '0.0.0.0')
await once(web, 'listening')

const datagrams = createSocket('udp4')
datagrams.on('message', (message, peer) =>
  datagrams.send(`the world heard ${message.toString()}`, peer.port, peer.address),
)
datagrams.bind(PORTS.datagrams, '0.0.0.0')
await once(datagrams, 'listening')
datagrams.addMembership(GROUP, '203.0.113.2')

/** Answers every question for the one name with its address, and others with "no such name" (RFC 1035). */
const names = createSocket('udp4')
names.on('message', (question, peer) => {
  const labels: string[] = []
  let at = 12
  for (let length = question[at] ?? 0; length > 0; length = question[at] ?? 0) {
    labels.push(question.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  const end = at + 5
  const isAddress = question.readUInt16BE(at + 1) === 1
  const isKnown = labels.join('.') === WEB_NAME
  const head = Buffer.from(question.subarray(0, 12))
  head.writeUInt16BE(isKnown ? 0x8180 : 0x8183, 2)
  head.writeUInt16BE(isKnown && isAddress ? 1 : 0, 6)
  head.writeUInt32BE(0, 8)
  const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...WEB.split('.').map(Number)])
  const parts = [head, question.subarray(12, end), ...(isKnown && isAddress ? [answer] : [])]
  names.send(Buffer.concat(parts), peer.port, peer.address)
})
names.bind(53, NAME_SERVER)
await once(names, 'listening')

process.stdout.write('ready\n')
