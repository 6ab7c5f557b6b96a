import { beforeEach, expect, test } from 'vitest'
import { publishFunction, publishNamespace } from '../../src/definitions/publish.ts'
import { removeFunction, removeFunctionVersion } from '../../src/definitions/remove.ts'
import type { Catalogue, Draft } from '../../src/engine/catalogue.ts'
import { documentKey, functionKey, qualifiedKey, tagsKey, triggerKey } from '../../src/engine/keys.ts'
import { ACCOUNT, everything, openCatalogue, putAlias, putFunction, putNamespace } from './shelf.ts'

const stamps = { createdAtMs: 1, modifiedAtMs: 1 }
const publication = { description: '', nowMs: 1 }

/** One of everything a function may have, through each of the qualifiers. */
function equip(draft: Draft, name: string, qualifiers: readonly string[]): void {
  const owner = `demo/${name}`
  for (const qualifier of qualifiers) {
    const key = qualifiedKey(ACCOUNT, 'demo', name, qualifier)
    const of = { ...stamps, account: ACCOUNT, namespace: 'demo', functionName: name, qualifier }
    draft.put('asyncConfig', key, { ...of, extras: {} })
    draft.put('scaling', key, { ...of, maxInstances: 1 })
    draft.put('provision', key, { ...of, target: 0, extras: {} })
    draft.put('trigger', triggerKey(ACCOUNT, 'demo', name, 'timer', qualifier), {
      ...of,
      name: qualifier,
      type: 'timer',
      enabled: true,
      extras: {},
    })
  }
  draft.put('tags', tagsKey(ACCOUNT, owner), { ...stamps, account: ACCOUNT, resource: owner, tags: {} })
  draft.put('document', documentKey(ACCOUNT, owner, 'dialect', 'event'), {
    ...stamps,
    account: ACCOUNT,
    owner,
    name: 'event',
    content: {},
  })
}

let catalogue: Catalogue
beforeEach(async () => {
  catalogue = await openCatalogue()
  await catalogue.change((draft) => {
    putNamespace(draft)
    putFunction(draft, 'other')
    equip(draft, 'other', ['LATEST'])
    putAlias(draft, 'all', '1')
  })
})

const remove = (name: string): Promise<void> =>
  catalogue.change((draft) => {
    const head = draft.get('function', functionKey(ACCOUNT, 'demo', name))
    if (head !== undefined) removeFunction(draft, head.value)
  })

test('a function goes with all that is its own, and with nothing of another', async () => {
  const before = everything(catalogue)
  await catalogue.change((draft) => {
    const head = putFunction(draft, 'hello')
    publishFunction(draft, head, { ...publication, name: 'v1' })
    putAlias(draft, 'prod', 'v1', 'hello')
    equip(draft, 'hello', ['LATEST', 'v1', 'prod', 'stray'])
  })
  expect(everything(catalogue)).toHaveLength(before.length + 22)
  await remove('hello')
  expect(everything(catalogue)).toEqual(before)
})

test('documents of the namespace stay when a function has the name of their dialect', async () => {
  const key = documentKey(ACCOUNT, 'demo', 'hello', 'note')
  await catalogue.change((draft) => {
    putFunction(draft, 'hello')
    draft.put('document', key, { ...stamps, account: ACCOUNT, owner: 'demo', name: 'note', content: {} })
  })
  await remove('hello')
  expect(catalogue.get('document', key)).toBeDefined()
})

test('what was published with its namespace stays, with the settings through it', async () => {
  await catalogue.change((draft) => {
    const namespace = putNamespace(draft)
    const head = putFunction(draft, 'hello')
    publishNamespace(draft, namespace, publication)
    publishFunction(draft, head, { ...publication, name: 'v1' })
    equip(draft, 'hello', ['LATEST', 'v1', '1', 'all'])
  })
  await remove('hello')
  const left = everything(catalogue).filter((record) => record.includes('hello'))
  expect(left).toEqual([
    `function ${functionKey(ACCOUNT, 'demo', 'hello', '1')}`,
    ...['asyncConfig', 'scaling', 'provision'].flatMap((kind) =>
      ['1', 'all'].map((qualifier) => `${kind} ${qualifiedKey(ACCOUNT, 'demo', 'hello', qualifier)}`),
    ),
  ])
})

test('a version of a function goes with its snapshot and the settings through it; aliases stay', async () => {
  await catalogue.change((draft) => {
    const head = putFunction(draft, 'hello')
    equip(draft, 'hello', ['LATEST'])
    publishFunction(draft, head, { ...publication, name: 'kept' })
    putAlias(draft, 'prod', 'v1', 'hello')
  })
  const before = everything(catalogue)
  await catalogue.change((draft) => {
    const head = draft.get('function', functionKey(ACCOUNT, 'demo', 'hello'))
    if (head !== undefined) publishFunction(draft, head, { ...publication, name: 'v1' })
    const of = { ...stamps, account: ACCOUNT, namespace: 'demo', functionName: 'hello', qualifier: 'v1' }
    draft.put('scaling', qualifiedKey(ACCOUNT, 'demo', 'hello', 'v1'), { ...of, maxInstances: 1 })
  })
  expect(everything(catalogue)).toHaveLength(before.length + 3)
  await catalogue.change((draft) => removeFunctionVersion(draft, ACCOUNT, 'demo', 'hello', 'v1'))
  expect(everything(catalogue)).toEqual(before)
})

test('a version of the namespace is none of the function to be removed', async () => {
  await catalogue.change((draft) => publishNamespace(draft, putNamespace(draft), publication))
  await expect(
    catalogue.change((draft) => removeFunctionVersion(draft, ACCOUNT, 'demo', 'other', '1')),
  ).rejects.toMatchObject({ code: 'caller/version-not-found' })
  expect(catalogue.get('function', functionKey(ACCOUNT, 'demo', 'other', '1'))).toBeDefined()
})
