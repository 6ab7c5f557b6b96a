import { SqliteStore } from '../../../src/store/sqlite/sqlite-store.ts'
import { newTask } from '../../contracts/store/task.ts'

/**
 * A process that works on a store until it is killed. Prints `+id` when a task was acknowledged, `?id` before it is
 * settled and `-id` when its ending was acknowledged: one line each, written before anything else happens, as stdout
 * is a pipe.
 */
const [file = '', round = ''] = process.argv.slice(2)
const say = (line: string): boolean => process.stdout.write(`${line}\n`)

const { tasks } = await SqliteStore.open({ file })

async function produce(producer: number): Promise<never> {
  for (let index = 0; ; index += 1) {
    const taskId = `${round}-${producer}-${index}`
    await tasks.enqueue(newTask({ taskId, payload: Buffer.from(`payload of ${taskId}`) }))
    say(`+${taskId}`)
  }
}

async function consume(): Promise<never> {
  for (;;)
    for (const { lease, taskId } of await tasks.claim(3, 1, 60_000)) {
      say(`?${taskId}`)
      await tasks.settle(lease, { ending: 'succeeded', attempts: 1 })
      say(`-${taskId}`)
    }
}

await Promise.all([...Array.from({ length: 8 }, (_, index) => produce(index)), consume()])
