import { createHmac, createSecretKey } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  formatWebhookSecret,
  signatureHeaders,
  webhookKeyOf,
} from '../../../src/async/destinations/webhook-signature.ts'

const SERVER_KEY = createSecretKey(Buffer.alloc(32, 7))

describe('the signature of a webhook', () => {
  test('is that of the example in the documentation of Standard Webhooks', () => {
    const headers = signatureHeaders(Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64'), {
      id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      atMs: 1_614_265_330_999,
      body: Buffer.from('{"test": 2432232314}'),
    })
    expect(headers).toEqual({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    })
  })

  test('changes with each of what it covers', () => {
    const key = webhookKeyOf(SERVER_KEY, '1')
    const message = { id: 'a', atMs: 1000, body: Buffer.from('x') }
    const signatures = [
      signatureHeaders(key, message),
      signatureHeaders(key, { ...message, id: 'b' }),
      signatureHeaders(key, { ...message, atMs: 2000 }),
      signatureHeaders(key, { ...message, body: Buffer.from('y') }),
      signatureHeaders(webhookKeyOf(SERVER_KEY, '2'), message),
    ].map((headers) => headers['webhook-signature'])
    expect(new Set(signatures).size).toBe(signatures.length)
  })

  test('is made with a key that can be derived from the server’s as documented, and is 32 bytes long', () => {
    const documented = createHmac('sha256', Buffer.alloc(32, 7)).update('1234567890123456').digest()
    const key = webhookKeyOf(SERVER_KEY, '1234567890123456')
    expect(formatWebhookSecret(key)).toBe(`whsec_${documented.toString('base64')}`)
    expect(key.length).toBe(32)
  })
})
