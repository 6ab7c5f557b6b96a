import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cronFault } from '../../../src/dialects/tencent-scf/cron.ts'
import { functionParams, openHarness, type Harness, type TestReply } from './harness.ts'

let server: Harness
const FunctionName = 'hello'

beforeAll(async () => {
  server = await openHarness()
  await server.call('CreateFunction', await functionParams(FunctionName))
  await server.call('PublishVersion', { FunctionName })
})
afterAll(() => server.close())

const call = (action: string, params: object = {}): Promise<TestReply> =>
  server.call(action, { FunctionName, ...params })

async function listed(params: object = {}): Promise<unknown> {
  const { response, message } = await call('ListTriggers', params)
  expect(message).toBe(undefined)
  return response['Triggers']
}

const CRON = '0 */6 * * * * *'

describe('a timer', () => {
  test('goes in as a bare cron text and comes back as JSON with the text unchanged', async () => {
    const { response } = await call('CreateTrigger', {
      TriggerName: 'every',
      Type: 'timer',
      TriggerDesc: CRON,
      CustomArgument: 'hi',
    })
    const trigger = {
      Type: 'timer',
      TriggerName: 'every',
      TriggerDesc: '{"cron":"0 */6 * * * * *"}',
      Enable: 1,
      CustomArgument: 'hi',
      AvailableStatus: 'Available',
      AddTime: '2026-11-21 18:00:00',
      ModTime: '2026-11-21 18:00:00',
      Qualifier: '$LATEST',
      Description: '',
      ResourceId: '',
      BindStatus: '',
      TriggerAttribute: '',
    }
    expect(response['TriggerInfo']).toEqual(trigger)
    expect(await listed()).toEqual([{ ...trigger, BoundResources: '' }])
    const { response: fetched } = await call('GetFunction', { ShowTriggers: 'TRUE' })
    expect(fetched['Triggers']).toEqual([trigger])
  })

  test('is taken as JSON, too, for a version, switched off', async () => {
    await call('CreateTrigger', {
      TriggerName: 'json',
      Type: 'timer',
      TriggerDesc: `{"cron": "${CRON}"}`,
      Enable: 'CLOSE',
      Qualifier: '1',
    })
    expect(await listed({ Filters: [{ Name: 'Qualifier', Values: ['1'] }] })).toMatchObject([
      { TriggerName: 'json', TriggerDesc: `{"cron":"${CRON}"}`, Enable: 0, Qualifier: '1' },
    ])
  })

  test('is changed member by member, switched, and deleted with whatever description', async () => {
    server.clockMs += 1000
    await call('UpdateTrigger', { TriggerName: 'every', Type: 'timer', Enable: 'CLOSE', Description: 'd' })
    expect(await listed()).toMatchObject([
      {
        TriggerName: 'every',
        Enable: 0,
        Description: 'd',
        CustomArgument: 'hi',
        ModTime: '2026-11-21 18:00:01',
      },
      { TriggerName: 'json' },
    ])
    await call('UpdateTrigger', { TriggerName: 'every', Type: 'timer', CustomArgument: '', Description: '' })
    await call('UpdateTriggerStatus', { TriggerName: 'every', Type: 'timer', Enable: 'OPEN' })
    expect(await listed({ Filters: [{ Name: 'TriggerName', Values: ['every'] }] })).toMatchObject([
      { Enable: 1, CustomArgument: '', Description: '' },
    ])
    const elsewhere = await call('DeleteTrigger', { TriggerName: 'every', Type: 'timer', Qualifier: '1' })
    expect(elsewhere.code).toBe('ResourceNotFound.Trigger')
    const TriggerDesc = JSON.stringify(JSON.stringify({ cron: CRON }))
    const gone = await call('DeleteTrigger', { TriggerName: 'every', Type: 'timer', TriggerDesc })
    expect(gone.message).toBe(undefined)
    expect(await listed()).toMatchObject([{ TriggerName: 'json' }])
  })

  test.each([
    [{ TriggerName: 'json', Type: 'timer', TriggerDesc: CRON }, 'ResourceInUse.Trigger'],
    [{ TriggerName: '1', Type: 'timer', TriggerDesc: CRON }, 'InvalidParameterValue.TriggerName'],
    [{ TriggerName: 'x', Type: 'timer' }, 'MissingParameter'],
    [{ TriggerName: 'x', Type: 'timer', TriggerDesc: 'often' }, 'InvalidParameterValue.TriggerDesc'],
    [{ TriggerName: 'x', Type: 'timer', TriggerDesc: '{"every":1}' }, 'InvalidParameterValue.TriggerDesc'],
    [{ TriggerName: 'x', Type: 'cron', TriggerDesc: CRON }, 'InvalidParameterValue.Type'],
    [{ TriggerName: 'x', Type: 'timer', TriggerDesc: CRON, Enable: 'on' }, 'InvalidParameterValue.Enable'],
    [{ TriggerName: 'x', Type: 'timer', TriggerDesc: CRON, Qualifier: '9' }, 'ResourceNotFound.Version'],
    [
      { TriggerName: 'x', Type: 'timer', TriggerDesc: CRON, CustomArgument: 'x'.repeat(4097) },
      'InvalidParameterValue.CustomArgument',
    ],
    [{ TriggerName: 'a/b', Type: 'cos', TriggerDesc: '{"event":"e"}' }, 'InvalidParameterValue.TriggerName'],
    [{ TriggerName: 'b', Type: 'cos', TriggerDesc: '{}' }, 'InvalidParameterValue.TriggerDesc'],
    [{ TriggerName: 'b', Type: 'http', TriggerDesc: '[1]' }, 'InvalidParameterValue.TriggerDesc'],
  ])('%j is refused with %s and not stored', async (params, code) => {
    const before = server.catalogue.count('trigger', '')
    expect((await call('CreateTrigger', params)).code).toBe(code)
    expect(server.catalogue.count('trigger', '')).toBe(before)
  })

  test('there may be ten of a kind', async () => {
    for (let number = 2; number <= 10; number += 1)
      await call('CreateTrigger', { TriggerName: `t${number}`, Type: 'timer', TriggerDesc: CRON })
    const eleventh = await call('CreateTrigger', { TriggerName: 't11', Type: 'timer', TriggerDesc: CRON })
    expect(eleventh.code).toBe('LimitExceeded.Trigger')
  })
})

describe('other triggers', () => {
  test('a bucket’s comes back with the bucket in front, also when that is sent back', async () => {
    const bucket = 'pics-1250000000.cos.ap-guangzhou.myqcloud.com'
    const desc = '{"event":"cos:ObjectCreated:*","filter":{"Prefix":"a","Suffix":""}}'
    const canonical = `{"bucketUrl":"${bucket}",${desc.slice(1)}`
    await call('CreateTrigger', { TriggerName: bucket, Type: 'cos', TriggerDesc: desc })
    const filter = { Filters: [{ Name: 'TriggerName', Values: [bucket] }] }
    expect(await listed(filter)).toMatchObject([{ Type: 'cos', TriggerDesc: canonical }])
    await call('UpdateTriggerStatus', {
      TriggerName: bucket,
      Type: 'cos',
      TriggerDesc: canonical,
      Enable: 'CLOSE',
    })
    expect(await listed(filter)).toMatchObject([{ TriggerDesc: canonical, Enable: 0 }])
  })

  test.each([
    ['apigw', '{"api": {"authRequired": "FALSE"}}', '{"api":{"authRequired":"FALSE"}}'],
    ['http', '{"AuthType": "NONE"}', '{"AuthType":"NONE"}'],
    ['ckafka', '{"maxMsgNum": 100, "offset": "latest"}', '{"maxMsgNum":100,"offset":"latest"}'],
    ['cmq', '{}', '{}'],
    ['cls', 'anything', 'anything'],
  ])('one of type %s is kept as JSON without blanks', async (Type, TriggerDesc, kept) => {
    const { response } = await call('CreateTrigger', { TriggerName: `a-${Type}`, Type, TriggerDesc })
    expect(response['TriggerInfo']).toMatchObject({ Type, TriggerDesc: kept })
  })
})

describe('cron texts', () => {
  test.each([
    '0 */6 * * * * *',
    '0 0 2 1 * * *',
    '0 15 10 * * MON-FRI *',
    '0 0 9-18/2 * jan,feb * 2026-2030',
    '*/5 * * * *',
    '0 0 12 L * ? *',
    '0 0 12 15W * * *',
    '0 0 12 ? * 5#3 *',
    '0 0 12 ? * 5L *',
    '1/10 0 0 1-31 1-12 0-6 1970',
  ])("'%s' is one", (text) => {
    expect(cronFault(text)).toBe(undefined)
  })

  test.each([
    '',
    '* * * *',
    '* * * * * *',
    '60 * * * * * *',
    '* 60 * * * * *',
    '* * 24 * * * *',
    '* * * 0 * * *',
    '* * * 32 * * *',
    '* * * * 13 * *',
    '* * * * * 7 *',
    '* * * * * * 1969',
    '*/0 * * * * * *',
    '1-2-3 * * * * * *',
    '5-1 * * * * * *',
    '1,, * * * * * *',
    '? * * * * * *',
    '* * * * XYZ * *',
    '* '.repeat(200),
  ])("'%s' is none", (text) => {
    expect(cronFault(text)).toEqual(expect.any(String))
  })
})
