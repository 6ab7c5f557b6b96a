import { afterAll, beforeAll, expect, test } from 'vitest'
import { functionParams, openHarness, type Harness } from './harness.ts'

let server: Harness

beforeAll(async () => {
  server = await openHarness()
})
afterAll(() => server.close())

test('an account without anything has the default namespace and its limits', async () => {
  const { response } = await server.call('GetAccount', {})
  expect(response).toMatchObject({
    AccountUsage: {
      NamespacesCount: 1,
      Namespace: [
        { Namespace: 'default', Functions: [], FunctionsCount: 0, TotalAllocatedConcurrencyMem: 0 },
      ],
      TotalConcurrencyMem: 128_000,
      TotalAllocatedConcurrencyMem: 0,
      UserConcurrencyMemLimit: 128_000,
    },
    AccountLimit: {
      Namespace: [
        {
          Namespace: 'default',
          TimeoutLimit: 900,
          InitTimeoutLimit: 300,
          RetryNumLimit: 2,
          MinMsgTTL: 60,
          MaxMsgTTL: 21_600,
          Trigger: { Timer: 10, Total: 110 },
        },
      ],
    },
  })
})

test('what functions reserve and keep ready is counted where they are', async () => {
  await server.call('CreateNamespace', { Namespace: 'other' })
  for (const [name, Namespace] of [
    ['one', 'default'],
    ['two', 'other'],
    ['three', 'other'],
  ] as const)
    await server.call('CreateFunction', await functionParams(name, { Namespace }))
  const two = { FunctionName: 'two', Namespace: 'other' }
  await server.call('PublishVersion', two)
  await server.call('PutReservedConcurrencyConfig', { ...two, ReservedConcurrencyMem: 1280 })
  await server.call('PutProvisionedConcurrencyConfig', {
    ...two,
    Qualifier: '1',
    VersionProvisionedConcurrencyNum: 3,
  })
  const { response } = await server.call('GetAccount')
  expect(response).toMatchObject({
    AccountUsage: {
      NamespacesCount: 2,
      Namespace: [
        { Namespace: 'default', Functions: ['one'], TotalAllocatedConcurrencyMem: 0 },
        {
          Namespace: 'other',
          Functions: ['three', 'two'],
          FunctionsCount: 2,
          TotalAllocatedConcurrencyMem: 1280,
          TotalAllocatedProvisionedMem: 384,
        },
      ],
      TotalAllocatedConcurrencyMem: 1280,
    },
  })
})

test('a function is missing, and not its namespace, before anything is made in default', async () => {
  const fresh = await openHarness()
  try {
    for (const action of ['Invoke', 'InvokeFunction', 'GetFunction', 'DeleteFunction']) {
      const { code } = await fresh.call(action, { FunctionName: 'absent' })
      expect([action, code]).toEqual([action, 'ResourceNotFound.FunctionName'])
    }
  } finally {
    await fresh.close()
  }
})
