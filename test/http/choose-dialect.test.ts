import { describe, expect, test } from 'vitest'
import type { Claim, Dialect } from '../../src/dialects/dialect.ts'
import { chooseDialect } from '../../src/http/choose-dialect.ts'

const HEAD = { method: 'GET', rawPath: '/', rawQuery: '', headers: {} }

const dialect = (name: string, claim: Claim | undefined): Dialect => ({
  name,
  claims: () => claim,
  handle: () => Promise.reject(new Error('not asked')),
})

describe('the dialect of a request', () => {
  test('is told by its signature scheme before an action, and by an action before its path', () => {
    const [path, action, scheme] = [dialect('p', 'path'), dialect('a', 'action'), dialect('s', 'scheme')]
    expect(chooseDialect([path, action, scheme], HEAD)?.name).toBe('s')
    expect(chooseDialect([scheme, action, path], HEAD)?.name).toBe('s')
    expect(chooseDialect([path, action], HEAD)?.name).toBe('a')
  })

  test('is the first of those with equal claims', () => {
    expect(chooseDialect([dialect('one', 'path'), dialect('two', 'path')], HEAD)?.name).toBe('one')
  })

  test('is none when nobody claims it', () => {
    expect(chooseDialect([dialect('one', undefined)], HEAD)).toBeUndefined()
  })
})
