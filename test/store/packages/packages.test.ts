import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, watch, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { Crc64 } from '../../../src/store/packages/crc64.ts'
import { PackageError } from '../../../src/store/packages/package-error.ts'
import { PackageStore } from '../../../src/store/packages/packages.ts'
import type { PackageStoreOptions } from '../../../src/store/packages/packages.ts'
import { honestZip } from './zip-bytes.ts'

let root: string
let dir: string
let store: PackageStore
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'anvoke-packages-'))
  dir = join(root, 'packages')
  store = await PackageStore.open({ dir, unreferencedGraceMs: 0 })
})
afterEach(async () => {
  await store.close()
  await rm(root, { recursive: true })
})

async function reopen(options: Partial<PackageStoreOptions> = {}) {
  await store.close()
  store = await PackageStore.open({ dir, unreferencedGraceMs: 0, ...options })
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** A package that takes its time: one file for each number. */
const manyFiles = (count: number) =>
  honestZip(Object.fromEntries(Array.from({ length: count }, (_, i) => [`d${i % 50}/f${i}`, `content ${i}`])))

describe('PackageStore.put', () => {
  test('keeps the zip byte for byte beside its tree', async () => {
    const zip = await honestZip({ 'index.js': 'exports.handler = 1', 'lib/a.txt': 'a' })
    const stored = await store.put(zip)
    assert.deepEqual(stored, {
      digest: sha256(zip),
      crc64: new Crc64().update(zip).digest(),
      sizeBytes: zip.length,
      expandedBytes: 20,
    })
    const { stream, sizeBytes } = await store.openArchive(stored.digest)
    assert.equal(sizeBytes, zip.length)
    assert.ok((await buffer(stream)).equals(zip))
    assert.equal(await readFile(join(store.treePath(stored.digest), 'lib/a.txt'), 'utf8'), 'a')
    assert.deepEqual(await readdir(dir), [stored.digest])
    assert.deepEqual((await readdir(join(dir, stored.digest))).sort(), ['archive.zip', 'meta.json', 'tree'])
  })

  test('lets other users reach the tree and read nothing else', async () => {
    const { digest } = await store.put(await honestZip({ a: 'a' }))
    const modes = ['', digest, `${digest}/archive.zip`, `${digest}/meta.json`, `${digest}/tree`].map(
      async (path) => ((await lstat(join(dir, path))).mode & 0o777).toString(8),
    )
    assert.deepEqual(await Promise.all(modes), ['711', '711', '600', '600', '755'])
  })

  test('takes chunks and leaves the bytes it is given as they are', async () => {
    const zip = await honestZip({ a: 'a' })
    const copy = Buffer.from(zip)
    const { digest } = await store.put([copy.subarray(0, 10), copy.subarray(10, 10), copy.subarray(10)])
    assert.equal(digest, sha256(zip))
    assert.ok(copy.equals(zip))
  })

  test('finds its packages again after a restart', async () => {
    const stored = await store.put(await honestZip({ a: 'a' }))
    await reopen()
    assert.deepEqual(await store.find(stored.digest), stored)
  })

  test('keeps one folder for the same bytes, put again or at the same time', async () => {
    const zips = [await manyFiles(30), await honestZip({ b: 'b' })]
    const puts = Array.from({ length: 12 }, (_, i) => store.put(zips[i % 2] ?? []))
    const stored = await Promise.all(puts)
    const tree = await lstat(store.treePath(sha256(zips[0] ?? Buffer.alloc(0))))
    assert.deepEqual(await store.put(zips[0] ?? []), stored[0])
    assert.deepEqual([...new Set(stored.map(({ digest }) => digest))].sort(), zips.map(sha256).sort())
    assert.deepEqual((await readdir(dir)).sort(), zips.map(sha256).sort())
    assert.equal((await lstat(store.treePath(sha256(zips[0] ?? Buffer.alloc(0))))).ino, tree.ino)
  })

  test.each([
    ['an empty body', Buffer.alloc(0), 'not-a-zip'],
    ['an empty list of chunks', [], 'not-a-zip'],
    ['something else', Buffer.from('hello'), 'not-a-zip'],
    ['more bytes than the limit', Buffer.alloc(10_001), 'too-large'],
  ])('refuses %s and keeps nothing', async (_what, bytes, code) => {
    await reopen({ limits: { archiveBytes: 10_000 } })
    await assert.rejects(store.put(bytes), { name: 'PackageError', code })
    assert.deepEqual(await readdir(dir), [])
  })

  test('refuses what expands past the limit and keeps nothing', async () => {
    await reopen({ limits: { expandedBytes: 99 } })
    await assert.rejects(store.put(await honestZip({ a: 'a'.repeat(100) })), {
      code: 'too-large',
      details: { what: 'expanded', limitBytes: 99 },
    })
    assert.deepEqual(await readdir(dir), [])
  })

  test('refuses more puts at once than the limit, and only those', async () => {
    await reopen({ limits: { concurrentPuts: 2 } })
    const zip = await honestZip({ a: 'a' })
    const outcomes = await Promise.allSettled([store.put(zip), store.put(zip), store.put(zip)])
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'rejected'],
    )
    const [, , third] = outcomes
    assert.ok(third?.status === 'rejected' && third.reason instanceof PackageError)
    assert.deepEqual([third.reason.code, third.reason.details], ['busy', { limit: 2 }])
    await store.put(zip)
  })

  test('names a failure of the disk without naming its paths', async () => {
    await rm(dir, { recursive: true })
    const zip = await honestZip({ a: 'a' })
    await assert.rejects(store.put(zip), { code: 'intake-failed', details: { reason: 'ENOENT' } })
    await mkdir(dir)
    await store.put(zip)
  })

  test('replaces a package whose record was damaged', async () => {
    const zip = await honestZip({ a: 'a' })
    const stored = await store.put(zip)
    await writeFile(join(dir, stored.digest, 'meta.json'), '{"format":1')
    assert.equal(await store.has(stored.digest), false)
    assert.deepEqual(await store.put(zip), stored)
    assert.equal(await store.has(stored.digest), true)
    assert.deepEqual(await readdir(dir), [stored.digest])
  })
})

describe('PackageStore lookups', () => {
  test('refuse anything that is no digest', async () => {
    await writeFile(join(root, 'meta.json'), '{}')
    for (const digest of ['..', '', 'A'.repeat(64), `${'a'.repeat(64)}\n`, '../packages']) {
      assert.equal(await store.has(digest), false)
      assert.throws(() => store.treePath(digest), TypeError)
      await assert.rejects(store.openArchive(digest), { code: 'not-found' })
      assert.equal(await store.remove([digest]), 0)
    }
  })

  test('know nothing of a package that is not there', async () => {
    const digest = 'a'.repeat(64)
    assert.equal(await store.has(digest), false)
    await assert.rejects(store.openArchive(digest), { code: 'not-found', details: { digest } })
    assert.equal(await store.remove([digest]), 0)
  })
})

describe('PackageStore.remove', () => {
  test('deletes just the packages named, and open downloads go on', async () => {
    const [a, b] = await Promise.all([
      store.put(await honestZip({ a: 'a' })),
      store.put(await honestZip({ b: 'b' })),
    ])
    const { stream } = await store.openArchive(a.digest)
    assert.equal(await store.remove([a.digest]), 1)
    assert.equal((await buffer(stream)).length, a.sizeBytes)
    assert.equal(await store.has(a.digest), false)
    assert.deepEqual(await readdir(dir), [b.digest])
  })

  test('never breaks a put of the same bytes', async () => {
    const zip = await manyFiles(20)
    const digest = sha256(zip)
    for (let round = 0; round < 10; round += 1) {
      await Promise.all([store.put(zip), store.remove([digest]), store.put(zip), store.sweep(new Set())])
      await store.put(zip)
      assert.equal((await readdir(store.treePath(digest), { recursive: true })).length, 40)
    }
    assert.deepEqual(await readdir(dir), [digest])
  })
})

describe('PackageStore.sweep', () => {
  test('deletes what is not referenced and what killed processes left', async () => {
    const live = await store.put(await honestZip({ a: 'a' }))
    await store.put(await honestZip({ b: 'b' }))
    await mkdir(join(dir, '.intake-left/tree'), { recursive: true })
    await mkdir(join(dir, '.trash-left'))
    await mkdir(join(dir, 'not-ours'))
    assert.equal(await store.sweep(new Set([live.digest])), 1)
    assert.deepEqual((await readdir(dir)).sort(), [live.digest, 'not-ours'].sort())
    assert.equal(await store.has(live.digest), true)
  })

  test('spares packages put within the grace', async () => {
    await reopen({ unreferencedGraceMs: 600_000 })
    const { digest } = await store.put(await honestZip({ a: 'a' }))
    assert.equal(await store.sweep(new Set()), 0)
    assert.equal(await store.has(digest), true)
    await reopen({ unreferencedGraceMs: 600_000 })
    assert.equal(await store.sweep(new Set()), 1)
  })

  test('spares a package that is being put', async () => {
    const zip = await manyFiles(100)
    const put = store.put(zip)
    const state = { settled: false }
    const finished = put.finally(() => {
      state.settled = true
    })
    while (!state.settled) assert.equal(await store.sweep(new Set()), 0)
    const { digest } = await finished
    assert.equal(await store.has(digest), true)
  })
})

describe('PackageStore.close', () => {
  test('lets a put that is under way finish, and refuses later ones', async () => {
    const zip = await honestZip({ a: 'a' })
    const put = store.put(zip)
    await store.close()
    const { digest } = await put
    assert.equal(await store.has(digest), true)
    await assert.rejects(store.put(zip), { code: 'intake-failed' })
    await assert.rejects(store.sweep(new Set()), { code: 'intake-failed' })
  })
})

/** A process of its own that puts the zip in a file, says so, and closes nothing. */
function putInChild(zipPath: string) {
  const module = new URL('../../../src/store/packages/packages.ts', import.meta.url).href
  const program = `
    import { readFile } from 'node:fs/promises'
    import { PackageStore } from ${JSON.stringify(module)}
    const [dir, zipPath] = process.argv.slice(1)
    const store = await PackageStore.open({ dir })
    console.log((await store.put(await readFile(zipPath))).digest)
  `
  return spawn(process.execPath, ['--input-type=module', '-e', program, dir, zipPath], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

/** Resolves with the name of the first entry of `folder` that matches, waiting for it if need be. */
async function appears(folder: string, pattern: RegExp): Promise<string> {
  const abort = new AbortController()
  // The first `next()` starts watching; only then does a look at the folder miss nothing.
  const changes = watch(folder, { signal: abort.signal })[Symbol.asyncIterator]()
  let change = changes.next()
  try {
    for (;;) {
      const found = (await readdir(folder)).find((name) => pattern.test(name))
      if (found !== undefined) return found
      await change
      change = changes.next()
    }
  } finally {
    abort.abort()
    await change.catch(() => {})
  }
}

describe('a process that puts a package', () => {
  test('ends by itself, though the store was never closed', async () => {
    const zip = await honestZip({ a: 'a' })
    await writeFile(join(root, 'a.zip'), zip)
    const child = putInChild(join(root, 'a.zip'))
    const [output, [exitCode]] = await Promise.all([buffer(child.stdout), once(child, 'exit')])
    assert.equal(exitCode, 0)
    assert.equal(output.toString().trim(), sha256(zip))
    assert.equal(await store.has(sha256(zip)), true)
  })

  test.each([
    ['while the zip is being stored', async () => {}],
    [
      'while its tree is being written',
      async (staging: string) => {
        await appears(staging, /^tree$/)
        await appears(join(staging, 'tree'), /^d7$/)
      },
    ],
  ])('leaves no package when it is killed %s', async (_when, moment) => {
    const zip = await manyFiles(4000)
    await writeFile(join(root, 'many.zip'), zip)
    const child = putInChild(join(root, 'many.zip'))
    const exit = once(child, 'exit')
    await moment(join(dir, await appears(dir, /^\.intake-/)))
    child.kill('SIGKILL')
    assert.deepEqual(await exit, [null, 'SIGKILL'])

    assert.equal(await store.has(sha256(zip)), false)
    assert.equal((await readdir(dir)).length, 1)
    assert.equal(await store.sweep(new Set()), 0)
    assert.deepEqual(await readdir(dir), [])
    await store.put(zip)
    assert.equal((await readdir(store.treePath(sha256(zip)), { recursive: true })).length, 4050)
  })
})
