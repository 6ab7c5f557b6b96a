import { existsSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { functionKey, layerKey } from '../../../src/engine/keys.ts'
import { functionParams, openHarness, zipOf, type Harness, type TestReply } from './harness.ts'
import { ACCOUNT } from './signing.ts'

let server: Harness

beforeAll(async () => {
  server = await openHarness()
})
afterAll(() => server.close())

async function publish(LayerName: string, more: object = {}): Promise<TestReply> {
  const Content = { ZipFile: await zipOf(`exports.of = '${LayerName}'\n`) }
  return server.call('PublishLayerVersion', {
    LayerName,
    CompatibleRuntimes: ['Nodejs18.15'],
    Content,
    ...more,
  })
}

const digestOf = (name: string, version: number): string | undefined =>
  server.catalogue.get('layer', layerKey(ACCOUNT, name, version))?.value.code.digest

test('versions count from 1 and are shown with a download link', async () => {
  const tags = [{ Key: 'a', Value: 'b' }]
  const first = await publish('lib', { Description: 'd', LicenseInfo: 'MIT', Tags: tags })
  expect(first.response['LayerVersion']).toBe(1)
  expect((await publish('lib', { CompatibleRuntimes: ['Python3.10'] })).response['LayerVersion']).toBe(2)
  const { response } = await server.call('GetLayerVersion', { LayerName: 'lib', LayerVersion: 1 })
  expect(response).toMatchObject({
    LayerName: 'lib',
    LayerVersion: 1,
    CompatibleRuntimes: ['Nodejs18.15'],
    Description: 'd',
    LicenseInfo: 'MIT',
    Status: 'Active',
    AddTime: '2026-11-21 18:00:00',
    CodeSha256: digestOf('lib', 1),
    Location: expect.stringContaining('/anvoke/code/'),
  })
})

test('lists have the newest version of each layer, or all of one', async () => {
  await publish('other')
  const all = await server.call('ListLayers', { Limit: 100 })
  expect(all.response).toMatchObject({
    TotalCount: 2,
    Layers: [
      { LayerName: 'lib', LayerVersion: 2, Status: 'Active', Tags: [] },
      { LayerName: 'other', LayerVersion: 1 },
    ],
  })
  const found = await server.call('ListLayers', { SearchKey: 'OTH', CompatibleRuntime: 'Nodejs18.15' })
  expect(found.response).toMatchObject({ TotalCount: 1, Layers: [{ LayerName: 'other' }] })
  const versions = await server.call('ListLayerVersions', { LayerName: 'lib' })
  expect(versions.response['LayerVersions']).toMatchObject([{ LayerVersion: 2 }, { LayerVersion: 1 }])
  const some = await server.call('ListLayerVersions', {
    LayerName: 'lib',
    CompatibleRuntime: ['Python3.10'],
  })
  expect(some.response['LayerVersions']).toMatchObject([{ LayerVersion: 2 }])
})

test('code and layers of a function have at most 500 MB together when they are unpacked', async () => {
  const half = { digest: 'd'.repeat(64), crc64: '0', sizeBytes: 1, expandedBytes: 250 * 1024 * 1024 }
  await server.catalogue.change((draft) => {
    for (const name of ['half-a', 'half-b'])
      draft.put('layer', layerKey(ACCOUNT, name, 1), {
        account: ACCOUNT,
        name,
        version: 1,
        description: '',
        code: half,
        extras: {},
        createdAtMs: 0,
        modifiedAtMs: 0,
      })
  })
  const Layers = ['half-a', 'half-b'].map((LayerName) => ({ LayerName, LayerVersion: 1 }))
  const made = await server.call('CreateFunction', await functionParams('heavy', { Layers }))
  expect(made.code).toBe('LimitExceeded.Layers')
  await server.call('CreateFunction', await functionParams('light'))
  const bound = await server.call('UpdateFunctionConfiguration', { FunctionName: 'light', Layers })
  expect(bound.code).toBe('LimitExceeded.Layers')
  await server.catalogue.change((draft) => {
    for (const name of ['half-a', 'half-b']) draft.delete('layer', layerKey(ACCOUNT, name, 1))
  })
})

test('a function keeps the packages of its layers in their order, also when these are deleted', async () => {
  const Layers = [
    { LayerName: 'other', LayerVersion: 1 },
    { LayerName: 'lib', LayerVersion: '2' },
  ]
  const created = await server.call('CreateFunction', await functionParams('bound', { Layers }))
  expect(created.message).toBe(undefined)
  const { spec } = server.catalogue.get('function', functionKey(ACCOUNT, 'default', 'bound'))?.value ?? {}
  const digests = spec?.layers?.map(({ digest }) => digest) ?? []
  expect(digests).toEqual([digestOf('other', 1), digestOf('lib', 2)])
  expect(existsSync(server.packages.layersPath(digests))).toBe(true)
  await server.call('UpdateFunctionConfiguration', { FunctionName: 'bound', Layers: Layers.toReversed() })
  expect(existsSync(server.packages.layersPath(digests.toReversed()))).toBe(true)
  await server.call('UpdateFunctionConfiguration', { FunctionName: 'bound', Layers })
  await server.call('DeleteLayerVersion', { LayerName: 'lib', LayerVersion: 2 })
  const { response } = await server.call('GetFunction', { FunctionName: 'bound' })
  expect(response['Layers']).toMatchObject([
    { LayerName: 'other', LayerVersion: 1, Status: 'Active' },
    { LayerName: 'lib', LayerVersion: 2, Status: 'Deleted' },
  ])
  const kept = server.catalogue.get('function', functionKey(ACCOUNT, 'default', 'bound'))?.value
  expect(kept?.spec.layers).toHaveLength(2)
})

test('a deleted number is not used again', async () => {
  expect((await publish('lib')).response['LayerVersion']).toBe(3)
  const gone = await server.call('GetLayerVersion', { LayerName: 'lib', LayerVersion: 2 })
  expect(gone.code).toBe('ResourceNotFound.LayerVersion')
  await publish('brief')
  await server.call('DeleteLayerVersion', { LayerName: 'brief', LayerVersion: 1 })
  expect((await publish('brief')).response['LayerVersion']).toBe(2)
})

test.each([
  [{ LayerName: '1x' }, 'InvalidParameterValue.LayerName'],
  [{ CompatibleRuntimes: [] }, 'InvalidParameterValue.CompatibleRuntimes'],
  [{ CompatibleRuntimes: 'Nodejs18.15' }, 'InvalidParameterValue.CompatibleRuntimes'],
  [{ CompatibleRuntimes: undefined }, 'MissingParameter'],
  [{ Content: undefined }, 'MissingParameter'],
  [{ Content: {} }, 'InvalidParameterValue.Content'],
  [{ Content: { CosBucketName: 'b' } }, 'UnsupportedOperation.Cos'],
  [{ Content: { ZipFile: '***' } }, 'InvalidParameterValue.ZipFileBase64BinasciiError'],
  [{ Tags: [{ Key: '' }] }, 'InvalidParameterValue'],
])('publishing %j is refused with %s', async (wrong, code) => {
  const before = server.catalogue.count('layer', '')
  expect((await publish('wrong', wrong)).code).toBe(code)
  expect(server.catalogue.count('layer', '')).toBe(before)
})

test.each([
  [{ Layers: [{ LayerName: 'lib', LayerVersion: 99 }] }, 'ResourceNotFound.LayerVersion'],
  [{ Layers: [{ LayerName: 'lib' }] }, 'MissingParameter'],
  [
    { Layers: Array.from({ length: 6 }, () => ({ LayerName: 'lib', LayerVersion: 1 })) },
    'LimitExceeded.Layers',
  ],
])('binding %j is refused with %s', async (wrong, code) => {
  expect((await server.call('CreateFunction', await functionParams('wrong', wrong))).code).toBe(code)
})
