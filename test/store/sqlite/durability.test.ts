import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openDatabase } from '../../../src/store/sqlite/database.ts'

test('a commit is on the disk when it returns: write-ahead log, synced with every transaction', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'anvoke-store-'))
  const database = openDatabase(join(dir, 'store.db'))
  try {
    expect(database.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' })
    // 2 is FULL; NORMAL, 1, would sync at checkpoints only and lose what was acknowledged since.
    expect(database.prepare('PRAGMA synchronous').get()).toEqual({ synchronous: 2 })
  } finally {
    database.close()
    await rm(dir, { recursive: true })
  }
})
