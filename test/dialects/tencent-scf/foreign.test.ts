import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { publishNamespace } from '../../../src/definitions/publish.ts'
import { ensureNamespace } from '../../../src/definitions/namespaces.ts'
import { aliasKey, functionKey, triggerKey } from '../../../src/engine/keys.ts'
import type { FunctionRecord } from '../../../src/store/definition-store.ts'
import { functionParams, openHarness, zipOf, type Harness, type TestReply } from './harness.ts'
import { ACCOUNT } from './signing.ts'

/** A function as another API would have made it, with a version and an alias of its whole namespace. */
let server: Harness
const Namespace = 'service'
const FunctionName = '_made-elsewhere'

beforeAll(async () => {
  server = await openHarness()
  const code = await server.packages.put(Buffer.from(await zipOf(), 'base64'))
  await server.catalogue.change((draft) => {
    ensureNamespace(draft, ACCOUNT, Namespace, 0)
    draft.put('function', functionKey(ACCOUNT, Namespace, FunctionName), {
      account: ACCOUNT,
      namespace: Namespace,
      name: FunctionName,
      version: 'LATEST',
      functionId: '11111111-2222-3333-4444-555555555555',
      stateId: 's1',
      description: 'from elsewhere',
      spec: {
        contract: 'alibaba-fc',
        runtime: 'nodejs20',
        handler: 'index.handler',
        initializer: { handler: 'index.init', timeoutMs: 3000 },
        timeoutMs: 2500,
        memoryMib: 192,
        diskMib: 10_240,
        instanceConcurrency: 5,
        environment: { A: '1' },
        code,
        layers: [code],
      },
      facts: { role: 'acs:ram::1:role/x' },
      extras: { 'alibaba-fc': { instanceType: 'e1' } },
      createdAtMs: 0,
      modifiedAtMs: 0,
    })
    draft.put('trigger', triggerKey(ACCOUNT, Namespace, FunctionName, 'dis', 'stream'), {
      account: ACCOUNT,
      namespace: Namespace,
      functionName: FunctionName,
      qualifier: 'LATEST',
      name: 'stream',
      type: 'dis',
      enabled: true,
      extras: { 'huawei-functiongraph': { x: 1 } },
      createdAtMs: 0,
      modifiedAtMs: 0,
    })
    const namespace = draft.get('namespace', `${ACCOUNT}/${Namespace}`)
    if (namespace === undefined) throw new Error('there is no namespace')
    publishNamespace(draft, namespace, { description: 'all of it', nowMs: 0 })
    draft.put('alias', aliasKey(ACCOUNT, Namespace, 'prod'), {
      account: ACCOUNT,
      namespace: Namespace,
      name: 'prod',
      version: '1',
      weights: {},
      description: '',
      extras: {},
      createdAtMs: 0,
      modifiedAtMs: 0,
    })
  })
})
afterAll(() => server.close())

const call = (action: string, params: object = {}): Promise<TestReply> =>
  server.call(action, { FunctionName, Namespace, ...params })

const record = (): FunctionRecord | undefined =>
  server.catalogue.get('function', functionKey(ACCOUNT, Namespace, FunctionName))?.value

describe('a function that another API made', () => {
  test('is shown with this API’s defaults where it has no settings of it', async () => {
    const { response } = await call('GetFunction', { ShowCode: 'TRUE' })
    expect(response).toMatchObject({
      FunctionName,
      FunctionId: 'lam-11111111',
      Type: 'Event',
      Runtime: 'nodejs20',
      MemorySize: 192,
      Timeout: 3,
      InitTimeout: 65,
      Role: 'acs:ram::1:role/x',
      CodeInfo: 'exports.main_handler = () => 1\n',
      Environment: { Variables: [{ Key: 'A', Value: '1' }] },
      Layers: [],
      Triggers: [{ Type: 'dis', TriggerName: 'stream', TriggerDesc: '', Enable: 1 }],
      AccessInfo: { Host: '', Vip: '' },
    })
  })

  test('is changed without losing what only others know of it', async () => {
    const before = record()
    const update = await call('UpdateFunctionConfiguration', { Timeout: 7, MemorySize: 192, Role: 'qcs' })
    expect(update.message).toBe(undefined)
    expect(record()).toMatchObject({
      spec: { ...before?.spec, timeoutMs: 7000 },
      facts: { role: 'qcs' },
      extras: { 'alibaba-fc': { instanceType: 'e1' } },
    })
    const code = await call('UpdateFunctionCode', { ZipFile: await zipOf('exports.handler = () => 2\n') })
    expect(code.message).toBe(undefined)
    expect(record()?.spec).toMatchObject({
      contract: 'alibaba-fc',
      handler: 'index.handler',
      diskMib: 10_240,
    })
  })

  test('has the versions and aliases of its namespace, which are not changed through it', async () => {
    expect((await call('ListVersionByFunction')).response).toMatchObject({
      FunctionVersion: ['$LATEST', '1'],
      Versions: [{ Version: '$LATEST' }, { Version: '1', Description: 'all of it' }],
    })
    expect((await call('GetFunction', { Qualifier: 'prod' })).response).toMatchObject({
      FunctionVersion: '1',
      Timeout: 3,
    })
    expect((await call('ListAliases')).response).toMatchObject({
      Aliases: [{ Name: '$DEFAULT' }, { Name: 'prod', FunctionVersion: '1' }],
    })
    const update = await call('UpdateAlias', { Name: 'prod', FunctionVersion: '$LATEST' })
    expect(update.code).toBe('FailedOperation.UpdateAlias')
    expect((await call('DeleteAlias', { Name: 'prod' })).code).toBe('FailedOperation.DeleteAlias')
    const version = await call('DeleteFunctionVersion', { Qualifier: '1' })
    expect(version.code).toBe('UnsupportedOperation.AliasBind')
  })

  test('gets versions of its own, whose numbers differ from those of its namespace', async () => {
    expect((await call('PublishVersion')).response).toMatchObject({ FunctionVersion: '2' })
    expect((await call('GetFunction', { Qualifier: '2' })).response).toMatchObject({ Timeout: 7 })
  })

  test('keeps a timeout that is longer than any of this API’s', async () => {
    await server.catalogue.change((draft) => {
      const head = record()
      if (head === undefined) throw new Error('there is no function')
      const key = functionKey(ACCOUNT, Namespace, FunctionName)
      draft.put('function', key, { ...head, spec: { ...head.spec, timeoutMs: 3_600_000 } })
    })
    const same = await call('UpdateFunctionConfiguration', { Timeout: 3600, Description: 'as it was' })
    expect(same.message).toBe(undefined)
    const longer = await call('UpdateFunctionConfiguration', { Timeout: 3601 })
    expect(longer.code).toBe('LimitExceeded.Timeout')
    expect(record()?.spec.timeoutMs).toBe(3_600_000)
  })

  test('its namespace takes functions of this API', async () => {
    const reply = await server.call('CreateFunction', await functionParams('mine', { Namespace }))
    expect(reply.message).toBe(undefined)
    const { response } = await server.call('ListFunctions', { Namespace, Orderby: 'FunctionName' })
    expect(response).toMatchObject({ TotalCount: 2 })
  })
})
