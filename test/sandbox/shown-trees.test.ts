import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { placeFindings } from '../../src/cli/server-findings.ts'
import {
  discoverInterpreters,
  InterpreterUnusable,
  type Interpreter,
  type PassedOver,
} from '../../src/sandbox/interpreters.ts'
import { hiddenPlaces, requireHidden, ShownToFunctions, treeAround } from '../../src/sandbox/shown-trees.ts'
import { canInstall, Prefix } from '../helpers/prefix.ts'
import type { Order } from './mounted-trees.ts'

const MOUNTED = fileURLToPath(new URL('mounted-trees.ts', import.meta.url))

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'anvoke-shown-'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(dir, { recursive: true })
})

describe('the tree around a directory', () => {
  test('is found from below it, by a link, and for what is not there yet', () => {
    const tree = join(dir, 'tree')
    mkdirSync(join(tree, 'data'), { recursive: true })
    symlinkSync(join(tree, 'data'), join(dir, 'link'))
    for (const place of ['tree', 'tree/data', 'tree/data/not/yet', 'link', 'link/not/yet'])
      expect([place, treeAround(join(dir, place), ['/usr', tree])]).toEqual([place, tree])
  })

  test('is found where the tree is named by a link', () => {
    mkdirSync(join(dir, 'tree', 'data'), { recursive: true })
    symlinkSync(join(dir, 'tree'), join(dir, 'link'))
    expect(treeAround(join(dir, 'tree', 'data'), [join(dir, 'link')])).toBe(join(dir, 'link'))
  })

  test('is none beside it, above it, or with the beginning of its name', () => {
    mkdirSync(join(dir, 'tree-of-another'))
    mkdirSync(join(dir, 'tree'))
    for (const place of ['tree-of-another', 'beside', '.'])
      expect(treeAround(join(dir, place), [join(dir, 'tree'), '/nowhere'])).toBeUndefined()
  })
})

describe('a data directory', () => {
  test.each(['/usr', '/usr/share', '/usr/not/there/yet', '/bin/data', '/lib/data', '/etc/ssl/certs/data'])(
    'at %s is refused, with what to do',
    (place) => {
      symlinkSync(place, join(dir, 'link'))
      expect(() => requireHidden(place)).toThrow(ShownToFunctions)
      expect(placeFindings(() => requireHidden(place))).toEqual([
        {
          name: 'place of data',
          ok: false,
          required: true,
          detail: expect.stringContaining(`${place} cannot be used: it lies in /`),
          fix: expect.stringContaining('--data'),
        },
      ])
    },
  )

  test('behind a link into /usr is refused', () => {
    symlinkSync('/usr/share', join(dir, 'link'))
    expect(() => requireHidden(join(dir, 'link', 'anvoke'))).toThrow('it lies in /usr')
  })

  test('elsewhere is none of these', () => {
    expect(placeFindings(() => requireHidden(join(dir, 'data')))).toEqual([])
  })

  test('does not help where files for the moment lie in /usr', () => {
    vi.stubEnv('TMPDIR', '/usr/share')
    expect(() => requireHidden(dir)).toThrow('the server keeps files of its own there')
  })
})

describe('what is mounted in a tree', () => {
  beforeEach((context) => {
    context.skip(process.getuid?.() !== 0, 'a mount namespace takes root')
    for (const name of ['tree/a/b', 'tree/c', 'real/data/packages', 'real/other', 'alias'])
      mkdirSync(join(dir, name), { recursive: true })
  })

  /** @param binds From where to where, below the directory of the test, in a mount namespace of its own. */
  function thoughtWith(
    binds: Order['binds'],
    data: string,
  ): Record<'ofHome' | 'ofData' | 'refused', string | null> {
    const order: Order = {
      binds: binds.map(([from, to]) => [join(dir, from), resolve(dir, to)]),
      trees: [join(dir, 'tree')],
      dir: join(dir, data),
    }
    const unshare = ['--mount', '--propagation', 'private', process.execPath, MOUNTED, JSON.stringify(order)]
    const { stdout, stderr } = spawnSync('unshare', unshare, { encoding: 'utf8' })
    expect(stderr).toBe('')
    return JSON.parse(stdout)
  }

  test('is a part of it: a directory that is above the data there', () => {
    const at = join(dir, 'tree/a/b')
    for (const data of ['real', 'real/data', 'real/data/not/yet'])
      expect(thoughtWith([['real', 'tree/a/b']], data)).toMatchObject({ ofHome: at, ofData: at })
  })

  test('is a part of it where the data is named by another mount', () => {
    const binds = [
      ['real', 'tree/c'],
      ['real/data', 'alias'],
    ] as const
    expect(thoughtWith(binds, 'alias')).toMatchObject({ ofHome: join(dir, 'tree/c') })
  })

  test('is refused of the data, and not of a home, where it is a part of that', () => {
    const at = join(dir, 'tree/c')
    const inside = thoughtWith([['real/data/packages', 'tree/c']], 'real/data')
    expect(inside).toMatchObject({ ofHome: null, ofData: at })
    const mountedThere = [
      ['real/other', 'real/data/packages'],
      ['real/other', 'tree/c'],
    ] as const
    expect(thoughtWith(mountedThere, 'real/data')).toMatchObject({ ofHome: null, ofData: at })
  })

  test('is nothing of the data where it lies beside it', () => {
    const beside = { ofHome: null, ofData: null, refused: null }
    expect(thoughtWith([['real/other', 'tree/c']], 'real/data')).toEqual(beside)
    expect(thoughtWith([['real/other', 'tree/c']], 'real/oth')).toEqual(beside)
  })

  test('keeps a server from its data when the tree is one that all functions see', () => {
    for (const from of ['real', 'real/data', 'real/data/packages'])
      expect(thoughtWith([[from, '/usr/share']], 'real/data').refused).toMatch(/^it lies in \/usr\/share, /)
  })
})

// Needs a Python that can be installed a second time, with its standard library.
describe.runIf(canInstall)('a Python outside of /usr', () => {
  let prefix: Prefix
  beforeEach(() => {
    prefix = new Prefix(dir)
  })

  const findIt = (found: readonly Interpreter[]): Interpreter | undefined =>
    found.find(({ path }) => path === prefix.python)

  test('needs its program and its library, and nothing else below its prefix', async () => {
    const object = join(prefix.dir, 'lib', 'libssl.so.3')
    writeFileSync(object, '')
    for (const name of ['secret', 'lib/secret', 'bin/secret']) writeFileSync(join(prefix.dir, name), '')
    mkdirSync(join(prefix.dir, 'data'))
    const hidden = hiddenPlaces(join(prefix.dir, 'data'))
    const found = findIt(await discoverInterpreters({ pythonPath: prefix.python, hidden }))
    expect(found?.needs).toEqual([prefix.python, prefix.library, object])
  })

  test('is passed over where the data lies in its library, and refused where it is named', async () => {
    const dataDir = join(prefix.library, 'data')
    const passedOver: PassedOver[] = []
    const settings = {
      hidden: hiddenPlaces(dataDir),
      onPassedOver: (one: PassedOver) => void passedOver.push(one),
    }
    const found = await discoverInterpreters({ ...settings, searchPath: join(prefix.dir, 'bin') })
    expect(findIt(found)).toBeUndefined()
    expect(passedOver).toEqual([
      { path: prefix.python, why: expect.stringContaining(`the data directory ${dataDir}`) },
    ])
    const named = discoverInterpreters({ ...settings, pythonPath: prefix.python })
    await expect(named).rejects.toThrow(InterpreterUnusable)
  })

  test('is passed over where its library holds the home directory', async () => {
    vi.stubEnv('HOME', join(prefix.library, 'home'))
    const settings = { hidden: hiddenPlaces(join(dir, 'data')), searchPath: join(prefix.dir, 'bin') }
    expect(findIt(await discoverInterpreters(settings))).toBeUndefined()
  })
})
