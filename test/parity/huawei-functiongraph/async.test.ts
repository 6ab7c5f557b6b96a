import * as fg from '@huaweicloud/huaweicloud-sdk-functiongraph'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { setQueue, undeliverableOf } from '../../helpers/queue-door.ts'
import { TestServer } from '../../helpers/server.ts'
import { deploy, fgClient, refusal, untilEnded, wire, type Wire } from './clients.ts'

/** Says which call has begun, and under which name its process can be found. */
const NODE = `
exports.handler = async (event, context) => {
  if (event.title) process.title = event.title
  console.log('begun ' + context.getRequestID())
  if (event.do === 'throw') throw new TypeError('on purpose')
  if (event.do === 'hang') await new Promise(() => setInterval(() => undefined, 1000))
  return event
}
`
const PYTHON = `
import time

def handler(event, context):
    print('begun ' + context.getRequestID())
    if event.get('title'):
        with open('/proc/self/comm', 'w') as comm:
            comm.write(event['title'])
    while event.get('do') == 'hang':
        time.sleep(1)
    return event
`

let server: TestServer
let client: fg.FunctionGraphClient
beforeAll(async () => {
  server = await TestServer.start()
  client = fgClient(server)
})
afterAll(() => server.close())

async function submit(urn: string, event: object): Promise<string> {
  const request = new fg.AsyncInvokeFunctionRequest(urn).withBody(event as Record<string, object>)
  const accepted = wire(await client.asyncInvokeFunction(request))
  expect(accepted).toEqual({ request_id: expect.any(String), httpStatusCode: 202 })
  return String(accepted['request_id'])
}

function configure(urn: string, body: fg.UpdateFunctionAsyncInvokeConfigRequestBody): Promise<object> {
  return client.updateFunctionAsyncInvokeConfig(
    new fg.UpdateFunctionAsyncInvokeConfigRequest(urn).withBody(body),
  )
}

const settings = () => new fg.UpdateFunctionAsyncInvokeConfigRequestBody()

async function list(request: fg.ListAsyncInvocationsRequest): Promise<{ invocations: Wire[] } & Wire> {
  return wire(await client.listAsyncInvocations(request)) as { invocations: Wire[] } & Wire
}

async function active(urn: string, requests = ''): Promise<Wire[]> {
  const request = new fg.ListActiveAsyncInvocationsRequest(urn).withRequests(requests)
  const { invocations } = wire(await client.listActiveAsyncInvocations(request))
  return invocations as Wire[]
}

async function cancel(urn: string, requestId: string): Promise<Wire> {
  const body = new fg.CancelAsyncInvocationRequestBody(requestId).withType('force')
  return wire(await client.cancelAsyncInvocation(new fg.CancelAsyncInvocationRequest(urn).withBody(body)))
}

const idsOf = ({ invocations }: { invocations: Wire[] }) =>
  invocations.map(({ request_id: requestId }) => requestId)

/** A name of a process that no other has; Linux keeps 15 bytes of it. */
const newTitle = () => `fg-${randomBytes(5).toString('hex')}`

function isRunning(title: string): boolean {
  return readdirSync('/proc').some((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd() === title
    } catch {
      return false
    }
  })
}

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 20_000
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within 20 s: ${what}`)
    await delay(25)
  }
}

/** How often a call has begun, as its function logged it: once that is so often. */
async function runsOf(name: string, requestId: string, atLeast: number): Promise<number> {
  const count = (log: string): number => log.split(`begun ${requestId}`).length - 1
  return count(await server.untilLogged('default', name, (log) => count(log) >= atLeast))
}

interface Told {
  readonly request_context: Wire
}

/** What a function was told about endings, as it logged it. */
function toldIn(log: string): Told[] {
  return log
    .split('\n')
    .filter((line) => line !== '')
    .flatMap((line) => (JSON.parse(line) as { text: string }).text.split('\n'))
    .filter((line) => line.startsWith('told '))
    .map((line) => JSON.parse(line.slice('told '.length)) as Told)
}

describe('the official client', () => {
  test('submits calls, watches them, and finds them by id, state and time, page by page', async () => {
    const urn = await deploy(client, 'watched', NODE)
    const ids = [await submit(urn, { n: 0 }), await submit(urn, { do: 'throw' }), await submit(urn, { n: 2 })]
    const [first = '', failing = ''] = ids
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/)
    for (const id of ids) await untilEnded(client, urn, id)
    expect(await untilEnded(client, urn, first)).toEqual({
      request_id: first,
      status: 'SUCCESS',
      error_message: '',
      error_code: 0,
      start_time: time,
      end_time: time,
    })
    expect(await untilEnded(client, urn, failing)).toMatchObject({
      status: 'FAIL',
      error_message: 'TypeError: function invocation exception, error: on purpose',
      error_code: 4002,
    })
    const all = () => new fg.ListAsyncInvocationsRequest(urn)
    expect(await list(all())).toMatchObject({ count: 3, httpStatusCode: 200 })
    expect(idsOf(await list(all()))).toEqual(ids.toReversed())
    expect(idsOf(await list(all().withStatus('FAIL')))).toEqual([failing])
    const page = await list(all().withLimit('2'))
    expect(idsOf(page)).toEqual([ids[2], failing])
    const last = await list(all().withLimit('2').withMarker(String(page['next_marker'])))
    expect([idsOf(last), last['next_marker']]).toEqual([[first], undefined])
    // The client sends a Date as an empty text; text goes through.
    const at = (time: string) => time as unknown as Date
    expect(idsOf(await list(all().withQueryEndTime(at('2020-01-01T00:00:00'))))).toEqual([])
    expect(idsOf(await list(all().withQueryBeginTime(at('2020-01-01T00:00:00'))))).toEqual(ids.toReversed())
    expect(await active(urn)).toEqual([])
    expect(await refusal(list(all().withStatus('DONE')))).toMatchObject({ errorCode: 'FSS.0400' })
    expect(await refusal(submit(urn, { much: 'x'.repeat(256 * 1024) }))).toMatchObject({
      httpStatusCode: 413,
      errorCode: 'FSS.1201',
    })
  })

  test.each([
    ['Node.js', { file: 'index.js', runtime: 'Node.js18.15' }, NODE],
    ['Python', { file: 'index.py', runtime: 'Python3.10' }, PYTHON],
  ])('stops a call that runs, and its process with it: %s', async (_language, how, source) => {
    const name = `stopped-${how.file.slice(-2)}`
    const urn = await deploy(client, name, source, { ...how, timeout: 60 })
    await configure(urn, settings().withMaxAsyncRetryAttempts(3))
    const title = newTitle()
    const requestId = await submit(urn, { do: 'hang', title })
    await until(() => isRunning(title), 'the process of the call')
    expect(await active(urn, requestId)).toMatchObject([{ request_id: requestId, status: 'RUNNING' }])
    expect(await cancel(urn, requestId)).toEqual({ httpStatusCode: 200 })
    // It has ended when that is answered.
    const { invocations } = await list(new fg.ListAsyncInvocationsRequest(urn).withRequestId(requestId))
    expect(invocations).toMatchObject([{ status: 'DISCARD', error_code: 4208 }])
    await until(() => !isRunning(title), 'the end of the process of the call')
    expect(await active(urn)).toEqual([])
    expect(await runsOf(name, requestId, 1)).toBe(1)
    // Stopping it again changes nothing, and the function is as good as new.
    expect(await cancel(urn, requestId)).toEqual({ httpStatusCode: 200 })
    const another = await submit(urn, {})
    expect(await untilEnded(client, urn, another)).toMatchObject({ status: 'SUCCESS' })
  })

  test('is told that there is no such call to stop', async () => {
    const urn = await deploy(client, 'one', NODE)
    const other = await deploy(client, 'two', NODE)
    const requestId = await submit(urn, {})
    for (const [at, id] of [
      [urn, '00000000-0000-4000-8000-000000000000'],
      [other, requestId],
    ] as const)
      expect(await refusal(cancel(at, id))).toMatchObject({
        httpStatusCode: 400,
        errorCode: 'FSS.0400',
        errorMsg: 'Invalid RequestId',
      })
    await untilEnded(client, urn, requestId)
  })

  test('stops calls for good: none runs again, whether it ran or waited for its repeat, also after a restart', async () => {
    const name = 'for-good'
    const urn = await deploy(client, name, NODE, { timeout: 60 })
    await configure(urn, settings().withMaxAsyncRetryAttempts(3))
    const title = newTitle()
    const running = await submit(urn, { do: 'hang', title })
    const failing = await submit(urn, { do: 'throw' })
    await until(() => isRunning(title), 'the process of the call')
    await until(async () => {
      await runsOf(name, failing, 1)
      return (await active(urn, failing))[0]?.['status'] === 'WAIT'
    }, 'the wait for a repeat')
    await Promise.all([cancel(urn, running), cancel(urn, failing)])
    const runs = await runsOf(name, failing, 1)
    await server.stop()
    await server.launch()
    for (const requestId of [running, failing])
      expect(await untilEnded(client, urn, requestId)).toMatchObject({ status: 'DISCARD', error_code: 4208 })
    expect(await active(urn)).toEqual([])
    expect(await untilEnded(client, urn, await submit(urn, {}))).toMatchObject({ status: 'SUCCESS' })
    expect([await runsOf(name, running, 1), await runsOf(name, failing, 1)]).toEqual([1, runs])
    expect(isRunning(title)).toBe(false)
  })

  test('says how often a call is repeated and how old it may get, by version', async () => {
    const name = 'repeated'
    const urn = await deploy(client, name, NODE)
    const version = new fg.CreateFunctionVersionRequestBody().withVersion('v1')
    await client.createFunctionVersion(new fg.CreateFunctionVersionRequest(urn).withBody(version))
    const [v1, prod] = [urn.replace(/latest$/, 'v1'), urn.replace(/latest$/, '!prod')]
    const alias = new fg.CreateVersionAliasRequestBody('prod', 'v1')
    await client.createVersionAlias(new fg.CreateVersionAliasRequest(urn).withBody(alias))
    await configure(urn, settings().withMaxAsyncRetryAttempts(1))
    await configure(v1, settings().withMaxAsyncRetryAttempts(3).withMaxAsyncEventAgeInSeconds(1))
    const shown = await client.showFunctionAsyncInvokeConfig(
      new fg.ShowFunctionAsyncInvokeConfigRequest(prod),
    )
    expect(wire(shown)).toMatchObject({
      func_urn: v1,
      max_async_retry_attempts: 3,
      max_async_event_age_in_seconds: 1,
    })
    const configs = client.listFunctionAsyncInvokeConfig(new fg.ListFunctionAsyncInvokeConfigRequest(urn))
    expect(wire(await configs)).toMatchObject({ count: 2, page_info: { current_count: 2 } })
    const [repeated, aged] = [await submit(urn, { do: 'throw' }), await submit(prod, { do: 'throw' })]
    expect(await untilEnded(client, urn, repeated)).toMatchObject({ status: 'FAIL', error_code: 4002 })
    expect(await runsOf(name, repeated, 2)).toBe(2)
    expect(await untilEnded(client, urn, aged)).toMatchObject({ status: 'DISCARD' })
    expect(await runsOf(name, aged, 1)).toBe(1)
    const deleted = client.deleteFunctionAsyncInvokeConfig(new fg.DeleteFunctionAsyncInvokeConfigRequest(urn))
    expect(wire(await deleted)).toMatchObject({ httpStatusCode: 204 })
  })

  test('has endings told to another function', async () => {
    const hears = `exports.handler = async (event, _context) => console.log('told ' + JSON.stringify(event))`
    const hearer = await deploy(client, 'hearer', hears)
    const urn = await deploy(client, 'told', NODE)
    const there = new fg.FuncDestinationConfig()
      .withDestination('FunctionGraph')
      .withParam(JSON.stringify({ func_urn: hearer }))
    const both = new fg.FuncAsyncDestinationConfig().withOnSuccess(there).withOnFailure(there)
    await configure(urn, settings().withMaxAsyncRetryAttempts(0).withDestinationConfig(both))
    for (const [event, status, answer] of [
      [{ n: 1 }, 200, '{"n":1}'],
      [{ do: 'throw' }, 500, expect.stringContaining('on purpose')],
    ] as const) {
      const requestId = await submit(urn, event)
      const told = (log: string) =>
        toldIn(log).find((each) => each.request_context['request_id'] === requestId)
      expect(told(await server.untilLogged('default', 'hearer', (log) => told(log) !== undefined))).toEqual({
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00$/),
        request_context: {
          request_id: requestId,
          function_urn: urn,
          condition: status === 200 ? '' : 'UnhandledInvocationError',
          approximate_invoke_count: 1,
        },
        request_payload: JSON.stringify(event),
        response_context: { status_code: status, function_error: status === 200 ? '' : 'TypeError' },
        response_payload: answer,
      })
    }
  })

  test('has endings kept that only the vendor could tell', async () => {
    const urn = await deploy(client, 'queued', NODE)
    const topic_urn = 'urn:smn:cn-north-4:7aad83af3e8d42e99ac194e8419e2c9b:orders'
    const topic = new fg.FuncDestinationConfig()
      .withDestination('SMN')
      .withParam(JSON.stringify({ topic_urn }))
    const onFailure = new fg.FuncAsyncDestinationConfig().withOnFailure(topic)
    await configure(urn, settings().withMaxAsyncRetryAttempts(0).withDestinationConfig(onFailure))
    await untilEnded(client, urn, await submit(urn, {}))
    const requestId = await submit(urn, { do: 'throw' })
    const undeliverable = () => undeliverableOf(server, ['default', 'queued'])
    await expect.poll(undeliverable, { timeout: 20_000 }).toHaveLength(1)
    const [delivery] = await undeliverable()
    expect(delivery).toMatchObject({
      requestId,
      on: 'failure',
      destination: { target: { kind: 'unreachable', name: `SMN ${topic_urn}` } },
      lastError: 'target-unreachable',
    })
    expect(delivery?.told).toMatchObject({
      request_context: { request_id: requestId, function_urn: urn, condition: 'UnhandledInvocationError' },
      request_payload: '{"do":"throw"}',
      response_context: { status_code: 500, function_error: 'TypeError' },
    })
  })

  test('is refused calls that its queue has no room for', async () => {
    const urn = await deploy(client, 'full', NODE)
    await setQueue(server, ['default', 'full'], { isPaused: true, maxTasks: 1 })
    const first = await submit(urn, {})
    expect(await refusal(submit(urn, {}))).toMatchObject({
      httpStatusCode: 429,
      errorCode: 'FSS.0429',
      errorMsg: 'too many requests: the queue of asynchronous calls is full (1)',
    })
    expect(await active(urn)).toMatchObject([{ request_id: first, status: 'WAIT' }])
    await cancel(urn, first)
    const second = await submit(urn, {})
    await setQueue(server, ['default', 'full'], { isPaused: false })
    expect(await untilEnded(client, urn, second)).toMatchObject({ status: 'SUCCESS' })
  })

  test('is refused a destination that is none, and reads back what it wrote', async () => {
    const urn = await deploy(client, 'telling', NODE)
    const written = (destination: string, param: object) =>
      settings().withDestinationConfig(
        new fg.FuncAsyncDestinationConfig().withOnFailure(
          new fg.FuncDestinationConfig().withDestination(destination).withParam(JSON.stringify(param)),
        ),
      )
    for (const [destination, param] of [
      ['SMN', { topic_urn: 'topic' }],
      ['OBS', { bucket: 'No' }],
      ['FunctionGraph', { func_urn: 'urn:fss:x' }],
      ['HTTP', { url: 'https://example.org' }],
    ] as const)
      expect(await refusal(configure(urn, written(destination, param)))).toMatchObject({
        httpStatusCode: 400,
        errorCode: 'FSS.0400',
      })
    const on_failure = { destination: 'FunctionGraph', param: JSON.stringify({ func_urn: urn }) }
    expect(wire(await configure(urn, written('FunctionGraph', { func_urn: urn })))).toMatchObject({
      destination_config: { on_failure },
    })
  })
})
