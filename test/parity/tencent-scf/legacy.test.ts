import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { base64Zip, legacyClient, Suite } from './clients.ts'

let suite: Suite

beforeAll(async () => {
  suite = await Suite.start()
})

afterAll(() => suite?.server.close())

/** Makes a function through the legacy API; its code travels as the clients mark files. */
async function deploy(functionName: string, source: string, settings: object = {}): Promise<void> {
  const answer = await suite.legacy({
    Action: 'CreateFunction',
    functionName,
    handler: 'index.main_handler',
    runtime: 'Nodejs8.9',
    code: `@${await base64Zip(source)}`,
    ...settings,
  })
  expect(answer).toMatchObject({ code: 0, codeDesc: 'Success' })
}

const WAYS = (['sha1', 'sha256'] as const).flatMap((signatureMethod) =>
  (['POST', 'GET'] as const).map((method) => ({ signatureMethod, method })),
)

describe('the legacy client', () => {
  test('takes a function through its life', async () => {
    const functionName = 'life'
    await deploy(functionName, `exports.main_handler = async (event) => event`, {
      description: 'first',
      environment: { variables: [{ key: 'NAME_1', value: "a & b = 'c'" }] },
    })
    const { data } = await suite.legacy({ Action: 'GetFunction', functionName, code: 1 })
    expect(data).toMatchObject({
      functionName,
      description: 'first',
      handler: 'index.main_handler',
      memorySize: 128,
      timeout: 3,
      version: 'LATEST',
    })
    const update = { Action: 'UpdateFunction', functionName, description: 'second', memorySize: 256 }
    expect(await suite.legacy(update)).toMatchObject({ code: 0 })
    const changed = await suite.legacy({ Action: 'GetFunction', functionName })
    expect(changed.data).toMatchObject({ description: 'second', memorySize: 256 })
    const list = await suite.legacy({ Action: 'ListFunctions', searchKey: 'lif' })
    expect(list.data).toMatchObject({ total: 1, functions: [{ functionName }] })
    expect(await suite.legacy({ Action: 'DeleteFunction', functionName })).toMatchObject({ code: 0 })
    expect(await suite.legacy({ Action: 'GetFunction', functionName })).toMatchObject({
      code: 5000,
      codeDesc: 'ResourceNotFound',
    })
  })

  test.each(WAYS)('calls a function with $signatureMethod and $method', async (way) => {
    const functionName = `hello-${way.signatureMethod}-${way.method}`
    await deploy(functionName, `exports.main_handler = async (e) => { console.log('a line'); return e.text }`)
    const call = legacyClient(suite.server, way)
    const { code, data } = await call({
      Action: 'InvokeFunction',
      functionName,
      invokeType: 'RequestResponse',
      param: '{"text":"wörld & @1"}',
      logType: 'Tail',
    })
    expect(code).toBe(0)
    const { log, memUsage, ...rest } = data
    expect(rest).toEqual({
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      retMsg: '"wörld & @1"',
      payLoad: '"wörld & @1"',
      errMsg: '',
      logMsg: log,
      memSize: memUsage,
      duration: expect.any(Number),
      billDuration: 100,
      invokeResult: 0,
    })
    expect(memUsage).toBeGreaterThan(1024 * 1024)
    expect(log).toMatch(new RegExp(`^START RequestId: ${data.requestId}\n[^]*a line\n`))
  })

  test('sees how a call failed', async () => {
    await deploy('throws', `exports.main_handler = async () => { throw new Error('no') }`)
    const thrown = await suite.legacy({ Action: 'InvokeFunction', functionName: 'throws' })
    expect(thrown).toMatchObject({ code: 0, data: { retMsg: thrown.data.errMsg, invokeResult: 1 } })
    expect(JSON.parse(thrown.data.errMsg)).toMatchObject({ errorCode: 1, statusCode: 430 })
    await deploy('sleeps', `exports.main_handler = () => new Promise(() => setInterval(() => {}, 1000))`, {
      timeout: 1,
    })
    const { data } = await suite.legacy({ Action: 'InvokeFunction', functionName: 'sleeps' })
    expect(JSON.parse(data.errMsg)).toMatchObject({ errorCode: -1, statusCode: 433 })
  })

  test('has a function run later', async () => {
    await deploy('later', `exports.main_handler = async (e, c) => console.log('ran ' + c.request_id)`)
    const call = { Action: 'InvokeFunction', functionName: 'later', invokeType: 'Event' }
    const { data } = await suite.legacy(call)
    expect(Object.keys(data)).toEqual(['requestId'])
    await suite.server.untilLogged('default', 'later', (log) => log.includes(`ran ${data.requestId}`))
  })

  test('takes events up to 1 MB', async () => {
    await deploy('size', `exports.main_handler = async (e) => e.length`)
    const call = { Action: 'InvokeFunction', functionName: 'size' }
    const param = JSON.stringify('x'.repeat(1024 * 1024 - 2))
    expect((await suite.legacy({ ...call, param })).data.retMsg).toBe(String(param.length - 2))
    expect(await suite.legacy({ ...call, param: ` ${param}` })).toMatchObject({ code: 4000 })
  })

  test('is refused with numbers', async () => {
    expect(await suite.legacy({ Action: 'Nothing' })).toMatchObject({ code: 6100 })
    expect(await suite.legacy({ Action: 'InvokeFunction' })).toMatchObject({ code: 4000 })
    expect(await suite.legacy({ Action: 'ListFunctions', SecretId: 'nobody' })).toMatchObject({ code: 4104 })
    expect(await suite.legacy({ Action: 'ListFunctions', Timestamp: 1_551_113_065 })).toMatchObject({
      code: 4500,
    })
    expect(await suite.legacy({ Action: 'ListFunctions', Region: 'mars' })).toMatchObject({ code: 4000 })
  })

  test('may also speak API 3.0, as the client inside functions does', async () => {
    await deploy('young', `exports.main_handler = async (e) => e`)
    const { scf } = suite
    expect((await scf.Invoke({ FunctionName: 'young', ClientContext: '{"a":1}' })).Result?.RetMsg).toBe(
      '{"a":1}',
    )
    const call = legacyClient(suite.server, { path: '/' })
    const answer: unknown = await call({
      Action: 'Invoke',
      Version: '2018-04-16',
      FunctionName: 'young',
      ClientContext: '"@b_c"',
    })
    expect(answer).toMatchObject({ Response: { Result: { RetMsg: '"@b_c"' } } })
  })

  test('is told when it sends a request again', async () => {
    const nonce = { Nonce: 4711, Timestamp: Math.round(Date.now() / 1000) }
    expect(await suite.legacy({ Action: 'ListFunctions', ...nonce })).toMatchObject({ code: 0 })
    expect(await suite.legacy({ Action: 'ListFunctions', ...nonce })).toMatchObject({ code: 4500 })
    expect(await suite.legacy({ Action: 'ListFunctions', limit: 1, ...nonce })).toMatchObject({ code: 0 })
  })
})
