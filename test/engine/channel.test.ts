import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Channel, FRAME, type Frame } from '../../src/engine/channel.ts'
import { PayloadBudget } from '../../src/engine/payload-budget.ts'
import { payloadOf, toBuffer } from '../../src/model/payload.ts'
import { frame } from '../helpers/scripted-sandbox.ts'

let dir: string
let server: Server
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'anvoke-channel-'))
  server = createServer({ pauseOnConnect: false }).listen(join(dir, 'socket'))
  await once(server, 'listening')
})
afterAll(() => {
  server.close()
  rmSync(dir, { recursive: true })
})

let budget: PayloadBudget
let other: Socket
let channel: Channel
let frames: Frame[]
let broken: string[]
let ended: PromiseWithResolvers<void>
let news: PromiseWithResolvers<void>
let expectsLarge: boolean
beforeEach(() => open())
afterEach(() => {
  channel.close()
  other.destroy()
  expect(budget.heldBytes).toBe(0)
})

async function open(): Promise<void> {
  const accepted: Promise<[Socket]> = once(server, 'connection') as Promise<[Socket]>
  const near = connect(join(dir, 'socket'))
  ;[other] = await accepted
  other.on('error', () => undefined)
  budget = new PayloadBudget(2 * 1024 * 1024)
  frames = []
  broken = []
  ended = Promise.withResolvers()
  news = Promise.withResolvers()
  expectsLarge = true
  const tell = (): void => {
    news.resolve()
    news = Promise.withResolvers()
  }
  channel = new Channel(near, budget, {
    onFrame: (one) => {
      frames.push(one)
      tell()
    },
    expectsLarge: () => expectsLarge,
    onBroken: (reason) => {
      broken.push(reason)
      tell()
    },
    onEnd: () => ended.resolve(),
  })
}

const seen = async (count: number): Promise<void> => {
  while (frames.length < count) await news.promise
}

/** Bytes that tell every position apart. */
const pattern = (size: number, seed = 0): Buffer =>
  Buffer.from(Uint8Array.from({ length: size }, (_, index) => (index * 7 + seed) % 251))

describe('reading', () => {
  test('frames arrive whole, however the bytes were cut', async () => {
    const one = fc.record({
      type: fc.integer({ min: 1, max: 8 }),
      flag: fc.nat(255),
      callId: fc.nat(2 ** 32 - 1),
      meta: fc.uint8Array({ maxLength: 60 }),
      payload: fc.uint8Array({ maxLength: 400 }),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(one, { minLength: 1, maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 200 })),
        async (list, cuts) => {
          frames = []
          const bytes = Buffer.concat(
            list.map(({ type, flag, callId, meta, payload }) =>
              frame(type, flag, callId, Buffer.from(meta).toString('latin1'), Buffer.from(payload)),
            ),
          )
          let offset = 0
          for (const cut of cuts) {
            if (offset >= bytes.length) break
            other.write(bytes.subarray(offset, offset + cut))
            offset += cut
            // Its own write, and most often a read of its own on the other side.
            await new Promise((resolve) => setImmediate(resolve))
          }
          other.write(bytes.subarray(offset))
          await seen(list.length)
          expect(
            frames.map(({ type, flag, callId, meta, payload }) => ({
              type,
              flag,
              callId,
              meta: Buffer.from(meta).toString(),
              payload: [...toBuffer(payload)],
            })),
          ).toEqual(
            list.map(({ type, flag, callId, meta, payload }) => ({
              type,
              flag,
              callId,
              meta: Buffer.from(meta).toString('latin1'),
              payload: [...payload],
            })),
          )
        },
      ),
      { numRuns: 60 },
    )
  })

  test('a payload of many reads is handed on in chunks that add up to it', async () => {
    const payload = pattern(700_000)
    other.write(frame(FRAME.result, 0, 1, '{"a":1}', payload))
    await seen(1)
    expect(frames[0]?.payload.chunks.length).toBeGreaterThan(1)
    expect(frames[0]?.meta.toString()).toBe('{"a":1}')
    expect(frames[0] !== undefined && toBuffer(frames[0].payload).equals(payload)).toBe(true)
  })

  test('a frame that cannot be read is told once, and nothing after it is', async () => {
    other.write(Buffer.concat([frame(FRAME.log, 1, 1, '', 'text'), Buffer.alloc(12, 0xff)]))
    await seen(1)
    while (broken.length === 0) await news.promise
    expect(frames.length).toBe(1)
  })

  test('a large frame that nobody waits for is told before it takes any budget', async () => {
    expectsLarge = false
    other.write(frame(FRAME.result, 0, 1, '', pattern(300_000)))
    while (broken.length === 0) await news.promise
    expect(budget.heldBytes).toBe(0)
    expect(frames).toEqual([])
  })
})

describe('the budget', () => {
  test('a large result waits in its process until there is room', async () => {
    budget.hold(1_000_000)
    const payload = pattern(500_000)
    other.write(frame(FRAME.result, 0, 1, '', payload))
    while (!channel.waitsForRoom) await new Promise((resolve) => setImmediate(resolve))
    // It stays unread, whatever follows.
    other.write(frame(FRAME.log, 1, 1, '', 'later'))
    expect(frames).toEqual([])
    budget.give(1_000_000)
    await seen(2)
    expect(frames[0] !== undefined && toBuffer(frames[0].payload).equals(payload)).toBe(true)
  })

  test('a small result waits for nothing', async () => {
    budget.hold(5_000_000)
    other.write(frame(FRAME.result, 0, 1, '', pattern(100_000)))
    await seen(1)
    budget.give(5_000_000)
  })

  test('gets back what a half-read result held when the other side ends', async () => {
    other.write(frame(FRAME.result, 0, 1, '', pattern(500_000)).subarray(0, 300_000))
    while (budget.heldBytes === 0) await new Promise((resolve) => setImmediate(resolve))
    other.end()
    await ended.promise
    expect(budget.heldBytes).toBe(0)
  })

  test('passes by one that stopped waiting because its channel was closed', async () => {
    budget.hold(1_000_000)
    other.write(frame(FRAME.result, 0, 1, '', pattern(500_000)))
    while (!channel.waitsForRoom) await new Promise((resolve) => setImmediate(resolve))
    channel.close()
    let isNextServed = false
    budget.whenRoomForResult(900_000, () => (isNextServed = true))
    budget.give(1_000_000)
    expect(isNextServed).toBe(true)
    budget.give(900_000)
  })
})

describe('writing', () => {
  const received = async (bytes: number): Promise<Buffer> => {
    const chunks: Buffer[] = []
    let length = 0
    while (length < bytes) {
      const [chunk] = (await once(other, 'data')) as [Buffer]
      chunks.push(chunk)
      length += chunk.length
    }
    return Buffer.concat(chunks)
  }

  test.for([0, 1, 4096, 16 * 1024, 16 * 1024 + 1, 64 * 1024, 300_000])(
    'a payload of %i bytes arrives as it is',
    async (size) => {
      const payload = pattern(size)
      channel.send(FRAME.invoke, 3, 9, '{}', payloadOf(payload))
      const expected = frame(FRAME.invoke, 3, 9, '{}', payload)
      const arrived = received(expected.length)
      channel.flush()
      expect((await arrived).equals(expected)).toBe(true)
    },
  )

  test('frames collected in between go out in order', async () => {
    const all = [1, 2, 3].map((callId) => frame(FRAME.invoke, 1, callId, '', pattern(callId * 9000, callId)))
    for (const callId of [1, 2, 3])
      channel.send(FRAME.invoke, 1, callId, '', payloadOf(pattern(callId * 9000, callId)))
    const expected = Buffer.concat(all)
    const arrived = received(expected.length)
    expect(channel.backlogBytes).toBe(expected.length)
    channel.flush()
    expect((await arrived).equals(expected)).toBe(true)
  })

  test('a payload may have come in very many chunks', async () => {
    const chunks = Array.from({ length: 200_000 }, () => Buffer.from('x'))
    channel.send(FRAME.invoke, 1, 1, '', { byteLength: chunks.length, chunks })
    expect(channel.backlogBytes).toBe(12 + chunks.length)
  })

  test('refuses what does not fit into a frame and sends nothing of it', () => {
    expect(() => channel.send(FRAME.invoke, 1, 1, 'x'.repeat(65_536), payloadOf(''))).toThrow(RangeError)
    expect(channel.backlogBytes).toBe(0)
  })
})
