import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PayloadBudget } from '../../../src/engine/payload-budget.ts'
import { Listener } from '../../../src/http/server.ts'
import { zipOf } from '../../helpers/zip.ts'
import { exchangeOf, openHarness, type Harness } from './harness.ts'

const MIB = 1024 * 1024
const FUNCTIONS = '/2016-08-15/services/demo/functions'

let fc: Harness
let listener: Listener
let port: number
let zip: Buffer
const budget = new PayloadBudget(512 * MIB)
beforeAll(async () => {
  fc = await openHarness()
  await fc.send({ method: 'POST', path: '/2016-08-15/services', body: { serviceName: 'demo' } })
  zip = await zipOf({ 'index.js': 'exports.handler = () => 1\n', 'data.bin': randomBytes(12 * MIB) })
  listener = new Listener({ dialects: [fc.dialect], budget, checks: () => [], onFault: () => undefined })
  port = (await listener.listen('127.0.0.1', 0)).port
})
afterAll(async () => {
  await listener.close(0)
  await fc.close()
})

/** Sends a request through the listener, signed like any other. */
async function send(method: string, path: string, body?: Buffer): Promise<IncomingMessage> {
  const { headers } = exchangeOf({ method, path, unsigned: body === undefined }, fc.clockMs)
  const sent = request({ port, host: '127.0.0.1', method, path, headers, agent: false })
  sent.end(body)
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return response
}

function createBody(functionName: string, code: string, more = ''): Buffer {
  const settings = `"functionName":"${functionName}","runtime":"nodejs20","handler":"index.handler"`
  return Buffer.from(`{${settings},"code":{"zipFile":"${code}"}${more}}`)
}

test('a large zip deploys, however its text is escaped, and downloads byte for byte', async () => {
  const text = zip.toString('base64')
  for (const [name, written] of [
    ['plain', text],
    ['slashes', text.replaceAll('/', '\\/')],
  ] as const) {
    const response = await send('POST', FUNCTIONS, createBody(name, written))
    const created = JSON.parse((await buffer(response)).toString()) as Record<string, unknown>
    expect([response.statusCode, created['codeSize']]).toEqual([200, zip.length])
  }
  const { json } = await fc.send({ method: 'GET', path: `${FUNCTIONS}/plain/code` })
  const { pathname, search } = new URL(String(json['url']))
  const archive = await buffer(await send('GET', pathname + search))
  expect(createHash('sha256').update(archive).digest('hex')).toBe(
    createHash('sha256').update(zip).digest('hex'),
  )
})

test('bodies of junk are refused while others are answered, and nothing of them is kept', async () => {
  const small = (await zipOf({ 'index.js': '' })).toString('base64')
  const body = createBody('junk', small, `,"junk":[${'{},'.repeat(20 * MIB)}{}]`)
  const junk = Promise.all([1, 2, 3].map(() => send('POST', FUNCTIONS, body)))
  expect((await send('GET', FUNCTIONS, Buffer.alloc(0))).statusCode).toBe(200)
  for (const response of await junk) {
    expect(response.statusCode).toBe(400)
    expect((await buffer(response)).toString()).toContain('EntityTooLarge')
  }
  while (budget.heldBytes > 0) await setImmediate()
  expect((await fc.send({ method: 'GET', path: `${FUNCTIONS}/junk` })).status).toBe(404)
})

test.each([
  ['no JSON', () => Buffer.from(createBody('bad', zip.toString('base64')).subarray(0, -1))],
  ['no base64', () => createBody('bad', `${zip.toString('base64')}!`)],
  ['no zip', () => createBody('bad', Buffer.alloc(2 * MIB).toString('base64'))],
  ['code twice', () => createBody('bad', zip.toString('base64'), ',"Code":{}')],
  ['no code', () => Buffer.from(`{"functionName":"bad"${' '.repeat(MIB)}}`)],
])('a large body with %s is refused', async (_, body) => {
  const response = await send('POST', FUNCTIONS, body())
  expect(response.statusCode).toBe(400)
  expect((await buffer(response)).toString()).toMatch(/InvalidArgument|EntityTooLarge/)
})
