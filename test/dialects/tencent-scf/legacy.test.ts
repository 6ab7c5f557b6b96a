import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { functionParams, openHarness, zipOf, type Harness, type TestReply } from './harness.ts'
import { CLOCK_MS } from './signing.ts'

let server: Harness
const functionName = 'hello'

beforeAll(async () => {
  server = await openHarness()
})
afterAll(() => server.close())

const call = (action: string, params: object = {}): Promise<TestReply> =>
  server.callLegacy(action, { functionName, ...params })

async function done(action: string, params: object = {}): Promise<TestReply['json']> {
  const { json } = await call(action, params)
  expect(json).toMatchObject({ code: 0, message: '', codeDesc: 'Success' })
  return json
}

describe('functions of the legacy API', () => {
  test('are made with code that begins with @, all values being texts', async () => {
    const json = await done('CreateFunction', {
      handler: 'index.main_handler',
      runtime: 'Nodejs8.9',
      code: `@${await zipOf()}`,
      memorySize: '256',
      timeout: '10',
      description: 'd',
      environment: { variables: [{ key: 'A', value: '1' }] },
      vpc: { vpcId: 'vpc-1', subnetId: 'subnet-1' },
    })
    expect(json['data']).toBe(undefined)
    const { response } = await server.call('GetFunction', { FunctionName: functionName })
    expect(response).toMatchObject({
      MemorySize: 256,
      Timeout: 10,
      Environment: { Variables: [{ Key: 'A', Value: '1' }] },
      VpcConfig: { VpcId: 'vpc-1', SubnetId: 'subnet-1' },
    })
  })

  test('are shown with their triggers, and their source on request', async () => {
    await done('SetTrigger', { triggerName: 'every', type: 'timer', triggerDesc: '0 */5 * * * * *' })
    expect((await done('GetFunction'))['data']).toEqual({
      functionName,
      handler: 'index.main_handler',
      description: 'd',
      memorySize: 256,
      timeout: 10,
      runtime: 'Nodejs8.9',
      codeSize: expect.any(Number),
      version: 'LATEST',
      modTime: '2026-11-21 18:00:00',
      triggers: [
        {
          triggerName: 'every',
          type: 'timer',
          triggerDesc: '{"cron":"0 */5 * * * * *"}',
          addTime: '2026-11-21 18:00:00',
          modTime: '2026-11-21 18:00:00',
        },
      ],
    })
    expect((await done('GetFunction', { code: '1', version: '$LATEST' }))['data']).toMatchObject({
      code: 'exports.main_handler = () => 1\n',
      codeResult: 'success',
      codeError: '',
    })
  })

  test('are changed, code and settings in one', async () => {
    const code = await zipOf('exports.main_handler = () => 2\n')
    await done('UpdateFunction', { code, description: 'after', timeout: 20, version: 'LATEST' })
    expect((await done('GetFunction', { code: 1 }))['data']).toMatchObject({
      code: 'exports.main_handler = () => 2\n',
      description: 'after',
      timeout: 20,
      memorySize: 256,
    })
  })

  test('are listed and searched', async () => {
    await server.call('CreateFunction', await functionParams('another'))
    expect((await done('ListFunctions', { order: 'asc', orderby: 'functionname' }))['data']).toEqual({
      functions: [
        {
          functionName: 'another',
          runtime: 'Nodejs18.15',
          addTime: expect.any(String),
          modTime: expect.any(String),
        },
        { functionName, runtime: 'Nodejs8.9', addTime: expect.any(String), modTime: expect.any(String) },
      ],
      total: 2,
    })
    expect((await done('ListFunctions', { searchKey: 'hel', limit: 1 }))['data']).toMatchObject({
      total: 1,
      functions: [{ functionName }],
    })
  })

  test.each([
    ['CreateFunction', { code: 'x' }, 4000],
    ['CreateFunction', { handler: 'index.h', code: '@UEs=', codeObject: { cosBucketName: 'b' } }, 4000],
    ['CreateFunction', { handler: 'index.h', codeObject: { cosBucketName: 'b' } }, 5100],
    ['CreateFunction', { handler: 'index.h', code: '@UEs=', functionName: 'hello' }, 5100],
    ['UpdateFunction', { version: '1' }, 4000],
    ['UpdateFunction', { memorySize: '100' }, 4000],
    ['GetFunction', { functionName: 'absent' }, 5000],
    ['GetFunction', { functionName: '' }, 4000],
    ['DeleteFunction', { functionName: 'absent' }, 5000],
    ['ListFunctions', { orderby: 'size' }, 4000],
    ['SetTrigger', { triggerName: 't', type: 'timer', triggerDesc: 'often' }, 4000],
    ['SetTrigger', { triggerName: 't', type: 'ckafka', triggerDesc: '{}' }, 5100],
    ['DeleteTrigger', { triggerName: 'absent', type: 'timer' }, 5000],
    ['CopyFunction', {}, 6100],
  ])('%s of %j fails with %i', async (action, params, code) => {
    const { json } = await call(action, params)
    expect(json).toMatchObject({ code, message: expect.stringMatching(/./), codeDesc: expect.any(String) })
  })

  test.each([
    [
      'code: {zipFile}',
      { code: { zipFile: 'UEs=' } },
      4000,
      /code must be a text: the base64 of a zip archive with '@' in front/,
    ],
    ['the same, flattened', { 'code.ZipFile': 'UEs=' }, 4000, /code must be a text/],
    ['nothing', {}, 4000, /missing the parameter code$/],
    ['no text in it', { code: '' }, 4000, /\bcode is empty/],
    ['code that is elsewhere', { codeObject: { cosBucketName: 'b' } }, 5100, /send a zip archive as code$/],
  ])(
    'code given as %s is refused by the name that this API has for it',
    async (_how, params, code, message) => {
      const { json } = await call('CreateFunction', {
        functionName: 'codeless',
        handler: 'index.h',
        ...params,
      })
      expect(json).toMatchObject({ code, message: expect.stringMatching(message) })
      expect(json['message']).not.toContain('ZipFile is')
    },
  )
})

describe('triggers of the legacy API', () => {
  test('are changed and renamed by setting them, but for those of buckets', async () => {
    await done('SetTrigger', {
      triggerName: 'every',
      type: 'timer',
      triggerDesc: '0 0 * * * * *',
      newTriggerName: 'hourly',
    })
    const bucket = 'b-1.cos.ap-guangzhou.myqcloud.com'
    const event = { triggerName: bucket, type: 'cos', triggerDesc: '{"event":"cos:ObjectCreated:*"}' }
    await done('SetTrigger', event)
    expect((await call('SetTrigger', event)).code).toBe(5100)
    const { data } = await done('GetFunction')
    expect(data).toMatchObject({
      triggers: [
        { triggerName: bucket, triggerDesc: `{"bucketUrl":"${bucket}","event":"cos:ObjectCreated:*"}` },
        { triggerName: 'hourly', triggerDesc: '{"cron":"0 0 * * * * *"}' },
      ],
    })
    await done('DeleteTrigger', { triggerName: 'hourly', type: 'timer' })
    await done('DeleteTrigger', { ...event })
  })
})

describe('the rest of the legacy API', () => {
  test('logs stand beside the code, in two members', async () => {
    server.records.push({
      requestId: 'one',
      version: 'LATEST',
      endedAtMs: CLOCK_MS,
      ending: 'returned',
      durationMs: 0.422,
      billedDurationMs: 1,
      maxMemoryBytes: 131_072,
      retryCount: 0,
      log: 'START\n',
      result: '"ok"',
    })
    const json = await done('GetFunctionLogs', { orderby: 'startTime', filter: { retCode: 'is0' } })
    expect(json).toMatchObject({
      total: 1,
      data: [
        {
          functionName,
          requestId: 'one',
          retMsg: '"ok"',
          startTime: '2026-11-21 18:00:00',
          retCode: 0,
          invokeFinished: 1,
          duration: 0.422,
          billDuration: 100,
          memUsage: 131_072,
          log: 'START\n',
        },
      ],
    })
  })

  test('account settings are those of GetAccount', async () => {
    expect((await done('GetAccountSettings'))['data']).toMatchObject({
      accountUsage: { namespacesCount: 1, namespace: [{ namespace: 'default', functionsCount: 2 }] },
      accountLimit: { namespace: [{ retryNumLimit: 2, trigger: { timer: 10 } }] },
    })
  })

  test('a function goes with everything', async () => {
    await done('DeleteFunction')
    expect((await call('GetFunction')).code).toBe(5000)
  })
})
