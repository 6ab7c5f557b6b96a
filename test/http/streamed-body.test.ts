import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { PayloadBudget } from '../../src/engine/payload-budget.ts'
import { Listener } from '../../src/http/server.ts'

const MIB = 1024 * 1024
const CHUNK_BYTES = 64 * 1024
/** What two sockets of the loopback may hold between them, and then some. */
const SOCKET_BYTES = 24 * MIB

/** Yields `sizeBytes` as fast as it is asked, and counts them. */
class CountedStream extends Readable {
  madeBytes = 0
  readonly #sizeBytes: number

  constructor(sizeBytes: number) {
    super({ highWaterMark: CHUNK_BYTES })
    this.#sizeBytes = sizeBytes
  }

  override _read(): void {
    const bytes = Math.min(CHUNK_BYTES, this.#sizeBytes - this.madeBytes)
    this.madeBytes += bytes
    this.push(bytes === 0 ? null : Buffer.alloc(bytes, 1))
  }
}

let listener: Listener
let port: number
let budget: PayloadBudget
let faults: unknown[]
let nextStream: () => { stream: Readable; sizeBytes: number }

beforeEach(async () => {
  budget = new PayloadBudget(MIB)
  faults = []
  listener = new Listener({
    dialects: [
      {
        name: 'streams',
        claims: () => 'path',
        refuse: () => ({ status: 500, headers: {} }),
        handle: async () => ({ status: 200, headers: {}, body: nextStream() }),
      },
    ],
    budget,
    checks: () => [],
    onFault: (error) => faults.push(error),
  })
  port = (await listener.listen('127.0.0.1', 0)).port
})
afterEach(() => listener.close(0))

async function download(): Promise<IncomingMessage> {
  const [response] = (await once(get({ port, host: '127.0.0.1', agent: false }), 'response')) as [
    IncomingMessage,
  ]
  return response
}

async function drain(response: IncomingMessage): Promise<number> {
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) bytes += chunk.length
  return bytes
}

function closeOf(stream: Readable): Promise<void> {
  return new Promise((resolve) => stream.once('close', resolve))
}

/** Resolves when the event loop has turned many times without a byte more being made. */
async function untilStill(stream: CountedStream): Promise<void> {
  for (let seen = -1, turns = 0; turns < 2000; turns += 1) {
    if (seen !== stream.madeBytes || seen === 0) turns = 0
    seen = stream.madeBytes
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('a streamed body arrives whole, with its length, and outside the payload budget', async () => {
  const sizeBytes = 5 * MIB + 3
  nextStream = () => ({ stream: new CountedStream(sizeBytes), sizeBytes })
  const response = await download()
  expect(budget.heldBytes).toBe(0)
  expect(response.headers['content-length']).toBe(String(sizeBytes))
  expect(await drain(response)).toBe(sizeBytes)
  expect(faults).toEqual([])
})

test('a client that reads nothing has no more read for it than the sockets hold, and gets the rest later', async () => {
  const sizeBytes = 128 * MIB
  const stream = new CountedStream(sizeBytes)
  nextStream = () => ({ stream, sizeBytes })
  const response = await download()
  await untilStill(stream)
  expect(stream.madeBytes).toBeLessThan(SOCKET_BYTES)
  expect(await drain(response)).toBe(sizeBytes)
})

test('a client that goes takes its stream with it, and is no fault', async () => {
  const stream = new CountedStream(128 * MIB)
  nextStream = () => ({ stream, sizeBytes: 128 * MIB })
  const response = await download()
  const closed = closeOf(stream)
  response.destroy()
  await closed
  expect(stream.destroyed).toBe(true)
  expect(faults).toEqual([])
})

test('a client that is gone before the answer leaves no stream open', async () => {
  const stream = new CountedStream(MIB)
  const asked = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<void>()
  const gone = Promise.withResolvers<void>()
  const own = new Listener({
    dialects: [
      {
        name: 'late',
        claims: () => 'path',
        refuse: () => ({ status: 500, headers: {} }),
        handle: async ({ caller }) => {
          caller.onGone = gone.resolve
          asked.resolve()
          await answer.promise
          return { status: 200, headers: {}, body: { stream, sizeBytes: MIB } }
        },
      },
    ],
    budget,
    checks: () => [],
    onFault: (error) => faults.push(error),
  })
  const address = await own.listen('127.0.0.1', 0)
  const request = get({ port: address.port, host: '127.0.0.1', agent: false }).on('error', () => undefined)
  await asked.promise
  request.destroy()
  await gone.promise
  const closed = closeOf(stream)
  answer.resolve()
  await closed
  await own.close(0)
  expect(stream.madeBytes).toBe(0)
})

test('a stream of fewer bytes than announced ends in a cut connection, never in a short answer', async () => {
  const stream = new CountedStream(MIB)
  nextStream = () => ({ stream, sizeBytes: 2 * MIB })
  await expect(download().then(drain)).rejects.toThrow('aborted')
  expect(faults).toHaveLength(1)
})

test('a stream of more bytes than announced yields no byte past those', async () => {
  const stream = new CountedStream(MIB)
  nextStream = () => ({ stream, sizeBytes: MIB / 2 })
  const closed = closeOf(stream)
  const [outcome] = await Promise.allSettled([download().then(drain)])
  expect(outcome).not.toMatchObject({ value: MIB })
  await closed
  expect(faults).toHaveLength(1)
})
