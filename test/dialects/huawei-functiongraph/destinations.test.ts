import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { EndedTask } from '../../../src/async/destination-words.ts'
import { destinationWords } from '../../../src/dialects/huawei-functiongraph/destination-words.ts'
import { payloadOf } from '../../../src/model/payload.ts'
import { DELIVERY_BYTES } from '../../../src/store/outbox.ts'
import type { ClaimedTask } from '../../../src/store/task-queue.ts'
import { clear, controlPlane, HELLO, textOf, type ControlPlane } from './control-plane.ts'
import { ACCOUNT, F, openHarness, PROJECT, REGION, urnOf, type Harness } from './harness.ts'

let server: Harness
let api: ControlPlane
beforeAll(async () => {
  server = await openHarness()
  api = controlPlane(server)
})
afterAll(() => server.close())
beforeEach(async () => {
  await api.make('hello')
  await api.put(`${F}/${HELLO}/config`, { description: 'v1' })
  await api.post(`${F}/${HELLO}/versions`, { version: 'v1' })
})
afterEach(async () => {
  expect(server.observed).toEqual([])
  await clear(server)
})

const configure = async (body: object, version = 'latest'): Promise<void> => {
  const { status, text } = await api.put(`${F}/${urnOf('hello', version)}/async-invoke-config`, body)
  expect([status, text]).toEqual([200, expect.any(String)])
}

/** The task of a call, as whoever runs it gets it. */
async function accepted(qualifier = 'latest', event: unknown = { n: 1 }): Promise<ClaimedTask> {
  const reply = await api.post(`${F}/${urnOf('hello', qualifier)}/invocations-async`, event)
  const requestId = textOf(reply.json, 'request_id')
  const claimed = await server.store.tasks.claim(100, server.clockMs, 3_600_000)
  const task = claimed.find((one) => one.requestId === requestId)
  if (task === undefined) throw new Error('it was not accepted')
  return task
}

const words = () => destinationWords({ definitions: server.catalogue, region: REGION })

const to = (destination: string, param: object) => ({ destination, param: JSON.stringify(param) })

describe('a call is treated as the version it leads to is configured', () => {
  test('with nothing set it is given up after an hour, not repeated, and told to nobody', async () => {
    const task = await accepted()
    expect([task.maxRetries, task.expiresAtMs - task.acceptedAtMs]).toEqual([0, 3_600_000])
    expect(task).not.toHaveProperty('destinations')
  })

  test('through the version and through an alias of it', async () => {
    await configure({ max_async_event_age_in_seconds: 60, max_async_retry_attempts: 2 })
    await configure({ max_async_retry_attempts: 3, destination_config: {} }, 'v1')
    await api.post(`${F}/${HELLO}/aliases`, { name: 'prod', version: 'v1' })
    for (const [qualifier, retries, ageMs] of [
      ['latest', 2, 60_000],
      ['v1', 3, 3_600_000],
      ['!prod', 3, 3_600_000],
    ] as const) {
      const task = await accepted(qualifier)
      expect([task.maxRetries, task.expiresAtMs - task.acceptedAtMs]).toEqual([retries, ageMs])
    }
  })

  test('and its destinations are those of the moment it was accepted', async () => {
    await configure({
      destination_config: {
        on_success: to('FunctionGraph', { func_urn: urnOf('other', '!prod') }),
        on_failure: to('SMN', { topic_urn: `urn:smn:${REGION}:${PROJECT}:topic` }),
      },
    })
    const { destinations } = await accepted()
    expect(destinations).toEqual({
      onSuccess: {
        dialect: 'huawei-functiongraph',
        target: {
          kind: 'function',
          account: ACCOUNT,
          namespace: 'default',
          name: 'other',
          qualifier: 'prod',
        },
      },
      onFailure: {
        dialect: 'huawei-functiongraph',
        target: { kind: 'unreachable', name: `SMN urn:smn:${REGION}:${PROJECT}:topic` },
      },
    })
    await configure({})
    expect(await accepted()).not.toHaveProperty('destinations')
  })

  test.each([
    ['OBS', { bucket: 'results', prefix: 'a/', expires: 0 }, 'OBS results'],
    ['DIS', { stream_name: 'stream' }, 'DIS stream'],
  ])('what only the vendor has is named: %s', async (destination, param, name) => {
    await configure({ destination_config: { on_failure: to(destination, param) } })
    expect((await accepted()).destinations).toEqual({
      onFailure: { dialect: 'huawei-functiongraph', target: { kind: 'unreachable', name } },
    })
  })

  test.each([
    ['hello', { namespace: 'default', name: 'hello' }],
    ['jobs:hello', { namespace: 'jobs', name: 'hello' }],
    [`${PROJECT}:jobs:hello:v1`, { namespace: 'jobs', name: 'hello', qualifier: 'v1' }],
    [urnOf('hello').replace(/:latest$/, ''), { namespace: 'default', name: 'hello' }],
    [
      `acs:fc:cn-hangzhou:${ACCOUNT}:services/jobs.v1/functions/hello`,
      { namespace: 'jobs', name: 'hello', qualifier: 'v1' },
    ],
    ['qcs::scf:ap-guangzhou::namespace/jobs/function/hello/$LATEST', { namespace: 'jobs', name: 'hello' }],
  ])(
    'a function may be named in each form of a URN, and in full as in other APIs: %s',
    async (func_urn, named) => {
      await configure({ destination_config: { on_success: to('FunctionGraph', { func_urn }) } })
      expect((await accepted()).destinations?.onSuccess?.target).toEqual({
        kind: 'function',
        account: ACCOUNT,
        ...named,
      })
    },
  )

  test('and so is a call that a function gets as a destination', async () => {
    await configure({ max_async_retry_attempts: 3 }, 'v1')
    const target = { account: ACCOUNT, namespace: 'default', name: 'hello' }
    expect(words().settingsOf({ ...target, qualifier: 'v1' })).toEqual({
      policy: { maxRetries: 3, maxAgeMs: 3_600_000 },
    })
    for (const missing of [
      { ...target, qualifier: 'v9' },
      { ...target, name: 'none' },
    ])
      expect(() => words().settingsOf(missing)).toThrow(/not-found/)
  })
})

describe('a destination is told', () => {
  const ended = async (more: Partial<EndedTask>): Promise<EndedTask> => ({
    task: await accepted(),
    ending: 'succeeded',
    attempts: 1,
    endedAtMs: Date.parse('2026-11-21T10:00:01.250Z'),
    ...more,
  })

  const measured = (qualifier?: string) => ({
    version: server.catalogue.resolve({
      account: ACCOUNT,
      namespace: 'default',
      name: 'hello',
      ...(qualifier === undefined ? {} : { qualifier }),
    }),
    instanceId: 'i',
    coldStart: false,
    durationMs: 1,
    billedDurationMs: 1,
    initDurationMs: 0,
    maxMemoryBytes: 1,
    logTail: () => Buffer.alloc(0),
  })

  const told = (ending: EndedTask): unknown => JSON.parse(words().bodyOf(ending).body.toString())

  test('the result of a success', async () => {
    const ending = await ended({
      outcome: { ...measured('v1'), kind: 'returned', payload: payloadOf('{"done":"ü"}') },
    })
    expect(words().bodyOf(ending).contentType).toBe('application/json')
    expect(told(ending)).toEqual({
      timestamp: '2026-11-21T10:00:01.250000000+00:00',
      request_context: {
        request_id: ending.task.requestId,
        function_urn: urnOf('hello', 'v1'),
        condition: '',
        approximate_invoke_count: 1,
      },
      request_payload: '{"n":1}',
      response_context: { status_code: 200, function_error: '' },
      response_payload: '{"done":"ü"}',
    })
  })

  test('the failure of the code', async () => {
    const body = '{"errorMessage":"on purpose","errorType":"TypeError","stackTrace":[]}'
    const ending = await ended({
      ending: 'failed',
      attempts: 3,
      lastError: 'TypeError',
      outcome: {
        ...measured(),
        kind: 'threw',
        errorType: 'TypeError',
        handled: false,
        payload: payloadOf(body),
      },
    })
    expect(told(ending)).toMatchObject({
      request_context: {
        function_urn: HELLO,
        condition: 'UnhandledInvocationError',
        approximate_invoke_count: 3,
      },
      response_context: { status_code: 500, function_error: 'TypeError' },
      response_payload: body,
    })
    expect(told({ ...ending, lastError: 'handled: TypeError' })).toMatchObject({
      response_context: { function_error: 'TypeError' },
    })
  })

  test('a timeout in words of the API, and an age without a result, also of a function that is gone', async () => {
    const timedOut = await ended({
      ending: 'failed',
      lastError: 'timedOut',
      outcome: { ...measured(), kind: 'timedOut', afterMs: 3000 },
    })
    const { response_payload: payload } = told(timedOut) as { response_payload: string }
    expect(JSON.parse(payload)).toMatchObject({ errorType: 'FunctionTimeoutError' })
    const tooOld = await ended({ ending: 'expired', attempts: 0 })
    await clear(server)
    expect(told(tooOld)).toMatchObject({
      request_context: {
        function_urn: HELLO,
        condition: 'EventAgeExceeded',
        approximate_invoke_count: 0,
      },
      response_context: { status_code: 500, function_error: '' },
      response_payload: '',
    })
  })

  test('never more than a delivery may have, whatever was answered', async () => {
    const event = `"${'\\"'.repeat(120_000)}"`
    const task = await accepted('latest', event)
    for (const payload of [
      Buffer.alloc(300_000, 0),
      Buffer.alloc(300_000, 0xff),
      Buffer.from('ü'.repeat(200_000)),
    ]) {
      const outcome = { ...measured(), kind: 'returned', payload: payloadOf(payload) } as const
      const { body } = words().bodyOf(await ended({ task, outcome }))
      expect(body.length).toBeLessThanOrEqual(DELIVERY_BYTES)
      const { request_payload, response_payload } = JSON.parse(body.toString()) as Record<string, string>
      expect(request_payload).toBe(event)
      expect(response_payload?.length).toBeGreaterThan(60_000)
    }
  })
})
