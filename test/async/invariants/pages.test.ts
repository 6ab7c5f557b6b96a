import { afterAll, beforeAll, expect, test } from 'vitest'
import { newDelivery, newTask } from '../../contracts/store/task.ts'
import { StoreHarness } from '../../store/sqlite/harness.ts'

const { account, namespace, functionName: name } = newTask()
const OWNER = { account, namespace, name }
/** More than a page, or a step, may have. */
const MANY = 1100

let harness: StoreHarness
beforeAll(async () => {
  harness = await StoreHarness.open({ now: () => 1 })
  const enqueueAll = (changes: Parameters<typeof newTask>[0]): Promise<unknown> =>
    Promise.all(
      Array.from({ length: MANY }, (_, index) =>
        harness.tasks().enqueue(newTask({ requestId: `r${index}`, ...changes })),
      ),
    )
  await enqueueAll({ functionName: 'failed' })
  for (const { lease, requestId } of await harness.tasks().claim(MANY, 0, 1000))
    void harness.tasks().settle(lease, {
      ending: 'failed',
      attempts: 1,
      delivery: newDelivery({ deliveryId: requestId, requestId }),
    })
  await enqueueAll({ dueAtMs: 1e9 })
})
afterAll(() => harness.close())

test('a page of tasks has at most a thousand, whatever is asked for', async () => {
  const { tasks, next } = await harness.tasks().list({ account, limit: 5000 })
  expect(tasks).toHaveLength(1000)
  expect(next).toBeDefined()
})

test('a page of deliveries has at most a thousand', async () => {
  const { deliveries, next } = await harness.store.outbox.listDeliveries({ account, limit: 5000 })
  expect(deliveries).toHaveLength(1000)
  expect(next).toBeDefined()
})

test('a step of a purge has at most a thousand tasks', async () => {
  expect(await harness.tasks().purgeWaiting(OWNER, 5000)).toBe(1000)
  expect(await harness.tasks().purgeWaiting(OWNER, 5000)).toBe(MANY - 1000)
})
