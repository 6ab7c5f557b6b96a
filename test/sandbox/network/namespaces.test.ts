import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { KnownProcess } from '../../../src/sandbox/known-process.ts'
import { Namespaces } from '../../../src/sandbox/network/namespaces.ts'
import { whyNot } from './lab.ts'

async function startedBy(...command: readonly string[]): Promise<ChildProcess> {
  const [program = '', ...args] = command
  const child = spawn(program, [...args, 'sh', '-c', 'echo ready; read line'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  })
  await once(child.stdout, 'data')
  return child
}

const descriptors = (): number => readdirSync('/proc/self/fd').length

test('the network of the server itself is never taken for one of a sandbox', async () => {
  const inServers = new KnownProcess((await startedBy('env')).pid ?? 0)
  const before = descriptors()
  expect(() => new Namespaces(inServers, false)).toThrow('the network of the server itself')
  expect(descriptors()).toBe(before)
})

// Needs a network namespace of its own: root, and tools that make one.
test.skipIf(whyNot !== undefined)('a network is held, unless its process is another one by now', async () => {
  const pid = (await startedBy('unshare', '--net')).pid ?? 0
  const before = descriptors()
  expect(() => new Namespaces(new KnownProcess(pid, 1), false)).toThrow('has ended')
  expect(descriptors()).toBe(before)
  const namespaces = new Namespaces(new KnownProcess(pid), false)
  expect(namespaces.descriptors).toHaveLength(2)
  namespaces.close()
  expect(descriptors()).toBe(before)
})
