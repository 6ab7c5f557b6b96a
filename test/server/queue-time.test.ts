import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { OperatorLog } from '../../src/observe/operator-log.ts'
import { SqliteStore } from '../../src/store/sqlite/sqlite-store.ts'
import { tellQueueTime } from '../../src/server/queue-time.ts'
import { newDelivery, newTask } from '../contracts/store/task.ts'
import { TestServer } from '../helpers/server.ts'

const HOUR_MS = 3_600_000
const YEAR_MS = 8760 * HOUR_MS

describe('at a start the operator', () => {
  const lines = (latestMs: number, wallMs: number): readonly string[] => {
    const written: string[] = []
    tellQueueTime(new OperatorLog({ format: 'text', write: (line) => written.push(line) }), latestMs, wallMs)
    return written
  }

  test('is told that the time of the queue is ahead of the clock, by more than an hour', () => {
    const nowMs = Date.now()
    for (const latestMs of [0, nowMs - YEAR_MS, nowMs, nowMs + HOUR_MS])
      expect(lines(latestMs, nowMs)).toEqual([])
    const [line = '', ...others] = lines(nowMs + YEAR_MS, nowMs)
    expect(others).toEqual([])
    expect(line).toContain(new Date(nowMs + YEAR_MS).toISOString())
    expect(line).toContain(new Date(nowMs).toISOString())
    expect(line).toContain('docs/async.md')
  })
})

/** What the page tells administrators to say to a database that no server has open. */
const REPAIR = /^sqlite3 \S+ "([^"]+)"$/m
  .exec(readFileSync(new URL('../../docs/async.md', import.meta.url), 'utf8').replaceAll('\\\n', ''))
  ?.at(1)

/** @returns What it prints: 1 when the time is taken back. */
function repair(file: string): unknown {
  const database = new DatabaseSync(file)
  try {
    const [update = '', changes = ''] = REPAIR?.split(';') ?? []
    database.exec(update)
    return Object.values(database.prepare(changes).get() ?? {})[0]
  } finally {
    database.close()
  }
}

describe('a time that a wrong clock has moved into the future', () => {
  const dir = mkdtempSync(join(tmpdir(), 'anvoke-queue-time-'))
  afterAll(() => rmSync(dir, { recursive: true }))

  test('is told of at each start, until the repair of docs/async.md takes it back', async () => {
    const server = await TestServer.start()
    try {
      const file = join(server.dataDir, 'anvoke.db')
      const told = (): number => server.output.split('ahead of the system clock').length - 1
      await server.stop()
      const database = new DatabaseSync(file)
      database.exec(`UPDATE queue_clock SET latest_ms = ${Date.now() + YEAR_MS}`)
      database.close()
      await server.launch()
      await server.stop()
      await server.launch()
      await server.stop()
      expect(told()).toBe(2)
      expect(repair(file)).toBe(1)
      await server.launch()
      expect(told()).toBe(2)
    } finally {
      await server.close()
    }
  })

  test('is not taken back as long as a call or a telling is under way', async () => {
    const file = join(dir, 'store.db')
    const futureMs = Date.now() + YEAR_MS
    let store = await SqliteStore.open({ file })
    const repaired = async (): Promise<unknown> => {
      await store.close()
      const printed = repair(file)
      store = await SqliteStore.open({ file })
      return printed
    }
    await store.tasks.enqueue(newTask({ acceptedAtMs: futureMs, dueAtMs: futureMs }))
    expect(await repaired()).toBe(0)
    const [claimed] = await store.tasks.claim(1, futureMs, 1000)
    const delivery = newDelivery({ createdAtMs: futureMs })
    await store.tasks.settle(claimed?.lease ?? '', { ending: 'succeeded', attempts: 1, delivery })
    expect(await repaired()).toBe(0)
    expect(await store.tasks.latestMs()).toBeGreaterThanOrEqual(futureMs)
    const [told] = await store.outbox.claimDeliveries(1, futureMs, 1000)
    await store.outbox.delivered(told?.lease ?? '')
    expect(await repaired()).toBe(1)
    expect(await store.tasks.latestMs()).toBe(0)
    await store.close()
  })
})
