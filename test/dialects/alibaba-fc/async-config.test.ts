import { beforeEach, describe, expect, test } from 'vitest'
import { createAlias } from '../../../src/dialects/alibaba-fc/aliases.ts'
import {
  deleteFunctionAsyncInvokeConfig,
  getFunctionAsyncInvokeConfig,
  listFunctionAsyncInvokeConfigs,
  putFunctionAsyncInvokeConfig,
} from '../../../src/dialects/alibaba-fc/async-config.ts'
import { publishServiceVersion } from '../../../src/dialects/alibaba-fc/versions.ts'
import { qualifiedKey } from '../../../src/engine/keys.ts'
import { ACCOUNT, ControlPlane, REGION, START_MS } from './control-plane.ts'

let plane: ControlPlane
const params = { service: 'demo', function: 'one' }
const queue = `acs:mns:${REGION}:${ACCOUNT}:/queues/qx/messages`

beforeEach(async () => {
  plane = await ControlPlane.open()
  await plane.putService('demo')
  await plane.putFunction('demo', 'one')
  await plane.call(publishServiceVersion, { params: { service: 'demo' } })
  for (const aliasName of ['a0', 'a1', 'a2'])
    await plane.call(createAlias, { params: { service: 'demo' }, body: { aliasName, versionId: '1' } })
})

const put = async (body: Record<string, unknown>, qualifier?: string): Promise<Record<string, unknown>> =>
  (await plane.call(putFunctionAsyncInvokeConfig, { params, body, ...(qualifier && { qualifier }) })).body

describe('putFunctionAsyncInvokeConfig', () => {
  test('takes a whole configuration in any case and answers in the case of the API', async () => {
    const destination = `acs:fc:${REGION}:${ACCOUNT}:services/demo.a0/functions/missing`
    const body = {
      DestinationConfig: { OnSuccess: { Destination: destination }, OnFailure: { Destination: destination } },
      MaxAsyncEventAgeInSeconds: 100,
      MaxAsyncRetryAttempts: 1,
      StatefulInvocation: true,
    }
    const expected = {
      service: 'demo',
      function: 'one',
      qualifier: 'a0',
      createdTime: '2024-05-06T07:08:09Z',
      lastModifiedTime: '2024-05-06T07:08:09Z',
      destinationConfig: { onSuccess: { destination }, onFailure: { destination } },
      maxAsyncEventAgeInSeconds: 100,
      maxAsyncRetryAttempts: 1,
      statefulInvocation: true,
    }
    const answer = await plane.call(putFunctionAsyncInvokeConfig, {
      params,
      body,
      qualifier: 'a0',
      api: '2016-08-15',
    })
    expect({ status: answer.status, body: answer.body }).toEqual({ status: 200, body: expected })
    const got = await plane.call(getFunctionAsyncInvokeConfig, { params, qualifier: 'a0' })
    expect(got.body).toEqual(expected)
    expect(got.headers?.['ETag']).toBe(answer.headers?.['ETag'])
    expect(
      plane.catalogue.get('asyncConfig', qualifiedKey(ACCOUNT, 'demo', 'one', 'a0'))?.value,
    ).toMatchObject({
      maxRetries: 1,
      maxAgeMs: 100_000,
    })
  })

  test('fills in no default for a number that was never set', async () => {
    expect(Object.keys(await put({ maxAsyncEventAgeInSeconds: null }))).toEqual([
      'service',
      'function',
      'qualifier',
      'createdTime',
      'lastModifiedTime',
      'destinationConfig',
      'statefulInvocation',
    ])
  })

  test('belongs to LATEST without a qualifier and to nothing else', async () => {
    expect(await put({ maxAsyncRetryAttempts: 0 })).toMatchObject({
      qualifier: 'LATEST',
      maxAsyncRetryAttempts: 0,
    })
    expect(await plane.refusal(getFunctionAsyncInvokeConfig, { params, qualifier: '1' })).toMatchObject({
      code: 'AsyncConfigNotExists',
    })
  })

  test('leaves members alone that are not sent', async () => {
    await put({
      maxAsyncRetryAttempts: 3,
      maxAsyncEventAgeInSeconds: 60,
      statefulInvocation: true,
      destinationConfig: { onFailure: { destination: queue } },
    })
    plane.nowMs = START_MS + 60_000
    const success = `acs:fc:${REGION}:${ACCOUNT}:services/demo/functions/two`
    expect(
      await put({ maxAsyncRetryAttempts: 5, destinationConfig: { onSuccess: { destination: success } } }),
    ).toMatchObject({
      maxAsyncRetryAttempts: 5,
      maxAsyncEventAgeInSeconds: 60,
      statefulInvocation: true,
      destinationConfig: { onSuccess: { destination: success }, onFailure: { destination: queue } },
      createdTime: '2024-05-06T07:08:09Z',
      lastModifiedTime: '2024-05-06T07:09:09Z',
    })
  })

  test('clears destinations by an empty object, and one of them by an empty text', async () => {
    const both = { onSuccess: { destination: queue }, onFailure: { destination: queue } }
    await put({ destinationConfig: both })
    expect(await put({ destinationConfig: { onSuccess: { destination: '' } } })).toMatchObject({
      destinationConfig: { onFailure: { destination: queue } },
    })
    expect((await put({ destinationConfig: null }))['destinationConfig']).toEqual({
      onFailure: { destination: queue },
    })
    expect((await put({ destinationConfig: {} }))['destinationConfig']).toEqual({})
  })

  test('takes the ends of the ranges', async () => {
    expect(await put({ maxAsyncRetryAttempts: 8, maxAsyncEventAgeInSeconds: 604_800 })).toMatchObject({
      maxAsyncRetryAttempts: 8,
      maxAsyncEventAgeInSeconds: 604_800,
    })
    expect(await put({ maxAsyncRetryAttempts: 0, maxAsyncEventAgeInSeconds: 1 })).toMatchObject({
      maxAsyncRetryAttempts: 0,
      maxAsyncEventAgeInSeconds: 1,
    })
  })

  test.each<Record<string, unknown>>([
    { maxAsyncRetryAttempts: 9 },
    { maxAsyncRetryAttempts: -1 },
    { maxAsyncEventAgeInSeconds: 0 },
    { maxAsyncEventAgeInSeconds: 604_801 },
    { maxAsyncEventAgeInSeconds: 1.5 },
    { statefulInvocation: 'yes' },
    { destinationConfig: 'x' },
    { destinationConfig: { onSuccess: { destination: 'ftp://example.com' } } },
    { destinationConfig: { onSuccess: { destination: 'https://name:word@example.com' } } },
    { destinationConfig: { onSuccess: { destination: 'acs:fc:cn-hangzhou:1:services/demo' } } },
    { destinationConfig: { onFailure: { destination: 'acs:mns:cn-hangzhou:1:/tables/one' } } },
    { destinationConfig: { onFailure: { destination: 'acs:oss:cn-hangzhou:1:bucket' } } },
  ])('refuses %j', async (body) => {
    expect(await plane.refusal(putFunctionAsyncInvokeConfig, { params, body })).toMatchObject({
      code: 'InvalidArgument',
    })
  })

  test('keeps to the state that If-Match names', async () => {
    await put({ maxAsyncRetryAttempts: 1 })
    const draft = { params, body: { maxAsyncRetryAttempts: 2 }, headers: { 'if-match': 'wrong' } }
    expect(await plane.refusal(putFunctionAsyncInvokeConfig, draft)).toMatchObject({
      code: 'PreconditionFailed',
    })
  })
})

describe('every operation on an async config', () => {
  test('refuses unknown services, functions and qualifiers', async () => {
    for (const operation of [
      getFunctionAsyncInvokeConfig,
      putFunctionAsyncInvokeConfig,
      deleteFunctionAsyncInvokeConfig,
    ]) {
      expect(
        await plane.refusal(operation, { params: { service: 'nothing', function: 'one' } }),
      ).toMatchObject({ code: 'ServiceNotFound' })
      expect(await plane.refusal(operation, { params: { service: 'demo', function: 'two' } })).toMatchObject({
        code: 'FunctionNotFound',
      })
      expect(await plane.refusal(operation, { params, qualifier: '9' })).toMatchObject({
        code: 'VersionNotFound',
      })
      expect(await plane.refusal(operation, { params, qualifier: 'dev' })).toMatchObject({
        code: 'AliasNotFound',
      })
      expect(await plane.refusal(operation, { params, qualifier: 'a/b' })).toMatchObject({
        code: 'InvalidArgument',
      })
    }
  })
})

describe('deleteFunctionAsyncInvokeConfig', () => {
  test('deletes once', async () => {
    await put({ maxAsyncRetryAttempts: 1 }, 'a0')
    expect(
      await plane.refusal(deleteFunctionAsyncInvokeConfig, {
        params,
        qualifier: 'a0',
        headers: { 'if-match': 'wrong' },
      }),
    ).toMatchObject({ code: 'PreconditionFailed' })
    expect((await plane.call(deleteFunctionAsyncInvokeConfig, { params, qualifier: 'a0' })).status).toBe(204)
    for (const operation of [getFunctionAsyncInvokeConfig, deleteFunctionAsyncInvokeConfig])
      expect(await plane.refusal(operation, { params, qualifier: 'a0' })).toMatchObject({
        code: 'AsyncConfigNotExists',
        message: "async config of function 'one' in service 'demo' with qualifier 'a0' does not exist",
      })
  })
})

describe('listFunctionAsyncInvokeConfigs', () => {
  test('has no configs and an empty token when there are none', async () => {
    expect((await plane.call(listFunctionAsyncInvokeConfigs, { params })).body).toEqual({ nextToken: '' })
  })

  test('pages by qualifier, with an empty token on the last page', async () => {
    await plane.putFunction('demo', 'one-more')
    await plane.call(putFunctionAsyncInvokeConfig, { params: { service: 'demo', function: 'one-more' } })
    for (const qualifier of ['a2', 'a0', 'a1']) await put({ maxAsyncRetryAttempts: 1 }, qualifier)
    const first = await plane.call(listFunctionAsyncInvokeConfigs, { params, query: { limit: '1' } })
    expect(first.body).toMatchObject({
      configs: [{ service: 'demo', function: 'one', qualifier: 'a0' }],
      nextToken: 'a1',
    })
    const rest = await plane.call(listFunctionAsyncInvokeConfigs, { params, query: { nextToken: 'a1' } })
    expect(rest.body).toMatchObject({ configs: [{ qualifier: 'a1' }, { qualifier: 'a2' }], nextToken: '' })
    expect(rest.body['configs']).toHaveLength(2)
  })

  test('refuses an unknown service, an unknown function and a bad limit', async () => {
    const list = listFunctionAsyncInvokeConfigs
    expect(await plane.refusal(list, { params: { service: 'nothing', function: 'one' } })).toMatchObject({
      code: 'ServiceNotFound',
    })
    expect(await plane.refusal(list, { params: { service: 'demo', function: 'two' } })).toMatchObject({
      code: 'FunctionNotFound',
    })
    expect(await plane.refusal(list, { params, query: { limit: '0' } })).toMatchObject({
      code: 'InvalidArgument',
    })
  })
})
