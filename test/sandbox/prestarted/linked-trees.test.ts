import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { linkTree, UnsuitableTree } from '../../../src/sandbox/prestarted/link-tree.ts'
import { LinkedTrees, moveInto } from '../../../src/sandbox/prestarted/linked-trees.ts'

let root: string
let source: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'anvoke-trees-test-'))
  source = join(root, 'source')
  mkdirSync(join(source, 'lib/deep'), { recursive: true })
  writeFileSync(join(source, 'index.js'), 'index')
  writeFileSync(join(source, 'lib/deep/run.sh'), 'run', { mode: 0o755 })
  symlinkSync('lib/deep/run.sh', join(source, 'run'))
  symlinkSync('nowhere', join(source, 'dangling'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

describe('linkTree', () => {
  test('makes folders anew, files as further links to the same data, and symbolic links as they are', async () => {
    const place = join(root, 'linked')
    const names = await linkTree(source, place)
    expect([...names].sort()).toEqual(['dangling', 'index.js', 'lib', 'run'])
    for (const path of ['index.js', 'lib/deep/run.sh']) {
      const [before, after] = [statSync(join(source, path)), statSync(join(place, path))]
      expect([after.ino, after.mode]).toEqual([before.ino, before.mode])
      expect(after.nlink).toBe(2)
    }
    expect(statSync(join(place, 'lib')).ino).not.toBe(statSync(join(source, 'lib')).ino)
    expect(statSync(join(place, 'lib/deep')).mode & 0o777).toBe(0o755)
    expect(readlinkSync(join(place, 'run'))).toBe('lib/deep/run.sh')
    expect(lstatSync(join(place, 'dangling')).isSymbolicLink()).toBe(true)
  })

  test('removing what it made leaves the source as it was', async () => {
    const place = join(root, 'linked')
    await linkTree(source, place)
    rmSync(place, { recursive: true })
    expect(readFileSync(join(source, 'index.js'), 'utf8')).toBe('index')
    expect(statSync(join(source, 'index.js')).nlink).toBe(1)
    expect(readFileSync(join(source, 'run'), 'utf8')).toBe('run')
  })

  test('refuses a tree with more than 500 entries, or with more than 64 at its root', async () => {
    for (let index = 0; index < 500; index += 1) writeFileSync(join(source, `lib/${index}`), '')
    await expect(linkTree(source, join(root, 'a'))).rejects.toThrow(UnsuitableTree)
    rmSync(join(source, 'lib'), { recursive: true })
    for (let index = 0; index < 64; index += 1) writeFileSync(join(source, `${index}`), '')
    await expect(linkTree(source, join(root, 'b'))).rejects.toThrow(UnsuitableTree)
  })
})

describe('LinkedTrees', () => {
  let trees: LinkedTrees
  let dir: string
  beforeEach(() => {
    dir = join(root, 'trees')
    mkdirSync(dir)
    trees = new LinkedTrees(dir)
  })
  afterEach(() => trees.close())

  const mounts = () => [{ source, target: '/code' }]

  test('has two trees ready of what was asked for, and makes another for each that is taken', async () => {
    expect(trees.takeAll(mounts())).toBeUndefined()
    trees.expect(source)
    await trees.settled()
    expect(readdirSync(dir).length).toBe(2)
    const taken = [trees.takeAll(mounts()), trees.takeAll(mounts())]
    expect(taken.map((tree) => tree?.get('/code')?.names.length)).toEqual([4, 4])
    expect(trees.takeAll(mounts())).toBeUndefined()
    trees.expect(source)
    await trees.settled()
    expect(trees.takeAll(mounts())).toBeDefined()
  })

  test('gives all trees that are needed or none', async () => {
    const layer = join(root, 'layer')
    mkdirSync(layer)
    trees.expect(source)
    await trees.settled()
    const both = [...mounts(), { source: layer, target: '/opt' }]
    expect(trees.takeAll(both)).toBeUndefined()
    trees.expect(layer)
    trees.expect(source)
    await trees.settled()
    expect([...(trees.takeAll(both) ?? new Map()).keys()]).toEqual(['/code', '/opt'])
  })

  test('a tree is moved into a directory that is there already', async () => {
    trees.expect(source)
    await trees.settled()
    const slot = join(root, 'slot')
    mkdirSync(slot)
    const inode = statSync(slot).ino
    const tree = trees.takeAll(mounts())?.get('/code')
    if (tree === undefined) throw new Error('there is no tree')
    await moveInto(slot, tree)
    expect(statSync(slot).ino).toBe(inode)
    expect(readFileSync(join(slot, 'run'), 'utf8')).toBe('run')
    expect(readdirSync(tree.path)).toEqual([])
  })

  test('lets go of code that was deleted', async () => {
    trees.expect(source)
    await trees.settled()
    rmSync(source, { recursive: true })
    await trees.forgetMissing()
    expect(trees.takeAll(mounts())).toBeUndefined()
    await trees.close()
    expect(readdirSync(dir)).toEqual([])
  })

  test('keeps the trees of the last 128 sources asked for', async () => {
    const sources = Array.from({ length: 129 }, (_, index) => join(root, `source-${index}`))
    for (const path of sources) {
      mkdirSync(path)
      trees.expect(path)
    }
    await trees.settled()
    const has = (path: string | undefined): boolean =>
      trees.takeAll([{ source: path ?? '', target: '/code' }]) !== undefined
    expect([sources[0], sources[1], sources[128]].map(has)).toEqual([false, true, true])
  })

  test('closing it leaves nothing, also of trees that are being made', async () => {
    trees.expect(source)
    await trees.close()
    trees.expect(source)
    await trees.settled()
    expect(readdirSync(dir)).toEqual([])
    expect(existsSync(source)).toBe(true)
  })
})
