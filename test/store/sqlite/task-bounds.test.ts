import { afterEach, describe, expect, test } from 'vitest'
import type { NewTask, TaskEnding } from '../../../src/store/task-queue.ts'
import type { SqliteStoreOptions } from '../../../src/store/sqlite/sqlite-store.ts'
import { newTask } from '../../contracts/store/task.ts'
import { StoreHarness } from './harness.ts'

const { account, namespace, functionName: name } = newTask()
const OWNER = { account, namespace, name }
const SOUND = { imbalance: 0, miscounted: 0, strayPayloads: 0 }

describe('what is kept of tasks', () => {
  let harness: StoreHarness
  let nowMs = 0
  afterEach(async () => {
    expect(await harness.tasks().audit()).toEqual(SOUND)
    await harness.close()
  })

  const open = async (options: Omit<SqliteStoreOptions, 'file'> = {}): Promise<void> => {
    nowMs = 0
    harness = await StoreHarness.open({ now: () => nowMs, ...options })
  }
  const enqueue = (changes: Partial<NewTask>): Promise<void> => harness.tasks().enqueue(newTask(changes))
  const end = async (changes: Partial<NewTask>, ending: TaskEnding): Promise<void> => {
    nowMs += 1
    await enqueue(changes)
    const [claimed] = await harness.tasks().claim(1, nowMs, 1000)
    await harness.tasks().settle(claimed!.lease, { ending, attempts: 1 })
  }
  const idsOf = async (functionName = name): Promise<readonly string[]> => {
    const { tasks } = await harness
      .tasks()
      .list({ account, namespace, functionName, order: 'oldest', limit: 100 })
    return tasks.map(({ requestId }) => requestId)
  }

  test('is at most so many ended tasks: the oldest of the function that has the most are forgotten first', async () => {
    await open({ maxEndedTasks: 4 })
    await end({ requestId: 'rare', functionName: 'rare' }, 'succeeded')
    for (let index = 0; index < 6; index += 1) await end({ requestId: `r${index}` }, 'succeeded')
    await enqueue({ requestId: 'waits' })
    expect(await idsOf('rare')).toEqual(['rare'])
    expect((await idsOf()).toSorted()).toEqual(['r3', 'r4', 'r5', 'waits'])
    // What is forgotten was accepted and has ended all the same.
    expect((await harness.tasks().counters(OWNER))[0]).toMatchObject({
      accepted: 7,
      succeeded: 6,
      waiting: 1,
    })
  })

  test('is at most so many bytes', async () => {
    await open({ maxKeptBytes: 25 })
    for (let index = 0; index < 4; index += 1)
      await end({ requestId: `r${index}`, payload: Buffer.alloc(10) }, 'failed')
    expect(await idsOf()).toEqual(['r2', 'r3'])
  })

  test('is brought within its bytes by one that is larger than many; what is small of the function stays', async () => {
    await open({ maxKeptBytes: 100 })
    for (let index = 0; index < 20; index += 1) {
      await end({ requestId: `small${index}`, payload: Buffer.alloc(5) }, 'failed')
      await end({ requestId: `empty${index}` }, 'succeeded')
    }
    await end({ requestId: 'large', payload: Buffer.alloc(90) }, 'failed')
    const ids = await idsOf()
    expect(ids.filter((id) => !id.startsWith('empty'))).toEqual(['small18', 'small19', 'large'])
    expect(ids.filter((id) => id.startsWith('empty'))).toHaveLength(20)
  })

  test('is listed with events only as far as they fit into memory together; the next page goes on', async () => {
    await open()
    const payload = Buffer.alloc(6 * 1024 * 1024)
    for (let index = 0; index < 5; index += 1)
      await enqueue({ requestId: `r${index}`, acceptedAtMs: index, payload })
    const filter = { account, order: 'oldest', limit: 4, withPayload: true } as const
    const first = await harness.tasks().list(filter)
    expect(first.tasks.map(({ requestId }) => requestId)).toEqual(['r0', 'r1'])
    expect(first.total).toBe(5)
    const second = await harness.tasks().list({ ...filter, after: first.next! })
    expect(second.tasks.map(({ requestId }) => requestId)).toEqual(['r2', 'r3'])
    const last = await harness.tasks().list({ ...filter, after: second.next! })
    expect(last.tasks.map(({ requestId }) => requestId)).toEqual(['r4'])
    expect(last).not.toHaveProperty('next')
    expect((await harness.tasks().list({ ...filter, withPayload: false })).tasks).toHaveLength(4)
  })

  test('bounds the history of a task: its first and its latest runs, and refusals in a row as one', async () => {
    await open()
    await enqueue({ requestId: 'r1' })
    for (let run = 0; run < 50; run += 1) {
      nowMs = run
      const [claimed] = await harness.tasks().claim(1, nowMs, 1000)
      const refused = run >= 45
      const next = {
        dueAtMs: 0,
        attempts: Math.min(run + 1, 45),
        deferrals: refused ? run - 44 : 0,
        lastError: `e${run}`,
      }
      await harness.tasks().postpone(claimed!.lease, next)
    }
    const { history = [] } = (await harness.tasks().details(account, 'r1')) ?? {}
    expect(history).toHaveLength(32)
    expect(history[0]).toEqual({ startedAtMs: 0, endedAtMs: 0, how: 'failed', reason: 'e0' })
    expect(history.at(-2)).toMatchObject({ how: 'failed', reason: 'e44' })
    expect(history.at(-1)).toEqual({
      startedAtMs: 45,
      endedAtMs: 49,
      how: 'refused',
      reason: 'e49',
      count: 5,
    })
    expect((await harness.tasks().counters(OWNER))[0]).toMatchObject({ repeats: 45, refusals: 5 })
  })

  test('refuses tasks of one function over its own limit, and no others', async () => {
    await open({ maxQueuedTasks: 10, maxQueuedTasksPerFunction: 2 })
    await enqueue({})
    await enqueue({})
    await expect(enqueue({})).rejects.toMatchObject({
      code: 'caller/queue-full',
      details: { scope: 'function', limit: 2 },
    })
    await enqueue({ functionName: 'other' })
    await harness.tasks().control(OWNER, { maxTasks: 3 })
    await enqueue({})
    await harness.tasks().control({ ...OWNER, name: 'other' }, { maxTasks: 0 })
    await expect(enqueue({ functionName: 'other' })).rejects.toMatchObject({ details: { limit: 0 } })
  })

  test('still takes in functions with few tasks when another one has filled the queue, up to a bound', async () => {
    await open({ maxQueuedTasks: 200, maxQueuedTasksPerFunction: 1000 })
    await Promise.all(Array.from({ length: 200 }, () => enqueue({ functionName: 'floods' })))
    const full = { code: 'caller/queue-full', details: { scope: 'server', limit: 200 } }
    await expect(enqueue({ functionName: 'floods' })).rejects.toMatchObject(full)
    await enqueue({ functionName: 'rare' })
    await enqueue({ functionName: 'rare' })
    await expect(enqueue({ functionName: 'rare' })).rejects.toMatchObject(full)
    for (let index = 0; index < 18; index += 1) await enqueue({ functionName: `other${index}` })
    await expect(enqueue({ functionName: 'one more' })).rejects.toMatchObject(full)
  })

  test('still takes in functions with small events when another one has filled the bytes, up to a bound', async () => {
    await open({ maxQueuedBytes: 1000 })
    const bytes = (functionName: string, size: number): Promise<void> =>
      enqueue({ functionName, payload: Buffer.alloc(size) })
    await bytes('floods', 990)
    const full = { code: 'caller/queue-full', details: { scope: 'server', limit: 1000 } }
    await expect(bytes('floods', 11)).rejects.toMatchObject(full)
    await bytes('floods', 10)
    await expect(bytes('rare', 11)).rejects.toMatchObject(full)
    for (let index = 0; index < 10; index += 1) await bytes(`other${index}`, 10)
    await expect(bytes('rare', 1)).rejects.toMatchObject(full)
  })

  test('never goes back in time, over a restart too', async () => {
    await open()
    expect(await harness.tasks().latestMs()).toBe(0)
    nowMs = 5_000_000
    await harness.tasks().claim(1, nowMs, 1000)
    await enqueue({})
    expect(await harness.tasks().latestMs()).toBe(5_000_000)
    await harness.restart()
    expect(await harness.tasks().latestMs()).toBe(5_000_000)
    await harness.tasks().claim(1, 4_000_000, 1000)
    expect(await harness.tasks().latestMs()).toBe(5_000_000)
  })

  test('pages by a cursor that nothing moves, and counts what is counted anyway', async () => {
    await open()
    for (let index = 0; index < 7; index += 1)
      await enqueue({
        requestId: `r${index}`,
        acceptedAtMs: Math.floor(index / 3),
        taskId: `order-${index % 2}-${index}`,
      })
    const page = async (filter: object, after?: string) =>
      await harness
        .tasks()
        .list({ account, namespace, functionName: name, limit: 3, ...filter, ...(after && { after }) })
    const first = await page({})
    expect(first.tasks.map(({ requestId }) => requestId)).toEqual(['r6', 'r5', 'r4'])
    expect(first.total).toBe(7)
    await enqueue({ requestId: 'newer', acceptedAtMs: 9 })
    await harness.tasks().cancel(account, 'r5', 0)
    const second = await page({}, first.next)
    expect(second.tasks.map(({ requestId }) => requestId)).toEqual(['r3', 'r2', 'r1'])
    const last = await page({}, second.next)
    expect(last.tasks.map(({ requestId }) => requestId)).toEqual(['r0'])
    expect(last).not.toHaveProperty('next')
    const named = await page({ taskIdPrefix: 'order-1', order: 'oldest' })
    expect(named.tasks.map(({ requestId }) => requestId)).toEqual(['r1', 'r3', 'r5'])
    expect((await page({ taskIdPrefix: '' })).total).toBe(7)
    expect((await page({ statuses: ['cancelled'] })).tasks.map(({ requestId }) => requestId)).toEqual(['r5'])
    expect((await page({ statuses: ['waiting', 'cancelled'] })).total).toBe(8)
    expect((await page({ isRepeat: true })).total).toBe(0)
    const [withEvent] = (await page({ requestIds: ['r0'], withPayload: true })).tasks
    expect(String(withEvent?.payload)).toBe('{}')
  })

  test.each(['', 'x', '1', '1.x', '-1.1', `${'9'.repeat(30)}.1`, '1.1; DROP TABLE tasks'])(
    'takes %j for no cursor',
    async (after) => {
      await open()
      await enqueue({ requestId: 'r1' })
      const { tasks } = await harness
        .tasks()
        .list({ account, namespace, functionName: name, limit: 3, after })
      expect(tasks).toHaveLength(1)
    },
  )
})
