import { request } from 'node:http'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { statusOf } from '../../../src/async/destinations/webhook-answer.ts'
import { WatchedClock } from './harness.ts'
import { WireReceiver } from './wire-receiver.ts'

let clock: WatchedClock
let silent: WireReceiver
let arrived: PromiseWithResolvers<void>

beforeEach(async () => {
  clock = new WatchedClock()
  arrived = Promise.withResolvers()
  silent = await WireReceiver.open(() => arrived.resolve())
})

afterEach(async () => {
  await silent.close()
  expect(clock.waiting).toBe(0)
})

test('a request that closes without an answer and without an error has failed', async () => {
  const outgoing = request(silent.url, { agent: false })
  const status = statusOf(outgoing, clock, new AbortController().signal)
  outgoing.end()
  await arrived.promise
  // What Node does with answers that it has no listener for: it destroys the request and says no more.
  outgoing.emit('close')
  await expect(status).rejects.toThrow('closed without an answer')
  await silent.ended()
})

test('a request that says nothing of its end is over with the signal', async () => {
  const stopping = new AbortController()
  const outgoing = request(silent.url, { agent: false })
  const status = statusOf(outgoing, clock, stopping.signal)
  outgoing.removeAllListeners('error').on('error', () => undefined)
  outgoing.removeAllListeners('close')
  outgoing.end()
  await arrived.promise
  stopping.abort()
  await expect(status).rejects.toThrow('too late')
  await silent.ended()
})
