import { expect, test } from 'vitest'
import { QUOTA } from '../../src/definitions/quotas.ts'
import { putTags } from '../../src/definitions/tags.ts'
import { tagsKey } from '../../src/engine/keys.ts'
import { ACCOUNT, openCatalogue } from './shelf.ts'

test('tags take the place of those before; none at all leave no record', async () => {
  const catalogue = await openCatalogue()
  const give = (tags: Record<string, string>, nowMs: number): Promise<void> =>
    catalogue.change((draft) => putTags(draft, ACCOUNT, 'demo/f', tags, nowMs))
  const stored = () => catalogue.get('tags', tagsKey(ACCOUNT, 'demo/f'))?.value
  await give({}, 1)
  expect(stored()).toBeUndefined()
  await give({ a: '1', b: '2' }, 3)
  await give({ b: '3' }, 5)
  expect(stored()).toEqual({
    account: ACCOUNT,
    resource: 'demo/f',
    tags: { b: '3' },
    createdAtMs: 3,
    modifiedAtMs: 5,
  })
  await give({}, 7)
  expect(stored()).toBeUndefined()
})

test('only so many resources of an account may have some', async () => {
  const catalogue = await openCatalogue()
  await catalogue.change((draft) => {
    for (let index = 0; index < QUOTA.settingsPerAccount; index += 1)
      putTags(draft, ACCOUNT, `demo/f${index}`, { a: '' }, 1)
  })
  await catalogue.change((draft) => putTags(draft, ACCOUNT, 'demo/f7', { a: 'x' }, 2))
  await expect(
    catalogue.change((draft) => putTags(draft, ACCOUNT, 'demo/more', { a: '' }, 2)),
  ).rejects.toMatchObject({ name: 'QuotaExceeded', limit: QUOTA.settingsPerAccount })
})
