import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { materialiseBootstraps } from '../../../src/sandbox/bootstraps.ts'
import {
  CompiledCode,
  type CodeTree,
  type CompiledCodeSettings,
} from '../../../src/sandbox/compiled/compiled-code.ts'
import { discoverInterpreters, type Interpreter } from '../../../src/sandbox/interpreters.ts'
import { launchPlan } from '../../../src/sandbox/launch-plan.ts'
import { MemoryWatch } from '../../../src/sandbox/memory.ts'
import { LinkedTrees } from '../../../src/sandbox/prestarted/linked-trees.ts'
import { chooseSandbox, probeSandboxes } from '../../../src/sandbox/probe.ts'
import type { Sandbox } from '../../../src/sandbox/sandbox.ts'
import { alibabaContext } from '../../helpers/bootstrap-driver.ts'
import { run, Workbench } from '../harness.ts'

const isolates = (await probeSandboxes()).some(({ driver, works }) => driver === 'bwrap' && works)
const interpreters = await discoverInterpreters()
const python = interpreters.find(({ language }) => language === 'python')
const node: Interpreter = { language: 'nodejs', path: process.execPath, version: process.versions.node }

/** Enough code to be worth compiling ahead. */
const PADDING = Array.from(
  { length: 4000 },
  (_, index) => `exports.f${index} = () => 'nothing of use'\n`,
).join('')
const PYTHON_PADDING = Array.from(
  { length: 200 },
  (_, index) => `def f${index}():\n    return ${index}\n`,
).join('')

let root: string
let workbench: Workbench
let sandbox: Sandbox
let compiled: CompiledCode
let failures: unknown[]
const memory = new MemoryWatch()

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'anvoke-compiled-test-'))
  workbench = new Workbench()
  failures = []
})
afterEach(async () => {
  await compiled.close()
  await sandbox.close()
  workbench.close()
  rmSync(root, { recursive: true, force: true })
})

async function open(driver: Sandbox['name'], changes: Partial<CompiledCodeSettings> = {}): Promise<void> {
  sandbox = (await chooseSandbox(driver)).sandbox
  await reopen(changes)
}

async function reopen(changes: Partial<CompiledCodeSettings> = {}): Promise<void> {
  compiled = await CompiledCode.open({
    dir: join(root, 'compiled'),
    sandbox,
    watchMemory: (process, limitBytes) => memory.watch(process, limitBytes),
    onFailure: (error) => failures.push(error),
    sparedMs: 0,
    ...changes,
  })
}

/** Writes a package's tree. */
function treeOf(id: string, files: Readonly<Record<string, string>>, target = '/code'): CodeTree {
  const path = join(root, id)
  let bytes = 0
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true })
    writeFileSync(join(path, name), content)
    bytes += Buffer.byteLength(content)
  }
  return { id, path, target, bytes }
}

/** @returns How many forms became ready. */
async function compile(interpreter: Interpreter, ...trees: CodeTree[]): Promise<number> {
  let ready = 0
  compiled.expect({ interpreter, trees }, () => (ready += 1))
  await compiled.settled()
  return ready
}

const filesIn = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))

// Its entries are named by where code is seen, which only namespaces make the same everywhere.
describe.runIf(isolates)('the compile cache of Node.js code', () => {
  beforeEach(() => open('bwrap'))

  const source = (tree: CodeTree, ...more: CodeTree[]): string =>
    compiled
      .mountsOf({ interpreter: node, trees: [tree, ...more] })
      .find(({ target }) => target === '/anvoke/compiled')?.source ?? ''

  /** Sets a function up with the real bootstrap; what Node.js says of its compile cache, and the first frame behind HELLO. */
  async function start(handler: string, ...trees: CodeTree[]): Promise<{ said: string; frame: string }> {
    const bootstraps = await materialiseBootstraps(join(root, 'runtimes'))
    const plan = launchPlan(node, bootstraps, { memoryMib: 256 })
    const spec = workbench.spec(plan.command, {
      mounts: [...plan.mounts, ...compiled.mountsOf({ interpreter: node, trees })],
      environment: { ...plan.environment, NODE_DEBUG_NATIVE: 'COMPILE_CACHE' },
      workDir: '/code',
    })
    const process = sandbox.start(spec)
    let said = ''
    for (const stream of [process.stdout, process.stderr])
      stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
    const setup = {
      contract: 'alibaba-fc',
      handler,
      codeDir: '/code',
      concurrency: 1,
      environment: {},
      requestId: 'r',
      context: alibabaContext([20]),
    }
    const frame = new Promise<string>((resolve) => {
      let received = Buffer.alloc(0)
      process.channel.on('data', (chunk: Buffer) => {
        received = Buffer.concat([received, chunk])
        const second = received.length < 4 ? Infinity : 4 + received.readUInt32LE(0)
        if (received.length > second + 4 && received.length >= second + 4 + received.readUInt32LE(second))
          resolve(received.toString('latin1', second))
      })
      process.channel.on('close', () => resolve('closed'))
    })
    const content = Buffer.from(JSON.stringify(setup))
    const head = Buffer.alloc(12)
    head.writeUInt32LE(8 + content.length, 0)
    head[4] = 2
    process.channel.write(Buffer.concat([head, content]))
    const answer = await frame
    process.channel.end()
    await process.exited
    return { said, frame: answer }
  }

  const accepted = (said: string): string[] =>
    [...said.matchAll(/V8 code cache for \w+ (\S+) was accepted/g)].map((match) => match[1] ?? '').sort()

  test('is made of scripts and modules, and hit by the next start', async () => {
    const tree = treeOf('a', {
      'index.mjs': `import './lib/part.js'\nimport big from './big.cjs'\nexport const handler = () => big.f1()\n`,
      'lib/package.json': '{"type":"module"}',
      'lib/part.js': 'export const part = 1\n',
      'big.cjs': PADDING,
    })
    expect(accepted((await start('index.handler', tree)).said)).toEqual([])
    expect(await compile(node, tree)).toBe(1)
    const { said, frame } = await start('index.handler', tree)
    expect(frame).toContain('loadMs')
    expect(accepted(said)).toEqual(['/code/big.cjs', 'file:///code/index.mjs', 'file:///code/lib/part.js'])
    expect(failures).toEqual([])
  })

  test('holds layers, too', async () => {
    const tree = treeOf('a', { 'index.js': `require('/opt/big.js')\nexports.handler = () => 1\n` })
    const layer = treeOf('b', { 'big.js': PADDING }, '/opt')
    expect(await compile(node, tree, layer)).toBe(1)
    expect(accepted((await start('index.handler', tree, layer)).said)).toEqual([
      '/code/index.js',
      '/opt/big.js',
    ])
    // Another order of layers, another place: another cache.
    expect(source(tree)).toBe(source(treeOf('c', {})))
  })

  test('is made without running the code', async () => {
    const tree = treeOf('a', {
      'index.js': `${PADDING}\nthrow new Error('I ran')\n`,
      'spin.mjs': 'for (;;);\n',
      'leave.js': 'process.exit(7)\n',
    })
    expect(await compile(node, tree)).toBe(1)
    expect(failures).toEqual([])
    expect(filesIn(source(tree)).length).toBe(3)
  })

  test('leaves out what is no code, and follows no link', async () => {
    const tree = treeOf('a', { 'index.js': PADDING, 'broken.js': 'this is no (', 'notes.txt': PADDING })
    symlinkSync('index.js', join(tree.path, 'link.js'))
    symlinkSync('/etc', join(tree.path, 'etc'))
    symlinkSync('.', join(tree.path, 'self'))
    expect(await compile(node, tree)).toBe(1)
    expect(filesIn(source(tree)).length).toBe(1)
  })

  test('of code that is small is not made at all', async () => {
    const tree = treeOf('a', { 'index.js': 'exports.handler = () => 1\n' })
    expect(await compile(node, tree)).toBe(0)
    // Large, but not by its code.
    const other = treeOf('b', { 'index.js': 'exports.handler = () => 1\n', 'data.json': PADDING })
    expect(await compile(node, other)).toBe(0)
    expect(readdirSync(source(other))).toEqual([])
  })

  test('that is damaged costs time, and nothing else', async () => {
    const tree = treeOf('a', { 'index.js': `${PADDING}\nexports.handler = () => 1\n` })
    await compile(node, tree)
    const [entry = ''] = filesIn(source(tree))
    const whole = readFileSync(entry)
    for (const damage of [
      () => truncateSync(entry, 100),
      () => truncateSync(entry, 0),
      () => writeFileSync(entry, Buffer.concat([whole.subarray(0, 200), Buffer.alloc(whole.length - 200)])),
    ]) {
      damage()
      const { said, frame } = await start('index.handler', tree)
      expect(frame).toContain('loadMs')
      expect(accepted(said)).toEqual([])
    }
    // The same name, another text.
    writeFileSync(entry, whole)
    writeFileSync(join(tree.path, 'index.js'), `${PADDING}\nexports.handler = () => 2\n`)
    const { said, frame } = await start('index.handler', tree)
    expect(frame).toContain('loadMs')
    expect(said).toContain('mismatch')
  })

  test('is found again by another server, and what a killed one left half done is removed', async () => {
    const tree = treeOf('a', { 'index.js': PADDING })
    await compile(node, tree)
    const before = statSync(source(tree)).ino
    const draft = join(root, 'compiled', '.draft-of-a-killed-server')
    mkdirSync(draft)
    await compiled.close()
    await reopen()
    expect(existsSync(draft)).toBe(false)
    expect(await compile(node, tree)).toBe(0)
    expect(statSync(source(tree)).ino).toBe(before)
  })

  test('goes with its code', async () => {
    const [tree, other] = [treeOf('a', { 'index.js': PADDING }), treeOf('b', { 'index.js': PADDING })]
    await compile(node, tree)
    await compile(node, other)
    const [gone, kept] = [source(tree), source(other)]
    await compiled.sweep([{ interpreter: node, trees: [other] }])
    expect([existsSync(gone), existsSync(kept)]).toEqual([false, true])
    expect(readdirSync(source(tree))).toEqual([])
    // The code comes back: so does its cache.
    expect(await compile(node, tree)).toBe(1)
  })

  test('has one empty place for all code without one, which stands in for any of them', async () => {
    const trees = new LinkedTrees(root)
    const mounts = [{ source: source(treeOf('a', {})), target: '/anvoke/compiled' }]
    expect(source(treeOf('b', {}))).toBe(mounts[0]?.source)
    trees.expect(mounts[0]?.source ?? '')
    await trees.settled()
    for (let start = 0; start < 5; start += 1) expect(trees.takeAll(mounts)?.size).toBe(1)
    await trees.close()
  })

  test('can be read by every user, whatever the umask', async () => {
    const tree = treeOf('a', { 'index.js': PADDING })
    const umask = process.umask(0o077)
    try {
      await compile(node, tree)
    } finally {
      process.umask(umask)
    }
    for (const file of filesIn(source(tree))) {
      expect(statSync(file).mode & 0o777).toBe(0o644)
      expect(statSync(dirname(file)).mode & 0o777).toBe(0o755)
    }
    expect(statSync(source(tree)).mode & 0o777).toBe(0o755)
  })

  test('a start meanwhile goes first, and closing ends what is under way', async () => {
    const tree = treeOf('a', { 'index.js': PADDING })
    compiled.noteStart()
    compiled.expect({ interpreter: node, trees: [tree] }, () => undefined)
    await compiled.close()
    expect(readdirSync(join(root, 'compiled'))).toEqual(['empty'])
    expect(failures).toEqual([])
  })
})

// Needs a sandbox that would have one.
test.runIf(isolates)('a Node.js without such a cache is not asked to make one', async () => {
  await open('bwrap')
  const tree = treeOf('a', { 'index.js': PADDING })
  expect(await compile({ ...node, version: '20.20.2' }, tree)).toBe(0)
  expect(failures).toEqual([])
})

test('a sandbox that shows the paths of the host has no cache for Node.js: its names depend on them', async () => {
  await open('process')
  const tree = treeOf('a', { 'index.js': PADDING })
  expect(await compile(node, tree)).toBe(0)
  expect(compiled.mountsOf({ interpreter: node, trees: [tree] })).toEqual([
    { source: tree.path, target: '/code', holdsCode: true },
  ])
})

if (!isolates) process.stderr.write('Compiling in bwrap is not tested: it does not work here.\n')
// Needs a Python of the host.
describe
  .runIf(python !== undefined)
  .each(isolates ? (['bwrap', 'process'] as const) : (['process'] as const))(
  'compiled files of Python code, made in the %s sandbox',
  (driver) => {
    const interpreter = python as Interpreter
    beforeEach(() => open(driver))

    const source = (tree: CodeTree): string =>
      compiled.mountsOf({ interpreter, trees: [tree] })[0]?.source ?? ''

    /** Runs a line of Python as the function's process would see it. */
    async function inside(tree: CodeTree, line: string): Promise<string> {
      const plan = launchPlan(interpreter, { nodejs: '', python: '' }, { memoryMib: 256 })
      const mounts = compiled.mountsOf({ interpreter, trees: [tree] })
      const dir = driver === 'process' ? (mounts[0]?.source ?? '') : '/code'
      const spec = workbench.spec(
        [...plan.command.slice(0, -1), '-c', `import sys\nsys.path.insert(0, '${dir}')\n${line}`],
        { mounts: [...plan.mounts.filter((mount) => mount.source !== ''), ...mounts] },
      )
      const { stdout, stderr } = await run(sandbox, spec)
      expect(stderr).toBe('')
      return stdout.trim()
    }

    /** Whether a module was compiled ahead: the loader is asked for the code only when it is not. */
    const ASKED =
      'import importlib.machinery as m\nasked = []\nbefore = m.SourceFileLoader.source_to_code\n' +
      'm.SourceFileLoader.source_to_code = lambda self, data, path, **more: (asked.append(path), before(self, data, path, **more))[1]\n'

    test('lie beside their sources in a tree of links, and are taken by the next start', async () => {
      const tree = treeOf('a', {
        'index.py': `import lib.part\n${PYTHON_PADDING}`,
        'lib/part.py': 'x = 5\n',
        'data.txt': 'data',
      })
      const line = `${ASKED}import index\nprint(len(asked), index.lib.part.x)`
      expect(await inside(tree, line)).toBe('2 5')
      expect(await compile(interpreter, tree)).toBe(1)
      expect(await inside(tree, line)).toBe('0 5')
      expect(statSync(join(source(tree), 'data.txt')).ino).toBe(statSync(join(tree.path, 'data.txt')).ino)
      // What was deployed is as it was.
      expect(filesIn(tree.path).length).toBe(3)
      expect(failures).toEqual([])
    })

    test('tell the path of the source where it is seen', async () => {
      const tree = treeOf('a', { 'index.py': PYTHON_PADDING })
      await compile(interpreter, tree)
      const dir = driver === 'process' ? source(tree) : '/code'
      expect(await inside(tree, 'import index\nprint(index.f1.__code__.co_filename)')).toBe(`${dir}/index.py`)
    })

    test('are made without running the code', async () => {
      const tree = treeOf('a', {
        'index.py': `raise SystemExit(7)\n${PYTHON_PADDING}`,
        'spin.py': 'while True:\n    pass\n',
        'json.py': 'raise RuntimeError("taken for a module of the library")\n',
        'broken.py': 'this is no (\n',
      })
      expect(await compile(interpreter, tree)).toBe(1)
      expect(failures).toEqual([])
      expect(filesIn(source(tree)).filter((file) => file.endsWith('.pyc')).length).toBe(3)
    })

    test('replace those of a package that do not fit, and never the package’s own file', async () => {
      const tree = treeOf('a', { 'index.py': PYTHON_PADDING })
      await compile(interpreter, tree)
      const made = filesIn(source(tree)).find((file) => file.endsWith('.pyc')) ?? ''
      const name = made.slice(source(tree).length + 1)
      const stale = treeOf('b', { 'index.py': PYTHON_PADDING, [name]: 'stale' })
      await compile(interpreter, stale)
      expect(readFileSync(join(stale.path, name), 'utf8')).toBe('stale')
      // The same source, so the same hash of it.
      const head = readFileSync(join(source(stale), name)).subarray(0, 16)
      expect(head).toEqual(readFileSync(made).subarray(0, 16))
    })

    test('are not written through links of a package', async () => {
      const outside = join(root, 'outside')
      mkdirSync(outside)
      const tree = treeOf('a', { 'index.py': PYTHON_PADDING })
      symlinkSync(outside, join(tree.path, '__pycache__'))
      expect(await compile(interpreter, tree)).toBe(0)
      expect(readdirSync(outside)).toEqual([])
      expect(source(tree)).toBe(tree.path)
      expect(failures.length).toBe(1)
    })

    test('may be deleted at any time: the next start shows the package itself', async () => {
      const tree = treeOf('a', { 'index.py': PYTHON_PADDING })
      await compile(interpreter, tree)
      rmSync(source(tree), { recursive: true })
      expect(source(tree)).toBe(tree.path)
      expect(await compile(interpreter, tree)).toBe(1)
    })

    test('go with their code', async () => {
      const tree = treeOf('a', { 'index.py': PYTHON_PADDING })
      await compile(interpreter, tree)
      const place = source(tree)
      await compiled.sweep([{ interpreter, trees: [tree] }])
      expect(existsSync(place)).toBe(true)
      await compiled.sweep([])
      expect(existsSync(place)).toBe(false)
      expect(source(tree)).toBe(tree.path)
      expect(existsSync(join(tree.path, 'index.py'))).toBe(true)
    })
  },
)
