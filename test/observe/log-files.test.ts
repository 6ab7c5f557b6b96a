import { mkdtemp, readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { FunctionVersion } from '../../src/model/function.ts'
import { LogFiles, type LogFilesOptions } from '../../src/observe/log-files.ts'

const SPEC = {
  contract: 'alibaba-fc',
  runtime: 'nodejs20',
  handler: 'index.handler',
  timeoutMs: 1000,
  memoryMib: 128,
  diskMib: 512,
  instanceConcurrency: 1,
  environment: {},
  code: { digest: '00', crc64: '0', sizeBytes: 0, expandedBytes: 0 },
  facts: {},
}

function functionVersion(name: string, namespace = 'shop'): FunctionVersion {
  return { ...SPEC, account: '1234', namespace, name, id: name, functionId: name, version: 'LATEST' }
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
    files.keep(version, 'r1', Buffer.from('old'))
    files.keep(functionVersion('other'), 'r2', Buffer.from('kept'))
    await files.flush()
    await files.remove(version)
    expect(await readdir(join(dir, '1234', 'shop'))).toEqual(['other'])
    files.keep(version, 'r3', Buffer.from('new'))
    await files.flush()
    const lines = await readLines(join(dir, '1234', 'shop', 'resize', 'current.jsonl'))
    expect(lines).toMatchObject([{ text: 'new' }])
    await files.remove(functionVersion('never-logged'))
  })

  test('sweeps the directories of functions that there are no more', async () => {
    const names = ['resize', 'a.b', 'x'.repeat(300), 'gone', 'y'.repeat(300)]
    const before = new LogFiles({ dir, maxFileBytes: 1024 * 1024, maxFiles: 4 })
    for (const name of names) before.keep(functionVersion(name), 'r', Buffer.from(name))
    before.keep(functionVersion('resize', 'elsewhere'), 'r', Buffer.from('x'))
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

  test('keeps each function in a file of its own, in the order of the calls', async () => {
    const files = open()
    files.keep(functionVersion('resize'), 'r1', Buffer.from('one "quoted"\n'))
    files.keep(functionVersion('other'), 'r2', Buffer.from('elsewhere'))
    files.keep(functionVersion('resize'), 'r3', Buffer.from('two'))
    await files.flush()
    const lines = await readLines(join(dir, '1234', 'shop', 'resize', 'current.jsonl'))
    expect(lines).toEqual([
      { atMs: expect.any(Number), requestId: 'r1', version: 'LATEST', text: 'one "quoted"\n' },
      { atMs: expect.any(Number), requestId: 'r3', version: 'LATEST', text: 'two' },
    ])
    expect(await readLines(join(dir, '1234', 'shop', 'other', 'current.jsonl'))).toHaveLength(1)
  })

  test('is not changed by what happens to a small text after it was kept', async () => {
    const files = open()
    const chunk = Buffer.from('first line, second line')
    files.keep(functionVersion('resize'), 'r1', chunk.subarray(0, 10))
    chunk.fill('x')
    await files.flush()
    const [line] = await readLines(join(dir, '1234', 'shop', 'resize', 'current.jsonl'))
    expect(line?.['text']).toBe('first line')
  })

  test('writes by itself, without being asked to flush', async () => {
    const files = open()
    files.keep(functionVersion('resize'), 'r1', Buffer.from('text'))
    await expect
      .poll(() => readLines(join(dir, '1234', 'shop', 'resize', 'current.jsonl')).catch(() => []))
      .toHaveLength(1)
  })

  test('sets a full file aside and deletes the oldest, so that the space is bounded', async () => {
    const files = open({ maxFileBytes: 1024, maxFiles: 3 })
    const version = functionVersion('resize')
    for (let number = 0; number < 40; number += 1) {
      files.keep(version, `r${number}`, Buffer.from('x'.repeat(100)))
      await files.flush()
    }
    const place = join(dir, '1234', 'shop', 'resize')
    expect((await readdir(place)).sort()).toEqual(['1.jsonl', '2.jsonl', 'current.jsonl'])
    const kept: unknown[] = []
    for (const name of ['2.jsonl', '1.jsonl', 'current.jsonl']) {
      expect((await stat(join(place, name))).size).toBeLessThanOrEqual(1024)
      kept.push(...(await readLines(join(place, name))).map(({ requestId }) => requestId))
    }
    const newest = Array.from({ length: kept.length }, (_, index) => `r${40 - kept.length + index}`)
    expect(kept).toEqual(newest)
  })

  test('keeps a file within its size for a text that would not fit, and counts what it cut', async () => {
    const files = open({ maxFileBytes: 1024, maxFiles: 1 })
    files.keep(functionVersion('resize'), 'r1', Buffer.alloc(5000, 1))
    await files.flush()
    const place = join(dir, '1234', 'shop', 'resize', 'current.jsonl')
    expect((await stat(place)).size).toBeLessThanOrEqual(1024)
    expect(files.droppedBytes).toBe(5000 - 128)
    expect(await readLines(place)).toContainEqual({ atMs: expect.any(Number), droppedBytes: 5000 - 128 })
  })

  test('drops what does not fit into memory, and says so in the next lines of that function', async () => {
    const files = open({ maxWaitingBytes: 1000 })
    const version = functionVersion('resize')
    files.keep(version, 'r1', Buffer.alloc(700, 97))
    files.keep(version, 'r2', Buffer.alloc(700, 98))
    expect(files.droppedBytes).toBe(700)
    await files.flush()
    files.keep(version, 'r3', Buffer.from('room again'))
    await files.flush()
    const lines = await readLines(join(dir, '1234', 'shop', 'resize', 'current.jsonl'))
    expect(lines.map(({ requestId, droppedBytes }) => requestId ?? droppedBytes)).toEqual([700, 'r1', 'r3'])
  })

  test('survives a disk that cannot be written, tells of it once, and goes on when it can', async () => {
    const failures: unknown[] = []
    const files = open({ onFailure: (error) => failures.push(error) })
    const version = functionVersion('resize')
    const obstacle = join(dir, '1234')
    await writeFile(obstacle, 'a file where the directory has to be')
    for (const requestId of ['r1', 'r2']) {
      files.keep(version, requestId, Buffer.from('lost'))
      await files.flush()
    }
    expect(failures).toHaveLength(1)
    expect(files.droppedBytes).toBe(8)
    await unlink(obstacle)
    files.keep(version, 'r3', Buffer.from('kept'))
    await files.flush()
    const lines = await readLines(join(dir, '1234', 'shop', 'resize', 'current.jsonl'))
    expect(lines).toEqual([
      { atMs: expect.any(Number), droppedBytes: 8 },
      expect.objectContaining({ requestId: 'r3', text: 'kept' }),
    ])
  })

  test('writes to more functions than it holds files open', async () => {
    const files = open({ maxOpenFiles: 2 })
    for (const round of ['r1', 'r2']) {
      for (let number = 0; number < 5; number += 1) {
        files.keep(functionVersion(`f${number}`), round, Buffer.from('text'))
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
    first.keep(functionVersion('resize'), 'r1', Buffer.from('whole'))
    await first.close()
    await writeFile(join(place, 'current.jsonl'), '{"atMs":1,"requ', { flag: 'a' })
    const second = open()
    second.keep(functionVersion('resize'), 'r2', Buffer.from('after'))
    await second.flush()
    const lines = (await readFile(join(place, 'current.jsonl'), 'utf8')).trimEnd().split('\n')
    expect(lines).toHaveLength(3)
    expect(JSON.parse(lines[2]!)).toMatchObject({ requestId: 'r2' })
  })

  test('keeps hostile names inside its directory, and apart', async () => {
    const files = open()
    const names = ['..', '.', '', '%2E', 'a/../../b', '\0', '\ud800', 'x'.repeat(300), `${'x'.repeat(300)}y`]
    for (const name of names) files.keep(functionVersion(name, '..'), name, Buffer.from('text'))
    await files.flush()
    expect(files.droppedBytes).toBe(0)
    expect(await readdir(dir)).toEqual(['1234'])
    expect(await readdir(join(dir, '1234'))).toEqual(['%2E%2E'])
    expect(await readdir(join(dir, '1234', '%2E%2E'))).toHaveLength(names.length)
  })

  test('is readable for nobody else', async () => {
    const files = open()
    files.keep(functionVersion('resize'), 'r1', Buffer.from('text'))
    await files.flush()
    expect((await stat(join(dir, '1234'))).mode & 0o077).toBe(0)
    expect((await stat(join(dir, '1234', 'shop', 'resize', 'current.jsonl'))).mode & 0o077).toBe(0)
  })

  test('drops what comes after it was closed', async () => {
    const files = open()
    await files.close()
    files.keep(functionVersion('resize'), 'r1', Buffer.from('late'))
    await files.flush()
    expect(files.droppedBytes).toBe(4)
    expect(await readdir(dir)).toEqual([])
  })
})
