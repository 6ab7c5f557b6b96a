import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { compilePython } from '../../src/sandbox/compile-python.ts'
import { discoverInterpreters, type Interpreter } from '../../src/sandbox/interpreters.ts'

describe('compiling the Python bootstrap', () => {
  let dir: string
  let pythons: readonly Interpreter[]
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'anvoke-compile-'))
    mkdirSync(join(dir, 'package'))
    writeFileSync(join(dir, 'bootstrap.py'), 'import package.part\n')
    writeFileSync(join(dir, 'package', 'part.py'), 'x = 1\n')
    pythons = (await discoverInterpreters({})).filter(({ language }) => language === 'python')
  })
  afterEach(() => rmSync(dir, { recursive: true }))

  const compiled = (): string[] =>
    readdirSync(dir, { recursive: true })
      .map(String)
      .filter((path) => path.endsWith('.pyc'))

  test('leaves a file for each module that every user may read, whatever the umask', async () => {
    const umask = process.umask(0o077)
    try {
      await compilePython(dir, pythons, new AbortController().signal)
    } finally {
      process.umask(umask)
    }
    expect(
      compiled()
        .map((path) => path.replace(/\.cpython-\d+/, ''))
        .sort(),
    ).toEqual(expect.arrayContaining(['__pycache__/bootstrap.pyc', 'package/__pycache__/part.pyc']))
    for (const path of compiled()) expect(statSync(join(dir, path)).mode & 0o777).toBe(0o644)
    expect(statSync(join(dir, 'package', '__pycache__')).mode & 0o777).toBe(0o755)
  })

  test('leaves alone what is compiled already', async () => {
    await compilePython(dir, pythons, new AbortController().signal)
    const before = compiled().map((path) => statSync(join(dir, path)).ino)
    await compilePython(dir, pythons, new AbortController().signal)
    expect(compiled().map((path) => statSync(join(dir, path)).ino)).toEqual(before)
  })

  test('ends when it is told to', async () => {
    await expect(compilePython(dir, pythons, AbortSignal.abort())).rejects.toThrow('aborted')
    expect(compiled()).toEqual([])
  })

  test('asks nothing of other languages', async () => {
    const node: Interpreter = { language: 'nodejs', path: '/nonexistent', version: '26.0.0' }
    await compilePython(dir, [node], new AbortController().signal)
    expect(compiled()).toEqual([])
  })
})
