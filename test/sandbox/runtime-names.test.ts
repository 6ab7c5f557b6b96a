import { afterAll, beforeAll, expect, test } from 'vitest'
import { discoverInterpreters } from '../../src/sandbox/interpreters.ts'
import { substitutionsOf } from '../../src/sandbox/runtimes.ts'
import { send } from '../helpers/fc-request.ts'
import { TestServer } from '../helpers/server.ts'
import { zipOf } from '../helpers/zip.ts'

const FUNCTIONS = '/2021-04-06/services/demo/functions'
/** A version that vendors have and this host has not; there are too many of them for a host to have all. */
const [[version = '', [named = ''] = []] = []] = substitutionsOf('nodejs', await discoverInterpreters())

let server: TestServer
beforeAll(async () => {
  server = await TestServer.start({ ANVOKE_NETWORK: 'none', ANVOKE_STEMS_PER_CLASS: '0' })
  await post('/2021-04-06/services', { serviceName: 'demo' })
})
afterAll(async () => await server.close())

async function post(path: string, body: unknown): Promise<{ status: number; text: string }> {
  const headers = { 'content-type': 'application/json' }
  const { status, bytes } = await send(server, { method: 'POST', path, headers }, JSON.stringify(body))
  return { status, text: bytes.toString() }
}

async function create(functionName: string, runtime: string): Promise<{ status: number; text: string }> {
  const code = await zipOf({
    'index.js': 'exports.handler = (event, context, done) => done(null, process.versions.node)',
  })
  const zipFile = code.toString('base64')
  return await post(FUNCTIONS, {
    functionName,
    runtime,
    handler: 'index.handler',
    timeout: 60,
    code: { zipFile },
  })
}

test('a function for a runtime that nobody has is refused when it is made, in the words of its API', async () => {
  const { status, text } = await create('slip', 'nodejs99')
  expect({ status, ...JSON.parse(text) }).toMatchObject({
    status: 400,
    ErrorCode: 'InvalidArgument',
    ErrorMessage: expect.stringContaining("runtime 'nodejs99' is not available on this server: This version"),
  })
  expect((await post(`${FUNCTIONS}/slip/invocations`, {})).status).toBe(404)
})

test('the log tells once that functions run on another version than their runtime names', async () => {
  for (const name of ['one', 'two']) {
    expect((await create(name, `nodejs${named}`)).status).toBe(200)
    expect((await post(`${FUNCTIONS}/${name}/invocations`, {})).text).toBe(version)
  }
  const lines = server.output.split('\n').filter((line) => line.includes('another version'))
  expect(lines).toEqual([
    expect.stringMatching(new RegExp(`nodejs${named}\\b.*${version.replaceAll('.', '\\.')}`)),
  ])
})
