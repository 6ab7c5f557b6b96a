import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { send } from '../../helpers/fc-request.ts'
import { TestServer } from '../../helpers/server.ts'
import { zipOf } from '../../helpers/zip.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

/** Enough code to be worth compiling ahead. */
const BIG = Array.from({ length: 4000 }, (_, index) => `exports.f${index} = () => 'nothing of use'\n`).join(
  '',
)
const HANDLER =
  `require('./big.js')\n` +
  `exports.handler = (event, context, callback) => callback(null, String(require('module').getCompileCacheDir()))\n`

const PYTHON_BIG = Array.from({ length: 200 }, (_, index) => `def f${index}():\n    return ${index}\n`).join(
  '',
)
const PYTHON_HANDLER =
  'import big\nimport os\n\n\ndef handler(event, context):\n    return str(os.path.exists(big.__cached__))\n'

describe('code that was compiled when it was deployed', () => {
  let server: TestServer
  beforeEach(async () => (server = await TestServer.start()))
  afterEach(() => server.close())

  const compiled = async (): Promise<string[]> =>
    (await readdir(join(server.dataDir, 'compiled'))).filter(
      (name) => name !== 'empty' && !name.startsWith('.'),
    )

  async function untilCompiled(count: number): Promise<readonly string[]> {
    const deadlineMs = performance.now() + 30_000
    for (;;) {
      const names = await compiled()
      if (names.length === count) return names
      if (performance.now() > deadlineMs)
        throw new Error(`${names.join()} are compiled; the server wrote:\n${server.output}`)
      await delay(20)
    }
  }

  async function create(
    functionName: string,
    runtime: string,
    files: Readonly<Record<string, string>>,
  ): Promise<Buffer> {
    const zip = await zipOf(files)
    const body = {
      functionName,
      runtime,
      handler: 'index.handler',
      memorySize: 256,
      code: { zipFile: zip.toString('base64') },
    }
    const path = '/2016-08-15/services/s/functions'
    const answer = await send(server, { method: 'POST', path, headers: JSON_TYPE }, JSON.stringify(body))
    expect(answer).toMatchObject({ status: 200 })
    return zip
  }

  async function invoke(name: string): Promise<string> {
    const path = `/2016-08-15/services/s/functions/${name}/invocations`
    const answer = await send(server, { method: 'POST', path }, '1')
    expect(answer).toMatchObject({ status: 200 })
    return answer.bytes.toString()
  }

  const createService = async (): Promise<unknown> =>
    await send(
      server,
      { method: 'POST', path: '/2016-08-15/services', headers: JSON_TYPE },
      '{"serviceName":"s"}',
    )

  test('is what the next first call of a Node.js function loads, however its process was started', async (context) => {
    context.skip(!(await server.isolates()), 'nothing isolates functions here')
    await createService()
    await create('f', 'nodejs26', { 'index.js': HANDLER, 'big.js': BIG })
    await untilCompiled(1)
    expect(await invoke('f')).toMatch(/^\/anvoke\/compiled\//)
    // Small code is left alone, and finds nothing there.
    await create('small', 'nodejs26', { 'index.js': HANDLER, 'big.js': '' })
    expect(await invoke('small')).toBe('undefined')
    expect((await compiled()).length).toBe(1)
  })

  test('is what the next first call of a Python function loads; the package that is downloaded is the one deployed', async () => {
    await createService()
    const zip = await create('f', 'python3', { 'index.py': PYTHON_HANDLER, 'big.py': PYTHON_BIG })
    await untilCompiled(1)
    expect(await invoke('f')).toBe('True')
    const path = '/2016-08-15/services/s/functions/f/code'
    const answer = await send(server, { method: 'GET', path })
    const { url }: { url: string } = JSON.parse(answer.bytes.toString())
    expect(Buffer.from(await (await fetch(url)).arrayBuffer())).toEqual(zip)
  })

  test('is kept by a restart, made again when it is lost, and goes with its function', async () => {
    await createService()
    await create('f', 'python3', { 'index.py': PYTHON_HANDLER, 'big.py': PYTHON_BIG })
    const names = await untilCompiled(1)
    await server.kill()
    await server.launch()
    expect(await compiled()).toEqual(names)
    expect(await invoke('f')).toBe('True')
    await server.stop()
    await rm(join(server.dataDir, 'compiled'), { recursive: true })
    await server.launch()
    expect(await untilCompiled(1)).toEqual(names)
    const path = '/2016-08-15/services/s/functions/f'
    expect((await send(server, { method: 'DELETE', path })).status).toBe(204)
    await server.stop()
    // A sweep comes with every start.
    await server.launch()
    await untilCompiled(0)
  })
})
