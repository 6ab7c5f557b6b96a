/**
 * A server's part in the lab without a sandbox: fastens a way out to a process in a network namespace whose user namespace lies in another
 * one. Its argument: the targets of `ask.ts`; prints what the process answered.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import { InheritedDescriptors } from '../../../src/sandbox/inherited-descriptors.ts'
import { KnownProcess } from '../../../src/sandbox/known-process.ts'
import { Egress } from '../../../src/sandbox/network/egress.ts'
import { ASK } from './ask.ts'

const programs = {
  slirp4netns: '/usr/bin/slirp4netns',
  ip: '/usr/sbin/ip',
  nsenter: '/usr/bin/nsenter',
  unshare: '/usr/bin/unshare',
}
const user = ['--user', '--map-root-user']
const args = [...user, '--', programs.unshare, ...user, '--net', '--', process.execPath]
const targets = process.argv[2] ?? ''
const child = spawn(programs.unshare, [...args, '-e', `console.log('born');${ASK}`, targets], {
  stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
})
const [, output, , channel] = child.stdio
if (!(output instanceof Readable && channel instanceof Writable)) throw new Error('a pipe is missing')
await once(output, 'data')
let lost = 0
const room = { programs, inUserNamespace: true, inherited: new InheritedDescriptors() }
const egress = new Egress(new KnownProcess(child.pid ?? 0), room, () => (lost += 1))
await egress.attached
channel.write('go\n')
const [answers] = await once(output, 'data')
const before = lost
egress.end()
await egress.ended
process.stdout.write(`${JSON.stringify({ ...JSON.parse(String(answers)), lost: before })}\n`)
