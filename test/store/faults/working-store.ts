import { writeSync } from 'node:fs'
import { EngineError } from '../../../src/model/errors.ts'
import { killItself } from '../../../src/server/kill-itself.ts'
import { SqliteStore } from '../../../src/store/sqlite/sqlite-store.ts'
import { newDelivery, newTask } from '../../contracts/store/task.ts'

/**
 * A process that works on a store, closes it, works on it again and ends without a word to it. Prints, each in a system call of its own
 * and as soon as it is so: `+id` a task was acknowledged, `-id ending` its ending was, `=` there was no room, and it is tried again,
 * `!reason` the store failed.
 */
const [file = '', tasksPerRound = '0'] = process.argv.slice(2)
const PRODUCERS = 4
/** Fractions of a page, a page and a bit, many pages. */
const PAYLOAD_BYTES = [10, 500, 4000, 9000]

const say = (line: string): void => void writeSync(1, `${line}\n`)
/** Says its id again and again, up to the wanted length. */
const payloadOf = (id: string, bytes: number): Buffer => Buffer.alloc(bytes, `${id} `)

async function withRoom<T>(write: () => Promise<T>): Promise<T> {
  for (;;)
    try {
      return await write()
    } catch (error) {
      if (!(error instanceof EngineError) || error.code !== 'platform/store-full') throw error
      say('=')
    }
}

async function work(round: number): Promise<void> {
  const onFailure = (): void => {
    say('!the store failed')
    killItself()
  }
  const store = await SqliteStore.open({ file, now: () => 1, onFailure })
  const { tasks } = store
  const producing = new Set(Array.from({ length: PRODUCERS }, (_, producer) => producer))

  const produce = async (producer: number): Promise<void> => {
    for (let index = 0; index < Number(tasksPerRound) / PRODUCERS; index += 1) {
      const requestId = `r${round}-${producer}-${index}`
      const payload = payloadOf(requestId, PAYLOAD_BYTES[index % PAYLOAD_BYTES.length] ?? 0)
      await withRoom(() => tasks.enqueue(newTask({ requestId, payload, keepsDetails: true })))
      say(`+${requestId}`)
    }
    producing.delete(producer)
  }

  const consume = async (): Promise<void> => {
    let turn = 0
    while (producing.size > 0)
      for (const { lease, requestId } of await withRoom(() => tasks.claim(2, 1, 60_000))) {
        turn += 1
        // Some stay leased.
        if (turn % 5 === 0) continue
        if (turn % 7 === 0) {
          await withRoom(() => tasks.postpone(lease, { dueAtMs: 2, attempts: 1, deferrals: 0 }))
          continue
        }
        const ending = turn % 2 === 0 ? 'succeeded' : 'failed'
        const delivery = newDelivery({
          deliveryId: `d-${requestId}`,
          requestId,
          body: payloadOf(requestId, 700),
        })
        await withRoom(() => tasks.settle(lease, { ending, attempts: 1, delivery }))
        say(`-${requestId} ${ending}`)
      }
  }

  await Promise.all([...[...producing].map(produce), consume()])
  if (round === 1) await store.close()
}

try {
  await work(1)
  await work(2)
} catch (error) {
  say(`!${String(error)}`)
}
process.exit(0)
