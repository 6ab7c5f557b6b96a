import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CgroupTree } from '../../../src/sandbox/cgroup/tree.ts'
import { probeSandboxes } from '../../../src/sandbox/probe.ts'
import { send } from '../../helpers/fc-request.ts'
import { TestServer } from '../../helpers/server.ts'
import { zipOf } from '../../helpers/zip.ts'
import { eventually, ticksOf } from '../harness.ts'
import { figureOf, groupsNamed } from './groups-of.ts'

const FUNCTIONS = '/2021-04-06/services/demo/functions'
const probe = await CgroupTree.open()
await probe.close()
const { controllers, freezes } = probe.finding
const isolates = (await probeSandboxes()).some(({ driver, works }) => driver === 'bwrap' && works)

const has = isolates && controllers.has('memory') && freezes
// Where cgroups cannot be written the finding says so, and there is nothing to limit with.
describe.runIf(has).each(['0', '2'])('a server whose host has cgroups, with %s processes ahead', (stems) => {
  let server: TestServer

  async function manage(path: string, body: unknown): Promise<void> {
    const headers = { 'content-type': 'application/json' }
    const { status, bytes } = await send(server, { method: 'POST', path, headers }, JSON.stringify(body))
    if (status >= 300) throw new Error(`${path}: ${status} ${bytes.toString()}`)
  }

  async function deploy(functionName: string, body: string, memorySize = 256): Promise<void> {
    await deployFile(
      functionName,
      'nodejs20',
      { 'index.js': `exports.handler = async (event) => { ${body} }` },
      memorySize,
    )
  }

  async function deployFile(
    functionName: string,
    runtime: string,
    files: Record<string, string>,
    memorySize = 256,
  ): Promise<void> {
    const zipFile = (await zipOf(files)).toString('base64')
    await manage(FUNCTIONS, {
      functionName,
      runtime,
      handler: 'index.handler',
      memorySize,
      timeout: 20,
      code: { zipFile },
    })
  }

  async function call(
    functionName: string,
  ): Promise<{ text: string; memoryMib: number; errorType: unknown }> {
    const { headers, bytes } = await send(
      server,
      { method: 'POST', path: `${FUNCTIONS}/${functionName}/invocations` },
      '{}',
    )
    const memoryMib = Number(headers['x-fc-max-memory-usage'])
    return { text: bytes.toString(), memoryMib, errorType: headers['x-fc-error-type'] }
  }

  beforeAll(async () => {
    server = await TestServer.start({
      ANVOKE_SANDBOX: 'bwrap',
      ANVOKE_NETWORK: 'none',
      ANVOKE_STEMS_PER_CLASS: stems,
    })
    await manage('/2021-04-06/services', { serviceName: 'demo' })
  })
  afterAll(async () => {
    const { pid } = server
    await server.close()
    expect(groupsNamed(`-${pid}-`)).toEqual([])
  })

  /** Groups of the server that are frozen now. */
  const frozenGroups = (): string[] =>
    groupsNamed(`-${server.pid}-`).filter((group) => figureOf([group], 'cgroup.events', 'frozen') === 1)

  // Python's processes are forked from a zygote, Node.js's are not.
  test.each([
    [
      'nodejs20',
      'index.js',
      `setInterval(() => { for (let i = 0; i < 1e5; i++); }, 0)
       let calls = 0
       exports.handler = async () => (calls += 1)`,
    ],
    [
      'python3.9',
      'index.py',
      'import threading\n' +
        'def spin():\n    while True: sum(range(1000))\n' +
        'threading.Thread(target=spin, daemon=True).start()\n' +
        'calls = 0\n' +
        'def handler(event, context):\n    global calls\n    calls += 1\n    return calls\n',
    ],
  ])(
    'freezes an instance between its calls, whatever it goes on with, and all are answered: %s',
    async (runtime, file, source) => {
      const others = frozenGroups()
      await deployFile(`counter-${runtime.slice(0, 6)}`, runtime, { [file]: source })
      for (const calls of ['1', '2', '3']) {
        expect((await call(`counter-${runtime.slice(0, 6)}`)).text).toBe(calls)
        await eventually(() => frozenGroups().some((group) => !others.includes(group)))
        const group = frozenGroups().find((one) => !others.includes(one)) ?? ''
        const pids = readFileSync(join(group, 'cgroup.procs'), 'latin1').trim().split('\n').map(Number)
        expect(pids.length).toBeGreaterThan(1)
        const before = pids.map(ticksOf)
        // Ten times what it needs to use a tick.
        await delay(100)
        expect(pids.map(ticksOf)).toEqual(before)
      }
    },
  )

  test('tells a slow call the memory of all that it started', async () => {
    await deploy(
      'parent',
      `const { spawnSync } = require('node:child_process')
       const hold = 'const b = Buffer.alloc(120 * 1024 * 1024, 1); setTimeout(() => b.length, 400)'
       return spawnSync(process.execPath, ['-e', hold]).status`,
      512,
    )
    const { text, memoryMib } = await call('parent')
    expect(text).toBe('0')
    expect(memoryMib).toBeGreaterThan(120)
    expect(memoryMib).toBeLessThan(512)
  })

  test('ends a call that passes its memory, and serves the next', async () => {
    await deploy('greedy', 'const kept = []; for (;;) kept.push(Buffer.alloc(8 * 1024 * 1024, 1))', 128)
    const { text, errorType } = await call('greedy')
    expect([text, errorType]).toEqual([expect.stringMatching(/memory|OOM/i), expect.anything()])
    expect((await call('counter-nodejs')).text).toMatch(/^\d+$/)
  })
})
