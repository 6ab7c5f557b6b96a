import { afterAll, beforeAll, expect, test } from 'vitest'
import { send, type FcResponse } from '../helpers/fc-request.ts'
import { TestServer } from '../helpers/server.ts'
import { zipOf } from '../helpers/zip.ts'

const SERVICES = '/2021-04-06/services'
const FUNCTIONS = `${SERVICES}/demo/functions`
const NOTICE = 'calls are refused: one instance wants more memory'

let server: TestServer

beforeAll(async () => {
  server = await TestServer.start({ ANVOKE_SANDBOX: 'process', ANVOKE_MEMORY_BUDGET_MIB: '1024' })
})
afterAll(() => server.close())

function manage(method: 'POST' | 'PUT', path: string, body: unknown): Promise<FcResponse> {
  return send(server, { method, path, headers: { 'content-type': 'application/json' } }, JSON.stringify(body))
}

const notices = (): number => server.output.split('\n').filter((line) => line.includes(NOTICE)).length

test('a function that the memory budget can never hold is deployed, its calls are refused, and the log says so once', async () => {
  const zipFile = (await zipOf({ 'index.js': 'exports.handler = async () => 1' })).toString('base64')
  await manage('POST', SERVICES, { serviceName: 'demo' })
  const settings = { functionName: 'huge', runtime: 'nodejs20', handler: 'index.handler', memorySize: 2048 }
  const created = await manage('POST', FUNCTIONS, { ...settings, code: { zipFile } })
  expect(created.status).toBe(200)
  await expect.poll(notices).toBe(1)
  for (const _ of [1, 2]) {
    const { status, bytes } = await send(
      server,
      { method: 'POST', path: `${FUNCTIONS}/huge/invocations` },
      '',
    )
    expect(status).toBe(400)
    expect(bytes.toString()).toMatch(/2048 MB.* 1024 MB.*memoryBudgetMib/)
  }
  expect((await manage('PUT', `${FUNCTIONS}/huge`, { memorySize: 512 })).status).toBe(200)
  const { status } = await send(server, { method: 'POST', path: `${FUNCTIONS}/huge/invocations` }, '')
  expect(status).toBe(200)
  // All that it said is there.
  await server.stop()
  expect(notices()).toBe(1)
})
