import { appendFile, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CallLog } from '../../src/engine/call-log.ts'
import type { CallFilter, CallRecord } from '../../src/model/call-record.ts'
import { LogFiles, type LogFilesOptions } from '../../src/observe/log-files.ts'
import { aCall, functionVersion } from './calls.ts'

const KIB = 1024

describe('LogFiles as the history of calls', () => {
  let dir: string
  let current: string
  const opened: LogFiles[] = []
  const version = functionVersion('resize')
  const name = { account: '1234', namespace: 'shop', name: 'resize' }

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'call-history-'))
    current = join(dir, '1234', 'shop', 'resize', 'current.jsonl')
  })
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((files) => files.close()))
    await rm(dir, { recursive: true })
  })

  const open = (options: Partial<LogFilesOptions> = {}): LogFiles => {
    const files = new LogFiles({ dir, maxFileBytes: 1024 * KIB, maxFiles: 4, ...options })
    opened.push(files)
    return files
  }

  const idsOf = (records: readonly CallRecord[]): string[] => records.map(({ requestId }) => requestId)
  const found = async (files: LogFiles, filter: Partial<CallFilter> = {}, limit = 100): Promise<string[]> =>
    idsOf(await files.find({ ...name, ...filter }, limit))

  /** A line as another server left it, at this time. */
  const oldLine = (requestId: string, atMs: number): string =>
    `${JSON.stringify({ atMs, requestId, version: 'LATEST', ending: 'returned', text: 'old\n' })}\n`

  /** Logs through the engine's half of the work. @returns All that the call logged. */
  const logLong = (files: LogFiles, requestId: string, text: string): string => {
    const log = new CallLog((piece, number) => files.keep(version, requestId, piece, number))
    for (let at = 0; at < text.length; at += 10_000) log.append(Buffer.from(text.slice(at, at + 10_000)))
    files.ended(version, aCall(requestId, log.close('END\n')), log.pieces)
    return `${text}END\n`
  }

  test('finds a call as it was told, at once', async () => {
    const files = open()
    const before = Date.now()
    const failed = aCall('r1', 'text\n', {
      ending: 'threw',
      reason: 'TypeError',
      durationMs: 7.5,
      billedDurationMs: 8,
      maxMemoryBytes: 12_345,
      retryCount: 2,
      result: '{"message":"é"}',
    })
    files.ended(functionVersion('resize', 'shop', '3'), failed, 0)
    files.ended(functionVersion('other'), aCall('r2', 'elsewhere'), 0)
    const [record, ...others] = await files.find(name, 10)
    expect(others).toEqual([])
    expect(record).toEqual({ ...failed, version: '3', endedAtMs: expect.any(Number) })
    expect(record?.endedAtMs).toBeGreaterThanOrEqual(before)
    expect(await found(files, { name: 'never-called' })).toEqual([])
    const plain = aCall('r3', '')
    files.ended(version, plain, 0)
    const [last] = await files.find(name, 1)
    const { reason: _reason, result: _result, ...rest } = plain
    expect(last).toEqual({ ...rest, version: 'LATEST', endedAtMs: expect.any(Number) })
  })

  test('finds the newest first, no more than asked for, over all files and after a restart', async () => {
    const before = open({ maxFileBytes: 128 * KIB })
    for (let number = 0; number < 60; number += 1) {
      before.ended(version, aCall(`r${number}`, 'x'.repeat(5000)), 0)
      if (number % 10 === 0) await before.flush()
    }
    await before.close()
    const files = open({ maxFileBytes: 128 * KIB })
    files.ended(version, aCall('r60', 'new'), 0)
    const expected = Array.from({ length: 61 }, (_, index) => `r${60 - index}`)
    expect(await found(files)).toEqual(expected)
    expect(await found(files, {}, 7)).toEqual(expected.slice(0, 7))
  })

  test('finds by request, version and time of the end', async () => {
    const files = open()
    files.ended(version, aCall('seed', ''), 0)
    await files.flush()
    await writeFile(current, [10, 20, 30, 40].map((atMs) => oldLine(`at ${atMs}`, atMs)).join(''))
    files.ended(functionVersion('resize', 'shop', '1'), aCall('"quoted" \\ ünd', 'text'), 0)
    files.ended(version, aCall('last', 'text'), 0)
    expect(await found(files, { requestId: '"quoted" \\ ünd' })).toEqual(['"quoted" \\ ünd'])
    expect(await found(files, { requestId: 'at 20' })).toEqual(['at 20'])
    expect(await found(files, { requestId: 'at' })).toEqual([])
    expect(await found(files, { version: '1' })).toEqual(['"quoted" \\ ünd'])
    expect(await found(files, { fromMs: 20, toMs: 40 })).toEqual(['at 30', 'at 20'])
    expect(await found(files, { fromMs: 41 })).toEqual(['last', '"quoted" \\ ünd'])
  })

  test('joins the pieces of a long log, over files and between those of other calls', async () => {
    const files = open({ maxFileBytes: 512 * KIB, maxFiles: 20 })
    const logs = new Map<string, string>()
    for (const requestId of ['r1', 'r2', 'r3'])
      logs.set(requestId, logLong(files, requestId, `${requestId} é\n`.repeat(60_000)))
    logs.set('short', logLong(files, 'short', 'little\n'))
    for (const record of await files.find(name, 10)) {
      // Not compared by the matcher, which would print it all.
      expect([record.requestId, record.log === logs.get(record.requestId)]).toEqual([record.requestId, true])
    }
    const [only] = await files.find({ ...name, requestId: 'r1' }, 1)
    expect(only?.log === logs.get('r1')).toBe(true)
  })

  test('keeps the attempts of one task apart', async () => {
    const files = open()
    files.keep(version, 'r1', Buffer.from('first, 1; '), 1)
    files.keep(version, 'r1', Buffer.from('first, 2; '), 2)
    files.ended(version, aCall('r1', 'first, end'), 2)
    files.keep(version, 'r1', Buffer.from('second, 1; '), 1)
    files.ended(version, aCall('r1', 'second, end', { retryCount: 1 }), 1)
    const records = await files.find({ ...name, requestId: 'r1' }, 10)
    expect(records.map(({ retryCount, log }) => [retryCount, log])).toEqual([
      [1, 'second, 1; second, end'],
      [0, 'first, 1; first, 2; first, end'],
    ])
  })

  test('says where parts of a log are lost, and does not take them from an earlier attempt', async () => {
    const files = open()
    files.keep(version, 'r1', Buffer.from('of another attempt'), 1)
    files.ended(version, aCall('r1', ''), 1)
    files.keep(version, 'r1', Buffer.from('second; '), 2)
    files.ended(version, aCall('r1', 'end'), 4)
    const [record] = await files.find(name, 1)
    expect(record?.log).toBe('… 1 part(s) of the log lost\nsecond; … 2 part(s) of the log lost\nend')
  })

  test('passes over lines that are cut, foreign or of an earlier version of this server', async () => {
    const files = open()
    files.ended(version, aCall('r1', 'text'), 0)
    await files.close()
    const whole = await readFile(current, 'utf8')
    const strange = [
      whole.slice(0, 40),
      'null',
      '[]',
      '"text"',
      '{}',
      '{"atMs":1,"requestId":"r9","version":"LATEST","text":"of an earlier version"}',
      '{"atMs":"1","requestId":"r9","version":"LATEST","ending":"returned","text":""}',
      '{"atMs":1,"requestId":"r9","version":"LATEST","ending":"toString","text":""}',
      '{"atMs":1,"droppedBytes":5}',
      '',
      '\u0000\u0000',
    ]
    await writeFile(current, `${strange.join('\n')}\n${whole}${strange.join('\n')}\n${whole.slice(0, -20)}`)
    expect(await found(open())).toEqual(['r1'])
  })

  test('does not believe a line that tells of absurd numbers', async () => {
    const files = open()
    files.ended(version, aCall('r0', ''), 0)
    await files.flush()
    const line = (pieces: unknown): string =>
      `${JSON.stringify({ atMs: Date.now(), requestId: 'r1', version: '1', ending: 'returned', pieces, text: '' })}\n`
    for (const pieces of [1e9, -1, 0.5, 'x', null]) await appendFile(current, line(pieces))
    await appendFile(current, `{"junk":"${'x'.repeat(3_000_000)}"}\n`)
    files.ended(version, aCall('r2', ''), 0)
    expect(await found(files)).toEqual(['r2', 'r1', 'r1', 'r1', 'r1', 'r1', 'r0'])
  })

  test('returns no more text than it may hold', async () => {
    const files = open({ maxFileBytes: 64 * 1024 * KIB })
    files.ended(version, aCall('r0', ''), 0)
    await files.flush()
    const text = 'x'.repeat(900 * KIB)
    const line = (atMs: number): string =>
      `${JSON.stringify({ atMs, requestId: `r${atMs}`, version: '1', ending: 'returned', text })}\n`
    await writeFile(current, Array.from({ length: 45 }, (_, index) => line(index + 1)).join(''))
    const ids = await found(files)
    expect(ids.length).toBeGreaterThan(32)
    expect(ids.length).toBeLessThan(40)
    expect(ids[0]).toBe('r45')
    expect(await found(files, { requestId: 'r1' })).toEqual(['r1'])
  })

  test('reads what was there when it was asked, whatever is set aside meanwhile', async () => {
    const files = open({ maxFileBytes: 128 * KIB, maxFiles: 3 })
    const text = 'x'.repeat(10_000)
    for (let number = 0; number < 20; number += 1) files.ended(version, aCall(`r${number}`, text), 0)
    const searches = [found(files), found(files)]
    const before = await found(files)
    for (let number = 0; number < 40; number += 1) files.ended(version, aCall('later', text), 0)
    await files.flush()
    const results = await Promise.all(searches)
    for (const result of [...results, before])
      expect(result).toEqual(Array.from({ length: 20 }, (_, index) => `r${19 - index}`))
  })

  test('ends the searches under way before it closes, and leaves no file open', async () => {
    const files = open()
    files.ended(version, aCall('r1', 'text'), 0)
    let result: readonly string[] = []
    void found(files).then((ids) => (result = ids))
    await files.close()
    expect(result).toEqual(['r1'])
    const descriptors = await readdir('/proc/self/fd')
    const targets = await Promise.all(
      descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
    )
    expect(targets.filter((target) => target.startsWith(dir))).toEqual([])
  })
})
