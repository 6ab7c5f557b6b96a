import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { materialiseBootstraps, NODE_BOOTSTRAP, NODE_COMPILER } from '../../src/sandbox/bootstraps.ts'
import { discoverInterpreters } from '../../src/sandbox/interpreters.ts'
import { launchPlan } from '../../src/sandbox/launch-plan.ts'
import { chooseSandbox, probeSandboxes } from '../../src/sandbox/probe.ts'
import { Workbench } from './harness.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'anvoke-bootstraps-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

describe('laying out bootstraps', () => {
  const sources = (): string => join(dir, 'sources')
  beforeEach(() => {
    mkdirSync(join(sources(), 'nodejs', 'contracts'), { recursive: true })
    mkdirSync(join(sources(), 'python', '__pycache__'), { recursive: true })
    writeFileSync(
      join(sources(), 'nodejs', 'bootstrap.ts'),
      `import { readFileSync } from 'node:fs'\nimport { join } from 'node:path'\nimport { runInThisContext } from 'node:vm'\n` +
        `const program = readFileSync(join(process.argv[1] ?? '', '../program.js'), 'utf8')\n` +
        `runInThisContext(program)((name: string) => import(name), process.getBuiltinModule)\n`,
    )
    writeFileSync(join(sources(), 'nodejs', 'compile.ts'), '')
    writeFileSync(
      join(sources(), 'nodejs', 'life.ts'),
      `import type { A } from './a.ts'\nimport { b } from "./contracts/b.ts"\nimport { writeSync } from 'node:fs'\n` +
        `const later = async (): Promise<number> => (await import('./plain.js')).d\n` +
        `void later().then((d: A | number) => writeSync(1, [b, d].join()))\n`,
    )
    writeFileSync(join(sources(), 'nodejs', 'contracts', 'b.ts'), 'export const b: number = 1\n')
    writeFileSync(join(sources(), 'nodejs', 'plain.js'), 'export const d = 2\n')
    writeFileSync(join(sources(), 'nodejs', 'tsconfig.json'), '{}')
    writeFileSync(join(sources(), 'python', 'bootstrap.py'), 'pass\n')
    writeFileSync(join(sources(), 'python', '__pycache__', 'bootstrap.pyc'), '')
  })

  test('makes scripts of TypeScript and JavaScript', async () => {
    const { nodejs } = await materialiseBootstraps(join(dir, 'out'), sources())
    expect(readdirSync(nodejs)).toEqual([NODE_BOOTSTRAP, NODE_COMPILER, 'program.js', 'rehearsed.js'])
    expect(execFileSync(process.execPath, [join(nodejs, NODE_BOOTSTRAP)], { encoding: 'utf8' })).toBe('1,2')
  })

  test('takes Python’s sources as they are', async () => {
    const { python } = await materialiseBootstraps(join(dir, 'out'), sources())
    expect(readdirSync(python)).toEqual(['bootstrap.py'])
    expect(readFileSync(join(python, 'bootstrap.py'), 'utf8')).toBe('pass\n')
  })

  test('uses what is there as long as the sources are the same', async () => {
    const first = await materialiseBootstraps(join(dir, 'out'), sources())
    const made = statSync(join(first.nodejs, NODE_BOOTSTRAP)).ino
    expect(await materialiseBootstraps(join(dir, 'out'), sources())).toEqual(first)
    expect(statSync(join(first.nodejs, NODE_BOOTSTRAP)).ino).toBe(made)
    writeFileSync(join(sources(), 'nodejs', 'plain.js'), 'export const d = 3\n')
    const changed = await materialiseBootstraps(join(dir, 'out'), sources())
    expect([changed.nodejs === first.nodejs, changed.python === first.python]).toEqual([false, true])
  })

  test('keeps scripts for other targets, and makes them anew where what is kept is none', async () => {
    const cache = join(dir, 'cache')
    mkdirSync(cache)
    const scriptOf = async (target: string): Promise<string> => {
      const { nodejs } = await materialiseBootstraps(join(dir, target), sources(), cache)
      return readFileSync(join(nodejs, 'program.js'), 'utf8')
    }
    const made = await scriptOf('first')
    const [kept = '', ...others] = readdirSync(cache)
    expect([kept, others]).toEqual([expect.stringMatching(/^nodejs-[0-9a-f]{32}\.json$/), []])
    const other = [
      { path: NODE_BOOTSTRAP, text: '' },
      { path: 'program.js', text: 'kept' },
    ]
    writeFileSync(join(cache, kept), JSON.stringify(other))
    expect(await scriptOf('second')).toBe('kept')
    for (const broken of ['', '[{"path":"program.js"}]', '{}', '[]', JSON.stringify(other.slice(1))]) {
      writeFileSync(join(cache, kept), broken)
      expect(await scriptOf(`after ${broken.length}`)).toBe(made)
    }
    expect(await scriptOf('last')).toBe(made)
    expect(readdirSync(cache)).toEqual([kept])
    rmSync(cache, { recursive: true })
    expect(await scriptOf('without')).toBe(made)
  })

  test('agrees with servers that lay out the same at the same time', async () => {
    const all = await Promise.all([1, 2, 3].map(() => materialiseBootstraps(join(dir, 'out'), sources())))
    expect(new Set(all.map(({ nodejs }) => nodejs)).size).toBe(1)
    expect(readdirSync(join(dir, 'out'))).toHaveLength(2)
  })

  test('leaves the files readable for every user id, whatever the umask', async () => {
    const umask = process.umask(0o077)
    mkdirSync(join(sources(), 'python', 'inner'))
    writeFileSync(join(sources(), 'python', 'inner', 'b.py'), 'pass\n')
    const { nodejs, python } = await materialiseBootstraps(join(dir, 'out'), sources()).finally(() =>
      process.umask(umask),
    )
    const paths = [
      nodejs,
      join(nodejs, NODE_BOOTSTRAP),
      python,
      join(python, 'inner'),
      join(python, 'inner', 'b.py'),
    ]
    expect(paths.map((path) => statSync(path).mode & 0o777)).toEqual([0o755, 0o644, 0o755, 0o755, 0o644])
  })
})

describe('every bootstrap on every interpreter of this host', async () => {
  const interpreters = await discoverInterpreters()
  const drivers = (await probeSandboxes()).filter(({ works }) => works).map(({ driver }) => driver)
  const pairs = drivers.flatMap((driver) => interpreters.map((interpreter) => ({ driver, ...interpreter })))

  test.each(pairs)('says hello: $language $version in $driver', async ({ driver, ...interpreter }) => {
    const workbench = new Workbench()
    const { sandbox } = await chooseSandbox(driver)
    const plan = launchPlan(interpreter, await materialiseBootstraps(join(dir, 'out')), { memoryMib: 128 })
    const process = sandbox.start({ ...workbench.spec(plan.command), ...plan })
    const stderr: Buffer[] = []
    process.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
    const hello = await new Promise<Buffer>((resolve, reject) => {
      process.channel.once('data', resolve)
      void process.exited.then((exit) =>
        reject(new Error(JSON.stringify(exit) + Buffer.concat(stderr).toString())),
      )
    })
    // Type 1, protocol version 1, and the version in its JSON: see src/runtimes/protocol.md.
    expect([hello[4], hello[5]]).toEqual([1, 1])
    expect(hello.toString('utf8', 12)).toContain(interpreter.version)
    // The end of descriptor 3 ends the bootstrap: what keeps a killed server from leaving one behind.
    process.channel.end()
    expect(await process.exited).toEqual({ kind: 'exited', exitCode: 0 })
    await sandbox.close()
    workbench.close()
  })
})
