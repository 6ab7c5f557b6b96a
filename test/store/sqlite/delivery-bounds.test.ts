import { afterEach, describe, expect, test } from 'vitest'
import type { DeliveryShare, NewDelivery } from '../../../src/store/outbox.ts'
import type { SqliteStoreOptions } from '../../../src/store/sqlite/sqlite-store.ts'
import { newDelivery, newTask } from '../../contracts/store/task.ts'
import { StoreHarness } from './harness.ts'

const { account } = newTask()
const DAY_MS = 24 * 3_600_000
const SOUND = { imbalance: 0, miscounted: 0, strayPayloads: 0 }

let harness: StoreHarness
let nowMs: number
afterEach(async () => {
  expect(await harness.tasks().audit()).toEqual(SOUND)
  // What is counted while it runs is what a new start finds.
  const before = await harness.tasks().counters({ account })
  await harness.restart()
  expect(await harness.tasks().audit()).toEqual(SOUND)
  const after = await harness.tasks().counters({ account })
  expect(after.map(({ accepted }) => accepted)).toEqual(before.map(({ accepted }) => accepted))
  await harness.close()
})

const open = async (options: Omit<SqliteStoreOptions, 'file'> = {}): Promise<void> => {
  nowMs = 0
  harness = await StoreHarness.open({ now: () => nowMs, ...options })
}

/** Ends a task of the delivery's function, told so. */
async function tell(changes: Partial<NewDelivery> & { readonly url?: string }): Promise<void> {
  const { url = 'https://example.com/', ...rest } = changes
  const destination = { dialect: 'any', target: { kind: 'webhook', url } } as const
  const delivery = newDelivery({ createdAtMs: nowMs, destination, ...rest })
  await harness.tasks().enqueue(newTask({ functionName: delivery.functionName }))
  const [claimed] = await harness.tasks().claim(1, nowMs, 1000)
  const settlement = { ending: 'succeeded', attempts: 1, delivery } as const
  expect(await harness.tasks().settle(claimed!.lease, settlement)).toBe(true)
}

const tellAll = async (ids: readonly string[], changes: Parameters<typeof tell>[0] = {}): Promise<void> => {
  for (const deliveryId of ids) await tell({ deliveryId, ...changes })
}

const claim = async (limit: number, share?: DeliveryShare): Promise<readonly string[]> =>
  (await harness.store.outbox.claimDeliveries(limit, nowMs, 1000, share)).map(({ deliveryId }) => deliveryId)

const undeliverable = async () =>
  (await harness.store.outbox.listDeliveries({ account, status: 'undeliverable', limit: 1000 })).deliveries

const countsOf = async (name: string) =>
  (await harness.tasks().counters({ account, namespace: 'default', name }))[0]?.deliveries

describe('places for deliveries', () => {
  test('go to the function that has the fewest, then to its place that has the fewest', async () => {
    await open()
    await tellAll(['a1', 'a2', 'a3'], { functionName: 'a', url: 'https://one.example/' })
    await tellAll(['a4', 'a5'], { functionName: 'a', url: 'https://two.example/x' })
    await tellAll(['b1', 'b2'], { functionName: 'b', url: 'https://one.example/' })
    expect(await claim(4)).toEqual(['a1', 'b1', 'a4', 'b2'])
    expect(await claim(9)).toEqual(['a2', 'a5', 'a3'])
  })

  test('are so many for one function and for one origin, and one more for a function that has none', async () => {
    await open()
    const share = { maxPerFunction: 3, maxPerOrigin: 2, first: 1 }
    await tellAll(['a1', 'a2', 'a3'], { functionName: 'a', url: 'https://one.example/' })
    await tellAll(['a4', 'a5'], { functionName: 'a', url: 'https://two.example/' })
    await tellAll(['b1'], { functionName: 'b', url: 'https://one.example/' })
    expect((await claim(9, share)).toSorted()).toEqual(['a1', 'a4', 'a5', 'b1'])
    // Those of full lines are not looked for before their leases end.
    expect(await harness.store.outbox.nextDeliveryAtMs(share)).toBe(1000)
    await tellAll(['c1'], { functionName: 'c' })
    await tellAll(['d1'], { functionName: 'd' })
    expect(await harness.store.outbox.nextDeliveryAtMs({ ...share, idleOnly: true })).toBe(0)
    expect(await claim(0, share)).toEqual(['c1'])
    expect(await claim(0, { ...share, first: 0 })).toEqual([])
    expect(await claim(1, share)).toEqual(['d1'])
  })

  test('are free again when a try ends, is put back, or its lease is taken over', async () => {
    await open()
    const share = { maxPerFunction: 9, maxPerOrigin: 2 }
    await tellAll(['d1', 'd2', 'd3', 'd4'])
    const { outbox } = harness.store
    const [first, second] = await outbox.claimDeliveries(9, 0, 1000, share)
    expect(await claim(9, share)).toEqual([])
    await outbox.delivered(first!.lease)
    expect(await claim(9, share)).toEqual(['d3'])
    await outbox.retryDelivery(second!.lease, 5000, 'http 503')
    expect(await claim(9, share)).toEqual(['d4'])
    expect(await claim(9, share)).toEqual([])
    nowMs = 1000
    expect(await claim(9, share)).toEqual(['d3', 'd4'])
    expect(await claim(9, share)).toEqual([])
    nowMs = 5000
    expect(await claim(9, share)).toEqual(['d3', 'd4'])
    expect(await countsOf('resize')).toEqual({ waiting: 1, delivering: 2, delivered: 1, undeliverable: 0 })
  })

  test('are as they were for a server that starts, but for what the last one had under way', async () => {
    await open()
    const share = { maxPerFunction: 2, maxPerOrigin: 9 }
    await tellAll(['a1', 'a2', 'a3'], { functionName: 'a' })
    await tellAll(['b1'], { functionName: 'b' })
    expect(await claim(9, share)).toEqual(['a1', 'b1', 'a2'])
    await harness.restart()
    expect(await claim(9, share)).toEqual(['a1', 'b1', 'a2'])
  })
})

describe('deliveries beyond the limits', () => {
  test('are undeliverable at once, kept, listed and counted; the call has ended all the same', async () => {
    await open({ maxDeliveries: 2 })
    await tellAll(['d1', 'd2', 'd3'], { body: Buffer.from('told') })
    expect(await undeliverable()).toMatchObject([
      { deliveryId: 'd3', status: 'undeliverable', lastError: 'outbox-full', attempts: 0, endedAtMs: 0 },
    ])
    expect(await countsOf('resize')).toEqual({ waiting: 2, delivering: 0, delivered: 0, undeliverable: 1 })
    expect((await harness.tasks().counters({ account }))[0]).toMatchObject({ succeeded: 3 })
    const [first] = await harness.store.outbox.claimDeliveries(9, 0, 1000)
    await harness.store.outbox.delivered(first!.lease)
    await tellAll(['d4'])
    expect(await undeliverable()).toHaveLength(1)
  })

  test('are counted in bytes too', async () => {
    await open({ maxDeliveryBytes: 100 })
    await tellAll(['d1'], { body: Buffer.alloc(60) })
    await tellAll(['d2'], { body: Buffer.alloc(41) })
    await tellAll(['d3'], { body: Buffer.alloc(40) })
    expect((await undeliverable()).map(({ deliveryId }) => deliveryId)).toEqual(['d2'])
  })

  test('are those of the functions that have many', async () => {
    await open({ maxDeliveries: 100 })
    for (let index = 0; index < 100; index += 1)
      await tell({ deliveryId: `a${index}`, functionName: 'floods' })
    await tellAll(['over'], { functionName: 'floods' })
    await tellAll(['rare-1', 'rare-2'], { functionName: 'rare' })
    expect((await undeliverable()).map(({ deliveryId }) => deliveryId)).toEqual(['rare-2', 'over'])
    expect(await claim(2)).toEqual(['a0', 'rare-1'])
  })

  test('are kept up to the same limits: the oldest of the function that has the most are forgotten', async () => {
    await open({ maxDeliveries: 3 })
    const giveUp = async (deliveryId: string, functionName: string): Promise<void> => {
      nowMs += 1
      await tell({ deliveryId, functionName })
      const [claimed] = await harness.store.outbox.claimDeliveries(1, nowMs, 1000)
      await harness.store.outbox.undeliverable(claimed!.lease, 'http 404', nowMs)
    }
    await giveUp('rare', 'rare')
    for (let index = 0; index < 5; index += 1) await giveUp(`d${index}`, 'many')
    expect((await undeliverable()).map(({ deliveryId }) => deliveryId)).toEqual(['d4', 'd3', 'rare'])
    expect(await countsOf('many')).toMatchObject({ undeliverable: 5 })
  })

  test('are kept up to so many bytes', async () => {
    await open({ maxDeliveryBytes: 100 })
    const { outbox } = harness.store
    for (const deliveryId of ['d1', 'd2', 'd3']) {
      await tell({ deliveryId, body: Buffer.alloc(40) })
      const [claimed] = await outbox.claimDeliveries(1, 0, 1000)
      await outbox.undeliverable(claimed!.lease, 'http 404', 0)
    }
    expect((await undeliverable()).map(({ deliveryId }) => deliveryId)).toEqual(['d3', 'd2'])
  })
})

describe('undeliverable deliveries that are made again', () => {
  const owner = { account, namespace: 'default', name: 'resize' }

  const giveUp = async (...ids: readonly string[]): Promise<void> => {
    for (const deliveryId of ids) {
      nowMs += 1
      await tell({ deliveryId, requestId: `of-${deliveryId}`, createdAtMs: nowMs })
    }
    const claimed = await harness.store.outbox.claimDeliveries(1000, nowMs, 1000)
    for (const { lease } of claimed) {
      nowMs += 1
      await harness.store.outbox.undeliverable(lease, 'http 404', nowMs)
    }
  }
  const idsOf = (some: readonly { readonly deliveryId: string }[]): readonly string[] =>
    some.map(({ deliveryId }) => deliveryId)
  const listed = async () =>
    (await harness.store.outbox.listDeliveries({ account, requestId: 'of-d1', limit: 1 })).deliveries

  test('are due at once in their order, with all their tries, before what waits', async () => {
    await open()
    await giveUp('d1', 'd2', 'd3')
    const { outbox } = harness.store
    await tell({ deliveryId: 'new', createdAtMs: nowMs })
    expect(await outbox.nextDeliveryAtMs()).toBe(nowMs)
    const step = await outbox.redeliver(owner, 2)
    expect(step).toMatchObject({
      isFull: false,
      redelivered: [{ requestId: 'of-d1' }, { requestId: 'of-d2' }],
    })
    expect(await harness.tasks().audit()).toEqual(SOUND)
    expect(await listed()).toMatchObject([{ status: 'waiting', attempts: 0, dueAtMs: nowMs }])
    expect(await countsOf('resize')).toEqual({ waiting: 3, delivering: 0, delivered: 0, undeliverable: 1 })
    expect(await claim(9)).toEqual(['d1', 'd2', 'new'])
    expect(idsOf((await outbox.redeliver(owner, 9)).redelivered)).toEqual(['d3'])
    expect((await outbox.redeliver(owner, 9)).redelivered).toEqual([])
  })

  test('are those of the calls that are named, or of a time', async () => {
    await open()
    await giveUp('d1', 'd2', 'd3')
    const { outbox } = harness.store
    const named = { requestIds: ['of-d2', 'unknown', 'of-d2'] }
    expect(idsOf((await outbox.redeliver(owner, 9, named)).redelivered)).toEqual(['d2'])
    const [last] = await undeliverable()
    const before = { endedToMs: last!.endedAtMs! }
    expect(idsOf((await outbox.redeliver(owner, 9, before)).redelivered)).toEqual(['d1'])
    expect((await outbox.redeliver({ ...owner, name: 'other' }, 9)).redelivered).toEqual([])
  })

  test('are as many as there is room for', async () => {
    await open({ maxDeliveries: 2 })
    await giveUp('d1', 'd2')
    await tell({ deliveryId: 'new', createdAtMs: nowMs })
    const step = await harness.store.outbox.redeliver(owner, 9)
    expect(step).toMatchObject({ isFull: true, redelivered: [{ deliveryId: 'd1' }] })
  })

  test('are no more bytes in one step than fit into memory', async () => {
    await open()
    for (let index = 0; index < 18; index += 1)
      await tell({ deliveryId: `d${index}`, body: Buffer.alloc(1024 * 1024) })
    const { outbox } = harness.store
    for (const { lease } of await outbox.claimDeliveries(18, nowMs, 1000))
      await outbox.undeliverable(lease, 'http 404', nowMs)
    expect((await outbox.redeliver(owner, 1000)).redelivered).toHaveLength(16)
    expect((await outbox.redeliver(owner, 1000)).redelivered).toHaveLength(2)
  })
})

test('deliveries are listed with bodies only as far as they fit into memory together; the next page goes on', async () => {
  await open()
  for (let index = 0; index < 18; index += 1)
    await tell({ deliveryId: `d${index}`, body: Buffer.alloc(1024 * 1024) })
  const { outbox } = harness.store
  const first = await outbox.listDeliveries({ account, limit: 100, withBody: true })
  expect(first.deliveries).toHaveLength(16)
  expect(first.deliveries.every(({ body }) => body?.length === 1024 * 1024)).toBe(true)
  const second = await outbox.listDeliveries({ account, limit: 100, withBody: true, after: first.next! })
  expect(second.deliveries.map(({ deliveryId }) => deliveryId)).toEqual(['d1', 'd0'])
  expect(second).not.toHaveProperty('next')
  expect((await outbox.listDeliveries({ account, limit: 100 })).deliveries).toHaveLength(18)
})

test('undeliverable messages are forgotten in small transactions, however many their retention is over for at once', async () => {
  await open()
  const { outbox } = harness.store
  const tasks = harness.tasks()
  await Promise.all(Array.from({ length: 1100 }, () => tasks.enqueue(newTask())))
  const claimed = await tasks.claim(1100, 0, 1000)
  await Promise.all(
    claimed.map(({ lease }, index) =>
      tasks.settle(lease, {
        ending: 'cancelled',
        attempts: 0,
        delivery: newDelivery({ deliveryId: `d${index}` }),
      }),
    ),
  )
  const leased = await outbox.claimDeliveries(1100, 0, 1000)
  await Promise.all(leased.map(({ lease }) => outbox.undeliverable(lease, 'http 404', 1)))
  // The tasks go first: then the deliveries alone keep it going.
  nowMs = 7 * DAY_MS + 1
  expect(await harness.store.purgeEndedTasks()).toBe(1100)
  expect(await countsOf('resize')).toMatchObject({ undeliverable: 1100 })
  nowMs += 1
  const before = harness.store.commits
  await harness.store.purgeEndedTasks()
  expect(await undeliverable()).toEqual([])
  expect(harness.store.commits - before).toBe(3)
})
