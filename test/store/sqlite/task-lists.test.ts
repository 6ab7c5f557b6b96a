import { mkdtempSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDatabase } from '../../../src/store/sqlite/database.ts'
import { FunctionQueues } from '../../../src/store/sqlite/function-queues.ts'
import { SqliteStore } from '../../../src/store/sqlite/sqlite-store.ts'
import { prepareList, type ListTasks } from '../../../src/store/sqlite/task-list.ts'
import type { TaskFilter } from '../../../src/store/task-queue.ts'

const OWNER = { account: 'a', namespace: 'n', functionName: 'f' }
/** More than one look. */
const MANY = 25_000
const LIMITS = {
  maxQueuedTasks: MANY,
  maxQueuedTasksPerFunction: MANY,
  maxQueuedBytes: 1e9,
  maxEndedTasks: MANY,
  maxKeptBytes: 1e9,
  maxDeliveries: 1,
  maxDeliveryBytes: 1,
}

let directory: string
let file: string
let database: DatabaseSync
let list: ListTasks
let statements: string[]

/** Calls that wait, each accepted a millisecond after the one before; three runs have begun, a look and more from the newest. */
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'anvoke-lists-'))
  file = join(directory, 'store.db')
  database = openDatabase(file)
  database.exec(`
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${MANY})
    INSERT INTO tasks (request_id, account, namespace, function_name, task_id, accepted_at_ms, due_at_ms, expires_at_ms,
      max_retries, plan, payload_bytes, started_at_ms)
    SELECT 'r' || i, 'a', 'n', 'f', 't' || i, i, i, 1e15, 3, '{"source":"s"}', 0, CASE WHEN i IN (7, 8, 12000) THEN i END FROM n;
    INSERT INTO task_payloads SELECT sequence, x'' FROM tasks;
    INSERT INTO function_queues (account, namespace, function_name, accepted, waiting, running, succeeded, failed, expired,
      cancelled, repeats, refusals, duplicates, live_bytes, kept_bytes, forgotten_succeeded, forgotten_failed, forgotten_expired,
      forgotten_cancelled)
    VALUES ('a', 'n', 'f', ${MANY}, ${MANY}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)`)
  const prepare = database.prepare.bind(database)
  statements = []
  list = prepareList(
    Object.assign(Object.create(database) as DatabaseSync, {
      prepare: (sql: string) => {
        statements.push(sql)
        return prepare(sql)
      },
    }),
    new FunctionQueues(database, LIMITS),
  )
})
afterAll(() => {
  database.close()
  rmSync(directory, { recursive: true })
})

const ask = (filter: Omit<TaskFilter, 'account' | 'limit'>, limit = 20) =>
  list({ filter: { ...OWNER, limit, ...filter } })

describe('a list of a function with many calls', () => {
  test.each<[string, Omit<TaskFilter, 'account' | 'limit'>, string]>([
    ['all', {}, 'tasks_by_acceptance'],
    ['those of a source', { source: 's' }, 'tasks_by_source'],
    ['those that wait', { statuses: ['waiting'], acceptedFromMs: 1 }, 'tasks_by_acceptance'],
    [
      'those that wait for a repeat',
      { statuses: ['waiting'], isRepeat: true, source: 's' },
      'tasks_repeated',
    ],
    ['those of a version', { qualifier: '1', source: 's' }, 'tasks_by_qualifier'],
    ['those with an id that begins so', { taskIdPrefix: 'zz', source: 's' }, 'tasks_by_task_id'],
    ['those with one of the many ids that begin so', { taskIdPrefix: 't' }, 'tasks_with_own_id'],
    ['those that ended in a time', { endedFromMs: 1, endedToMs: 2 }, 'tasks_by_end'],
    ['those that ended, the latest first', { orderBy: 'ended' }, 'tasks_by_end'],
    ['those that failed', { statuses: ['failed', 'expired'] }, 'tasks_by_ending'],
    [
      'those that failed while they were stopped',
      { statuses: ['failed', 'cancelled'], cancelledAs: 'failed' },
      'tasks_failed_in_stop',
    ],
    ['those that run', { statuses: ['running'] }, 'tasks_leased'],
  ])('goes by an index: %s', (_, filter, index) => {
    statements.length = 0
    ask(filter)
    const pages = statements.filter((sql) => sql.includes('request_id'))
    expect(pages).toHaveLength(1)
    const steps = pages.flatMap((sql) => database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all())
    expect(steps.map(({ detail }) => String(detail)).join('\n')).toContain(`INDEX ${index} (account=?`)
  })

  test('has no sorting where many fit', () => {
    statements.length = 0
    ask({ startedFromMs: 1 })
    ask({ taskIdPrefix: 't', source: 's' })
    ask({ statuses: ['waiting'], isRepeat: false, source: 's' })
    const steps = statements
      .filter((sql) => sql.includes('sequence DESC'))
      .flatMap((sql) => database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all())
    expect(steps.length).toBeGreaterThan(3)
    expect(steps.map(({ detail }) => String(detail)).join('\n')).not.toContain('TEMP B-TREE')
  })

  test('is walked from where a page begins or a look ends, not from where the asked time does', () => {
    statements.length = 0
    ask({ statuses: ['waiting'], acceptedFromMs: 1, acceptedToMs: 1e6 })
    ask({ statuses: ['waiting'], acceptedFromMs: 1, acceptedToMs: 1e6, after: '20000.20000' })
    const counts = statements.filter((sql) => sql.includes('count(*)'))
    expect(counts).toHaveLength(2)
    for (const sql of counts) expect(sql).toContain(' AND +accepted_at_ms >= ? AND accepted_at_ms < ?')
    const pages = statements.filter((sql) => sql.includes('request_id'))
    expect(pages.at(-1)).toContain(' AND +accepted_at_ms >= ? AND +accepted_at_ms < ?')
  })

  test('looks at so many where no index leads to what fits, and goes on from there', () => {
    const first = ask({ startedFromMs: 1 })
    expect(first).toEqual({ tasks: [], total: 0, passed: 0, isCut: true, next: '15001.15001' })
    const second = ask({ startedFromMs: 1, after: first.next ?? '' })
    expect(second.tasks.map(({ requestId }) => requestId)).toEqual(['r12000'])
    expect(second).toMatchObject({ isCut: true, next: '5001.5001' })
    const third = ask({ startedFromMs: 1, after: second.next ?? '' })
    expect(third.tasks.map(({ requestId }) => requestId)).toEqual(['r8', 'r7'])
    expect(third.next).toBeUndefined()
  })

  test('leaves out at the front what fits, over several looks', () => {
    const oldest = { startedFromMs: 1, order: 'oldest' } as const
    const first = ask({ ...oldest, offset: 3 })
    expect(first).toMatchObject({ tasks: [], total: 2, passed: 2, next: '10000.10000' })
    expect(ask({ ...oldest, after: first.next ?? '', offset: 0 }).tasks[0]?.requestId).toBe('r12000')
  })
})

test('a page is of several looks, with what is left out at the front and a total of no fewer than it shows', async () => {
  database.close()
  const store = await SqliteStore.open({ file })
  try {
    const page = await store.tasks.list({ ...OWNER, limit: 20, offset: 1, startedFromMs: 1 })
    expect(page.tasks.map(({ requestId }) => requestId)).toEqual(['r8', 'r7'])
    expect(page.total).toBe(3)
    expect(page.next).toBeUndefined()
    const full = await store.tasks.list({ ...OWNER, limit: 1, startedFromMs: 1 })
    expect(full.tasks.map(({ requestId }) => requestId)).toEqual(['r12000'])
    expect(full.next).toBe('5001.5001')
  } finally {
    await store.close()
    database = new DatabaseSync(file)
  }
})
