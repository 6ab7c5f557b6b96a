import fc from 'fast-check'
import { beforeEach, expect, test } from 'vitest'
import { namespaceFunctions } from '../../src/definitions/namespaces.ts'
import {
  isNamespaceUnchangedSince,
  isUnchangedSince,
  isVersionTaken,
  publishFunction,
  publishNamespace,
} from '../../src/definitions/publish.ts'
import { QUOTA } from '../../src/definitions/quotas.ts'
import { removeFunctionVersion } from '../../src/definitions/remove.ts'
import type { Catalogue, Draft } from '../../src/engine/catalogue.ts'
import { functionKey, namespaceKey, versionKey } from '../../src/engine/keys.ts'
import type { RecordKinds, Stored } from '../../src/store/definition-store.ts'
import { ACCOUNT, openCatalogue, putFunction, putNamespace } from './shelf.ts'

let catalogue: Catalogue
beforeEach(async () => {
  catalogue = await openCatalogue()
  await catalogue.change((draft) => {
    putNamespace(draft)
    for (const name of ['a', 'b']) putFunction(draft, name)
  })
})

const headOf = (draft: Pick<Draft, 'get'>, name: string): Stored<'function'> => {
  const head = draft.get('function', functionKey(ACCOUNT, 'demo', name))
  if (head === undefined) throw new Error(`no function ${name}`)
  return head
}
const space = (draft: Pick<Draft, 'get'>): Stored<'namespace'> => {
  const found = draft.get('namespace', namespaceKey(ACCOUNT, 'demo'))
  if (found === undefined) throw new Error('no namespace')
  return found
}
const publication = { description: 'of a test', nowMs: 7 }
const publish = (name: string, version?: string): Promise<Stored<'version'>> =>
  catalogue.change((draft) =>
    publishFunction(draft, headOf(draft, name), {
      ...publication,
      ...(version === undefined ? {} : { name: version }),
    }),
  )
const publishAll = (): Promise<Stored<'version'>> =>
  catalogue.change((draft) => publishNamespace(draft, space(draft), publication))
const snapshotOf = (name: string, version: string): RecordKinds['function'] | undefined =>
  catalogue.get('function', functionKey(ACCOUNT, 'demo', name, version))?.value

test('a version of one function is a snapshot with a state of its own, and a record', async () => {
  const { value } = await publish('a')
  expect(value).toEqual({
    account: ACCOUNT,
    namespace: 'demo',
    functionName: 'a',
    version: '1',
    description: 'of a test',
    createdAtMs: 7,
    modifiedAtMs: 7,
  })
  const { value: head } = headOf(catalogue, 'a')
  const { stateId, ...snapshot } = snapshotOf('a', '1') ?? {}
  const { stateId: latestState, lastVersion, ...latest } = head
  expect(snapshot).toEqual({ ...latest, version: '1' })
  expect(stateId).not.toBe(latestState)
  expect([lastVersion, snapshotOf('b', '1')]).toEqual([1, undefined])
})

test('each function counts from 1, and a number is not used again after its version was removed', async () => {
  await publish('a')
  await publish('a')
  await catalogue.change((draft) => removeFunctionVersion(draft, ACCOUNT, 'demo', 'a', '2'))
  expect((await publish('a')).value.version).toBe('3')
  expect((await publish('b')).value.version).toBe('1')
})

test('a function keeps its state when it is published: its instances go on', async () => {
  const retired: string[] = []
  catalogue.onRetired = (states) => retired.push(...states)
  await publish('a')
  await publishAll()
  expect(retired).toEqual([])
})

test('names are free, numbers among them are counted on, and none is given twice', async () => {
  await publish('a', 'v1')
  await publish('a', '7')
  expect((await publish('a')).value.version).toBe('8')
  expect((await publish('a', '99999999999')).value.version).toBe('99999999999')
  expect((await publish('a')).value.version).toBe('9')
  await expect(publish('a', 'v1')).rejects.toThrow("'v1' cannot be published")
  await expect(publish('a', 'LATEST')).rejects.toThrow('cannot be published')
  expect([
    isVersionTaken(catalogue, ACCOUNT, 'demo', 'a', 'v1'),
    isVersionTaken(catalogue, ACCOUNT, 'demo', 'b', 'v1'),
  ]).toEqual([true, false])
})

test('what the snapshot is to keep of its own takes the place of the extras', async () => {
  await catalogue.change((draft) =>
    publishFunction(draft, headOf(draft, 'a'), { ...publication, extras: { dialect: { md5: 'x' } } }),
  )
  expect(snapshotOf('a', '1')?.extras).toEqual({ dialect: { md5: 'x' } })
  expect(headOf(catalogue, 'a').value.extras).toEqual({})
})

test('a version of a namespace holds its functions and no versions of their own of the same name', async () => {
  await publishAll()
  await catalogue.change((draft) => putFunction(draft, 'late'))
  // It was not there when version 1 was published: nothing but its own version can be meant.
  await publish('late', '1')
  expect(namespaceFunctions(catalogue, ACCOUNT, 'demo', '1').map(({ value }) => value.name)).toEqual([
    'a',
    'b',
  ])
  expect(namespaceFunctions(catalogue, ACCOUNT, 'demo').map(({ value }) => value.name)).toEqual([
    'a',
    'b',
    'late',
  ])
})

test('no two snapshots of a function share a number, in whatever order it is published alone and together', async () => {
  const step = fc.constantFrom('a', 'b', '*', 'remove')
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      catalogue = await openCatalogue()
      await catalogue.change((draft) => {
        putNamespace(draft)
        for (const name of ['a', 'b']) putFunction(draft, name)
      })
      const given = { a: new Set<string>(), b: new Set<string>() }
      const note = (name: 'a' | 'b', version: string): void => {
        expect(given[name]).not.toContain(version)
        given[name].add(version)
      }
      for (const what of steps)
        if (what === 'a' || what === 'b') note(what, (await publish(what)).value.version)
        else if (what === '*') {
          const { version } = (await publishAll()).value
          note('a', version)
          note('b', version)
        } else
          await catalogue.change((draft) => {
            const [newest] = draft.list('version', versionKey(ACCOUNT, 'demo', '', 'a')).slice(-1)
            if (newest !== undefined) removeFunctionVersion(draft, ACCOUNT, 'demo', 'a', newest.value.version)
          })
    }),
    { numRuns: 60 },
  )
})

test('a namespace is frozen with its functions, under a number above all of theirs', async () => {
  await publish('a')
  await publish('a')
  const before = space(catalogue).value
  const { value } = await publishAll()
  expect(value).toEqual({
    account: ACCOUNT,
    namespace: 'demo',
    version: '3',
    description: 'of a test',
    snapshot: before,
    createdAtMs: 7,
    modifiedAtMs: 7,
  })
  expect(space(catalogue).value.lastVersion).toBe(3)
  expect(snapshotOf('a', '3')).not.toHaveProperty('lastVersion')
  expect(snapshotOf('b', '3')?.version).toBe('3')
})

test('what callers and code can tell apart is a change, and a version that was given is none', async () => {
  await publish('a')
  const unchanged = (): boolean => {
    const snapshot = snapshotOf('a', '1')
    return snapshot !== undefined && isUnchangedSince(headOf(catalogue, 'a').value, snapshot)
  }
  expect(unchanged()).toBe(true)
  await catalogue.change((draft) => putFunction(draft, 'a', { stateId: 'other', modifiedAtMs: 9 }))
  expect(unchanged()).toBe(true)
  for (const change of [
    { description: 'x' },
    { facts: { role: 'x' } },
    { extras: { dialect: {} } },
    { functionId: 'x' },
    { spec: { ...headOf(catalogue, 'a').value.spec, handler: 'x' } },
  ]) {
    await catalogue.change((draft) => putFunction(draft, 'a', change))
    expect(unchanged()).toBe(false)
  }
  const { value } = space(catalogue)
  expect(isNamespaceUnchangedSince({ ...value, lastVersion: 4 }, value)).toBe(true)
  expect(isNamespaceUnchangedSince({ ...value, facts: { role: 'x' } }, value)).toBe(false)
})

test('versions are bounded, of a function as of a namespace, and nothing is left of one too many', async () => {
  const { value } = await publish('a')
  await publishAll()
  await catalogue.change((draft) => {
    for (let index = 1; index < QUOTA.versions; index += 1) {
      draft.put('version', versionKey(ACCOUNT, 'demo', `v${index}`, 'a'), value)
      draft.put('version', versionKey(ACCOUNT, 'demo', `v${index}`), value)
    }
  })
  const count = catalogue.count('function', '')
  const refusal = { name: 'QuotaExceeded', limit: QUOTA.versions }
  await expect(publish('a')).rejects.toMatchObject(refusal)
  await expect(publishAll()).rejects.toMatchObject(refusal)
  expect(catalogue.count('function', '')).toBe(count)
  await expect(publish('b')).resolves.toBeDefined()
})
