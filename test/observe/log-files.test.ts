import { mkdtemp, readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { LogFiles, type LogFilesOptions } from '../../src/observe/log-files.ts'
import { aCall, functionVersion } from './calls.ts'

const KIB = 1024

/** What a line says of {@link aCall} beside its id and its text. */
const FIGURES = {
  atMs: expect.any(Number),
  version: 'LATEST',
  ending: 'returned',
  durationMs: 1.25,
  billedDurationMs: 2,
  maxMemoryBytes: 1024,
}

async function readLines(file: string): Promise<Record<string, unknown>[]> {
  const content = await readFile(file, 'utf8')
  return content
    .trimEnd()
    .split('\n')
    .map((line): Record<string, unknown> => JSON.parse(line))
}

describe('LogFiles', () => {
  let dir: string
  const opened: LogFiles[] = []

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'log-files-'))
  })
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((files) => files.close()))
    await rm(dir, { recursive: true })
  })

  function open(options: Partial<LogFilesOptions> = {}): LogFiles {
    const files = new LogFiles({ dir, maxFileBytes: 1024 * 1024, maxFiles: 4, ...options })
    opened.push(files)
    return files
  }

  test('deletes what it kept of a function, and begins anew when it logs again', async () => {
    const files = open()
    const version = functionVersion('resize')
    files.ended(version, aCall('r1', 'old'), 0)
    files.ended(functionVersion('other'), aCall('r2', 'kept'), 0)
    await files.flush()
    await files.remove(version)
    expect(await readdir(join(dir, '1234', 'shop'))).toEqual(['other'])
    files.ended(version, aCall('r3', 'new'), 0)
    await files.flush()
    const lines = await readLines(join(dir, '1234', 'shop', 'resize', 'current.jsonl'))
    expect(lines).toMatchObject([{ text: 'new' }])
    await files.remove(functionVersion('never-logged'))
  })

  test('sweeps the directories of functions that there are no more', async () => {
    const names = ['resize', 'a.b', 'x'.repeat(300), 'gone', 'y'.repeat(300)]
    const before = new LogFiles({ dir, maxFileBytes: 1024 * 1024, maxFiles: 4 })
    for (const name of names) before.ended(functionVersion(name), aCall('r', name), 0)
    before.ended(functionVersion('resize', 'elsewhere'), aCall('r', 'x'), 0)
    await before.close()
    const files = open()
    await files.sweep(() => names.slice(0, 3).map((name) => functionVersion(name)))
    expect(await readdir(join(dir, '1234', 'shop'))).toHaveLength(3)
    expect(await readdir(join(dir, '1234'))).toEqual(['shop'])
    const [line] = await readLines(join(dir, '1234', 'shop', 'resize', 'current.jsonl'))
    expect(line).toMatchObject({ text: 'resize' })
  })

  test('sweeps nothing where nothing was ever logged', async () => {
    const failures: unknown[] = []
    const files = open({ dir: join(dir, 'none'), onFailure: (error) => failures.push(error) })
    await files.sweep(() => [])
    expect(failures).toEqual([])
  })

  test('writes no member that says nothing, and all of those that do', async () => {
    const files = open()
    const more = { ending: 'threw', reason: 'TypeError', retryCount: 2, result: '{"a":"é"}' } as const
    files.ended(functionVersion('resize'), aCall('r1', 'text', { ...more, durationMs: 1.23456 }), 3)
    await files.flush()
    const lines = await readLines(join(dir, '1234', 'shop', 'resize', 'current.jsonl'))
    const expected = { ...FIGURES, ...more, durationMs: 1.235, pieces: 3, requestId: 'r1', text: 'text' }
    expect(lines).toEqual([expected])
  })

  test('keeps each function in a file of its own, in the order of the calls', async () => {
    const files = open()
    files.ended(functionVersion('resize'), aCall('r1', 'one "quoted"\n'), 0)
    files.ended(functionVersion('other'), aCall('r2', 'elsewhere'), 0)
    files.ended(functionVersion('resize'), aCall('r3', 'two'), 0)
    await files.flush()
    const lines = await readLines(join(dir, '1234', 'shop', 'resize', 'current.jsonl'))
    expect(lines).toEqual([
      { ...FIGURES, requestId: 'r1', text: 'one "quoted"\n' },
      { ...FIGURES, requestId: 'r3', text: 'two' },
    ])
    expect(await readLines(join(dir, '1234', 'shop', 'other', 'current.jsonl'))).toHaveLength(1)
  })

  test('is not changed by what happens to a small text after it was kept', async () => {
    const files = open()
    const chunk = Buffer.from('first line, second line')
    files.keep(functionVersion('resize'), 'r1', chunk.subarray(0, 10), 1)
    chunk.fill('x')
    await files.flush()
    const [line] = await readLines(join(dir, '1234', 'shop', 'resize', 'current.jsonl'))
    expect(line).toMatchObject({ requestId: 'r1', piece: 1, text: 'first line' })
  })

  test('writes by itself, without being asked to flush', async () => {
    const files = open()
    files.ended(functionVersion('resize'), aCall('r1', 'text'), 0)
    await expect
      .poll(() => readLines(join(dir, '1234', 'shop', 'resize', 'current.jsonl')).catch(() => []))
      .toHaveLength(1)
  })

  test('sets a full file aside and deletes the oldest, so that the space is bounded', async () => {
    const files = open({ maxFileBytes: 128 * KIB, maxFiles: 3 })
    const version = functionVersion('resize')
    for (let number = 0; number < 40; number += 1) {
      files.ended(version, aCall(`r${number}`, 'x'.repeat(10_000)), 0)
      await files.flush()
    }
    const place = join(dir, '1234', 'shop', 'resize')
    expect((await readdir(place)).sort()).toEqual(['1.jsonl', '2.jsonl', 'current.jsonl'])
    const kept: unknown[] = []
    for (const name of ['2.jsonl', '1.jsonl', 'current.jsonl']) {
      expect((await stat(join(place, name))).size).toBeLessThanOrEqual(128 * KIB)
      kept.push(...(await readLines(join(place, name))).map(({ requestId }) => requestId))
    }
    const newest = Array.from({ length: kept.length }, (_, index) => `r${40 - kept.length + index}`)
    expect(kept).toEqual(newest)
  })

  test('keeps a file within its size for a text that would not fit, and counts what it cut', async () => {
    const files = open({ maxFileBytes: 128 * KIB, maxFiles: 1 })
    files.keep(functionVersion('resize'), 'r1', Buffer.alloc(20 * KIB, 1), 1)
    await files.flush()
    const place = join(dir, '1234', 'shop', 'resize', 'current.jsonl')
    expect((await stat(place)).size).toBeLessThanOrEqual(128 * KIB)
    expect(files.droppedBytes).toBe(4 * KIB)
    expect(await readLines(place)).toContainEqual({ atMs: expect.any(Number), droppedBytes: 4 * KIB })
  })

  test('drops what does not fit into memory, and says so in the next lines of that function', async () => {
    const files = open({ maxWaitingBytes: 2000 })
    const version = functionVersion('resize')
    files.ended(version, aCall('r1', 'a'.repeat(1000)), 0)
    files.ended(version, aCall('r2', 'é'.repeat(700)), 0)
    files.keep(version, 'r2', Buffer.alloc(1000, 98), 1)
    expect(files.droppedBytes).toBe(2400)
    await files.flush()
    files.ended(version, aCall('r3', 'room again'), 0)
    await files.flush()
    const lines = await readLines(join(dir, '1234', 'shop', 'resize', 'current.jsonl'))
    expect(lines.map(({ requestId, droppedBytes }) => requestId ?? droppedBytes)).toEqual([2400, 'r1', 'r3'])
  })

  test('has room again once what waited is written, however often', async () => {
    const files = open({ maxWaitingBytes: 20 * KIB })
    const version = functionVersion('resize')
    for (let number = 0; number < 20; number += 1) {
      files.keep(version, 'r1', Buffer.alloc(8 * KIB, 97), 1)
      files.ended(version, aCall('r1', 'text'), 1)
      await files.flush()
    }
    expect(files.droppedBytes).toBe(0)
  })

  test('gives up what waits for a function that is removed', async () => {
    const files = open({ maxWaitingBytes: 2000 })
    const version = functionVersion('resize')
    files.ended(version, aCall('r1', 'a'.repeat(1000)), 0)
    await files.remove(version)
    files.ended(version, aCall('r2', 'b'.repeat(1000)), 0)
    await files.flush()
    expect(await readLines(join(dir, '1234', 'shop', 'resize', 'current.jsonl'))).toMatchObject([
      { requestId: 'r2' },
    ])
  })

  test('writes what fills a chunk before its time has come', async () => {
    const files = open()
    const version = functionVersion('resize')
    const place = join(dir, '1234', 'shop', 'resize', 'current.jsonl')
    for (let number = 0; number < 400; number += 1) files.ended(version, aCall('r', 'x'.repeat(1000)), 0)
    await files.remove(functionVersion('other'))
    const { size } = await stat(place)
    expect(size).toBeGreaterThan(256 * KIB)
    await files.flush()
    expect(await readLines(place)).toHaveLength(400)
  })

  test('survives a disk that cannot be written, tells of it once, and goes on when it can', async () => {
    const failures: unknown[] = []
    const files = open({ onFailure: (error) => failures.push(error) })
    const version = functionVersion('resize')
    const obstacle = join(dir, '1234')
    await writeFile(obstacle, 'a file where the directory has to be')
    for (const requestId of ['r1', 'r2']) {
      files.ended(version, aCall(requestId, 'löst'), 0)
      await files.flush()
    }
    expect(failures).toHaveLength(1)
    expect(files.droppedBytes).toBe(10)
    await unlink(obstacle)
    files.ended(version, aCall('r3', 'kept'), 0)
    await files.flush()
    const lines = await readLines(join(dir, '1234', 'shop', 'resize', 'current.jsonl'))
    expect(lines).toEqual([
      { atMs: expect.any(Number), droppedBytes: 10 },
      expect.objectContaining({ requestId: 'r3', text: 'kept' }),
    ])
  })

  test('writes to more functions than it holds files open', async () => {
    const files = open({ maxOpenFiles: 2 })
    for (const round of ['r1', 'r2']) {
      for (let number = 0; number < 5; number += 1) {
        files.ended(functionVersion(`f${number}`), aCall(round, 'text'), 0)
      }
      await files.flush()
      const links = await readdir('/proc/self/fd')
      const targets = await Promise.all(
        links.map((fd) =>
          import('node:fs/promises').then((fs) => fs.readlink(`/proc/self/fd/${fd}`).catch(() => '')),
        ),
      )
      expect(targets.filter((target) => target.startsWith(dir)).length).toBeLessThanOrEqual(2)
    }
    for (let number = 0; number < 5; number += 1) {
      expect(await readLines(join(dir, '1234', 'shop', `f${number}`, 'current.jsonl'))).toHaveLength(2)
    }
  })

  test('ends a line that a crash left torn before it writes the next', async () => {
    const place = join(dir, '1234', 'shop', 'resize')
    const first = open()
    first.ended(functionVersion('resize'), aCall('r1', 'whole'), 0)
    await first.close()
    await writeFile(join(place, 'current.jsonl'), '{"atMs":1,"requ', { flag: 'a' })
    const second = open()
    second.ended(functionVersion('resize'), aCall('r2', 'after'), 0)
    await second.flush()
    const lines = (await readFile(join(place, 'current.jsonl'), 'utf8')).trimEnd().split('\n')
    expect(lines).toHaveLength(3)
    expect(JSON.parse(lines[2]!)).toMatchObject({ requestId: 'r2' })
  })

  test('keeps hostile names inside its directory, and apart', async () => {
    const files = open()
    const names = ['..', '.', '', '%2E', 'a/../../b', '\0', '\ud800', 'x'.repeat(300), `${'x'.repeat(300)}y`]
    for (const name of names) files.ended(functionVersion(name, '..'), aCall(name, 'text'), 0)
    await files.flush()
    expect(files.droppedBytes).toBe(0)
    expect(await readdir(dir)).toEqual(['1234'])
    expect(await readdir(join(dir, '1234'))).toEqual(['%2E%2E'])
    expect(await readdir(join(dir, '1234', '%2E%2E'))).toHaveLength(names.length)
  })

  test('is readable for nobody else', async () => {
    const files = open()
    files.ended(functionVersion('resize'), aCall('r1', 'text'), 0)
    await files.flush()
    expect((await stat(join(dir, '1234'))).mode & 0o077).toBe(0)
    expect((await stat(join(dir, '1234', 'shop', 'resize', 'current.jsonl'))).mode & 0o077).toBe(0)
  })

  test('drops what comes after it was closed', async () => {
    const files = open()
    await files.close()
    files.ended(functionVersion('resize'), aCall('r1', 'late'), 0)
    await files.flush()
    expect(files.droppedBytes).toBe(4)
    expect(await readdir(dir)).toEqual([])
  })
})
