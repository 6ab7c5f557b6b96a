import { expect, test } from 'vitest'
import { RevisionConflict, type Change } from '../../src/store/definition-store.ts'
import { MemoryDefinitions } from './memory-definitions.ts'

const change = (resource: string, expectedRevision: number): Change<'tags'> => ({
  kind: 'tags',
  key: `1/${resource}`,
  expectedRevision,
  value: { account: '1', resource, tags: { n: String(expectedRevision) }, createdAtMs: 1, modifiedAtMs: 1 },
})

test('counts the changes of a key and starts anew after a deletion', async () => {
  const store = new MemoryDefinitions()
  await store.commit([change('a', 0)])
  await store.commit([change('a', 1)])
  expect(await store.load()).toMatchObject([{ key: '1/a', revision: 2, value: { tags: { n: '1' } } }])
  await store.commit([{ kind: 'tags', key: '1/a', expectedRevision: 2 }])
  expect(await store.load()).toEqual([])
  await store.commit([change('a', 0)])
  expect(await store.load()).toMatchObject([{ revision: 1 }])
})

test('applies nothing when one record is not at its expected revision', async () => {
  const store = new MemoryDefinitions()
  await store.commit([change('a', 0)])
  await expect(store.commit([change('b', 0), change('a', 0)])).rejects.toThrow(RevisionConflict)
  expect(await store.load()).toHaveLength(1)
  expect(store.commits).toBe(1)
})
