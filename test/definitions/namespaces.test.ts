import { expect, test } from 'vitest'
import { ensureNamespace } from '../../src/definitions/namespaces.ts'
import { QUOTA, requireFunctionStates } from '../../src/definitions/quotas.ts'
import type { Catalogue } from '../../src/engine/catalogue.ts'
import { namespaceKey } from '../../src/engine/keys.ts'
import type { Stored } from '../../src/store/definition-store.ts'
import { ACCOUNT, openCatalogue, putNamespace } from './shelf.ts'

const ensure = (catalogue: Catalogue, name: string): Promise<Stored<'namespace'>> =>
  catalogue.change((draft) => ensureNamespace(draft, ACCOUNT, name, 5))

test('a namespace that is missing is made once, empty', async () => {
  const catalogue = await openCatalogue()
  const made = await ensure(catalogue, 'new')
  expect(made.value).toMatchObject({
    account: ACCOUNT,
    name: 'new',
    description: '',
    facts: {},
    lastVersion: 0,
    extras: {},
    createdAtMs: 5,
  })
  expect(await ensure(catalogue, 'new')).toEqual(made)
  expect((await ensure(catalogue, 'other')).value.namespaceId).not.toBe(made.value.namespaceId)
})

test('one that is there stays as it is, also when no further one may be made', async () => {
  const catalogue = await openCatalogue()
  await catalogue.change((draft) => {
    for (let index = 0; index < QUOTA.namespacesPerAccount; index += 1) putNamespace(draft, `n${index}`, 4)
  })
  const before = catalogue.get('namespace', namespaceKey(ACCOUNT, 'n7'))
  expect(await ensure(catalogue, 'n7')).toEqual(before)
  await expect(ensure(catalogue, 'new')).rejects.toMatchObject({
    name: 'QuotaExceeded',
    limit: QUOTA.namespacesPerAccount,
  })
})

test('functions of an account are bounded with those of their versions', async () => {
  const catalogue = await openCatalogue()
  const { functionStatesPerAccount } = QUOTA
  const add = (added: number): Promise<void> =>
    catalogue.change((draft) => requireFunctionStates(draft, ACCOUNT, added))
  await expect(add(functionStatesPerAccount)).resolves.toBeUndefined()
  await expect(add(functionStatesPerAccount + 1)).rejects.toThrow('those of published versions included')
})
