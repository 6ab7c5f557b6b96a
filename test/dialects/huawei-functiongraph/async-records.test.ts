import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { JsonObject } from '../../../src/model/json.ts'
import { ACCOUNT, F, functionBody, openHarness, urnOf, type Harness, type TestReply } from './harness.ts'

/** Of a run that failed. */
const RESULT = {
  payload: Buffer.alloc(0),
  isCut: false,
  logTail: Buffer.alloc(0),
  kind: 'threw',
  durationMs: 1,
  billedDurationMs: 1,
  maxMemoryBytes: 1,
  instanceId: 'i',
  version: 'LATEST',
}

const HELLO = `${F}/${urnOf('hello')}`

let server: Harness
/** Request ids of the calls of `hello`, oldest first. */
const ids: string[] = []
beforeAll(async () => {
  server = await openHarness()
  await server.send({ method: 'POST', path: F, body: functionBody('hello') })
  await server.send({ method: 'POST', path: F, body: functionBody('other') })
  for (let at = 0; at < 5; at += 1) {
    ids.push(await accept('hello'))
    server.clockMs += 60_000
  }
  await server.send({ method: 'POST', path: F, body: functionBody('failing') })
  // The first two end, one by one; the third runs; the rest waits.
  const claimed = await server.store.tasks.claim(3, server.clockMs, 3_600_000)
  const [first, second] = claimed.map(({ lease }) => lease)
  await server.store.tasks.settle(first ?? '', { ending: 'succeeded', attempts: 1 })
  await server.store.tasks.settle(second ?? '', { ending: 'failed', attempts: 1, lastError: 'timedOut' })
  await accept('other')
})
afterAll(() => server.close())
afterEach(() => {
  expect(server.observed).toEqual([])
})

async function accept(name: string): Promise<string> {
  const path = `${F}/${urnOf(name)}/invocations-async`
  const { json } = await server.send({ method: 'POST', path, body: { n: ids.length } })
  return String(json['request_id'])
}

function list(query = '', active = false): Promise<TestReply> {
  const kind = active ? 'active-async-invocations' : 'async-invocations'
  return server.send({ method: 'GET', path: `${HELLO}/${kind}${query}` })
}

function shown({ json }: TestReply): JsonObject[] {
  return json['invocations'] as JsonObject[]
}

const idsOf = (reply: TestReply) => shown(reply).map((record) => record['request_id'])

describe('the records of asynchronous calls', () => {
  test('are listed, the newest first, with how they ended', async () => {
    const reply = await list()
    expect([reply.status, reply.json['count']]).toEqual([200, 5])
    expect(reply.json).not.toHaveProperty('next_marker')
    expect(idsOf(reply)).toEqual(ids.toReversed())
    expect(shown(reply).map(({ status }) => status)).toEqual(['WAIT', 'WAIT', 'RUNNING', 'FAIL', 'SUCCESS'])
    expect(shown(reply).at(-1)).toEqual({
      request_id: ids[0],
      status: 'SUCCESS',
      error_message: '',
      error_code: 0,
      start_time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/),
      end_time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/),
    })
    expect(shown(reply).at(-2)).toMatchObject({ error_message: 'timedOut', error_code: 4010 })
    expect(shown(reply)[0]).toMatchObject({ error_message: '', error_code: 0, end_time: '' })
  })

  test('are paged', async () => {
    const first = await list('?limit=2')
    expect([idsOf(first), first.json['next_marker'], first.json['count']]).toEqual([[ids[4], ids[3]], 2, 5])
    const last = await list('?limit=2&marker=4')
    expect([idsOf(last), last.json['next_marker']]).toEqual([[ids[0]], undefined])
    expect(shown(await list('?marker=100'))).toEqual([])
  })

  test('are narrowed by id, state and time', async () => {
    expect(idsOf(await list(`?request_id=${ids[1]}`))).toEqual([ids[1]])
    expect(idsOf(await list('?request_id=none'))).toEqual([])
    expect(idsOf(await list('?status=SUCCESS'))).toEqual([ids[0]])
    expect(idsOf(await list('?status=DISCARD'))).toEqual([])
    expect(
      idsOf(await list('?query_begin_time=2026-11-21T10:01:00&query_end_time=2026-11-21T10:03:00')),
    ).toEqual([ids[2], ids[1]])
    const before = server.clockMs
    server.clockMs = Date.parse('2026-11-21T11:02:30Z')
    expect(idsOf(await list())).toEqual([ids[4], ids[3]])
    expect(idsOf(await list(`?request_id=${ids[0]}`))).toEqual([ids[0]])
    server.clockMs = before
  })

  test('go on beyond what is counted', async () => {
    const { tasks } = server.store
    const listTasks = tasks.list.bind(tasks)
    const counting = vi.spyOn(tasks, 'list')
    counting.mockImplementation(async (filter) => ({ ...(await listTasks(filter)), total: 2 }))
    const page = await list('?limit=2&marker=2')
    counting.mockRestore()
    expect([idsOf(page), page.json['next_marker']]).toEqual([[ids[2], ids[1]], 4])
  })

  test('of calls that have not ended are a list of their own', async () => {
    expect(idsOf(await list('', true))).toEqual([ids[4], ids[3], ids[2]])
    expect(idsOf(await list('?status=RUNNING', true))).toEqual([ids[2]])
    expect((await list('?status=SUCCESS', true)).json).toEqual({ invocations: [], count: 0 })
    expect(idsOf(await list(`?requests=${ids[0]},${ids[3]}`, true))).toEqual([ids[3]])
    const many = await list(`?requests=${Array.from({ length: 11 }, (_, at) => `id${at}`).join(',')}`, true)
    expect([many.status, many.code]).toEqual([400, 'FSS.0400'])
  })

  test.each([
    '?limit=0',
    '?limit=501',
    '?marker=-1',
    '?marker=1000001',
    '?status=DONE',
    '?query_begin_time=yesterday',
    '?limit=x',
  ])('%s is refused', async (query) => {
    for (const active of [false, true]) {
      const { status, code } = await list(query, active)
      expect([status, code]).toEqual([400, 'FSS.0400'])
    }
  })

  test('of a function that does not exist are not there', async () => {
    const { status, code } = await server.send({
      method: 'GET',
      path: `${F}/${urnOf('none')}/async-invocations`,
    })
    expect([status, code]).toEqual([404, 'FSS.1051'])
  })
})

describe('cancelling', () => {
  const cancel = (body: unknown, name = 'hello') =>
    server.send({ method: 'POST', path: `${F}/${urnOf(name)}/cancel`, body })

  test('ends a call that waits, and finds it ended the next time', async () => {
    const requestId = await accept('hello')
    for (const type of ['force', 'recursive', undefined]) {
      const { status, text } = await cancel({ request_id: requestId, type })
      expect([status, text]).toEqual([200, '{}'])
    }
    const [record] = shown(await list(`?request_id=${requestId}`))
    expect(record).toMatchObject({ status: 'DISCARD', error_code: 4208, error_message: 'cancelled' })
    expect(await server.store.tasks.find(ACCOUNT, requestId)).toMatchObject({ status: 'cancelled' })
  })

  test('refuses an id it does not know, or of another function', async () => {
    const requestId = await accept('hello')
    for (const [body, name] of [
      [{ request_id: 'none' }, 'hello'],
      [{ request_id: requestId }, 'other'],
    ] as const) {
      const { status, json } = await cancel(body, name)
      expect([status, json]).toEqual([400, { error_code: 'FSS.0400', error_msg: 'Invalid RequestId' }])
    }
    expect(await server.store.tasks.find(ACCOUNT, requestId)).toMatchObject({ status: 'waiting' })
  })

  test.each([{}, { request_id: 5 }, { request_id: 'x', type: 'gently' }])(
    'does not understand %j',
    async (body) => {
      expect((await cancel(body)).code).toBe('FSS.0400')
    },
  )
})

test('the log of states is always on, and has a place', async () => {
  const enabled = await server.send({ method: 'POST', path: `${F}/enable-async-status-logs` })
  expect([enabled.status, enabled.text]).toEqual([200, '{}'])
  const { json } = await server.send({ method: 'GET', path: `${F}/async-status-log-detail` })
  expect(json).toEqual({
    group_name: expect.any(String),
    group_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    stream_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    stream_name: expect.any(String),
  })
})

describe('why a call failed', () => {
  const endOf = async (lastError: string, payload: string): Promise<JsonObject | undefined> => {
    const id = await accept('failing')
    const claimed = await server.store.tasks.claim(100, server.clockMs, 3_600_000)
    const lease = claimed.find(({ requestId }) => requestId === id)?.lease ?? ''
    const result = { ...RESULT, payload: Buffer.from(payload) }
    await server.store.tasks.settle(lease, { ending: 'failed', attempts: 1, lastError, result })
    const path = `${F}/${urnOf('failing')}/async-invocations`
    const [listed] = shown(await server.send({ method: 'GET', path: `${path}?limit=1&status=FAIL` }))
    expect(listed?.['error_message']).toBe(lastError)
    return shown(await server.send({ method: 'GET', path: `${path}?request_id=${id}` }))[0]
  }

  test('is told in the words of the code when it is asked for by its id', async () => {
    const body = JSON.stringify({ errorMessage: 'x is not a function', errorType: 'TypeError' })
    expect(await endOf('TypeError', body)).toMatchObject({
      status: 'FAIL',
      error_code: 4002,
      error_message: 'TypeError: x is not a function',
    })
    const long = JSON.stringify({ errorMessage: 'x'.repeat(5000), errorType: 'TypeError' })
    expect(String((await endOf('TypeError', long))?.['error_message'])).toHaveLength(1024 + 11)
  })

  test.each(['', 'no JSON', '{"errorMessage":""}', '{"errorMessage":5}'])(
    'is its name where the code said %j',
    async (payload) => {
      expect(await endOf('exited', payload)).toMatchObject({ error_message: 'exited', error_code: 4002 })
    },
  )
})

describe('the number of a failure', () => {
  const cases: [string, number, string?][] = [
    ['TypeError', 4002],
    ['handled: TypeError', 4001, 'TypeError'],
    ['exited', 4002],
    ['my-not-found', 4002],
    ['timedOut', 4010],
    ['FunctionLoadError', 4001],
    ['FunctionConfigError', 4001],
    ['FunctionResponseTooLarge', 4004],
    ['FunctionResultInvalid', 4007],
    ['initializerThrew: TypeError', 4009],
    ['initCrashed', 4201],
    ['initTimedOut', 4211],
    ['caller/function-not-found', 4024],
    ['caller/concurrency-exceeded', 150_429],
  ]
  test.each(cases)('called %s is %d', async (lastError, code, message = lastError) => {
    const id = await accept('failing')
    const claimed = await server.store.tasks.claim(100, server.clockMs, 3_600_000)
    const lease = claimed.find(({ requestId }) => requestId === id)?.lease ?? ''
    await server.store.tasks.settle(lease, { ending: 'failed', attempts: 1, lastError })
    const path = `${F}/${urnOf('failing')}/async-invocations?request_id=${id}`
    expect(shown(await server.send({ method: 'GET', path }))[0]).toMatchObject({
      error_message: message,
      error_code: code,
    })
  })
})
