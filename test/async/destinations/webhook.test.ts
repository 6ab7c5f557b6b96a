import { createSecretKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ANSWER_REST_MS } from '../../../src/async/destinations/webhook-answer.ts'
import {
  WEBHOOK_TIMEOUT_MS,
  WebhookClient,
  type WebhookOptions,
} from '../../../src/async/destinations/webhook.ts'
import { signatureHeaders, webhookKeyOf } from '../../../src/async/destinations/webhook-signature.ts'
import type { Verdict } from '../../../src/async/destinations/delivery-policy.ts'
import { newDelivery } from '../../contracts/store/task.ts'
import { Receiver, status, WatchedClock, type Answer } from './harness.ts'
import { WireReceiver } from './wire-receiver.ts'

const KEY = createSecretKey(Buffer.alloc(32, 1))
const NOW_MS = 1_700_000_000_000

let clock: WatchedClock
let receiver: Receiver

beforeEach(async () => {
  clock = new WatchedClock()
  receiver = await Receiver.open(status(204))
})

afterEach(async () => {
  await receiver.close()
  expect(clock.waiting).toBe(0)
})

function post(
  url: string,
  options: Partial<WebhookOptions> = {},
  { attempts = 0, signal = new AbortController().signal } = {},
): Promise<Verdict> {
  const client = new WebhookClient({ key: KEY, addresses: 'any', clock, now: () => NOW_MS, ...options })
  const delivery = newDelivery({ body: Buffer.from('{"said":"ü"}'), contentType: 'application/json' })
  return client.post({ ...delivery, lease: '1', attempts }, url, signal)
}

describe('a webhook', () => {
  test('gets what is told, signed with the account’s key, and is done with by 2xx', async () => {
    expect(await post(`${receiver.url}?a=b#c`)).toEqual({ kind: 'delivered' })
    const [received] = receiver.received
    expect(received).toMatchObject({ method: 'POST', path: '/hook?a=b', body: '{"said":"ü"}' })
    const signed = signatureHeaders(webhookKeyOf(KEY, '1234567890123456'), {
      id: 'delivery-1',
      atMs: NOW_MS,
      body: Buffer.from('{"said":"ü"}'),
    })
    expect(received?.headers).toMatchObject({
      'content-type': 'application/json',
      'content-length': '13',
      host: `127.0.0.1:${receiver.port}`,
      connection: 'close',
      ...signed,
    })
  })

  test.each([500, 503, 599, 429])('that answers %i may take it later', async (code) => {
    receiver.answerWith(status(code))
    expect(await post(receiver.url)).toEqual({ kind: 'failed', reason: `webhook-status ${code}` })
  })

  test.each([400, 401, 404, 410, 499])('that answers %i does not want it', async (code) => {
    receiver.answerWith(status(code))
    expect(await post(receiver.url)).toEqual({ kind: 'refused', reason: `webhook-status ${code}` })
  })

  test.each([301, 302, 307, 308])('is not followed where %i points', async (code) => {
    receiver.answerWith(status(code, { location: `${receiver.url}/elsewhere` }))
    expect(await post(receiver.url)).toEqual({ kind: 'refused', reason: `webhook-status ${code}` })
    expect(receiver.received.length).toBe(1)
  })

  test('that says nothing is given up when the time of a try is over', async () => {
    const arrived = Promise.withResolvers<void>()
    receiver.answerWith(() => arrived.resolve())
    const posted = post(receiver.url)
    await arrived.promise
    clock.advance(WEBHOOK_TIMEOUT_MS)
    expect(await posted).toEqual({ kind: 'failed', reason: 'webhook-timeout' })
  })

  describe.each([
    ['taken', 200, { kind: 'delivered' }],
    ['refused', 404, { kind: 'refused', reason: 'webhook-status 404' }],
    ['failed', 503, { kind: 'failed', reason: 'webhook-status 503' }],
  ])('that never ends its answer has %s it by the status %i', (_word, code, verdict) => {
    /** Sends a head and a bit of what follows it. */
    const drip: Answer = (_received, response) => {
      response.writeHead(code)
      response.write('on and on')
    }

    test('and is cut off soon after the head', async () => {
      receiver.answerWith(drip)
      const posted = post(receiver.url)
      await clock.awaited(clock.now() + ANSWER_REST_MS)
      clock.advance(ANSWER_REST_MS)
      expect(await posted).toEqual(verdict)
    })

    test('also when the time of the try is over first', async () => {
      const startedAtMs = clock.now()
      receiver.answerWith((received, response) => {
        clock.advance(WEBHOOK_TIMEOUT_MS - 500)
        drip(received, response)
      })
      const posted = post(receiver.url)
      await clock.awaited(startedAtMs + WEBHOOK_TIMEOUT_MS - 500 + ANSWER_REST_MS)
      clock.advance(500)
      expect(await posted).toEqual(verdict)
    })
  })

  test('that hangs up within its answer has taken it by the status', async () => {
    receiver.answerWith((_received, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('half', () => response.destroy())
    })
    expect(await post(receiver.url)).toEqual({ kind: 'delivered' })
  })

  test('that answers without an end is heard no further than a bound', async () => {
    const cut = Promise.withResolvers<void>()
    receiver.answerWith((_received, response) => {
      response.on('close', () => cut.resolve())
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      }
      response.on('drain', more)
      more()
    })
    expect(await post(receiver.url)).toEqual({ kind: 'delivered' })
    await cut.promise
  })

  test('that answers with a head beyond all bounds has failed', async () => {
    receiver.answerWith(status(200, { 'x-long': 'x'.repeat(17_000) }))
    expect(await post(receiver.url)).toEqual({
      kind: 'failed',
      reason: 'webhook-network HPE_HEADER_OVERFLOW',
    })
  })

  describe('that speaks past the protocol', () => {
    let wire: WireReceiver

    afterEach(async () => {
      await wire.close()
    })

    test.each([
      ['switches to another protocol', '101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x'],
      ['switches without a word of the other', '101 Switching Protocols'],
    ])('%s has refused it, and its connection ends', async (_word, head) => {
      wire = await WireReceiver.open((socket) => socket.write(`HTTP/1.1 ${head}\r\n\r\n`))
      expect(await post(wire.url)).toEqual({ kind: 'refused', reason: 'webhook-status 101' })
      await wire.ended()
    })

    test('asks for more for ever is not heard for ever', async () => {
      const goOn = (socket: Socket): void => {
        if (!socket.destroyed) socket.write('HTTP/1.1 100 Continue\r\n\r\n', () => goOn(socket))
      }
      wire = await WireReceiver.open(goOn)
      expect(await post(wire.url)).toEqual({ kind: 'refused', reason: 'webhook-status 100' })
      await wire.ended()
    })

    test('asks for more and then takes it has taken it', async () => {
      wire = await WireReceiver.open((socket) =>
        socket.end('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 Taken\r\n\r\n'),
      )
      expect(await post(wire.url)).toEqual({ kind: 'delivered' })
    })
  })

  test('nobody listens at may be there later', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    expect(await post(`http://127.0.0.1:${port}/`)).toEqual({
      kind: 'failed',
      reason: 'webhook-network ECONNREFUSED',
    })
  })

  test('that hangs up without an answer may be there later', async () => {
    receiver.answerWith((_received, response) => void response.destroy())
    expect(await post(receiver.url)).toEqual({ kind: 'failed', reason: 'webhook-network ECONNRESET' })
  })

  test('whose name cannot be resolved may be there later', async () => {
    const resolve = (): Promise<never> =>
      Promise.reject(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }))
    expect(await post('http://hooks.example/', { resolve })).toEqual({
      kind: 'failed',
      reason: 'webhook-network ENOTFOUND',
    })
  })

  test('whose name takes longer than a try has is given up', async () => {
    const asked = Promise.withResolvers<void>()
    const resolve = (): Promise<never> => {
      asked.resolve()
      return new Promise(() => undefined)
    }
    const posted = post('http://hooks.example/', { resolve })
    await asked.promise
    clock.advance(WEBHOOK_TIMEOUT_MS)
    expect(await posted).toEqual({ kind: 'failed', reason: 'webhook-timeout' })
  })

  test('is let go when the try is to end', async () => {
    const stopping = new AbortController()
    receiver.answerWith(() => stopping.abort())
    expect(await post(receiver.url, {}, { signal: stopping.signal })).toMatchObject({ kind: 'failed' })
  })

  test.each(['ftp://example.com/', 'file:///etc/passwd', 'example.com', '', 'http://me:secret@example.com/'])(
    'is not %j',
    async (url) => {
      expect(await post(url)).toEqual({ kind: 'refused', reason: 'webhook-url-invalid' })
    },
  )
})

describe('the address of a webhook', () => {
  test.each(['127.0.0.1', '127.1', '2130706433', '0x7f000001', 'localhost', '0.0.0.0'])(
    'is refused when %s leads to this host',
    async (host) => {
      expect(await post(`http://${host}:${receiver.port}/`, { addresses: 'public' })).toEqual({
        kind: 'refused',
        reason: 'webhook-address-refused',
      })
      expect(receiver.received).toEqual([])
    },
  )

  test.each(['http://169.254.169.254/', 'http://[::1]/', 'http://[::ffff:127.0.0.1]/', 'http://10.0.0.1/'])(
    'is refused: %s',
    async (url) => {
      expect(await post(url, { addresses: 'public' })).toMatchObject({ reason: 'webhook-address-refused' })
    },
  )

  test('is refused when a name of the Internet leads to a private one', async () => {
    const resolve = () => Promise.resolve([{ address: '192.168.0.1', family: 4 }])
    expect(await post('http://hooks.example/', { addresses: 'public', resolve })).toEqual({
      kind: 'refused',
      reason: 'webhook-address-refused',
    })
  })

  test('is the one that was looked at: the name is not asked again', async () => {
    let asked = 0
    const resolve = () => {
      asked += 1
      return Promise.resolve([{ address: '127.0.0.1', family: 4 }])
    }
    // No name server knows this name: another look-up would fail.
    expect(await post(`http://hooks.invalid:${receiver.port}/`, { resolve })).toEqual({ kind: 'delivered' })
    expect(asked).toBe(1)
    expect(receiver.received[0]?.headers.host).toBe(`hooks.invalid:${receiver.port}`)
  })

  test('is another of the name’s at the next try', async () => {
    const resolve = () =>
      Promise.resolve(['127.0.0.2', '127.0.0.1'].map((address) => ({ address, family: 4 })))
    const url = `http://hooks.invalid:${receiver.port}/`
    expect(await post(url, { resolve })).toMatchObject({ kind: 'failed' })
    expect(await post(url, { resolve }, { attempts: 1 })).toEqual({ kind: 'delivered' })
  })
})

describe('a webhook over TLS', () => {
  const read = (name: string): Buffer =>
    readFileSync(new URL(`../../fixtures/tls/hooks.example.${name}.pem`, import.meta.url))
  const usual = getCACertificates('default')
  const resolve = () => Promise.resolve([{ address: '127.0.0.1', family: 4 }])
  let secure: Receiver

  beforeEach(async () => {
    secure = await Receiver.open(status(200), { key: read('key'), cert: read('cert') })
  })

  afterEach(async () => {
    setDefaultCACertificates(usual)
    await secure.close()
  })

  test('is believed when its certificate is that of its name', async () => {
    setDefaultCACertificates([read('cert').toString()])
    expect(await post(`https://hooks.example:${secure.port}/`, { resolve })).toEqual({ kind: 'delivered' })
    expect(await post(`https://other.example:${secure.port}/`, { resolve })).toEqual({
      kind: 'failed',
      reason: 'webhook-network ERR_TLS_CERT_ALTNAME_INVALID',
    })
    expect(secure.received.length).toBe(1)
  })

  test('is not believed when nobody vouches for it', async () => {
    expect(await post(`https://hooks.example:${secure.port}/`, { resolve })).toEqual({
      kind: 'failed',
      reason: 'webhook-network DEPTH_ZERO_SELF_SIGNED_CERT',
    })
    expect(secure.received).toEqual([])
  })
})
