import { spawnSync } from 'node:child_process'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { EngineError } from '../../../src/model/errors.ts'
import { SqliteStore } from '../../../src/store/sqlite/sqlite-store.ts'
import { newDelivery, newTask } from '../../contracts/store/task.ts'

/**
 * A store whose process is killed while it holds leases and the disk is full, and what the next process finds: with the disk still full,
 * and when there is room. Prints what it saw as one line of JSON, for a test to judge. With `die` as its second argument it is the one
 * that is killed.
 */
const [dir = '', role] = process.argv.slice(2)
const file = join(dir, 'store.db')
const filler = join(dir, 'filler')
const { account } = newTask()

function fill(): void {
  const fd = openSync(filler, 'w')
  for (let bytes = 1024 * 1024; bytes >= 1;)
    try {
      writeSync(fd, Buffer.alloc(bytes))
    } catch {
      bytes = Math.floor(bytes / 8)
    }
  closeSync(fd)
}

async function die(): Promise<void> {
  const { tasks } = await SqliteStore.open({ file, now: () => 1 })
  for (const requestId of ['told', 'stopped', 'running']) await tasks.enqueue(newTask({ requestId }))
  const [told] = await tasks.claim(3, 1, 1_000_000)
  if (told !== undefined)
    await tasks.settle(told.lease, { ending: 'failed', attempts: 1, delivery: newDelivery() })
  await tasks.requestStop(account, 'stopped', 1)
  fill()
  process.kill(process.pid, 'SIGKILL')
}

/** What came of it, or the code of its refusal. */
async function answerOf<T>(work: Promise<T>): Promise<T | string> {
  try {
    return await work
  } catch (error) {
    return error instanceof EngineError ? error.code : String(error)
  }
}

async function look(): Promise<void> {
  spawnSync(process.execPath, [import.meta.filename, dir, 'die'], { stdio: 'inherit' })
  const failures: string[] = []
  const store = await SqliteStore.open({
    file,
    now: () => 2,
    onFailure: (error) => failures.push(String(error)),
  })
  const { tasks, outbox } = store
  const claim = async (): Promise<unknown> => {
    const claimed = await answerOf(tasks.claim(3, 2, 1000))
    return typeof claimed === 'string'
      ? claimed
      : claimed.map(({ requestId, lostRuns }) => ({ requestId, lostRuns }))
  }
  const statusOf = async (requestId: string): Promise<unknown> =>
    (await tasks.find(account, requestId))?.status
  const whenFull = {
    status: await statusOf('running'),
    claim: await claim(),
    deliveries: await answerOf(outbox.claimDeliveries(1, 2, 1000)),
    enqueue: await answerOf(tasks.enqueue(newTask({ requestId: 'large', payload: Buffer.alloc(1_000_000) }))),
    audit: await tasks.audit(),
  }
  rmSync(filler)
  const withRoom = {
    claim: await claim(),
    again: await claim(),
    stopped: await statusOf('stopped'),
    audit: await tasks.audit(),
  }
  await store.close()
  process.stdout.write(`${JSON.stringify({ whenFull, withRoom, failures })}\n`)
}

await (role === 'die' ? die() : look())
