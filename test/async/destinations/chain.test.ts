import { createSecretKey } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startClock } from '../../../src/async/clock.ts'
import { AsyncDelivery } from '../../../src/async/delivery.ts'
import { attemptDelivery } from '../../../src/async/destinations/delivery-attempt.ts'
import type { DestinationEvent } from '../../../src/async/destinations/destination-event.ts'
import { DestinationWorker } from '../../../src/async/destinations/destination-worker.ts'
import { planDelivery } from '../../../src/async/destinations/planner.ts'
import { WebhookClient } from '../../../src/async/destinations/webhook.ts'
import type { DestinationWords } from '../../../src/async/destination-words.ts'
import { TaskService } from '../../../src/async/task-service.ts'
import { EngineError } from '../../../src/model/errors.ts'
import { StoreHarness } from '../../store/sqlite/harness.ts'
import { Feed, Receiver, status } from './harness.ts'

const ACCOUNT = '1234567890123456'
const POLICY = { maxRetries: 0, maxAgeMs: 60_000 }

let harness: StoreHarness
let receiver: Receiver
let stop: () => Promise<unknown>
let service: TaskService
let events: Feed<DestinationEvent>

/** Everything between a submission and the end of its chain, over a function that never exists. */
beforeEach(async () => {
  ;[harness, receiver] = await Promise.all([StoreHarness.open(), Receiver.open(status(200))])
  events = new Feed()
  const clock = startClock()
  const words = new Map<string, DestinationWords>([
    [
      'any',
      {
        bodyOf: ({ task, lastError }) => ({
          body: Buffer.from(`${task.functionName} ${lastError}`),
          contentType: 'text/plain',
        }),
        settingsOf: ({ name }) => ({
          policy: POLICY,
          destinations: failureTo(name === 'ping' ? 'pong' : 'ping'),
        }),
      },
    ],
  ])
  const delivery = new AsyncDelivery({
    tasks: harness.tasks(),
    invoke: ({ target }) =>
      Promise.reject(
        new EngineError('caller/function-not-found', { namespace: 'default', name: target.name }),
      ),
    terminate: () => false,
    tell: (ended) => planDelivery(ended, words),
    told: () => worker.notify(),
    clock,
  })
  service = new TaskService({ queue: harness.tasks(), delivery, clock })
  const webhooks = new WebhookClient({ key: createSecretKey(Buffer.alloc(32)), addresses: 'any', clock })
  const means = { words, tasks: service, requireFunction: () => undefined, webhooks }
  const worker = new DestinationWorker({
    outbox: harness.store.outbox,
    attempt: (claimed, signal) => attemptDelivery(claimed, means, signal),
    clock,
    observe: (event) => events.add(event),
  })
  stop = () => Promise.all([delivery.drain(0), worker.drain(0)])
  delivery.start()
  worker.start()
})

afterEach(async () => {
  await stop()
  await Promise.all([harness.close(), receiver.close()])
})

function failureTo(name: string) {
  const target = { kind: 'function', account: ACCOUNT, namespace: 'default', name } as const
  return { onFailure: { dialect: 'any', target } }
}

const submit = (destinations: Parameters<TaskService['submit']>[0]['destinations'] = {}) =>
  service.submit({
    target: { account: ACCOUNT, namespace: 'default', name: 'ping' },
    requestId: 'first',
    payload: { byteLength: 0, chunks: [] },
    policy: POLICY,
    destinations,
  })

test('two functions that are each other’s destination come to an end, and the last delivery is listed', async () => {
  await submit(failureTo('pong'))
  const given = await events.take((event) => event.kind === 'undeliverable')
  expect(given).toMatchObject({ reason: 'too-deep', delivery: { depth: 16 } })
  const { tasks } = await harness.tasks().list({ account: ACCOUNT, order: 'oldest', limit: 100 })
  // One that was submitted, and sixteen that came of the one before.
  expect(tasks.length).toBe(17)
  expect(tasks[1]?.causedBy).toBe('first')
  expect(tasks[16]?.causedBy).toBe(tasks[15]?.requestId)
  expect(new Set(tasks.map((task) => task.status))).toEqual(new Set(['failed']))
  expect(
    (await harness.store.outbox.listDeliveries({ account: ACCOUNT, limit: 10 })).deliveries,
  ).toMatchObject([{ status: 'undeliverable', lastError: 'too-deep', requestId: tasks[16]?.requestId }])
  expect(await harness.tasks().audit()).toMatchObject({ imbalance: 0, miscounted: 0 })
})

test('the ending of a call arrives at a webhook', async () => {
  await submit({ onFailure: { dialect: 'any', target: { kind: 'webhook', url: receiver.url } } })
  await events.take((event) => event.kind === 'delivered')
  expect(receiver.received.map(({ body }) => body)).toEqual(['ping caller/function-not-found'])
})
