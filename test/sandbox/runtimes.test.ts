import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import {
  discoverInterpreters,
  InterpreterUnusable,
  type Interpreter,
} from '../../src/sandbox/interpreters.ts'
import {
  parseRuntimeName,
  RuntimeTable,
  substitutionsOf,
  type Substitution,
} from '../../src/sandbox/runtimes.ts'

const node = (version: string): Interpreter => ({
  language: 'nodejs',
  path: `/opt/node-${version}/bin/node`,
  version,
})
const python = (version: string): Interpreter => ({
  language: 'python',
  path: `/usr/bin/python${version}`,
  version,
})

/** What `resolve`, or another, refuses with. */
function refusal(table: RuntimeTable, name: string, ask: 'resolve' | 'require' = 'resolve'): unknown {
  try {
    return table[ask](name)
  } catch (error) {
    return error instanceof EngineError ? { code: error.code, ...error.details } : error
  }
}

describe('a runtime name', () => {
  test.each([
    ['nodejs20', 'nodejs', [20]],
    ['nodejs4.4', 'nodejs', [4]],
    ['nodejs22.x', 'nodejs', [22]],
    ['Node.js18.15', 'nodejs', [18]],
    ['Nodejs16.13', 'nodejs', [16]],
    ['Nodejs8.9', 'nodejs', [8]],
    ['python3', 'python', [3]],
    ['python3.10', 'python', [3, 10]],
    ['PYTHON3.9', 'python', [3, 9]],
  ])('%s asks for %s %j', (name, language, wanted) => {
    expect(parseRuntimeName(name)).toEqual({ language, wanted })
  })

  // FunctionGraph's and SCF's lists; Function Compute's are above and below.
  const supported =
    'Node.js6.10 Node.js8.10 Node.js10.16 Node.js12.13 Node.js14.18 Node.js16.17 Node.js18.15 Node.js20.15 ' +
    'Python3.6 Python3.9 Python3.10 Python3.12 ' +
    'Nodejs6.10 Nodejs8.9 Nodejs10.15 Nodejs12.16 Nodejs14.18 Nodejs16.13 Nodejs18.15 Nodejs20.19 Python3.7'

  test.each(supported.split(' '))('%s finds an interpreter', (name) => {
    const table = new RuntimeTable([node('22.1.0'), python('3.11.2')])
    expect(table.resolve(name).language).toBe(name.startsWith('N') ? 'nodejs' : 'python')
  })

  const unsupported =
    'java11 Java8 Java11 Java17 Java21 java8.al2 go1 Go1 Go1.x Go1.8 provided.al2023 php7.2 PHP7.3 PHP8.3 Php5.6 Php7 Php7.4 ' +
    'Php8.0 ruby3.4 dotnet8 dotnetcore3.1 custom custom.debian12 custom-container CustomRuntime CustomImage Custom http Cangjie1.0'
  const withSpaces = ['2.0', '2.1', '3.1', '6.0'].map((version) => `C#(.NET Core ${version})`)

  test.each([...withSpaces, 'Custom Image', ...unsupported.split(' ')])(
    '%s is refused as not supported yet',
    (name) => {
      expect(refusal(new RuntimeTable([node('20.1.0')]), name)).toEqual({
        code: 'caller/runtime-missing',
        runtime: name,
        hint: expect.stringMatching(/not supported yet$/),
      })
    },
  )

  test.each(['python2', 'python2.7', 'Python2.7'])('%s is refused although Python 3 is there', (name) => {
    expect(refusal(new RuntimeTable([python('3.11.2')]), name)).toEqual({
      code: 'caller/runtime-missing',
      runtime: name,
      hint: expect.stringContaining('does not run on Python 3'),
    })
  })

  test.each(['', 'nodejs', 'node-20', 'python', 'python3.10.1.2', 'nodejs20; id', 'cobol'])(
    '%j is refused as unknown',
    (name) => {
      expect(refusal(new RuntimeTable([node('20.1.0')]), name)).toMatchObject({
        hint: expect.stringContaining('not known'),
      })
    },
  )
})

describe('the interpreter for a runtime', () => {
  const table = new RuntimeTable([
    node('26.10.0'),
    node('20.20.2'),
    node('22.1.0'),
    python('3.11.2'),
    python('3.9.1'),
    python('3.13.0'),
  ])

  test.each([
    ['nodejs20', '20.20.2', 'is the version asked for'],
    ['Node.js18.15', '20.20.2', 'is the nearest newer one where it is missing'],
    ['nodejs24', '26.10.0', 'is the nearest newer one where it is missing'],
    ['nodejs28', '26.10.0', 'is the newest where all are older'],
    ['python3.11', '3.11.2', 'is the version asked for'],
    ['python3.10', '3.11.2', 'is the nearest newer one where it is missing'],
    ['python3.14', '3.13.0', 'is the newest where all are older'],
    ['python3', '3.11.2', 'is the one the host prefers where any will do'],
    ['python3.8', '3.9.1', 'is the nearest newer one where it is missing'],
  ])('%s → %s: %s', (name, version) => {
    expect(table.resolve(name).interpreter.version).toBe(version)
  })

  test('is missing with a hint about what to install', () => {
    expect(refusal(new RuntimeTable([node('20.1.0')]), 'python3.10')).toEqual({
      code: 'caller/runtime-missing',
      runtime: 'python3.10',
      hint: expect.stringContaining('apt-get install python3'),
    })
  })
})

describe('a function', () => {
  const table = new RuntimeTable([node('26.10.0'), node('21.7.0'), python('3.11.2'), python('3.16.0')])

  test.each([
    ['nodejs20', 'is a runtime of a vendor'],
    ['Node.js18.15', 'is one, whichever its second number'],
    ['nodejs21', 'is installed, though no vendor has it'],
    ['python3', 'is a runtime of a vendor'],
    ['python3.9', 'is one'],
    ['python3.16', 'is installed'],
  ])('can be made for %s, which %s', (name) => {
    expect(refusal(table, name, 'require')).toBeUndefined()
  })

  test.each(['nodejs99', 'nodejs28', 'nodejs19', 'Node.js5.10', 'python3.5', 'python3.99', 'Python4.0'])(
    'cannot be made for %s, which nobody has, but would still run',
    (name) => {
      expect(refusal(table, name, 'require')).toEqual({
        code: 'caller/runtime-missing',
        runtime: name,
        hint: expect.stringMatching(
          /not known, nor installed\. Known are .*, 3\.15; .*3\.16\.0$|26; .* 26\.10\.0, 21\.7\.0$/,
        ),
      })
      expect(table.resolve(name).interpreter.version).toMatch(/^(?:2|3)/)
    },
  )

  test('that runs on another version than its own is told of once for each name', () => {
    const told: Substitution[] = []
    const telling = new RuntimeTable([node('26.10.0'), python('3.11.2')], (one) => void told.push(one))
    for (const name of ['python3.9', 'nodejs26', 'python3', 'python3.11', 'python3.9', 'Python3.9'])
      telling.resolve(name)
    expect(told).toEqual([
      { runtime: 'python3.9', version: '3.11.2' },
      { runtime: 'Python3.9', version: '3.11.2' },
    ])
  })

  test('is not told of while it is only asked for', () => {
    const told: Substitution[] = []
    new RuntimeTable([python('3.11.2')], (one) => void told.push(one)).require('python3.9')
    expect(told).toEqual([])
  })

  test('of a version that is not there runs on one that is told for each language', () => {
    const here = [node('26.10.0'), node('20.20.2'), python('3.11.2')]
    expect([...substitutionsOf('nodejs', here)]).toEqual([
      ['20.20.2', ['4', '6', '8', '10', '12', '14', '16', '18']],
      ['26.10.0', ['22', '24']],
    ])
    expect(substitutionsOf('python', [node('26.10.0')]).size).toBe(0)
  })
})

describe('a launch plan', () => {
  const bootstraps = { nodejs: '/data/nodejs-1', python: '/data/python-1' }
  const planFor = (interpreter: Interpreter, memoryMib: number) => {
    const runtime = { name: 'any', language: interpreter.language, interpreter }
    return new RuntimeTable([]).launchPlan(runtime, bootstraps, { memoryMib })
  }

  test('mounts an interpreter from outside /usr and starts it there', () => {
    const plan = planFor(node('26.10.0'), 512)
    expect(plan.mounts).toEqual([
      { source: '/data/nodejs-1', target: '/anvoke/bootstrap' },
      { source: '/opt/node-26.10.0/bin/node', target: '/anvoke/node/bin/node' },
    ])
    expect(plan.command[0]).toBe('/anvoke/node/bin/node')
    expect(plan.command.at(-1)).toBe('/anvoke/bootstrap/bootstrap.cjs')
  })

  test.each([
    [64, 32],
    [128, 72],
    [1024, 921],
  ])('keeps the heap of Node.js below %i MiB of memory: %i MiB', (memoryMib, heapMib) => {
    expect(planFor(node('26.10.0'), memoryMib).command).toContain(`--max-old-space-size=${heapMib}`)
  })

  test('starts a Python of the system without further mounts', () => {
    const plan = planFor(python('3.11.2'), 128)
    expect(plan.mounts).toEqual([{ source: '/data/python-1', target: '/anvoke/bootstrap' }])
    expect([plan.command[0], plan.command.at(-1)]).toEqual([
      '/usr/bin/python3.11.2',
      '/anvoke/bootstrap/bootstrap.py',
    ])
  })

  test('mounts what a Python from elsewhere needs at its own path, and nothing else of it', () => {
    const needs = ['/opt/py/bin/python3', '/opt/py/lib/python3.11', '/opt/py/lib/libpython3.11.so.1.0']
    const plan = planFor({ ...python('3.11.2'), path: '/opt/py/bin/python3', needs }, 128)
    expect(plan.mounts.slice(1)).toEqual(needs.map((place) => ({ source: place, target: place })))
  })

  test('has an environment of its own, the same whatever the server has', () => {
    process.env['NODE_EXTRA_CA_CERTS'] = '/etc/hosts'
    const names = Object.keys(planFor(node('26.10.0'), 128).environment)
    delete process.env['NODE_EXTRA_CA_CERTS']
    expect(names.sort()).toEqual(['HOME', 'LANG', 'PATH', 'TZ'])
  })
})

describe('discovering interpreters', () => {
  let dir: string
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'anvoke-interpreters-'))
  })
  afterEach(() => rmSync(dir, { recursive: true }))

  test('finds the Node.js that runs the server first, with its version', async () => {
    const [first] = await discoverInterpreters()
    expect(first).toEqual({
      language: 'nodejs',
      path: realpathSync(process.execPath),
      version: process.versions.node,
    })
  })

  test('lists a program once, however many links lead to it', async () => {
    symlinkSync(process.execPath, join(dir, 'node'))
    symlinkSync(process.execPath, join(dir, 'node26'))
    const found = await discoverInterpreters({ searchPath: dir, nodePath: join(dir, 'node') })
    expect(found.filter(({ path }) => path === realpathSync(process.execPath))).toHaveLength(1)
  })

  test('passes over scripts, programs of another kind and what does not run', async () => {
    const before = await discoverInterpreters({ searchPath: '' })
    mkdirSync(join(dir, 'shims'))
    writeFileSync(join(dir, 'shims', 'python3'), '#!/bin/sh\necho 3.99.0 /usr\n')
    writeFileSync(join(dir, 'shims', 'node'), '\x7fELF and nothing more')
    symlinkSync('/bin/true', join(dir, 'shims', 'python3.98'))
    symlinkSync('/nowhere', join(dir, 'shims', 'node99'))
    chmodSync(join(dir, 'shims', 'python3'), 0o755)
    chmodSync(join(dir, 'shims', 'node'), 0o755)
    expect(await discoverInterpreters({ searchPath: join(dir, 'shims') })).toEqual(before)
  })

  test.each([
    ['missing', 'does not exist'],
    ['directory', 'is a directory'],
    ['script', 'is a script'],
    ['text', 'is not a program'],
    ['true', 'does not answer as Python 3.9 or newer does'],
    ['node', 'does not answer as Python 3.9 or newer does'],
  ])('refuses a setting that names what is no Python: %s %s', async (name, reason) => {
    mkdirSync(join(dir, 'directory'))
    writeFileSync(join(dir, 'script'), '#!/bin/sh\necho 3.99.0 /usr\n', { mode: 0o755 })
    writeFileSync(join(dir, 'text'), 'some text', { mode: 0o755 })
    symlinkSync('/bin/true', join(dir, 'true'))
    symlinkSync(process.execPath, join(dir, 'node'))
    const pythonPath = join(dir, name)
    const error = await discoverInterpreters({ pythonPath }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(InterpreterUnusable)
    expect(error).toMatchObject({ setting: 'pythonPath' })
    expect(String(error)).toContain(`'${pythonPath}' ${reason}`)
  })
})
