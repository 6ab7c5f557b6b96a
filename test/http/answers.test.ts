import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Exchange, Reply } from '../../src/http/exchange.ts'
import { payloadOf } from '../../src/model/payload.ts'
import { HttpRig } from './rig.ts'

const GET = 'GET /t/a HTTP/1.1\r\nHost: h\r\n\r\n'
/** More than the sockets of a connection hold between them. */
const LARGE = 32 * 1024 * 1024

describe('an answer', () => {
  let rig: HttpRig
  beforeEach(async () => {
    rig = await new HttpRig({ stalledClientMs: 600_000 }).start()
  })
  afterEach(() => rig.stop())

  test.each([
    ['nothing', []],
    ['a short text', ['grüße\0']],
    ['8 KiB', ['x'.repeat(8 * 1024)]],
    ['more than 8 KiB', ['y'.repeat(8 * 1024 + 1)]],
    ['several chunks', ['one', '', 'two']],
  ])('of %s arrives byte for byte, with its length', async (_what, texts) => {
    const chunks = texts.map((text) => Buffer.from(text))
    const byteLength = Buffer.concat(chunks).length
    rig.handle = async () => ({ status: 200, headers: { 'X-A': 'b' }, body: { byteLength, chunks } })
    const answer = await rig.send({ path: '/t/a' })
    expect(answer).toMatchObject({ status: 200, body: texts.join('') })
    expect(answer.headers).toMatchObject({ 'x-a': 'b', 'content-length': String(byteLength) })
    await rig.budget.untilEmpty()
  })

  test('is held in the budget until its client has taken it', async () => {
    rig.handle = async () => ({ status: 200, headers: {}, body: payloadOf(Buffer.alloc(LARGE)) })
    const client = await rig.raw()
    client.socket.pause()
    client.write(GET)
    while (rig.budget.heldBytes === 0) await setImmediate()
    expect(rig.budget.heldBytes).toBe(LARGE)
    client.socket.resume()
    await rig.budget.untilEmpty()
  })

  test('is given back when its client hangs up instead', async () => {
    rig.handle = async () => ({ status: 200, headers: {}, body: payloadOf(Buffer.alloc(LARGE)) })
    const client = await rig.raw()
    client.socket.pause()
    client.write(GET)
    while (rig.budget.heldBytes === 0) await setImmediate()
    client.socket.destroy()
    await rig.budget.untilEmpty()
  })

  test('that comes after its client hung up is not held', async () => {
    const answer = Promise.withResolvers<Reply>()
    const asked = Promise.withResolvers<Exchange>()
    rig.handle = (exchange) => {
      asked.resolve(exchange)
      return answer.promise
    }
    const client = await rig.raw()
    client.write(GET)
    const { caller } = await asked.promise
    const gone = new Promise<void>((resolve) => (caller.onGone = resolve))
    client.socket.destroy()
    await gone
    answer.resolve({ status: 200, headers: {}, body: payloadOf('late') })
    await setImmediate()
    expect(rig.budget.heldBytes).toBe(0)
  })

  test('to HEAD has the headers of the answer and no body', async () => {
    const answer = await rig.send({ method: 'HEAD', path: '/t/a' })
    expect(answer).toMatchObject({ status: 200, body: '', headers: { 'x-method': 'HEAD' } })
  })

  test('to OPTIONS is the dialect’s own', async () => {
    const answer = await rig.send({ method: 'OPTIONS', path: '/t/a' })
    expect(answer).toMatchObject({ status: 200, headers: { 'x-method': 'OPTIONS' } })
  })

  test('to each of several requests sent at once comes in their order', async () => {
    const first = Promise.withResolvers<void>()
    const last = Promise.withResolvers<void>()
    rig.handle = async ({ rawPath, rawQuery }) => {
      if (rawPath === '/t/1') await first.promise
      if (rawPath === '/t/3') last.resolve()
      return { status: 200, headers: {}, body: payloadOf(`<${rawPath}|${rawQuery}>`) }
    }
    const client = await rig.raw()
    client.write([1, 2, 3].map((n) => `GET /t/${n}?q=%2F${n} HTTP/1.1\r\nHost: h\r\n\r\n`).join(''))
    await last.promise
    first.resolve()
    await client.until(/\/t\/3/)
    expect(client.text.match(/<.*?>/g)).toEqual(['</t/1|q=%2F1>', '</t/2|q=%2F2>', '</t/3|q=%2F3>'])
  })

  test('of a dialect that breaks its promise is a refusal in that dialect’s shape, and the operator hears of it', async () => {
    const fault = new Error('secret detail')
    rig.handle = () => Promise.reject(fault)
    expect(await rig.send({ path: '/t/a' })).toMatchObject({ status: 500, body: 'tiny InternalServerError' })
    expect(rig.faults).toEqual([fault])
  })
})

describe('a client that takes nothing of a large answer', () => {
  test('is cut off, and its bytes are given back', async () => {
    const rig = await new HttpRig({ stalledClientMs: 50 }).start()
    rig.handle = async () => ({ status: 200, headers: {}, body: payloadOf(Buffer.alloc(LARGE)) })
    const client = await rig.raw()
    client.socket.pause()
    client.write(GET)
    while (rig.budget.heldBytes === 0) await setImmediate()
    await rig.budget.untilEmpty()
    client.socket.resume()
    await client.ended
    expect(client.text.length).toBeLessThan(LARGE)
    await rig.stop()
  })
})

describe('a caller', () => {
  let rig: HttpRig
  beforeEach(async () => {
    rig = await new HttpRig().start()
  })
  afterEach(() => rig.stop())

  test('that hangs up is reported once', async () => {
    const asked = Promise.withResolvers<Exchange>()
    const answer = Promise.withResolvers<Reply>()
    rig.handle = (exchange) => {
      asked.resolve(exchange)
      return answer.promise
    }
    const client = await rig.raw()
    client.write(GET)
    const { caller } = await asked.promise
    let told = 0
    const gone = new Promise<void>((resolve) => {
      caller.onGone = () => {
        told += 1
        resolve()
      }
    })
    expect(caller.gone).toBe(false)
    client.socket.destroy()
    await gone
    expect(caller.gone).toBe(true)
    answer.resolve({ status: 200, headers: {} })
    await rig.stop()
    expect(told).toBe(1)
  })

  test('that has its answer is not gone, whatever it does then', async () => {
    const callers: Exchange['caller'][] = []
    let told = 0
    rig.handle = async ({ caller }) => {
      callers.push(caller)
      caller.onGone = () => (told += 1)
      return { status: 200, headers: {}, body: payloadOf('done') }
    }
    const client = await rig.raw()
    client.write(GET)
    await client.until(/done/)
    client.socket.destroy()
    await rig.stop()
    expect([callers.map(({ gone }) => gone), told]).toEqual([[false], 0])
  })
})
