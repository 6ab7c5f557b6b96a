import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { CONTRACTS } from '../../src/contracts/registry.ts'
import { materialiseBootstraps } from '../../src/sandbox/bootstraps.ts'
import { compileNode } from '../../src/sandbox/compile-nodejs.ts'
import { discoverInterpreters, type Interpreter } from '../../src/sandbox/interpreters.ts'
import { launchPlan } from '../../src/sandbox/launch-plan.ts'

const contracts = [...CONTRACTS.keys()]
let dir: string
let nodejs: string
let interpreters: readonly Interpreter[]
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'anvoke-compile-'))
  nodejs = (await materialiseBootstraps(dir)).nodejs
  interpreters = (await discoverInterpreters({})).filter(({ language }) => language === 'nodejs')
})
afterEach(() => rmSync(dir, { recursive: true }))

const compiled = (): string[] => readdirSync(nodejs).filter((path) => path.includes('compiled'))

test('every Node.js of the host gets a file of its own, which the one of the server takes with the flags of a start', async () => {
  await compileNode(nodejs, interpreters, contracts, new AbortController().signal)
  expect(compiled()).toEqual(interpreters.map(({ version }) => `program-${version}.compiled`).sort())
  const look =
    `const { readFileSync } = require('node:fs'), { Script } = require('node:vm'); const [, dir] = process.argv\n` +
    `const cachedData = readFileSync(dir + '/program-' + process.versions.node + '.compiled')\n` +
    `console.log(new Script(readFileSync(dir + '/program.js', 'utf8'), { cachedData }).cachedDataRejected)`
  const own: Interpreter = { language: 'nodejs', path: process.execPath, version: process.versions.node }
  const flags = launchPlan(own, { nodejs, python: '' }, { memoryMib: 128 }).command.slice(1, -1)
  // Node.js 20 refuses it with the flags of a start, and compiles for itself.
  expect(execFileSync(own.path, [...flags, '-e', look, nodejs], { encoding: 'utf8' })).toBe('false\n')
})

test('each contract adds what it needs', async () => {
  const { signal } = new AbortController()
  const sizes: number[] = []
  for (const [index] of contracts.entries()) {
    rmSync(join(nodejs, compiled()[0] ?? 'none'), { force: true })
    await compileNode(nodejs, interpreters.slice(0, 1), contracts.slice(0, index + 1), signal)
    sizes.push(statSync(join(nodejs, compiled()[0] ?? 'none')).size)
  }
  expect(sizes).toEqual(sizes.toSorted((one, other) => one - other))
  expect(new Set(sizes).size).toBe(contracts.length)
})

test('what is compiled already is left alone, and every user may read it', async () => {
  const umask = process.umask(0o077)
  const { signal } = new AbortController()
  await compileNode(nodejs, interpreters, contracts, signal).finally(() => process.umask(umask))
  const before = compiled().map((path) => statSync(join(nodejs, path)))
  expect(before.map(({ mode }) => mode & 0o777)).toEqual(interpreters.map(() => 0o644))
  await compileNode(nodejs, interpreters, contracts, signal)
  expect(compiled().map((path) => statSync(join(nodejs, path)).ino)).toEqual(before.map(({ ino }) => ino))
})

test('a contract that the bootstrap does not know leaves nothing behind', async () => {
  const { signal } = new AbortController()
  await expect(compileNode(nodejs, interpreters, [...contracts, 'unknown'], signal)).rejects.toThrow(
    'ended with 70',
  )
  expect(compiled()).toEqual([])
})

test('it ends when it is told to, and asks nothing of other languages', async () => {
  await expect(compileNode(nodejs, interpreters, contracts, AbortSignal.abort())).rejects.toThrow('aborted')
  const python: Interpreter = { language: 'python', path: '/nonexistent', version: '3.11.0' }
  await compileNode(nodejs, [python], contracts, new AbortController().signal)
  expect(compiled()).toEqual([])
})
