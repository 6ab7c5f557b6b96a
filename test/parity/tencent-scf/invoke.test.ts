import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { scfClient, Suite, type Way } from './clients.ts'

let suite: Suite

beforeAll(async () => {
  suite = await Suite.start()
  await suite.deploy(
    'hello',
    `exports.main_handler = async (event, context) => {
      console.log('one line for ' + context.request_id)
      return { greeting: 'hello ' + event.name, version: context.function_version }
    }`,
  )
})

afterAll(() => suite?.server.close())

const WAYS: readonly Required<Way>[] = (['TC3-HMAC-SHA256', 'HmacSHA1', 'HmacSHA256'] as const).flatMap(
  (signMethod) => (['POST', 'GET'] as const).map((reqMethod) => ({ signMethod, reqMethod })),
)

describe.each(WAYS)('the client of API 3.0, signing with $signMethod and sending with $reqMethod', (way) => {
  test('calls a function and gets its result, its figures and its log', async () => {
    const client = scfClient(suite.server, way)
    const { Result, RequestId } = await client.Invoke({
      FunctionName: 'hello',
      ClientContext: '{"name":"wörld & +1"}',
      LogType: 'Tail',
    })
    expect(Result).toEqual({
      FunctionRequestId: RequestId,
      RetMsg: '{"greeting":"hello wörld & +1","version":"$LATEST"}',
      ErrMsg: '',
      Log: expect.stringContaining(`one line for ${RequestId}`),
      MemUsage: expect.any(Number),
      Duration: expect.any(Number),
      BillDuration: expect.any(Number),
      InvokeResult: 0,
    })
    expect(Result?.MemUsage).toBeGreaterThan(1024 * 1024)
  })

  test('reads errors by their codes', async () => {
    const client = scfClient(suite.server, way)
    await expect(client.Invoke({ FunctionName: 'nobody' })).rejects.toMatchObject({
      code: 'ResourceNotFound.FunctionName',
      message: "function 'nobody' does not exist in namespace 'default'",
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    })
  })

  test('gets lists and nested members across', async () => {
    const client = scfClient(suite.server, way)
    const { Functions, TotalCount } = await client.ListFunctions({
      Limit: 10,
      Filters: [{ Name: 'Runtime', Values: ['Nodejs18.15', 'Python3.9'] }],
    })
    expect(TotalCount).toBe(1)
    expect(Functions?.map(({ FunctionName }) => FunctionName)).toEqual(['hello'])
  })

  test('is refused with a wrong secret', async () => {
    const client = scfClient(suite.server, way, { secretId: 'parityAccessKeyId', secretKey: 'wrong' })
    await expect(client.ListFunctions({})).rejects.toMatchObject({ code: 'AuthFailure.SignatureFailure' })
    const nobody = scfClient(suite.server, way, { secretId: 'nobody', secretKey: 'wrong' })
    await expect(nobody.ListFunctions({})).rejects.toMatchObject({ code: 'AuthFailure.SecretIdNotFound' })
  })
})

describe('a synchronous call', () => {
  test('of InvokeFunction goes through $DEFAULT', async () => {
    const { Result } = await suite.scf.InvokeFunction({ FunctionName: 'hello', Event: '{"name":"you"}' })
    expect(Result).toMatchObject({ RetMsg: '{"greeting":"hello you","version":"$LATEST"}', Log: '' })
    await suite.scf.PublishVersion({ FunctionName: 'hello' })
    await suite.scf.UpdateAlias({ FunctionName: 'hello', Name: '$DEFAULT', FunctionVersion: '1' })
    const rerouted = await suite.scf.InvokeFunction({ FunctionName: 'hello', Event: '{"name":"you"}' })
    expect(rerouted.Result?.RetMsg).toBe('{"greeting":"hello you","version":"1"}')
    expect((await suite.invoke('hello', { name: 'me' })).RetMsg).toContain('$LATEST')
    await suite.scf.UpdateAlias({ FunctionName: 'hello', Name: '$DEFAULT', FunctionVersion: '$LATEST' })
  })

  test('through an alias with rules goes where the routing key says', async () => {
    const FunctionName = 'routed'
    await suite.deploy(FunctionName, `exports.main_handler = async (e, context) => context.function_version`)
    for (const Description of ['one', 'two']) await suite.scf.PublishVersion({ FunctionName, Description })
    const match = { Version: '2', Key: 'invoke.headers.user', Method: 'range', Expression: '[10,20)' }
    await suite.scf.CreateAlias({
      FunctionName,
      Name: 'prod',
      FunctionVersion: '1',
      RoutingConfig: { AddtionVersionMatchs: [match] },
    })
    const versionFor = async (RoutingKey?: string): Promise<string> =>
      (await suite.invoke(FunctionName, {}, { Qualifier: 'prod', ...(RoutingKey ? { RoutingKey } : {}) }))
        .RetMsg
    expect(await versionFor()).toBe('"1"')
    expect(await versionFor('{"user":10}')).toBe('"2"')
    expect(await versionFor('{"user":"19"}')).toBe('"2"')
    expect(await versionFor('{"user":20}')).toBe('"1"')
    expect(await versionFor('{"other":15}')).toBe('"1"')
    await expect(versionFor('no json')).rejects.toMatchObject({ code: 'InvalidParameterValue' })
  })

  test('has a log tail that frames the lines of the code', async () => {
    const { Log, FunctionRequestId: id } = await suite.invoke('hello', { name: 'you' })
    expect(Log).toMatch(
      new RegExp(
        `^START RequestId: ${id}\nEvent RequestId: ${id}\n[^\n]*one line for ${id}\n` +
          `END RequestId: ${id}\nReport RequestId: ${id} Duration:\\d+ms Memory:128MB MemUsage:[\\d.]+MB\n?$`,
      ),
    )
  })

  test('takes events up to 6 MB and refuses longer ones and those that are no JSON', async () => {
    await suite.deploy('size', `exports.main_handler = async (event) => event.length`)
    const long = 'x'.repeat(6 * 1024 * 1024 - 2)
    expect((await suite.invoke('size', long)).RetMsg).toBe(String(long.length))
    await expect(suite.invoke('size', `${long}x`)).rejects.toMatchObject({ code: 'InvalidParameter.Payload' })
    const noJson = { FunctionName: 'size', ClientContext: 'no json' }
    await expect(suite.scf.Invoke(noJson)).rejects.toMatchObject({ code: 'InvalidParameterValue.Param' })
    await expect(suite.scf.Invoke({ FunctionName: 'size', InvocationType: 'Sync' })).rejects.toMatchObject({
      code: 'InvalidParameterValue.InvokeType',
    })
    await expect(suite.invoke('size', '', { Qualifier: '7' })).rejects.toMatchObject({
      code: 'ResourceNotFound.Version',
    })
  })

  test('with streams and buffers as a multipart request works', async () => {
    const answer: unknown = await suite.scf.request(
      'Invoke',
      { FunctionName: 'hello', ClientContext: Buffer.from('{"name":"parts"}') },
      { multipart: true },
    )
    expect(answer).toMatchObject({ Result: { RetMsg: expect.stringContaining('hello parts') } })
  })
})

describe('a call that fails', () => {
  test('with an exception has the failure as result and as message', async () => {
    await suite.deploy('throws', `exports.main_handler = async () => { throw new TypeError('not this one') }`)
    const { RetMsg, ErrMsg, InvokeResult, Log, FunctionRequestId } = await suite.invoke('throws')
    expect(RetMsg).toBe(ErrMsg)
    expect(InvokeResult).toBe(1)
    expect(JSON.parse(ErrMsg)).toEqual({
      errorCode: 1,
      errorMessage: 'user code exception caught',
      requestId: FunctionRequestId,
      stackTrace: expect.stringMatching(/^TypeError: not this one\n.*\/var\/user\/index\.js:1/),
      statusCode: 430,
    })
    expect(Log).toContain(`ERROR RequestId:${FunctionRequestId} Result:{"errorCode":1`)
  })

  test('by its timeout says so', async () => {
    await suite.deploy(
      'sleeps',
      `exports.main_handler = () => new Promise(() => setInterval(() => {}, 1000))`,
      {
        Timeout: 1,
      },
    )
    const { ErrMsg, InvokeResult, FunctionRequestId } = await suite.invoke('sleeps')
    expect(InvokeResult).toBe(-1)
    expect(JSON.parse(ErrMsg)).toEqual({
      errorCode: -1,
      errorMessage: 'Invoking task timed out after 1 seconds',
      requestId: FunctionRequestId,
      statusCode: 433,
    })
  })

  test('because its process died says so, and the next one works', async () => {
    await suite.deploy(
      'dies',
      `exports.main_handler = async (event) => { if (event.die) process.exit(3); return 1 }`,
    )
    const { ErrMsg } = await suite.invoke('dies', { die: true })
    expect(JSON.parse(ErrMsg)).toMatchObject({
      errorMessage: 'User process exit when running',
      statusCode: 439,
    })
    expect((await suite.invoke('dies')).RetMsg).toBe('1')
  })

  test('because its code cannot be loaded says so', async () => {
    await suite.deploy('absent', 'exports.other = 1')
    const { ErrMsg } = await suite.invoke('absent')
    expect(JSON.parse(ErrMsg)).toMatchObject({ errorCode: 1, statusCode: 443 })
  })

  test('because its reserve is 0 is refused with 432', async () => {
    await suite.deploy('reserved', 'exports.main_handler = async () => 1')
    await suite.scf.PutReservedConcurrencyConfig({ FunctionName: 'reserved', ReservedConcurrencyMem: 0 })
    await expect(suite.invoke('reserved')).rejects.toMatchObject({
      code: 'LimitExceeded.FunctionReservedConcurrencyMemory',
      message: 'ResourceLimitReached (432): Function [ reserved ] concurrency exceeded reserved quota 0 MB',
    })
  })
})

describe('an asynchronous call', () => {
  test('is answered at once with nothing but its id, and runs', async () => {
    await suite.deploy(
      'later',
      `exports.main_handler = async (e, c) => console.log('ran ' + e.n + ' ' + c.request_id)`,
    )
    const result = await suite.invoke('later', { n: 5 }, { InvocationType: 'Event' })
    const { FunctionRequestId } = result
    expect(result).toEqual({
      FunctionRequestId,
      RetMsg: '',
      ErrMsg: '',
      Log: '',
      MemUsage: 0,
      Duration: 0,
      BillDuration: 0,
      InvokeResult: 0,
    })
    await suite.server.untilLogged('default', 'later', (log) => log.includes(`ran 5 ${FunctionRequestId}`))
  })

  test('is every call of a function that runs in the background', async () => {
    await suite.deploy(
      'background',
      `exports.main_handler = async (e, c) => console.log('did ' + c.request_id)`,
      {
        AsyncRunEnable: 'TRUE',
      },
    )
    const { FunctionRequestId, RetMsg } = await suite.invoke('background')
    expect(RetMsg).toBe('')
    await suite.server.untilLogged('default', 'background', (log) => log.includes(`did ${FunctionRequestId}`))
  })

  test('may hold 128 KB and no more; what it names must exist', async () => {
    const Event = { InvocationType: 'Event' }
    const long = 'x'.repeat(128 * 1024 - 2)
    await suite.invoke('later', long, Event)
    await expect(suite.invoke('later', `${long}x`, Event)).rejects.toMatchObject({
      code: 'InvalidParameter.Payload',
    })
    await expect(suite.invoke('nobody', {}, Event)).rejects.toMatchObject({
      code: 'ResourceNotFound.FunctionName',
    })
    await expect(suite.invoke('later', {}, { ...Event, Qualifier: 'prod' })).rejects.toMatchObject({
      code: 'ResourceNotFound.Alias',
    })
  })
})

describe('temporary credentials', () => {
  test('that a function with a role was given work from outside', async () => {
    await suite.deploy(
      'keys',
      `exports.main_handler = async () => ({
        secretId: process.env.TENCENTCLOUD_SECRETID,
        secretKey: process.env.TENCENTCLOUD_SECRETKEY,
        token: process.env.TENCENTCLOUD_SESSIONTOKEN,
      })`,
      { Role: 'SCF_Role' },
    )
    const keys = JSON.parse((await suite.invoke('keys')).RetMsg)
    for (const way of WAYS) {
      const { TotalCount } = await scfClient(suite.server, way, keys).ListFunctions({})
      expect(TotalCount).toBeGreaterThan(0)
      const forged = { ...keys, token: `${keys.token}x` }
      await expect(scfClient(suite.server, way, forged).ListFunctions({})).rejects.toMatchObject({
        code: 'AuthFailure.TokenFailure',
      })
    }
  })
})
