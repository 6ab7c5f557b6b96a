import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { functionKey } from '../../../src/engine/keys.ts'
import { zipOf as zipOfFiles } from '../../helpers/zip.ts'
import { functionParams, openHarness, tc3Request, zipOf, type Harness } from './harness.ts'
import { ACCOUNT } from './signing.ts'

let server: Harness

beforeAll(async () => {
  server = await openHarness()
})
afterAll(() => server.close())

async function create(name: string, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
  const reply = await server.call('CreateFunction', await functionParams(name, more))
  expect(reply.message).toBe(undefined)
}

async function get(name: string, more: object = {}): Promise<Record<string, unknown>> {
  const { response, message } = await server.call('GetFunction', { FunctionName: name, ...more })
  expect(message).toBe(undefined)
  return response
}

const record = (name: string, version?: string) =>
  server.catalogue.get('function', functionKey(ACCOUNT, 'default', name, version))?.value

describe('creating', () => {
  test('a function is active at once, with the vendor’s defaults and the objects clients take for granted', async () => {
    await create('plain')
    const response = await get('plain')
    expect(response).toMatchObject({
      FunctionName: 'plain',
      Namespace: 'default',
      FunctionVersion: '$LATEST',
      Qualifier: '$LATEST',
      Type: 'Event',
      Runtime: 'Nodejs18.15',
      Handler: 'index.main_handler',
      Description: '',
      MemorySize: 128,
      Timeout: 3,
      InitTimeout: 65,
      Status: 'Active',
      StatusReasons: [],
      AvailableStatus: 'Available',
      AddTime: '2026-11-21 18:00:00',
      CodeResult: 'success',
      CodeError: '',
      ErrNo: 0,
      Environment: { Variables: [] },
      VpcConfig: { VpcId: '', SubnetId: '' },
      Role: '',
      EipConfig: { EipFixed: 'FALSE', Eips: [] },
      AccessInfo: { Host: '', Vip: '' },
      L5Enable: 'FALSE',
      UseGpu: 'FALSE',
      PublicNetConfig: {
        PublicNetStatus: 'ENABLE',
        EipConfig: { EipStatus: 'DISABLE', EipAddress: [] },
      },
      IntranetConfig: { IpFixed: 'DISABLE', IpAddress: [] },
      CfsConfig: { CfsInsList: [] },
      ImageConfig: null,
      Layers: [],
      Triggers: [],
      Tags: [],
    })
    expect(response['FunctionId']).toMatch(/^lam-[0-9a-f]{8}$/)
    expect(record('plain')).toMatchObject({
      spec: { contract: 'tencent-scf', memoryMib: 128, timeoutMs: 3000 },
      facts: { appId: expect.stringMatching(/^125\d{7}$/), uin: expect.stringMatching(/^100\d{9}$/) },
    })
  })

  test('a name and the name of its namespace have 118 characters together at most', async () => {
    const Namespace = 'n'.repeat(60)
    await server.call('CreateNamespace', { Namespace })
    const create = async (name: string): Promise<unknown> =>
      (await server.call('CreateFunction', await functionParams(name, { Namespace }))).code
    expect(await create('f'.repeat(59))).toBe('InvalidParameterValue.FunctionName')
    expect(await create('f'.repeat(58))).toBeUndefined()
  })

  test('the default namespace is made with its first function, any other must be there', async () => {
    const reply = await server.call('CreateFunction', await functionParams('lost', { Namespace: 'nowhere' }))
    expect(reply.code).toBe('ResourceNotFound.Namespace')
  })

  test('settings are kept as they were given', async () => {
    const settings = {
      Description: 'd',
      MemorySize: '256',
      Timeout: 30,
      Role: 'my-role',
      Environment: { Variables: [{ Key: 'A', Value: '1' }] },
      VpcConfig: { VpcId: 'vpc-1', SubnetId: 'subnet-1' },
      InstallDependency: 'True',
      ClsLogsetId: 'logset',
      ClsTopicId: 'topic',
      DeadLetterConfig: { Type: 'CMQ-QUEUE', Name: 'q', FilterType: '' },
      PublicNetConfig: { PublicNetStatus: 'DISABLE', EipConfig: { EipStatus: 'ENABLE' } },
      CfsConfig: {
        CfsInsList: [
          {
            UserId: '1',
            UserGroupId: '2',
            CfsId: 'c',
            MountInsId: 'm',
            LocalMountDir: '/a',
            RemoteMountDir: '/',
          },
        ],
      },
      InitTimeout: 90,
      TraceEnable: 'TRUE',
      DnsCache: true,
      IntranetConfig: { IpFixed: 'ENABLE' },
      Tags: [{ Key: 'team', Value: 'red' }],
    }
    const extra = { DeployMode: 'code', DiskSize: 512, SomethingNew: { Unknown: true } }
    await create('full', { ...settings, ...extra })
    expect(await get('full')).toMatchObject({
      ...settings,
      MemorySize: 256,
      InstallDependency: 'TRUE',
      DnsCache: 'TRUE',
      PublicNetConfig: { PublicNetStatus: 'DISABLE', EipConfig: { EipStatus: 'ENABLE', EipAddress: [] } },
      IntranetConfig: { IpFixed: 'ENABLE', IpAddress: [] },
    })
    expect(record('full')?.facts).toMatchObject({ role: 'my-role' })
  })

  test('a function without public network has none, until that is enabled', async () => {
    const network = () => record('closed')?.spec.network
    const update = async (settings: object): Promise<void> => {
      const params = { FunctionName: 'closed', ...settings }
      expect((await server.call('UpdateFunctionConfiguration', params)).message).toBe(undefined)
    }
    await create('closed', { PublicNetConfig: { PublicNetStatus: 'DISABLE' } })
    expect(network()).toBe('none')
    await update({ Description: 'changed' })
    expect(network()).toBe('none')
    await update({ PublicNetConfig: { PublicNetStatus: 'ENABLE' } })
    expect(network()).toBe(undefined)
    await update({ PublicNetConfig: { PublicNetStatus: 'DISABLE', EipConfig: { EipStatus: 'ENABLE' } } })
    expect(network()).toBe('none')
  })

  test.each([
    ['a malformed name', { FunctionName: '1x' }, 'InvalidParameterValue.FunctionName'],
    ['no name', { FunctionName: undefined }, 'MissingParameter'],
    ['no code', { Code: undefined }, 'MissingParameter.Code'],
    ['empty code', { Code: { ZipFile: '' } }, 'InvalidParameterValue.ZipFile'],
    [
      'code that is not base64',
      { Code: { ZipFile: '%%%' } },
      'InvalidParameterValue.ZipFileBase64BinasciiError',
    ],
    ['code that is no zip', { Code: { ZipFile: 'aGVsbG8=' } }, 'InvalidParameterValue.ZipFile'],
    ['code in COS', { Code: { CosBucketName: 'b', CosObjectName: '/c' } }, 'UnsupportedOperation.Cos'],
    ['code in Git', { Code: { GitUrl: 'https://g' } }, 'InvalidParameterValue.CodeSource'],
    ['demo code', { Code: { DemoId: 'demo-x' } }, 'ResourceNotFound.Demo'],
    ['an image', { Code: { ImageConfig: { ImageType: 'personal' } } }, 'UnsupportedOperation'],
    ['a web function', { Type: 'HTTP' }, 'UnsupportedOperation'],
    ['an unknown type', { Type: 'Job' }, 'InvalidParameterValue.Type'],
    ['a runtime this host lacks', { Runtime: 'Php7' }, 'InvalidParameterValue.Runtime'],
    ['a handler without a file', { Handler: 'main_handler' }, 'InvalidParameterValue.Handler'],
    ['memory off the steps', { MemorySize: 129 }, 'InvalidParameterValue.MemorySize'],
    ['memory beyond the largest', { MemorySize: 3200 }, 'LimitExceeded.Memory'],
    ['a timeout beyond the longest', { Timeout: 901 }, 'LimitExceeded.Timeout'],
    ['no time at all', { Timeout: 0 }, 'InvalidParameterValue'],
    ['a timeout that is no number', { Timeout: 'soon' }, 'InvalidParameterValue'],
    ['too long to start', { InitTimeout: 301 }, 'LimitExceeded.InitTimeout'],
    ['a long description', { Description: 'x'.repeat(1001) }, 'InvalidParameterValue.Description'],
    [
      'a reserved variable',
      { Environment: { Variables: [{ Key: 'SCF_X', Value: '1' }] } },
      'InvalidParameterValue.EnvironmentSystemProtect',
    ],
    [
      'a variable that is no name',
      { Environment: { Variables: [{ Key: '1', Value: '1' }] } },
      'InvalidParameterValue.Environment',
    ],
    [
      'too much environment',
      {
        Environment: {
          Variables: [
            { Key: 'A', Value: 'x'.repeat(4000) },
            { Key: 'B', Value: 'x'.repeat(96) },
          ],
        },
      },
      'InvalidParameterValue.EnvironmentExceededLimit',
    ],
    [
      'a layer that is not there',
      { Layers: [{ LayerName: 'l', LayerVersion: 1 }] },
      'ResourceNotFound.Layer',
    ],
  ])('is refused for %s, and nothing is left of it', async (_, wrong, code) => {
    const before = server.catalogue.count('function', '')
    const name = 'FunctionName' in wrong ? {} : { FunctionName: 'wrong' }
    const reply = await server.call('CreateFunction', {
      ...(await functionParams('wrong', wrong)),
      ...name,
    })
    expect(reply.code).toBe(code)
    expect(server.catalogue.count('function', '')).toBe(before)
  })

  test('a timeout is refused with the greatest that is taken', async () => {
    for (const [settings, longest] of [
      [{}, 900],
      [{ AsyncRunEnable: 'TRUE' }, 86_400],
    ] as const) {
      const params = await functionParams('timeless', { ...settings, Timeout: 0 })
      const { message } = await server.call('CreateFunction', params)
      expect(message).toContain(`Timeout is invalid (allowed: a whole number, 1 - ${longest}, actual: '0')`)
    }
  })

  test('a name is taken once per namespace', async () => {
    await create('once')
    const again = await server.call('CreateFunction', await functionParams('once'))
    expect(again.code).toBe('ResourceInUse.Function')
    await server.call('CreateNamespace', { Namespace: 'other' })
    await create('once', { Namespace: 'other' })
    expect(await get('once', { Namespace: 'other' })).toMatchObject({ Namespace: 'other' })
  })

  test('an async-run function may take a day', async () => {
    await create('night', { AsyncRunEnable: 'TRUE', Timeout: 86_400 })
    expect(await get('night')).toMatchObject({ AsyncRunEnable: 'TRUE', Timeout: 86_400 })
  })
})

describe('reading', () => {
  test('a missing function, version and alias each have their code', async () => {
    await create('known')
    const missing = await server.call('GetFunction', { FunctionName: 'unknown' })
    expect(missing.code).toBe('ResourceNotFound.FunctionName')
    const version = await server.call('GetFunction', { FunctionName: 'known', Qualifier: '7' })
    expect(version.code).toBe('ResourceNotFound.Version')
    const alias = await server.call('GetFunction', { FunctionName: 'known', Qualifier: 'live' })
    expect(alias.code).toBe('ResourceNotFound.Alias')
    expect(alias.message).toContain('未找到指定的')
    expect(await get('known', { Qualifier: '$DEFAULT' })).toMatchObject({ Qualifier: '$LATEST' })
  })

  test('the source of the entry file is shown on request, also from a folder', async () => {
    await create('shown')
    expect(await get('shown')).toMatchObject({ CodeInfo: '' })
    expect(await get('shown', { ShowCode: 'TRUE' })).toMatchObject({
      CodeInfo: 'exports.main_handler = () => 1\n',
      CodeResult: 'success',
    })
    const zip = await zipOfFiles({ 'src/app.py': 'def main_handler(event, context):\n    return 1\n' })
    const Code = { ZipFile: zip.toString('base64') }
    await create('nested', { Runtime: 'Python3.10', Handler: 'src/app.main_handler', Code })
    expect(await get('nested', { ShowCode: 'true' })).toMatchObject({
      CodeInfo: 'def main_handler(event, context):\n    return 1\n',
    })
  })

  test('an entry file that is missing, too large or outside of the package is not shown', async () => {
    await create('missing', { Handler: 'nothing.main_handler' })
    expect(await get('missing', { ShowCode: 'TRUE' })).toMatchObject({ CodeInfo: '', CodeResult: 'failed' })
    await create('outside', { Handler: 'x/../../meta.main_handler' })
    expect(await get('outside', { ShowCode: 'TRUE' })).toMatchObject({ CodeInfo: '', CodeResult: 'failed' })
    const Code = { ZipFile: await zipOf(`// ${'x'.repeat(1024 * 1024)}\n`) }
    await create('large', { Code })
    expect(await get('large', { ShowCode: 'TRUE' })).toMatchObject({
      CodeInfo: '',
      CodeError: expect.stringContaining('1 MB'),
    })
  })

  test('a download link leads to the package', async () => {
    await create('linked')
    const { response } = await server.call('GetFunctionAddress', { FunctionName: 'linked' })
    expect(response['CodeSha256']).toBe(record('linked')?.spec.code.digest)
    expect(response['Url']).toMatch(/^http:\/\/127\.0\.0\.1:7400\/anvoke\/code\/[0-9a-f]{64}\?/)
  })

  test('a client whose Host header can be none is led to the port of this server', async () => {
    await create('unhosted')
    const params = { FunctionName: 'unhosted' }
    const host = 'scf.tencentcloudapi.com'
    const signed = tc3Request('GetFunctionAddress', params, server.clockMs, { host })
    const { response } = await server.send({ ...signed, headers: { ...signed.headers, host: 'no host' } })
    expect(new URL(String(response['Url'])).origin).toBe('http://localhost:7400')
  })
})

describe('updating', () => {
  test('code and handler change together, by flat members or by Code', async () => {
    await create('code')
    const before = record('code')
    const flat = await zipOf('exports.other = () => 2\n')
    const first = await server.call('UpdateFunctionCode', {
      FunctionName: 'code',
      Handler: 'index.other',
      ZipFile: flat,
    })
    expect(first.message).toBe(undefined)
    expect(await get('code', { ShowCode: 'TRUE' })).toMatchObject({
      Handler: 'index.other',
      CodeInfo: 'exports.other = () => 2\n',
    })
    expect(record('code')?.stateId).not.toBe(before?.stateId)
    const Code = { ZipFile: await zipOf('exports.third = () => 3\n') }
    await server.call('UpdateFunctionCode', { FunctionName: 'code', Code, Publish: 'TRUE' })
    expect(await get('code', { ShowCode: 'TRUE', Qualifier: '1' })).toMatchObject({
      CodeInfo: 'exports.third = () => 3\n',
      FunctionVersion: '1',
    })
  })

  test('configuration changes what it names, and a state that runs differently is a new one', async () => {
    await create('config', { Description: 'before', Timeout: 10, ClsTopicId: 'topic' })
    const { stateId } = record('config') ?? {}
    await server.call('UpdateFunctionConfiguration', { FunctionName: 'config', Description: 'after' })
    expect(await get('config')).toMatchObject({ Description: 'after', Timeout: 10, ClsTopicId: 'topic' })
    expect(record('config')?.stateId).toBe(stateId)
    await server.call('UpdateFunctionConfiguration', {
      FunctionName: 'config',
      Runtime: 'Python3.10',
      MemorySize: 512,
      TraceEnable: 'TRUE',
      Environment: { Variables: [{ Key: 'A', Value: '' }] },
    })
    expect(await get('config')).toMatchObject({
      Runtime: 'Nodejs18.15',
      MemorySize: 512,
      TraceEnable: 'TRUE',
      Environment: { Variables: [{ Key: 'A', Value: '' }] },
    })
    expect(record('config')?.stateId).not.toBe(stateId)
  })

  test('magic values clear the environment, the layers and the instance concurrency; empty text clears the role', async () => {
    await server.call('PublishLayerVersion', {
      LayerName: 'magic',
      CompatibleRuntimes: ['Nodejs18.15'],
      Content: { ZipFile: await zipOf() },
    })
    await create('magic', {
      Role: 'role',
      Environment: { Variables: [{ Key: 'A', Value: '1' }] },
      Layers: [{ LayerName: 'magic', LayerVersion: 1 }],
      InstanceConcurrencyConfig: { DynamicEnabled: 'FALSE', MaxConcurrency: 10 },
    })
    expect(await get('magic')).toMatchObject({
      Layers: [{ LayerName: 'magic', LayerVersion: 1 }],
      InstanceConcurrencyConfig: { DynamicEnabled: 'FALSE', MaxConcurrency: 10 },
    })
    expect(record('magic')?.spec.layers).toHaveLength(1)
    await server.call('UpdateFunctionConfiguration', {
      FunctionName: 'magic',
      Role: '',
      Environment: { Variables: [{ Key: '', Value: '' }] },
      Layers: [{ LayerName: '', LayerVersion: 0 }],
      InstanceConcurrencyConfig: { DynamicEnabled: '' },
    })
    expect(await get('magic')).toMatchObject({
      Role: '',
      Environment: { Variables: [] },
      Layers: [],
      InstanceConcurrencyConfig: null,
    })
    expect(record('magic')?.spec.layers).toBe(undefined)
    expect(record('magic')?.facts['role']).toBe(undefined)
  })

  test.each([
    ['UpdateFunctionCode', { FunctionName: 'absent', ZipFile: 'UEs=' }, 'ResourceNotFound.FunctionName'],
    ['UpdateFunctionCode', { FunctionName: 'steady' }, 'MissingParameter.Code'],
    ['UpdateFunctionCode', { FunctionName: 'steady', CosBucketName: 'b' }, 'UnsupportedOperation.Cos'],
    [
      'UpdateFunctionCode',
      { FunctionName: 'steady', Handler: 'bad', ZipFile: 'UEs=' },
      'InvalidParameterValue.Handler',
    ],
    ['UpdateFunctionConfiguration', { FunctionName: 'steady', Timeout: 901 }, 'LimitExceeded.Timeout'],
    [
      'UpdateFunctionConfiguration',
      { FunctionName: 'steady', Description: 'new', MemorySize: 100 },
      'InvalidParameterValue.MemorySize',
    ],
    ['UpdateFunctionConfiguration', { FunctionName: 'steady', Publish: 'maybe' }, 'InvalidParameterValue'],
  ])('%s of %j is refused and changes nothing', async (action, params, code) => {
    if (record('steady') === undefined) await create('steady')
    const before = record('steady')
    expect((await server.call(action, params)).code).toBe(code)
    expect(record('steady')).toBe(before)
  })
})

describe('deleting', () => {
  test('the function goes with its versions, triggers and settings', async () => {
    await create('gone', { Tags: [{ Key: 'a', Value: 'b' }] })
    await server.call('PublishVersion', { FunctionName: 'gone' })
    await server.call('CreateTrigger', {
      FunctionName: 'gone',
      TriggerName: 't',
      Type: 'timer',
      TriggerDesc: '0 0 * * * * *',
    })
    await server.call('PutReservedConcurrencyConfig', { FunctionName: 'gone', ReservedConcurrencyMem: 256 })
    await server.call('DeleteFunction', { FunctionName: 'gone' })
    const reply = await server.call('GetFunction', { FunctionName: 'gone', Qualifier: '1' })
    expect(reply.code).toBe('ResourceNotFound.FunctionName')
    for (const kind of ['version', 'trigger', 'scaling', 'document', 'tags'] as const)
      expect(server.catalogue.list(kind, `${ACCOUNT}/default/gone`)).toEqual([])
    expect((await server.call('DeleteFunction', { FunctionName: 'gone' })).code).toBe(
      'ResourceNotFound.FunctionName',
    )
  })

  test('a qualifier names one version', async () => {
    await create('part')
    await server.call('PublishVersion', { FunctionName: 'part' })
    const latest = await server.call('DeleteFunction', { FunctionName: 'part', Qualifier: '$LATEST' })
    expect(latest.code).toBe('InvalidParameterValue.Qualifier')
    await server.call('DeleteFunction', { FunctionName: 'part', Qualifier: '1' })
    expect((await server.call('GetFunction', { FunctionName: 'part', Qualifier: '1' })).code).toBe(
      'ResourceNotFound.Version',
    )
    expect(await get('part')).toMatchObject({ FunctionName: 'part' })
  })
})

describe('listing', () => {
  let own: Harness
  beforeAll(async () => {
    own = await openHarness()
    for (const [index, name] of ['alpha', 'beta', 'gamma'].entries()) {
      own.clockMs += 1000
      const more = { Description: `number ${index}`, Tags: [{ Key: 'n', Value: String(index) }] }
      await own.call('CreateFunction', await functionParams(name, more))
    }
    own.clockMs += 1000
    await own.call('UpdateFunctionConfiguration', { FunctionName: 'beta', TraceEnable: 'TRUE', Role: 'r' })
  })
  afterAll(() => own.close())

  async function names(params: object): Promise<unknown> {
    const { response, message } = await own.call('ListFunctions', params)
    expect(message).toBe(undefined)
    const functions = response['Functions']
    return Array.isArray(functions)
      ? functions.map((one: { FunctionName: string }) => one.FunctionName)
      : undefined
  }

  test('a page has what the model lists of a function, the newest first', async () => {
    const { response } = await own.call('ListFunctions', { Limit: 2 })
    expect(response).toMatchObject({
      TotalCount: 3,
      Functions: [
        {
          FunctionName: 'gamma',
          Namespace: 'default',
          Runtime: 'Nodejs18.15',
          Status: 'Active',
          Tags: [{ Key: 'n', Value: '2' }],
          TotalProvisionedConcurrencyMem: 0,
          ReservedConcurrencyMem: null,
        },
        { FunctionName: 'beta' },
      ],
    })
    expect(await names({ Limit: 2, Offset: '2' })).toEqual(['alpha'])
    expect(await names({ Limit: 100_000 })).toHaveLength(3)
  })

  test.each([
    [{ Orderby: 'FunctionName', Order: 'ASC' }, ['alpha', 'beta', 'gamma']],
    [{ Orderby: 'ModTime', Order: 'DESC' }, ['beta', 'gamma', 'alpha']],
    [{ SearchKey: 'MM' }, ['gamma']],
    [{ Description: 'number 1' }, ['beta']],
    [{ Filters: [{ Name: 'TraceEnable', Values: ['TRUE'] }] }, ['beta']],
    [{ Filters: [{ Name: 'Role', Values: ['r'] }] }, ['beta']],
    [{ Filters: [{ Name: 'tag-n', Values: ['0', '2'] }] }, ['gamma', 'alpha']],
    [{ Filters: [{ Name: 'Runtime', Values: ['CustomImage'] }] }, []],
    [
      {
        Filters: [
          { Name: 'Status', Values: ['Active'] },
          { Name: 'tag-n', Values: ['1'] },
        ],
      },
      ['beta'],
    ],
    [{ Type: 'whatever' }, ['gamma', 'beta', 'alpha']],
  ])('%j lists %j', async (params, expected) => {
    expect(await names(params)).toEqual(expected)
  })

  test.each([
    [{ Orderby: 'Size' }, 'InvalidParameterValue.Orderby'],
    [{ Order: 'up' }, 'InvalidParameterValue.Order'],
    [{ Offset: -1 }, 'InvalidParameterValue.Offset'],
    [{ Limit: 'x' }, 'InvalidParameterValue.Limit'],
    [{ Filters: [{ Name: 'Colour', Values: ['red'] }] }, 'InvalidParameterValue.Filters'],
    [{ Filters: 'x' }, 'InvalidParameterValue.Filters'],
    [{ Namespace: 'nowhere' }, 'ResourceNotFound.Namespace'],
  ])('%j is refused with %s', async (params, code) => {
    expect((await own.call('ListFunctions', params)).code).toBe(code)
  })
})
