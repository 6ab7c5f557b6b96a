import { mkdirSync } from 'node:fs'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { SqliteStore } from '../../../src/store/sqlite/sqlite-store.ts'
import { newTask } from '../../contracts/store/task.ts'
import { Disk } from './disk.ts'
import { record, whyNotTraced } from './system-calls.ts'

const WORKING_STORE = fileURLToPath(new URL('./working-store.ts', import.meta.url))
const { account } = newTask()
const FAULT = 'fsync,fdatasync:error=EIO:when=40'

test('after a failed fsync nothing is acknowledged or written any more, and the next start has all that was', async (context) => {
  const missing = whyNotTraced()
  context.skip(missing !== '', missing)
  const root = await realpath(await mkdtemp(join(tmpdir(), 'anvoke-fsync-')))
  try {
    const dir = join(root, 'recorded')
    const found = join(root, 'found')
    mkdirSync(dir)
    mkdirSync(found)
    const events = record(dir, join(root, 'calls.log'), [WORKING_STORE, join(dir, 'store.db'), '400'], FAULT)
    const failedAt = events.findIndex(({ kind }) => kind === 'notSynced')
    const before = events.slice(0, failedAt)
    const accepted = before.flatMap((event) =>
      event.kind === 'said' && event.line.startsWith('+') ? [event.line.slice(1)] : [],
    )
    expect(accepted.length).toBeGreaterThan(5)
    const after = events.slice(failedAt + 1).map((event) => (event.kind === 'said' ? event.line : event.kind))
    // Acknowledgements of the transaction before may still be on their way through the other thread.
    expect(after.filter((line) => !/^[+-]/.test(line))).toEqual(['!the store failed'])

    // The kernel drops what it could not write, and says so once.
    const disk = new Disk(dir)
    for (const event of before) disk.apply(event)
    disk.writeTo(found, 'all', () => 0)
    const acknowledged = [...accepted, ...after.flatMap((line) => /^\+(.*)$/.exec(line)?.slice(1) ?? [])]
    const store = await SqliteStore.open({ file: join(found, 'store.db') })
    try {
      expect(await store.tasks.audit()).toEqual({ imbalance: 0, miscounted: 0, strayPayloads: 0 })
      const { tasks } = await store.tasks.list({ account, limit: 1000 })
      const there = new Set(tasks.map(({ requestId }) => requestId))
      expect(acknowledged.filter((id) => !there.has(id))).toEqual([])
    } finally {
      await store.close()
    }
  } finally {
    await rm(root, { recursive: true })
  }
}, 60_000)
