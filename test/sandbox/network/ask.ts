import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import type { ChildProcess } from 'node:child_process'
import { NODE } from '../harness.ts'
import type { Order, Report } from './owner.ts'

export type Target = readonly [
  kind: 'http' | 'tcp' | 'glance' | 'udp' | 'brief' | 'lookup' | 'question',
  host: string,
  port?: number,
]

export type Answers = Record<string, string>

const KINDS = `
const net = require('node:net'), http = require('node:http'), dns = require('node:dns'), dgram = require('node:dgram'), os = require('node:os')
const kinds = {
  http: (host, port, done) => http.get({ host, port, timeout: 5000 }, (reply) => reply.on('data', (data) => done(String(data)))).on('error', (error) => done(error.code)).on('timeout', () => done('timeout')),
  tcp: (host, port, done) => net.connect({ host, port, timeout: 5000 }).on('data', (data) => done(String(data))).on('error', (error) => done(error.code)).on('timeout', () => done('timeout')),
  glance: (host, port, done) => net.connect({ host, port, timeout: 200 }).on('data', (data) => done(String(data))).on('error', (error) => done(error.code)).on('timeout', () => done('timeout')),
  brief: (host, port, done) => kinds.udp(host, port, done, 200),
  udp: (host, port, done, limit = 5000) => { const socket = dgram.createSocket('udp4'); setTimeout(done, limit, 'timeout').unref(); socket.on('message', (data) => { done(String(data)); socket.close() }).on('error', () => undefined).send('hello', port, host, (error) => { if (error) done(error.code) }) },
  lookup: (host, port, done) => dns.lookup(host, { family: 4 }, (error, address) => done(error?.code ?? address)),
  question: (host, port, done) => dns.resolve4(host, (error, addresses) => done(error?.code ?? addresses.join())),
}
const ask = ([kind, host, port]) => new Promise((done) => kinds[kind](host, port, done))
const told = async (targets) => {
  const answers = {}
  for (const target of targets) answers[target.filter(Boolean).join(' ')] = await ask(target)
  return answers
}
`

/** Asks for each of the targets in its argument, and tells what came of it. Waits until the network is there. */
export const ASK = `${KINDS}
new net.Socket({ fd: 3 }).once('data', async () => {
  console.log(JSON.stringify({ answers: await told(JSON.parse(process.argv[1])), devices: Object.keys(os.networkInterfaces()) }))
  process.exit()
})`

/** Asks for targets as often as it is told to, a line each time, and answers with a line. */
const TALK = `${KINDS}
require('node:readline').createInterface({ input: new net.Socket({ fd: 3 }) }).on('line', async (line) => {
  console.log(JSON.stringify(await told(JSON.parse(line))))
}).once('close', () => process.exit())`

/** What {@link Conversation} needs a process to be ordered as. */
export const TALKING: Order = { network: 'egress', command: [NODE, '-e', TALK], talks: true }

/** Talks with a process in the sandbox that asks for what it is told to, one thing after another. */
export class Conversation {
  readonly owner: ChildProcess
  readonly #lines: Interface
  readonly #ended: Promise<never>

  /** @param owner Has the order {@link TALKING}. */
  constructor(owner: ChildProcess) {
    this.owner = owner
    if (owner.stdout === null) throw new Error('its output is not read')
    this.#lines = createInterface({ input: owner.stdout })
    this.#ended = once(this.#lines, 'close').then(() => {
      throw new Error('it ended without an answer')
    })
    this.#ended.catch(() => undefined)
  }

  /** Ends the process. @returns What services of the host heard. */
  async end(): Promise<readonly string[]> {
    const told = this.#line()
    this.owner.stdin?.end()
    return (JSON.parse(await told) as Report).heard
  }

  async ask(...targets: readonly Target[]): Promise<Answers> {
    const answered = this.#line()
    this.owner.stdin?.write(`${JSON.stringify(targets)}\n`)
    return JSON.parse(await answered) as Answers
  }

  #line(): Promise<string> {
    const line = new Promise<string>((resolve) => this.#lines.once('line', resolve))
    return Promise.race([line, this.#ended])
  }
}
