import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { NewDelivery } from '../../../src/store/outbox.ts'
import { newDelivery, newTask } from '../../contracts/store/task.ts'
import { StoreHarness } from './harness.ts'

const { account } = newTask()
const DAY_MS = 24 * 3_600_000

describe('the deliveries of endings', () => {
  let harness: StoreHarness
  let nowMs: number
  beforeEach(async () => {
    nowMs = 0
    harness = await StoreHarness.open({ now: () => nowMs })
  })
  afterEach(() => harness.close())

  /** Ends a task, told so. */
  const tell = async (changes: Partial<NewDelivery> = {}): Promise<boolean> => {
    await harness.tasks().enqueue(newTask())
    const [claimed] = await harness.tasks().claim(1, nowMs, 1000)
    return harness
      .tasks()
      .settle(claimed!.lease, { ending: 'succeeded', attempts: 1, delivery: newDelivery(changes) })
  }
  const claim = (limit = 10, atMs = nowMs) => harness.store.outbox.claimDeliveries(limit, atMs, 1000)

  test('are handed out as they were written, oldest due first, each to one', async () => {
    await tell({ deliveryId: 'd1', body: Buffer.from('first') })
    await tell({ deliveryId: 'd2', createdAtMs: -1 })
    const claimed = await claim()
    expect(claimed.map(({ deliveryId }) => deliveryId)).toEqual(['d2', 'd1'])
    expect(claimed[1]).toEqual({
      ...newDelivery({ deliveryId: 'd1', body: Buffer.from('first') }),
      lease: claimed[1]!.lease,
      attempts: 0,
    })
    expect(await claim()).toEqual([])
  })

  test('are forgotten when they are made, and due again when they fail', async () => {
    await tell({ deliveryId: 'd1' })
    await tell({ deliveryId: 'd2' })
    const [first, second] = await claim()
    expect(await harness.store.outbox.delivered(first!.lease)).toBe(true)
    expect(await harness.store.outbox.delivered(first!.lease)).toBe(false)
    expect(await harness.store.outbox.retryDelivery(second!.lease, 500, 'http 503')).toBe(true)
    expect(await harness.store.outbox.delivered(second!.lease)).toBe(false)
    expect(await harness.store.outbox.nextDeliveryAtMs()).toBe(500)
    const [again] = await claim(10, 500)
    expect(again).toMatchObject({ deliveryId: 'd2', attempts: 1 })
    await harness.store.outbox.delivered(again!.lease)
    expect((await harness.store.outbox.listDeliveries({ account, limit: 10 })).deliveries).toEqual([])
  })

  test('that cannot be made are kept and listed, until their retention is over', async () => {
    for (const deliveryId of ['d1', 'd2', 'd3']) await tell({ deliveryId })
    for (const { lease } of await claim()) await harness.store.outbox.undeliverable(lease, 'http 404', nowMs)
    const { outbox } = harness.store
    const first = await outbox.listDeliveries({ account, status: 'undeliverable', limit: 2, withBody: true })
    expect(first.deliveries).toMatchObject([
      { deliveryId: 'd3', status: 'undeliverable', attempts: 1, endedAtMs: 0, lastError: 'http 404' },
      { deliveryId: 'd2' },
    ])
    expect(String(first.deliveries[0]?.body)).toBe('{}')
    const second = await outbox.listDeliveries({ account, limit: 2, after: first.next! })
    expect(second.deliveries.map(({ deliveryId }) => deliveryId)).toEqual(['d1'])
    expect(second).not.toHaveProperty('next')
    expect((await outbox.listDeliveries({ account: '9', limit: 2 })).deliveries).toEqual([])
    expect(await outbox.nextDeliveryAtMs()).toBeUndefined()
    nowMs = 7 * DAY_MS + 1
    await harness.store.purgeEndedTasks()
    expect((await outbox.listDeliveries({ account, limit: 2 })).deliveries).toEqual([])
  })

  test('are due at once for the next server', async () => {
    await tell()
    const [lost] = await claim()
    await harness.restart()
    const [again] = await claim()
    expect(again?.deliveryId).toBe(lost?.deliveryId)
    expect(await harness.store.outbox.delivered(lost!.lease)).toBe(false)
  })

  test('are renewed by the holder of the lease alone', async () => {
    await tell()
    const [held] = await claim()
    expect(await harness.store.outbox.renewDeliveries([held!.lease, '9.9'], 5000)).toEqual([true, false])
    expect(await claim(10, 4999)).toEqual([])
    expect(await claim(10, 5000)).toHaveLength(1)
    expect(await harness.store.outbox.renewDeliveries([held!.lease], 9000)).toEqual([false])
  })

  test('are not written for an ending that is not', async () => {
    await harness.tasks().enqueue(newTask())
    const [claimed] = await harness.tasks().claim(1, 0, 1000)
    await harness.tasks().requestStop(account, newTask().requestId, 0)
    const settlement = { ending: 'failed', attempts: 1, delivery: newDelivery() } as const
    expect(await harness.tasks().settle(claimed!.lease, settlement)).toBe(true)
    expect(await harness.tasks().settle(claimed!.lease, settlement)).toBe(false)
    expect(await harness.tasks().find(account, newTask().requestId)).toMatchObject({ status: 'cancelled' })
    expect(await claim()).toEqual([])
  })
})
