import { beforeEach, expect, test } from 'vitest'
import { allVersions, findVersion, ownVersions } from '../../src/definitions/function-versions.ts'
import { accountFunctions } from '../../src/definitions/namespaces.ts'
import { publishFunction, publishNamespace } from '../../src/definitions/publish.ts'
import type { Catalogue } from '../../src/engine/catalogue.ts'
import { ACCOUNT, openCatalogue, putFunction, putNamespace } from './shelf.ts'

const named = (name: string) => ({ account: ACCOUNT, namespace: 'demo', name })
const publication = { description: 'own', nowMs: 7 }

let catalogue: Catalogue
beforeEach(async () => {
  catalogue = await openCatalogue()
  await catalogue.change((draft) => {
    const space = putNamespace(draft)
    const a = putFunction(draft, 'a')
    publishFunction(draft, a, { ...publication, name: 'v1' })
    publishNamespace(draft, space, { ...publication, description: 'common' })
    const late = putFunction(draft, 'late')
    publishFunction(draft, late, { ...publication, name: 'v2' })
  })
})

test('a function has versions of its own, and those of its namespace that hold it', () => {
  const shown = (name: string) =>
    allVersions(catalogue, named(name)).map(({ version, state }) => [
      version.version,
      version.description,
      state.name,
      state.version,
    ])
  expect(shown('a')).toEqual([
    ['v1', 'own', 'a', 'v1'],
    ['1', 'common', 'a', '1'],
  ])
  expect(shown('late')).toEqual([['v2', 'own', 'late', 'v2']])
  expect(shown('none')).toEqual([])
  expect(ownVersions(catalogue, named('a')).map(({ state }) => state.version)).toEqual(['v1'])
})

test('a version is found by its name, wherever it was published; the latest state is none', () => {
  const descriptionOf = (name: string, version: string) =>
    findVersion(catalogue, named(name), version)?.description
  expect(['v1', '1', 'v2', 'LATEST'].map((version) => descriptionOf('a', version))).toEqual([
    'own',
    'common',
    undefined,
    undefined,
  ])
})

test('the functions of an account are the latest states, of all namespaces', async () => {
  await catalogue.change((draft) => {
    putNamespace(draft, 'second')
    putFunction(draft, 'z', { namespace: 'second' })
  })
  expect(
    accountFunctions(catalogue, ACCOUNT).map(({ namespace, name, version }) => [namespace, name, version]),
  ).toEqual([
    ['demo', 'a', 'LATEST'],
    ['demo', 'late', 'LATEST'],
    ['second', 'z', 'LATEST'],
  ])
  expect(accountFunctions(catalogue, 'another')).toEqual([])
})
