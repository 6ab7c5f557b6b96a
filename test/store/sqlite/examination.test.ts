import { copyFile, mkdir, mkdtemp, open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { examineDatabase } from '../../../src/store/sqlite/examination.ts'
import { SqliteStore } from '../../../src/store/sqlite/sqlite-store.ts'
import { damageIn, StoreRefused } from '../../../src/store/sqlite/store-refused.ts'
import { newTask } from '../../contracts/store/task.ts'

describe('a database of a server that does not run', () => {
  let dir: string
  let file: string
  let trace: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'examined-'))
    file = join(dir, 'anvoke.db')
    trace = join(dir, 'packages')
  })
  afterEach(async () => {
    await rm(dir, { recursive: true })
  })

  async function fill(tasks = 20): Promise<SqliteStore> {
    const store = await SqliteStore.open({ file })
    const payload = Buffer.alloc(20_000, 7)
    await Promise.all(
      Array.from({ length: tasks }, (_, index) =>
        store.tasks.enqueue(newTask({ taskId: `task-${index}`, payload })),
      ),
    )
    return store
  }

  /** What a server that is killed leaves: its file and its log. */
  async function killed(): Promise<void> {
    const store = await fill()
    const left = join(dir, 'left')
    await copyFile(file, left)
    await copyFile(`${file}-wal`, `${left}-wal`)
    await store.close()
    await copyFile(left, file)
    await copyFile(`${left}-wal`, `${file}-wal`)
    await Promise.all([rm(left), rm(`${left}-wal`)])
  }

  async function overwrite(path: string, position: number): Promise<void> {
    const handle = await open(path, 'r+')
    await handle.write(Buffer.alloc(4096, 0x5a), 0, 4096, position)
    await handle.close()
  }

  test('is sound as it was closed, and is left as it is', async () => {
    await (await fill()).close()
    const before = await readFile(file)
    expect(examineDatabase(file, [trace])).toEqual({ state: 'sound', mib: 1 })
    expect(await readFile(file)).toEqual(before)
    expect(await readdir(dir)).toEqual(['anvoke.db'])
  })

  test('is sound with the log of one that was killed, and both are left as they are', async () => {
    await killed()
    const before = [await readFile(file), await readFile(`${file}-wal`)]
    expect(examineDatabase(file, [trace]).state).toBe('sound')
    expect([await readFile(file), await readFile(`${file}-wal`)]).toEqual(before)
    expect(await readdir(dir)).toEqual(['anvoke.db', 'anvoke.db-wal'])
    expect((await readdir(tmpdir())).filter((name) => name.startsWith('anvoke-examined-'))).toEqual([])
  })

  test('is damaged where a page was overwritten', async () => {
    await (await fill()).close()
    await overwrite(file, 20 * 4096)
    expect(examineDatabase(file, [trace])).toMatchObject({ state: 'damaged' })
    await overwrite(file, 0)
    expect(examineDatabase(file, [trace])).toEqual({ state: 'damaged', reason: 'file is not a database' })
  })

  test('is not looked into when it is too large', async () => {
    await (await fill(1)).close()
    await truncate(file, 1024 ** 3 + 4096)
    expect(examineDatabase(file, [trace])).toMatchObject({ state: 'unexamined' })
  })

  test('is absent where no server has been, nor the folder', () => {
    expect(examineDatabase(file, [trace]).state).toBe('absent')
    expect(examineDatabase(join(file, 'deeper'), [trace]).state).toBe('absent')
  })

  test('opens when it is empty as after a first start that was killed, and is refused where a server has been', async () => {
    await writeFile(file, '')
    await (await SqliteStore.open({ file, traces: [trace] })).close()
    await writeFile(file, '')
    await mkdir(trace)
    const refused = SqliteStore.open({ file, traces: [trace] })
    await expect(refused).rejects.toBeInstanceOf(StoreRefused)
    await expect(refused).rejects.toThrow(/is empty/)
    expect(examineDatabase(file, [trace])).toMatchObject({
      state: 'emptied',
      fix: expect.stringContaining('restore'),
    })
    expect((await readFile(file)).length).toBe(0)
  })

  test.each(['missing', 'empty'])(
    'is refused while it is %s and its log is not, which would be thrown away',
    async (how) => {
      await killed()
      if (how === 'empty') await writeFile(file, '')
      else await rm(file)
      const log = await readFile(`${file}-wal`)
      await expect(SqliteStore.open({ file })).rejects.toThrow(`is ${how}, though its log`)
      expect(await readFile(`${file}-wal`)).toEqual(log)
    },
  )

  test('tells its damage from other failures, at its opening and later', async () => {
    await (await fill()).close()
    const failures: Error[] = []
    const store = await SqliteStore.open({ file, onFailure: (error) => failures.push(error) })
    await truncate(file, 40 * 4096)
    await expect(store.tasks.claim(20, 0, 1000)).rejects.toSatisfy((error) => damageIn(error)?.file === file)
    await store.close()
    expect(failures.map(damageIn)).toMatchObject([{ file }])
    const other = join(dir, 'other.db')
    await writeFile(other, 'certainly not a database, but long enough to look at'.repeat(100))
    await expect(SqliteStore.open({ file: other })).rejects.toSatisfy(
      (error) => damageIn(error)?.reason === 'file is not a database',
    )
    expect(damageIn(new Error('another'))).toBeUndefined()
  })
})
