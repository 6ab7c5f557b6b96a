import { randomBytes } from 'node:crypto'
import * as fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import type { ClaimedTask, TaskLookup, TaskOperations, TaskQueue } from '../../../src/store/task-queue.ts'
import { QueueModel, queueCommands } from './queue-model.ts'
import { newTask } from './task.ts'

/** A queue under test. */
export interface QueueHarness {
  readonly tasks: () => TaskQueue & TaskLookup & TaskOperations
  /** Ends the server that holds the leases and starts the next one. */
  readonly restart: () => Promise<void>
  readonly close: () => Promise<void>
}

export interface QueueHarnessLimits {
  readonly maxQueuedTasks?: number
  readonly maxQueuedBytes?: number
}

/** What every {@link TaskQueue} promises. */
export function describeTaskQueue(
  name: string,
  open: (limits?: QueueHarnessLimits) => Promise<QueueHarness>,
): void {
  describe(`${name} as a task queue`, () => {
    const opened: QueueHarness[] = []
    const openQueue = async (limits?: QueueHarnessLimits): Promise<QueueHarness> => {
      const harness = await open(limits)
      opened.push(harness)
      return harness
    }
    afterEach(() => Promise.all(opened.splice(0).map((harness) => harness.close())))

    test('hands out a task as it was given, and nothing else', async () => {
      const { tasks } = await openQueue()
      const full = newTask({
        requestId: 'r1',
        qualifier: 'prod',
        taskId: 'task_1',
        acceptedAtMs: 5,
        dueAtMs: 7,
        backoff: { firstMs: 10, longestMs: 20 },
      })
      const bare = newTask({ requestId: 'r2', dueAtMs: 8 })
      await Promise.all([tasks().enqueue(full), tasks().enqueue(bare)])
      const claimed = await tasks().claim(10, 8, 1000)
      expect(claimed.map(({ sequence: _sequence, lease: _lease, ...rest }) => rest)).toEqual([
        { ...full, attempts: 0, deferrals: 0, lostRuns: 0 },
        { ...bare, attempts: 0, deferrals: 0, lostRuns: 0 },
      ])
    })

    test.each([0, 1, 8191, 65_537, 6 * 1024 * 1024])('keeps a payload of %i bytes as it is', async (size) => {
      const { tasks } = await openQueue()
      // A slice of something larger, as payloads from a socket are.
      const payload = randomBytes(size + 64).subarray(32, 32 + size)
      await tasks().enqueue(newTask({ payload }))
      const [claimed] = await tasks().claim(1, 0, 1000)
      expect(claimed?.payload.equals(payload)).toBe(true)
    })

    test('keeps the payloads of tasks that were queued together apart', async () => {
      const { tasks } = await openQueue()
      const payloads = Array.from({ length: 50 }, (_, index) => Buffer.alloc(index, index))
      await Promise.all(payloads.map((payload, dueAtMs) => tasks().enqueue(newTask({ payload, dueAtMs }))))
      const claimed = await tasks().claim(50, 50, 1000)
      expect(claimed.map(({ payload }) => payload)).toEqual(payloads)
    })

    test('refuses a task id that is taken, and only that task', async () => {
      const { tasks } = await openQueue()
      const results = await Promise.allSettled([
        tasks().enqueue(newTask({ taskId: 'a', requestId: 'r1' })),
        tasks().enqueue(newTask({ taskId: 'a', requestId: 'r2' })),
        tasks().enqueue(newTask({ taskId: 'a', functionName: 'other' })),
        tasks().enqueue(newTask({ taskId: 'b' })),
      ])
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
      expect(results[1]).toMatchObject({ reason: { code: 'caller/task-exists', details: { taskId: 'a' } } })
      expect(await tasks().claim(10, 0, 1000)).toHaveLength(3)
    })

    test('keeps a task id taken after the task has ended', async () => {
      const { tasks } = await openQueue()
      await tasks().enqueue(newTask({ taskId: 'a' }))
      const [claimed] = await tasks().claim(1, 0, 1000)
      expect(await tasks().settle(claimed!.lease, { ending: 'succeeded', attempts: 1 })).toBe(true)
      await expect(tasks().enqueue(newTask({ taskId: 'a' }))).rejects.toMatchObject({
        code: 'caller/task-exists',
      })
    })

    test('refuses tasks over the bound until one has ended', async () => {
      const { tasks, restart } = await openQueue({ maxQueuedTasks: 2 })
      const results = await Promise.allSettled([1, 2, 3].map(() => tasks().enqueue(newTask())))
      expect(results[2]).toMatchObject({ reason: { code: 'caller/queue-full', details: { limit: 2 } } })
      await restart()
      const full = tasks().enqueue(newTask())
      await expect(full).rejects.toMatchObject({ code: 'caller/queue-full' })
      const [claimed] = await tasks().claim(1, 0, 1000)
      // A task that runs still counts: it may come back.
      await expect(tasks().enqueue(newTask())).rejects.toMatchObject({ code: 'caller/queue-full' })
      await tasks().settle(claimed!.lease, { ending: 'failed', attempts: 1 })
      await tasks().enqueue(newTask())
    })

    test('refuses payload bytes over the bound until a task has ended', async () => {
      const { tasks } = await openQueue({ maxQueuedBytes: 10 })
      await tasks().enqueue(newTask({ payload: Buffer.alloc(6) }))
      await expect(tasks().enqueue(newTask({ payload: Buffer.alloc(5) }))).rejects.toMatchObject({
        code: 'caller/queue-full',
        details: { limit: 10 },
      })
      await tasks().enqueue(newTask({ payload: Buffer.alloc(4), dueAtMs: 1 }))
      const [claimed] = await tasks().claim(1, 0, 1000)
      await tasks().settle(claimed!.lease, { ending: 'expired', attempts: 0 })
      await tasks().enqueue(newTask({ payload: Buffer.alloc(6) }))
    })

    test('does not know leases that it never gave', async () => {
      const { tasks } = await openQueue()
      await tasks().enqueue(newTask())
      await tasks().claim(1, 0, 1000)
      for (const lease of ['', 'x', '1', '1.', '1.0', '1.2', '2.1', '1.1 ', '-1.1', `${'9'.repeat(40)}.1`]) {
        expect(await tasks().settle(lease, { ending: 'succeeded', attempts: 1 })).toBe(false)
        expect(await tasks().postpone(lease, { dueAtMs: 0, attempts: 1, deferrals: 0 })).toBe(false)
        expect(await tasks().renew([lease], 9999)).toEqual([false])
      }
    })

    const requestIds = async (tasks: Promise<readonly ClaimedTask[]>): Promise<readonly string[]> =>
      (await tasks).map(({ requestId }) => requestId)

    const enqueueMany = async (
      { tasks }: QueueHarness,
      functionName: string,
      count: number,
      dueAtMs = 0,
    ): Promise<void> => {
      for (let index = 0; index < count; index += 1)
        await tasks().enqueue(newTask({ requestId: `${functionName}${index}`, functionName, dueAtMs }))
    }

    test('passes over functions that have their share, and gives the rest of it later', async () => {
      const harness = await openQueue()
      const { tasks } = harness
      await enqueueMany(harness, 'slow', 5)
      const first = await tasks().claim(10, 10, 1000, { maxRuns: 3 })
      expect(first.map(({ requestId }) => requestId)).toEqual(['slow0', 'slow1', 'slow2'])
      await tasks().enqueue(newTask({ requestId: 'quick', functionName: 'quick', dueAtMs: 9 }))
      expect(await requestIds(tasks().claim(10, 10, 1000, { maxRuns: 3 }))).toEqual(['quick'])
      await tasks().settle(first[0]!.lease, { ending: 'succeeded', attempts: 1 })
      expect(await requestIds(tasks().claim(10, 10, 1000, { maxRuns: 3 }))).toEqual(['slow3'])
    })

    test('gives places to the functions that run the fewest, however many tasks others have had due for longer', async () => {
      const harness = await openQueue()
      const { tasks } = harness
      await enqueueMany(harness, 'flood', 20)
      await enqueueMany(harness, 'late', 2, 5)
      await enqueueMany(harness, 'latest', 1, 6)
      expect(await requestIds(tasks().claim(5, 10, 1000))).toEqual([
        'flood0',
        'late0',
        'latest0',
        'flood1',
        'late1',
      ])
      await enqueueMany(harness, 'newcomer', 3, 9)
      expect(await requestIds(tasks().claim(3, 10, 1000))).toEqual(['newcomer0', 'newcomer1', 'flood2'])
    })

    test('gives a function that runs nothing a first place when there are no others', async () => {
      const harness = await openQueue()
      const { tasks } = harness
      await enqueueMany(harness, 'slow', 3)
      expect(await requestIds(tasks().claim(1, 10, 1000))).toEqual(['slow0'])
      await enqueueMany(harness, 'quick', 2)
      await enqueueMany(harness, 'quicker', 2)
      await enqueueMany(harness, 'quickest', 2)
      const share = { maxRuns: 5, firstRuns: 2 }
      expect(await requestIds(tasks().claim(0, 10, 1000, share))).toEqual(['quick0', 'quicker0'])
      expect(await requestIds(tasks().claim(0, 10, 1000, share))).toEqual(['quickest0'])
      expect(await requestIds(tasks().claim(0, 10, 1000, share))).toEqual([])
    })

    test('takes a task over whose lease has ended although its function has its share', async () => {
      const harness = await openQueue()
      const { tasks } = harness
      await enqueueMany(harness, 'slow', 2)
      expect(await requestIds(tasks().claim(1, 0, 10, { maxRuns: 1 }))).toEqual(['slow0'])
      expect(await requestIds(tasks().claim(5, 9, 10, { maxRuns: 1 }))).toEqual([])
      // The other one has been due for longer, but has no place.
      expect(await requestIds(tasks().claim(5, 20, 10, { maxRuns: 1 }))).toEqual(['slow0'])
      expect(await requestIds(tasks().claim(5, 29, 10, { maxRuns: 2 }))).toEqual(['slow1'])
    })

    test('names the next due task of a function that does not have its share, and the end of leases', async () => {
      const harness = await openQueue()
      const { tasks } = harness
      await enqueueMany(harness, 'slow', 3, 1)
      await tasks().claim(2, 1, 1000)
      // Its leases end then, and whoever takes their tasks over needs no place.
      expect(await tasks().nextDueAtMs({ maxRuns: 2 })).toBe(1001)
      expect(await tasks().nextDueAtMs({ maxRuns: 2, idleOnly: true })).toBeUndefined()
      await enqueueMany(harness, 'quick', 1, 7)
      await enqueueMany(harness, 'tardy', 1, 8)
      expect(await tasks().nextDueAtMs({ maxRuns: 2 })).toBe(7)
      expect(await tasks().nextDueAtMs({ maxRuns: 3 })).toBe(1)
      expect(await tasks().nextDueAtMs()).toBe(1)
    })

    const claimOne = async ({ tasks }: QueueHarness, nowMs: number, leaseMs = 10): Promise<ClaimedTask> => {
      const [claimed] = await tasks().claim(1, nowMs, leaseMs)
      if (claimed === undefined) throw new Error('nothing was due')
      return claimed
    }
    const { account } = newTask()
    const sound = { imbalance: 0, miscounted: 0, strayPayloads: 0 }

    test('lets only the holder of the current lease renew, postpone or settle', async () => {
      const harness = await openQueue()
      const { tasks } = harness
      await tasks().enqueue(newTask())
      const stale = await claimOne(harness, 0)
      const current = await claimOne(harness, 10)
      expect(await tasks().renew([stale.lease, current.lease], 100)).toEqual([false, true])
      expect(await tasks().postpone(stale.lease, { dueAtMs: 0, attempts: 1, deferrals: 0 })).toBe(false)
      expect(await tasks().settle(stale.lease, { ending: 'failed', attempts: 1 })).toBe(false)
      expect(await tasks().find(account, current.requestId)).toMatchObject({ status: 'running', attempts: 0 })
      expect(await tasks().settle(current.lease, { ending: 'succeeded', attempts: 1 })).toBe(true)
      expect(await tasks().settle(current.lease, { ending: 'failed', attempts: 2 })).toBe(false)
      expect(await tasks().find(account, current.requestId)).toMatchObject({
        status: 'succeeded',
        attempts: 1,
      })
      expect(await tasks().audit()).toEqual(sound)
    })

    test('counts a run that may repeat one under way: of a lease that ended, of a server that died or shut down', async () => {
      const harness = await openQueue()
      const { tasks } = harness
      const counted = async () => (await tasks().counters({ account }))[0]
      await tasks().enqueue(newTask())
      await claimOne(harness, 0)
      expect(await counted()).toMatchObject({ duplicates: 0 })
      await claimOne(harness, 10)
      expect(await counted()).toMatchObject({ duplicates: 1, running: 1 })
      await harness.restart()
      expect(await counted()).toMatchObject({ duplicates: 1, waiting: 1, running: 0 })
      const third = await claimOne(harness, 20)
      expect(third.lostRuns).toBe(2)
      expect(await counted()).toMatchObject({ duplicates: 2 })
      const put = { dueAtMs: 0, attempts: 0, deferrals: 0, how: 'interrupted' } as const
      await tasks().postpone(third.lease, put)
      const fourth = await claimOne(harness, 30)
      expect(await counted()).toMatchObject({ duplicates: 3 })
      await tasks().postpone(fourth.lease, { dueAtMs: 0, attempts: 1, deferrals: 0 })
      await claimOne(harness, 40)
      expect(await counted()).toMatchObject({ duplicates: 3, repeats: 1, accepted: 1 })
      const details = await tasks().details(account, newTask().requestId)
      expect(details?.history.map(({ how }) => how)).toEqual(['lost', 'lost', 'interrupted', 'failed'])
      expect(details?.lostRuns).toBe(2)
      expect(await tasks().audit()).toEqual(sound)
    })

    test('ends a task whose lease ended and whose stop was requested, and gives its place to another', async () => {
      const harness = await openQueue()
      const { tasks } = harness
      await enqueueMany(harness, 'slow', 2, 0)
      expect(await requestIds(tasks().claim(1, 0, 10, { maxRuns: 1 }))).toEqual(['slow0'])
      await tasks().requestStop(account, 'slow0', 5)
      expect(await requestIds(tasks().claim(1, 10, 10, { maxRuns: 1 }))).toEqual(['slow1'])
      expect(await tasks().find(account, 'slow0')).toMatchObject({ status: 'cancelled', attempts: 0 })
      expect(await tasks().audit()).toEqual(sound)
    })

    test.each(['fails', 'is put back', 'is lost', 'succeeds'])(
      'never repeats a task whose stop was requested, when its run %s',
      async (what) => {
        const harness = await openQueue()
        const { tasks } = harness
        await tasks().enqueue(newTask({ requestId: 'r1' }))
        const { lease } = await claimOne(harness, 0)
        expect(await tasks().requestStop(account, 'r1', 5)).toBe('running')
        if (what === 'fails') await tasks().settle(lease, { ending: 'failed', attempts: 1 })
        if (what === 'is put back') await tasks().postpone(lease, { dueAtMs: 0, attempts: 1, deferrals: 0 })
        if (what === 'is lost') await harness.restart()
        if (what === 'succeeds') await tasks().settle(lease, { ending: 'succeeded', attempts: 1 })
        const status = what === 'succeeds' ? 'succeeded' : 'cancelled'
        expect(await tasks().find(account, 'r1')).toMatchObject({ status, stopRequestedAtMs: 5 })
        expect(await tasks().claim(1, 1_000_000, 10)).toEqual([])
        expect(await tasks().requestStop(account, 'r1', 6)).toBe(status)
        expect(await tasks().audit()).toEqual(sound)
      },
    )

    test('counts a task in one state at a time, whatever ends it', async () => {
      const harness = await openQueue()
      const { tasks } = harness
      for (const requestId of ['r1', 'r2', 'r3', 'r4']) await tasks().enqueue(newTask({ requestId }))
      const { lease } = await claimOne(harness, 0)
      await tasks().settle(lease, { ending: 'expired', attempts: 0 })
      await claimOne(harness, 0)
      await tasks().cancel(account, 'r3', 0)
      const expected = { accepted: 4, waiting: 1, running: 1, expired: 1, cancelled: 1 }
      expect((await tasks().counters({ account }))[0]).toMatchObject(expected)
      expect(await tasks().audit()).toEqual(sound)
      await harness.restart()
      const after = { accepted: 4, waiting: 2, running: 0, expired: 1, cancelled: 1 }
      expect((await tasks().counters({ account }))[0]).toMatchObject(after)
      expect(await tasks().audit()).toEqual(sound)
    })

    test('tells which of the tasks that wait is due first; one that runs does not wait', async () => {
      const harness = await openQueue()
      const { tasks } = harness
      const next = async () => (await tasks().counters({ account }))[0]?.next
      await tasks().enqueue(newTask({ requestId: 'r1', acceptedAtMs: 1, dueAtMs: 1 }))
      await tasks().enqueue(newTask({ requestId: 'r2', acceptedAtMs: 2, dueAtMs: 90 }))
      expect(await next()).toEqual({ acceptedAtMs: 1, dueAtMs: 1 })
      await tasks().claim(1, 5, 10)
      expect(await next()).toEqual({ acceptedAtMs: 2, dueAtMs: 90 })
      await tasks().claim(2, 100, 10)
      expect(await next()).toBeUndefined()
    })

    test('behaves as its model, whatever the order of calls and restarts', async () => {
      const checked = fc.assert(
        fc.asyncProperty(queueCommands(), async (commands) => {
          const harness = await open({ maxQueuedTasks: QueueModel.MAX_TASKS })
          try {
            await fc.asyncModelRun(() => ({ model: new QueueModel(), real: harness }), commands)
            expect(await harness.tasks().audit()).toEqual({ imbalance: 0, miscounted: 0, strayPayloads: 0 })
          } finally {
            await harness.close()
          }
        }),
        { numRuns: 30 },
      )
      await expect(checked).resolves.toBeUndefined()
    }, 120_000)
  })
}
