import { createSecretKey } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { attemptDelivery } from '../../../src/async/destinations/delivery-attempt.ts'
import { CHAIN_DELIVERIES, type Verdict } from '../../../src/async/destinations/delivery-policy.ts'
import type { DestinationEvent } from '../../../src/async/destinations/destination-event.ts'
import { DestinationWorker } from '../../../src/async/destinations/destination-worker.ts'
import { WebhookClient } from '../../../src/async/destinations/webhook.ts'
import type { DestinationWords } from '../../../src/async/destination-words.ts'
import { TaskService } from '../../../src/async/task-service.ts'
import { EngineError } from '../../../src/model/errors.ts'
import type { ClaimedDelivery, Destination, NewDelivery, Outbox } from '../../../src/store/outbox.ts'
import { newDelivery, newTask } from '../../contracts/store/task.ts'
import { StoreHarness } from '../../store/sqlite/harness.ts'
import { FakeClock } from '../fake-clock.ts'
import { Feed, Receiver, status, WatchedClock } from './harness.ts'

const ACCOUNT = '1234567890123456'

const TARGET = {
  kind: 'function',
  account: ACCOUNT,
  namespace: 'default',
  name: 'tell',
  qualifier: 'prod',
} as const

const WORDS: DestinationWords = {
  bodyOf: () => ({ body: Buffer.from('{}'), contentType: 'application/json' }),
  settingsOf: ({ name, qualifier }) => ({
    policy: { maxRetries: 2, maxAgeMs: 60_000 },
    source: `${name}:${qualifier}`,
  }),
}

let clock: WatchedClock
/** Of single tries: their timers are none of the worker's, whose moments tests wait for. */
let tryClock: FakeClock
let harness: StoreHarness
let receiver: Receiver
let events: Feed<DestinationEvent>
const workers: DestinationWorker[] = []

beforeEach(async () => {
  clock = new WatchedClock()
  tryClock = new FakeClock()
  const now = (): number => clock.now()
  ;[harness, receiver] = await Promise.all([StoreHarness.open({ now }), Receiver.open(status(200))])
  events = new Feed()
})

afterEach(async () => {
  await stopAll()
  expect(clock.waiting + tryClock.waiting).toBe(0)
  await Promise.all([harness.close(), receiver.close()])
})

async function stopAll(): Promise<void> {
  const drained = workers.splice(0).map((worker) => worker.drain(0))
  clock.advance(0)
  await Promise.all(drained)
}

const service = (): TaskService =>
  new TaskService({
    queue: harness.tasks(),
    clock,
    delivery: { notify: () => undefined, terminate: () => Promise.resolve('unknown') },
  })

interface Changes {
  readonly outbox?: Outbox
  readonly attempt?: (delivery: ClaimedDelivery, signal: AbortSignal) => Promise<Verdict>
  readonly requireFunction?: () => void
  readonly words?: ReadonlyMap<string, DestinationWords>
}

function workerOf(changes: Changes = {}): DestinationWorker {
  const { outbox = harness.store.outbox, requireFunction = () => undefined } = changes
  const means = {
    words: changes.words ?? new Map([['any', WORDS]]),
    tasks: service(),
    requireFunction,
    webhooks: new WebhookClient({
      key: createSecretKey(Buffer.alloc(32)),
      addresses: 'any',
      clock: tryClock,
    }),
  }
  const attempt: Changes['attempt'] = (delivery, signal) => attemptDelivery(delivery, means, signal)
  const worker = new DestinationWorker({
    outbox,
    clock,
    attempt: changes.attempt ?? attempt,
    observe: (event) => events.add(event),
  })
  workers.push(worker)
  return worker
}

/** Ends a task so that its ending is told. */
async function tell(changes: Partial<NewDelivery> = {}): Promise<void> {
  const delivery = newDelivery({
    createdAtMs: clock.now(),
    destination: { dialect: 'any', target: { kind: 'webhook', url: receiver.url } },
    ...changes,
  })
  const { requestId } = delivery
  const queue = harness.tasks()
  await queue.enqueue(newTask({ requestId, acceptedAtMs: clock.now(), dueAtMs: clock.now() }))
  const claimed = await queue.claim(1000, clock.now(), 1000)
  const { lease = '' } = claimed.find((task) => task.requestId === requestId) ?? {}
  expect(await queue.settle(lease, { ending: 'succeeded', attempts: 1, delivery })).toBe(true)
}

const to = (target: Destination['target']): Partial<NewDelivery> => ({
  destination: { dialect: 'any', target },
})

const comes = <K extends DestinationEvent['kind']>(
  kind: K,
): Promise<Extract<DestinationEvent, { kind: K }>> =>
  events.take((event): event is Extract<DestinationEvent, { kind: K }> => event.kind === kind)

/** The real outbox, with some of its operations changed. */
function outboxWith(changes: Partial<Outbox>): Outbox {
  const { outbox } = harness.store
  return {
    claimDeliveries: (...input) => outbox.claimDeliveries(...input),
    renewDeliveries: (...input) => outbox.renewDeliveries(...input),
    delivered: (lease) => outbox.delivered(lease),
    retryDelivery: (...input) => outbox.retryDelivery(...input),
    undeliverable: (...input) => outbox.undeliverable(...input),
    nextDeliveryAtMs: () => outbox.nextDeliveryAtMs(),
    redeliver: (...input) => outbox.redeliver(...input),
    takeLosses: () => outbox.takeLosses(),
    listDeliveries: (filter) => outbox.listDeliveries(filter),
    ...changes,
  }
}

/** Moves the time there once somebody waits for it. */
async function advanceTo(atMs: number): Promise<void> {
  await clock.awaited(atMs)
  clock.advance(atMs - clock.now())
}

const listed = async () =>
  (await harness.store.outbox.listDeliveries({ account: ACCOUNT, limit: 100 })).deliveries

describe('a delivery to a webhook', () => {
  test('is made once, when it is told of, and forgotten', async () => {
    const worker = workerOf()
    worker.start()
    await tell()
    worker.notify()
    await comes('delivered')
    expect(receiver.received.map(({ headers }) => headers['webhook-id'])).toEqual(['delivery-1'])
    expect(await listed()).toEqual([])
  })

  test('is tried again with the same id, and its waits double', async () => {
    receiver.answerWith(status(503))
    await tell()
    workerOf().start()
    const waits: number[] = []
    for (let tries = 0; tries < 3; tries += 1) {
      const { dueAtMs } = await comes('postponed')
      waits.push(dueAtMs - clock.now())
      if (tries === 2) receiver.answerWith(status(200))
      await advanceTo(dueAtMs)
    }
    await comes('delivered')
    expect(waits).toEqual([500, 1000, 2000])
    expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id']))).toEqual(
      new Set(['delivery-1']),
    )
    expect(receiver.received.length).toBe(4)
  })

  test('is given up when its waits were half an hour, kept, and listed with the reason', async () => {
    await tell()
    const failed = { kind: 'failed', reason: 'webhook-status 500' } as const
    const worker = workerOf({ attempt: () => Promise.resolve(failed) })
    worker.start()
    let tries = 1
    for (;;) {
      const event = await events.take(
        (one): one is Extract<DestinationEvent, { kind: 'postponed' | 'undeliverable' }> =>
          one.kind === 'postponed' || one.kind === 'undeliverable',
      )
      if (event.kind === 'undeliverable') break
      tries += 1
      clock.advance(event.dueAtMs - clock.now())
      worker.notify()
    }
    expect(tries).toBeGreaterThan(30)
    expect(await listed()).toMatchObject([
      {
        deliveryId: 'delivery-1',
        requestId: 'request-1',
        status: 'undeliverable',
        lastError: 'webhook-status 500',
        attempts: tries,
      },
    ])
  })

  test('whose server was down for long between two tries is tried again', async () => {
    receiver.answerWith(status(503))
    await tell()
    workerOf().start()
    await comes('postponed')
    await stopAll()
    clock.advance(24 * 3_600_000)
    await harness.restart()
    workerOf().start()
    expect(await comes('postponed')).toMatchObject({
      reason: 'webhook-status 503',
      dueAtMs: clock.now() + 1000,
    })
  })

  test('is given up at once when it is not wanted', async () => {
    receiver.answerWith(status(404))
    await tell()
    workerOf().start()
    expect(await comes('undeliverable')).toMatchObject({ reason: 'webhook-status 404' })
    expect(receiver.received.length).toBe(1)
    expect(await listed()).toMatchObject([{ status: 'undeliverable', attempts: 1 }])
  })

  test('that is silent leaves places for others', async () => {
    const silent = await Receiver.open(() => arrived())
    let count = 0
    const full = Promise.withResolvers<void>()
    const arrived = (): void => {
      count += 1
      if (count === 8) full.resolve()
    }
    for (let index = 0; index < 40; index += 1)
      await tell({
        deliveryId: `silent-${index}`,
        requestId: `silent-${index}`,
        ...to({ kind: 'webhook', url: silent.url }),
      })
    await tell({ deliveryId: 'other', requestId: 'other' })
    workerOf().start()
    await full.promise
    expect((await comes('delivered')).delivery.deliveryId).toBe('other')
    expect(silent.received.length).toBe(8)
    await stopAll()
    await silent.close()
  })
})

test('functions whose webhooks are silent, however many, keep no other function waiting', async () => {
  const arrived = new Feed<string>()
  const silent = await Promise.all(
    Array.from({ length: 5 }, () =>
      Receiver.open(({ headers }) => arrived.add(String(headers['webhook-id']))),
    ),
  )
  for (const [index, { url }] of silent.entries())
    for (let count = 0; count < 10; count += 1)
      await tell({
        deliveryId: `silent-${index}-${count}`,
        requestId: `silent-${index}-${count}`,
        functionName: `floods-${index}`,
        ...to({ kind: 'webhook', url }),
      })
  const worker = workerOf()
  worker.start()
  // All places that functions share are taken, and nobody lets go of one.
  for (let count = 0; count < 32; count += 1) await arrived.take((id): id is string => id !== '')
  for (let count = 0; count < 3; count += 1) {
    await tell({ deliveryId: `other-${count}`, requestId: `other-${count}`, functionName: 'other' })
    worker.notify()
    expect((await comes('delivered')).delivery.functionName).toBe('other')
  }
  expect(silent.map(({ received }) => received.length).toSorted((a, b) => a - b)).toEqual([6, 6, 6, 7, 7])
  await stopAll()
  await Promise.all(silent.map((one) => one.close()))
})

describe('a delivery to a function', () => {
  test('is a task of it, treated as the function is configured, that says what caused it', async () => {
    await tell({ ...to(TARGET), depth: 3, body: Buffer.from('told') })
    workerOf().start()
    await comes('delivered')
    const task = await harness.tasks().details(ACCOUNT, 'delivery-1')
    expect(task).toMatchObject({
      functionName: 'tell',
      qualifier: 'prod',
      status: 'waiting',
      maxRetries: 2,
      causedBy: 'request-1',
      source: 'tell:prod',
      payload: Buffer.from('told'),
    })
    const [claimed] = await harness.tasks().claim(1, clock.now(), 1000)
    expect(claimed?.depth).toBe(4)
    expect(await listed()).toEqual([])
  })

  test('goes by its request id where tasks of the function are looked for by an id', async () => {
    await tell(to(TARGET))
    const settingsOf: DestinationWords['settingsOf'] = (target) => ({
      ...WORDS.settingsOf(target),
      hasTaskId: true,
    })
    workerOf({ words: new Map([['any', { ...WORDS, settingsOf }]]) }).start()
    await comes('delivered')
    const owner = { account: ACCOUNT, namespace: TARGET.namespace, name: TARGET.name }
    expect(await harness.tasks().detailsOf(owner, 'delivery-1')).toMatchObject({
      requestId: 'delivery-1',
      taskId: 'delivery-1',
    })
  })

  test('is one task, also when it is not known whether it was submitted', async () => {
    await tell(to(TARGET))
    const { outbox } = harness.store
    let isLost = true
    const forgetful = outboxWith({
      delivered: async (lease) => {
        if (!isLost) return await outbox.delivered(lease)
        isLost = false
        throw new EngineError('platform/store-failed', { reason: 'lost' })
      },
    })
    workerOf({ outbox: forgetful }).start()
    await comes('outboxFailed')
    // Its lease ends.
    await advanceTo(clock.now() + 60_000)
    await comes('delivered')
    const { tasks } = await harness.tasks().list({ account: ACCOUNT, functionName: 'tell', limit: 10 })
    expect(tasks.map(({ requestId }) => requestId)).toEqual(['delivery-1'])
  })

  test('that does not exist is given up at once', async () => {
    await tell(to(TARGET))
    workerOf({
      requireFunction: () => {
        throw new EngineError('caller/function-not-found', { namespace: 'default', name: 'tell' })
      },
    }).start()
    expect(await comes('undeliverable')).toMatchObject({ reason: 'caller/function-not-found' })
    expect(await harness.tasks().find(ACCOUNT, 'delivery-1')).toBeUndefined()
  })

  test('whose queue is full is tried again', async () => {
    await tell(to(TARGET))
    const owner = { account: ACCOUNT, namespace: 'default', name: 'tell' }
    await harness.tasks().control(owner, { maxTasks: 0 })
    workerOf().start()
    const { dueAtMs, reason } = await comes('postponed')
    expect(reason).toBe('caller/queue-full')
    await harness.tasks().control(owner, { maxTasks: null })
    await advanceTo(dueAtMs)
    await comes('delivered')
  })

  test('whose dialect is not there any more is given up', async () => {
    await tell(to(TARGET))
    workerOf({ words: new Map() }).start()
    expect(await comes('undeliverable')).toMatchObject({ reason: 'dialect-unknown' })
  })
})

describe('a delivery that cannot be made', () => {
  test('to what only a vendor has is given up at once, kept whole, and listed', async () => {
    await tell({ ...to({ kind: 'unreachable', name: 'queue-of-the-vendor' }), body: Buffer.from('told') })
    workerOf().start()
    expect(await comes('undeliverable')).toMatchObject({ reason: 'target-unreachable' })
    const { deliveries } = await harness.store.outbox.listDeliveries({
      account: ACCOUNT,
      status: 'undeliverable',
      withBody: true,
      limit: 1,
    })
    expect(deliveries).toMatchObject([
      {
        destination: { target: { kind: 'unreachable', name: 'queue-of-the-vendor' } },
        lastError: 'target-unreachable',
        body: Buffer.from('told'),
      },
    ])
  })

  test('because its chain is too long is given up, and no task comes of it', async () => {
    await tell({ ...to(TARGET), depth: CHAIN_DELIVERIES })
    workerOf().start()
    expect(await comes('undeliverable')).toMatchObject({ reason: 'too-deep' })
    expect(await harness.tasks().find(ACCOUNT, 'delivery-1')).toBeUndefined()
  })

  test('for want of words is given up with the reason', async () => {
    await tell({ contentType: '', body: Buffer.from('body-too-large') })
    workerOf().start()
    expect(await comes('undeliverable')).toMatchObject({ reason: 'body-too-large' })
    expect(receiver.received).toEqual([])
  })

  test('because of a fault of ours is tried again', async () => {
    await tell()
    const fault = new Error('a bug')
    workerOf({ attempt: () => Promise.reject(fault) }).start()
    expect((await comes('attemptFaulted')).error).toBe(fault)
    expect(await comes('postponed')).toMatchObject({ reason: 'internal' })
  })
})

describe('a try that never ends', () => {
  const endless = (): Promise<never> => new Promise(() => undefined)

  test('is left alone when its time is over, gives its place to others, and is made again', async () => {
    for (let index = 0; index < 8; index += 1)
      await tell({ deliveryId: `endless-${index}`, requestId: `endless-${index}` })
    await tell({ deliveryId: 'other', requestId: 'other' })
    const begun = new Feed<string>()
    let isEndless = true
    workerOf({
      attempt: ({ deliveryId }) => {
        begun.add(deliveryId)
        return isEndless ? endless() : Promise.resolve({ kind: 'delivered' })
      },
    }).start()
    // As many as one origin may have.
    for (let count = 0; count < 8; count += 1) await begun.take((id): id is string => id !== 'other')
    isEndless = false
    const startedAtMs = clock.now()
    await advanceTo(startedAtMs + 30_000)
    await advanceTo(startedAtMs + 31_000)
    expect((await comes('delivered')).delivery.deliveryId).toBe('other')
    expect(await comes('attemptFaulted')).toMatchObject({ error: new RangeError('a try does not end') })
    const { delivery, dueAtMs, reason } = await comes('postponed')
    expect(reason).toBe('internal')
    await advanceTo(dueAtMs)
    const isSame = (event: DestinationEvent): event is Extract<DestinationEvent, { kind: 'delivered' }> =>
      event.kind === 'delivered' && event.delivery.deliveryId === delivery.deliveryId
    expect((await events.take(isSame)).delivery.attempts).toBe(1)
  })

  test('does not keep the server from ending, and is made after its next start', async () => {
    await tell()
    const begun = Promise.withResolvers<void>()
    const worker = workerOf({
      attempt: () => {
        begun.resolve()
        return endless()
      },
    })
    worker.start()
    await begun.promise
    const drained = worker.drain(5000)
    const startedAtMs = clock.now()
    await advanceTo(startedAtMs + 5000)
    await advanceTo(startedAtMs + 6000)
    await drained
    expect(await listed()).toMatchObject([{ deliveryId: 'delivery-1', status: 'delivering', attempts: 0 }])
    await harness.restart()
    workerOf().start()
    expect((await comes('delivered')).delivery).toMatchObject({ deliveryId: 'delivery-1', attempts: 0 })
  })
})

describe('the worker', () => {
  test('makes after a restart what was cut short before, at once and as the same message', async () => {
    const arrived = Promise.withResolvers<void>()
    receiver.answerWith(() => arrived.resolve())
    await tell()
    const first = workerOf()
    first.start()
    await arrived.promise
    const drained = first.drain(0)
    clock.advance(0)
    await drained
    expect(clock.waiting).toBe(0)
    await harness.restart()
    receiver.answerWith(status(200))
    workerOf().start()
    const { delivery } = await comes('delivered')
    expect(delivery).toMatchObject({ deliveryId: 'delivery-1', attempts: 0 })
    expect(receiver.received.map(({ headers }) => headers['webhook-id'])).toEqual([
      'delivery-1',
      'delivery-1',
    ])
  })

  test('claims nothing while it drains, and lets tries end within the grace', async () => {
    const arrived = Promise.withResolvers<() => void>()
    receiver.answerWith((received, response) => arrived.resolve(() => status(200)(received, response)))
    await tell()
    const worker = workerOf()
    worker.start()
    const answer = await arrived.promise
    const drained = worker.drain(5000)
    await tell({ deliveryId: 'later', requestId: 'later' })
    worker.notify()
    answer()
    await drained
    expect((await comes('delivered')).delivery.deliveryId).toBe('delivery-1')
    expect(await listed()).toMatchObject([{ deliveryId: 'later', status: 'waiting' }])
  })

  test('keeps what a try came to while the disk is full, and claims nothing meanwhile', async () => {
    await tell()
    const { outbox } = harness.store
    let isFull = true
    let claims = 0
    const full = outboxWith({
      claimDeliveries: (...input) => {
        claims += 1
        return outbox.claimDeliveries(...input)
      },
      delivered: (lease) =>
        isFull ? Promise.reject(new EngineError('platform/store-full', {})) : outbox.delivered(lease),
    })
    const worker = workerOf({ outbox: full })
    worker.start()
    await comes('outboxFailed')
    // The first look is over: it sleeps until the lease ends.
    await clock.awaited(clock.now() + 60_000)
    worker.notify()
    await advanceTo(clock.now() + 1000)
    await comes('outboxFailed')
    expect(claims).toBe(1)
    isFull = false
    await advanceTo(clock.now() + 1000)
    await comes('delivered')
    expect(receiver.received.length).toBe(1)
  })

  test('asks an outbox that failed again a second later', async () => {
    await tell()
    const { outbox } = harness.store
    let isBroken = true
    const broken = outboxWith({
      claimDeliveries: (...input) =>
        isBroken
          ? Promise.reject(new EngineError('platform/store-failed', { reason: 'x' }))
          : outbox.claimDeliveries(...input),
    })
    workerOf({ outbox: broken }).start()
    await comes('outboxFailed')
    isBroken = false
    await advanceTo(clock.now() + 1000)
    await comes('delivered')
  })
})

describe('a full outbox', () => {
  beforeEach(async () => {
    await harness.close()
    harness = await StoreHarness.open({ now: () => clock.now(), maxDeliveries: 2 })
  })

  test('is told of at once, then at most once a minute, with all that came to nothing since', async () => {
    receiver.answerWith(status(503))
    const worker = workerOf()
    for (const deliveryId of ['d1', 'd2', 'd3']) await tell({ deliveryId })
    worker.start()
    expect(await comes('outboxOverflowed')).toMatchObject({ losses: { refused: 1, forgotten: 0 } })
    const toldAtMs = clock.now()
    for (const deliveryId of ['d4', 'd5', 'd6', 'd7']) {
      await tell({ deliveryId })
      worker.notify()
    }
    await advanceTo(toldAtMs + 60_000)
    expect(await comes('outboxOverflowed')).toMatchObject({ losses: { refused: 4, forgotten: 3 } })
  })

  test('is told of at the latest when the server ends', async () => {
    receiver.answerWith(status(503))
    const worker = workerOf()
    for (const deliveryId of ['d1', 'd2', 'd3']) await tell({ deliveryId })
    worker.start()
    await comes('outboxOverflowed')
    await tell({ deliveryId: 'd4' })
    await stopAll()
    expect(await comes('outboxOverflowed')).toMatchObject({ losses: { refused: 1, forgotten: 0 } })
  })
})
