import * as fg from '@huaweicloud/huaweicloud-sdk-functiongraph'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TestServer } from '../../helpers/server.ts'
import { deploy, fgClient, invoke, PROJECT, refusal, tokenOf, wire } from './clients.ts'

const NODE = `
exports.handler = async (event, context) => {
  if (event.do === 'throw') throw new TypeError('on purpose')
  if (event.do === 'sleep') await new Promise(() => setInterval(() => undefined, 1000))
  if (event.do === 'exit') process.exit(3)
  if (event.do === 'text') return 'plain text'
  console.log('told by the code')
  return { event, version: context.getVersion(), alias: context.getAlias(), id: context.getRequestID() }
}
`
const PYTHON = `
def handler(event, context):
    if event.get('do') == 'throw':
        raise ValueError('on purpose')
    print('told by the code')
    return {'name': context.getFunctionName(), 'project': context.getProjectID()}
`

let server: TestServer
let client: fg.FunctionGraphClient
let urn: string
let python: string
beforeAll(async () => {
  server = await TestServer.start()
  client = fgClient(server)
  urn = await deploy(client, 'node', NODE)
  python = await deploy(client, 'python', PYTHON, { runtime: 'Python3.10', file: 'index.py' })
})
afterAll(() => server.close())

describe('the official client', () => {
  test('calls a function and is told its result and its log', async () => {
    const answer = await invoke(client, urn, { k: 'ü v', n: 1 })
    const requestId = String(answer['request_id'])
    expect(answer).toMatchObject({ status: 200, 'X-Cff-Request-Id': requestId, httpStatusCode: 200 })
    expect(JSON.parse(String(answer['result']))).toEqual({
      event: { k: 'ü v', n: 1 },
      version: 'latest',
      alias: '',
      id: requestId,
    })
    const log = String(answer['log']).split('\n')
    expect(log[0]).toMatch(new RegExp(`Z Start invoke request '${requestId}', version: latest$`))
    expect(log[1]).toContain('told by the code')
    expect(log.at(-2)).toMatch(
      new RegExp(
        `Z Finish invoke request '${requestId}', duration: \\d+\\.\\d{3}ms, billing duration: \\d+ms, memory used: \\d+\\.\\d{3}MB, billing memory: 128MB$`,
      ),
    )
  })

  test('calls a function in Python', async () => {
    const answer = await invoke(client, python, {})
    expect(answer).toMatchObject({ status: 200, result: `{"name": "python", "project": "${PROJECT}"}` })
    expect(answer['log']).toContain('told by the code')
  })

  test('gets an object as it is in v0', async () => {
    const request = new fg.InvokeFunctionRequest(urn).withBody({ a: {} })
    expect(wire(await client.invokeFunction(request))).toMatchObject({
      event: { a: {} },
      httpStatusCode: 200,
    })
  })

  test.each([
    ['throw', 'on purpose', 'TypeError'],
    ['sleep', 'timed out', 'FunctionTimeoutError'],
    ['exit', 'exited', expect.any(String)],
  ])('is told of a function that fails: %s', async (what, message, errorType) => {
    const answer = await invoke(client, urn, { do: what })
    expect(answer).toMatchObject({ status: 500, httpStatusCode: 200 })
    expect(JSON.parse(String(answer['result']))).toMatchObject({
      errorMessage: expect.stringContaining(message),
      errorType,
    })
    // The function is as good as new.
    expect(await invoke(client, urn, {})).toMatchObject({ status: 200 })
  })

  test('is told of an error in Python', async () => {
    const answer = await invoke(client, python, { do: 'throw' })
    expect(JSON.parse(String(answer['result']))).toMatchObject({
      errorMessage: expect.stringContaining('on purpose'),
      errorType: 'ValueError',
    })
  })

  test('understands every refusal', async () => {
    const id = /^[0-9a-f]{32}$/
    expect(await refusal(invoke(client, urn.replace(':node:', ':none:'), {}))).toEqual({
      httpStatusCode: 404,
      errorCode: 'FSS.1051',
      errorMsg: "Not found the function 'none' in the package 'default'",
      requestId: expect.stringMatching(id),
    })
    expect(await refusal(invoke(client, urn.replace('latest', 'v9'), {}))).toMatchObject({
      errorCode: 'FSS.1052',
    })
    expect(await refusal(invoke(client, urn.replace('latest', '!no'), {}))).toMatchObject({
      errorCode: 'FSS.1053',
    })
    expect(await refusal(invoke(client, 'urn:fss:x', {}))).toMatchObject({
      httpStatusCode: 400,
      errorCode: 'FSS.1309',
    })
  })
})

describe('plain HTTP with a token', () => {
  test('has every header of an answer', async () => {
    const token = await tokenOf(server, PROJECT)
    const call = (body: string, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(`${server.origin}/v2/${PROJECT}/fgs/functions/${urn}/invocations`, {
        method: 'POST',
        headers: { 'X-Auth-Token': token, 'Content-Type': 'application/json', ...headers },
        body,
      })
    const good = await call('{"do":"text"}', { 'X-Cff-Log-Type': 'tail' })
    expect([good.status, await good.text()]).toEqual([200, 'plain text'])
    const requestId = good.headers.get('x-cff-request-id') ?? ''
    expect(Object.fromEntries(good.headers)).toMatchObject({
      'x-cff-response-version': 'v0',
      'x-func-err-code': '0',
      'x-is-func-err': 'false',
      'x-cff-billing-duration': expect.stringMatching(/^\d+$/),
      'x-request-id': requestId.replaceAll('-', ''),
      'content-type': 'text/plain; charset=utf-8',
    })
    expect(JSON.parse(good.headers.get('x-cff-invoke-summary') ?? '')).toEqual({
      duration: expect.any(Number),
      billingDuration: expect.any(Number),
      memorySize: 128,
      memoryUsed: expect.any(Number),
    })
    const log = Buffer.from(good.headers.get('x-cff-function-log') ?? '', 'base64').toString()
    expect(log).toContain(`Start invoke request '${requestId}', version: latest`)
    const failed = await call('{"do":"throw"}')
    expect([
      failed.status,
      failed.headers.get('x-func-err-code'),
      failed.headers.get('x-is-func-err'),
    ]).toEqual([200, '4002', 'true'])
    expect(await failed.json()).toMatchObject({ errorType: 'TypeError', stackTrace: expect.any(Array) })
    expect((await call('{')).status).toBe(406)
  })

  test('is refused without one, and with one of another project', async () => {
    const path = `/v2/${PROJECT}/fgs/functions/${urn}/invocations`
    const none = await fetch(server.origin + path, { method: 'POST', body: '{}' })
    expect([none.status, await none.json()]).toEqual([
      401,
      expect.objectContaining({ error_code: 'APIGW.0301', request_id: none.headers.get('x-request-id') }),
    ])
    const token = await tokenOf(server, '0'.repeat(32))
    const other = await fetch(server.origin + path, {
      method: 'POST',
      headers: { 'X-Auth-Token': token },
      body: '{}',
    })
    expect([other.status, await other.json()]).toMatchObject([403, { error_code: 'FSS.0403' }])
  })
})
