import { lstat, mkdtemp, readdir, readFile, readlink, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { withLayers } from '../../../src/store/packages/layered-definitions.ts'
import { PackageStore } from '../../../src/store/packages/packages.ts'
import type { Change } from '../../../src/store/definition-store.ts'
import { MemoryDefinitions } from '../../helpers/memory-definitions.ts'
import { EXECUTABLE, honestZip, LINK } from './zip-bytes.ts'

let root: string
let dir: string
let store: PackageStore
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'anvoke-layers-'))
  dir = join(root, 'packages')
  store = await PackageStore.open({ dir, unreferencedGraceMs: 0 })
})
afterEach(async () => {
  await store.close()
  await rm(root, { recursive: true })
})

/** Puts a package for each list of files and returns their digests. */
async function layers(...contents: Parameters<typeof honestZip>[0][]): Promise<string[]> {
  const zips = await Promise.all(contents.map((files) => honestZip(files)))
  const packages = await Promise.all(zips.map((zip) => store.put(zip)))
  return packages.map(({ digest }) => digest)
}

/** Every path below the tree of layers: `null` for a folder, `→ target` for a link, else the content. */
async function seen(digests: readonly string[]): Promise<Record<string, string | null>> {
  const tree = store.layersPath(digests)
  const found = await readdir(tree, { recursive: true, withFileTypes: true })
  const entries = found.map(async (entry): Promise<[string, string | null]> => {
    const path = join(entry.parentPath, entry.name)
    const name = path.slice(tree.length + 1)
    if (entry.isDirectory()) return [name, null]
    return [name, entry.isSymbolicLink() ? `→ ${await readlink(path)}` : await readFile(path, 'utf8')]
  })
  return Object.fromEntries(await Promise.all(entries))
}

const merged = async (): Promise<string[]> =>
  (await readdir(dir)).filter((name) => name.startsWith('merged-'))

describe('the tree of layers', () => {
  test('of one layer is that package’s own', async () => {
    const digests = await layers({ 'lib/a': 'a' })
    await store.ensureLayers(digests)
    expect(store.layersPath(digests)).toBe(store.treePath(digests[0] ?? ''))
    expect(await merged()).toEqual([])
  })

  test('joins folders, and of two files of one path shows the later layer’s', async () => {
    const digests = await layers(
      { 'lib/a': 'first a', 'lib/b': 'first b', top: 'top' },
      { 'lib/b': 'second b', 'lib/deep/c': 'c' },
    )
    await store.ensureLayers(digests)
    expect(await seen(digests)).toEqual({
      lib: null,
      'lib/a': 'first a',
      'lib/b': 'second b',
      'lib/deep': null,
      'lib/deep/c': 'c',
      top: 'top',
    })
    const turned = [...digests].reverse()
    await store.ensureLayers(turned)
    expect(await seen(turned)).toMatchObject({ 'lib/b': 'first b' })
  })

  test('shows the later layer’s entry where one has a file and the other a folder', async () => {
    const asFolder = { 'x/one': '1', 'x/deep/two': '2' }
    const asFile = { x: 'file' }
    const digests = await layers(asFolder, asFile)
    await store.ensureLayers(digests)
    expect(await seen(digests)).toEqual({ x: 'file' })
    const turned = [...digests].reverse()
    await store.ensureLayers(turned)
    expect(await seen(turned)).toEqual({ x: null, 'x/one': '1', 'x/deep': null, 'x/deep/two': '2' })
  })

  test('keeps links as they are, and writes nothing through one of an earlier layer', async () => {
    const digests = await layers(
      { 'lib/a': 'a', lib64: { data: 'lib', mode: LINK }, keep: { data: 'lib/a', mode: LINK } },
      { 'lib64/b': 'b' },
    )
    await store.ensureLayers(digests)
    expect(await seen(digests)).toEqual({
      lib: null,
      'lib/a': 'a',
      lib64: null,
      'lib64/b': 'b',
      keep: '→ lib/a',
    })
  })

  test('is readable by everyone, keeps what is executable, and shares its data with the packages', async () => {
    const digests = await layers({ 'bin/run': { data: '#!', mode: EXECUTABLE } }, { plain: 'p' })
    await store.ensureLayers(digests)
    const tree = store.layersPath(digests)
    const modes = ['', 'bin', 'bin/run', 'plain'].map(async (path) =>
      ((await lstat(join(tree, path))).mode & 0o777).toString(8),
    )
    expect(await Promise.all(modes)).toEqual(['755', '755', '755', '644'])
    const { ino } = await stat(join(store.treePath(digests[0] ?? ''), 'bin/run'))
    expect((await stat(join(tree, 'bin/run'))).ino).toBe(ino)
  })

  test('is made once, also by several at the same time, and again when it is gone', async () => {
    const digests = await layers({ a: 'a' }, { b: 'b' })
    await Promise.all([1, 2, 3].map(() => store.ensureLayers(digests)))
    expect(await merged()).toHaveLength(1)
    const { ino } = await stat(store.layersPath(digests))
    await store.ensureLayers(digests)
    expect((await stat(store.layersPath(digests))).ino).toBe(ino)
    await rename(store.layersPath(digests), join(root, 'away'))
    await store.ensureLayers(digests)
    expect(await seen(digests)).toEqual({ a: 'a', b: 'b' })
  })

  test('of none is nothing, and of a package that is not there is refused and leaves nothing', async () => {
    await store.ensureLayers([])
    const digests = [...(await layers({ a: 'a' })), '0'.repeat(64)]
    await expect(store.ensureLayers(digests)).rejects.toMatchObject({
      code: 'not-found',
      details: { digest: '0'.repeat(64) },
    })
    expect(await readdir(dir)).toEqual([digests[0]])
  })

  test('is not left half made when a package goes away while it is made', async () => {
    const digests = await layers({ a: 'a' }, { b: 'b' })
    await rm(store.treePath(digests[1] ?? ''), { recursive: true })
    await expect(store.ensureLayers(digests)).rejects.toMatchObject({ code: 'intake-failed' })
    expect((await readdir(dir)).sort()).toEqual([...digests].sort())
  })
})

describe('a sweep', () => {
  test('keeps the layers of functions, package by package and merged', async () => {
    const digests = await layers({ a: 'a' }, { b: 'b' })
    await store.ensureLayers(digests)
    expect(await store.sweep(new Set(), [digests])).toBe(0)
    expect(await seen(digests)).toEqual({ a: 'a', b: 'b' })
    const [only = ''] = digests
    expect(await store.sweep(new Set(), [[only]])).toBe(1)
    expect(await readdir(dir)).toEqual([only])
  })

  test('removes merged trees that nobody has, while the packages stay', async () => {
    const digests = await layers({ a: 'a' }, { b: 'b' })
    await store.ensureLayers(digests)
    expect(await store.sweep(new Set(digests))).toBe(0)
    expect((await readdir(dir)).sort()).toEqual([...digests].sort())
  })

  test('spares what was ensured a short while ago', async () => {
    const digests = await layers({ a: 'a' }, { b: 'b' })
    await store.close()
    store = await PackageStore.open({ dir })
    await store.ensureLayers(digests)
    expect(await store.sweep(new Set())).toBe(0)
    expect(await seen(digests)).toEqual({ a: 'a', b: 'b' })
  })
})

describe('definitions with layers', () => {
  const stamps = { createdAtMs: 1, modifiedAtMs: 1, description: '', extras: {} }
  const code = (digest: string) => ({ digest, crc64: '0', sizeBytes: 0, expandedBytes: 0 })

  function aFunction(digests: readonly string[]): Change<'function'> {
    const names = { account: 'a', namespace: 'n', name: 'f', version: 'LATEST' }
    const limits = { timeoutMs: 3000, memoryMib: 128, diskMib: 64, instanceConcurrency: 1 }
    const how = { contract: 'c', runtime: 'nodejs20', handler: 'index.handler', environment: {} }
    const spec = { ...how, ...limits, code: code('0'), layers: digests.map(code) }
    const value = { ...names, ...stamps, functionId: 'f', stateId: 's', facts: {}, spec }
    return { kind: 'function', key: 'a/n/LATEST/f', expectedRevision: 0, value }
  }

  test('record a function when the tree of its layers is there', async () => {
    const digests = await layers({ a: 'a' }, { b: 'b' })
    const definitions = withLayers(new MemoryDefinitions(), store)
    await definitions.commit([aFunction(digests)])
    expect(await seen(digests)).toEqual({ a: 'a', b: 'b' })
    expect(await definitions.load()).toHaveLength(1)
  })

  test('record nothing where a package is missing', async () => {
    const digests = [...(await layers({ a: 'a' })), '0'.repeat(64)]
    const definitions = withLayers(new MemoryDefinitions(), store)
    await expect(definitions.commit([aFunction(digests)])).rejects.toMatchObject({
      code: 'platform/store-failed',
      cause: { code: 'not-found' },
    })
    expect(await definitions.load()).toEqual([])
  })
})
