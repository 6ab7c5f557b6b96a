import * as fg from '@huaweicloud/huaweicloud-sdk-functiongraph'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ACCOUNT, TestServer } from '../../helpers/server.ts'
import { base64Zip, fc2Client, Open, openClient } from '../alibaba-fc/clients.ts'
import { entrancesOf, functionGraphClient, PROJECT_ID, REGION } from './entrances.ts'

const NAMESPACE = 'telling'

/** The names that the APIs have for one function, in full. */
const NAMES = {
  'Alibaba FC': `acs:fc:${REGION}:${ACCOUNT}:services/${NAMESPACE}/functions/hears`,
  'Huawei FunctionGraph': `urn:fss:${REGION}:${PROJECT_ID}:function:${NAMESPACE}:hears:latest`,
  'Tencent SCF': `qcs::scf:ap-guangzhou::namespace/${NAMESPACE}/function/hears/$LATEST`,
} as const

let server: TestServer

/** Configures `works` through one API, and says which name it shows then. */
const CONFIGURERS: Readonly<Record<string, (name: string) => Promise<string>>> = {
  async 'Alibaba FC 2016-08-15'(name) {
    const config = { destinationConfig: { onSuccess: { destination: name } } }
    const client = fc2Client(server)
    await client.putFunctionAsyncConfig(NAMESPACE, 'works', undefined, config)
    const { data } = await client.getFunctionAsyncConfig(NAMESPACE, 'works')
    return data.destinationConfig.onSuccess.destination
  },
  async 'Alibaba FC 2021-04-06'(destination) {
    const client = openClient(server)
    const onSuccess = new Open.Destination({ destination })
    await client.putFunctionAsyncInvokeConfig(
      NAMESPACE,
      'works',
      new Open.PutFunctionAsyncInvokeConfigRequest({
        destinationConfig: new Open.DestinationConfig({ onSuccess }),
      }),
    )
    const { body } = await client.getFunctionAsyncInvokeConfig(
      NAMESPACE,
      'works',
      new Open.GetFunctionAsyncInvokeConfigRequest({}),
    )
    return body?.destinationConfig?.onSuccess?.destination ?? ''
  },
  async 'Huawei FunctionGraph v2'(func_urn) {
    const client = functionGraphClient(server)
    const urn = `urn:fss:${REGION}:${PROJECT_ID}:function:${NAMESPACE}:works:latest`
    const onSuccess = new fg.FuncDestinationConfig()
      .withDestination('FunctionGraph')
      .withParam(JSON.stringify({ func_urn }))
    const body = new fg.UpdateFunctionAsyncInvokeConfigRequestBody().withDestinationConfig(
      new fg.FuncAsyncDestinationConfig().withOnSuccess(onSuccess),
    )
    await client.updateFunctionAsyncInvokeConfig(
      new fg.UpdateFunctionAsyncInvokeConfigRequest(urn).withBody(body),
    )
    const shown = await client.showFunctionAsyncInvokeConfig(new fg.ShowFunctionAsyncInvokeConfigRequest(urn))
    const { destination_config: shownConfig } = JSON.parse(JSON.stringify(shown)) as {
      destination_config?: { on_success: { param: string } }
    }
    return (JSON.parse(shownConfig?.on_success.param ?? '{}') as { func_urn: string }).func_urn
  },
}

beforeAll(async () => {
  server = await TestServer.start({ ANVOKE_REGION: REGION })
  const client = fc2Client(server)
  await client.createService(NAMESPACE)
  for (const [functionName, source] of [
    ['works', `exports.handler = async () => 'done'`],
    ['hears', `exports.handler = async (event) => console.log('heard ' + event)`],
  ] as const)
    await client.createFunction(NAMESPACE, {
      functionName,
      runtime: 'nodejs20',
      handler: 'index.handler',
      memorySize: 128,
      timeout: 5,
      code: { zipFile: await base64Zip(source) },
    })
})

afterAll(() => server?.close())

describe.each(Object.keys(CONFIGURERS))('a destination configured through %s', (configurer) => {
  test.each(Object.entries(NAMES))(
    'may be named as %s names functions, is shown as it was written, and is told',
    async (_vendor, name) => {
      expect(await CONFIGURERS[configurer]?.(name)).toBe(name)
      const entrance = entrancesOf(server).find((one) => one.name === configurer)
      const requestId = await entrance?.invokeAsync(NAMESPACE, 'works', '{}')
      expect(requestId).toMatch(/^[\w-]{8,}$/)
      await server.untilLogged(NAMESPACE, 'hears', (log) => log.includes(requestId ?? ' '))
    },
  )
})
