import { beforeEach, expect, test } from 'vitest'
import { QUOTA } from '../../src/definitions/quotas.ts'
import { putCap, settingMembers } from '../../src/definitions/settings.ts'
import type { Catalogue } from '../../src/engine/catalogue.ts'
import { qualifiedKey } from '../../src/engine/keys.ts'
import { ACCOUNT, openCatalogue } from './shelf.ts'

const target = { account: ACCOUNT, namespace: 'demo', name: 'f' }

let catalogue: Catalogue
beforeEach(async () => {
  catalogue = await openCatalogue()
})

const cap = (qualifier: string, maxInstances: number, nowMs: number) =>
  catalogue.change((draft) => putCap(draft, target, qualifier, maxInstances, nowMs).value)

test('a cap belongs to a function through one qualifier, and remembers when it was made', async () => {
  const first = await cap('LATEST', 3, 5)
  expect(first).toEqual({
    account: ACCOUNT,
    namespace: 'demo',
    functionName: 'f',
    qualifier: 'LATEST',
    maxInstances: 3,
    createdAtMs: 5,
    modifiedAtMs: 5,
  })
  expect(await cap('LATEST', 4, 9)).toEqual({ ...first, maxInstances: 4, modifiedAtMs: 9 })
  expect(catalogue.get('scaling', qualifiedKey(ACCOUNT, 'demo', 'f', '1'))).toBeUndefined()
})

test.each(['asyncConfig', 'provision'] as const)('kinds of settings count apart: %s', async (kind) => {
  await cap('LATEST', 3, 5)
  const members = await catalogue.change((draft) => settingMembers(draft, kind, target, 'LATEST', 7))
  expect(members).toMatchObject({ qualifier: 'LATEST', createdAtMs: 7, modifiedAtMs: 7 })
})

test('where an account has all it may have, those that are there can still be changed', async () => {
  await catalogue.change((draft) => {
    for (let index = 0; index < QUOTA.settingsPerAccount; index += 1) putCap(draft, target, `v${index}`, 1, 1)
  })
  expect(await cap('v7', 2, 3)).toMatchObject({ maxInstances: 2, createdAtMs: 1 })
  await expect(cap('one-more', 1, 3)).rejects.toMatchObject({
    name: 'QuotaExceeded',
    limit: QUOTA.settingsPerAccount,
  })
})
