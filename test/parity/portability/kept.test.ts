import { readFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { ProcessTree } from '../../helpers/process-tree.ts'
import { TestServer } from '../../helpers/server.ts'
import { base64Zip, fc2Client, type Fc2Client } from '../alibaba-fc/clients.ts'
import { scfClient } from './entrances.ts'

/** A start on a busy machine, and the wait before an instance that did not live long is replaced. */
const WITHIN = { timeout: 20_000 }

/** Each instance tells when it was loaded. */
const SOURCE = `
const loadedAtMs = Date.now()
exports.handler = async () => String(loadedAtMs)
`

let server: TestServer
let tree: ProcessTree
let fc: Fc2Client
let scf: ReturnType<typeof scfClient>

beforeAll(async () => {
  server = await TestServer.start({
    ANVOKE_IDLE_TIMEOUT_SECONDS: '2',
    ANVOKE_MEMORY_BUDGET_MIB: '4096',
    // Instances are counted by their processes, and have none beside them.
    ANVOKE_STEMS_PER_CLASS: '0',
    ANVOKE_NETWORK: 'none',
  })
  tree = new ProcessTree(server.pid)
  fc = fc2Client(server)
  scf = scfClient(server)
})
afterAll(() => server?.close())
afterEach(async () => {
  await expect.poll(instances, WITHIN).toEqual([])
})

/** Process ids of the instances there are: the innermost processes below the server. */
function instances(): readonly number[] {
  const processes = tree.look().filter(({ isDead }) => !isDead)
  const parents = new Set(processes.map(({ parent }) => parent))
  return processes.map(({ pid }) => pid).filter((pid) => !parents.has(pid) && !compiles(pid))
}

/** Whether it is what the server compiles ahead with, in the background. */
function compiles(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('compile')
  } catch {
    return false
  }
}

/** Two are there, in different processes; one of them that is killed makes way for a third. */
async function expectReplacement(available: () => Promise<unknown>): Promise<void> {
  const [killed = 0, other, ...more] = instances()
  expect([other, more]).toEqual([expect.any(Number), []])
  process.kill(killed, 'SIGKILL')
  await expect
    .poll(() => instances().filter((pid) => pid !== killed && pid !== other), WITHIN)
    .toHaveLength(1)
  await expect.poll(available, WITHIN).toBe(2)
  expect(instances()).toContain(other)
}

test('instances provisioned through Alibaba FC are ready before a call, are replaced, and end with the setting', async () => {
  await fc.createService('kept')
  await fc.createFunction('kept', {
    functionName: 'ahead',
    runtime: 'nodejs20',
    handler: 'index.handler',
    memorySize: 256,
    timeout: 20,
    code: { zipFile: await base64Zip(SOURCE) },
  })
  const current = async (): Promise<unknown> =>
    (await fc.getProvisionConfig('kept', 'ahead', 'LATEST')).data.current
  await fc.putProvisionConfig('kept', 'ahead', 'LATEST', { target: 2 })
  await expect.poll(current, WITHIN).toBe(2)
  expect((await fc.listProvisionConfigs({})).data.provisionConfigs).toMatchObject([{ target: 2, current: 2 }])

  const calledAtMs = Date.now()
  const { data } = await fc.invokeFunction('kept', 'ahead')
  expect(Number(data)).toBeLessThan(calledAtMs)
  await expectReplacement(current)

  await fc.putProvisionConfig('kept', 'ahead', 'LATEST', { target: 0 })
  expect(await current()).toBe(0)
}, 60_000)

test('instances provisioned through Tencent SCF are ready before a call, are replaced, come back with the server, and end with the setting', async () => {
  const FunctionName = 'ahead'
  await scf.CreateFunction({
    FunctionName,
    Runtime: 'Nodejs18.15',
    Handler: 'index.handler',
    MemorySize: 256,
    Timeout: 20,
    Code: { ZipFile: await base64Zip(SOURCE) },
  })
  const { FunctionVersion: Qualifier = '' } = await scf.PublishVersion({ FunctionName })
  const allocated = async () => (await scf.GetProvisionedConcurrencyConfig({ FunctionName })).Allocated
  const available = async (): Promise<unknown> => (await allocated())?.[0]?.AvailableProvisionedConcurrencyNum
  await scf.PutProvisionedConcurrencyConfig({ FunctionName, Qualifier, VersionProvisionedConcurrencyNum: 2 })
  await expect.poll(available, WITHIN).toBe(2)
  expect(await allocated()).toMatchObject([{ AllocatedProvisionedConcurrencyNum: 2, Status: 'Done' }])

  const calledAtMs = Date.now()
  const { Result } = await scf.Invoke({ FunctionName, Qualifier })
  expect(Number(JSON.parse(Result?.RetMsg ?? ''))).toBeLessThan(calledAtMs)
  await expectReplacement(available)

  await server.stop()
  await tree.assertGone()
  await server.launch()
  tree = new ProcessTree(server.pid)
  await expect.poll(available, WITHIN).toBe(2)
  expect(instances()).toHaveLength(2)
  await scf.DeleteProvisionedConcurrencyConfig({ FunctionName, Qualifier })
  expect(await allocated()).toEqual([])
}, 60_000)
