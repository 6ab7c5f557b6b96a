import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { InheritedDescriptors } from '../../../src/sandbox/inherited-descriptors.ts'
import { KnownProcess } from '../../../src/sandbox/known-process.ts'
import { BarrierSet } from '../../../src/sandbox/network/barrier-set.ts'
import { Namespaces } from '../../../src/sandbox/network/namespaces.ts'
import { whyNot } from './lab.ts'

const [NEAR, FAR, OTHER] = ['192.0.2.1', '192.0.2.2', '192.0.2.3']
const PROGRAMS = { ip: '/usr/sbin/ip', nsenter: '/usr/bin/nsenter' }
const INHERITED = new InheritedDescriptors()

/** Sends back what it hears; and for each line, from an address, a datagram that nobody has asked for. */
const ECHO = `
require('node:net').createServer((socket) => socket.pipe(socket)).listen(80, '0.0.0.0', () => console.log('ready'))
const tell = (from, text) => {
  const sender = require('node:dgram').createSocket('udp4')
  sender.bind(0, from, () => sender.send(text, 81, '${NEAR}', () => sender.close(() => console.log('sent'))))
}
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => tell(...line.split(' ')))`

/** Says what comes back for each line, on a connection that it opens for each address and keeps. */
const ASK = `
const net = require('node:net')
const open = new Map()
const ask = (address, line) => new Promise((done) => {
  if (!open.has(address)) open.set(address, net.connect(80, address).on('error', (error) => done(error.code)))
  const socket = open.get(address)
  setTimeout(done, 300, 'silence').unref()
  socket.once('data', (data) => done(String(data).trim()))
  socket.write(line + '\\n')
})
require('node:readline').createInterface({ input: process.stdin }).on('line', async (line) => console.log(await ask(...line.split(' '))))
const hearer = require('node:dgram').createSocket('udp4').on('message', (text) => console.log('heard ' + text))
hearer.bind(81, '0.0.0.0', () => console.log('ready'))`

describe.runIf(whyNot === undefined)('barriers', () => {
  const children: ChildProcess[] = []
  let echo: ChildProcess
  let asker: ChildProcess
  let lines: AsyncIterator<string>
  let namespaces: Namespaces

  async function startIn(script: string): Promise<ChildProcess> {
    const child = spawn('unshare', ['--net', '--', process.execPath, '-e', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    children.push(child)
    return child
  }

  function ip(child: ChildProcess, ...args: readonly string[]): void {
    const { status, stderr } = spawnSync('nsenter', [`--net=/proc/${child.pid}/ns/net`, 'ip', ...args])
    if (status !== 0) throw new Error(String(stderr))
  }

  async function ask(address: string, line: string): Promise<string> {
    asker.stdin?.write(`${address} ${line}\n`)
    return String((await lines.next()).value)
  }

  /** Resolves when the datagram is on its way. */
  async function tell(from: string, text: string): Promise<void> {
    if (echo.stdout === null) throw new Error('a pipe is missing')
    const sent = once(echo.stdout, 'data')
    echo.stdin?.write(`${from} ${text}\n`)
    await sent
  }

  beforeEach(async () => {
    echo = await startIn(ECHO)
    asker = await startIn(ASK)
    if (asker.stdout === null || echo.stdout === null) throw new Error('a pipe is missing')
    lines = createInterface({ input: asker.stdout })[Symbol.asyncIterator]()
    await Promise.all([once(echo.stdout, 'data'), lines.next()])
    ip(asker, 'link', 'add', 'near', 'type', 'veth', 'peer', 'name', 'far', 'netns', String(echo.pid))
    ip(asker, 'address', 'add', `${NEAR}/24`, 'dev', 'near')
    ip(echo, 'address', 'add', `${FAR}/24`, 'dev', 'far')
    ip(echo, 'address', 'add', `${OTHER}/24`, 'dev', 'far')
    ip(asker, 'link', 'set', 'near', 'up')
    ip(echo, 'link', 'set', 'far', 'up')
    namespaces = new Namespaces(new KnownProcess(asker.pid ?? 0), false)
  })

  afterEach(async () => {
    namespaces.close()
    const ends = children.map((child) => once(child, 'close'))
    for (const child of children.splice(0)) child.kill('SIGKILL')
    await Promise.all(ends)
  })

  test('cut off what is open when they are raised, and nothing else', async () => {
    const barriers = new BarrierSet(namespaces, PROGRAMS, INHERITED)
    await barriers.raise(Promise.resolve([]))
    expect([await ask(FAR, 'one'), await ask(OTHER, 'one')]).toEqual(['one', 'one'])
    await barriers.raise(Promise.resolve([`${FAR}/32`]))
    expect([await ask(FAR, 'two'), await ask(OTHER, 'two')]).toEqual([
      expect.not.stringMatching('two'),
      'two',
    ])
  })

  test('let nothing be heard any more from addresses that are barred later', async () => {
    const barriers = new BarrierSet(namespaces, PROGRAMS, INHERITED)
    await barriers.raise(Promise.resolve([]))
    await tell(FAR, 'one')
    expect((await lines.next()).value).toBe('heard one')
    await barriers.raise(Promise.resolve([`${FAR}/32`]))
    await tell(FAR, 'two')
    // Comes behind it, by the same cable.
    await tell(OTHER, 'three')
    expect((await lines.next()).value).toBe('heard three')
  })

  test('are never taken away nor made twice, however often they are raised at once', async () => {
    const barriers = new BarrierSet(namespaces, PROGRAMS, INHERITED)
    const own = [[`${FAR}/32`, '127.0.0.0/8'], [`${FAR}/32`], [], [`${FAR}/32`, `${OTHER}/32`, '127.0.0.0/8']]
    await Promise.all(own.map((addresses) => barriers.raise(Promise.resolve(addresses))))
    expect([await ask(FAR, 'one'), await ask(OTHER, 'one')]).toEqual(['EPERM', 'EPERM'])
  })

  test('are more than any host needs, or none are made', async () => {
    const barriers = new BarrierSet(namespaces, PROGRAMS, INHERITED)
    const many = Array.from({ length: 5000 }, (_none, index) => `198.18.${index >> 8}.${index & 255}/32`)
    await expect(barriers.raise(Promise.resolve(many))).rejects.toThrow('too many')
    barriers.kill()
    await barriers.idle
  })

  test('are not raised in namespaces that are let go of', async () => {
    const barriers = new BarrierSet(namespaces, PROGRAMS, INHERITED)
    await barriers.raise(Promise.resolve([]))
    namespaces.close()
    await expect(barriers.raise(Promise.resolve([`${FAR}/32`]))).rejects.toThrow('no longer held')
  })
})
