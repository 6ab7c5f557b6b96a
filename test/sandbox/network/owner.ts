/**
 * A server's part in the lab: runs one process in the bwrap sandbox, while services of the host listen. Ordered by a JSON text, told by
 * one.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import { chooseSandbox } from '../../../src/sandbox/probe.ts'
import { childrenOf } from '../../../src/sandbox/proc.ts'
import type { NetworkPolicy } from '../../../src/sandbox/sandbox.ts'
import { NODE } from '../harness.ts'
import { GROUP, HOST, PORTS } from './addresses.ts'

export interface Order {
  readonly network: NetworkPolicy
  readonly command: readonly string[]
  /** Tells of its helpers once the network is there, and goes on until it is killed. */
  readonly holds?: boolean
  /** Passes lines on in both directions, between its own input and output and the process. */
  readonly talks?: boolean
  /** Where launchers are looked for. */
  readonly programDirs?: readonly string[]
}

export interface Report {
  readonly stdout: string
  readonly stderr: string
  /** What services of the host heard. */
  readonly heard: readonly string[]
  /** Helpers that ran while the process did, and those that still run after it. */
  readonly helpers: readonly number[]
  readonly left: readonly number[]
}

const order: Order = JSON.parse(process.argv[2] ?? '')
const heard: string[] = []

const listen = async (port: number, address: string): Promise<void> => {
  const service = createServer((socket) => {
    heard.push(`connection at ${socket.localAddress}:${port}`)
    socket.on('error', () => undefined).end('the host')
  })
  service.listen(port, address).unref()
  await once(service, 'listening')
}
await listen(PORTS.control, '0.0.0.0')
await listen(PORTS.loopback, '127.0.0.1')
const datagrams = createSocket('udp4').on('message', (message) =>
  heard.push(`datagram ${message.toString()}`),
)
datagrams.bind(PORTS.datagrams, '0.0.0.0').unref()
await once(datagrams, 'listening')
for (const address of [HOST, '127.0.0.1']) datagrams.addMembership(GROUP, address)

const helpersNow = async (): Promise<number[]> =>
  (await childrenOf(process.pid)).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/comm`, 'utf8') === 'slirp4netns\n'
    } catch {
      return false
    }
  })

const ticketsFd = openSync('/dev/null', 'r')
const { sandbox } = await chooseSandbox(
  'bwrap',
  order.programDirs === undefined ? {} : { programDirs: order.programDirs },
)
const running = sandbox.start({
  functionId: 'function-a',
  command: order.command,
  mounts: [{ source: process.execPath, target: NODE }],
  environment: { PATH: '/usr/bin:/bin' },
  workDir: '/tmp',
  memoryMib: 256,
  diskMib: 8,
  network: order.network,
  ticketsFd,
})
const outputs = Promise.all([text(running.stdout), text(running.stderr)])
await running.prepared
const helpers = await helpersNow()
if (order.talks === true) {
  process.stdin.pipe(running.channel)
  running.stdout.pipe(process.stdout)
}
if (order.holds === true) process.stdout.write(`${JSON.stringify({ helpers })}\n`)
else if (order.talks !== true) running.channel.write('go\n')
const [stdout, stderr] = await outputs
await running.exited
const report: Report = { stdout, stderr, heard, helpers, left: await helpersNow() }
process.stdout.write(`${JSON.stringify(report)}\n`)
await sandbox.close()
closeSync(ticketsFd)
