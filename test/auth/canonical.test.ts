import * as fc from 'fast-check'
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { constantTimeEqual } from '../../src/auth/compare.ts'
import { sha256Hex } from '../../src/auth/digest.ts'
import { headerNamesWithPrefix, headerValue, parseSignedHeaders } from '../../src/auth/headers.ts'
import { formDecode, percentDecode, percentEncode } from '../../src/auth/percent.ts'
import { parseQuery } from '../../src/auth/query.ts'
import { parseHttpDate, parseIsoSeconds } from '../../src/auth/timestamps.ts'

describe('percent-encoding', () => {
  test('leaves only the unreserved characters of RFC 3986', () => {
    expect(percentEncode("aZ09-._~ !'()*/ü")).toBe('aZ09-._~%20%21%27%28%29%2A%2F%C3%BC')
    expect(percentEncode('\ud800')).toBe('%EF%BF%BD')
  })

  test('is undone by decoding', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(percentDecode(percentEncode(text))).toBe(text)
        expect(formDecode(percentEncode(text))).toBe(text)
      }),
    )
  })

  test('reads a plus as a space in forms only, and nothing from malformed text', () => {
    expect(percentDecode('a+b%20c')).toBe('a+b c')
    expect(formDecode('a+b%2B')).toBe('a b+')
    for (const text of ['%', '%2', '%zz', '%ff']) expect(percentDecode(text)).toBeUndefined()
  })
})

describe('parseQuery', () => {
  test('keeps order, repeats, raw text and the difference between an empty and an absent value', () => {
    expect(parseQuery('b=2&&a=%20&b=1&flag&=x&c==', 10)).toEqual([
      { rawKey: 'b', rawValue: '2', key: 'b', value: '2' },
      { rawKey: 'a', rawValue: '%20', key: 'a', value: ' ' },
      { rawKey: 'b', rawValue: '1', key: 'b', value: '1' },
      { rawKey: 'flag', rawValue: undefined, key: 'flag', value: '' },
      { rawKey: '', rawValue: 'x', key: '', value: 'x' },
      { rawKey: 'c', rawValue: '=', key: 'c', value: '=' },
    ])
    expect(parseQuery('', 10)).toEqual([])
  })

  test('refuses malformed pieces and more pairs than allowed', () => {
    expect(parseQuery('a=%', 10)).toBeUndefined()
    expect(parseQuery('%=a', 10)).toBeUndefined()
    expect(parseQuery('a&b', 2)).toHaveLength(2)
    expect(parseQuery('a&b&c', 2)).toBeUndefined()
  })
})

describe('headers', () => {
  test('have trimmed values, lists sorted and joined', () => {
    const headers = { host: ' h ', list: ['b ', 'a'], none: undefined }
    expect(headerValue(headers, 'host')).toBe('h')
    expect(headerValue(headers, 'list')).toBe('a,b')
    for (const name of ['none', 'constructor', '__proto__'])
      expect(headerValue(headers, name)).toBeUndefined()
  })

  test('are found by prefix in order of their names', () => {
    const headers = { 'x-b': '1', 'x-a': '2', y: '3', 'x-none': undefined }
    expect(headerNamesWithPrefix(headers, 'x-')).toEqual(['x-a', 'x-b'])
  })

  test('are listed in lower case and ascending order, each once, up to a limit', () => {
    expect(parseSignedHeaders('a;b-c;d', 3)).toEqual(['a', 'b-c', 'd'])
    for (const list of ['', ';', 'a;', 'a;a', 'b;a', 'A', 'a b', 'a;b;c;d']) {
      expect(parseSignedHeaders(list, 3)).toBeUndefined()
    }
  })
})

describe('timestamps', () => {
  test('are read as Node writes them', () => {
    const time = fc.date({ min: new Date('1970-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
    fc.assert(
      fc.property(time, (date) => {
        const ms = Math.floor(date.getTime() / 1000) * 1000
        expect(parseHttpDate(date.toUTCString())).toBe(ms)
        expect(parseIsoSeconds(`${date.toISOString().slice(0, 19)}Z`)).toBe(ms)
      }),
    )
  })

  test('have no other form', () => {
    for (const text of [
      '',
      '1715000000',
      'Mon, 06 May 2024 07:08:09 UTC',
      'Mon, 06 anF 2024 07:08:09 GMT',
      'Mon, 06 May 2024 07:0x:09 GMT',
    ]) {
      expect(parseHttpDate(text)).toBeUndefined()
    }
    for (const text of [
      '2024-05-06',
      '2024-05-06 07:08:09Z',
      '2024-05-06T07:08:0xZ',
      '2024-05-06T07:08:09.000Z',
    ]) {
      expect(parseIsoSeconds(text)).toBeUndefined()
    }
  })
})

test('the hash of chunks is the hash of their bytes', () => {
  const whole = createHash('sha256').update('hello').digest('hex')
  expect(sha256Hex([Buffer.from('he'), Buffer.alloc(0), Buffer.from('llo')])).toBe(whole)
})

test('texts are equal in constant time exactly when they are equal', () => {
  expect(constantTimeEqual('ab', 'ab')).toBe(true)
  for (const other of ['', 'a', 'aB', 'abc', 'a\u0162']) expect(constantTimeEqual('ab', other)).toBe(false)
})
