import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { storedZip } from '../../src/intake/stored-zip.ts'
import { PackageStore } from '../../src/store/packages/packages.ts'

let dir: string
let packages: PackageStore

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'anvoke-stored-zip-'))
  packages = await PackageStore.open({ dir: join(dir, 'packages') })
})

afterEach(async () => {
  await packages.close()
  await rm(dir, { recursive: true })
})

test('the package store reads back every file of an archive', async () => {
  const binary = Buffer.from(Uint8Array.from({ length: 1000 }, (_, at) => at % 256))
  const kept = await packages.put(
    storedZip([
      { path: 'index.js', content: Buffer.from('exports.a = 1\n') },
      { path: 'dir/ä.bin', content: binary },
      { path: 'empty', content: Buffer.alloc(0) },
    ]),
  )
  const tree = packages.treePath(kept.digest)
  expect(await readFile(join(tree, 'index.js'), 'utf8')).toBe('exports.a = 1\n')
  expect(await readFile(join(tree, 'dir/ä.bin'))).toEqual(binary)
  expect(await readFile(join(tree, 'empty'), 'utf8')).toBe('')
  expect(kept.expandedBytes).toBe(1014)
})

test('an archive of no files is one', async () => {
  const kept = await packages.put(storedZip([]))
  expect(kept.expandedBytes).toBe(0)
})

test('another reader of the format finds nothing to complain about', async () => {
  const file = join(dir, 'a.zip')
  await writeFile(file, storedZip([{ path: 'dir/index.py', content: Buffer.from('x = 1\n') }]))
  const code = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    info = archive.getinfo('dir/index.py')
    print(oct(info.external_attr >> 16), archive.read(info).decode(), end='')
`
  expect(execFileSync('python3', ['-c', code, file], { encoding: 'utf8' })).toBe('0o100644 x = 1\n')
})

test('the same files make the same bytes', () => {
  const files = [{ path: 'a', content: Buffer.from('b') }]
  expect(storedZip(files)).toEqual(storedZip(files))
})
