import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { answerOf, openRequest, send } from '../../helpers/fc-request.ts'
import { ACCOUNT, KEY_ID, KEY_SECRET, type TestServer } from '../../helpers/server.ts'
import { fc2Client, Open, openClient, Suite, type Keys } from './clients.ts'

const SYNC_LIMIT_BYTES = 32 * 1024 * 1024
const ASYNC_LIMIT_BYTES = 128 * 1024
/** A refused body may still be on its way in the buffers of both sides; far less than is offered. */
const MAY_BE_UNDERWAY_BYTES = 32 * 1024 * 1024
const OFFERED_BYTES = 512 * 1024 * 1024

let suite: Suite

beforeAll(async () => {
  suite = await Suite.start('door')
  await suite.deploy('sizes', `exports.handler = async (event) => String(event.length)`, { memorySize: 512 })
})

afterAll(() => suite?.server.close())

/** Passes requests on with their headers as they are, and their bodies changed. */
async function meddler(
  server: TestServer,
  change: (body: string) => string,
): Promise<{ endpoint: string; origin: string } & AsyncDisposable> {
  const proxy = createServer((incoming, response) => {
    void text(incoming).then((body) => {
      const { method = 'GET', url = '/' } = incoming
      const { 'transfer-encoding': _, ...headers } = incoming.headers
      const changed = Buffer.from(change(body))
      const outgoing = request(`${server.origin}${url}`, {
        method,
        headers: { ...headers, 'content-length': changed.length },
        agent: false,
      })
      outgoing.on('response', (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(response)
      })
      outgoing.end(changed)
    })
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const endpoint = `127.0.0.1:${(proxy.address() as AddressInfo).port}`
  return {
    endpoint,
    origin: `http://${endpoint}`,
    async [Symbol.asyncDispose]() {
      proxy.closeAllConnections()
      proxy.close()
      await once(proxy, 'close')
    },
  }
}

function codeOf(bytes: Buffer): string {
  return JSON.parse(bytes.toString()).ErrorCode
}

describe('a signature', () => {
  const wrong: Keys = { accessKeyId: KEY_ID, accessKeySecret: 'another secret' }

  test('with a wrong secret is refused, with the string that the server signed', async () => {
    await expect(fc2Client(suite.server, wrong).listServices()).rejects.toMatchObject({
      code: 'SignatureNotMatch',
      message: expect.stringMatching(/The string to sign of this server: 'GET\n[^']*\/2016-08-15\/services'/),
    })
    await expect(
      openClient(suite.server, wrong).listServices(new Open.ListServicesRequest({})),
    ).rejects.toMatchObject({
      code: 'SignatureNotMatch',
      statusCode: 403,
      message: expect.stringContaining("The string to sign of this server: 'ACS3-HMAC-SHA256\n"),
    })
  })

  test('of the older kind of the younger client is accepted, and refused with a wrong secret', async () => {
    const settings = { signatureAlgorithm: 'v2' }
    const root: Keys = { accessKeyId: KEY_ID, accessKeySecret: KEY_SECRET }
    const request = new Open.ListServicesRequest({ prefix: 'door', limit: 5 })
    const { body } = await openClient(suite.server, root, settings).listServices(request)
    expect(body.services?.map(({ serviceName }) => serviceName)).toEqual(['door'])
    await expect(openClient(suite.server, wrong, settings).listServices(request)).rejects.toMatchObject({
      code: 'SignatureNotMatch',
      statusCode: 403,
    })
  })

  test('of an unknown key is refused by the name of the key', async () => {
    const unknown: Keys = { accessKeyId: 'nobody', accessKeySecret: KEY_SECRET }
    await expect(fc2Client(suite.server, unknown).listServices()).rejects.toMatchObject({
      code: 'InvalidAccessKeyID',
      message: expect.stringContaining("invalid access key ID 'nobody'"),
    })
    await expect(
      openClient(suite.server, unknown).listServices(new Open.ListServicesRequest({})),
    ).rejects.toMatchObject({ code: 'InvalidAccessKeyID', statusCode: 403 })
  })

  test('more than a quarter of an hour old or ahead is refused', async () => {
    for (const offMs of [-16 * 60_000, 16 * 60_000]) {
      const date = new Date(Date.now() + offMs)
      const answer = await send(suite.server, { method: 'GET', path: '/2016-08-15/services', date })
      expect(answer.status).toBe(403)
      expect(JSON.parse(answer.bytes.toString()).ErrorMessage).toContain('is too large')
    }
    const date = new Date(Date.now() - 10 * 60_000)
    const answer = await send(suite.server, { method: 'GET', path: '/2016-08-15/services', date })
    expect(answer.status).toBe(200)
  })

  test('is needed for everything but the health checks', async () => {
    for (const path of ['/2016-08-15/services', '/2021-04-06/services/door/functions/sizes']) {
      const answer = await fetch(`${suite.server.origin}${path}`)
      expect(answer.status).toBe(400)
      expect(await answer.json()).toMatchObject({ ErrorCode: 'MissingRequiredHeader' })
    }
    expect((await fetch(`${suite.server.origin}/healthz`)).status).toBe(200)
  })

  test('of the younger client covers the body: what was changed on its way is refused', async () => {
    await using between = await meddler(suite.server, (body) => body.replace('as sent', 'as cent'))
    const client = openClient(between)
    const create = (serviceName: string, description: string): Promise<unknown> =>
      client.createService(new Open.CreateServiceRequest({ serviceName, description }))
    await expect(create('untouched', 'something else')).resolves.toMatchObject({ statusCode: 200 })
    await expect(create('tampered', 'as sent')).rejects.toMatchObject({
      code: 'SignatureNotMatch',
      statusCode: 403,
    })
    await expect(suite.fc2.getService('tampered')).rejects.toMatchObject({ code: 'ServiceNotFound' })
  })
})

describe('temporary keys that a function was given', () => {
  let keys: Keys & { securityToken: string }

  beforeAll(async () => {
    await suite.fc2.createService('trusted', { role: `acs:ram::${ACCOUNT}:role/worker` })
    await suite.deploy(
      'keys',
      `exports.handler = async (event, context) => context.credentials`,
      {},
      'trusted',
    )
    keys = (await suite.invoke('keys', {}, 'trusted')).json
  })

  test('are accepted from both clients', async () => {
    const { data } = await fc2Client(suite.server, keys).getService('trusted')
    expect(data.serviceName).toBe('trusted')
    const { body } = await openClient(suite.server, keys).getService(
      'trusted',
      new Open.GetServiceRequest({}),
    )
    expect(body.serviceName).toBe('trusted')
  })

  test('are refused with another token or without one', async () => {
    const another = { ...keys, securityToken: `${keys.securityToken.slice(0, -2)}xx` }
    await expect(fc2Client(suite.server, another).getService('trusted')).rejects.toMatchObject({
      code: expect.stringMatching(/AccessDenied|SignatureNotMatch|InvalidAccessKeyID/),
    })
    const { accessKeyId, accessKeySecret } = keys
    await expect(
      openClient(suite.server, { accessKeyId, accessKeySecret }).getService(
        'trusted',
        new Open.GetServiceRequest({}),
      ),
    ).rejects.toMatchObject({ statusCode: 403 })
  })
})

describe('the size of an event', () => {
  const path = '/2016-08-15/services/door/functions/sizes/invocations'

  test('is up to 32 MB for a synchronous call', async () => {
    const answer = await send(suite.server, { method: 'POST', path }, Buffer.alloc(SYNC_LIMIT_BYTES, 1))
    expect([answer.status, answer.bytes.toString()]).toEqual([200, String(SYNC_LIMIT_BYTES)])
  })

  test('is refused from its announcement alone', async () => {
    const request = openRequest(suite.server, {
      method: 'POST',
      path,
      headers: { 'content-length': String(SYNC_LIMIT_BYTES + 1) },
    })
    const answered = answerOf(request)
    request.flushHeaders()
    const answer = await answered
    request.destroy()
    expect([answer.status, codeOf(answer.bytes)]).toEqual([400, 'EntityTooLarge'])
  })

  test('is refused while it is still being sent when it was not announced', async () => {
    const request = openRequest(suite.server, { method: 'POST', path })
    const chunk = Buffer.alloc(1024 * 1024, 1)
    let sentBytes = 0
    let isAnswered = false
    const wantsMore = (): boolean => !isAnswered && sentBytes < OFFERED_BYTES
    const offer = (): void => {
      while (wantsMore()) {
        sentBytes += chunk.length
        if (!request.write(chunk)) {
          request.once('drain', offer)
          return
        }
      }
    }
    request.once('response', () => (isAnswered = true))
    const answered = answerOf(request)
    offer()
    const answer = await answered
    request.destroy()
    expect([answer.status, codeOf(answer.bytes)]).toEqual([400, 'EntityTooLarge'])
    expect(JSON.parse(answer.bytes.toString()).ErrorMessage).toBe(
      `payload size exceeds maximum allowed size (${SYNC_LIMIT_BYTES} bytes)`,
    )
    expect(sentBytes).toBeLessThan(SYNC_LIMIT_BYTES + MAY_BE_UNDERWAY_BYTES)
  })

  test('is up to 128 KB for an asynchronous call', async () => {
    await expect(suite.invokeAsync('sizes', 'x'.repeat(ASYNC_LIMIT_BYTES))).resolves.not.toBe('')
    await expect(suite.invokeAsync('sizes', 'x'.repeat(ASYNC_LIMIT_BYTES + 1))).rejects.toMatchObject({
      code: 'EntityTooLarge',
      message: expect.stringContaining(
        `payload size exceeds maximum allowed size (${ASYNC_LIMIT_BYTES} bytes)`,
      ),
    })
  })

  test('and of a result are bounded the same', async () => {
    await suite.deploy('grows', `exports.handler = async (event) => Buffer.alloc(Number(event), 65)`, {
      memorySize: 512,
    })
    const answer = await suite.invoke('grows', { event: String(SYNC_LIMIT_BYTES) })
    expect(answer.bytes).toHaveLength(SYNC_LIMIT_BYTES)
    const tooLarge = await suite.invoke('grows', { event: String(SYNC_LIMIT_BYTES + 1) })
    expect(tooLarge.errorType).toBe('UnhandledInvocationError')
    expect(tooLarge.json.errorMessage).toContain('payload size exceeds maximum allowed size')
  })
})
