import { describe, expect, test } from 'vitest'
import { page } from '../../../src/dialects/alibaba-fc/paging.ts'

const pageOf = (keys: readonly string[], query: Record<string, string> = {}): { items: readonly string[] } =>
  page(new Map(Object.entries(query)), keys, (key) => key)

describe('page', () => {
  test('gives items in the order of their keys, whatever order they come in', () => {
    expect(pageOf(['b', 'a', 'C', '_'])).toEqual({ items: ['C', '_', 'a', 'b'] })
  })

  test('ends after 20 items where no limit is named, and names the next key', () => {
    const keys = Array.from({ length: 21 }, (_, index) => `k${index + 10}`)
    expect(pageOf(keys)).toEqual({ items: keys.slice(0, 20), nextToken: 'k30' })
    expect(pageOf(keys.slice(0, 20))).toEqual({ items: keys.slice(0, 20) })
  })

  test('walks a list page by page, each item once', () => {
    const keys = ['a', 'b', 'c', 'd', 'e']
    expect(pageOf(keys, { limit: '2' })).toEqual({ items: ['a', 'b'], nextToken: 'c' })
    expect(pageOf(keys, { limit: '2', nextToken: 'c' })).toEqual({ items: ['c', 'd'], nextToken: 'e' })
    expect(pageOf(keys, { limit: '2', nextToken: 'e' })).toEqual({ items: ['e'] })
  })

  test('goes on behind an item that was deleted between two pages', () => {
    expect(pageOf(['a', 'b', 'd'], { nextToken: 'c' })).toEqual({ items: ['d'] })
  })

  test('begins with startKey itself, and nextToken wins over it', () => {
    expect(pageOf(['a', 'b', 'c'], { startKey: 'b' })).toEqual({ items: ['b', 'c'] })
    expect(pageOf(['a', 'b', 'c'], { startKey: 'b', nextToken: 'c' })).toEqual({ items: ['c'] })
  })

  test('keeps the keys that begin with prefix, on later pages too', () => {
    expect(pageOf(['ab', 'b', 'aa', 'a'], { prefix: 'a', limit: '2' })).toEqual({
      items: ['a', 'aa'],
      nextToken: 'ab',
    })
    expect(pageOf(['ab', 'b', 'aa', 'a'], { prefix: 'a', nextToken: 'ab' })).toEqual({ items: ['ab'] })
  })

  test('takes empty parameters for absent ones', () => {
    expect(pageOf(['a'], { limit: '', prefix: '', startKey: '', nextToken: '' })).toEqual({ items: ['a'] })
  })

  test('takes a limit of 1 and of 100', () => {
    const keys = Array.from({ length: 101 }, (_, index) => String(index + 1000))
    expect(pageOf(keys, { limit: '1' }).items).toHaveLength(1)
    expect(pageOf(keys, { limit: '100' }).items).toHaveLength(100)
  })

  test.each(['0', '101', '-1', '1.5', 'ten', '1e1'])('refuses limit=%s', (limit) => {
    expect(() => pageOf([], { limit })).toThrow(
      `Limit is set to an invalid value (allowed: 1 - 100, actual: '${limit}')`,
    )
  })

  test.each(['prefix', 'startKey', 'nextToken'])('refuses an overlong %s', (name) => {
    expect(() => pageOf([], { [name]: 'x'.repeat(1025) })).toThrow(
      `${name} is too long (max: 1024, actual: 1025)`,
    )
  })
})
