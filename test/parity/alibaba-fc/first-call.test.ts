import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Suite } from './clients.ts'

let suite: Suite
beforeAll(async () => {
  suite = await Suite.start('first-calls')
})
afterAll(() => suite?.server.close())

/** Paths below the slots of processes that were started ahead: the code of those that a call was given. */
function inSlots(): string[] {
  const dir = join(suite.server.dataDir, 'stems')
  return readdirSync(dir)
    .flatMap((run) => {
      const stems = readdirSync(join(dir, run)).filter((name) => name.startsWith('stem-'))
      return stems.map((name) => join(dir, run, name))
    })
    .flatMap((stem) => {
      try {
        return readdirSync(stem, { recursive: true, encoding: 'utf8' })
      } catch {
        // It has just ended.
        return []
      }
    })
}

async function eventually(holds: () => boolean): Promise<void> {
  for (let attempts = 0; !holds(); attempts += 1) {
    if (attempts > 600) throw new Error(`not within 15 s: ${holds.toString()}`)
    await delay(25)
  }
}

/** How many processes were started ahead: each has its slot, empty or with code. */
const kept = (): number => inSlots().filter((path) => path === '0').length

const untilKept = (count = 2): Promise<void> => eventually(() => kept() >= count)

/** Resolves when a file of that name can be put in place. */
const untilLinked = (name: string): Promise<void> => {
  const dir = join(suite.server.dataDir, 'stems')
  return eventually(() =>
    readdirSync(dir, { recursive: true, encoding: 'utf8' }).some(
      (path) => path.includes('/tree-') && path.endsWith(`/${name}`),
    ),
  )
}

test('the first call of a function runs in a process that was there before it, at its usual place', async () => {
  await suite.deploy('warms', `exports.handler = async () => 'warm'`)
  await untilKept()
  await suite.deploy('javascript', {
    'index.js': `const { name } = require('./lib/name')
      exports.handler = async () => JSON.stringify([name, __filename, process.cwd(), new Error('x').stack.split('\\n')[1], Object.keys(require.cache)])`,
    'lib/name.js': `exports.name = 'of a folder'`,
  })
  await untilLinked('name.js')
  const { json } = await suite.invoke('javascript')
  const [name, file, workDir, frame, cached] = json
  const codeDir = suite.isolates ? '/code' : workDir
  expect([name, file, workDir]).toEqual(['of a folder', `${codeDir}/index.js`, codeDir])
  expect(frame).toContain('index.js:2')
  expect(cached).toEqual([`${codeDir}/index.js`, `${codeDir}/lib/name.js`])
  expect(inSlots().some((path) => path.endsWith('/lib/name.js'))).toBe(true)
})

test('of a Python function as well', async () => {
  const before = kept()
  await suite.deployPython('warms-python', `def handler(event, context):\n    return 'warm'`)
  await untilKept(before + 2)
  await suite.deploy(
    'python',
    {
      'index.py': `from lib.name import NAME\nimport os\ndef handler(event, context):\n    return [NAME, os.listdir('.')]`,
      'lib/name.py': `NAME = 'of a folder'`,
    },
    { runtime: 'python3.10' },
  )
  await untilLinked('name.py')
  expect((await suite.invoke('python')).json).toEqual([
    'of a folder',
    expect.arrayContaining(['index.py', 'lib']),
  ])
  expect(inSlots()).toContain('0/lib/name.py')
})

test('fifty first calls at once of one function are all answered, by far fewer processes', async () => {
  await suite.deploy('wanted', `exports.handler = async () => 'ok'`)
  await untilKept()
  const answers = await Promise.all(Array.from({ length: 50 }, () => suite.invoke('wanted')))
  expect(answers.map(({ text }) => text)).toEqual(Array(50).fill('ok'))
  expect(new Set(answers.map(({ instanceId }) => instanceId)).size).toBeLessThanOrEqual(10)
})

test('a server that is killed leaves no process, and the next removes the slots', async () => {
  await untilKept()
  const runs = readdirSync(join(suite.server.dataDir, 'stems'))
  expect(runs.length).toBe(1)
  expect(suite.server.descendants()).toBeGreaterThan(2)
  await suite.server.kill()
  await suite.server.launch()
  await eventually(() => runs.every((run) => !existsSync(join(suite.server.dataDir, 'stems', run))))
  expect((await suite.invoke('javascript')).json[0]).toBe('of a folder')
  await suite.server.stop()
  expect(readdirSync(join(suite.server.dataDir, 'stems'))).toEqual([])
  await suite.server.launch()
})
