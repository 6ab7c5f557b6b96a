import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { RedriveFilter } from '../../../src/store/task-queue.ts'
import { newTask } from '../../contracts/store/task.ts'
import { StoreHarness } from './harness.ts'

const { account, namespace, functionName: name } = newTask()
const OWNER = { account, namespace, name }

describe('failed tasks that are accepted anew', () => {
  let nowMs: number
  let harness: StoreHarness

  beforeEach(async () => {
    nowMs = 1000
    harness = await StoreHarness.open({ now: () => nowMs })
    for (const [requestId, ending, functionName] of [
      ['a', 'failed', name],
      ['b', 'succeeded', name],
      ['c', 'expired', name],
      ['d', 'failed', name],
      ['e', 'failed', 'other'],
    ] as const) {
      await harness.tasks().enqueue(newTask({ requestId, functionName, keepsDetails: true }))
      const [claimed] = await harness.tasks().claim(1, nowMs, 1000)
      await harness.tasks().settle(claimed!.lease, { ending, attempts: 1 })
      nowMs += 1000
    }
  })
  afterEach(() => harness.close())

  const redriven = async (which?: RedriveFilter, limit = 10): Promise<string[]> =>
    (await harness.tasks().redrive(OWNER, limit, which)).map(({ causedBy }) => causedBy)

  test('are all of a function, the oldest first, in steps that say where the next begins', async () => {
    const [first, second, ...more] = await harness.tasks().redrive(OWNER, 2)
    expect([first, second, ...more]).toMatchObject([
      { causedBy: 'a', endedAtMs: 1000 },
      { causedBy: 'c', endedAtMs: 3000 },
    ])
    expect(await redriven({ endedFromMs: 3000 })).toEqual(['d'])
    expect(await redriven()).toEqual([])
  })

  test('are those that are named, and are of this function, and have failed, and were not before', async () => {
    expect(await redriven({ requestIds: ['d', 'a', 'b', 'e', 'nobody'] })).toEqual(['a', 'd'])
    expect(await redriven({ requestIds: ['a', 'c'] })).toEqual(['c'])
    expect(await redriven({ requestIds: [] })).toEqual([])
    expect(await harness.tasks().audit()).toEqual({ imbalance: 0, miscounted: 0, strayPayloads: 0 })
  })

  test('are no more in one step than 16 MiB of events, and one at least', async () => {
    const payload = Buffer.alloc(9 * 1024 * 1024)
    const requestIds = ['large-1', 'large-2', 'large-3']
    for (const requestId of requestIds) {
      await harness.tasks().enqueue(newTask({ requestId, payload }))
      const [claimed] = await harness.tasks().claim(1, nowMs, 1000)
      await harness.tasks().settle(claimed!.lease, { ending: 'failed', attempts: 1 })
    }
    expect(await redriven({ requestIds })).toEqual(['large-1'])
    expect(await redriven({ requestIds: ['d', ...requestIds] })).toEqual(['d', 'large-2'])
    expect(await redriven({ requestIds })).toEqual(['large-3'])
  })

  test('are those that ended in a range, its end excluded', async () => {
    expect(await redriven({ endedFromMs: 2000, endedToMs: 4000 })).toEqual(['c'])
    expect(await redriven({ endedToMs: 1000 })).toEqual([])
    expect(await redriven({ requestIds: ['a', 'd'], endedFromMs: 4000 })).toEqual(['d'])
  })
})
