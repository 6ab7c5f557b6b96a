import assert from 'node:assert/strict'
import { lstat, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { isAbsolute, join, resolve, sep } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { ExpansionBudget } from '../../../src/store/packages/expansion.ts'
import { unpackZip } from '../../../src/store/packages/intake.ts'
import type { PackageLimits } from '../../../src/store/packages/limits.ts'
import { DEFAULT_PACKAGE_LIMITS } from '../../../src/store/packages/limits.ts'
import { PackageError } from '../../../src/store/packages/package-error.ts'
import type { RawEntry } from './zip-bytes.ts'
import { EXECUTABLE, honestZip, LINK, rawZip, REGULAR } from './zip-bytes.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'anvoke-intake-'))
  await writeFile(join(dir, 'outside'), 'untouched')
})
// Whatever an archive tried, what lies beside the tree is as it was.
afterEach(async () => {
  assert.equal(await readFile(join(dir, 'outside'), 'utf8'), 'untouched')
  for (const name of await readdir(dir)) assert.ok(['outside', 'tree'].includes(name), `stray ${name}`)
  await rm(dir, { recursive: true })
})

const tree = () => join(dir, 'tree')
const unpack = (zip: Buffer | Buffer[], limits: Partial<PackageLimits> = {}) =>
  unpackZip(zip, tree(), { ...DEFAULT_PACKAGE_LIMITS, ...limits })

/** What the archive is refused with: the code and its details. Nothing is left of it. */
async function refusal(zip: Buffer | RawEntry[], limits: Partial<PackageLimits> = {}): Promise<object> {
  const error: unknown = await unpack(Buffer.isBuffer(zip) ? zip : rawZip(zip), limits).then(
    () => assert.fail('accepted'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof PackageError, String(error))
  assert.deepEqual(await readdir(dir), ['outside'])
  return { code: error.code, ...error.details }
}

const file = (name: string, text = 'x', more: Partial<RawEntry> = {}): RawEntry => ({
  name,
  data: Buffer.from(text),
  ...more,
})
const link = (name: string, target: string): RawEntry => file(name, target, { mode: LINK })

describe('unpackZip on honest archives', () => {
  test('writes files, folders and the execute bit, and nothing else of the mode', async () => {
    const zip = await honestZip({
      'index.js': 'exports.handler = 1',
      'bin/tool': { data: '#!/bin/sh', mode: 0o106710 },
      'secret.txt': { data: 's', mode: 0o100600 },
      'empty/': '',
      'lib/deep/ünïcode.txt': 'ü',
    })
    assert.deepEqual(await unpack(zip), { expandedBytes: 19 + 9 + 1 + 2 })
    const modes: Record<string, string> = {}
    for (const path of await readdir(tree(), { recursive: true })) {
      modes[path] = (await lstat(join(tree(), path))).mode.toString(8)
    }
    assert.deepEqual(modes, {
      'index.js': '100644',
      bin: '40755',
      'bin/tool': '100755',
      'secret.txt': '100644',
      empty: '40755',
      lib: '40755',
      'lib/deep': '40755',
      'lib/deep/ünïcode.txt': '100644',
    })
    assert.equal(await readFile(join(tree(), 'lib/deep/ünïcode.txt'), 'utf8'), 'ü')
    assert.equal((await lstat(tree())).mode & 0o777, 0o755)
  })

  test('sets modes whatever the umask of the process', async () => {
    const umask = process.umask(0o077)
    try {
      await unpack(rawZip([file('d/run', 'x', { mode: EXECUTABLE }), file('d/data')]))
    } finally {
      process.umask(umask)
    }
    const modes = ['', 'd', 'd/run', 'd/data'].map(async (path) =>
      ((await lstat(join(tree(), path))).mode & 0o777).toString(8),
    )
    assert.deepEqual(await Promise.all(modes), ['755', '755', '755', '644'])
  })

  test('takes the bytes in chunks', async () => {
    const zip = await honestZip({ 'a.txt': 'content' })
    await unpack([zip.subarray(0, 7), zip.subarray(7, 8), zip.subarray(8)])
    assert.equal(await readFile(join(tree(), 'a.txt'), 'utf8'), 'content')
  })

  test('expands entries too large for one call exactly', async () => {
    const data = Buffer.alloc(5_000_001, 'The quick brown fox. ')
    assert.deepEqual(await unpack(await honestZip({ big: data })), { expandedBytes: data.length })
    assert.ok((await readFile(join(tree(), 'big'))).equals(data))
  })

  test('accepts an archive without entries', async () => {
    assert.deepEqual(await unpack(rawZip([])), { expandedBytes: 0 })
    assert.deepEqual(await readdir(tree()), [])
  })

  test('keeps links whose every step stays inside, also dangling ones', async () => {
    const zip = rawZip([
      file('node_modules/pkg/cli.js', 'cli', { mode: EXECUTABLE }),
      link('node_modules/.bin/cli', '../pkg/cli.js'),
      link('current', 'node_modules'),
      link('via', 'current/pkg/../.bin/cli'),
      link('dangling', 'node_modules/absent'),
    ])
    await unpack(zip)
    assert.equal(await readlink(join(tree(), 'node_modules/.bin/cli')), '../pkg/cli.js')
    assert.equal(await readFile(join(tree(), 'via'), 'utf8'), 'cli')
    assert.equal(await readlink(join(tree(), 'dangling')), 'node_modules/absent')
  })

  test('drops "." segments and accepts folders named twice', async () => {
    await unpack(rawZip([file('./', ''), file('./lib/', ''), file('lib/', ''), file('lib//a.js')]))
    assert.deepEqual(await readdir(tree(), { recursive: true }), ['lib', 'lib/a.js'])
  })

  test('reads names without the UTF-8 flag as UTF-8 from Unix and as code page 437 from DOS', async () => {
    const name = Buffer.from('é')
    await unpack(
      rawZip([
        { name, flags: 0 },
        { name, flags: 0, host: 0 },
      ]),
    )
    assert.deepEqual((await readdir(tree())).sort(), ['é', '├⌐'].sort())
  })

  test('ignores Unix modes in archives that were not made on Unix', async () => {
    await unpack(rawZip([file('a', '/etc/passwd', { mode: LINK, host: 0 })]))
    assert.equal((await lstat(join(tree(), 'a'))).isFile(), true)
  })
})

describe('unpackZip on hostile archives', () => {
  test.each([
    ['../outside', 'parent-segment'],
    ['a/../../outside', 'parent-segment'],
    ['a/..', 'parent-segment'],
    ['/etc/cron.d/x', 'absolute-name'],
    ['C:/x', 'absolute-name'],
    ['..\\outside', 'backslash'],
    ['a\0b', 'nul-byte'],
    ['', 'empty-name'],
    ['.', 'empty-name'],
  ])('refuses the name %j', async (name, reason) => {
    assert.partialDeepStrictEqual(await refusal([file(name)]), {
      code: 'unsafe-entry',
      reason,
      entryName: name,
    })
  })

  test('refuses a name that says it is UTF-8 and is not', async () => {
    assert.partialDeepStrictEqual(await refusal([{ name: Buffer.from([0x61, 0xff]) }]), {
      code: 'unsafe-entry',
      reason: 'name-encoding',
    })
  })

  test.each([
    ['a character device', 0o020666],
    ['a block device', 0o060666],
    ['a pipe', 0o010666],
    ['a socket', 0o140666],
  ])('refuses %s', async (_kind, mode) => {
    assert.partialDeepStrictEqual(await refusal([file('dev', '', { mode })]), {
      code: 'unsafe-entry',
      reason: 'special-file',
    })
  })

  test.each([
    ['the same file twice', [file('a'), file('a')]],
    ['the same file spelled twice', [file('a/b'), file('a/./b')]],
    ['a file that is also a folder', [file('a'), file('a/b')]],
    ['a folder that is also a file', [file('a/b'), file('a')]],
    ['a file and a folder entry', [file('a'), file('a/', '')]],
    ['a file written through a link', [link('a', '.'), file('a/b')]],
    ['a link over a folder', [file('a/b'), link('a', 'c')]],
  ])('refuses %s', async (_what, entries) => {
    assert.partialDeepStrictEqual(await refusal(entries), { code: 'duplicate-entry' })
  })

  test.each([
    ['an absolute target', [link('a', '/etc/passwd')], 'link-escapes'],
    ['a target above the root', [link('a/b', '../../outside')], 'link-escapes'],
    ['a target that leaves and comes back', [link('a', '../tree/a')], 'link-escapes'],
    [
      'two links that leave together',
      [file('d/e/f'), link('up', 'd/e'), link('out', 'up/../../../outside')],
      'link-escapes',
    ],
    ['a link below a link that leaves', [link('x/up', '..'), link('x/out', 'up/../outside')], 'link-escapes'],
    ['a link to itself', [link('a', 'a')], 'link-loop'],
    ['a circle', [link('a', 'b/x'), link('b', 'a')], 'link-loop'],
    ['an endless chain', Array.from({ length: 20_000 }, (_, i) => link(`l${i}`, `l${i + 1}`)), 'link-loop'],
    ['an empty target', [link('a', '')], 'link-target'],
    ['a target with NUL', [link('a', 'b\0c')], 'link-target'],
  ] as [string, RawEntry[], string][])('refuses a link with %s', async (_what, entries, reason) => {
    assert.partialDeepStrictEqual(await refusal(entries), { code: 'unsafe-entry', reason })
  })

  test('refuses a two-step escape: a link out, then a file through it', async () => {
    assert.partialDeepStrictEqual(await refusal([link('out', '..'), file('out/outside', 'gone')]), {
      code: 'duplicate-entry',
    })
  })

  test('refuses a folder that holds bytes', async () => {
    assert.partialDeepStrictEqual(await refusal([file('a/', 'x')]), {
      code: 'unsafe-entry',
      reason: 'directory-with-content',
    })
  })

  test.each([0x1, 0x41])('refuses encrypted entries (flags %d)', async (flags) => {
    assert.partialDeepStrictEqual(await refusal([file('a', 'x'.repeat(13), { flags, declaredSize: 1 })]), {
      code: 'encrypted-entry',
    })
  })

  test('refuses methods other than stored and deflated', async () => {
    assert.partialDeepStrictEqual(await refusal([file('a', 'x', { method: 12 })]), {
      code: 'unsupported-compression',
      entryName: 'a',
      method: 12,
    })
  })

  test.each([
    ['less than it holds', { method: 8, declaredSize: 10 }],
    ['more than it holds', { method: 8, declaredSize: 100_000 }],
    ['less than a large one holds', { method: 8, declaredSize: 1_100_000, data: Buffer.alloc(3_000_000) }],
    ['more than a large one holds', { method: 8, declaredSize: 4_000_000, data: Buffer.alloc(3_000_000) }],
    ['nothing', { method: 8, declaredSize: 0 }],
    ['another size than stored', { declaredSize: 5 }],
    ['another CRC-32', { declaredCrc32: 1 }],
    ['data outside the archive', { dataOffset: 0xfffffff0 }],
    ['data inside another record', { dataOffset: 3 }],
  ])('refuses an entry that declares %s', async (_what, lie) => {
    assert.partialDeepStrictEqual(await refusal([file('a', 'content'.repeat(1000), lie)]), {
      code: 'corrupt',
    })
  })

  test('refuses an archive with more entries than it says', async () => {
    assert.partialDeepStrictEqual(await refusal(rawZip([file('a'), file('b')], { entryCount: 1 })), {
      code: 'corrupt',
    })
  })

  test('refuses an archive with fewer entries than it says', async () => {
    assert.partialDeepStrictEqual(await refusal(rawZip([file('a'), file('b')], { entryCount: 3 })), {
      code: 'corrupt',
    })
  })

  test.each([
    ['an empty body', Buffer.alloc(0)],
    ['text', Buffer.from('#!/bin/sh\necho hello\n')],
    ['a gzip', Buffer.from('H4sIAAAAAAAAAwMAAAAAAAAAAAA=', 'base64')],
  ])('refuses %s as no zip', async (_what, bytes) => {
    assert.partialDeepStrictEqual(await refusal(bytes), { code: 'not-a-zip' })
  })

  test('refuses an archive cut short anywhere', async () => {
    const zip = await honestZip({ 'a.js': 'a'.repeat(100), 'b.js': 'b' })
    for (let length = 0; length < zip.length; length += 1) {
      assert.partialDeepStrictEqual(await refusal(zip.subarray(0, length)), { code: 'not-a-zip' })
    }
  })

  test('refuses a broken deflate stream', async () => {
    const zip = rawZip([file('a', 'content'.repeat(50), { method: 8 })])
    zip.fill(0xff, 31, 36)
    assert.partialDeepStrictEqual(await refusal(zip), { code: 'corrupt', entryName: 'a' })
  })

  test('cuts the names it reports', async () => {
    const name = `../${'n'.repeat(60_000)}`
    await assert.rejects(unpack(rawZip([file(name)])), (error) => {
      assert.ok(error instanceof PackageError)
      assert.ok(error.message.length < 500)
      return true
    })
  })
})

describe('unpackZip limits', () => {
  test('refuses an archive over its size before reading it', async () => {
    assert.partialDeepStrictEqual(await refusal(Buffer.alloc(1001), { archiveBytes: 1000 }), {
      code: 'too-large',
      what: 'archive',
      limitBytes: 1000,
    })
  })

  test('counts expanded bytes over all entries, up to and including the limit', async () => {
    const entries = [file('a', 'x'.repeat(600)), file('b', 'x'.repeat(400))]
    assert.partialDeepStrictEqual(await refusal(entries, { expandedBytes: 999 }), {
      code: 'too-large',
      what: 'expanded',
      limitBytes: 999,
    })
    assert.deepEqual(await unpack(rawZip(entries), { expandedBytes: 1000 }), { expandedBytes: 1000 })
  })

  test('stops a bomb that declares little', async () => {
    const bomb = file('bomb', '', { data: Buffer.alloc(8_000_000), method: 8, declaredSize: 1_500_000 })
    assert.partialDeepStrictEqual(await refusal([bomb], { expandedBytes: 1_000_000 }), { code: 'too-large' })
    assert.partialDeepStrictEqual(await refusal([bomb], { expandedBytes: 2_000_000 }), { code: 'corrupt' })
  })

  test('stops a bomb made of one stream that many entries share', async () => {
    const data = Buffer.alloc(1_000_000)
    const shared = Array.from({ length: 30 }, (_, i) => ({ name: `f${i}`, data, method: 8 }))
    const zip = rawZip(shared.map((entry) => ({ ...entry, dataOffset: 0 })))
    assert.partialDeepStrictEqual(await refusal(zip, { expandedBytes: 20_000_000, ratio: 10_000 }), {
      code: 'too-large',
    })
  })

  test('refuses an absurd ratio, but only past the floor', async () => {
    const entries = [file('zeros', '', { data: Buffer.alloc(2_000_000), method: 8 })]
    assert.partialDeepStrictEqual(await refusal(entries, { ratioFloorBytes: 1_000_000 }), {
      code: 'suspicious-ratio',
      limit: 200,
    })
    assert.deepEqual(await unpack(rawZip(entries)), { expandedBytes: 2_000_000 })
  })

  test('refuses 70 000 entries by their declared count', async () => {
    const entries = Array.from({ length: 70_000 }, (_, i) => file(`${i}`, ''))
    assert.partialDeepStrictEqual(await refusal(rawZip(entries, { zip64: true })), {
      code: 'too-many-entries',
      limit: 65_535,
    })
  })

  test('looks at the count before it reads any entry', async () => {
    assert.deepEqual(await refusal(rawZip([], { entryCount: 70_000, zip64: true })), {
      code: 'too-many-entries',
      limit: 65_535,
    })
  })

  test('counts what is written by itself, whatever was declared', () => {
    const budget = new ExpansionBudget(10, { ...DEFAULT_PACKAGE_LIMITS, expandedBytes: 1000 })
    budget.spend(1000)
    assert.throws(() => budget.spend(1), { code: 'too-large' })
  })

  test('refuses 70 000 entries behind a count that wrapped', async () => {
    const zip = rawZip(Array.from({ length: 70_000 }, (_, i) => file(`${i}`, '')))
    assert.partialDeepStrictEqual(await refusal(zip), { code: 'corrupt' })
  })

  test('counts the folders that entries imply', async () => {
    assert.partialDeepStrictEqual(await refusal([file('a/b/c/d')], { entries: 3 }), {
      code: 'too-many-entries',
      limit: 3,
    })
    await unpack(rawZip([file('a/b/c/d')]), { entries: 4 })
  })

  test.each([
    ['paths past their length', 'a/'.repeat(20) + 'b', { pathBytes: 40 }],
    ['paths past their depth', 'a/b/c', { pathDepth: 2 }],
    ['segments no file system takes', 'n'.repeat(256), {}],
  ])('refuses %s', async (_what, name, limits) => {
    assert.partialDeepStrictEqual(await refusal([file(name)], limits), { code: 'path-too-long' })
  })

  test('refuses link targets past the length of a path', async () => {
    assert.partialDeepStrictEqual(await refusal([link('a', 'b'.repeat(41))], { pathBytes: 40 }), {
      code: 'path-too-long',
    })
  })
})

/** Every path below `dir`, and that no link in it can lead out of `root`. Links may lead in circles, and are not followed. */
async function assertWhollyInside(root: string, dir = root) {
  for (const name of await readdir(dir)) {
    const place = join(dir, name)
    const stats = await lstat(place)
    assert.ok(stats.isFile() || stats.isDirectory() || stats.isSymbolicLink(), place)
    if (stats.isDirectory()) await assertWhollyInside(root, place)
    if (!stats.isSymbolicLink()) {
      assert.equal(stats.mode & 0o7022, 0)
      continue
    }
    const target = await readlink(place)
    assert.ok(!isAbsolute(target))
    assert.ok(`${resolve(place, '..', target)}${sep}`.startsWith(root + sep), `${place} → ${target}`)
  }
}

describe('unpackZip on anything', () => {
  const limits = { expandedBytes: 1_000_000, entries: 200 }

  /** Either a typed refusal that leaves nothing, or a tree that lies inside. */
  async function survives(bytes: Buffer): Promise<boolean> {
    try {
      await unpack(bytes, limits)
      await assertWhollyInside(tree())
      await rm(tree(), { recursive: true })
    } catch (error) {
      if (!(error instanceof PackageError)) throw error
      assert.notEqual(error.code, 'intake-failed')
    }
    return (await readdir(dir)).length === 1
  }

  test('random bytes end in a refusal or a tree that lies inside', async () => {
    const magic = fc.constantFrom('PK\x03\x04', 'PK\x01\x02', 'PK\x05\x06', 'PK\x06\x06', 'PK\x06\x07', '')
    const part = fc.tuple(magic, fc.uint8Array({ maxLength: 60 }))
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 5 }), async (parts) => {
        const bytes = Buffer.concat(parts.flatMap(([head, tail]) => [Buffer.from(head, 'latin1'), tail]))
        assert.ok(await survives(bytes))
      }),
      { numRuns: 300 },
    )
  })

  test('an archive with bytes changed ends in a refusal or a tree that lies inside', async () => {
    const base = rawZip([
      file('index.js', 'exports.handler = 1'.repeat(20), { method: 8 }),
      link('lib/link', '../index.js'),
      file('bin/run', '#!/bin/sh', { mode: EXECUTABLE }),
      file('empty/', '', { mode: 0o040755 }),
    ])
    const change = fc.tuple(fc.nat({ max: base.length - 1 }), fc.integer({ min: 0, max: 255 }))
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
        const bytes = Buffer.from(base)
        for (const [index, value] of changes) bytes[index] = value
        assert.ok(await survives(bytes))
      }),
      { numRuns: 500 },
    )
  })

  test('any mix of names, kinds and targets ends in a refusal or a tree that lies inside', async () => {
    const path = fc
      .array(fc.constantFrom('a', 'b', 'c', '..', '.', ''), { minLength: 1, maxLength: 4 })
      .map((segments) => segments.join('/'))
    const entry = fc.record({
      name: path,
      data: path.map((target) => Buffer.from(target)),
      mode: fc.constantFrom(REGULAR, EXECUTABLE, LINK, LINK, 0o040755, 0),
      method: fc.constantFrom(0, 8),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 6 }), async (entries) => {
        assert.ok(await survives(rawZip(entries)))
      }),
      { numRuns: 500 },
    )
  })
})
