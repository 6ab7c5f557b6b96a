import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CallRecord } from '../../../src/model/call-record.ts'
import { functionParams, openHarness, type Harness, type TestReply } from './harness.ts'
import { CLOCK_MS } from './signing.ts'

let server: Harness
const FunctionName = 'hello'

function recordOf(requestId: string, more: Partial<CallRecord> = {}): CallRecord {
  return {
    requestId,
    version: 'LATEST',
    endedAtMs: CLOCK_MS,
    ending: 'returned',
    durationMs: 1.2345,
    billedDurationMs: 2,
    maxMemoryBytes: 10 * 1024 * 1024,
    retryCount: 0,
    log: `START RequestId: ${requestId}\n`,
    ...more,
  }
}

beforeAll(async () => {
  server = await openHarness()
  await server.call('CreateFunction', await functionParams(FunctionName))
  await server.call('PublishVersion', { FunctionName })
  server.records.push(
    recordOf('good', { result: '"ok"' }),
    recordOf('late', {
      ending: 'timedOut',
      reason: 'timedOut',
      endedAtMs: CLOCK_MS - 1000,
      durationMs: 3000,
    }),
    recordOf('bad', {
      ending: 'threw',
      reason: 'Error',
      endedAtMs: CLOCK_MS - 2000,
      version: '1',
      retryCount: 1,
    }),
    recordOf('old', { endedAtMs: CLOCK_MS - 3_600_000 }),
  )
})
afterAll(() => server.close())

const call = (action: string, params: object = {}): Promise<TestReply> =>
  server.call(action, { FunctionName, ...params })

async function ids(params: object): Promise<unknown> {
  const { response, message } = await call('GetFunctionLogs', params)
  expect(message).toBe(undefined)
  const data = response['Data']
  if (!Array.isArray(data)) throw new TypeError('the answer has no list')
  return data.map((entry: { RequestId: string }) => entry.RequestId)
}

describe('logs', () => {
  test('of a call that the platform ended show the failure that its caller was answered', async () => {
    const body = '{"errorCode":-1,"errorMessage":"Invoking task timed out after 3 seconds","statusCode":433}'
    const log =
      'START RequestId: slow\nERROR RequestId:slow Result:mine\n' +
      `ERROR RequestId:slow Result:${body}\nEND RequestId: slow\nReport RequestId: slow\n`
    const slow = recordOf('slow', { ending: 'timedOut', log })
    server.records.push(slow, { ...slow, requestId: 'fine', ending: 'returned' })
    const shown = async (requestId: string): Promise<unknown[]> => {
      const params = { FunctionRequestId: requestId }
      const one = await call('GetFunctionLogs', params)
      const status = await call('GetRequestStatus', params)
      const legacy = await server.callLegacy('GetFunctionLogs', { functionName: FunctionName, requestId })
      return [one.response['Data'], status.response['Data'], legacy.json['data']]
    }
    try {
      expect(await shown('slow')).toMatchObject([[{ RetMsg: body }], [{ RetMsg: body }], [{ retMsg: body }]])
      expect(await shown('fine')).toMatchObject([[{ RetMsg: '' }], [{ RetMsg: '' }], [{ retMsg: '' }]])
    } finally {
      server.records.splice(-2)
    }
  })

  test('have every member of the vendor’s model', async () => {
    const { response } = await call('GetFunctionLogs', { Limit: 1 })
    expect(response).toMatchObject({
      TotalCount: 4,
      Data: [
        {
          FunctionName,
          RetMsg: '"ok"',
          RequestId: 'good',
          StartTime: '2026-11-21 17:59:59',
          RetCode: 0,
          InvokeFinished: 1,
          Duration: 1.235,
          BillDuration: 2,
          MemUsage: 10_485_760,
          Log: 'START RequestId: good\n',
          Level: '',
          Source: '',
          RetryNum: 0,
        },
      ],
      SearchContext: { Offset: '', Limit: 1, Keyword: '', Type: '' },
    })
  })

  test.each([
    [{}, ['good', 'bad', 'late', 'old']],
    [{ Offset: 1, Limit: 2 }, ['bad', 'late']],
    [{ Order: 'asc', OrderBy: 'start_time' }, ['old', 'late', 'bad', 'good']],
    [{ Order: 'desc', OrderBy: 'duration', Limit: 1 }, ['late']],
    [{ Filter: { RetCode: 'not0' } }, ['bad', 'late']],
    [{ Filter: { RetCode: 'is0' } }, ['good', 'old']],
    [{ Filter: { RetCode: 'TimeLimitExceeded' } }, ['late']],
    [{ Filter: { RetCode: 'UserCodeException' } }, ['bad']],
    [{ FunctionRequestId: 'bad' }, ['bad']],
    [{ Qualifier: '1' }, ['bad']],
    [{ StartTime: '2026-11-21 17:59:58', EndTime: '2026-11-21 18:00:00' }, ['bad', 'late']],
    [{ SearchContext: { Offset: '', Limit: 10, Keyword: 'late' } }, ['late']],
    [{ Limit: 10_000 }, ['good', 'bad', 'late', 'old']],
  ])('%j finds %j', async (params, expected) => {
    expect(await ids(params)).toEqual(expected)
  })

  test.each([
    [{ Offset: 9_990, Limit: 11 }, 'LimitExceeded.Offset'],
    [{ OrderBy: 'colour' }, 'InvalidParameterValue.OrderBy'],
    [{ Filter: { RetCode: 'maybe' } }, 'InvalidParameterValue.Filters'],
    [{ StartTime: 'now' }, 'InvalidParameterValue.DateTime'],
    [
      { StartTime: '2026-11-20 00:00:00', EndTime: '2026-11-21 00:00:01' },
      'InvalidParameterValue.StartTimeOrEndTime',
    ],
    [
      { StartTime: '2026-11-21 00:00:01', EndTime: '2026-11-21 00:00:00' },
      'InvalidParameterValue.StartTimeOrEndTime',
    ],
    [{ FunctionName: 'absent' }, 'ResourceNotFound.FunctionName'],
  ])('%j is refused with %s', async (params, code) => {
    expect((await call('GetFunctionLogs', params)).code).toBe(code)
  })
})

describe('the status of one call', () => {
  test('of the last quarter of an hour, with megabytes', async () => {
    const { response } = await call('GetRequestStatus', { FunctionRequestId: 'bad' })
    expect(response).toMatchObject({
      TotalCount: 1,
      Data: [
        {
          FunctionName,
          RequestId: 'bad',
          RetMsg: '',
          StartTime: '2026-11-21 17:59:57',
          RetCode: -1,
          Duration: 1.235,
          MemUsage: 10,
          RetryNum: 1,
        },
      ],
    })
    const old = await call('GetRequestStatus', { FunctionRequestId: 'old' })
    expect(old.response).toMatchObject({ TotalCount: 0, Data: [] })
    const StartTime = '2026-11-21 16:00:00'
    const found = await call('GetRequestStatus', {
      FunctionRequestId: 'old',
      StartTime,
      EndTime: '2026-11-21 18:00:00',
    })
    expect(found.response).toMatchObject({ TotalCount: 1, Data: [{ RetCode: 0 }] })
    const open = await call('GetRequestStatus', { FunctionRequestId: 'old', StartTime })
    expect(open.code).toBe('InvalidParameterValue.StartTimeOrEndTime')
  })

  test('that still waits is running', async () => {
    const { response } = await call('Invoke', { InvocationType: 'Event' })
    const { FunctionRequestId } = response['Result'] as { FunctionRequestId: string }
    const status = await call('GetRequestStatus', { FunctionRequestId })
    expect(status.response).toMatchObject({
      TotalCount: 1,
      Data: [{ RequestId: FunctionRequestId, RetCode: 1 }],
    })
    expect((await call('GetRequestStatus')).code).toBe('MissingParameter')
  })
})
