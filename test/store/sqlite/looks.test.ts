import type { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { newTask } from '../../contracts/store/task.ts'
import { StoreHarness } from './harness.ts'

const { account, namespace, functionName } = newTask()

describe('looks at many tasks', () => {
  let harness: StoreHarness
  let worker: Worker
  let answered: string[]

  beforeEach(async () => {
    const started = new Promise<Worker>((resolve) => process.once('worker', resolve))
    harness = await StoreHarness.open()
    worker = await started
    answered = []
  })
  afterEach(() => harness.close())

  const told = async (what: string, answer: Promise<unknown>): Promise<void> => {
    await answer
    answered.push(what)
  }
  const list = (): Promise<void> =>
    told('list', harness.tasks().list({ account, namespace, functionName, limit: 10, acceptedFromMs: 0 }))
  const enqueue = (): Promise<void> => told('enqueue', harness.tasks().enqueue(newTask()))
  const lists = (count: number): Promise<void>[] => Array.from({ length: count }, list)

  test('come behind calls that are accepted at the same time, and see them', async () => {
    const asked = lists(20)
    const accepted = enqueue()
    const seen = harness.tasks().list({ account, namespace, functionName, limit: 10 })
    await Promise.all([...asked, accepted])
    expect(answered).toEqual(['enqueue', ...Array.from({ length: 20 }, () => 'list')])
    expect((await seen).total).toBe(1)
  })

  test('come one by one, of every kind: a call that is accepted meanwhile waits for no more than are under way', async () => {
    const tasks = harness.tasks()
    const filter = { account, namespace, functionName, limit: 10 }
    const asked = [
      ...lists(10),
      told('counters', tasks.counters({ account })),
      told('audit', tasks.audit()),
      told('deliveries', harness.store.outbox.listDeliveries(filter)),
      ...lists(10),
    ]
    await asked[0]
    await enqueue()
    expect(answered.indexOf('enqueue')).toBeLessThanOrEqual(3)
    await Promise.all(asked)
    expect(answered).toHaveLength(24)
  })

  test('come to their turn while there are always calls that wait to be accepted', async () => {
    const asked = lists(3)
    let left = 40_000
    const accept = async (): Promise<void> => {
      for (; answered.length < 3 && left > 0; left -= 1) await harness.tasks().enqueue(newTask())
    }
    // More than the two batches that are under way hold.
    await Promise.all(Array.from({ length: 3000 }, accept))
    expect(answered).toHaveLength(3)
    await Promise.all(asked)
  })

  test('are answered before the store is closed', async () => {
    const asked = [...lists(5), enqueue()]
    await harness.store.close()
    await Promise.all(asked)
    expect(answered).toHaveLength(6)
  })

  test('are rejected, pending ones too, when the thread of the database dies', async () => {
    const pending = Promise.allSettled([...lists(5), enqueue()])
    await Promise.resolve()
    await worker.terminate()
    for (const result of await pending)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'platform/store-failed' } })
  })
})
