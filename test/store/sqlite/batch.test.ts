import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BatchRunner } from '../../../src/store/sqlite/batch.ts'
import { migrate } from '../../../src/store/sqlite/migrate.ts'
import type { Operation } from '../../../src/store/sqlite/operations.ts'
import { newDelivery, newTask } from '../../contracts/store/task.ts'

describe('BatchRunner.run', () => {
  let database: DatabaseSync
  let runner: BatchRunner

  beforeEach(() => {
    database = new DatabaseSync(':memory:')
    migrate(database, ':memory:')
    runner = new BatchRunner(database, {
      maxQueuedTasks: 2,
      maxQueuedTasksPerFunction: 2,
      maxQueuedBytes: 1024 ** 3,
      maxEndedTasks: 100,
      maxKeptBytes: 1024 ** 3,
      maxDeliveries: 100,
      maxDeliveryBytes: 1024 ** 2,
    })
  })
  afterEach(() => database.close())

  const enqueue = (payloadBytes: number): Operation => {
    const { payload: _payload, ...task } = newTask()
    return { name: 'enqueueTask', input: { ...task, payloadOffset: 0, payloadBytes } }
  }
  const run = (...operations: Operation[]): unknown[] =>
    runner
      .run(operations, { arriving: new ArrayBuffer(4 * 1024 * 1024), leaving: [] })
      .results.map(({ ok }) => ok)

  test('changes nothing when the disk is full, and works again when there is room', () => {
    const pages = Number(database.prepare('PRAGMA page_count').get()?.['page_count'])
    database.exec(`PRAGMA max_page_count = ${pages + 20}`)
    const large = 4 * 1024 * 1024
    const batch = [enqueue(1), enqueue(large), { name: 'countTasks', input: { account: '9' } } as const]
    const { results } = runner.run(batch, {
      arriving: new ArrayBuffer(large),
      leaving: [],
    })
    // What only reads goes on, as does what still finds room.
    expect(results).toEqual([
      { ok: true, output: undefined },
      { ok: false, failure: { kind: 'full' } },
      { ok: true, output: [] },
    ])
    expect(database.prepare('SELECT count(*) AS rows FROM tasks').get()).toEqual({ rows: 1 })
    expect(database.isTransaction).toBe(false)
    database.exec(`PRAGMA max_page_count = ${pages + 4000}`)
    // What failed, and what was undone with it, does not count towards the bound of two.
    expect(run(enqueue(1), enqueue(1))).toEqual([true, false])
  })

  test('has handed out nothing in a transaction that the disk had no room for', () => {
    const { payload: _payload, ...task } = newTask()
    const settle = (sequence: number): Operation => {
      const delivery = { ...newDelivery({ deliveryId: `d${sequence}` }), body: new Uint8Array(1) }
      const settlement = { ending: 'succeeded', attempts: 1, delivery } as const
      return { name: 'settleTask', input: { lease: `${sequence}.1`, settlement, nowMs: 0 } }
    }
    const claim = { limit: 2, nowMs: 0, leaseMs: 1000 }
    for (let sequence = 1; sequence <= 2; sequence += 1)
      run({ name: 'enqueueTask', input: { ...task, payloadOffset: 0, payloadBytes: 1 } })
    run({ name: 'claimTasks', input: claim }, settle(1), settle(2))

    const pages = Number(database.prepare('PRAGMA page_count').get()?.['page_count'])
    database.exec(`PRAGMA max_page_count = ${pages + 20}`)
    const share = { maxPerFunction: 2, maxPerOrigin: 2 }
    const one: Operation = { name: 'claimDeliveries', input: { ...claim, limit: 1, share } }
    // The large one makes the whole transaction fail; then each is tried alone.
    expect(run(one, enqueue(4 * 1024 * 1024))).toEqual([true, false])
    expect(run(one)).toEqual([true])
    const audit = runner.run([{ name: 'auditQueues', input: null }, one], {
      arriving: new ArrayBuffer(0),
      leaving: [],
    }).results
    expect(audit).toEqual([
      { ok: true, output: { imbalance: 0, miscounted: 0, strayPayloads: 0 } },
      { ok: true, output: [] },
    ])
    expect(
      database.prepare("SELECT count(*) AS leased FROM deliveries WHERE status = 'leased'").get(),
    ).toEqual({ leased: 2 })
  })

  test('counts only transactions that wrote something', () => {
    expect(runner.commits).toBe(0)
    run({ name: 'findNextDue', input: {} })
    expect(runner.commits).toBe(0)
    run(enqueue(1), enqueue(1))
    expect(runner.commits).toBe(1)
  })
})
