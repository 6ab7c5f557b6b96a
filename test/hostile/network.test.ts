import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { networkInterfaces } from 'node:os'
import { describe, expect, test } from 'vitest'
import { describeHostile, expectAllRefused, LANGUAGES, pythonIn, sourceIn, type Ground } from './harness.ts'

/** Where clouds tell their instances secrets; a documentation network of RFC 3849. What a function may reach is not tried. */
const OUTSIDE = [
  '169.254.169.254',
  '169.254.170.2',
  '100.100.100.200',
  '168.63.129.16',
  'fd00:ec2::254',
  '2001:db8::1',
]

describe.each([
  ['without a network', { ANVOKE_NETWORK: 'none' }],
  // With a way out, where this host can give one.
  ['with the network that functions have by default', {}],
])('%s', (_, environment) => {
  describeHostile('an attack by network', attacks, environment)
})

function attacks(ground: () => Ground): void {
  test.each(LANGUAGES)(
    'in %s reaches neither the port of the server nor another service of the host',
    async (language) => {
      const reached: string[] = []
      const service = createServer((socket) => {
        reached.push(String(socket.remoteAddress))
        socket.destroy()
      }).listen(0, '::')
      await once(service, 'listening')
      const { port } = service.address() as AddressInfo
      const own = Object.values(networkInterfaces()).flatMap((list) =>
        (list ?? []).map(({ address }) => address),
      )
      const hosts = [
        ...new Set([
          '127.0.0.1',
          '::1',
          'localhost',
          '0.0.0.0',
          '::ffff:127.0.0.1',
          '127.1.2.3',
          '10.0.2.2',
          '10.0.2.3',
          ...own,
        ]),
      ]
      const attack = {
        node: `
        const told = {}
        for (const host of event.hosts) for (const port of event.ports) told[host + ' ' + port] = await connected({ host, port })
        return told`,
        python: `return {'%s %s' % (host, port): connected(host, port) for host in event['hosts'] for port in event['ports']}`,
      }
      const event = { hosts, ports: [port, ground().server.port] }
      const told = await ground().reported(sourceIn(language, attack), { event, timeoutS: 60 })
      await closed(service)
      expectAllRefused(told)
      expect(reached).toEqual([])
    },
  )

  test.each(LANGUAGES)(
    'in %s reaches no address at which clouds tell secrets, and asks for none',
    async (language) => {
      const attack = {
        node: `return Object.fromEntries(await Promise.all(event.map(async (host) => [host, await connected({ host, port: 80 })])))`,
        python: `return {host: connected(host, 80) for host in event}`,
      }
      const told = await ground().reported(sourceIn(language, attack), { event: OUTSIDE })
      expectAllRefused(told)
      // Not by silence or by somebody outside: by the namespace without a way, or by its barriers.
      const own = new Set(['refused ENETUNREACH', 'refused EPERM', 'refused EADDRNOTAVAIL'])
      expect(Object.entries(told).filter(([, how]) => !own.has(String(how)))).toEqual([])
    },
  )

  test.each(LANGUAGES)('in %s opens no socket that sees or forges packets', async (language) => {
    const python = `
import socket
kinds = {'packet': (socket.AF_PACKET, socket.SOCK_RAW, 0x0300), 'raw': (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP), 'ping': (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    'raw6': (socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6), 'crypto': (socket.AF_ALG, socket.SOCK_SEQPACKET, 0), 'vsock': (socket.AF_VSOCK, socket.SOCK_STREAM, 0), 'bluetooth': (31, socket.SOCK_RAW, 1), 'xdp': (44, socket.SOCK_RAW, 0), 'key': (15, socket.SOCK_RAW, 2), 'tipc': (30, socket.SOCK_STREAM, 0)}
return {name: tried(lambda: socket.socket(*kind).close()) for name, kind in kinds.items()}`
    expectAllRefused(await ground().reported(pythonIn(language, python)))
  })

  test.each(LANGUAGES)(
    'in %s finds no socket of the host, not one without a name in the file system',
    async (language) => {
      const name = `\0anvoke-${randomUUID()}`
      const reached: unknown[] = []
      const service = createServer((socket) => reached.push(socket.end())).listen(name)
      await once(service, 'listening')
      const attack = {
        node: `return {
      connected: await connected({ path: event }),
      seen: fs.readFileSync('/proc/net/unix', 'latin1').includes(event.slice(1)),
      listening: fs.readFileSync('/proc/net/tcp', 'latin1').split('\\n').filter((line) => / 0A /.test(line)),
    }`,
        python: `
def connect():
    plain = socket.socket(socket.AF_UNIX)
    plain.connect(event)
return {'connected': tried(connect), 'seen': event[1:] in read('/proc/net/unix'), 'listening': [line for line in read('/proc/net/tcp').split('\\n') if ' 0A ' in line]}`,
      }
      const { connected, seen, listening } = await ground().reported(sourceIn(language, attack), {
        event: name,
      })
      await closed(service)
      expectAllRefused({ connected })
      expect([seen, listening, reached]).toEqual([false, [], []])
    },
  )

  test.each(LANGUAGES)('in %s changes no interface, route or name', async (language) => {
    const python = `
import fcntl, socket, struct
SIOCSIFADDR, SIOCSIFFLAGS = 0x8916, 0x8914
plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def change(request): fcntl.ioctl(plain, request, struct.pack('16sH14s', b'lo', 2, b'\\0' * 14))
def link():
    route = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    RTM_NEWLINK, flags = 16, 0x0605
    body = struct.pack('=BxHiII', 0, 0, 0, 0, 0) + struct.pack('=HH', 10, 3) + b'eth9\\0\\0' + struct.pack('=HHHH', 14, 18, 9, 1) + b'dummy\\0\\0\\0'
    route.send(struct.pack('=IHHII', 16 + len(body), RTM_NEWLINK, flags, 1, 0) + body)
    code = struct.unpack('=i', route.recv(4096)[16:20])[0]
    if code != 0: raise OSError(-code, 'refused')
return {'address': tried(lambda: change(SIOCSIFADDR)), 'flags': tried(lambda: change(SIOCSIFFLAGS)), 'link': tried(link), 'hostname': tried(lambda: socket.sethostname('host')), 'low port': tried(lambda: os.open('/proc/sys/net/ipv4/ip_unprivileged_port_start', os.O_WRONLY))}`
    expectAllRefused(await ground().reported(pythonIn(language, python)))
  })
}

async function closed(service: Server): Promise<void> {
  service.close()
  await once(service, 'close')
}
