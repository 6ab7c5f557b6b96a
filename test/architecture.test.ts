import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const SRC = fileURLToPath(new URL('../src', import.meta.url))

/** Room → what it may import; the table "Rooms and directions" of docs/architecture.md. First match wins. */
const ROOMS: readonly (readonly [room: RegExp, mayImport: readonly RegExp[]])[] = [
  [/^model\//, [/^model\//]],
  [/^auth\//, [/^auth\//]],
  [/^contracts\//, [/^contracts\//, /^model\//]],
  [/^store\/store\.ts$/, [/^model\//]],
  [/^store\/sqlite\//, [/^store\/sqlite\//, /^store\/store\.ts$/, /^model\//]],
  [/^store\/packages\//, [/^store\/packages\//, /^model\//]],
  [/^store\//, [/^store\//, /^model\//]],
  [/^sandbox\//, [/^sandbox\//, /^model\//]],
  [
    /^engine\//,
    [/^engine\//, /^model\//, /^contracts\/contract\.ts$/, /^store\/store\.ts$/, /^sandbox\/sandbox\.ts$/],
  ],
  [/^async\//, [/^async\//, /^model\//, /^store\/store\.ts$/]],
  [/^http\//, [/^http\//, /^model\//, /^dialects\/dialect\.ts$/]],
  [/^dialects\/dialect\.ts$/, [/^model\//, /^http\/exchange\.ts$/]],
  [
    /^dialects\/(?<vendor>[^/]+)\//,
    [
      /^dialects\/dialect\.ts$/,
      /^model\//,
      /^auth\//,
      /^contracts\//,
      /^store\//,
      /^engine\//,
      /^http\/exchange\.ts$/,
    ],
  ],
  [/^observe\//, [/^observe\//, /^model\//]],
  [/^config\//, [/^config\//]],
  [/^main\.ts$/, [/^(?!cli\/)/]],
  [/^cli\//, [/^cli\//, /^config\//, /^observe\//, /^main\.ts$/]],
  [/^runtimes\/(?<language>[^/]+)\//, []],
]

/** Words that belong to vendors; only their own rooms may say them. */
const VENDOR_WORDS = /alibaba|aliyun|huawei|tencent|functiongraph|\bfc2\b|x-fc-|x-cff-|lambda/i
const VENDOR_ROOMS = /^(?:dialects\/[^/]+|contracts|runtimes\/[^/]+)\//

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))

const importsOf = (file: string): string[] => {
  const text = readFileSync(join(SRC, file), 'utf8')
  const specifiers = [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((match) => match[1] ?? '')
  return specifiers.map((specifier) => relative(SRC, join(SRC, dirname(file), specifier)))
}

describe('the directions of docs/architecture.md', () => {
  test('every file belongs to a room', () => {
    expect(files.filter((file) => !ROOMS.some(([room]) => room.test(file)))).toEqual([])
    expect(files.length).toBeGreaterThan(20)
  })

  test.each(files)('%s imports only what its room may', (file) => {
    const [room, allowed] = ROOMS.find(([pattern]) => pattern.test(file)) ?? [/^$/, []]
    // A vendor's dialect and a language's bootstrap may use their own folder, never a sister's.
    const own = Object.values(room.exec(file)?.groups ?? {})[0]
    const wrong = importsOf(file).filter(
      (target) =>
        !allowed.some((pattern) => pattern.test(target)) &&
        !(own !== undefined && target.startsWith(`${file.split('/')[0]}/${own}/`)),
    )
    expect(wrong).toEqual([])
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

  test.each(neutral)('%s says none in its code', (file) => {
    const code = readFileSync(join(SRC, file), 'utf8')
      .replaceAll(/\/\*[\s\S]*?\*\//g, '')
      .replaceAll(/^\s*\/\/.*$/gm, '')
    expect(VENDOR_WORDS.exec(code)?.[0]).toBeUndefined()
  })
})
