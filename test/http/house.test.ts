import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { HttpRig, oneConnection, type RawClient } from './rig.ts'

const HEALTH = 'GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n'

/** The head and the parsed body of a raw answer. */
function parsed({ text }: RawClient): { head: string; body: Record<string, string> } {
  const [head = '', body = ''] = text.split('\r\n\r\n', 2)
  expect(head).toContain(`Content-Length: ${Buffer.byteLength(body)}`)
  return { head, body: JSON.parse(body) as Record<string, string> }
}

/** A failure as every client can read it. */
function failure(code: string, requestId: unknown): object {
  expect(requestId).toMatch(/^[0-9a-f-]{36}$/)
  return {
    code,
    Code: code,
    ErrorCode: code,
    requestId,
    RequestId: requestId,
    message: expect.stringMatching(/./),
    Message: expect.stringMatching(/./),
    ErrorMessage: expect.stringMatching(/./),
  }
}

describe('the paths of the house', () => {
  let rig: HttpRig
  beforeEach(async () => {
    rig = await new HttpRig().start()
  })
  afterEach(() => rig.stop())

  test('/healthz says that the server is alive, to GET and HEAD', async () => {
    expect(await rig.send({ path: '/healthz?x' })).toMatchObject({
      status: 200,
      body: '{"status":"alive"}\n',
    })
    expect(await rig.send({ method: 'HEAD', path: '/healthz' })).toMatchObject({ status: 200, body: '' })
  })

  test('stay its own when a request has the sign of a dialect', async () => {
    for (const path of ['/healthz', '/readyz'])
      expect(await rig.send({ path, headers: { 'X-Tiny': '1' } })).toMatchObject({ status: 200 })
    expect(await rig.send({ path: '/elsewhere', headers: { 'X-Tiny': '1' } })).toMatchObject({
      headers: { 'x-method': 'GET' },
    })
  })

  test('/readyz says whether every check is fine, and with ?verbose which is not', async () => {
    rig.checks = [{ name: 'a', ok: true, detail: 'fine' }]
    expect(await rig.send({ path: '/readyz' })).toMatchObject({ status: 200, body: '{"status":"ready"}\n' })
    rig.checks = [...rig.checks, { name: 'b', ok: false, detail: 'broken' }]
    expect(await rig.send({ path: '/readyz' })).toMatchObject({
      status: 503,
      body: '{"status":"not ready"}\n',
    })
    for (const path of ['/readyz?verbose', '/readyz?x&verbose=1']) {
      const { status, body } = await rig.send({ path })
      expect([status, JSON.parse(body)]).toEqual([503, { status: 'not ready', checks: rig.checks }])
    }
  })

  test.each([
    ['GET', '/nowhere'],
    ['OPTIONS', '*'],
    ['POST', '/healthz'],
    ['GET', '/t'],
  ])('%s %s leads nowhere and is told so', async (method, path) => {
    const { status, headers, body } = await rig.send({ method, path })
    expect([status, headers['content-type']]).toEqual([404, 'application/json'])
    expect(JSON.parse(body)).toEqual(failure('PathNotFound', headers['x-request-id']))
  })

  test('a path that leads nowhere is repeated in part only', async () => {
    const { body } = await rig.send({ path: `/${'a'.repeat(8000)}` })
    expect(body.length).toBeLessThan(2000)
  })

  test('a body sent to a path that leads nowhere does not hurt the connection', async () => {
    const agent = oneConnection()
    expect(await rig.send({ method: 'POST', path: '/no', agent }, 'x'.repeat(200_000))).toMatchObject({
      status: 404,
    })
    expect(await rig.send({ path: '/healthz', agent })).toMatchObject({ status: 200 })
    agent.destroy()
  })

  test('an expectation that nobody can meet is refused, by the dialect where it claims the path', async () => {
    const headers = { Expect: 'the-unexpected' }
    const house = await rig.send({ path: '/healthz', headers })
    expect(house.status).toBe(417)
    expect(JSON.parse(house.body)).toEqual(failure('ExpectationFailed', house.headers['x-request-id']))
    const tiny = await rig.send({ path: '/t/a?b', headers })
    expect(tiny).toMatchObject({ status: 417, body: 'tiny ExpectationFailed' })
  })

  test('100-continue is met', async () => {
    const client = await rig.raw()
    client.write('POST /t/a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n')
    await client.until(/100 Continue/)
    client.write('ok')
    await client.until(/200 OK[\s\S]*ok$/)
  })
})

describe('what is not HTTP', () => {
  let rig: HttpRig
  beforeEach(async () => {
    rig = await new HttpRig({ discardMs: 600_000, discardBytes: 1_000_000 }).start()
  })
  afterEach(() => rig.stop())

  test.each([
    ['garbage', 'nonsense\r\n\r\n', 400, 'BadRequest'],
    [
      'two lengths',
      'POST /t/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
      'BadRequest',
    ],
    ['no host', 'GET /healthz HTTP/1.1\r\n\r\n', 400, undefined],
    [
      'headers without end',
      `GET / HTTP/1.1\r\nHost: h\r\nX: ${'a'.repeat(50_000)}`,
      431,
      'RequestHeaderFieldsTooLarge',
    ],
    [
      'endless chunk extensions',
      `POST /t/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;${'a'.repeat(20_000)}`,
      413,
      'ContentTooLarge',
    ],
  ])(
    '%s is answered in JSON with a request id, and the connection closed',
    async (_what, bytes, status, code) => {
      const client = await rig.raw()
      client.write(bytes)
      await client.ended
      expect(client.text).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
      if (code === undefined) return
      const { head, body } = parsed(client)
      expect(head).toMatch(/^Connection: close$/m)
      expect(body).toEqual(failure(code, /^X-Request-Id: (.*)$/m.exec(head)?.[1]))
    },
  )

  test('is read on, so that its sender gets to the answer, up to a bound', async () => {
    const client = await rig.raw()
    client.write('nonsense\r\n\r\n')
    await client.until(/BadRequest/)
    const block = Buffer.alloc(100_000, 'x')
    const write = (): Promise<boolean> =>
      new Promise((resolve) =>
        client.socket.write(block, (error) => resolve(error === null || error === undefined)),
      )
    let written = 0
    while (written < 1000 && (await write())) written += 1
    // More than the bound got through, less than everything: the sockets' own buffers lie between.
    expect(written).toBeGreaterThanOrEqual(9)
    expect(written).toBeLessThan(1000)
  })

  test('is dropped in time from a client that never closes', async () => {
    const own = await new HttpRig({ discardMs: 20 }).start()
    const client = await own.raw()
    client.write('nonsense\r\n\r\n')
    await client.until(/BadRequest/)
    // Both sides are closed only once the server let go of the half that it reads from.
    await own.listener.close(600_000)
    await own.stop()
  })
})

describe('connections', () => {
  test('beyond the most that may be open are closed unanswered; a place that becomes free is given away', async () => {
    const rig = await new HttpRig({ maxConnections: 2 }).start()
    const inside = [await rig.raw(), await rig.raw()]
    for (const client of inside) {
      client.write(HEALTH)
      await client.until(/alive/)
    }
    const refused = await rig.raw()
    refused.write(HEALTH)
    await refused.ended
    expect(refused.text).toBe('')
    inside[0]?.socket.end()
    await inside[0]?.ended
    expect(await rig.send({ path: '/healthz' })).toMatchObject({ status: 200 })
    await rig.stop()
  })
})

describe('a listener that drains', () => {
  let rig: HttpRig
  beforeEach(async () => {
    rig = await new HttpRig().start()
  })
  afterEach(() => rig.stop())

  test('closes its connections with their answers, is alive and not ready', async () => {
    const client = await rig.raw()
    client.write(HEALTH)
    await client.until(/alive/)
    expect(client.text).toContain('Connection: keep-alive')
    rig.listener.beginDrain()
    expect(await rig.send({ path: '/readyz' })).toMatchObject({
      status: 503,
      body: '{"status":"draining"}\n',
    })
    client.write(HEALTH)
    await client.ended
    expect(client.text.match(/^Connection: .*$/gm)).toEqual(['Connection: keep-alive', 'Connection: close'])
  })

  test('closes idle connections at once and waits for the answers of busy ones', async () => {
    const answer = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<void>()
    rig.handle = async () => {
      asked.resolve()
      await answer.promise
      return { status: 200, headers: {} }
    }
    const idle = await rig.raw()
    idle.write(HEALTH)
    await idle.until(/alive/)
    const busy = await rig.raw()
    busy.write('GET /t/a HTTP/1.1\r\nHost: h\r\n\r\n')
    await asked.promise
    const closed = rig.listener.close(600_000)
    await idle.ended
    answer.resolve()
    await busy.until(/200 OK[\s\S]*Connection: close/)
    await closed
  })

  test('cuts what is still open after the grace', async () => {
    const asked = Promise.withResolvers<void>()
    const gone = Promise.withResolvers<void>()
    rig.handle = ({ caller }) => {
      asked.resolve()
      caller.onGone = gone.resolve
      return new Promise(() => undefined)
    }
    const busy = await rig.raw()
    busy.write('GET /t/a HTTP/1.1\r\nHost: h\r\n\r\n')
    await asked.promise
    await rig.listener.close(10)
    await Promise.all([busy.ended, gone.promise])
    expect(busy.text).toBe('')
  })

  test('takes no connection once it closes', async () => {
    await rig.listener.close(0)
    await expect(rig.send({ path: '/healthz' })).rejects.toThrow('ECONNREFUSED')
  })
})
