import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ClaimedTask, NewTask, TaskEnding, TaskFilter } from '../../../src/store/task-queue.ts'
import type { QueueHarness, QueueHarnessLimits } from './task-queue.ts'
import { newTask } from './task.ts'

const { account } = newTask()

/** What every {@link import('../../../src/store/task-queue.ts').TaskLookup} promises, beside a queue over the same tasks. */
export function describeTaskLookup(
  name: string,
  open: (options: QueueHarnessLimits & { readonly now: () => number }) => Promise<QueueHarness>,
): void {
  describe(`${name} as a lookup of tasks`, () => {
    let nowMs: number
    let harness: QueueHarness

    beforeEach(async () => {
      nowMs = 0
      harness = await open({ now: () => nowMs, maxQueuedTasks: 10 })
    })
    afterEach(() => harness.close())

    const enqueue = (changes: Partial<NewTask>): Promise<void> => harness.tasks().enqueue(newTask(changes))

    const claimOne = async (atMs: number): Promise<ClaimedTask> => {
      const [claimed] = await harness.tasks().claim(1, atMs, 1000)
      if (claimed === undefined) throw new Error('nothing was due')
      return claimed
    }

    const runToEnd = async (task: Partial<NewTask>, ending: TaskEnding, endedAtMs: number): Promise<void> => {
      await enqueue(task)
      const { lease } = await claimOne(endedAtMs)
      nowMs = endedAtMs
      await harness.tasks().settle(lease, { ending, attempts: 1 })
    }

    const listed = async (filter: Omit<TaskFilter, 'account' | 'limit'>): Promise<readonly string[]> => {
      const { tasks, total } = await harness.tasks().list({ account, limit: 100, ...filter })
      expect(total).toBe(tasks.length)
      return tasks.map(({ requestId }) => requestId)
    }

    test('finds a task as it is: waiting, running, waiting for its repeat, ended', async () => {
      const find = () => harness.tasks().find(account, 'r1')
      const { acceptedAtMs, namespace, functionName, maxRetries } = newTask({ acceptedAtMs: 5 })
      const always = {
        requestId: 'r1',
        account,
        namespace,
        functionName,
        acceptedAtMs,
        maxRetries,
        lostRuns: 0,
      }
      await enqueue({ requestId: 'r1', acceptedAtMs: 5, qualifier: 'prod', taskId: 't1', source: 'API' })
      const named = { ...always, qualifier: 'prod', taskId: 't1', source: 'API' }
      expect(await find()).toEqual({ ...named, status: 'waiting', attempts: 0, dueAtMs: 0 })
      const first = await claimOne(10)
      const run = { startedAtMs: 10, claimedAtMs: 10 }
      expect(await find()).toEqual({ ...named, ...run, status: 'running', attempts: 0 })
      await harness
        .tasks()
        .postpone(first.lease, { dueAtMs: 20, attempts: 1, deferrals: 0, lastError: 'timedOut' })
      const failedOnce = { ...named, ...run, attempts: 1, lastError: 'timedOut' }
      expect(await find()).toEqual({ ...failedOnce, status: 'waiting', dueAtMs: 20 })
      const second = await claimOne(20)
      nowMs = 30
      await harness.tasks().settle(second.lease, { ending: 'succeeded', attempts: 2 })
      expect(await find()).toEqual({
        ...failedOnce,
        status: 'succeeded',
        attempts: 2,
        claimedAtMs: 20,
        endedAtMs: 30,
      })
    })

    test('finds no task of another account, and none that never was', async () => {
      await enqueue({ requestId: 'r1' })
      expect(await harness.tasks().find('9999', 'r1')).toBeUndefined()
      expect(await harness.tasks().find(account, 'r2')).toBeUndefined()
      expect(await harness.tasks().cancel('9999', 'r1', 0)).toBeUndefined()
      expect((await harness.tasks().list({ account: '9999', limit: 10 })).total).toBe(0)
    })

    test('cancels a task that waits: it never runs, and its place and payload are free', async () => {
      await Promise.all(Array.from({ length: 10 }, (_, index) => enqueue({ requestId: `r${index}` })))
      await expect(enqueue({ requestId: 'r10' })).rejects.toMatchObject({ code: 'caller/queue-full' })
      expect(await harness.tasks().cancel(account, 'r3', 77)).toBe('waiting')
      expect(await harness.tasks().find(account, 'r3')).toMatchObject({ status: 'cancelled', endedAtMs: 77 })
      await enqueue({ requestId: 'r10' })
      await harness.restart()
      const claimed = await harness.tasks().claim(20, 0, 1000)
      expect(claimed.map(({ requestId }) => requestId)).toEqual(
        [0, 1, 2, 4, 5, 6, 7, 8, 9, 10].map((index) => `r${index}`),
      )
    })

    test('cancels a task that waits for its repeat, but leaves one alone that runs or has ended', async () => {
      await enqueue({ requestId: 'r1' })
      const first = await claimOne(0)
      expect(await harness.tasks().cancel(account, 'r1', 1)).toBe('running')
      await harness.tasks().postpone(first.lease, { dueAtMs: 20, attempts: 1, deferrals: 0 })
      expect(await harness.tasks().cancel(account, 'r1', 2)).toBe('waiting')
      expect(await harness.tasks().cancel(account, 'r1', 3)).toBe('cancelled')
      expect(await harness.tasks().find(account, 'r1')).toMatchObject({ endedAtMs: 2, attempts: 1 })
      expect(await harness.tasks().settle(first.lease, { ending: 'failed', attempts: 2 })).toBe(false)
      expect(await harness.tasks().nextDueAtMs()).toBeUndefined()
    })

    test('settles a task as cancelled', async () => {
      await runToEnd({ requestId: 'r1' }, 'cancelled', 5)
      expect(await harness.tasks().find(account, 'r1')).toMatchObject({ status: 'cancelled', endedAtMs: 5 })
    })

    test('lists the tasks that fit all of a filter, newest first', async () => {
      await runToEnd({ requestId: 'old', acceptedAtMs: 10 }, 'succeeded', 100)
      await runToEnd({ requestId: 'failed', acceptedAtMs: 20, qualifier: 'prod' }, 'failed', 90)
      await runToEnd({ requestId: 'other', acceptedAtMs: 30, functionName: 'other' }, 'succeeded', 110)
      await runToEnd({ requestId: 'elsewhere', acceptedAtMs: 40, namespace: 'elsewhere' }, 'expired', 120)
      await enqueue({ requestId: 'running', acceptedAtMs: 50 })
      await claimOne(130)
      await enqueue({ requestId: 'waiting', acceptedAtMs: 60, account })
      await enqueue({ requestId: 'of another', acceptedAtMs: 60, account: '9999' })

      const all = ['waiting', 'running', 'elsewhere', 'other', 'failed', 'old']
      expect(await listed({})).toEqual(all)
      expect(await listed({ order: 'oldest' })).toEqual(all.toReversed())
      expect(await listed({ orderBy: 'ended', endedFromMs: 0 })).toEqual([
        'elsewhere',
        'other',
        'old',
        'failed',
      ])
      expect(await listed({ namespace: 'elsewhere' })).toEqual(['elsewhere'])
      expect(await listed({ functionName: 'other' })).toEqual(['other'])
      expect(await listed({ qualifier: 'prod' })).toEqual(['failed'])
      expect(await listed({ requestIds: ['old', 'running', 'nobody'] })).toEqual(['running', 'old'])
      expect(await listed({ requestIds: [] })).toEqual([])
      expect(await listed({ statuses: ['running', 'waiting'] })).toEqual(['waiting', 'running'])
      expect(await listed({ statuses: ['succeeded'], functionName: 'resize' })).toEqual(['old'])
      expect(await listed({ acceptedFromMs: 20, acceptedToMs: 40 })).toEqual(['other', 'failed'])
      expect(await listed({ endedFromMs: 100, endedToMs: 120 })).toEqual(['other', 'old'])
    })

    test('lists those of the latest state by both of its names, and those cancelled by how their run ended', async () => {
      for (const [requestId, lastError, qualifier] of [
        ['killed', 'terminated', 'LATEST'],
        ['crashed', 'exited', undefined],
        ['silent', undefined, 'prod'],
      ] as const) {
        await enqueue({ requestId, ...(qualifier === undefined ? {} : { qualifier }) })
        const { lease } = await claimOne(0)
        await harness.tasks().requestStop(account, requestId, 0)
        const error = lastError === undefined ? {} : { lastError }
        await harness.tasks().settle(lease, { ending: 'cancelled', attempts: 1, ...error })
      }
      await enqueue({ requestId: 'purged' })
      await harness.tasks().cancel(account, 'purged', 0)
      await runToEnd({ requestId: 'failed', qualifier: '1' }, 'failed', 0)
      expect(await listed({ qualifier: 'LATEST' })).toEqual(['purged', 'crashed', 'killed'])
      expect(await listed({ cancelledAs: 'failed' })).toEqual(['failed', 'crashed'])
      expect(await listed({ cancelledAs: 'failed', statuses: ['cancelled'] })).toEqual(['crashed'])
      const stopped = {
        cancelledAs: 'stopped',
        statuses: ['cancelled', 'succeeded'],
        isExhaustive: true,
      } as const
      expect(await listed(stopped)).toEqual(['purged', 'silent', 'killed'])
      expect(await listed({ ...stopped, qualifier: 'LATEST' })).toEqual(['purged', 'killed'])
    })

    test('lists page by page, and says how many there are', async () => {
      for (let index = 0; index < 5; index += 1) await enqueue({ requestId: `r${index}` })
      const page = async (offset: number): Promise<unknown> => {
        const { tasks, total } = await harness.tasks().list({ account, offset, limit: 2, order: 'oldest' })
        return [total, ...tasks.map(({ requestId }) => requestId)]
      }
      expect(await page(0)).toEqual([5, 'r0', 'r1'])
      expect(await page(2)).toEqual([5, 'r2', 'r3'])
      expect(await page(4)).toEqual([5, 'r4'])
      expect(await page(6)).toEqual([5])
    })

    test('lists those of one source, page by page, also by what became of them', async () => {
      for (let index = 0; index < 3; index += 1) {
        await runToEnd({ requestId: `task-${index}`, acceptedAtMs: index, source: 'task' }, 'failed', index)
        await runToEnd({ requestId: `call-${index}`, acceptedAtMs: index, source: 'call' }, 'failed', index)
        await runToEnd({ requestId: `none-${index}`, acceptedAtMs: index }, 'succeeded', index)
      }
      await enqueue({ requestId: 'elsewhere', acceptedAtMs: 3, functionName: 'other', source: 'task' })
      await enqueue({ requestId: 'waiting', acceptedAtMs: 4, taskId: 'own', source: 'task' })
      const one = { namespace: 'default', functionName: 'resize', source: 'task' }
      expect(await listed({ source: 'task' })).toEqual(['waiting', 'elsewhere', 'task-2', 'task-1', 'task-0'])
      expect(await listed(one)).toEqual(['waiting', 'task-2', 'task-1', 'task-0'])
      expect(await listed({ ...one, order: 'oldest', acceptedFromMs: 1 })).toEqual([
        'task-1',
        'task-2',
        'waiting',
      ])
      expect(await listed({ ...one, statuses: ['failed', 'succeeded'] })).toEqual([
        'task-2',
        'task-1',
        'task-0',
      ])
      expect(await listed({ ...one, statuses: ['waiting', 'running'] })).toEqual(['waiting'])
      expect(await listed({ ...one, orderBy: 'ended' })).toEqual(['task-2', 'task-1', 'task-0'])
      expect(await listed({ ...one, taskIdPrefix: '' })).toEqual(['waiting'])
      expect(await listed({ ...one, requestIds: ['task-1', 'call-1', 'elsewhere'] })).toEqual(['task-1'])
      for (const other of ['', 'tas', 'task ', 'TASK', '%'])
        expect(await listed({ ...one, source: other })).toEqual([])

      const pages: (readonly string[])[] = []
      for (let after: string | undefined = ''; after !== undefined;) {
        const page = await harness.tasks().list({ account, ...one, limit: 3, after })
        expect(page.total).toBe(4)
        pages.push(page.tasks.map(({ requestId }) => requestId))
        after = page.next
      }
      expect(pages).toEqual([['waiting', 'task-2', 'task-1'], ['task-0']])
    })

    test('takes a filter for text, never for a part of the query', async () => {
      await enqueue({ requestId: 'r1' })
      const hostile = "' OR 1=1 --"
      expect(await listed({ functionName: hostile })).toEqual([])
      expect(await listed({ source: hostile })).toEqual([])
      expect(await listed({ requestIds: [hostile, '"]'] })).toEqual([])
      expect(await harness.tasks().find(account, hostile)).toBeUndefined()
    })
  })
}
