/** The world outside of the lab: a web server, a name server and a listener to a group. Says a line once all of them answer. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { GROUP, METADATA, NAME_SERVER, PORTS, WEB } from './addresses.ts'
import { serveNames } from './name-service.ts'

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

await Promise.all([NAME_SERVER, METADATA].map((address) => serveNames(address, WEB)))

process.stdout.write('ready\n')
