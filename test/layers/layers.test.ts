import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { functionKey, layerKey, namespaceKey } from '../../src/engine/keys.ts'
import type { CodePackage } from '../../src/model/function.ts'
import { probeSandboxes } from '../../src/sandbox/probe.ts'
import { PackageStore } from '../../src/store/packages/packages.ts'
import { SqliteStore } from '../../src/store/sqlite/sqlite-store.ts'
import type { Change } from '../../src/store/definition-store.ts'
import { send } from '../helpers/fc-request.ts'
import { ACCOUNT, TestServer } from '../helpers/server.ts'
import { zipOf } from '../helpers/zip.ts'

type Files = Readonly<Record<string, string>>

/** A function as its definition says, with layers. */
interface Deployed {
  readonly contract: string
  readonly runtime: string
  readonly handler: string
  readonly code: Files
  readonly layers: readonly Files[]
}

const working = (await probeSandboxes()).filter(({ works }) => works).map(({ driver }) => driver)

const NODE_CODE = `const value = require('shared') + ' ' + require('own')
exports.handler = async (event, context) => value + ' ' + process.cwd() + ' ' + __dirname
exports.main_handler = async (event, context) => value + ' ' + process.cwd() + ' ' + __dirname`

const PYTHON_CODE = `import os, shared, own
def handler(event, context):
    return shared.text + ' ' + own.text + ' ' + os.getcwd() + ' ' + os.path.dirname(os.path.abspath(__file__))
main_handler = handler`

const node = (directory: string): readonly Files[] => [
  {
    [`${directory}shared/index.js`]: 'module.exports = "first"',
    [`${directory}own.js`]: 'module.exports = "own"',
  },
  { [`${directory}shared/index.js`]: 'module.exports = "later"' },
]

const PYTHON_LAYERS: readonly Files[] = [
  { 'shared.py': 'text = "first"', 'own/__init__.py': 'text = "own"' },
  { 'shared.py': 'text = "later"' },
]

describe.each(working)('a function with layers in the %s sandbox', (driver) => {
  let server: TestServer

  beforeEach(async () => {
    server = await TestServer.start({ ANVOKE_SANDBOX: driver })
    await server.stop()
  })
  afterEach(() => server.close())

  /** Writes a function into the data of the server that stands still. */
  async function deploy({ contract, runtime, handler, code, layers }: Deployed): Promise<void> {
    const packages = await PackageStore.open({ dir: join(server.dataDir, 'packages') })
    const put = async (files: Files): Promise<CodePackage> => packages.put(await zipOf(files))
    const store = await SqliteStore.open({ file: join(server.dataDir, 'anvoke.db') })
    const stamps = { createdAtMs: 1, modifiedAtMs: 1 }
    const common = { account: ACCOUNT, description: '', facts: {}, extras: {}, ...stamps }
    const spec = {
      ...{ contract, runtime, handler, timeoutMs: 10_000, memoryMib: 256, diskMib: 64 },
      ...{ instanceConcurrency: 1, environment: {}, code: await put(code) },
      layers: await Promise.all(layers.map(put)),
    }
    const changes: Change[] = [
      {
        kind: 'namespace',
        key: namespaceKey(ACCOUNT, 'demo'),
        expectedRevision: 0,
        value: { ...common, name: 'demo', namespaceId: 'n', lastVersion: 0 },
      },
      {
        kind: 'function',
        key: functionKey(ACCOUNT, 'demo', 'hello'),
        expectedRevision: 0,
        value: {
          ...common,
          ...{ namespace: 'demo', name: 'hello', version: 'LATEST', functionId: 'f', stateId: 's' },
          spec,
        },
      },
    ]
    await store.definitions.commit(changes)
    await store.close()
    await packages.close()
  }

  async function call(): Promise<string> {
    const path = '/2016-08-15/services/demo/functions/hello/invocations'
    const { bytes } = await send(server, { method: 'POST', path }, '{}')
    return bytes.toString()
  }

  /** Where the code sees itself: at the vendor's place, where the sandbox has one. */
  const places = (target: string): string =>
    driver === 'bwrap' ? `${target} ${target}` : String.raw`\S+/(?:tree|stem-\d+/\d) \S+/(?:tree|stem-\d+/\d)`

  test.each<[string, Deployed, string]>([
    [
      'FunctionGraph in Node.js',
      {
        ...{ contract: 'huawei-functiongraph', runtime: 'Node.js18.15', handler: 'index.handler' },
        ...{ code: { 'index.js': NODE_CODE }, layers: node('node_modules/') },
      },
      '/opt/function/code',
    ],
    [
      'FunctionGraph in Python',
      {
        ...{ contract: 'huawei-functiongraph', runtime: 'Python3.9', handler: 'index.handler' },
        ...{ code: { 'index.py': PYTHON_CODE }, layers: PYTHON_LAYERS },
      },
      '/opt/function/code',
    ],
    [
      'SCF in Node.js',
      {
        ...{ contract: 'tencent-scf', runtime: 'Nodejs16.13', handler: 'index.main_handler' },
        ...{ code: { 'index.js': NODE_CODE }, layers: node('') },
      },
      '/var/user',
    ],
    [
      'SCF in Python',
      {
        ...{ contract: 'tencent-scf', runtime: 'Python3.7', handler: 'index.main_handler' },
        ...{ code: { 'index.py': PYTHON_CODE }, layers: PYTHON_LAYERS },
      },
      '/var/user',
    ],
  ])('finds their packages, the later layer first: %s', async (_, deployed, target) => {
    await deploy(deployed)
    await server.launch()
    expect(await call()).toMatch(new RegExp(`^"?later own ${places(target)}"?$`))
  })

  test('has them again after they were lost, and what nobody has is swept', async () => {
    await deploy({
      ...{ contract: 'huawei-functiongraph', runtime: 'Node.js18.15', handler: 'index.handler' },
      ...{ code: { 'index.js': NODE_CODE }, layers: node('node_modules/') },
    })
    const dir = join(server.dataDir, 'packages')
    const stray = `merged-${'0'.repeat(64)}`
    await mkdir(join(dir, stray))
    await server.launch()
    const merged = async (): Promise<string[]> =>
      (await readdir(dir)).filter((name) => name.startsWith('merged-') && name !== stray)
    const [first = ''] = await merged()
    await server.stop()
    expect(await readdir(dir)).not.toContain(stray)
    await rm(join(dir, first), { recursive: true })
    await server.launch()
    expect(await merged()).toEqual([first])
    expect(await call()).toMatch(/^later own /)
  })
})

test('a package that only a layer has is kept', async () => {
  const server = await TestServer.start()
  await server.stop()
  const packages = await PackageStore.open({ dir: join(server.dataDir, 'packages') })
  const store = await SqliteStore.open({ file: join(server.dataDir, 'anvoke.db') })
  const [kept, lost] = [
    await packages.put(await zipOf({ a: 'a' })),
    await packages.put(await zipOf({ b: 'b' })),
  ]
  const value = {
    ...{ account: ACCOUNT, name: 'tools', version: 1, description: '', code: kept, extras: {} },
    ...{ createdAtMs: 1, modifiedAtMs: 1 },
  }
  const key = layerKey(ACCOUNT, 'tools', 1)
  await store.definitions.commit([{ kind: 'layer', key, expectedRevision: 0, value }])
  await store.close()
  await packages.close()
  await server.launch()
  await server.stop()
  const folders = await readdir(join(server.dataDir, 'packages'))
  await server.close()
  expect(folders).toEqual([kept.digest])
  expect(folders).not.toContain(lost.digest)
})
