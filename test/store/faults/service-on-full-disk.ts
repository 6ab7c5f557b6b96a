import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { startClock } from '../../../src/async/clock.ts'
import { AsyncDelivery } from '../../../src/async/delivery.ts'
import type { DeliveryEvent } from '../../../src/async/delivery-event.ts'
import { TaskService } from '../../../src/async/task-service.ts'
import { EngineError } from '../../../src/model/errors.ts'
import { LATEST } from '../../../src/model/function.ts'
import type { Outcome } from '../../../src/model/outcome.ts'
import { payloadOf } from '../../../src/model/payload.ts'
import { SqliteStore } from '../../../src/store/sqlite/sqlite-store.ts'
import { newTask } from '../../contracts/store/task.ts'

/**
 * Asynchronous calls on a file system that is filled to its last block and freed again, nothing else being said to the service. Prints
 * what it saw as one line of JSON, for a test to judge.
 */
const [dir = ''] = process.argv.slice(2)
const file = join(dir, 'store.db')
const filler = join(dir, 'filler')
const RESULT_BYTES = 100_000
const { account, namespace, functionName: name } = newTask()
const clock = startClock()

/** Takes all the room there is. @returns The code of the error that said so. */
function fill(): string {
  const fd = openSync(filler, 'w')
  try {
    for (let bytes = 1024 * 1024; bytes >= 1;)
      try {
        writeSync(fd, Buffer.alloc(bytes))
      } catch (error) {
        if (bytes === 1) return error instanceof Error && 'code' in error ? String(error.code) : String(error)
        bytes = Math.max(1, Math.floor(bytes / 8))
      }
    return 'endless'
  } finally {
    closeSync(fd)
  }
}

const makeRoom = (): void => rmSync(filler)

function outcome(bytes: number): Outcome {
  return {
    kind: 'returned',
    payload: payloadOf(Buffer.alloc(bytes, 'r')),
    version: {
      id: 'state-1',
      functionId: 'function-1',
      account,
      namespace,
      name,
      version: LATEST,
      facts: {},
      contract: 'any',
      runtime: 'any',
      handler: 'any',
      timeoutMs: 1000,
      memoryMib: 128,
      diskMib: 512,
      instanceConcurrency: 1,
      environment: {},
      code: { digest: '', crc64: '', sizeBytes: 0, expandedBytes: 0 },
    },
    instanceId: 'instance-1',
    coldStart: false,
    durationMs: 1,
    billedDurationMs: 1,
    initDurationMs: 0,
    maxMemoryBytes: 0,
    logTail: () => Buffer.alloc(0),
  }
}

const failures: string[] = []
const open = (): Promise<SqliteStore> =>
  SqliteStore.open({ file, now: () => clock.now(), onFailure: (error) => failures.push(String(error)) })

let store = await open()
const events: DeliveryEvent[] = []
let wake: () => void = () => undefined
/** Waits for as many events of this kind. */
async function come(kind: DeliveryEvent['kind'], count: number): Promise<void> {
  while (events.filter((event) => event.kind === kind).length < count)
    await new Promise<void>((resolve) => {
      wake = resolve
    })
}

const gate = Promise.withResolvers<void>()
const runs = new Map<string, number>()
const delivery = new AsyncDelivery({
  tasks: store.tasks,
  clock,
  invoke: async ({ requestId }) => {
    runs.set(requestId, (runs.get(requestId) ?? 0) + 1)
    await gate.promise
    return outcome(RESULT_BYTES)
  },
  terminate: () => false,
  observe(event) {
    events.push(event)
    wake()
  },
})
const service = new TaskService({ queue: store.tasks, delivery, clock })

/** What became of a submission: `accepted` or the code of its refusal. */
async function submit(requestId: string, bytes: number, delayMs: number): Promise<string> {
  const policy = { maxRetries: 0, maxAgeMs: 3_600_000 }
  const target = { account, namespace, name }
  try {
    await service.submit({
      target,
      requestId,
      payload: payloadOf(Buffer.alloc(bytes, requestId)),
      policy,
      delayMs,
      keepsDetails: true,
    })
    return 'accepted'
  } catch (error) {
    return error instanceof EngineError ? error.code : String(error)
  }
}

const statusOf = async (requestIds: readonly string[]): Promise<readonly (string | undefined)[]> =>
  await Promise.all(requestIds.map(async (requestId) => (await store.tasks.find(account, requestId))?.status))

delivery.start()
const running = ['run-1', 'run-2', 'run-3']
for (const requestId of running) await submit(requestId, 100, 0)
await come('started', running.length)

const full = fill()
// The log has room of its own in blocks that it has already: it is used up first, from large to small.
const acceptedMeanwhile: string[] = []
const refusals: string[] = []
for (const bytes of [50_000, 1000, 10])
  for (let index = 0; ; index += 1) {
    const answer = await submit(`late-${bytes}-${index}`, bytes, 3_600_000)
    if (answer === 'accepted') acceptedMeanwhile.push(`late-${bytes}-${index}`)
    else {
      refusals.push(answer)
      break
    }
  }
const statusWhenFull = await statusOf(running)
gate.resolve()
await come('queueFailed', running.length)
const waitingForRoom = await statusOf(running)

makeRoom()
await come('ended', running.length)
const settled = await statusOf(running)
const afterwards = await submit('afterwards', 50_000, 3_600_000)

// And once more, with the server going down while there is no room.
fill()
await delivery.drain(0)
await store.close()
makeRoom()
store = await open()
const { tasks } = await store.tasks.list({ account, limit: 1000, withPayload: true })
const kept = tasks.map(({ requestId }) => requestId)
const results = await Promise.all(running.map((requestId) => store.tasks.details(account, requestId)))
const report = {
  full,
  refusals,
  statusWhenFull,
  waitingForRoom,
  settled,
  afterwards,
  failures,
  runs: [...runs.values()],
  acceptedMeanwhile: acceptedMeanwhile.length,
  lost: [...running, ...acceptedMeanwhile, 'afterwards'].filter((id) => !kept.includes(id)),
  invented: kept.filter((id) => id.startsWith('late-') && !acceptedMeanwhile.includes(id)),
  resultBytes: results.map((task) => task?.result?.payload.length),
  audit: await store.tasks.audit(),
}
await store.close()
process.stdout.write(`${JSON.stringify(report)}\n`)
