import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { qualifiedKey } from '../../../src/engine/keys.ts'
import { functionParams, openHarness, type Harness, type TestReply } from './harness.ts'
import { ACCOUNT } from './signing.ts'

let server: Harness
const FunctionName = 'hello'

beforeAll(async () => {
  server = await openHarness()
  await server.call('CreateFunction', await functionParams(FunctionName))
  await server.call('PublishVersion', { FunctionName })
})
afterAll(() => server.close())

const call = (action: string, params: object = {}): Promise<TestReply> =>
  server.call(action, { FunctionName, ...params })

const capOf = (qualifier: string): number | undefined =>
  server.catalogue.get('scaling', qualifiedKey(ACCOUNT, 'default', FunctionName, qualifier))?.value
    .maxInstances

describe('reserved concurrency', () => {
  test('is memory, and caps each state at the instances that fit into it', async () => {
    expect((await call('GetReservedConcurrencyConfig')).response['ReservedMem']).toBe(null)
    const put = await call('PutReservedConcurrencyConfig', { ReservedConcurrencyMem: 1000 })
    expect(put.message).toBe(undefined)
    expect((await call('GetReservedConcurrencyConfig')).response['ReservedMem']).toBe(1000)
    expect([capOf('LATEST'), capOf('1')]).toEqual([7, 7])
  })

  test('follows the function: its memory, and its new versions', async () => {
    await call('UpdateFunctionConfiguration', { MemorySize: 512 })
    expect([capOf('LATEST'), capOf('1')]).toEqual([1, 7])
    await call('PublishVersion')
    expect([capOf('LATEST'), capOf('1'), capOf('2')]).toEqual([1, 7, 1])
    const { response } = await server.call('ListFunctions')
    expect(response['Functions']).toMatchObject([{ ReservedConcurrencyMem: 1000 }])
  })

  test('0 blocks the function; taking it back lifts the cap', async () => {
    await call('PutReservedConcurrencyConfig', { ReservedConcurrencyMem: 0 })
    expect(capOf('LATEST')).toBe(0)
    expect((await call('GetReservedConcurrencyConfig')).response['ReservedMem']).toBe(0)
    await call('DeleteReservedConcurrencyConfig')
    expect([capOf('LATEST'), capOf('1'), capOf('2')]).toEqual([undefined, undefined, undefined])
    expect((await call('DeleteReservedConcurrencyConfig')).message).toBe(undefined)
  })

  test.each([
    [{}, 'MissingParameter'],
    [{ ReservedConcurrencyMem: -1 }, 'InvalidParameterValue'],
    [{ ReservedConcurrencyMem: 128_000 }, 'LimitExceeded.FunctionReservedConcurrencyMemory'],
    [{ ReservedConcurrencyMem: 128, FunctionName: 'absent' }, 'ResourceNotFound.FunctionName'],
  ])('%j is refused with %s', async (params, code) => {
    expect((await call('PutReservedConcurrencyConfig', params)).code).toBe(code)
    expect(capOf('LATEST')).toBe(undefined)
  })

  test('a cap that another API set is shown as the memory it comes to', async () => {
    await server.catalogue.change((draft) =>
      draft.put('scaling', qualifiedKey(ACCOUNT, 'default', FunctionName, 'LATEST'), {
        account: ACCOUNT,
        namespace: 'default',
        functionName: FunctionName,
        qualifier: 'LATEST',
        maxInstances: 3,
        createdAtMs: 0,
        modifiedAtMs: 0,
      }),
    )
    expect((await call('GetReservedConcurrencyConfig')).response['ReservedMem']).toBe(3 * 512)
    await call('DeleteReservedConcurrencyConfig')
    expect(capOf('LATEST')).toBe(undefined)
  })
})

describe('provisioned concurrency', () => {
  const TriggerActions = [
    {
      TriggerName: 'morning',
      TriggerProvisionedConcurrencyNum: 4,
      TriggerCronConfig: '0 0 8 * * * *',
      ProvisionedType: 'Default',
    },
  ]

  test.each([
    [{ ready: 1 }, 'InProgress', ''],
    [{ ready: 2 }, 'Done', ''],
    [{ ready: 1, failure: 'instances cannot be started' }, 'Failed', 'instances cannot be started'],
  ])('is reported by what is ready: %j', async (kept, Status, StatusReason) => {
    await call('PutProvisionedConcurrencyConfig', { Qualifier: '1', VersionProvisionedConcurrencyNum: 2 })
    server.kept = kept
    const { response } = await call('GetProvisionedConcurrencyConfig')
    server.kept = { ready: 0 }
    expect(response['Allocated']).toMatchObject([
      {
        AllocatedProvisionedConcurrencyNum: 2,
        AvailableProvisionedConcurrencyNum: kept.ready,
        Status,
        StatusReason,
      },
    ])
  })

  test('of all versions together fits into the reserve of the function', async () => {
    await server.call('CreateFunction', await functionParams('pair'))
    const pair = (action: string, params: object = {}): Promise<TestReply> =>
      server.call(action, { FunctionName: 'pair', ...params })
    const put = async (Qualifier: string, VersionProvisionedConcurrencyNum: number): Promise<unknown> =>
      (await pair('PutProvisionedConcurrencyConfig', { Qualifier, VersionProvisionedConcurrencyNum })).code
    await pair('PublishVersion')
    await pair('UpdateFunctionConfiguration', { MemorySize: 256, Publish: 'TRUE' })
    await pair('PutReservedConcurrencyConfig', { ReservedConcurrencyMem: 512 })
    expect(await put('1', 2)).toBeUndefined()
    expect(await put('2', 2)).toBe('LimitExceeded.FunctionTotalProvisionedConcurrencyMemory')
    expect(await put('2', 1)).toBeUndefined()
    expect(await put('1', 2)).toBeUndefined()
    await pair('DeleteFunction')
  })

  test('is stored for a version and reported', async () => {
    const put = await call('PutProvisionedConcurrencyConfig', {
      Qualifier: '1',
      VersionProvisionedConcurrencyNum: 2,
      TriggerActions,
    })
    expect(put.message).toBe(undefined)
    const { response } = await call('GetProvisionedConcurrencyConfig')
    expect(response['Allocated']).toEqual([
      {
        AllocatedProvisionedConcurrencyNum: 2,
        AvailableProvisionedConcurrencyNum: 0,
        Status: 'InProgress',
        StatusReason: '',
        Qualifier: '1',
        TriggerActions,
      },
    ])
    expect(response['UnallocatedConcurrencyNum']).toBe(Math.floor((128_000 - 12_800 - 256) / 512))
    const other = await call('GetProvisionedConcurrencyConfig', { Qualifier: '2' })
    expect(other.response['Allocated']).toEqual([])
    const { response: list } = await server.call('ListFunctions')
    expect(list['Functions']).toMatchObject([{ TotalProvisionedConcurrencyMem: 256 }])
    await call('DeleteProvisionedConcurrencyConfig', { Qualifier: '1' })
    expect((await call('GetProvisionedConcurrencyConfig')).response['Allocated']).toEqual([])
  })

  test.each([
    [{ Qualifier: '$LATEST', VersionProvisionedConcurrencyNum: 1 }, 'InvalidParameterValue.Qualifier'],
    [{ Qualifier: '9', VersionProvisionedConcurrencyNum: 1 }, 'ResourceNotFound.Version'],
    [{ Qualifier: '1' }, 'MissingParameter'],
    [
      { Qualifier: '1', VersionProvisionedConcurrencyNum: 100_000 },
      'LimitExceeded.FunctionProvisionedConcurrencyMemory',
    ],
    [
      {
        Qualifier: '1',
        VersionProvisionedConcurrencyNum: 1,
        TriggerActions: [{ ...TriggerActions[0], TriggerCronConfig: 'often' }],
      },
      'InvalidParameterValue',
    ],
    [
      { Qualifier: '1', VersionProvisionedConcurrencyNum: 1, MinCapacity: 5, MaxCapacity: 2 },
      'InvalidParameterValue',
    ],
  ])('%j is refused with %s', async (params, code) => {
    expect((await call('PutProvisionedConcurrencyConfig', params)).code).toBe(code)
    expect(server.catalogue.count('provision', '')).toBe(0)
  })
})
