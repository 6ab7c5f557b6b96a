import { beforeEach, describe, expect, test } from 'vitest'
import {
  deleteFunctionOnDemandConfig,
  getFunctionOnDemandConfig,
  listOnDemandConfigs,
  putFunctionOnDemandConfig,
} from '../../../src/dialects/alibaba-fc/on-demand.ts'
import { qualifiedKey } from '../../../src/engine/keys.ts'
import { ACCOUNT, column, ControlPlane } from './control-plane.ts'

let plane: ControlPlane
const params = { service: 'demo', function: 'one' }

beforeEach(async () => {
  plane = await ControlPlane.open()
})

const put = async (
  qualifier: string | undefined,
  maximumInstanceCount: number,
  name = 'one',
): Promise<unknown> =>
  (
    await plane.call(putFunctionOnDemandConfig, {
      params: { service: 'demo', function: name },
      body: { maximumInstanceCount },
      ...(qualifier !== undefined && { qualifier }),
    })
  ).body

describe('putFunctionOnDemandConfig', () => {
  test('answers the resource through its qualifier, existing or not', async () => {
    expect(await put('test-qualifier-0', 0)).toEqual({
      resource: 'services/demo.test-qualifier-0/functions/one',
      maximumInstanceCount: 0,
    })
    const got = await plane.call(getFunctionOnDemandConfig, { params, qualifier: 'test-qualifier-0' })
    expect(got.status).toBe(200)
    expect(got.body).toEqual({
      resource: 'services/demo.test-qualifier-0/functions/one',
      maximumInstanceCount: 0,
    })
    expect(got.headers?.['ETag']).toMatch(/^[0-9a-f]{32}$/)
  })

  test('caps LATEST where no qualifier is named', async () => {
    expect(await put(undefined, 7)).toEqual({
      resource: 'services/demo/functions/one',
      maximumInstanceCount: 7,
    })
    expect(
      plane.catalogue.get('scaling', qualifiedKey(ACCOUNT, 'demo', 'one', 'LATEST'))?.value.maxInstances,
    ).toBe(7)
    expect((await plane.call(getFunctionOnDemandConfig, { params, qualifier: 'LATEST' })).body).toMatchObject(
      {
        maximumInstanceCount: 7,
      },
    )
  })

  test('replaces the cap, keeping to the state that If-Match names', async () => {
    await put('prod', 1)
    const draft = { params, qualifier: 'prod', body: { maximumInstanceCount: 2 } }
    expect(
      await plane.refusal(putFunctionOnDemandConfig, {
        ...draft,
        headers: { 'if-match': 'x' },
      }),
    ).toMatchObject({ code: 'PreconditionFailed' })
    expect((await plane.call(putFunctionOnDemandConfig, draft)).body).toMatchObject({
      maximumInstanceCount: 2,
    })
  })

  test.each<[unknown]>([[-1], [1.5], ['many'], [2 ** 31]])(
    'refuses a cap of %j',
    async (maximumInstanceCount) => {
      expect(
        await plane.refusal(putFunctionOnDemandConfig, {
          params,
          body: { maximumInstanceCount },
        }),
      ).toMatchObject({ code: 'InvalidArgument' })
    },
  )

  test('refuses an absent cap and ill-formed names', async () => {
    const body = { maximumInstanceCount: 1 }
    expect(await plane.refusal(putFunctionOnDemandConfig, { params })).toMatchObject({
      code: 'InvalidArgument',
      message: 'MaximumInstanceCount is required but not provided',
    })
    expect(
      await plane.refusal(putFunctionOnDemandConfig, {
        params: { ...params, service: 'a/b' },
        body,
      }),
    ).toMatchObject({ code: 'InvalidArgument' })
    expect(
      await plane.refusal(putFunctionOnDemandConfig, {
        params: { ...params, function: '1x' },
        body,
      }),
    ).toMatchObject({ code: 'InvalidArgument' })
    expect(await plane.refusal(putFunctionOnDemandConfig, { params, body, qualifier: 'a b' })).toMatchObject({
      code: 'InvalidArgument',
    })
  })
})

describe('deleteFunctionOnDemandConfig', () => {
  test('deletes once', async () => {
    await put('prod', 1)
    const draft = { params, qualifier: 'prod' }
    expect(
      await plane.refusal(deleteFunctionOnDemandConfig, {
        ...draft,
        headers: { 'if-match': 'x' },
      }),
    ).toMatchObject({ code: 'PreconditionFailed' })
    expect((await plane.call(deleteFunctionOnDemandConfig, draft)).status).toBe(204)
    for (const operation of [getFunctionOnDemandConfig, deleteFunctionOnDemandConfig])
      expect(await plane.refusal(operation, draft)).toMatchObject({
        code: 'OnDemandConfigNotFound',
        message: "on-demand config of function 'one' in service 'demo' with qualifier 'prod' does not exist",
      })
  })
})

describe('listOnDemandConfigs', () => {
  const resources = async (query: Record<string, string> = {}): Promise<unknown> => {
    const { body } = await plane.call(listOnDemandConfigs, { query })
    return { ...body, configs: column(body['configs'], 'resource') }
  }
  const resource = (index: number): string => `services/demo.test-qualifier-${index}/functions/one`

  test('has no configs when there are none', async () => {
    expect((await plane.call(listOnDemandConfigs)).body).toEqual({})
  })

  test('filters and pages by the resource text', async () => {
    for (const index of [4, 2, 0, 1, 3]) await put(`test-qualifier-${index}`, index)
    expect(await resources()).toEqual({ configs: [0, 1, 2, 3, 4].map(resource) })
    expect(await resources({ prefix: 'services/demo.test-qualifier-1' })).toEqual({ configs: [resource(1)] })
    expect(await resources({ startKey: 'services/demo.test-qualifier-3' })).toEqual({
      configs: [resource(3), resource(4)],
    })
    expect(await resources({ limit: '3' })).toEqual({
      configs: [0, 1, 2].map(resource),
      nextToken: resource(3),
    })
    expect(await resources({ limit: '3', nextToken: resource(3) })).toEqual({ configs: [3, 4].map(resource) })
    expect((await plane.call(listOnDemandConfigs, { query: { prefix: 'services/none' } })).body).toEqual({})
  })

  test('orders by resource although keys begin with the function', async () => {
    await put('b', 1, 'x')
    await put('a', 1, 'y')
    expect(await resources()).toEqual({
      configs: ['services/demo.a/functions/y', 'services/demo.b/functions/x'],
    })
  })

  test('shows an account its own only, and refuses a bad limit', async () => {
    await put('prod', 1)
    expect((await plane.call(listOnDemandConfigs, { account: '12' })).body).toEqual({})
    expect(await plane.refusal(listOnDemandConfigs, { query: { limit: '-1' } })).toMatchObject({
      code: 'InvalidArgument',
    })
  })
})
