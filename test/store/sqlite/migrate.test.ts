import { mkdtemp, rm } from 'node:fs/promises'
import { readFileSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { SqliteStore } from '../../../src/store/sqlite/sqlite-store.ts'

const MIGRATIONS = new URL('../../../src/store/sqlite/migrations/', import.meta.url)

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'anvoke-migrate-'))
})
afterEach(() => rm(dir, { recursive: true }))

/** A database as the version of the program with this schema left it. */
function databaseOfSchema(version: number): { file: string; database: DatabaseSync } {
  const file = join(dir, 'store.db')
  const database = new DatabaseSync(file)
  for (const name of readdirSync(MIGRATIONS).toSorted().slice(0, version))
    database.exec(readFileSync(new URL(name, MIGRATIONS), 'utf8'))
  database.exec(`PRAGMA user_version = ${version}`)
  return { file, database }
}

test('a database from before tasks could be cancelled keeps its tasks, and gives no row number twice', async () => {
  const { file, database } = databaseOfSchema(2)
  const insert = database.prepare(
    `INSERT INTO tasks (request_id, account, namespace, function_name, status, accepted_at_ms, due_at_ms,
       expires_at_ms, claimed_at_ms, max_retries, claims, payload_bytes, last_error)
     VALUES (?, 'a', 'n', 'f', ?, 1, 2, 3000, 2, 4, 5, 2, 'timedOut')`,
  )
  for (const status of ['waiting', 'leased', 'waiting']) insert.run(status, status)
  const payload = database.prepare('INSERT INTO task_payloads VALUES (?, ?)')
  for (const sequence of [1, 2, 3]) payload.run(sequence, Buffer.from('{}'))
  // The newest is forgotten: its number must stay used.
  database.exec('DELETE FROM tasks WHERE sequence = 3; DELETE FROM task_payloads WHERE sequence = 3')
  database.close()

  const store = await SqliteStore.open({ file })
  try {
    const claimed = await store.tasks.claim(10, 5, 1000)
    expect(
      claimed.map(({ sequence, lease, requestId, payload, lostRuns }) => [
        sequence,
        lease,
        requestId,
        String(payload),
        lostRuns,
      ]),
    ).toEqual([
      [1, '1.6', 'waiting', '{}', 0],
      [2, '2.6', 'leased', '{}', 1],
    ])
    expect(await store.tasks.find('a', 'leased')).toMatchObject({ status: 'running', lastError: 'timedOut' })
    const task = { account: 'a', namespace: 'n', functionName: 'f', acceptedAtMs: 0, dueAtMs: 0 }
    await store.tasks.enqueue({
      ...task,
      requestId: 'r4',
      payload: Buffer.alloc(0),
      maxRetries: 0,
      expiresAtMs: 9,
    })
    expect((await store.tasks.claim(1, 5, 1000)).map(({ sequence }) => sequence)).toEqual([4])
  } finally {
    await store.close()
  }
})

test('a database from before deliveries were counted keeps and counts them, and knows the sources of its tasks', async () => {
  const { file, database } = databaseOfSchema(4)
  database.exec(
    `INSERT INTO tasks (request_id, account, namespace, function_name, accepted_at_ms, due_at_ms, expires_at_ms, max_retries,
       payload_bytes, plan)
     VALUES ('r1', 'a', 'n', 'f', 1, 2, 3000, 0, 2, '{"source":"API","depth":1}'),
       ('r2', 'a', 'n', 'f', 1, 2, 3000, 0, 2, NULL);
     INSERT INTO task_payloads VALUES (1, x'7b7d'), (2, x'7b7d');
     INSERT INTO function_queues VALUES ('a', 'n', 'f', 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, NULL, NULL)`,
  )
  const insert = database.prepare(
    `INSERT INTO deliveries (delivery_id, account, namespace, function_name, request_id, ending, destination, depth, body,
       content_type, created_at_ms, status, due_at_ms, ended_at_ms)
     VALUES (?, 'a', 'n', 'f', ?, 'success', '{"dialect":"any","target":{"kind":"unreachable","name":"x"}}', 0, x'010203',
       'text/plain', 1, ?, 1, ?)`,
  )
  insert.run('d1', 'r8', 'waiting', null)
  insert.run('d2', 'r8', 'leased', null)
  insert.run('d3', 'r9', 'undeliverable', 7)
  database.close()

  const store = await SqliteStore.open({ file, now: () => 10 })
  try {
    expect(await store.tasks.audit()).toEqual({ imbalance: 0, miscounted: 0, strayPayloads: 0 })
    const [counters] = await store.tasks.counters({ account: 'a' })
    expect(counters?.deliveries).toEqual({ waiting: 2, delivering: 0, delivered: 0, undeliverable: 1 })
    const claimed = await store.outbox.claimDeliveries(9, 10, 1000)
    expect(claimed.map(({ deliveryId }) => deliveryId)).toEqual(['d1', 'd2'])
    const filter = { account: 'a', namespace: 'n', functionName: 'f', limit: 9 }
    const { tasks, total } = await store.tasks.list({ ...filter, source: 'API' })
    expect([total, ...tasks.map(({ requestId }) => requestId)]).toEqual([1, 'r1'])
  } finally {
    await store.close()
  }
})
