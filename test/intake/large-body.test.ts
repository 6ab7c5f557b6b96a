import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeBase64, decodeBase64InPlace } from '../../src/intake/base64.ts'
import { IntakeError } from '../../src/intake/intake-error.ts'
import { cutMember, PARSED_BODY_BYTES, type CutBody } from '../../src/intake/large-body.ts'

const cutZipFile = (chunks: Iterable<Buffer>): Promise<CutBody> =>
  cutMember(chunks, ['code.zipFile'], { anyCase: true })

/** Splits bytes at the given places, each taken modulo what is left. */
function split(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const chunks: Buffer[] = []
  let at = 0
  for (const length of lengths) {
    chunks.push(bytes.subarray(at, at + length))
    at += length
  }
  return [...chunks, bytes.subarray(at)]
}

const anyCase = (word: string): fc.Arbitrary<string> =>
  fc
    .array(fc.constantFrom('lower', 'upper', 'escaped'), { minLength: word.length, maxLength: word.length })
    .map((styles) =>
      Array.from(word)
        .map((letter, index) => {
          if (styles[index] === 'escaped') return `\\u00${letter.charCodeAt(0).toString(16)}`
          return styles[index] === 'upper' ? letter.toUpperCase() : letter.toLowerCase()
        })
        .join(''),
    )
const gap = fc.constantFrom('', '', ' ', '\n\t')
const name = fc.oneof(
  anyCase('code'),
  anyCase('zipFile'),
  fc.string({ unit: 'grapheme', maxLength: 6 }).map((text) => JSON.stringify(text).slice(1, -1)),
)
const base64Text = fc
  .uint8Array({ maxLength: 40 })
  .map((bytes) => Buffer.from(bytes).toString('base64'))
  .chain((text) => fc.constantFrom(text, text.replaceAll('/', '\\/'), text.replaceAll('=', '\\u003d')))
const string = fc.oneof(
  base64Text.map((text) => `"${text}"`),
  fc.string({ unit: 'binary', maxLength: 8 }).map((text) => JSON.stringify(text)),
  fc.constantFrom('"\\""', '"\\\\"', '"{\\"code\\":{"', '"', '"\\'),
)
/** JSON with the names that matter everywhere, and now and then a token that breaks it. */
const { value } = fc.letrec<{ value: string }>((tie) => {
  const member = fc.tuple(name, gap, gap, tie('value')).map(([n, a, b, v]) => `"${n}"${a}:${b}${v}`)
  const list = (open: string, entry: fc.Arbitrary<string>, close: string) =>
    fc
      .tuple(gap, fc.array(entry, { maxLength: 4 }))
      .map(([g, all]) => `${open}${g}${all.join(`${g},`)}${g}${close}`)
  return {
    value: fc.oneof(
      { maxDepth: 5, depthSize: 'medium' },
      string,
      fc.constantFrom('null', '1', 'true', '', ',', '}'),
      list('{', member, '}'),
      list('[', tie('value'), ']'),
    ),
  }
})
const withCode = fc
  .tuple(
    anyCase('code'),
    anyCase('zipFile'),
    string,
    fc.array(fc.tuple(name, value), { maxLength: 2 }),
    value,
  )
  .map(([code, zipFile, zip, others, last]) => {
    const more = others.map(([n, v]) => `"${n}":${v},`).join('')
    return `{${more}"${code}":{${more}"${zipFile}":${zip}},"z":${last}}`
  })

type Parsed = { readonly value: unknown } | 'refused'

function parse(text: string): Parsed {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return 'refused'
  }
}

/** The document put together again from what was cut, the string in the only place it can have come from. */
async function parseCut(
  bytes: Buffer,
  lengths: readonly number[],
): Promise<(Parsed & object) | 'refused' | 'cut-refused'> {
  try {
    const { rest, cut } = await cutZipFile(split(bytes, lengths))
    const parsed = parse(rest.toString())
    if (cut === undefined || parsed === 'refused') return parsed
    const inside = parse(`"${Buffer.concat(cut).toString()}"`)
    if (inside === 'refused') return 'refused'
    const put = (node: unknown, names: readonly string[]): unknown => {
      const [wanted, ...deeper] = names
      if (wanted === undefined) return inside.value
      const entries = Object.entries(node as object)
      expect(entries.filter(([key]) => key.toLowerCase() === wanted)).toHaveLength(1)
      return Object.fromEntries(
        entries.map(([key, child]) => [key, key.toLowerCase() === wanted ? put(child, deeper) : child]),
      )
    }
    return { value: put(parsed.value, ['code', 'zipfile']) }
  } catch (error) {
    if (error instanceof IntakeError) return 'cut-refused'
    throw error
  }
}

test('a body cut in two says what it says parsed whole, or is refused', async () => {
  let cut = 0
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(withCode, value),
      fc.array(fc.nat(20), { maxLength: 8 }),
      async (text, lengths) => {
        const bytes = Buffer.from(text)
        const apart = await parseCut(bytes, lengths)
        if (apart === 'cut-refused') return
        if (apart !== 'refused') cut += 1
        expect(apart).toEqual(parse(bytes.toString()))
      },
    ),
    { numRuns: 1000 },
  )
  expect(cut).toBeGreaterThan(30)
})

test('the code is found under its name in any spelling, wherever the chunks end', async () => {
  const text =
    '{"code2":{"zipFile":"x"},"CODE" : {"a":[{"zipFile":"y"}], "\\u007aipfile":\n"QUJD"},"code3":"{"}'
  for (let at = 0; at <= text.length; at += 1) {
    const { rest, cut = [] } = await cutZipFile(split(Buffer.from(text), [at]))
    expect(Buffer.concat(cut).toString()).toBe('QUJD')
    expect(rest.toString()).toBe(text.replace('QUJD', ''))
  }
})

test.each([
  ['code twice', '{"code":{"zipFile":"QUJD"},"Code":{}}', 'repeated-member'],
  ['zipFile twice', '{"code":{"zipFile":"QUJD","zipfile":"QUJD"}}', 'repeated-member'],
  ['a quote inside', '{"code":{"zipFile":"QUJ\\"D"}}', 'not-base64'],
])('refuses %s', async (_, text, message) => {
  await expect(cutZipFile([Buffer.from(text)])).rejects.toThrow(message)
})

test('names in another case are others, unless any case is asked for', async () => {
  const text = Buffer.from('{"Code":{"zipFile":"QQ==","ZipFile":"QUJD"}}')
  const { rest, cut = [] } = await cutMember([text], ['Code.ZipFile'])
  expect(Buffer.concat(cut).toString()).toBe('QUJD')
  expect(JSON.parse(rest.toString())).toEqual({ Code: { zipFile: 'QQ==', ZipFile: '' } })
})

test.each([
  ['{"file":"QUJD","a":{"file":"x"},"b":["file","x"]}', { file: '', a: { file: 'x' }, b: ['file', 'x'] }],
  [
    '{"a":{"b":{"c":"QUJD","d":1},"c":"x"},"b":{"c":"x"}}',
    { a: { b: { c: '', d: 1 }, c: 'x' }, b: { c: 'x' } },
  ],
])('a path leads to its member and to no other: %s', async (text, rest) => {
  const found = await cutMember([Buffer.from(text)], ['file', 'a.b.c'])
  expect(Buffer.concat(found.cut ?? []).toString()).toBe('QUJD')
  expect(JSON.parse(found.rest.toString())).toEqual(rest)
})

test('strings at the ends of two paths are refused', async () => {
  const text = Buffer.from('{"file":"QQ==","code":{"file":"QUJD"}}')
  await expect(cutMember([text], ['file', 'code.file'])).rejects.toMatchObject({ code: 'repeated-member' })
})

test('text that looks like code inside a string is none, and hides none', async () => {
  const lookalike = JSON.stringify('{"code":{"zipFile":"QQ=="}}\\').slice(1, -1)
  const { rest, cut = [] } = await cutZipFile([
    Buffer.from(`{"a\\"":"${lookalike}","code":{"a":"\\"","zipFile":"QUJD"}}`),
  ])
  expect(Buffer.concat(cut).toString()).toBe('QUJD')
  expect(JSON.parse(rest.toString())).toEqual({
    'a"': '{"code":{"zipFile":"QQ=="}}\\',
    code: { a: '"', zipFile: '' },
  })
})

test('what is beside the code may fill its bound and no byte more', async () => {
  const text = (spaces: number) =>
    Buffer.from(`{"code":{"zipFile":"${'QUJD'.repeat(9999)}"}${' '.repeat(spaces)}}`)
  const room = PARSED_BODY_BYTES - '{"code":{"zipFile":""}}'.length
  expect((await cutZipFile([text(room)])).rest).toHaveLength(PARSED_BODY_BYTES)
  await expect(cutZipFile([text(room + 1)])).rejects.toMatchObject({ code: 'too-large' })
})

test('of junk no more is read than its bound', async () => {
  let read = 0
  function* junk(): Generator<Buffer> {
    for (; read < 1000; read += 1) yield Buffer.from('{},'.repeat(20_000))
  }
  await expect(cutZipFile(junk())).rejects.toMatchObject({ code: 'too-large' })
  expect(read).toBeLessThan(30)
})

const escapes = [
  (text: string) => text,
  (text: string) => text.replaceAll('/', '\\/'),
  (text: string) => text.replaceAll(/[+=/]/g, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`),
]

test('base64 in chunks decodes to its bytes, escaped or not', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 200 }),
      fc.array(fc.nat(40), { maxLength: 20 }),
      fc.constantFrom(...escapes),
      async (bytes, lengths, escape) => {
        const text = escape(Buffer.from(bytes).toString('base64'))
        const decoded = await decodeBase64InPlace(split(Buffer.from(text), lengths))
        expect(Buffer.concat(decoded)).toEqual(Buffer.from(bytes))
      },
    ),
    { numRuns: 1000 },
  )
})

test('text that is no base64 in one piece is none in chunks, and never decodes to other bytes', async () => {
  const piece = fc.constantFrom('QUJD', 'QQ==', 'QUI=', 'A', '=', '-_', ' ', '\n', 'é', '%')
  await fc.assert(
    fc.asyncProperty(
      fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
      fc.array(fc.nat(20), { maxLength: 8 }),
      async (text, lengths) => {
        const outcomes = await Promise.allSettled([
          (async () => decodeBase64(Buffer.from(text).toString('latin1')))(),
          decodeBase64InPlace(split(Buffer.from(text), lengths)).then((parts) => Buffer.concat(parts)),
        ])
        const [whole, apart] = outcomes
        expect([whole, { ...whole, status: 'refused' }.status]).toContainEqual(
          apart.status === 'rejected' ? 'refused' : apart,
        )
      },
    ),
    { numRuns: 1000 },
  )
})

test.each(['\\n', 'QUJD\\', '\\u0', '\\\\', '\\u005c/', '\\u1041'])('%j is not base64', async (text) => {
  await expect(decodeBase64InPlace([Buffer.from(text)])).rejects.toThrow('not-base64')
})

test('decoding needs no memory beside the text', async () => {
  const text = Buffer.from(Buffer.alloc(3 * 1024 * 1024, 7).toString('base64'))
  const decoded = await decodeBase64InPlace(split(text, [65_536, 131_072, 999_999]))
  expect(Buffer.concat(decoded)).toEqual(Buffer.alloc(3 * 1024 * 1024, 7))
  const own = decoded
    .filter(({ buffer }) => buffer !== text.buffer)
    .reduce((sum, { length }) => sum + length, 0)
  expect(own).toBeLessThan(16)
})
