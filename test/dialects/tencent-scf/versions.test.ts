import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { aliasKey } from '../../../src/engine/keys.ts'
import { matchedVersion } from '../../../src/dialects/tencent-scf/routing.ts'
import { functionParams, openHarness, type Harness, type TestReply } from './harness.ts'
import { ACCOUNT } from './signing.ts'

let server: Harness
const FunctionName = 'hello'

beforeAll(async () => {
  server = await openHarness()
  await server.call('CreateFunction', await functionParams(FunctionName))
})
afterAll(() => server.close())

const call = (action: string, params: object = {}): Promise<TestReply> =>
  server.call(action, { FunctionName, ...params })

/** The answer's members, of a call that must succeed. */
async function done(action: string, params: object = {}): Promise<TestReply['response']> {
  const { response, message } = await call(action, params)
  expect(message).toBe(undefined)
  const { RequestId: _, ...members } = response
  return members
}

describe('versions', () => {
  test('count from 1 and freeze the function as it was', async () => {
    server.clockMs += 1000
    expect(await done('PublishVersion', { Description: 'first' })).toMatchObject({
      FunctionVersion: '1',
      Description: 'first',
      MemorySize: 128,
      Timeout: 3,
      Handler: 'index.main_handler',
      Runtime: 'Nodejs18.15',
      Namespace: 'default',
      CodeSize: expect.any(Number),
    })
    await done('UpdateFunctionConfiguration', { Timeout: 9 })
    server.clockMs += 1000
    expect(await done('PublishVersion')).toMatchObject({ FunctionVersion: '2', Timeout: 9 })
    expect(await done('GetFunction', { Qualifier: '1' })).toMatchObject({
      Timeout: 3,
      FunctionVersion: '1',
      Qualifier: '1',
      Description: 'first',
    })
  })

  test('are listed with $LATEST, the newest first unless ordered otherwise', async () => {
    expect(await done('ListVersionByFunction')).toMatchObject({
      FunctionVersion: ['$LATEST', '2', '1'],
      Versions: [
        { Version: '$LATEST', Status: 'Active' },
        { Version: '2', Description: '', AddTime: '2026-11-21 18:00:02' },
        { Version: '1', Description: 'first', AddTime: '2026-11-21 18:00:01' },
      ],
      TotalCount: 3,
    })
    const page = await done('ListVersionByFunction', {
      Order: 'ASC',
      OrderBy: 'AddTime',
      Offset: 1,
      Limit: 1,
    })
    expect(page).toMatchObject({ FunctionVersion: ['1'], TotalCount: 3 })
  })

  test('a number is not used again, and $LATEST is no version to delete', async () => {
    await done('PublishVersion')
    await done('DeleteFunctionVersion', { Qualifier: '3', ForceDelete: 'true' })
    expect(await done('PublishVersion')).toMatchObject({ FunctionVersion: '4' })
    expect((await call('DeleteFunctionVersion', { Qualifier: '3' })).code).toBe('ResourceNotFound.Version')
    expect((await call('DeleteFunctionVersion', { Qualifier: '$LATEST' })).code).toBe(
      'InvalidParameterValue.Qualifier',
    )
    expect((await call('DeleteFunctionVersion')).code).toBe('MissingParameter')
  })
})

describe('aliases', () => {
  test('$DEFAULT is there from the start, can be rerouted, and cannot be made or deleted', async () => {
    expect(await done('GetAlias', { Name: '$DEFAULT' })).toMatchObject({
      Name: '$DEFAULT',
      FunctionVersion: '$LATEST',
    })
    expect((await call('CreateAlias', { Name: '$DEFAULT', FunctionVersion: '1' })).code).toBe(
      'ResourceInUse.Alias',
    )
    expect((await call('DeleteAlias', { Name: '$DEFAULT' })).code).toBe('FailedOperation.DeleteAlias')
    await done('UpdateAlias', { Name: '$DEFAULT', FunctionVersion: '1' })
    expect(await done('GetAlias', { Name: '$DEFAULT' })).toMatchObject({ FunctionVersion: '1' })
    expect(await done('GetFunction', { Qualifier: '$DEFAULT' })).toMatchObject({ FunctionVersion: '1' })
    await done('UpdateAlias', { Name: '$DEFAULT', FunctionVersion: '$LATEST' })
    expect((await call('DeleteAlias', { Name: '$DEFAULT' })).code).toBe('FailedOperation.DeleteAlias')
  })

  test('a share of calls goes to another version', async () => {
    const RoutingConfig = { AdditionalVersionWeights: [{ Version: '2', Weight: '0.25' }] }
    await done('CreateAlias', { Name: 'live', FunctionVersion: '1', Description: 'd', RoutingConfig })
    expect(await done('GetAlias', { Name: 'live' })).toEqual({
      Name: 'live',
      FunctionVersion: '1',
      Description: 'd',
      RoutingConfig: {
        AdditionalVersionWeights: [{ Version: '2', Weight: 0.25 }],
        AddtionVersionMatchs: [],
      },
      AddTime: expect.any(String),
      ModTime: expect.any(String),
    })
    const stored = server.catalogue.get('alias', aliasKey(ACCOUNT, 'default', 'live', FunctionName))
    expect(stored?.value).toMatchObject({ version: '1', weights: { 2: 0.25 } })
    expect((await call('DeleteFunctionVersion', { Qualifier: '2' })).code).toBe(
      'UnsupportedOperation.AliasBind',
    )
    await done('UpdateAlias', { Name: 'live', FunctionVersion: '2' })
    expect(await done('GetAlias', { Name: 'live' })).toMatchObject({
      FunctionVersion: '2',
      Description: 'd',
      RoutingConfig: { AdditionalVersionWeights: [] },
    })
  })

  test('rules choose by the routing key', async () => {
    const rule = { Version: '2', Key: 'invoke.headers.User', Method: 'exact', Expression: 'ann' }
    const range = { Version: '2', Key: 'invoke.headers.Age', Method: 'range', Expression: '[1,5)' }
    await done('CreateAlias', {
      Name: 'ruled',
      FunctionVersion: '1',
      RoutingConfig: { AddtionVersionMatchs: [rule, range] },
    })
    expect(await done('GetAlias', { Name: 'ruled' })).toMatchObject({
      RoutingConfig: { AdditionalVersionWeights: [], AddtionVersionMatchs: [rule, range] },
    })
    const alias = server.catalogue.get('alias', aliasKey(ACCOUNT, 'default', 'ruled', FunctionName))?.value
    if (alias === undefined) throw new Error('there is no alias')
    expect(matchedVersion(alias, { User: 'ann' })).toBe('2')
    expect(matchedVersion(alias, { User: 'Ann' })).toBe('1')
    expect(matchedVersion(alias, { Age: '1' })).toBe('2')
    expect(matchedVersion(alias, { Age: 4 })).toBe('2')
    expect(matchedVersion(alias, { Age: '5' })).toBe('1')
    expect(matchedVersion(alias, { Age: '1.5' })).toBe('1')
    expect(matchedVersion(alias, {})).toBe('1')
  })

  test('are listed with $DEFAULT first, and by version', async () => {
    const all = await done('ListAliases', { Limit: '20', Offset: '0' })
    expect(all).toMatchObject({
      TotalCount: 3,
      Aliases: [{ Name: '$DEFAULT' }, { Name: 'live' }, { Name: 'ruled' }],
    })
    expect(await done('ListAliases', { FunctionVersion: '2' })).toMatchObject({
      TotalCount: 1,
      Aliases: [{ Name: 'live' }],
    })
  })

  test.each([
    ['CreateAlias', { Name: 'live', FunctionVersion: '1' }, 'ResourceInUse.Alias'],
    ['CreateAlias', { Name: '1x', FunctionVersion: '1' }, 'InvalidParameterValue.Name'],
    ['CreateAlias', { Name: 'x', FunctionVersion: '77' }, 'ResourceNotFound.Version'],
    ['CreateAlias', { Name: 'x' }, 'MissingParameter'],
    ['CreateAlias', { FunctionVersion: '1' }, 'MissingParameter'],
    ['UpdateAlias', { Name: 'absent', FunctionVersion: '1' }, 'ResourceNotFound.Alias'],
    ['GetAlias', { Name: 'absent' }, 'ResourceNotFound.Alias'],
    ['GetAlias', { Name: 'a/b' }, 'ResourceNotFound.Alias'],
    ['DeleteAlias', { Name: 'absent' }, 'ResourceNotFound.Alias'],
    ['DeleteAlias', { Name: 'x', FunctionName: 'absent' }, 'ResourceNotFound.FunctionName'],
  ])('%s of %j is refused with %s', async (action, params, code) => {
    expect((await call(action, params)).code).toBe(code)
  })

  test.each([
    [{ AdditionalVersionWeights: [{ Version: '1', Weight: 0.5 }] }, 'InvalidParameterValue.RoutingConfig'],
    [
      { AdditionalVersionWeights: [{ Version: '2', Weight: 1.5 }] },
      'InvalidParameterValue.AdditionalVersionWeights',
    ],
    [
      {
        AdditionalVersionWeights: [
          { Version: '2', Weight: 0.5 },
          { Version: '4', Weight: 0.5 },
        ],
      },
      'InvalidParameterValue.AdditionalVersionWeights',
    ],
    [
      {
        AdditionalVersionWeights: [{ Version: '2', Weight: 0.5 }],
        AddtionVersionMatchs: [{ Version: '2', Key: 'invoke.headers.a', Method: 'exact', Expression: 'b' }],
      },
      'InvalidParameterValue.RoutingConfig',
    ],
    [
      { AddtionVersionMatchs: [{ Version: '2', Key: 'a', Method: 'exact', Expression: 'b' }] },
      'InvalidParameterValue.RoutingConfig',
    ],
    [
      {
        AddtionVersionMatchs: [{ Version: '2', Key: 'invoke.headers.a', Method: 'range', Expression: '1-2' }],
      },
      'InvalidParameterValue.RoutingConfig',
    ],
    [{ AdditionalVersionWeights: [{ Version: '99', Weight: 0.5 }] }, 'ResourceNotFound.Version'],
  ])('routing %j is refused and changes nothing', async (RoutingConfig, code) => {
    const before = await done('GetAlias', { Name: 'ruled' })
    expect((await call('UpdateAlias', { Name: 'ruled', FunctionVersion: '1', RoutingConfig })).code).toBe(
      code,
    )
    expect(await done('GetAlias', { Name: 'ruled' })).toEqual(before)
  })

  test('that are missing are told of in the words the vendor’s tools look for', async () => {
    for (const Name of ['absent', 'a/b'])
      expect((await call('GetAlias', { Name })).message).toContain('未找到指定的')
  })

  test('go with DeleteAlias', async () => {
    await done('DeleteAlias', { Name: 'live' })
    expect((await call('GetAlias', { Name: 'live' })).code).toBe('ResourceNotFound.Alias')
  })
})
