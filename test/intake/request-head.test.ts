import { expect, test } from 'vitest'
import { firstValues, MAX_QUERY_PAIRS, originOf } from '../../src/intake/request-head.ts'
import { shownValue } from '../../src/intake/shown-value.ts'

test('of a parameter that is there twice the first value counts, decoded', () => {
  expect(firstValues('a=1&b=%20x+y&a=2&c')).toEqual(
    new Map([
      ['a', '1'],
      ['b', ' x y'],
      ['c', ''],
    ]),
  )
  expect(firstValues('')).toEqual(new Map())
})

test('a query that is malformed or too long is none', () => {
  expect(firstValues('a=%zz')).toBeUndefined()
  expect(firstValues('a&'.repeat(MAX_QUERY_PAIRS))?.size).toBe(1)
  expect(firstValues('a&'.repeat(MAX_QUERY_PAIRS + 1))).toBeUndefined()
})

test.each([
  ['fc.example:8080', 7400, 'http://fc.example:8080'],
  ['[::1]:7400', undefined, 'http://[::1]:7400'],
  ['localhost', 7400, 'http://localhost'],
  [undefined, 7400, 'http://localhost:7400'],
  ['evil.example/path?', 7400, 'http://localhost:7400'],
  ['a'.repeat(256), 80, 'http://localhost'],
  [undefined, undefined, 'http://localhost'],
])('a client of host %s at port %s reached us as %s', (host, port, origin) => {
  expect(originOf(host, port)).toBe(origin)
})

test('a refused value is repeated, shortened, and never looked into', () => {
  const deep: unknown = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000))
  expect(['x', 'y'.repeat(65), 1.5, true, null, undefined, deep, { a: deep }].map(shownValue)).toEqual([
    'x',
    `${'y'.repeat(64)}…`,
    '1.5',
    'true',
    'null',
    'undefined',
    '[…]',
    '{…}',
  ])
})
