import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isJsonObject } from '../../../src/model/json.ts'
import type { NewDelivery } from '../../../src/store/outbox.ts'
import type { Settlement, TaskResult } from '../../../src/store/task-queue.ts'
import { ACCOUNT, functionBody, openHarness, pluck, type Harness, type TestReply } from './harness.ts'

let fc: Harness
beforeEach(async () => {
  fc = await openHarness()
  await send('POST', `${V1}/services`, { serviceName: 'demo' })
  await send('POST', `${V1}/services/demo/functions`, await functionBody('work'))
})
afterEach(() => fc.close())

const V1 = '/2016-08-15'
const V2 = '/2021-04-06'
const WORK = '/services/demo/functions/work'
const TASKS = `${V2}${WORK}/stateful-async-invocations`

const send = (method: string, path: string, body?: unknown, headers = {}): Promise<TestReply> =>
  fc.send({ method, path, body, headers })

async function submit(taskId: string, headers: Record<string, string> = {}, path = WORK): Promise<TestReply> {
  fc.clockMs += 1
  const reply = await send('POST', `${V2}${path}/invocations`, `event of ${taskId}`, {
    'x-fc-invocation-type': 'Async',
    'x-fc-stateful-async-invocation-enable': 'true',
    'x-fc-stateful-async-invocation-id': taskId,
    ...headers,
  })
  expect(reply.status).toBe(202)
  return reply
}

const claim = async (): Promise<string> => {
  fc.clockMs += 10
  const [task] = await fc.store.tasks.claim(1, fc.clockMs, 60_000)
  return task?.lease ?? ''
}

const RESULT: TaskResult = {
  payload: Buffer.from('done'),
  isCut: false,
  logTail: Buffer.from('FC Invoke End\n'),
  kind: 'returned',
  durationMs: 12.4,
  billedDurationMs: 13,
  maxMemoryBytes: 1,
  instanceId: 'c-1',
  version: 'LATEST',
}

/** Runs the next task and ends it. */
async function end(settlement: Partial<Settlement> = {}): Promise<void> {
  const lease = await claim()
  fc.clockMs += 100
  expect(await fc.store.tasks.settle(lease, { ending: 'succeeded', attempts: 1, ...settlement })).toBe(true)
}

const code = (reply: TestReply): [number, unknown] => [reply.status, reply.json['ErrorCode']]
const statesOf = (reply: TestReply): unknown[] => pluck(reply, 'events', 'status')
const ids = (reply: TestReply): unknown[] =>
  reply.json['invocations'] === undefined ? [] : pluck(reply, 'invocations', 'invocationId')
const listed = async (query = ''): Promise<unknown[]> => ids(await send('GET', `${TASKS}?${query}`))

describe('a task', () => {
  test('is shown from its acceptance to its end, with what it was given and what it answered', async () => {
    const submitted = await submit('order-1')
    const acceptedAtMs = fc.clockMs
    const waiting = await send('GET', `${TASKS}/order-1`)
    expect(waiting.json).toEqual({
      serviceName: 'demo',
      functionName: 'work',
      qualifier: 'LATEST',
      invocationId: 'order-1',
      requestId: submitted.headers['X-Fc-Request-Id'],
      status: 'Enqueued',
      startedTime: acceptedAtMs,
      endTime: 0,
      durationMs: 0,
      alreadyRetriedTimes: 0,
      invocationPayload: 'event of order-1',
      events: [{ eventId: 1, status: 'Enqueued', timestamp: acceptedAtMs, eventDetail: '' }],
    })
    const lease = await claim()
    const startedAtMs = fc.clockMs
    expect((await send('GET', `${V1}${WORK}/stateful-async-invocations/order-1`)).json).toMatchObject({
      status: 'Running',
      endTime: 0,
    })
    fc.clockMs += 100
    await fc.store.tasks.settle(lease, { ending: 'succeeded', attempts: 1, result: RESULT })
    expect((await send('GET', `${TASKS}/order-1`)).json).toMatchObject({
      status: 'Succeeded',
      endTime: fc.clockMs,
      durationMs: 100,
      instanceId: 'c-1',
      returnPayload: 'done',
      events: [
        { eventId: 1, status: 'Enqueued', timestamp: acceptedAtMs },
        { eventId: 2, status: 'Dequeued', timestamp: startedAtMs },
        { eventId: 3, status: 'Running', timestamp: startedAtMs },
        {
          eventId: 4,
          status: 'Succeeded',
          timestamp: fc.clockMs,
          eventDetail: '{"logTail":"FC Invoke End\\n"}',
        },
      ],
    })
  })

  test('says how the telling of its end fares, while that goes on and when it is over', async () => {
    const put = (destinationConfig: object) =>
      send('PUT', `${V2}${WORK}/async-invoke-config`, { destinationConfig })
    await put({ onSuccess: { destination: 'https://example.com/hook' } })
    const status = async (taskId: string) =>
      (await send('GET', `${TASKS}/${taskId}`)).json['destinationStatus']
    for (const taskId of ['order-1', 'order-2', 'order-3']) await submit(taskId)
    expect(await status('order-1')).toBeUndefined()
    const deliver = async (how: (lease: string) => Promise<boolean>): Promise<void> => {
      const [delivery] = await fc.store.outbox.claimDeliveries(1, fc.clockMs, 60_000)
      expect(await how(delivery?.lease ?? '')).toBe(true)
    }
    const telling = (requestId: string): NewDelivery => ({
      deliveryId: requestId,
      account: ACCOUNT,
      namespace: 'demo',
      functionName: 'work',
      requestId,
      on: 'success',
      destination: { dialect: 'alibaba-fc', target: { kind: 'webhook', url: 'https://example.com/hook' } },
      depth: 0,
      body: Buffer.from('{}'),
      contentType: 'application/json',
      createdAtMs: fc.clockMs,
    })
    const requestIdOf = async (taskId: string) =>
      String((await send('GET', `${TASKS}/${taskId}`)).json['requestId'])
    await end({ delivery: telling(await requestIdOf('order-1')) })
    expect(await status('order-1')).toBe('Running')
    await deliver((lease) => fc.store.outbox.delivered(lease))
    expect(await status('order-1')).toBe('Succeeded')
    await end({ delivery: telling(await requestIdOf('order-2')) })
    await deliver((lease) => fc.store.outbox.undeliverable(lease, 'webhook-status 404', fc.clockMs))
    expect(await status('order-2')).toBe('Failed')
    await end({ ending: 'failed', lastError: 'timedOut' })
    expect(await status('order-3')).toBeUndefined()
  })

  test('that fails and is repeated says each time why', async () => {
    await submit('order-1')
    const lease = await claim()
    await fc.store.tasks.postpone(lease, {
      dueAtMs: fc.clockMs,
      attempts: 1,
      deferrals: 0,
      lastError: 'TypeError',
    })
    const retrying = await send('GET', `${TASKS}/order-1`)
    expect(retrying.json).toMatchObject({
      status: 'Retrying',
      alreadyRetriedTimes: 0,
      invocationErrorMessage: 'UnhandledInvocationError',
    })
    expect(pluck(retrying, 'events', 'eventDetail').at(-1)).toBe('{"Error":"UnhandledInvocationError"}')
    await end({ ending: 'failed', attempts: 2, lastError: 'initTimedOut' })
    const failed = await send('GET', `${TASKS}/order-1`)
    expect(failed.json).toMatchObject({
      status: 'Failed',
      alreadyRetriedTimes: 1,
      invocationErrorMessage: 'InitializationError',
    })
    expect(statesOf(failed)).toEqual([
      ...['Enqueued', 'Dequeued', 'Running', 'Retrying'],
      ...['Dequeued', 'Running', 'Failed'],
    ])
  })

  test.each([
    ['timedOut', 'timedOut', 'Function timed out after 3 seconds (maxMemoryUsage: 32.00MB)'],
    [
      'crashed',
      'outOfMemory',
      'Function process was killed because it ran out of memory (duration: 3004ms, maxMemoryUsage: 32.00MB)',
    ],
    [
      'crashed',
      'signalled',
      'Process exited unexpectedly before completing request (duration: 3004ms, maxMemoryUsage: 32.00MB)',
    ],
    ['initFailed', 'initTimedOut', 'Function timed out after 3 seconds (maxMemoryUsage: 32.00MB)'],
    [
      'initFailed',
      'initCrashed',
      'Process exited unexpectedly before completing request (duration: 3004ms, maxMemoryUsage: 32.00MB)',
    ],
    ['initFailed', 'initializerThrew: Error', ''],
  ])('that ended as %s, %s, has the body that its code could not give', async (kind, lastError, message) => {
    const submitted = await submit('order-1')
    const silent = {
      ...RESULT,
      payload: Buffer.alloc(0),
      kind,
      durationMs: 3004.2,
      maxMemoryBytes: 32 * 1024 * 1024,
    }
    await end({ ending: 'failed', lastError, result: silent })
    const { returnPayload } = (await send('GET', `${TASKS}/order-1`)).json
    expect(JSON.parse(String(returnPayload))).toEqual({ errorMessage: message })

    await submit('order-2')
    const requestId = String((await send('GET', `${TASKS}/order-2`)).json['requestId'])
    expect(requestId).not.toBe(submitted.headers['X-Fc-Request-Id'])
    const logTail = Buffer.from(
      `FC Invoke End RequestId: ${requestId}, Error: as it was logged\n\nDuration: 1 ms\n`,
    )
    await end({ ending: 'failed', lastError, result: { ...silent, logTail } })
    const logged = (await send('GET', `${V1}${WORK}/stateful-async-invocations/order-2`)).json
    expect(JSON.parse(String(logged['returnPayload']))).toEqual({
      errorMessage: message === '' ? '' : 'as it was logged',
    })
  })

  test('whose code reported the failure itself says so, each time and in lists', async () => {
    await submit('order-1')
    const lease = await claim()
    const lastError = 'handled: RangeError'
    await fc.store.tasks.postpone(lease, { dueAtMs: fc.clockMs, attempts: 1, deferrals: 0, lastError })
    const silent = { ...RESULT, payload: Buffer.alloc(0), kind: 'threw' }
    await end({ ending: 'failed', attempts: 2, lastError, result: silent })
    const failed = await send('GET', `${TASKS}/order-1`)
    expect(failed.json['invocationErrorMessage']).toBe('HandledInvocationError')
    const details = pluck(failed, 'events', 'eventDetail').map(String)
    expect(details.filter((detail) => detail.includes('"Error":"HandledInvocationError"'))).toHaveLength(2)
    expect(JSON.parse(String(failed.json['returnPayload']))).toEqual({
      errorMessage: '',
      errorType: 'RangeError',
    })
    expect(pluck(await send('GET', TASKS), 'invocations', 'invocationErrorMessage')).toEqual([
      'HandledInvocationError',
    ])
  })

  test('that answered nothing, or was stopped, has no body', async () => {
    for (const [kind, ending] of [
      ['returned', 'succeeded'],
      ['terminated', 'cancelled'],
    ] as const) {
      await submit(kind)
      await end({ ending, result: { ...RESULT, payload: Buffer.alloc(0), kind } })
      expect((await send('GET', `${TASKS}/${kind}`)).json).toHaveProperty('instanceId')
      expect((await send('GET', `${TASKS}/${kind}`)).json).not.toHaveProperty('returnPayload')
    }
  })

  test('took as long in a list as it did alone, in both versions of the API', async () => {
    await submit('order-1')
    await end({ result: RESULT })
    await submit('order-2')
    const lease = await claim()
    await fc.store.tasks.postpone(lease, { dueAtMs: fc.clockMs, attempts: 1, deferrals: 0, lastError: 'E' })
    fc.clockMs += 50_000
    await send('PUT', `${TASKS}/order-2`)
    for (const api of [V1, V2]) {
      const tasks = `${api}${WORK}/stateful-async-invocations`
      expect(pluck(await send('GET', tasks), 'invocations', 'durationMs')).toEqual([0, 100])
      expect((await send('GET', `${tasks}/order-1`)).json['durationMs']).toBe(100)
      expect((await send('GET', `${tasks}/order-2`)).json['durationMs']).toBe(0)
    }
  })

  test.each(['interrupted', 'refused'] as const)(
    'that was put back (%s) because the server shut down tells no error',
    async (how) => {
      await submit('order-1')
      const lease = await claim()
      await fc.store.tasks.postpone(lease, { dueAtMs: fc.clockMs, attempts: 0, deferrals: 0, how })
      const waiting = await send('GET', `${TASKS}/order-1`)
      expect(waiting.json['status']).toBe('Enqueued')
      expect(waiting.json).not.toHaveProperty('invocationErrorMessage')
      expect(statesOf(waiting).at(-1)).toBe('Enqueued')
      expect(pluck(waiting, 'events', 'eventDetail')).toEqual(statesOf(waiting).map(() => ''))
    },
  )

  test('is known by the function that it was given to, and by no other', async () => {
    await send('POST', `${V1}/services/demo/functions`, await functionBody('other'))
    await submit('order-1')
    const missing = await send(
      'GET',
      `${V2}/services/demo/functions/other/stateful-async-invocations/order-1`,
    )
    expect(code(missing)).toEqual([404, 'StatefulAsyncInvocationNotFound'])
    const other = `${V2}/services/demo/functions/nobody/stateful-async-invocations`
    expect(code(await send('GET', `${other}/order-1`))).toEqual([404, 'FunctionNotFound'])
    expect(code(await send('GET', other))).toEqual([404, 'FunctionNotFound'])
    expect(code(await send('PUT', `${other}/order-1`))).toEqual([404, 'FunctionNotFound'])
  })

  test('is known by the qualifier of its call, or by none', async () => {
    await send('POST', `${V1}/services/demo/versions`, {})
    await submit('order-1', {}, '/services/demo.1/functions/work')
    expect((await send('GET', `${TASKS}/order-1`)).json['qualifier']).toBe('1')
    expect((await send('GET', `${TASKS}/order-1?qualifier=1`)).status).toBe(200)
    expect(code(await send('GET', `${TASKS}/order-1?qualifier=LATEST`))).toEqual([
      404,
      'StatefulAsyncInvocationNotFound',
    ])
  })

  test('that failed and is accepted anew goes by its request id: it is listed, shown and stopped', async () => {
    await submit('order-1')
    await end({ ending: 'failed', lastError: 'Error' })
    const owner = { account: ACCOUNT, namespace: 'demo', name: 'work' }
    const [anew] = await fc.store.tasks.redrive(owner, 1)
    const id = anew?.requestId ?? ''
    expect(await listed()).toEqual([id, 'order-1'])
    expect((await send('GET', `${TASKS}/${id}`)).json).toMatchObject({
      invocationId: id,
      requestId: id,
      status: 'Enqueued',
      invocationPayload: 'event of order-1',
    })
    expect((await send('PUT', `${TASKS}/${id}`)).status).toBe(200)
    expect((await send('GET', `${TASKS}/${id}`)).json['status']).toBe('Stopped')
    expect((await send('GET', `${TASKS}/order-1`)).json['status']).toBe('Failed')
  })

  test('outlives its function', async () => {
    await submit('order-1')
    await end({ ending: 'failed', attempts: 0, lastError: 'caller/function-not-found' })
    await send('DELETE', `${V2}${WORK}`)
    expect((await send('GET', `${TASKS}/order-1`)).json).toMatchObject({
      status: 'Invalid',
      invocationErrorMessage: 'FunctionNotFound',
    })
    expect(await listed('status=Invalid')).toEqual(['order-1'])
  })

  test('keeps its id to itself for as long as it is kept, in both versions of the API', async () => {
    await submit('order-1')
    await end()
    for (const api of [V1, V2]) {
      const again = await send('POST', `${api}${WORK}/invocations`, '', {
        'x-fc-invocation-type': 'Async',
        'x-fc-stateful-async-invocation-id': 'order-1',
      })
      expect(code(again)).toEqual([409, 'StatefulAsyncInvocationAlreadyExists'])
      expect(again.json['Code']).toBe('StatefulAsyncInvocationAlreadyExists')
    }
  })
})

describe('a call while tasks are switched off', () => {
  const OFF = { 'x-fc-stateful-async-invocation-enable': '' }

  test('is no task, whether it has an id or not', async () => {
    await submit('order-1', OFF)
    expect(code(await send('GET', `${TASKS}/order-1`))).toEqual([404, 'StatefulAsyncInvocationNotFound'])
    expect(code(await send('PUT', `${TASKS}/order-1`))).toEqual([404, 'StatefulAsyncInvocationNotFound'])
    expect(await listed()).toEqual([])
  })

  test('does not shorten the pages of those that are', async () => {
    for (const number of [1, 2, 3, 4, 5]) await submit(`order-${number}`, [2, 5].includes(number) ? OFF : {})
    const page = await send('GET', `${TASKS}?limit=2`)
    expect(ids(page)).toEqual(['order-4', 'order-3'])
    const rest = await send('GET', `${TASKS}?limit=2&nextToken=${String(page.json['nextToken'])}`)
    expect(ids(rest)).toEqual(['order-1'])
    expect(rest.json).not.toHaveProperty('nextToken')
  })

  test('keeps nothing of what it answered', async () => {
    const off = (await submit('order-1', OFF)).headers['X-Fc-Request-Id'] ?? ''
    await end({ result: RESULT })
    expect(await fc.store.tasks.details(ACCOUNT, off)).not.toHaveProperty('result')
  })
})

describe('a list of tasks', () => {
  test('has the latest first, or last when asked, in pages that hold together while more come', async () => {
    for (const number of [1, 2, 3, 4, 5]) await submit(`order-${number}`)
    const first = await send('GET', `${TASKS}?limit=2`)
    expect(ids(first)).toEqual(['order-5', 'order-4'])
    await submit('order-6')
    const second = await send('GET', `${TASKS}?limit=2&nextToken=${String(first.json['nextToken'])}`)
    expect(ids(second)).toEqual(['order-3', 'order-2'])
    const last = await send('GET', `${TASKS}?limit=2&nextToken=${String(second.json['nextToken'])}`)
    expect(ids(last)).toEqual(['order-1'])
    expect(last.json).not.toHaveProperty('nextToken')
    expect(await listed('sortOrderByTime=asc&limit=2')).toEqual(['order-1', 'order-2'])
  })

  test('has whole pages however many calls of the function are no tasks', async () => {
    const plain = async (count: number): Promise<void> => {
      for (let number = 0; number < count; number += 1)
        await send('POST', `${V2}${WORK}/invocations`, '', { 'x-fc-invocation-type': 'Async' })
    }
    await submit('order-1')
    await plain(20)
    await submit('order-2')
    await plain(80)
    for (const query of ['', 'status=Enqueued&', 'invocationIdPrefix=order&']) {
      const first = await send('GET', `${TASKS}?${query}limit=1`)
      expect(ids(first)).toEqual(['order-2'])
      const last = await send('GET', `${TASKS}?${query}limit=1&nextToken=${String(first.json['nextToken'])}`)
      expect(ids(last)).toEqual(['order-1'])
      expect(last.json).not.toHaveProperty('nextToken')
    }
  })

  test('is narrowed by state, time and the beginning of the id, all together', async () => {
    await submit('order-1')
    await end()
    await submit('order-2')
    await end({ ending: 'failed', attempts: 1, lastError: 'timedOut' })
    await submit('visit-3')
    const thirdAtMs = fc.clockMs
    await claim()
    await submit('visit-4')
    const fourthAtMs = fc.clockMs
    expect(await listed('status=Succeeded')).toEqual(['order-1'])
    expect(await listed('status=Failed')).toEqual(['order-2'])
    expect(await listed('status=Running')).toEqual(['visit-3'])
    expect(await listed('status=Enqueued')).toEqual(['visit-4'])
    for (const state of ['Dequeued', 'Retrying', 'Stopping', 'Stopped', 'Expired', 'Invalid'])
      expect(await listed(`status=${state}`)).toEqual([])
    expect(await listed('invocationIdPrefix=order')).toEqual(['order-2', 'order-1'])
    expect(await listed(`startedTimeBegin=${thirdAtMs}`)).toEqual(['visit-4', 'visit-3'])
    expect(await listed(`startedTimeBegin=${thirdAtMs}&startedTimeEnd=${fourthAtMs - 1}`)).toEqual([
      'visit-3',
    ])
    expect(await listed(`startedTimeEnd=${thirdAtMs}&invocationIdPrefix=visit`)).toEqual(['visit-3'])
    expect(await listed('status=Succeeded&invocationIdPrefix=visit')).toEqual([])
  })

  test('has all tasks of the function, or those of one qualifier', async () => {
    await send('POST', `${V1}/services/demo/versions`, {})
    await submit('order-1')
    await submit('order-2', {}, '/services/demo.1/functions/work')
    expect(await listed()).toEqual(['order-2', 'order-1'])
    expect(await listed('qualifier=1')).toEqual(['order-2'])
    expect(await listed('qualifier=LATEST')).toEqual(['order-1'])
    expect(ids(await send('GET', `${V1}/services/demo.1/functions/work/stateful-async-invocations`))).toEqual(
      ['order-2'],
    )
  })

  test('shows events of tasks when asked for', async () => {
    await submit('order-1')
    const plain = await send('GET', TASKS)
    expect(pluck(plain, 'invocations', 'invocationPayload')).toEqual([undefined])
    expect(
      pluck(await send('GET', `${TASKS}?includePayload=true`), 'invocations', 'invocationPayload'),
    ).toEqual(['event of order-1'])
  })

  test('of a function that has none has no member for them', async () => {
    const reply = await send('GET', TASKS)
    expect([reply.status, reply.json]).toEqual([200, {}])
  })

  test.each([
    'status=running',
    'sortOrderByTime=up',
    'includePayload=1',
    'limit=0',
    'limit=101',
    'startedTimeBegin=yesterday',
    'startedTimeEnd=-1',
    'nextToken=order-1',
    `invocationIdPrefix=${'a'.repeat(129)}`,
  ])('refuses %s', async (query) => {
    expect(code(await send('GET', `${TASKS}?${query}`))).toEqual([400, 'InvalidArgument'])
  })
})

describe('a stop', () => {
  test('ends a task that waits, for good', async () => {
    await submit('order-1')
    const reply = await send('PUT', `${TASKS}/order-1`)
    expect([reply.status, reply.json]).toEqual([200, {}])
    const stopped = await send('GET', `${TASKS}/order-1`)
    expect(stopped.json['status']).toBe('Stopped')
    expect(statesOf(stopped)).toEqual(['Enqueued', 'Stopped'])
    expect(await claim()).toBe('')
  })

  test('of a task that runs is shown until it is over', async () => {
    await submit('order-1')
    const lease = await claim()
    await send('PUT', `${TASKS}/order-1`)
    expect((await send('GET', `${TASKS}/order-1`)).json['status']).toBe('Stopping')
    expect(await listed('status=Stopping')).toEqual(['order-1'])
    expect(await listed('status=Running')).toEqual([])
    await fc.store.tasks.settle(lease, { ending: 'cancelled', attempts: 1, lastError: 'terminated' })
    const stopped = await send('GET', `${TASKS}/order-1`)
    expect(stopped.json).not.toHaveProperty('invocationErrorMessage')
    expect(statesOf(stopped)).toEqual(['Enqueued', 'Dequeued', 'Running', 'Stopping', 'Stopped'])
  })

  test('of a task that has ended is refused', async () => {
    await submit('order-1')
    await end()
    expect(code(await send('PUT', `${TASKS}/order-1`))).toEqual([400, 'InvalidArgument'])
    expect(code(await send('PUT', `${TASKS}/order-2`))).toEqual([404, 'StatefulAsyncInvocationNotFound'])
  })

  test('never ends another call that came with the same trace id', async () => {
    const trace = { 'x-fc-trace-id': 'trace-1' }
    const first = await submit('order-1', trace)
    const second = await submit('order-2', trace)
    expect(first.headers['X-Fc-Request-Id']).toBe('trace-1')
    expect(second.headers['X-Fc-Request-Id']).not.toBe('trace-1')
    await send('PUT', `${TASKS}/order-1`)
    expect(await listed('status=Stopped')).toEqual(['order-1'])
    expect(await listed('status=Enqueued')).toEqual(['order-2'])
  })
})

describe('two calls with one request id', () => {
  const atOnce = (headers: readonly Record<string, string>[]): Promise<TestReply[]> =>
    Promise.all(
      headers.map((more) =>
        send('POST', `${V2}${WORK}/invocations`, '', {
          'x-fc-invocation-type': 'Async',
          'x-fc-stateful-async-invocation-enable': 'true',
          'x-fc-trace-id': 'trace-1',
          ...more,
        }),
      ),
    )

  test('that come at the same moment get two, so that a stop ends the one that it names', async () => {
    const replies = await atOnce([
      { 'x-fc-stateful-async-invocation-id': 'order-1' },
      { 'x-fc-stateful-async-invocation-id': 'order-2' },
      { 'x-fc-stateful-async-invocation-id': 'order-3' },
    ])
    expect(replies.map(({ status }) => status)).toEqual([202, 202, 202])
    expect(new Set(replies.map(({ headers }) => headers['X-Fc-Request-Id'])).size).toBe(3)
    expect((await send('PUT', `${TASKS}/order-1`)).status).toBe(200)
    expect(await listed('status=Stopped')).toEqual(['order-1'])
  })

  test('that come at the same moment without ids of their own are one', async () => {
    const replies = await atOnce([{}, {}, {}])
    expect(replies.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([202, 409, 409])
    expect(await listed()).toEqual(['trace-1'])
  })

  test('are told apart by a stop, which ends neither then', async () => {
    const requestId = (await submit('order-1')).headers['X-Fc-Request-Id'] ?? ''
    // What a version of this server that did not look could leave.
    await fc.store.tasks.enqueue({
      requestId,
      account: ACCOUNT,
      namespace: 'demo',
      functionName: 'other',
      taskId: 'order-1',
      payload: Buffer.alloc(0),
      acceptedAtMs: fc.clockMs,
      dueAtMs: fc.clockMs,
      maxRetries: 0,
      expiresAtMs: fc.clockMs + 60_000,
    })
    expect(code(await send('PUT', `${TASKS}/order-1`))).toEqual([409, 'ConcurrentUpdateError'])
    expect(await fc.store.tasks.find(ACCOUNT, requestId)).toMatchObject({
      functionName: 'other',
      status: 'waiting',
    })
  })
})

describe('a generated id', () => {
  test('is that of the request, and is refused like one of the caller when a trace id repeats it', async () => {
    const headers = {
      'x-fc-invocation-type': 'Async',
      'x-fc-stateful-async-invocation-enable': 'true',
      'x-fc-trace-id': 'trace-1',
    }
    const first = await send('POST', `${V2}${WORK}/invocations`, '', headers)
    expect(first.headers['X-Fc-Stateful-Async-Invocation-Id']).toBe('trace-1')
    expect((await send('GET', `${TASKS}/trace-1`)).json['requestId']).toBe('trace-1')
    expect(code(await send('POST', `${V2}${WORK}/invocations`, '', headers))).toEqual([
      409,
      'StatefulAsyncInvocationAlreadyExists',
    ])
  })
})

describe('the functions whose calls are tasks', () => {
  test('are listed by qualifier, in pages', async () => {
    await send('POST', `${V1}/services/demo/functions`, await functionBody('other'))
    await send('POST', `${V1}/services/demo/versions`, {})
    const put = (path: string, statefulInvocation: boolean) =>
      send('PUT', `${V2}${path}/async-invoke-config`, { statefulInvocation })
    await put(WORK, true)
    await put('/services/demo.1/functions/work', true)
    await put('/services/demo/functions/other', false)
    const functions = `${V2}/stateful-async-invocation-functions`
    const all = await send('GET', functions)
    expect(all.json).toEqual({
      data: [
        { serviceName: 'demo', functionName: 'work', qualifier: '1' },
        { serviceName: 'demo', functionName: 'work', qualifier: 'LATEST' },
      ],
    })
    const first = await send('GET', `${functions}?limit=1`)
    expect(pluck(first, 'data', 'qualifier')).toEqual(['1'])
    const rest = await send('GET', `${functions}?limit=1&nextToken=${String(first.json['nextToken'])}`)
    expect(pluck(rest, 'data', 'qualifier')).toEqual(['LATEST'])
    expect(isJsonObject(rest.json) && rest.json['nextToken']).toBeUndefined()
  })
})
