import { afterEach, beforeEach, expect, test } from 'vitest'
import type { FunctionName } from '../../../src/model/function.ts'
import type { QueueCounters } from '../../../src/store/task-queue.ts'
import { newDelivery, newTask } from '../../contracts/store/task.ts'
import { StoreHarness } from './harness.ts'

const { account, namespace } = newTask()
const DAY_MS = 24 * 3_600_000
const SOUND = { imbalance: 0, miscounted: 0, strayPayloads: 0 }

let harness: StoreHarness
let nowMs: number
let deleted: ReadonlySet<string>

beforeEach(async () => {
  nowMs = 0
  deleted = new Set()
  harness = await StoreHarness.open({ now: () => nowMs })
  follow()
})
afterEach(async () => {
  expect(await harness.tasks().audit()).toEqual(SOUND)
  await harness.close()
})

function follow(): void {
  harness.store.deletedAmong = (functions: readonly FunctionName[]) =>
    functions.filter(({ name }) => deleted.has(name))
}

async function run(functionName: string, told = false): Promise<void> {
  await harness.tasks().enqueue(newTask({ functionName }))
  const [claimed] = await harness.tasks().claim(1, nowMs, 1000)
  const delivery = newDelivery({ functionName })
  await harness
    .tasks()
    .settle(claimed!.lease, { ending: 'succeeded', attempts: 1, ...(told ? { delivery } : {}) })
}

/** An hour, and what happens in it. */
async function later(ms: number): Promise<number> {
  nowMs += ms
  await harness.store.purgeEndedTasks()
  return harness.store.forgetDeletedFunctions()
}

const namesOf = (counters: readonly QueueCounters[]): readonly string[] => counters.map(({ name }) => name)
const names = async (): Promise<readonly string[]> => namesOf(await harness.tasks().counters({ account }))

test('a deleted function is forgotten when it is gone for the retention time and nothing is kept; sums over all stay', async () => {
  await run('old')
  await run('old')
  await run('stays')
  await harness.tasks().control({ account, namespace, name: 'old' }, { isPaused: true, maxRuns: 1 })
  await harness.tasks().control({ account, namespace, name: 'never called' }, { isPaused: true })
  deleted = new Set(['old', 'never called'])
  // Its tasks are kept.
  expect(await later(6 * DAY_MS)).toBe(0)
  // Nothing is kept; it is noted that it is gone, over a restart too.
  expect(await later(2 * DAY_MS)).toBe(0)
  await harness.restart()
  follow()
  expect(await later(5 * DAY_MS + 1)).toBe(1)
  expect(await names()).toEqual(['old', 'stays'])
  expect(await later(3 * DAY_MS)).toBe(1)
  expect(await names()).toEqual(['stays'])

  const expected = { namespace: '', name: '', accepted: 2, succeeded: 2, waiting: 0, running: 0 }
  const all = await harness.tasks().counters({ account, withForgotten: true })
  expect(all).toMatchObject([expected, { name: 'stays' }])
  await harness.restart()
  follow()
  expect(await harness.tasks().counters({ account, withForgotten: true })).toEqual(all)
  expect(await harness.tasks().counters({ account: '9', withForgotten: true })).toEqual([])
  // One of the same name starts anew: nothing is set for it.
  await run('old')
  expect(await harness.tasks().counters({ account, namespace, name: 'old' })).toMatchObject([
    { accepted: 1, control: { isPaused: false } },
  ])
  expect(await later(0)).toBe(0)
})

test('a function is not forgotten that exists, or exists again before its time is over', async () => {
  await run('comes back')
  deleted = new Set(['comes back'])
  await later(8 * DAY_MS)
  deleted = new Set()
  await later(DAY_MS)
  deleted = new Set(['comes back'])
  expect(await later(6 * DAY_MS + 1)).toBe(0)
  expect(await later(7 * DAY_MS)).toBe(0)
  expect(await later(1)).toBe(1)
})

test('a function is not forgotten while a delivery of it waits, or is kept as undeliverable', async () => {
  await run('tells', true)
  deleted = new Set(['tells'])
  await later(8 * DAY_MS)
  expect(await later(8 * DAY_MS)).toBe(0)
  const [claimed] = await harness.store.outbox.claimDeliveries(1, nowMs, 1000)
  await harness.store.outbox.undeliverable(claimed!.lease, 'http 404', nowMs)
  expect(await later(7 * DAY_MS)).toBe(0)
  expect(await later(1)).toBe(0)
  expect(await later(7 * DAY_MS + 1)).toBe(1)
  expect((await harness.tasks().counters({ account, withForgotten: true }))[0]?.deliveries).toEqual({
    waiting: 0,
    delivering: 0,
    delivered: 0,
    undeliverable: 1,
  })
})

test('many functions are forgotten in small transactions', async () => {
  for (let index = 0; index < 1100; index += 1)
    await harness.tasks().control({ account, namespace, name: `f${index}` }, { isPaused: true })
  deleted = new Set(Array.from({ length: 1100 }, (_, index) => `f${index}`))
  let before = harness.store.commits
  expect(await later(0)).toBe(0)
  expect(harness.store.commits - before).toBe(3)
  before = harness.store.commits
  expect(await later(1)).toBe(0)
  expect(harness.store.commits - before).toBe(0)
  expect(await later(7 * DAY_MS)).toBe(1100)
  expect(harness.store.commits - before).toBe(3)
  expect(await names()).toEqual([])
})

test('nothing is forgotten before it is known which functions exist', async () => {
  await run('old')
  harness.store.deletedAmong = undefined
  await later(8 * DAY_MS)
  expect(await later(8 * DAY_MS)).toBe(0)
  expect(await names()).toEqual(['old'])
})
