import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { isJsonObject } from '../../../src/model/json.ts'
import { functionParams, openHarness, zipOf, type Harness } from './harness.ts'
import { CLOCK_MS } from './signing.ts'

/** The vendor's own models: interface → member → type, as its SDK declares them. */
const MODELS = readModels()

/** Members of these are only there when they are set. */
const SPARSE = new Set(['InstanceConcurrencyConfig', 'ProtocolParams', 'ImageConfig'])

let server: Harness
const FunctionName = 'hello'

beforeAll(async () => {
  server = await openHarness()
  const Content = { ZipFile: await zipOf() }
  const CompatibleRuntimes = ['Nodejs18.15']
  await server.call('PublishLayerVersion', { LayerName: 'layer', CompatibleRuntimes, Content })
  await server.call(
    'CreateFunction',
    await functionParams(FunctionName, {
      Layers: [{ LayerName: 'layer', LayerVersion: 1 }],
      Tags: [{ Key: 'a', Value: 'b' }],
      Environment: { Variables: [{ Key: 'A', Value: '1' }] },
      CfsConfig: { CfsInsList: [{ UserId: '1' }] },
    }),
  )
  await server.call('PublishVersion', { FunctionName })
  await server.call('PublishVersion', { FunctionName })
  await server.call('CreateAlias', {
    FunctionName,
    Name: 'weighted',
    FunctionVersion: '1',
    RoutingConfig: { AdditionalVersionWeights: [{ Version: '2', Weight: 0.5 }] },
  })
  await server.call('PutReservedConcurrencyConfig', { FunctionName, ReservedConcurrencyMem: 1280 })
  await server.call('PutProvisionedConcurrencyConfig', {
    FunctionName,
    Qualifier: '1',
    VersionProvisionedConcurrencyNum: 1,
    TriggerActions: [
      { TriggerName: 't', TriggerProvisionedConcurrencyNum: 1, TriggerCronConfig: '0 0 8 * * * *' },
    ],
  })
  await server.call('Invoke', { FunctionName, InvocationType: 'Event' })
  server.records.push({
    requestId: 'one',
    version: 'LATEST',
    endedAtMs: CLOCK_MS,
    ending: 'returned',
    durationMs: 1,
    billedDurationMs: 1,
    maxMemoryBytes: 1,
    retryCount: 0,
    log: '',
  })
})
afterAll(() => server.close())

test.each([
  ['CreateTrigger', { TriggerName: 'every', Type: 'timer', TriggerDesc: '0 0 * * * * *' }],
  ['GetFunction', {}],
  ['ListFunctions', {}],
  ['GetFunctionAddress', {}],
  ['PublishVersion', {}],
  ['ListVersionByFunction', {}],
  ['GetAlias', { Name: 'weighted' }],
  ['ListAliases', {}],
  ['ListNamespaces', {}],
  ['ListTriggers', {}],
  ['GetFunctionLogs', {}],
  ['GetRequestStatus', { FunctionRequestId: 'one' }],
  ['ListAsyncEvents', {}],
  ['GetFunctionEventInvokeConfig', {}],
  ['GetReservedConcurrencyConfig', {}],
  ['GetProvisionedConcurrencyConfig', {}],
  ['GetLayerVersion', { LayerName: 'layer', LayerVersion: 1 }],
  ['ListLayers', {}],
  ['ListLayerVersions', { LayerName: 'layer' }],
  ['GetAccount', {}],
])('%s answers every member that the vendor’s SDK declares, in its type', async (action, params) => {
  const { response, message } = await server.call(action, { FunctionName, ...params })
  expect(message).toBe(undefined)
  expect(faultsOf(response, `${action}Response`, action)).toEqual([])
})

test('GetAsyncEventStatus answers every member that the vendor’s SDK declares, in its type', async () => {
  const { response: listed } = await server.call('ListAsyncEvents', { FunctionName })
  const events = listed['EventList']
  const InvokeRequestId: unknown =
    Array.isArray(events) && isJsonObject(events[0]) ? events[0]['InvokeRequestId'] : ''
  const { response } = await server.call('GetAsyncEventStatus', { InvokeRequestId })
  expect(faultsOf(response, 'GetAsyncEventStatusResponse', '')).toEqual([])
})

/** Where a value is not what the model says. */
function faultsOf(value: unknown, type: string, path: string): string[] {
  const list = /^Array<(.+)>$/.exec(type)?.[1]
  if (list !== undefined) {
    if (!Array.isArray(value)) return [`${path} is no list`]
    return value.flatMap((entry: unknown, index) => faultsOf(entry, list, `${path}[${index}]`))
  }
  const members = MODELS.get(type)
  if (members === undefined) return typeof value === type ? [] : [`${path} is no ${type}`]
  if (!isJsonObject(value)) return [`${path} is no object`]
  return [...members].flatMap(([name, memberType]) => {
    if (!Object.hasOwn(value, name)) return [`${path}.${name} is absent`]
    // The models say in words only which members may be null: those of settings that are not set.
    if (value[name] === null)
      return SPARSE.has(name) || name === 'ReservedMem' ? [] : [`${path}.${name} is null`]
    return SPARSE.has(name) ? [] : faultsOf(value[name], memberType, `${path}.${name}`)
  })
}

function readModels(): Map<string, Map<string, string>> {
  const entry = createRequire(import.meta.url).resolve('tencentcloud-sdk-nodejs-scf')
  const file = join(dirname(entry), 'services/scf/v20180416/scf_models.d.ts')
  const models = new Map<string, Map<string, string>>()
  const text = readFileSync(file, 'utf8').replaceAll(/\/\*\*[\s\S]*?\*\//g, '')
  for (const [, name = '', body = ''] of text.matchAll(/export interface (\w+) \{([^}]*)\}/g)) {
    const members = [...body.matchAll(/^\s+(\w+)\??: (.+);$/gm)]
    models.set(name, new Map(members.map(([, member = '', type = '']) => [member, type])))
  }
  return models
}
