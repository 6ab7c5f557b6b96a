import { beforeEach, expect, test } from 'vitest'
import { publishLayer } from '../../src/definitions/layers.ts'
import { QUOTA, QuotaExceeded } from '../../src/definitions/quotas.ts'
import { Catalogue } from '../../src/engine/catalogue.ts'
import { layerKey } from '../../src/engine/keys.ts'
import { MemoryDefinitions } from '../helpers/memory-definitions.ts'

const ACCOUNT = 'a1'
const code = { digest: 'd'.repeat(64), crc64: '1', sizeBytes: 1, expandedBytes: 1 }

let catalogue: Catalogue
beforeEach(async () => {
  catalogue = await Catalogue.open(new MemoryDefinitions())
})

const publish = (name: string) =>
  catalogue.change((draft) =>
    publishLayer(draft, { account: ACCOUNT, name, description: 'd', code, extras: {}, nowMs: 7 }),
  )

test('versions of a layer count from 1, each name by itself', async () => {
  const made = [await publish('one'), await publish('one'), await publish('two')]
  expect(made.map(({ name, version }) => [name, version])).toEqual([
    ['one', 1],
    ['one', 2],
    ['two', 1],
  ])
  expect(catalogue.list('layer', `${ACCOUNT}/one/`).map(({ value }) => value.version)).toEqual([1, 2])
  expect(made[0]).toMatchObject({ code, description: 'd', createdAtMs: 7, modifiedAtMs: 7 })
})

test('the number of a version that was removed is not used again', async () => {
  await publish('one')
  await publish('one')
  await catalogue.change((draft) => draft.delete('layer', layerKey(ACCOUNT, 'one', 2)))
  expect((await publish('one')).version).toBe(3)
  await catalogue.change((draft) => {
    for (const { key } of draft.list('layer', '')) draft.delete('layer', key)
  })
  expect((await publish('one')).version).toBe(4)
})

test('a version that was counted elsewhere is not replaced', async () => {
  await publish('one')
  await catalogue.change((draft) => {
    const first = draft.get('layer', layerKey(ACCOUNT, 'one', 1))
    if (first !== undefined) draft.put('layer', layerKey(ACCOUNT, 'one', 12), { ...first.value, version: 12 })
  })
  expect((await publish('one')).version).toBe(13)
})

test('there are no more versions than the quota allows', async () => {
  const first = await publish('one')
  await catalogue.change((draft) => {
    for (let version = 2; version <= QUOTA.layersPerAccount; version += 1)
      draft.put('layer', layerKey(ACCOUNT, 'one', version), { ...first, version })
  })
  await expect(publish('two')).rejects.toBeInstanceOf(QuotaExceeded)
})
