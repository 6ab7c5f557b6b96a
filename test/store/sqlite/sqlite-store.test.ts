import { readdir, stat, truncate, writeFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SqliteStore } from '../../../src/store/sqlite/sqlite-store.ts'
import { StoreRefused } from '../../../src/store/sqlite/store-refused.ts'
import { newTask } from '../../contracts/store/task.ts'
import { StoreHarness } from './harness.ts'

const DAY_MS = 24 * 3_600_000

describe('SqliteStore', () => {
  let nowMs: number
  let failures: Error[]
  let worker: Worker
  let harness: StoreHarness

  beforeEach(async () => {
    nowMs = 0
    failures = []
    const started = new Promise<Worker>((resolve) => process.once('worker', resolve))
    harness = await StoreHarness.open({ now: () => nowMs, onFailure: (error) => failures.push(error) })
    worker = await started
  })
  afterEach(() => harness.close())

  const enqueueMany = (count: number): Promise<PromiseSettledResult<void>[]> =>
    Promise.allSettled(Array.from({ length: count }, () => harness.tasks().enqueue(newTask())))

  test('commits calls made at the same time together', async () => {
    const before = harness.store.commits
    const results = await enqueueMany(1000)
    expect(results.every(({ status }) => status === 'fulfilled')).toBe(true)
    expect(harness.store.commits - before).toBe(1)
  })

  test('commits what arrives during a transaction together in the next', async () => {
    const before = harness.store.commits
    const first = harness.tasks().enqueue(newTask())
    // The first is on its way to the disk once its microtask has run.
    await Promise.resolve()
    const later = Array.from({ length: 300 }, async () => {
      await Promise.resolve()
      await harness.tasks().enqueue(newTask())
    })
    await Promise.all([first, ...later])
    expect(harness.store.commits - before).toBe(2)
  })

  test('writes nothing for a call that only reads', async () => {
    const before = harness.store.commits
    await Promise.all([
      harness.tasks().claim(5, 0, 1000),
      harness.tasks().nextDueAtMs(),
      harness.definitions().load(),
    ])
    expect(harness.store.commits).toBe(before)
  })

  test('splits payloads that are large together over several transactions', async () => {
    const before = harness.store.commits
    const payload = Buffer.alloc(6 * 1024 * 1024, 1)
    await Promise.all(Array.from({ length: 6 }, () => harness.tasks().enqueue(newTask({ payload }))))
    expect(harness.store.commits - before).toBe(3)
  })

  test('fails alone what the database refuses, not its neighbours', async () => {
    const results = await Promise.allSettled([
      harness.tasks().enqueue(newTask()),
      harness.tasks().enqueue(newTask({ dueAtMs: 0.5 })),
      harness.tasks().enqueue(newTask()),
    ])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(results[1]).toMatchObject({ reason: { code: 'platform/store-failed' } })
    expect(await harness.tasks().claim(10, 0, 1000)).toHaveLength(2)
  })

  test('fails what cannot be sent to its thread, and goes on', async () => {
    const task = Object.assign(newTask(), { requestId: () => 'a function cannot be cloned' })
    await expect(Reflect.apply(harness.tasks().enqueue, harness.tasks(), [task])).rejects.toMatchObject({
      code: 'platform/store-failed',
    })
    await harness.tasks().enqueue(newTask())
  })

  test('refuses a second server on the same file, naming it', async () => {
    const second = SqliteStore.open({ file: harness.file })
    await expect(second).rejects.toThrow(StoreRefused)
    await expect(second).rejects.toThrow(`${harness.file}: is in use by another server`)
    // The first one still has its lock.
    await harness.tasks().enqueue(newTask())
    await expect(SqliteStore.open({ file: harness.file })).rejects.toThrow('is in use')
  })

  test('refuses a database of a newer version, and leaves it as it is', async () => {
    await harness.store.close()
    const database = new DatabaseSync(harness.file)
    database.exec('PRAGMA user_version = 99')
    database.close()
    await expect(SqliteStore.open({ file: harness.file })).rejects.toThrow(
      /store\.db: was written by a newer version/,
    )
    const after = new DatabaseSync(harness.file)
    expect(after.prepare('PRAGMA user_version').get()).toEqual({ user_version: 99 })
    after.close()
  })

  test('refuses a file that is no database, naming it', async () => {
    await harness.store.close()
    await writeFile(harness.file, 'certainly not a database, but long enough to look at'.repeat(100))
    await expect(SqliteStore.open({ file: harness.file })).rejects.toThrow(
      `${harness.file}: file is not a database`,
    )
  })

  test('refuses a file in a directory that is not there', async () => {
    await expect(SqliteStore.open({ file: `${harness.file}/no/store.db` })).rejects.toThrow(StoreRefused)
  })

  test('keeps its files from other users', async () => {
    await harness.tasks().enqueue(newTask())
    const names = await readdir(dirname(harness.file))
    expect(names.toSorted()).toEqual(['store.db', 'store.db-wal'])
    const modes = await Promise.all(names.map((name) => stat(`${dirname(harness.file)}/${name}`)))
    expect(modes.map(({ mode }) => mode & 0o777)).toEqual([0o600, 0o600])
  })

  test('finishes what it was given when it is closed, and leaves one file', async () => {
    const given = enqueueMany(2500)
    await harness.store.close()
    expect((await given).every(({ status }) => status === 'fulfilled')).toBe(true)
    expect(await readdir(dirname(harness.file))).toEqual([basename(harness.file)])
    await harness.restart()
    expect(await harness.tasks().claim(3000, 0, 1000)).toHaveLength(2500)
  })

  test('rejects calls after it was closed', async () => {
    await harness.store.close()
    await harness.store.close()
    const rejection = { code: 'platform/store-failed', details: { reason: 'the store is closed' } }
    await expect(harness.tasks().enqueue(newTask())).rejects.toMatchObject(rejection)
    await expect(harness.definitions().load()).rejects.toMatchObject(rejection)
    expect(failures).toEqual([])
  })

  test('rejects every call, pending and later, when its thread dies', async () => {
    const pending = enqueueMany(1500)
    await Promise.resolve()
    await worker.terminate()
    const results = await pending
    expect(results).toHaveLength(1500)
    for (const result of results)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'platform/store-failed' } })
    await expect(harness.tasks().nextDueAtMs()).rejects.toMatchObject({ code: 'platform/store-failed' })
    expect(failures).toHaveLength(1)
  })

  test('goes out of service when its file is damaged under it', async () => {
    const payload = Buffer.alloc(1024 * 1024)
    await Promise.all([1, 2, 3].map(() => harness.tasks().enqueue(newTask({ payload }))))
    // A new start has an empty log and an empty cache: it must read the file.
    await harness.restart()
    await truncate(harness.file, 64 * 1024)
    const claimed = harness.tasks().claim(3, 0, 1000)
    await expect(claimed).rejects.toMatchObject({ code: 'platform/store-failed' })
    await harness.store.close()
    expect(failures).toHaveLength(1)
    await expect(harness.tasks().enqueue(newTask())).rejects.toBe(failures[0])
  })

  test('forgets ended tasks when their retention is over, and no others', async () => {
    await harness.tasks().enqueue(newTask({ taskId: 'waiting', dueAtMs: 10 * DAY_MS }))
    const early = Array.from({ length: 1200 }, (_, index) => newTask({ taskId: `early-${index}` }))
    await Promise.all(early.map((task) => harness.tasks().enqueue(task)))
    for (const { lease } of await harness.tasks().claim(1200, 0, 1000))
      void harness.tasks().settle(lease, { ending: 'succeeded', attempts: 1 })
    nowMs = DAY_MS
    await harness.tasks().enqueue(newTask({ taskId: 'late' }))
    const [late] = await harness.tasks().claim(1, 0, 1000)
    await harness.tasks().settle(late!.lease, { ending: 'failed', attempts: 1 })

    nowMs = 7 * DAY_MS
    expect(await harness.store.purgeEndedTasks()).toBe(0)
    nowMs += 1
    expect(await harness.store.purgeEndedTasks()).toBe(1200)
    expect(await harness.store.purgeEndedTasks()).toBe(0)
    await harness.tasks().enqueue(newTask({ taskId: 'early-7' }))
    await expect(harness.tasks().enqueue(newTask({ taskId: 'late' }))).rejects.toMatchObject({
      code: 'caller/task-exists',
    })
    await expect(harness.tasks().enqueue(newTask({ taskId: 'waiting' }))).rejects.toMatchObject({
      code: 'caller/task-exists',
    })
  })

  test('keeps of an ended task how it went, and of one that failed its payload', async () => {
    await harness.tasks().enqueue(newTask({ taskId: 'a' }))
    const [first] = await harness.tasks().claim(1, 10, 1000)
    await harness
      .tasks()
      .postpone(first!.lease, { dueAtMs: 20, attempts: 1, deferrals: 0, lastError: 'timedOut' })
    const [second] = await harness.tasks().claim(1, 30, 1000)
    nowMs = 40
    await harness
      .tasks()
      .settle(second!.lease, { ending: 'failed', attempts: 2, lastError: 'E'.repeat(1000) })
    await harness.store.close()
    const database = new DatabaseSync(harness.file)
    const columns = 'status, started_at_ms, ended_at_ms, attempts, last_error'
    expect(database.prepare(`SELECT ${columns} FROM tasks`).all()).toEqual([
      { status: 'failed', started_at_ms: 10, ended_at_ms: 40, attempts: 2, last_error: 'E'.repeat(256) },
    ])
    expect(database.prepare('SELECT count(*) AS payloads FROM task_payloads').get()).toEqual({ payloads: 1 })
    database.close()
  })
})
