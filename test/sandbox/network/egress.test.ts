import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { childrenOf } from '../../../src/sandbox/proc.ts'
import { eventually, NODE, pidsWith, uniqueSleep } from '../harness.ts'
import { ASK, type Target } from './ask.ts'
import { GROUP, HOST, HOST_WITHOUT_CARRIER, METADATA, PORTS, WEB } from './addresses.ts'
import { firstLineOf, Lab, users, whyNot } from './lab.ts'
import { WEB_NAME } from './name-service.ts'
import type { Order, Report } from './owner.ts'

/** Where the sandbox shows the host's Python; raw options of sockets are out of Node.js's reach. */
const PYTHON = '/usr/bin/python3'

function commandOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')[0]
  } catch {
    return undefined
  }
}

async function helpersOf(pid = 0): Promise<number[]> {
  return (await childrenOf(pid)).filter((child) => commandOf(child) === '/usr/bin/slirp4netns')
}

function dataBytesOf(pid: number): number {
  const kib = /^VmData:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]
  return Number(kib) * 1024
}

describe.runIf(whyNot === undefined).each(users)('a way out, made by %s', (user) => {
  let lab: Lab
  beforeAll(async () => {
    lab = await Lab.open()
  })
  afterEach(() => lab.restore())
  afterAll(() => lab.close())

  async function run(order: Order): Promise<Report> {
    return JSON.parse(await firstLineOf(lab.owner(order, user))) as Report
  }

  async function ask(
    network: Order['network'],
    targets: readonly Target[],
  ): Promise<{ answers: Record<string, string>; devices: string[]; report: Report }> {
    const report = await run({ network, command: [NODE, '-e', ASK, JSON.stringify(targets)] })
    expect(report.stderr).toBe('')
    return { ...JSON.parse(report.stdout), report }
  }

  test('leads to the world, by address and by name, through the name server of the host', async () => {
    const { answers, devices } = await ask('egress', [
      ['http', WEB, PORTS.web],
      ['lookup', WEB_NAME],
      ['question', WEB_NAME],
      ['question', 'nothing.example'],
      ['http', WEB_NAME, PORTS.web],
      ['udp', WEB, PORTS.datagrams],
    ])
    expect(answers).toEqual({
      [`http ${WEB} ${PORTS.web}`]: `the world at ${WEB}`,
      [`lookup ${WEB_NAME}`]: WEB,
      [`question ${WEB_NAME}`]: WEB,
      'question nothing.example': 'ENOTFOUND',
      [`http ${WEB_NAME} ${PORTS.web}`]: `the world at ${WEB}`,
      [`udp ${WEB} ${PORTS.datagrams}`]: 'the world heard hello',
    })
    expect(devices.sort()).toEqual(['lo', 'tap0'])
  })

  test('leads to nothing of the host, and not to where clouds give out credentials', async () => {
    const hosts = [HOST, HOST_WITHOUT_CARRIER, '10.0.2.2', '127.0.0.1', '127.0.0.9', '0.0.0.0', 'localhost']
    const { answers, report } = await ask('egress', [
      ...hosts.flatMap((host): Target[] => [
        ['tcp', host, PORTS.control],
        ['tcp', host, PORTS.loopback],
      ]),
      ['http', METADATA, PORTS.web],
      ['tcp', '10.0.2.3', PORTS.control],
      ['tcp', '100.100.100.200', PORTS.web],
      ['tcp', '168.63.129.16', PORTS.web],
      ['tcp', '::1', PORTS.control],
      ['tcp', '2001:db8::1', PORTS.web],
      ['udp', HOST, PORTS.datagrams],
      ['udp', GROUP, PORTS.datagrams],
      ['udp', '255.255.255.255', PORTS.datagrams],
    ])
    expect(Object.values(answers).filter((answer) => !/^E[A-Z]+$/.test(answer))).toEqual([])
    expect(answers).toMatchObject({
      [`tcp ${HOST} ${PORTS.control}`]: 'EPERM',
      [`tcp ${HOST_WITHOUT_CARRIER} ${PORTS.control}`]: 'EPERM',
      [`http ${METADATA} ${PORTS.web}`]: 'EPERM',
    })
    expect(report.heard).toEqual([])
  })

  // Its sockets are made in Python.
  test.runIf(existsSync(PYTHON))(
    'is not found around its barriers by sockets that choose their own way',
    async () => {
      const script = `
import os, socket, struct
os.read(3, 9)
HOSTS, PORTS, GROUP, WEB, WEB_PORT = ${JSON.stringify([
        [HOST, METADATA, '127.0.0.1', '127.0.0.9', '10.0.2.2'],
        [PORTS.control, PORTS.loopback, PORTS.datagrams],
        GROUP,
        WEB,
        PORTS.web,
      ])}
IP_PKTINFO = 8
device = struct.pack('=I4s4s', socket.if_nametoindex('tap0'), bytes(4), bytes(4))
def made(kind, bound):
    made = socket.socket(socket.AF_INET, kind)
    made.settimeout(5)
    if bound: made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'tap0')
    if kind == socket.SOCK_DGRAM:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 9)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    return made
def reached(way):
    try: return way() or True
    except OSError: return False
def bound_stream(host, port):
    with made(socket.SOCK_STREAM, True) as stream: stream.connect((host, port))
def bound_datagram(host, port):
    with made(socket.SOCK_DGRAM, True) as datagram: datagram.sendto(b'bound', (host, port))
def chosen_datagram(host, port):
    with made(socket.SOCK_DGRAM, False) as datagram: datagram.sendmsg([b'chosen'], [(socket.IPPROTO_IP, IP_PKTINFO, device)], 0, (host, port))
def group_datagram(host, port):
    with made(socket.SOCK_DGRAM, False) as datagram:
        datagram.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('10.0.2.100'))
        datagram.sendto(b'group', (host, port))
ways = [bound_stream, bound_datagram, chosen_datagram]
for host in HOSTS:
    for port in PORTS:
        for way in ways:
            if reached(lambda: way(host, port)): print(way.__name__, host, port)
for way in [bound_datagram, chosen_datagram, group_datagram]:
    for host in [GROUP, '224.0.0.251', '255.255.255.255']:
        if reached(lambda: way(host, PORTS[2])): print(way.__name__, host)
print('world', reached(lambda: bound_stream(WEB, WEB_PORT)), reached(lambda: bound_datagram(WEB, PORTS[2])))`
      const report = await run({ network: 'egress', command: [PYTHON, '-c', script] })
      expect([report.stderr, report.stdout, report.heard]).toEqual(['', 'world True True\n', []])
    },
  )

  test('cannot be changed from inside', async () => {
    const script = `read line <&3
      cat /etc/resolv.conf
      for change in 'xfrm policy flush' 'xfrm policy deleteall' 'route add ${METADATA} via 10.0.2.2' 'link set lo down' 'address add 192.0.2.9/32 dev tap0'
      do ip $change 2>/dev/null && echo "$change"
      done
      echo nameserver 127.0.0.1 2>/dev/null > /etc/resolv.conf || echo closed`
    const { stdout } = await run({ network: 'egress', command: ['/bin/sh', '-c', script] })
    expect(stdout).toBe('nameserver 10.0.2.3\nclosed\n')
  })

  test('holds a bounded number of connections, and others once they are given up', async () => {
    const script = `
      const net = require('node:net')
      const sockets = []
      const connect = () => new Promise((done) => sockets.push(net.connect(${PORTS.web}, '${WEB}').on('connect', () => done(true)).on('error', () => done(false))))
      const many = async () => (await Promise.all(Array.from({ length: 700 }, connect))).filter(Boolean).length
      new net.Socket({ fd: 3 }).once('data', async () => {
        const first = await many()
        for (const socket of sockets.splice(0)) socket.destroy()
        let again = false
        for (const end = Date.now() + 5000; !again && Date.now() < end; ) again = await connect()
        console.log(JSON.stringify({ first, again }))
        process.exit()
      })`
    const { stdout } = await run({ network: 'egress', command: [NODE, '-e', script] })
    const { first, again } = JSON.parse(stdout) as { first: number; again: boolean }
    expect(first).toBeGreaterThan(200)
    expect(first).toBeLessThan(256)
    expect(again).toBe(true)
  })

  // These, too.
  test.runIf(existsSync(PYTHON))('is not used up by many processes that hold what they can', async () => {
    const script = `
import os, socket
def connected():
    stream = socket.socket()
    stream.settimeout(5)
    try: stream.connect((${JSON.stringify(WEB)}, ${PORTS.web}))
    except OSError: return None
    return stream
os.read(3, 9)
(told, tell), (over, end) = os.pipe(), os.pipe()
for _ in range(60):
    if os.fork() == 0:
        os.close(end)
        held = [stream for stream in (connected() for _ in range(10)) if stream]
        os.write(tell, bytes([len(held)]))
        os.read(over, 1)
        os._exit(0)
print(sum(os.read(told, 1)[0] for _ in range(60)), flush=True)
os.read(3, 9)
os.close(end)
for _ in range(60): os.wait()
while not connected(): pass
print('again', flush=True)`
    const owner = lab.owner({ network: 'egress', command: [PYTHON, '-c', script], talks: true }, user)
    owner.stdin?.write('go\n')
    const held = Number(await firstLineOf(owner))
    const [helper = 0, ...others] = await helpersOf(owner.pid)
    expect(others).toEqual([])
    expect(held).toBeGreaterThan(200)
    expect(readdirSync(`/proc/${helper}/fd`).length).toBeLessThanOrEqual(256)
    expect(dataBytesOf(helper)).toBeLessThanOrEqual(128 * 1024 * 1024)
    const told: string[] = []
    owner.stdout?.on('data', (chunk) => told.push(String(chunk)))
    owner.stdin?.write('go\n')
    await eventually(() => told.join('').startsWith('again\n'))
  })

  test('is not there for a process that has no network, which has no helper either', async () => {
    const { answers, devices, report } = await ask('none', [
      ['http', WEB, PORTS.web],
      ['lookup', WEB_NAME],
      ['tcp', HOST, PORTS.control],
      ['tcp', '127.0.0.1', PORTS.loopback],
      ['udp', WEB, PORTS.datagrams],
      ['tcp', METADATA, PORTS.web],
    ])
    expect(Object.values(answers)).toEqual([
      'ENETUNREACH',
      'EAI_AGAIN',
      'ENETUNREACH',
      'ECONNREFUSED',
      'ENETUNREACH',
      'ENETUNREACH',
    ])
    expect([devices, report.heard, report.helpers]).toEqual([['lo'], [], []])
  })

  test('is not needed where the network of the host is asked for, which is all of it', async () => {
    const { answers, report } = await ask('host', [
      ['http', WEB, PORTS.web],
      ['question', WEB_NAME],
      ['tcp', '127.0.0.1', PORTS.loopback],
      ['http', METADATA, PORTS.web],
    ])
    expect(Object.values(answers)).toEqual([
      `the world at ${WEB}`,
      WEB,
      'the host',
      `the world at ${METADATA}`,
    ])
    expect(report.helpers).toEqual([])
  })

  test('ends with its process', async () => {
    const { helpers, left } = await run({ network: 'egress', command: ['/bin/sh', '-c', 'read line <&3'] })
    expect([helpers.length, left]).toEqual([1, []])
  })

  test('ends when the server is killed, as does the process', async () => {
    const seconds = uniqueSleep()
    const owner = lab.owner({ network: 'egress', command: ['/bin/sleep', seconds], holds: true }, user)
    const { helpers } = JSON.parse(await firstLineOf(owner)) as { helpers: number[] }
    expect(helpers.map((pid) => existsSync(`/proc/${pid}`))).toEqual([true])
    // bwrap asks the kernel to end with its parent anew while it sets up: a parent that ends just then is missed.
    await eventually(() => pidsWith(seconds).some((pid) => commandOf(pid) === '/bin/sleep'))
    owner.kill('SIGKILL')
    await once(owner, 'close')
    await eventually(() => !helpers.some((pid) => existsSync(`/proc/${pid}`)))
    await eventually(() => pidsWith(seconds).length === 0)
  })

  test('takes its process along when it ends by itself', async () => {
    const owner = lab.owner({ network: 'egress', command: ['/bin/sleep', uniqueSleep()], holds: true }, user)
    const told: string[] = []
    owner.stdout?.on('data', (chunk) => told.push(String(chunk)))
    const { helpers } = JSON.parse(await firstLineOf(owner)) as { helpers: number[] }
    for (const pid of helpers) process.kill(pid, 'SIGKILL')
    await once(owner, 'close')
    expect(told.join('')).toContain('"left":[]')
  })
})
