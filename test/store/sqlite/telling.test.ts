import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Destinations } from '../../../src/store/outbox.ts'
import type { TaskDetails, TaskEnding } from '../../../src/store/task-queue.ts'
import { newDelivery, newTask } from '../../contracts/store/task.ts'
import { StoreHarness } from './harness.ts'

const NOW_MS = 1_000_000
const TASK = newTask({ acceptedAtMs: NOW_MS, dueAtMs: NOW_MS, expiresAtMs: NOW_MS + 60_000 })
const NOWHERE = { dialect: 'any', target: { kind: 'unreachable', name: 'a queue' } } as const

let harness: StoreHarness
beforeEach(async () => {
  harness = await StoreHarness.open({ now: () => NOW_MS })
})
afterEach(() => harness.close())

/** A task that ended, told of as its destinations say. */
async function ended(ending: TaskEnding, destinations: Destinations): Promise<void> {
  await harness.tasks().enqueue({ ...TASK, destinations })
  const [task] = await harness.tasks().claim(1, NOW_MS, 1000)
  const isTold = ending === 'succeeded' ? destinations.onSuccess : destinations.onFailure
  const { account, namespace, functionName, requestId } = TASK
  const of = { account, namespace, functionName, requestId, createdAtMs: NOW_MS }
  const delivery = isTold === undefined || ending === 'cancelled' ? {} : { delivery: newDelivery(of) }
  await harness.tasks().settle(task?.lease ?? '', { ending, attempts: 1, ...delivery })
}

const telling = async (): Promise<TaskDetails['telling']> =>
  (await harness.tasks().details(TASK.account, TASK.requestId))?.telling

const claimDelivery = async (): Promise<string> => {
  const [delivery] = await harness.store.outbox.claimDeliveries(1, NOW_MS, 1000)
  return delivery?.lease ?? ''
}

test('a task says that its end was told, once it was', async () => {
  await ended('succeeded', { onSuccess: NOWHERE })
  expect(await telling()).toBe('waiting')
  const lease = await claimDelivery()
  expect(await telling()).toBe('waiting')
  await harness.store.outbox.delivered(lease)
  expect(await telling()).toBe('delivered')
})

test('a task says that its end could not be told', async () => {
  await ended('expired', { onFailure: NOWHERE })
  await harness.store.outbox.undeliverable(await claimDelivery(), 'target-unreachable', NOW_MS)
  expect(await telling()).toBe('undeliverable')
})

test.each<[TaskEnding, Destinations]>([
  ['succeeded', { onFailure: NOWHERE }],
  ['failed', { onSuccess: NOWHERE }],
  ['cancelled', { onSuccess: NOWHERE, onFailure: NOWHERE }],
])('a task that %s and has nobody to tell it says nothing of that', async (ending, destinations) => {
  await ended(ending, destinations)
  expect(await telling()).toBeUndefined()
})

test('a task that has not ended says nothing of that', async () => {
  await harness.tasks().enqueue({ ...TASK, destinations: { onSuccess: NOWHERE, onFailure: NOWHERE } })
  expect(await telling()).toBeUndefined()
  await harness.tasks().claim(1, NOW_MS, 1000)
  expect(await telling()).toBeUndefined()
})
