import { expect, test } from 'vitest'
import type { Definitions } from '../../src/engine/catalogue.ts'
import { deletedAmong } from '../../src/engine/deleted-functions.ts'
import { functionKey } from '../../src/engine/keys.ts'

/** Definitions with functions of these keys alone. */
function definitionsOf(keys: readonly string[]): Definitions {
  const records = keys.map((key) => {
    const [, namespace = '', version = '', name = ''] = key.split('/')
    return { kind: 'function', key, revision: 1, value: { namespace, version, name } }
  })
  return {
    get: ((_kind: string, key: string) => records.find((record) => record.key === key)) as Definitions['get'],
    list: ((_kind: string, prefix: string) =>
      records.filter(({ key }) => key.startsWith(prefix))) as unknown as Definitions['list'],
    count: (_kind, prefix) => records.filter(({ key }) => key.startsWith(prefix)).length,
  }
}

test('a function is deleted of which there is no record in its own account and namespace, at any version', () => {
  const definitions = definitionsOf([
    functionKey('1', 'n', 'latest'),
    functionKey('1', 'n', 'published', '3'),
    functionKey('2', 'n', 'of another'),
    functionKey('1', 'm', 'elsewhere'),
  ])
  const asked = ['latest', 'published', 'of another', 'elsewhere', 'never'].map((name) => ({
    account: '1',
    namespace: 'n',
    name,
  }))
  expect(deletedAmong(asked, definitions)).toEqual([asked[2], asked[3], asked[4]])
  expect(deletedAmong(asked.slice(0, 1), definitions)).toEqual([])
})
