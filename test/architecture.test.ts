import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const SRC = fileURLToPath(new URL('../src', import.meta.url))

/** The rows of the table "Rooms and directions" of docs/architecture.md. */
const ROWS = readFileSync(new URL('../docs/architecture.md', import.meta.url), 'utf8')
  .split(/^## /m)
  .filter((section) => section.startsWith('Rooms and directions\n'))
  .flatMap((section) => section.split('\n').filter((line) => line.startsWith('| `')))
  .map((line) => line.split('|').map((cell) => cell.trim()))

/** A room as the table names it: a file, or a folder, in which `<name>` stands for any one. */
const patternOf = (name: string): RegExp => {
  const path = name.replaceAll('.', '\\.').replaceAll(/<[^>]+>/g, '[^/]+')
  return new RegExp(name.endsWith('.ts') ? `^${path}$` : `^${path}/`)
}

const namesIn = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '')

const mayImport = (cell: string): ((target: string) => boolean) => {
  const patterns = namesIn(cell).map(patternOf)
  const isNamed = (target: string): boolean => patterns.some((pattern) => pattern.test(target))
  if (cell.startsWith('everything but ')) return (target) => !isNamed(target)
  if (patterns.length === 0 && !['–', 'itself'].includes(cell)) throw new Error(`what is '${cell}'?`)
  return isNamed
}

const ROOMS = ROWS.flatMap(([, rooms = '', , imports = '']) =>
  namesIn(rooms).map((name) => ({ name, pattern: patternOf(name), allows: mayImport(imports) })),
)

/** Words that belong to vendors; only their own rooms may say them. */
const VENDOR_WORDS =
  /alibaba|aliyun|function compute|huawei|tencent|functiongraph|\bfc2\b|x-fc-|x-cff-|lambda/i
const VENDOR_ROOMS = /^(?:dialects\/[^/]+|contracts|runtimes\/[^/]+)\//

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))

const importsOf = (file: string): string[] => {
  const text = readFileSync(join(SRC, file), 'utf8')
  const specifiers = [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((match) => match[1] ?? '')
  return specifiers.map((specifier) => relative(SRC, join(SRC, dirname(file), specifier)))
}

describe('the directions of docs/architecture.md', () => {
  test('every file belongs to a room', () => {
    expect(files.filter((file) => !ROOMS.some(({ pattern }) => pattern.test(file)))).toEqual([])
    expect(files.length).toBeGreaterThan(20)
  })

  test.each(files)('%s imports only what its room may', (file) => {
    const room = ROOMS.find(({ pattern }) => pattern.test(file))
    // The room as this file has it: a vendor's dialect may use its own folder, never a sister's.
    const own = room?.pattern.exec(file)?.[0] ?? file
    const wrong = importsOf(file).filter((target) => !target.startsWith(own) && room?.allows(target) !== true)
    expect(wrong).toEqual([])
  })

  test('every room of the table exists, once', () => {
    const names = ROOMS.map(({ name }) => name)
    expect(names.length).toBeGreaterThan(10)
    expect(names).toEqual([...new Set(names)])
    expect(names.filter((name) => !files.some((file) => patternOf(name).test(file)))).toEqual([])
    const inTwo = files.filter((file) => ROOMS.filter(({ pattern }) => pattern.test(file)).length > 1)
    expect(inTwo).toEqual([])
  })

  test('nothing but main.ts names an implementation of a contract', () => {
    const named = files.filter(
      (file) =>
        !/^(?:main\.ts|store\/|sandbox\/)/.test(file) &&
        importsOf(file).some((target) => /^(?:store\/sqlite|sandbox\/(?:bwrap|process))\//.test(target)),
    )
    expect(named).toEqual([])
  })
})

describe('vendor words', () => {
  const neutral = files.filter((file) => !VENDOR_ROOMS.test(file) && file !== 'main.ts')

  test.each(neutral)('%s says none, but where it cites the source of a number', (file) => {
    const lines = readFileSync(join(SRC, file), 'utf8').split('\n')
    expect(lines.filter((line) => VENDOR_WORDS.test(line) && !/\bsource:/i.test(line))).toEqual([])
  })
})
