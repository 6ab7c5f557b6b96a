import * as fg from '@huaweicloud/huaweicloud-sdk-functiongraph'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TestServer } from '../../helpers/server.ts'
import { deploy, discoveringClient, fgClient, invoke, refusal, untilEnded, wire } from './clients.ts'

const SOURCE = `
exports.handler = async (event, context) => [
  context.getVersion(), context.getAlias(), context.getMemorySize(), context.getUserData('k') ?? null,
]
`

let server: TestServer
let client: fg.FunctionGraphClient
beforeAll(async () => {
  server = await TestServer.start()
  client = fgClient(server)
})
afterAll(() => server.close())

async function seen(urn: string): Promise<unknown> {
  return JSON.parse(String((await invoke(client, urn, {}))['result']))
}

test('a function is configured, published, given a name, and removed with all of it', async () => {
  const urn = await deploy(client, 'life', SOURCE)
  expect(await seen(urn)).toEqual(['latest', '', '128', null])

  const config = new fg.UpdateFunctionConfigRequestBody(
    'life',
    'Node.js18.15',
    5,
    'index.handler',
    256,
  ).withUserData('{"k":"v"}')
  await client.updateFunctionConfig(new fg.UpdateFunctionConfigRequest(urn).withBody(config))
  expect(wire(await client.showFunctionConfig(new fg.ShowFunctionConfigRequest(urn)))).toMatchObject({
    func_urn: urn,
    memory_size: 256,
    timeout: 5,
    user_data: '{"k":"v"}',
    version: 'latest',
  })
  expect(await seen(urn)).toEqual(['latest', '', '256', 'v'])

  const publish = (version: string) =>
    client.createFunctionVersion(
      new fg.CreateFunctionVersionRequest(urn).withBody(
        new fg.CreateFunctionVersionRequestBody().withVersion(version),
      ),
    )
  await publish('v1')
  expect(await refusal(publish('v1'))).toMatchObject({ httpStatusCode: expect.any(Number) })
  const alias = new fg.CreateVersionAliasRequestBody('prod', 'v1')
  await client.createVersionAlias(new fg.CreateVersionAliasRequest(urn).withBody(alias))
  const later = new fg.UpdateFunctionConfigRequestBody('life', 'Node.js18.15', 5, 'index.handler', 512)
  await client.updateFunctionConfig(new fg.UpdateFunctionConfigRequest(urn).withBody(later))
  await publish('v2')
  expect(await seen(urn.replace('latest', 'v1'))).toEqual(['v1', '', '256', 'v'])
  expect(await seen(urn.replace('latest', '!prod'))).toEqual(['v1', 'prod', '256', 'v'])
  expect(await seen(urn)).toEqual(['latest', '', '512', 'v'])

  const weighted = new fg.UpdateVersionAliasRequestBody('v1').withAdditionalVersionWeights({ v2: 100 })
  await client.updateVersionAlias(new fg.UpdateVersionAliasRequest(urn, 'prod').withBody(weighted))
  expect(await seen(urn.replace('latest', '!prod'))).toEqual(['v2', 'prod', '512', 'v'])

  const request = new fg.AsyncInvokeFunctionRequest(urn.replace('latest', '!prod')).withBody({})
  const { request_id: requestId } = wire(await client.asyncInvokeFunction(request))
  expect(await untilEnded(client, urn, String(requestId))).toMatchObject({ status: 'SUCCESS' })

  const whole = urn.replace(/:latest$/, '')
  await client.deleteFunction(new fg.DeleteFunctionRequest(whole))
  expect(await refusal(invoke(client, urn, {}))).toMatchObject({ errorCode: 'FSS.1051' })
  expect(await refusal(invoke(client, urn.replace('latest', '!prod'), {}))).toMatchObject({
    errorCode: 'FSS.1051',
  })
})

describe('a client with a region alone', () => {
  test.each(['local', 'eu-de'])('finds its project of %s and calls', async (region) => {
    const own = discoveringClient(server, region)
    const urn = await deploy(own, `found-${region}`, SOURCE)
    expect(await invoke(own, urn, {})).toMatchObject({ status: 200 })
    const { functions } = wire(await own.listFunctions(new fg.ListFunctionsRequest())) as {
      functions: object[]
    }
    expect(functions.length).toBeGreaterThan(0)
  })
})

test('a function without instances is disabled until it is given some', async () => {
  const urn = await deploy(client, 'switched', SOURCE)
  const allow = (instances: number) => {
    const body = new fg.UpdateFunctionMaxInstanceConfigRequestBody().withMaxInstanceNum(instances)
    return client.updateFunctionMaxInstanceConfig(
      new fg.UpdateFunctionMaxInstanceConfigRequest(urn).withBody(body),
    )
  }
  await allow(0)
  const disabled = { httpStatusCode: 429, errorCode: 'FSS.0429', errorMsg: 'Function Disabled' }
  expect(await refusal(invoke(client, urn, {}))).toMatchObject(disabled)
  const request = new fg.AsyncInvokeFunctionRequest(urn).withBody({})
  expect(await refusal(client.asyncInvokeFunction(request))).toMatchObject(disabled)
  await allow(1)
  expect(await invoke(client, urn, {})).toMatchObject({ status: 200 })
})

test('an asynchronous call that fails is repeated as often as configured', async () => {
  const source = `
exports.handler = async (event, context) => { console.log('run of', event.mark); throw new Error('on purpose') }
`
  const urn = await deploy(client, 'stubborn', source)
  const config = new fg.UpdateFunctionAsyncInvokeConfigRequestBody()
    .withMaxAsyncRetryAttempts(1)
    .withMaxAsyncEventAgeInSeconds(600)
  await client.updateFunctionAsyncInvokeConfig(
    new fg.UpdateFunctionAsyncInvokeConfigRequest(urn).withBody(config),
  )
  const request = new fg.AsyncInvokeFunctionRequest(urn).withBody({ mark: 'm-1' } as never)
  const { request_id: requestId } = wire(await client.asyncInvokeFunction(request))
  expect(await untilEnded(client, urn, String(requestId))).toMatchObject({
    status: 'FAIL',
    error_message: 'Error: function invocation exception, error: on purpose',
  })
  const runs = (log: string): number => log.split('run of m-1').length - 1
  expect(runs(await server.untilLogged('default', 'stubborn', (log) => runs(log) >= 2))).toBe(2)
})
