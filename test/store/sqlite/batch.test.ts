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

  describe('after a transaction that the disk had no room for', () => {
    const { payload: _payload, ...task } = newTask()
    const share = { maxPerFunction: 16, maxPerOrigin: 8 }
    const large = 4 * 1024 * 1024
    const settle = (sequence: number): Operation => {
      const delivery = { ...newDelivery({ deliveryId: `d${sequence}` }), body: new Uint8Array(1) }
      const settlement = { ending: 'succeeded', attempts: 1, delivery } as const
      return { name: 'settleTask', input: { lease: `${sequence}.1`, settlement, nowMs: 0 } }
    }
    const outputOf = (operation: Operation): unknown => {
      const [result] = runner.run([operation], { arriving: new ArrayBuffer(0), leaving: [] }).results
      return result?.ok === true ? result.output : result
    }
    /** The large one makes the whole transaction fail; then each is tried alone. */
    const runOnFullDisk = (...operations: Operation[]): void => {
      const pages = Number(database.prepare('PRAGMA page_count').get()?.['page_count'])
      database.exec(`PRAGMA max_page_count = ${pages + 20}`)
      expect(run(...operations, enqueue(large))).toEqual([...operations.map(() => true), false])
      database.exec(`PRAGMA max_page_count = ${pages + 4000}`)
    }
    const claimDeliveries = (nowMs: number): Operation => ({
      name: 'claimDeliveries',
      input: { limit: 1, nowMs, leaseMs: 60_000, share },
    })
    const audit: Operation = { name: 'auditQueues', input: null }
    const sound = { imbalance: 0, miscounted: 0, strayPayloads: 0 }

    test.each<readonly [string, Operation, readonly string[]]>([
      ['is delivered', { name: 'endDelivery', input: { lease: '1.1', nowMs: 1 } }, ['d2']],
      ['is given up', { name: 'endDelivery', input: { lease: '1.1', lastError: 'x', nowMs: 1 } }, ['d2']],
      [
        'is put back',
        { name: 'retryDelivery', input: { lease: '1.1', dueAtMs: 5, lastError: 'x' } },
        ['d2', 'd1'],
      ],
      ['is renewed', { name: 'renewDeliveries', input: { leases: ['1.1'], untilMs: 3_600_001 } }, ['d2']],
    ])('no delivery is lost from its line when one before it %s', (_what, operation, left) => {
      for (let sequence = 1; sequence <= 2; sequence += 1)
        run({ name: 'enqueueTask', input: { ...task, payloadOffset: 0, payloadBytes: 1 } })
      run({ name: 'claimTasks', input: { limit: 2, nowMs: 0, leaseMs: 1000 } }, settle(1), settle(2))
      expect(outputOf(claimDeliveries(0))).toMatchObject([{ deliveryId: 'd1' }])
      runOnFullDisk(operation)
      expect(outputOf(audit)).toEqual(sound)
      for (const deliveryId of left)
        expect(outputOf(claimDeliveries(3_600_000))).toMatchObject([{ deliveryId }])
      expect(outputOf(claimDeliveries(3_600_000))).toEqual([])
      expect(outputOf(audit)).toEqual(sound)
    })

    test('a delivery that is written then is counted once', () => {
      run({ name: 'enqueueTask', input: { ...task, payloadOffset: 0, payloadBytes: 1 } })
      run({ name: 'claimTasks', input: { limit: 1, nowMs: 0, leaseMs: 1000 } })
      runOnFullDisk(settle(1))
      expect(outputOf(audit)).toEqual(sound)
      expect(outputOf(claimDeliveries(0))).toMatchObject([{ deliveryId: 'd1' }])
      expect(run({ name: 'endDelivery', input: { lease: '1.1', nowMs: 1 } })).toEqual([true])
      expect(outputOf({ name: 'findNextDelivery', input: { share } })).toBeUndefined()
    })

    test('a lease that was to be renewed in it ends when it would have', () => {
      run({ name: 'enqueueTask', input: { ...task, payloadOffset: 0, payloadBytes: 1 } })
      const claimAt = (nowMs: number): Operation => ({
        name: 'claimTasks',
        input: { limit: 1, nowMs, leaseMs: 60_000, share: { maxRuns: 1 } },
      })
      run(claimAt(0))
      const renew: Operation = { name: 'renewLeases', input: { leases: ['1.1'], untilMs: 90_000 } }
      // Written last in a transaction.
      database.exec(
        "CREATE TEMP TRIGGER refuse BEFORE UPDATE ON queue_clock BEGIN SELECT RAISE(ABORT, 'no room'); END",
      )
      expect(run(renew, claimAt(60_000))).toEqual([false, false])
      database.exec('DROP TRIGGER refuse')
      expect(outputOf(audit)).toEqual(sound)
      expect(outputOf(claimAt(60_000))).toMatchObject([{ lostRuns: 1 }])
    })
  })

  test('a task without its event fails alone, and is not accepted anew', () => {
    const outputOf = (operation: Operation): unknown => {
      const [result] = runner.run([operation], { arriving: new ArrayBuffer(0), leaving: [] }).results
      return result?.ok === true ? result.output : result
    }
    const claim: Operation = {
      name: 'claimTasks',
      input: { limit: 0, nowMs: 1, leaseMs: 1000, share: { maxRuns: 1, firstRuns: 1 } },
    }
    run(enqueue(1), enqueue(1))
    database.exec('DELETE FROM task_payloads WHERE sequence = 1')
    expect(outputOf(claim)).toMatchObject([{ sequence: 2 }])
    const { account, requestId } = newTask()
    expect(database.prepare('SELECT status, last_error FROM tasks WHERE sequence = 1').get()).toEqual({
      status: 'failed',
      last_error: 'eventLost',
    })
    const { namespace, functionName: name } = newTask()
    const owner = { account, namespace, name }
    for (const which of [{}, { requestIds: [requestId] }])
      expect(outputOf({ name: 'redriveTasks', input: { owner, limit: 10, nowMs: 2, which } })).toEqual([])
    expect(outputOf({ name: 'auditQueues', input: null })).toEqual({
      imbalance: 0,
      miscounted: 0,
      strayPayloads: 0,
    })
  })

  test('a task without its event is told to nobody, and is not said to be told', () => {
    const { payload: _payload, ...task } = newTask()
    const { destination } = newDelivery()
    const destinations = { onFailure: destination }
    const input = { ...task, destinations, payloadOffset: 0, payloadBytes: 1 }
    run({ name: 'enqueueTask', input })
    database.exec('DELETE FROM task_payloads')
    run({ name: 'claimTasks', input: { limit: 1, nowMs: 1, leaseMs: 1000 } })
    const { account, requestId } = task
    const [found] = runner.run([{ name: 'findDetails', input: { account, by: { requestId } } }], {
      arriving: new ArrayBuffer(0),
      leaving: [],
    }).results
    const output = found?.ok === true ? found.output : found
    expect(output).toMatchObject({ status: 'failed', lastError: 'eventLost', destinations })
    expect(output).not.toHaveProperty('telling')
    expect(database.prepare('SELECT count(*) AS rows FROM deliveries').get()).toEqual({ rows: 0 })
  })

  test('the lease of a stopped task ends it, and no other, while its function is paused', () => {
    const outputOf = (operation: Operation): unknown => {
      const [result] = runner.run([operation], { arriving: new ArrayBuffer(0), leaving: [] }).results
      return result?.ok === true ? result.output : result
    }
    const { payload: _payload, ...task } = newTask()
    const { account, namespace, functionName: name } = task
    for (const requestId of ['left', 'stopped'])
      run({ name: 'enqueueTask', input: { ...task, requestId, payloadOffset: 0, payloadBytes: 1 } })
    const claimAt = (nowMs: number): Operation => ({
      name: 'claimTasks',
      input: { limit: 2, nowMs, leaseMs: 1000 },
    })
    const next: Operation = { name: 'findNextDue', input: {} }
    run(claimAt(0))
    const change = { isPaused: true }
    run({ name: 'controlQueue', input: { owner: { account, namespace, name }, change } })
    expect(outputOf(next)).toBeUndefined()
    const stop = { account, requestId: 'stopped', nowMs: 1, marksRunning: true }
    expect(outputOf({ name: 'cancelTask', input: stop })).toBe('running')
    expect(outputOf(next)).toBe(1000)
    const statuses = (): unknown[] =>
      database
        .prepare('SELECT status FROM tasks')
        .all()
        .map((row) => row['status'])
    expect(outputOf(claimAt(999))).toEqual([])
    expect(statuses()).toEqual(['leased', 'leased'])
    expect(outputOf(claimAt(1000))).toEqual([])
    expect(statuses()).toEqual(['leased', 'cancelled'])
    expect(outputOf(next)).toBeUndefined()
    expect(outputOf({ name: 'auditQueues', input: null })).toEqual({
      imbalance: 0,
      miscounted: 0,
      strayPayloads: 0,
    })
  })

  test('counts only transactions that wrote something', () => {
    expect(runner.commits).toBe(0)
    run({ name: 'findNextDue', input: {} })
    expect(runner.commits).toBe(0)
    run(enqueue(1), enqueue(1))
    expect(runner.commits).toBe(1)
  })
})
