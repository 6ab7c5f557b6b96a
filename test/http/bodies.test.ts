import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { PayloadBudget } from '../../src/engine/payload-budget.ts'
import { BodyReader } from '../../src/http/body.ts'
import type { Exchange } from '../../src/http/exchange.ts'
import { toBuffer } from '../../src/model/payload.ts'
import { BODY_LIMIT, echo, HttpRig, oneConnection } from './rig.ts'

const POST = 'POST /t/a HTTP/1.1\r\nHost: h\r\n'
const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n`

const chunk = (bytes: number): string => `${bytes.toString(16)}\r\n${'x'.repeat(bytes)}\r\n`

describe('the body of a request', () => {
  let rig: HttpRig
  beforeEach(async () => {
    // Requests may hold half of it.
    rig = await new HttpRig({ limitBytes: 4 * BODY_LIMIT }).start()
  })
  afterEach(() => rig.stop())

  test.each([0, 1, BODY_LIMIT])('of %i bytes arrives whole, declared or chunked', async (bytes) => {
    const body = randomBytes(bytes)
      .toString('latin1')
      .replaceAll(/[^ -~]/g, '~')
    const declared = await rig.send({ method: 'POST', path: '/t/a' }, body)
    const chunked = await rig.send(
      { method: 'POST', path: '/t/a', headers: { 'Transfer-Encoding': 'chunked' } },
      body,
    )
    expect([declared.body, chunked.body]).toEqual([body, body])
    await rig.budget.untilEmpty()
  })

  test('declared a byte over the limit is refused before any of it came, to a client that goes on sending', async () => {
    const client = await rig.raw()
    client.write(`${POST}Content-Length: ${BODY_LIMIT + 1}\r\n\r\n`)
    await client.until(/413[\s\S]*payload-too-large/)
    client.write('x'.repeat(BODY_LIMIT + 1))
    client.write('GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n')
    await client.until(/alive/)
    expect(rig.budget.heldBytes).toBe(0)
  })

  test('chunked is refused at the first byte over the limit, not at its end', async () => {
    const client = await rig.raw()
    client.write(CHUNKED + chunk(BODY_LIMIT))
    client.write(chunk(1))
    await client.until(/413[\s\S]*payload-too-large/)
    // The rest is thrown away; the connection serves on.
    client.write(`${chunk(64 * 1024)}0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n`)
    await client.until(/alive/)
    await rig.budget.untilEmpty()
  })

  test('in tiny pieces is kept in few, whole', async () => {
    let pieces = 0
    rig.handle = async (exchange) => {
      const body = await exchange.readBody(4 * BODY_LIMIT)
      pieces = body.chunks.length
      return { status: 200, headers: {}, body }
    }
    const client = await rig.raw()
    const text = Array.from({ length: 2000 }, (_, index) => String(index % 10)).join('')
    client.write(
      `${CHUNKED}${text
        .split('')
        .map((byte) => `1\r\n${byte}\r\n`)
        .join('')}0\r\n\r\n`,
    )
    await client.until(new RegExp(`${text}$`))
    expect(pieces).toBeLessThan(600)
    await rig.budget.untilEmpty()
  })

  test('that came in pieces before it was asked for arrives whole', async () => {
    const asked = Promise.withResolvers<Exchange>()
    const come = Promise.withResolvers<void>()
    rig.handle = async (exchange) => {
      asked.resolve(exchange)
      await come.promise
      return await echo(exchange)
    }
    const client = await rig.raw()
    client.write(`${POST}Content-Length: 900\r\n\r\n${'x'.repeat(300)}`)
    await asked.promise
    client.write('y'.repeat(600))
    // What was sent before on the loopback is there when this is.
    expect((await rig.send({ path: '/healthz' })).status).toBe(200)
    come.resolve()
    await client.until(/x{300}y{600}$/)
    await rig.budget.untilEmpty()
  })

  test('a connection is used again after a refusal', async () => {
    const agent = oneConnection()
    const ports = new Set<number>()
    rig.handle = async (exchange) => {
      const reply = await echo(exchange)
      return reply
    }
    for (const bytes of [BODY_LIMIT * 3, 4, BODY_LIMIT + 1, 5]) {
      const answer = await rig.send({ method: 'POST', path: '/t/a', agent }, 'x'.repeat(bytes))
      expect(answer.status).toBe(bytes > BODY_LIMIT ? 413 : 200)
      for (const sockets of Object.values({ ...agent.freeSockets, ...agent.sockets }))
        for (const { localPort } of sockets ?? []) ports.add(localPort ?? 0)
      // The agent takes the socket back a turn after the answer.
      await nextTurn()
    }
    agent.destroy()
    expect(ports.size).toBe(1)
  })

  test.each(['declared', 'chunked'])(
    'a %s body that the budget has no room for is refused, and nothing of it stays held',
    async (kind) => {
      const held = rig.budget.halfBytes - 10
      expect(rig.budget.takeForRequest(held)).toBe(true)
      const headers = kind === 'chunked' ? { 'Transfer-Encoding': 'chunked' } : {}
      const send = () => rig.send({ method: 'POST', path: '/t/a', headers }, 'x'.repeat(11))
      expect(await send()).toMatchObject({ status: 429, body: 'caller/payload-budget-exceeded' })
      rig.budget.giveRequest(held)
      expect(await send()).toMatchObject({ status: 200 })
      await rig.budget.untilEmpty()
    },
  )

  test('is held until the answer is sent, and given back then', async () => {
    const answer = Promise.withResolvers<void>()
    const read = Promise.withResolvers<void>()
    rig.handle = async (exchange) => {
      await exchange.readBody(BODY_LIMIT)
      read.resolve()
      await answer.promise
      return { status: 204, headers: {} }
    }
    const sent = rig.send({ method: 'POST', path: '/t/a' }, 'x'.repeat(100))
    await read.promise
    expect(rig.budget.heldBytes).toBe(100)
    answer.resolve()
    expect((await sent).status).toBe(204)
    await rig.budget.untilEmpty()
  })

  test.each([
    ['that has not come', ''],
    ['that has come', 'x'.repeat(900)],
  ])('%s when its client hangs up, and is asked for only then, is refused', async (_when, body) => {
    const failed = Promise.withResolvers<unknown>()
    const asked = Promise.withResolvers<void>()
    rig.handle = async (exchange) => {
      asked.resolve()
      await new Promise<void>((resolve) => (exchange.caller.onGone = resolve))
      await exchange.readBody(BODY_LIMIT).catch(failed.resolve)
      return { status: 204, headers: {} }
    }
    const client = await rig.raw()
    client.write(`${POST}Content-Length: 900\r\n\r\n${body}`)
    await asked.promise
    client.socket.destroy()
    expect(await failed.promise).toMatchObject({ code: 'caller/gone' })
    await rig.budget.untilEmpty()
  })

  test.each([
    ['declared', `${POST}Content-Length: 900\r\n\r\n${'x'.repeat(300)}`, 900],
    ['chunked', CHUNKED + chunk(300), 300],
  ])(
    '%s is given back when its client hangs up halfway, and the caller is gone',
    async (_kind, head, bytes) => {
      const failed = Promise.withResolvers<unknown>()
      const asked = Promise.withResolvers<Exchange>()
      rig.handle = async (exchange) => {
        const body = exchange.readBody(BODY_LIMIT)
        asked.resolve(exchange)
        await body.catch(failed.resolve)
        return { status: 204, headers: {} }
      }
      const client = await rig.raw()
      client.write(head)
      const { caller } = await asked.promise
      while (rig.budget.heldBytes < bytes) await nextTurn()
      client.socket.destroy()
      expect(await failed.promise).toMatchObject({ code: 'caller/gone' })
      await rig.budget.untilEmpty()
      expect(caller.gone).toBe(true)
    },
  )
})

describe('what a client still sends of a refused body', () => {
  let rig: HttpRig | undefined
  afterEach(() => rig?.stop())

  test('is thrown away up to a bound; then the connection is cut', async () => {
    rig = await new HttpRig({ discardBytes: 100_000, discardMs: 600_000 }).start()
    const client = await rig.raw()
    client.write(`${POST}Content-Length: 10000000\r\n\r\n`)
    await client.until(/413/)
    client.write('x'.repeat(99_999))
    client.write('x'.repeat(1_000_000))
    await client.ended
  })

  test('within the bound leaves the connection open', async () => {
    rig = await new HttpRig({ discardBytes: 100_000, discardMs: 600_000 }).start()
    const client = await rig.raw()
    client.write(`${POST}Content-Length: 100000\r\n\r\n`)
    await client.until(/413/)
    client.write('x'.repeat(100_000))
    client.write('GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n')
    await client.until(/alive/)
  })

  test('is waited for no longer than its time; then the connection is cut', async () => {
    rig = await new HttpRig({ discardMs: 20 }).start()
    const client = await rig.raw()
    client.write(`${POST}Content-Length: 10000000\r\n\r\nx`)
    await client.until(/413/)
    await client.ended
  })
})

describe('the reader of a body', () => {
  test.each(['came with its head', 'comes later'])('lets the request end when it %s', async (when) => {
    const isLate = when === 'comes later'
    const read = Promise.withResolvers<{ wasListened: boolean; text: string }>()
    const ended = Promise.withResolvers<void>()
    const server = createServer((request, response) => {
      request.on('end', ended.resolve)
      const body = new BodyReader(request, new PayloadBudget(1024))
      response.on('close', () => body.finish())
      const bytes = body.read(1024)
      setImmediate(() => {
        const wasListened = request.listenerCount('data') > 0
        void bytes.then((payload) => {
          read.resolve({ wasListened, text: toBuffer(payload).toString() })
          response.end()
        })
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
    const head = 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n'
    if (isLate) server.once('request', () => setImmediate(() => setImmediate(() => client.write('body'))))
    client.write(isLate ? head : `${head}body`)
    expect(await read.promise).toEqual({ wasListened: isLate, text: 'body' })
    await ended.promise
    client.destroy()
    server.close()
    await once(server, 'close')
  })
})
