import { expect, test } from 'vitest'
import { newTask } from '../../contracts/store/task.ts'
import { StoreHarness } from '../../store/sqlite/harness.ts'

test('all functions together have so many tasks and no more, until one has ended', async () => {
  const harness = await StoreHarness.open({ maxQueuedTasks: 3, maxQueuedTasksPerFunction: 2 })
  try {
    const tasks = harness.tasks()
    const enqueue = (functionName: string): Promise<void> => tasks.enqueue(newTask({ functionName }))
    for (const functionName of ['a', 'a', 'b']) await enqueue(functionName)
    const refusal = { code: 'caller/queue-full', details: { scope: 'server', limit: 3 } }
    await expect(enqueue('b')).rejects.toMatchObject(refusal)
    await expect(enqueue('c')).rejects.toMatchObject(refusal)
    const [claimed] = await tasks.claim(1, 0, 1000)
    await expect(enqueue('c')).rejects.toMatchObject(refusal)
    await tasks.settle(claimed!.lease, { ending: 'succeeded', attempts: 1 })
    await enqueue('c')
  } finally {
    await harness.close()
  }
})

test('of functions that run as many, the one whose task has been due longest gets a place, whichever was accepted first', async () => {
  const harness = await StoreHarness.open()
  try {
    const tasks = harness.tasks()
    const due = { a: 5, b: 3, c: 4 }
    for (const [functionName, dueAtMs] of Object.entries(due))
      await tasks.enqueue(newTask({ functionName, dueAtMs }))
    const claimed = await tasks.claim(3, 5, 1000)
    expect(claimed.map(({ functionName }) => functionName)).toEqual(['b', 'c', 'a'])
  } finally {
    await harness.close()
  }
})
