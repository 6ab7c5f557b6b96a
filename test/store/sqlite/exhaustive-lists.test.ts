import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDatabase } from '../../../src/store/sqlite/database.ts'
import { SqliteStore } from '../../../src/store/sqlite/sqlite-store.ts'
import type { TaskFilter, TaskPage, TaskRecord } from '../../../src/store/task-queue.ts'

type Asked = Omit<TaskFilter, 'account' | 'namespace' | 'functionName' | 'limit'>

const OWNER = { account: 'a', namespace: 'n', functionName: 'f' }
/** More than are looked at in one go. */
const PURGED = 25_000
/** Among the oldest, those that are looked for. */
const OLD = 300

let directory: string
let store: SqliteStore
let all: readonly TaskRecord[]

/** A few calls of all kinds, two in each millisecond, and after them many that were purged; of every tenth of these the run was stopped. */
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'anvoke-exhaustive-'))
  const file = join(directory, 'store.db')
  const database = openDatabase(file)
  database.exec(`
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${OLD + PURGED}),
    kinds AS (SELECT i, CASE WHEN i > ${OLD} THEN 'purged' ELSE
      CASE i % 7 WHEN 0 THEN 'succeeded' WHEN 1 THEN 'failed' WHEN 2 THEN 'expired' WHEN 3 THEN 'waiting' ELSE 'stopped' END END AS kind FROM n)
    INSERT INTO tasks (request_id, account, namespace, function_name, qualifier, status, accepted_at_ms, due_at_ms, expires_at_ms,
      max_retries, payload_bytes, started_at_ms, ended_at_ms, stop_requested_at_ms, last_error)
    SELECT 'r' || i, 'a', 'n', 'f', CASE i % 5 WHEN 0 THEN '1' WHEN 1 THEN 'LATEST' WHEN 2 THEN 'prod' END,
      CASE kind WHEN 'purged' THEN 'cancelled' WHEN 'stopped' THEN 'cancelled' ELSE kind END, i / 2, i, 1e15, 3, 0,
      CASE WHEN kind NOT IN ('waiting', 'purged') THEN i END, CASE WHEN kind <> 'waiting' THEN 100000 - i END,
      CASE WHEN kind = 'stopped' OR i % 10 = 0 THEN i END,
      CASE kind WHEN 'purged' THEN CASE WHEN i % 10 = 0 THEN 'terminated' ELSE 'purged' END WHEN 'waiting' THEN NULL
        WHEN 'stopped' THEN CASE i % 3 WHEN 0 THEN 'exited' WHEN 1 THEN 'terminated' END ELSE 'Boom' END
    FROM kinds;
    INSERT INTO task_payloads SELECT sequence, x'' FROM tasks WHERE ended_at_ms IS NULL;
    INSERT INTO function_queues (account, namespace, function_name, accepted, waiting, running, succeeded, failed, expired,
      cancelled, repeats, refusals, duplicates, live_bytes, kept_bytes, forgotten_succeeded, forgotten_failed, forgotten_expired,
      forgotten_cancelled)
    SELECT 'a', 'n', 'f', count(*), sum(status = 'waiting'), 0, sum(status = 'succeeded'), sum(status = 'failed'), sum(status = 'expired'),
      sum(status = 'cancelled'), 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM tasks`)
  database.close()
  store = await SqliteStore.open({ file })
  expect(await store.tasks.audit()).toEqual({ imbalance: 0, miscounted: 0, strayPayloads: 0 })
  const found: TaskRecord[] = []
  for (let after: string | undefined = ''; after !== undefined;) {
    const page: TaskPage = await store.tasks.list({ ...OWNER, limit: 1000, order: 'oldest', after })
    found.push(...page.tasks)
    after = page.next
  }
  all = found
})
afterAll(async () => {
  await store.close()
  rmSync(directory, { recursive: true })
})

/** As the filter is described, over all tasks in the order of their acceptance. */
function expected(filter: Asked): readonly string[] {
  const { qualifier, statuses, cancelledAs, orderBy = 'accepted', order = 'newest' } = filter
  const isIn = (ms: number | undefined, fromMs = 0, toMs = 1e9): boolean =>
    (fromMs === 0 && toMs === 1e9) || (ms !== undefined && fromMs <= ms && ms < toMs)
  const failedInStop = (task: TaskRecord): boolean =>
    task.stopRequestedAtMs !== undefined && (task.lastError ?? 'terminated') !== 'terminated'
  const found = all.filter(
    (task) =>
      (qualifier === undefined || (task.qualifier ?? 'LATEST') === qualifier) &&
      (statuses?.includes(task.status) ?? true) &&
      (cancelledAs === undefined ||
        task.status !== 'cancelled' ||
        failedInStop(task) === (cancelledAs === 'failed')) &&
      (orderBy === 'accepted' || task.endedAtMs !== undefined) &&
      isIn(task.acceptedAtMs, filter.acceptedFromMs, filter.acceptedToMs) &&
      isIn(task.startedAtMs, filter.startedFromMs, filter.startedToMs) &&
      isIn(task.endedAtMs, filter.endedFromMs, filter.endedToMs),
  )
  const sorted =
    orderBy === 'ended' ? found.toSorted((a, b) => (a.endedAtMs ?? 0) - (b.endedAtMs ?? 0)) : found
  const ids = sorted.map(({ requestId }) => requestId)
  return order === 'oldest' ? ids : ids.toReversed()
}

const FAILED: Asked = { statuses: ['failed', 'expired', 'cancelled'], cancelledAs: 'failed' }
const STOPPED: Asked = { statuses: ['cancelled'], cancelledAs: 'stopped' }

describe('an exhaustive list', () => {
  test.each<[string, Asked]>([
    ['all', {}],
    ['those that failed, also while they were stopped', FAILED],
    ['the same by their ends', { ...FAILED, orderBy: 'ended' }],
    ['the same of a version', { ...FAILED, qualifier: '1' }],
    ['the same of the latest state', { ...FAILED, qualifier: 'LATEST' }],
    [
      'the same that wait, too',
      { ...FAILED, statuses: ['waiting', 'running', 'failed', 'expired', 'cancelled'] },
    ],
    ['the same since a time', { ...FAILED, acceptedFromMs: 20, acceptedToMs: 140 }],
    ['the same that ended in a time', { ...FAILED, endedFromMs: 99_750, endedToMs: 99_950 }],
    ['those that only failed while they were stopped', { statuses: ['cancelled'], cancelledAs: 'failed' }],
    ['those that were stopped, or purged', STOPPED],
    ['the same by their ends', { ...STOPPED, orderBy: 'ended' }],
    ['the same of the latest state', { ...STOPPED, qualifier: 'LATEST' }],
    ['the same, and those that succeeded', { ...STOPPED, statuses: ['succeeded', 'cancelled'] }],
    ['the same, and those that wait', { ...STOPPED, statuses: ['waiting', 'running', 'cancelled'] }],
    ['the same of any state', { cancelledAs: 'stopped' }],
    ['those that failed while they were stopped, and all others', { cancelledAs: 'failed' }],
    ['those of the latest state', { qualifier: 'LATEST' }],
    ['the same by their ends', { qualifier: 'LATEST', orderBy: 'ended' }],
    ['the same that wait', { qualifier: 'LATEST', statuses: ['waiting'] }],
    ['the same that were cancelled', { qualifier: 'LATEST', statuses: ['cancelled'] }],
    ['those of a version', { qualifier: '1' }],
    ['the same by their ends', { qualifier: '1', orderBy: 'ended' }],
    ['those that are live or were cancelled', { statuses: ['waiting', 'running', 'cancelled'] }],
    ['those that ended', { orderBy: 'ended' }],
    ['those that were cancelled, by their ends', { orderBy: 'ended', statuses: ['waiting', 'cancelled'] }],
    ['those that began', { startedFromMs: 1 }],
    ['those in no state', { statuses: [] }],
    ['those in no state that ended in a time', { statuses: [], endedFromMs: 1 }],
  ])('finds and counts every one: %s', async (_, asked) => {
    for (const order of ['newest', 'oldest'] as const) {
      const ids = expected({ ...asked, order })
      for (const offset of new Set([0, 37, ids.length >> 1, Math.max(0, ids.length - 3), ids.length + 5])) {
        const page = await store.tasks.list({
          ...OWNER,
          ...asked,
          order,
          offset,
          limit: 20,
          isExhaustive: true,
        })
        expect([page.total, ...page.tasks.map(({ requestId }) => requestId)]).toEqual([
          ids.length,
          ...ids.slice(offset, offset + 20),
        ])
      }
    }
  })
})
