import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CgroupTree } from '../../../src/sandbox/cgroup/tree.ts'
import { probeSandboxes } from '../../../src/sandbox/probe.ts'
import { send } from '../../helpers/fc-request.ts'
import { TestServer } from '../../helpers/server.ts'
import { zipOf } from '../../helpers/zip.ts'
import { eventually } from '../harness.ts'
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
    const code = `exports.handler = async (event) => { ${body} }`
    const zipFile = (await zipOf({ 'index.js': code })).toString('base64')
    await manage(FUNCTIONS, {
      functionName,
      runtime: 'nodejs20',
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

  test('freezes an instance between its calls, and both are answered', async () => {
    await deploy('counter', 'globalThis.calls = (globalThis.calls ?? 0) + 1; return globalThis.calls')
    expect((await call('counter')).text).toBe('1')
    const isFrozen = (): boolean =>
      groupsNamed(`-${server.pid}-`).some((group) => figureOf([group], 'cgroup.events', 'frozen') === 1)
    for (const calls of ['2', '3']) {
      await eventually(isFrozen)
      expect((await call('counter')).text).toBe(calls)
    }
  })

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
    expect((await call('counter')).text).toMatch(/^\d+$/)
  })
})
