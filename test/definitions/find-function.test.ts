import { beforeAll, describe, expect, test } from 'vitest'
import { findFunction } from '../../src/definitions/find-function.ts'
import { publishFunction, publishNamespace } from '../../src/definitions/publish.ts'
import type { Catalogue } from '../../src/engine/catalogue.ts'
import { EngineError } from '../../src/model/errors.ts'
import { ACCOUNT, openCatalogue, putAlias, putFunction, putNamespace } from './shelf.ts'

const publication = { description: '', nowMs: 1 }

let catalogue: Catalogue
beforeAll(async () => {
  catalogue = await openCatalogue()
  await catalogue.change((draft) => {
    const namespace = putNamespace(draft)
    const alone = putFunction(draft, 'alone')
    publishNamespace(draft, namespace, publication)
    publishFunction(draft, alone, { ...publication, name: 'v1' })
    publishFunction(draft, putFunction(draft, 'late'), publication)
    putAlias(draft, 'both', '1')
    putAlias(draft, 'both', 'v1', 'alone')
    putAlias(draft, 'v1', '1')
    putAlias(draft, '$DEFAULT', 'LATEST', 'alone')
    putAlias(draft, 'gone', '9', 'alone')
    putAlias(draft, 'mixed', '1', 'alone', { v1: 0.5 })
  })
})

/** Where a qualifier leads a reader and a caller whose lot is the smallest. */
const ends = (name: string, qualifier?: string, namespace = 'demo'): unknown[] => {
  const target = { account: ACCOUNT, namespace, name, ...(qualifier === undefined ? {} : { qualifier }) }
  return [
    () => findFunction(catalogue, ACCOUNT, namespace, name, qualifier).value.version,
    () => catalogue.resolve(target).version,
  ].map((look) => {
    try {
      return look()
    } catch (error) {
      if (error instanceof EngineError) return error.code
      throw error
    }
  })
}

describe('a qualifier leads readers and callers to', () => {
  test.each([
    ['the latest state by none', 'alone', undefined, 'LATEST'],
    ['the latest state by its name', 'alone', 'LATEST', 'LATEST'],
    ['a version of the namespace', 'alone', '1', '1'],
    ["a function's own version", 'alone', 'v1', 'v1'],
    ["a function's own alias before the namespace's", 'alone', 'both', 'v1'],
    ["a function's own version before the namespace's alias", 'alone', 'v1', 'v1'],
    ["the latest state through a function's alias", 'alone', '$DEFAULT', 'LATEST'],
    ['no function when the version does not hold it', 'late', 'both', 'caller/function-not-found'],
    ['no version behind an alias that outlived it', 'alone', 'gone', 'caller/version-not-found'],
    ['no version of that number', 'alone', '4', 'caller/version-not-found'],
    ['no alias of that name', 'late', '$DEFAULT', 'caller/alias-not-found'],
    ['no function', 'none', undefined, 'caller/function-not-found'],
    ['no function at a version of the namespace', 'none', '1', 'caller/function-not-found'],
  ])('%s', (_, name, qualifier, end) => {
    expect(ends(name, qualifier)).toEqual([end, end])
  })

  test('no namespace, whatever the qualifier', () => {
    for (const qualifier of [undefined, '1', 'both'])
      expect(ends('alone', qualifier, 'none')).toEqual(Array(2).fill('caller/namespace-not-found'))
  })
})

test('only a call draws lots: a reader is led to the main version', () => {
  expect(ends('alone', 'mixed')).toEqual(['1', 'v1'])
})
