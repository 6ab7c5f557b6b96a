import * as fg from '@huaweicloud/huaweicloud-sdk-functiongraph'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestServer } from '../../helpers/server.ts'
import { base64Zip, fc2Client, type Fc2Client } from '../alibaba-fc/clients.ts'
import { entrancesOf, functionGraphClient, PROJECT_ID, REGION, scfClient } from './entrances.ts'
import { NAMESPACE } from './functions.ts'

const WITHIN = { timeout: 20_000 }
const NAME = 'watched'
const URN = `urn:fss:${REGION}:${PROJECT_ID}:function:${NAMESPACE}:${NAME}:latest`
const TASKS = `/services/${NAMESPACE}/functions/${NAME}/stateful-async-invocations`

const SOURCE = `exports.handler = async (event) => {
  if (JSON.parse(event).do === 'hang') await new Promise(() => setInterval(() => undefined, 1000))
  return event
}`

let server: TestServer
let fc: Fc2Client
let functionGraph: fg.FunctionGraphClient
let scf: ReturnType<typeof scfClient>

beforeAll(async () => {
  server = await TestServer.start({ ANVOKE_REGION: REGION })
  fc = fc2Client(server)
  functionGraph = functionGraphClient(server)
  scf = scfClient(server)
  await fc.createService(NAMESPACE)
  await fc.createFunction(NAMESPACE, {
    functionName: NAME,
    runtime: 'nodejs18',
    handler: 'index.handler',
    timeout: 60,
    code: { zipFile: await base64Zip(SOURCE) },
  })
})
afterAll(() => server?.close())

async function recordOf(requestId: string): Promise<unknown> {
  const request = new fg.ListAsyncInvocationsRequest(URN).withRequestId(requestId)
  const { invocations } = (await functionGraph.listAsyncInvocations(request)) as {
    invocations?: { status: string }[]
  }
  return invocations?.map(({ status }) => status)
}

async function eventOf(InvokeRequestId: string): Promise<unknown> {
  return (await scf.GetAsyncEventStatus({ InvokeRequestId })).Result?.Status
}

async function shown(requestId: string): Promise<unknown> {
  return [await recordOf(requestId), await eventOf(requestId)]
}

async function stopAsRecord(requestId: string): Promise<void> {
  const body = new fg.CancelAsyncInvocationRequestBody(requestId).withType('force')
  await functionGraph.cancelAsyncInvocation(new fg.CancelAsyncInvocationRequest(URN).withBody(body))
}

async function stopAsEvent(InvokeRequestId: string): Promise<void> {
  await scf.TerminateAsyncEvent({ Namespace: NAMESPACE, FunctionName: NAME, InvokeRequestId })
}

test('a call through any API is watched and stopped through those that know calls by their request ids', async () => {
  const entrances = entrancesOf(server)
  expect(entrances).toHaveLength(5)
  for (const [index, entrance] of entrances.entries()) {
    const quick = await entrance.invokeAsync(NAMESPACE, NAME, '{"do":"return"}')
    await expect.poll(() => shown(quick), WITHIN).toEqual([['SUCCESS'], 'FINISHED'])
    const hanging = await entrance.invokeAsync(NAMESPACE, NAME, '{"do":"hang"}')
    await expect.poll(() => shown(hanging), WITHIN).toEqual([['RUNNING'], 'RUNNING'])
    await (index % 2 === 0 ? stopAsEvent(hanging) : stopAsRecord(hanging))
    expect(await shown(hanging)).toEqual([['DISCARD'], 'ABORTED'])
  }
  const { TotalCount } = await scf.ListAsyncEvents({ Namespace: NAMESPACE, FunctionName: NAME })
  const { count } = (await functionGraph.listAsyncInvocations(new fg.ListAsyncInvocationsRequest(URN))) as {
    count?: number
  }
  expect([TotalCount, count]).toEqual([10, 10])
  expect((await fc.get(TASKS)).data.invocations).toBeUndefined()
}, 60_000)

test('a task of Function Compute is stopped through another API, and is alone among its tasks', async () => {
  await fc.put(`/services/${NAMESPACE}/functions/${NAME}/async-invoke-config`, { statefulInvocation: true })
  const { headers } = await fc.invokeFunction(NAMESPACE, NAME, '{"do":"hang"}', {
    'x-fc-invocation-type': 'Async',
    'x-fc-stateful-async-invocation-id': 'order-1',
  })
  const statusOf = async (): Promise<unknown> => (await fc.get(`${TASKS}/order-1`)).data.status
  await expect.poll(statusOf, WITHIN).toBe('Running')
  await stopAsEvent(headers['x-fc-request-id'] ?? '')
  expect(await statusOf()).toBe('Stopped')
  const { invocations } = (await fc.get(TASKS)).data as { invocations: { invocationId: string }[] }
  expect(invocations.map(({ invocationId }) => invocationId)).toEqual(['order-1'])
})
