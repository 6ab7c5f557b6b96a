import { describe, expect, test } from 'vitest'
import type { EndedTask } from '../../../src/async/destination-words.ts'
import { destinationWords } from '../../../src/dialects/alibaba-fc/destination-words.ts'
import { putFunctionAsyncInvokeConfig } from '../../../src/dialects/alibaba-fc/async-config.ts'
import { targetOf } from '../../../src/dialects/alibaba-fc/destinations.ts'
import { isJsonObject, type JsonObject } from '../../../src/model/json.ts'
import type { Outcome } from '../../../src/model/outcome.ts'
import { payloadOf } from '../../../src/model/payload.ts'
import { DELIVERY_BYTES } from '../../../src/store/outbox.ts'
import { ACCOUNT, ControlPlane, REGION, START_MS } from './control-plane.ts'

describe('a destination', () => {
  const fc = `acs:fc:${REGION}:${ACCOUNT}:`

  test('that is a function of the account leads to it, through its qualifier', () => {
    const target = { kind: 'function', account: ACCOUNT, namespace: 'demo', name: 'next' }
    expect(targetOf(`${fc}services/demo/functions/next`, ACCOUNT)).toEqual(target)
    expect(targetOf(`${fc}services/demo.LATEST/functions/next`, ACCOUNT)).toEqual(target)
    expect(targetOf(`${fc}services/demo.live/functions/next`, ACCOUNT)).toEqual({
      ...target,
      qualifier: 'live',
    })
  })

  test.each([
    ['urn:fss:cn-north-4:any:function:demo:next:latest', {}],
    ['urn:fss:cn-north-4:any:function:demo:next:!live', { qualifier: 'live' }],
    ['qcs::scf:ap-guangzhou::namespace/demo/function/next/$LATEST', {}],
    ['qcs::scf:ap-guangzhou::namespace/demo/function/next/2', { qualifier: '2' }],
  ])('may be the name that another API has for a function: %s', (text, more) => {
    const target = { kind: 'function', account: ACCOUNT, namespace: 'demo', name: 'next', ...more }
    expect(targetOf(text, ACCOUNT)).toEqual(target)
  })

  test.each([
    `acs:fc:${REGION}:999:services/demo/functions/next`,
    `${fc}functions/next`,
    `${fc}functions/next/live`,
    `acs:mns:${REGION}:${ACCOUNT}:/queues/one/messages`,
    `acs:mns:${REGION}:${ACCOUNT}:/topics/one/messages`,
    `acs:eventbridge:${REGION}:${ACCOUNT}:eventbus/one`,
    `acs:mq:${REGION}:${ACCOUNT}:MQ_INST_1%one`,
    'qcs::scf:ap-guangzhou:uin/999:namespace/demo/function/next',
  ])('that this server cannot reach is known as such: %s', (name) => {
    expect(targetOf(name, ACCOUNT)).toEqual({ kind: 'unreachable', name })
  })

  test('may be an address', () => {
    const url = 'https://example.com/hook?a=b'
    expect(targetOf(url, ACCOUNT)).toEqual({ kind: 'webhook', url })
  })

  test.each([
    'next',
    'https://',
    'https://name@example.com',
    'file:///etc/passwd',
    `${fc}services/demo/functions/next/more`,
    `${fc}services/demo`,
    `acs:mns:${REGION}:${ACCOUNT}:/tables/one`,
    'acs:oss:cn-hangzhou:1:bucket',
    'urn:smn:cn-north-4:any:topic',
    'urn:fss:cn-north-4:any:function:next',
    `https://example.com/${'a'.repeat(1024)}`,
  ])('is not %s', (text) => {
    expect(targetOf(text, ACCOUNT)).toBeUndefined()
  })
})

describe('an ending', () => {
  const task: EndedTask['task'] = {
    sequence: 1,
    requestId: 'request-1',
    account: ACCOUNT,
    namespace: 'demo',
    functionName: 'work',
    qualifier: 'live',
    payload: Buffer.from('an "event"'),
    acceptedAtMs: START_MS,
    dueAtMs: START_MS,
    maxRetries: 3,
    expiresAtMs: START_MS + 1000,
    lease: 'lease-1',
    attempts: 0,
    deferrals: 0,
    lostRuns: 0,
  }

  const told = async (ended: Partial<EndedTask>): Promise<JsonObject> => {
    const { catalogue } = await ControlPlane.open()
    const { body, contentType } = destinationWords({ definitions: catalogue, region: REGION }).bodyOf({
      task,
      ending: 'succeeded',
      attempts: 1,
      endedAtMs: START_MS,
      ...ended,
    })
    expect(contentType).toBe('application/json')
    expect(body.length).toBeLessThanOrEqual(DELIVERY_BYTES)
    const record: unknown = JSON.parse(body.toString())
    if (!isJsonObject(record)) throw new TypeError('no object')
    return record
  }

  const outcome = async (ending: object): Promise<Outcome> => {
    const plane = await ControlPlane.open()
    await plane.putService('demo')
    await plane.putFunction('demo', 'work')
    const version = plane.catalogue.resolve({ account: ACCOUNT, namespace: 'demo', name: 'work' })
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the ending makes it whole
    return { version, instanceId: 'c-1', durationMs: 1, logTail: () => Buffer.alloc(0), ...ending } as Outcome
  }

  test('is told in the shape of the vendor', async () => {
    const returned = await outcome({ kind: 'returned', payload: payloadOf('{"ok":true}') })
    expect(await told({ outcome: returned })).toEqual({
      timestamp: START_MS,
      requestContext: {
        requestId: 'request-1',
        functionArn: `acs:fc:${REGION}:${ACCOUNT}:services/demo.live/functions/work`,
        condition: '',
        approximateInvokeCount: 1,
      },
      requestPayload: 'an "event"',
      responseContext: { statusCode: 200, functionError: '' },
      responsePayload: '{"ok":true}',
    })
  })

  test('by a failure of the code names its error type and has its words', async () => {
    const body = '{"errorMessage":"no"}'
    const threw = await outcome({ kind: 'threw', errorType: 'E', handled: true, payload: payloadOf(body) })
    expect(await told({ ending: 'failed', attempts: 4, lastError: 'E', outcome: threw })).toMatchObject({
      requestContext: { condition: 'HandledInvocationError', approximateInvokeCount: 4 },
      responseContext: { statusCode: 200, functionError: 'HandledInvocationError' },
      responsePayload: body,
    })
  })

  test('without a run has the status that a call would have got', async () => {
    expect(await told({ ending: 'failed', lastError: 'caller/function-not-found' })).toMatchObject({
      requestContext: { condition: 'FunctionNotFound' },
      responseContext: { statusCode: 404, functionError: '' },
      responsePayload: '',
    })
    expect(await told({ ending: 'expired' })).toMatchObject({
      requestContext: { condition: 'EventAgeExceeded' },
    })
  })

  test('whose bytes are too many as text is told without them', async () => {
    const bytes = Buffer.alloc(128 * 1024)
    const returned = await outcome({ kind: 'returned', payload: payloadOf(Buffer.alloc(32 * 1024 * 1024)) })
    const record = await told({ task: { ...task, payload: bytes }, outcome: returned })
    expect(record['responsePayload']).toBe('')
    expect(record['requestPayload']).toHaveLength(bytes.length)
  })

  test('reaches a function that treats it by its own configuration', async () => {
    const plane = await ControlPlane.open()
    await plane.putService('demo')
    await plane.putFunction('demo', 'next')
    const words = destinationWords({ definitions: plane.catalogue, region: REGION })
    const target = { account: ACCOUNT, namespace: 'demo', name: 'next' }
    expect(words.settingsOf(target)).toEqual({ policy: { maxRetries: 3, maxAgeMs: 86_400_000 } })
    await plane.call(putFunctionAsyncInvokeConfig, {
      params: { service: 'demo', function: 'next' },
      body: {
        maxAsyncRetryAttempts: 0,
        statefulInvocation: true,
        destinationConfig: { onFailure: { destination: 'https://example.com' } },
      },
    })
    expect(words.settingsOf(target)).toEqual({
      policy: { maxRetries: 0, maxAgeMs: 86_400_000 },
      keepsDetails: true,
      source: 'stateful',
      hasTaskId: true,
      destinations: {
        onFailure: { dialect: 'alibaba-fc', target: { kind: 'webhook', url: 'https://example.com' } },
      },
    })
  })
})
