import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Change, DefinitionStore, TagsRecord } from '../../../src/store/definition-store.ts'
import { RevisionConflict } from '../../../src/store/definition-store.ts'

/** A store under test; `reopen` closes it and opens what it kept. */
export interface DefinitionHarness {
  readonly definitions: () => DefinitionStore
  readonly reopen: () => Promise<void>
  readonly close: () => Promise<void>
}

/** What every {@link DefinitionStore} promises. */
export function describeDefinitionStore(name: string, open: () => Promise<DefinitionHarness>): void {
  describe(`${name} as a definition store`, () => {
    let harness: DefinitionHarness

    beforeEach(async () => {
      harness = await open()
    })
    afterEach(() => harness.close())

    const tags = (text: string): TagsRecord => ({
      account: '1',
      resource: 'default/résumé',
      tags: { text },
      createdAtMs: 1,
      modifiedAtMs: 2,
    })
    const put = (key: string, expectedRevision: number, text = 'x'): Change => ({
      kind: 'tags',
      key,
      expectedRevision,
      value: tags(text),
    })
    const kept = async (): Promise<Record<string, number>> =>
      Object.fromEntries((await harness.definitions().load()).map(({ key, revision }) => [key, revision]))

    test('holds nothing at first', async () => {
      expect(await harness.definitions().load()).toEqual([])
    })

    test('gives back what was committed, over a restart too', async () => {
      const text = `quote ' " \u0000 ${randomUUID()} 😀`
      await harness.definitions().commit([put('a', 0, text)])
      const expected = [{ kind: 'tags', key: 'a', revision: 1, value: tags(text) }]
      expect(await harness.definitions().load()).toEqual(expected)
      await harness.reopen()
      expect(await harness.definitions().load()).toEqual(expected)
    })

    test('counts the changes of a key, and begins anew after its deletion', async () => {
      await harness.definitions().commit([put('a', 0)])
      await harness.definitions().commit([put('a', 1)])
      expect(await kept()).toEqual({ a: 2 })
      await harness.definitions().commit([{ kind: 'tags', key: 'a', expectedRevision: 2 }])
      expect(await kept()).toEqual({})
      await harness.definitions().commit([put('a', 0)])
      expect(await kept()).toEqual({ a: 1 })
    })

    test('tells two kinds with the same key apart', async () => {
      const value = { ...tags('x'), namespace: 'n', functionName: 'f', qualifier: 'q', maxInstances: 1 }
      await harness
        .definitions()
        .commit([put('a', 0), { kind: 'scaling', key: 'a', expectedRevision: 0, value }])
      const kinds = (await harness.definitions().load()).map(({ kind }) => kind)
      expect(kinds.toSorted()).toEqual(['scaling', 'tags'])
    })

    test.each([
      ['a record that must not exist yet does', put('a', 0)],
      ['a record is older than expected', put('a', 2)],
      ['a record to delete is not there', { kind: 'tags', key: 'gone', expectedRevision: 1 } as const],
    ])('changes nothing when %s', async (_case, stale) => {
      await harness.definitions().commit([put('a', 0)])
      await expect(harness.definitions().commit([put('b', 0), stale])).rejects.toEqual(
        new RevisionConflict(stale.key),
      )
      expect(await kept()).toEqual({ a: 1 })
    })

    test('lets one of two commits made at once win, and tells the other', async () => {
      const results = await Promise.allSettled([
        harness.definitions().commit([put('a', 0, 'first')]),
        harness.definitions().commit([put('a', 0, 'second')]),
        harness.definitions().commit([put('b', 0)]),
      ])
      const statuses = results.map(({ status }) => status)
      expect(statuses.slice(0, 2).toSorted()).toEqual(['fulfilled', 'rejected'])
      expect(statuses[2]).toBe('fulfilled')
      expect(await kept()).toEqual({ a: 1, b: 1 })
    })
  })
}
