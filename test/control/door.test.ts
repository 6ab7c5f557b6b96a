import { connect, createServer, type Socket } from 'node:net'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Page, QueueView, TaskDetailsView, TaskPageView } from '../../src/control/api.ts'
import { ControlClient } from '../../src/control/client.ts'
import { ControlDoor, type ControlDoorOptions } from '../../src/control/door.ts'
import { OPERATIONS } from '../../src/control/operations.ts'
import { Queues } from '../../src/control/queues.ts'
import { Catalogue } from '../../src/engine/catalogue.ts'
import { EngineError } from '../../src/model/errors.ts'
import type { TaskQueue } from '../../src/store/task-queue.ts'
import { TaskService } from '../../src/async/task-service.ts'
import { FakeClock } from '../async/fake-clock.ts'
import { newDelivery, newTask } from '../contracts/store/task.ts'
import { MemoryDefinitions } from '../helpers/memory-definitions.ts'
import { StoreHarness } from '../store/sqlite/harness.ts'

const ACCOUNT = newTask().account
const QUEUE = ['queues', 'default', 'resize'] as const
const REQUEST_TIMEOUT_MS = 200

let dir: string
let clock: FakeClock
let harness: StoreHarness
let door: ControlDoor
let client: ControlClient
let tasks: TaskService
let changes: string[]
let faults: unknown[]
/** How often the destinations were told that something is due. */
let notices: number

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'door-'))
  clock = new FakeClock()
  harness = await StoreHarness.open({ now: () => clock.now() })
  changes = []
  faults = []
  notices = 0
  tasks = new TaskService({
    queue: harness.tasks(),
    delivery: { notify: () => {}, terminate: () => Promise.resolve('unknown') },
    clock,
  })
  await openDoor()
})
afterEach(async () => {
  await client.close()
  await door.close()
  await harness.close()
  await rm(dir, { recursive: true })
  expect(faults).toEqual([])
})

async function openDoor(options: Partial<ControlDoorOptions> = {}, dataDir = dir): Promise<void> {
  door = await ControlDoor.open(
    dataDir,
    {
      queues: new Queues(tasks, await Catalogue.open(new MemoryDefinitions())),
      tasks,
      audit: () => tasks.audit(),
      outbox: harness.store.outbox,
      notifyDestinations: () => (notices += 1),
      account: ACCOUNT,
      usualLimits: { maxRuns: 32, maxTasks: 5000 },
      webhookSecretOf: (account) => `secret of ${account}`,
      onChange: (what) => changes.push(what),
    },
    { onFault: (error) => faults.push(error), requestTimeoutMs: REQUEST_TIMEOUT_MS, ...options },
  )
  client = await ControlClient.open(dataDir)
}

async function reopenDoor(options: Partial<ControlDoorOptions>): Promise<void> {
  await client.close()
  await door.close()
  await openDoor(options)
}

async function enqueue(
  requestIds: readonly string[],
  more: Parameters<typeof newTask>[0] = {},
): Promise<void> {
  for (const requestId of requestIds)
    await harness
      .tasks()
      .enqueue(newTask({ requestId, acceptedAtMs: clock.now(), dueAtMs: clock.now(), ...more }))
}

/** Runs what is due, to this ending. */
async function run(ending: 'succeeded' | 'failed', count = 1): Promise<void> {
  const queue: TaskQueue = harness.tasks()
  for (const { lease } of await queue.claim(count, clock.now(), 1000))
    await queue.settle(lease, {
      ending,
      attempts: 1,
      ...(ending === 'failed' ? { lastError: 'TypeError' } : {}),
      result: {
        payload: Buffer.from([0xff, 0x00]),
        isCut: false,
        logTail: Buffer.from('it said so'),
        kind: 'threw',
        durationMs: 1.5,
        billedDurationMs: 2,
        maxMemoryBytes: 1024,
        instanceId: 'i-1',
        version: 'LATEST',
      },
    })
}

const queueOf = (): Promise<QueueView> => client.ask({ path: QUEUE })

interface Raw {
  readonly method?: string
  readonly path?: string
  readonly headers?: Record<string, string>
  readonly body?: string | Buffer
}

/** A request that the client would not send. */
async function ask({ method = 'GET', path = '/v1/queues', headers = {}, body }: Raw): Promise<{
  readonly status: number
  readonly headers: Record<string, unknown>
  readonly error: { readonly code?: string; readonly message?: string; readonly fix?: string }
}> {
  const sent = request({ socketPath: join(dir, 'control.sock'), method, path, headers, agent: false })
  sent.on('error', () => {})
  const answered = once(sent, 'response')
  sent.end(body)
  const [response] = await answered
  const content: { error?: object } = JSON.parse(await text(response))
  return { status: response.statusCode, headers: response.headers, error: content.error ?? {} }
}

/** What comes on a connection that these bytes are sent on, until the door closes it. */
async function say(bytes: string): Promise<string> {
  const socket: Socket = connect(join(dir, 'control.sock'))
  socket.on('error', () => {})
  socket.write(bytes)
  const received: Buffer[] = []
  socket.on('data', (chunk: Buffer) => received.push(chunk))
  await new Promise((resolve) => socket.once('close', resolve))
  return Buffer.concat(received).toString()
}

describe('queues', () => {
  test('are listed with counters that add up, the age of the oldest call, and limits', async () => {
    await enqueue(['a', 'b', 'c'])
    await run('succeeded')
    await enqueue(['other'], { functionName: 'shrink', dueAtMs: clock.now() + 500 })
    clock.advance(70)
    await harness.tasks().claim(1, clock.now(), 1000)
    const { items, next } = await client.ask<Page<QueueView>>({ path: ['queues'] })
    expect(next).toBeUndefined()
    expect(items).toEqual([
      expect.objectContaining({
        account: ACCOUNT,
        namespace: 'default',
        name: 'resize',
        accepted: 3,
        waiting: 1,
        running: 1,
        succeeded: 1,
        duplicates: 0,
        repeats: 0,
        imbalance: 0,
        isPaused: false,
        maxRuns: 32,
        maxTasks: 5000,
        set: {},
        oldest: {
          acceptedAtMs: clock.now() - 70,
          dueAtMs: clock.now() - 70,
          ageMs: 70,
          overdueMs: 70,
        },
      }),
      expect.objectContaining({
        name: 'shrink',
        waiting: 1,
        oldest: expect.objectContaining({ overdueMs: 0 }),
      }),
    ])
  })

  test('are listed page by page, of one namespace, and of the account that is asked for', async () => {
    for (const [namespace, functionName] of [
      ['a', 'z'],
      ['b', 'a'],
      ['b', 'b'],
    ] as const)
      await enqueue([`${namespace}${functionName}`], { namespace, functionName })
    const names: string[] = []
    let after: string | undefined
    do {
      const page: Page<QueueView> = await client.ask({ path: ['queues'], query: { limit: 1, after } })
      names.push(...page.items.map(({ namespace, name }) => `${namespace}/${name}`))
      after = page.next
    } while (after !== undefined)
    expect(names).toEqual(['a/z', 'b/a', 'b/b'])
    const ofB = await client.ask<Page<QueueView>>({ path: ['queues'], query: { namespace: 'b' } })
    expect(ofB.items).toHaveLength(2)
    await enqueue(['of-42'], { account: '42' })
    const of42 = await client.ask<Page<QueueView>>({ path: ['queues'], query: { account: '42' } })
    expect(of42.items).toEqual([expect.objectContaining({ account: '42', accepted: 1 })])
  })

  test('of a namespace without any, and of accounts that nobody knows, are refused', async () => {
    await enqueue(['a'])
    const list = (query: Record<string, string>): Promise<object> => client.ask({ path: ['queues'], query })
    await expect(list({ namespace: 'nope' })).rejects.toMatchObject({
      status: 404,
      message: 'there is no queue in namespace nope',
    })
    await expect(list({ account: '99' })).rejects.toMatchObject({
      status: 404,
      code: 'caller/account-not-found',
    })
    await expect(list({ account: 'abc' })).rejects.toMatchObject({ status: 400, code: 'caller/malformed' })
  })

  test('of functions that nobody knows are refused with the nearest name, and none is made', async () => {
    await enqueue(['a'])
    for (const method of ['GET', 'PATCH'] as const)
      await expect(client.ask({ method, path: ['queues', 'default', 'resise'] })).rejects.toMatchObject({
        status: 404,
        code: 'caller/function-not-found',
        fix: 'did you mean default/resize?',
      })
    await expect(client.ask({ path: ['queues', 'defualt', 'resize'] })).rejects.toMatchObject({
      fix: 'did you mean default/resize?',
    })
    // What both have in front makes neither near to the other.
    await expect(client.ask({ path: ['queues', 'default', 'nize'] })).rejects.not.toHaveProperty(
      'fix',
      expect.any(String),
    )
    for (const step of ['purge', 'redrive', 'redeliver'])
      await expect(
        client.ask({ method: 'POST', path: ['queues', 'default', 'resise', step] }),
      ).rejects.toMatchObject({ status: 404 })
    const { items } = await client.ask<Page<QueueView>>({ path: ['queues'] })
    expect(items).toHaveLength(1)
  })

  test('are paused, resumed and limited, and the operator is told', async () => {
    await enqueue(['a', 'b'])
    const change = (body: object): Promise<QueueView> => client.ask({ method: 'PATCH', path: QUEUE, body })
    expect(await change({ isPaused: true, maxRuns: 2 })).toMatchObject({
      isPaused: true,
      maxRuns: 2,
      set: { maxRuns: 2 },
    })
    expect(await harness.tasks().claim(1, clock.now(), 1000)).toEqual([])
    expect(await change({ isPaused: false, maxTasks: 2 })).toMatchObject({
      isPaused: false,
      maxRuns: 2,
      maxTasks: 2,
    })
    await expect(enqueue(['c'])).rejects.toMatchObject({ code: 'caller/queue-full' })
    expect(await change({ maxRuns: null, maxTasks: null })).toMatchObject({
      maxRuns: 32,
      maxTasks: 5000,
      set: {},
    })
    expect(changes).toEqual(Array.from({ length: 3 }, () => 'a queue was changed'))
  })

  test('are purged in steps, and what was cancelled is counted', async () => {
    await enqueue(['a', 'b', 'c'])
    const purge = (limit: number): Promise<object> =>
      client.ask({ method: 'POST', path: [...QUEUE, 'purge'], body: { limit } })
    expect(await purge(2)).toEqual({ purged: 2, waiting: 1 })
    expect(await purge(2)).toEqual({ purged: 1, waiting: 0 })
    expect(await purge(2)).toEqual({ purged: 0, waiting: 0 })
    expect(changes).toEqual(['waiting calls were cancelled', 'waiting calls were cancelled'])
    expect(await queueOf()).toMatchObject({ accepted: 3, waiting: 0, cancelled: 3, imbalance: 0 })
    expect(await client.ask({ path: ['audit'] })).toEqual({ imbalance: 0, miscounted: 0, strayPayloads: 0 })
  })

  test('of failed calls are driven again as new calls, each once', async () => {
    await enqueue(['a', 'b'])
    await run('failed', 2)
    const redrive = (): Promise<{ redriven: { requestId: string; causedBy: string }[] }> =>
      client.ask({ method: 'POST', path: [...QUEUE, 'redrive'] })
    const { redriven } = await redrive()
    expect(redriven.map(({ causedBy }) => causedBy)).toEqual(['a', 'b'])
    expect(await redrive()).toEqual({ redriven: [] })
    expect(changes).toEqual(['failed calls were accepted anew'])
    expect(await queueOf()).toMatchObject({ accepted: 4, waiting: 2, failed: 2, imbalance: 0 })
    const [first] = redriven
    expect(await client.ask({ path: ['tasks', first?.requestId ?? ''] })).toMatchObject({ causedBy: 'a' })
  })

  test('that are full refuse to have calls driven again, and say so', async () => {
    await enqueue(['a'])
    await run('failed')
    await client.ask({ method: 'PATCH', path: QUEUE, body: { maxTasks: 0 } })
    await expect(client.ask({ method: 'POST', path: [...QUEUE, 'redrive'] })).rejects.toMatchObject({
      status: 429,
      code: 'caller/queue-full',
      message: 'the queue of the function has no room: its limit is 0 calls',
    })
  })
})

describe('calls', () => {
  test('are listed by state, by when they ended, in the order of that, and page by page', async () => {
    await enqueue(['late'])
    const [late] = await harness.tasks().claim(1, clock.now(), 60_000)
    clock.advance(1)
    await enqueue(['a'])
    await run('failed')
    clock.advance(100)
    await enqueue(['b'])
    await run('failed')
    await enqueue(['c', 'd'])
    const list = (query: Record<string, string | number>): Promise<TaskPageView> =>
      client.ask({ path: [...QUEUE, 'tasks'], query })
    const idsOf = ({ items }: TaskPageView): string[] => items.map(({ requestId }) => requestId)
    expect(idsOf(await list({ status: 'failed' }))).toEqual(['b', 'a'])
    expect(idsOf(await list({ status: 'waiting,failed', order: 'oldest' }))).toEqual(['a', 'b', 'c', 'd'])
    expect(idsOf(await list({ endedFromMs: clock.now() }))).toEqual(['b'])
    expect(idsOf(await list({ endedToMs: clock.now() }))).toEqual(['a'])
    const first = await list({ limit: 3 })
    expect(first).toMatchObject({ total: 5 })
    expect(idsOf(await list({ limit: 3, after: first.next ?? '' }))).toEqual(['a', 'late'])
    clock.advance(1)
    await harness.tasks().settle(late?.lease ?? '', { ending: 'succeeded', attempts: 1 })
    expect(idsOf(await list({ endedFromMs: 1 }))).toEqual(['late', 'b', 'a'])
  })

  test('are shown with result, log and history, and with their event where it is asked for', async () => {
    await enqueue(['a'], { payload: Buffer.from('{"n":1}') })
    await run('failed')
    const shown = await client.ask<TaskDetailsView>({ path: ['tasks', 'a'] })
    expect(shown).toMatchObject({
      status: 'failed',
      lastError: 'TypeError',
      history: [],
      result: { kind: 'threw', payload: { base64: '/wA=' }, logTail: 'it said so', version: 'LATEST' },
    })
    expect(shown.event).toBeUndefined()
    const withEvent = await client.ask<TaskDetailsView>({ path: ['tasks', 'a'], query: { event: 'true' } })
    expect(withEvent.event).toEqual({ text: '{"n":1}' })
    await expect(client.ask({ path: ['tasks', 'nobody'] })).rejects.toMatchObject({
      status: 404,
      code: 'caller/task-not-found',
    })
    await expect(client.ask({ path: ['tasks', 'a'], query: { account: '42' } })).rejects.toMatchObject({
      status: 404,
    })
  })
})

test('a call is found by what its caller named it, where that is one of one function', async () => {
  await enqueue(['a'], { taskId: 'order-1' })
  await enqueue(['b'], { taskId: 'order-2' })
  await enqueue(['c'], { taskId: 'order-2', functionName: 'shrink' })
  expect(await client.ask({ path: ['tasks', 'order-1'] })).toMatchObject({ requestId: 'a' })
  await expect(client.ask({ path: ['tasks', 'order-2'] })).rejects.toMatchObject({
    status: 409,
    code: 'caller/task-ambiguous',
    fix: expect.stringMatching(/b \(default\/resize\), c \(default\/shrink\)/),
  })
  await expect(client.ask({ path: ['tasks', 'order-3'] })).rejects.toMatchObject({ status: 404 })
})

describe('endings that could not be told', () => {
  test('are listed page by page, with what would have been told where it is asked for', async () => {
    for (const requestId of ['a', 'b']) {
      await enqueue([requestId])
      const [claimed] = await harness.tasks().claim(1, clock.now(), 1000)
      const delivery = newDelivery({ deliveryId: `of ${requestId}`, requestId, body: Buffer.from('told') })
      await harness.tasks().settle(claimed?.lease ?? '', { ending: 'succeeded', attempts: 1, delivery })
    }
    const { outbox } = harness.store
    for (const { lease } of await outbox.claimDeliveries(2, clock.now(), 1000))
      await outbox.undeliverable(lease, 'webhook-status 404', clock.now())
    await enqueue(['c'])
    const [under] = await harness.tasks().claim(1, clock.now(), 1000)
    const delivery = newDelivery({ deliveryId: 'of c', requestId: 'c' })
    await harness.tasks().settle(under?.lease ?? '', { ending: 'succeeded', attempts: 1, delivery })
    const first = await client.ask<Page<object>>({ path: ['undeliverable'], query: { limit: 1 } })
    expect(first.items).toEqual([
      expect.objectContaining({ requestId: 'b', lastError: 'webhook-status 404', endedAtMs: clock.now() }),
    ])
    expect(first.items[0]).not.toHaveProperty('body')
    const second = await client.ask<Page<object>>({
      path: ['undeliverable'],
      query: { after: first.next, body: 'true', function: 'resize' },
    })
    expect(second).toEqual({ items: [expect.objectContaining({ requestId: 'a', body: { text: 'told' } })] })
    expect(await client.ask({ path: ['undeliverable'], query: { function: 'other' } })).toEqual({ items: [] })
  })
})

test('endings that could not be told are told again, and shown with their call', async () => {
  await enqueue(['a'], {
    destinations: { onSuccess: { dialect: 'any', target: { kind: 'webhook', url: 'https://example.com/' } } },
  })
  const [claimed] = await harness.tasks().claim(1, clock.now(), 1000)
  const delivery = newDelivery({ requestId: 'a' })
  await harness.tasks().settle(claimed?.lease ?? '', { ending: 'succeeded', attempts: 1, delivery })
  const { outbox } = harness.store
  const [first] = await outbox.claimDeliveries(1, clock.now(), 1000)
  await outbox.retryDelivery(first?.lease ?? '', clock.now() + 500, 'webhook-status 503')
  const task = (): Promise<TaskDetailsView> => client.ask({ path: ['tasks', 'a'] })
  expect(await task()).toMatchObject({
    telling: 'waiting',
    destinations: { onSuccess: { target: { url: 'https://example.com/' } } },
    delivery: {
      status: 'waiting',
      attempts: 1,
      dueAtMs: clock.now() + 500,
      lastError: 'webhook-status 503',
    },
  })
  clock.advance(500)
  const [second] = await outbox.claimDeliveries(1, clock.now(), 1000)
  await outbox.undeliverable(second?.lease ?? '', 'webhook-status 404', clock.now())
  const redeliver = (): Promise<object> =>
    client.ask({ method: 'POST', path: [...QUEUE, 'redeliver'], body: { requestIds: ['a'] } })
  expect(await redeliver()).toEqual({
    redelivered: [{ deliveryId: 'delivery-1', requestId: 'a', endedAtMs: clock.now() }],
    isFull: false,
  })
  expect(notices).toBe(1)
  expect(changes).toEqual(['undeliverable endings are told again'])
  expect(await redeliver()).toEqual({ redelivered: [], isFull: false })
  expect({ notices, changes: changes.length }).toEqual({ notices: 1, changes: 1 })
  const [third] = await outbox.claimDeliveries(1, clock.now(), 1000)
  await outbox.delivered(third?.lease ?? '')
  const told = await task()
  expect(told).toMatchObject({ telling: 'delivered' })
  expect(told).not.toHaveProperty('delivery')
})

test('the secret of webhooks is that of the account', async () => {
  expect(await client.ask({ path: ['webhook-secret'] })).toEqual({
    account: ACCOUNT,
    secret: `secret of ${ACCOUNT}`,
  })
  const of42 = (): Promise<object> => client.ask({ path: ['webhook-secret'], query: { account: '42' } })
  await expect(of42()).rejects.toMatchObject({ status: 404, code: 'caller/account-not-found' })
  await enqueue(['a'], { account: '42' })
  expect(await of42()).toMatchObject({
    secret: 'secret of 42',
  })
})

describe('what is not a request of this door', () => {
  const JSON_TYPE = { 'content-type': 'application/json' }

  test.each<[string, Raw, number, string]>([
    ['an unknown path', { path: '/v1/nothing' }, 404, 'caller/operation-unknown'],
    ['another version', { path: '/v2/queues' }, 404, 'caller/operation-unknown'],
    ['an empty name', { path: '/v1/queues//resize' }, 404, 'caller/operation-unknown'],
    ['another method', { method: 'DELETE' }, 405, 'caller/method-not-allowed'],
    ['a broken escape', { path: '/v1/queues/%zz/x' }, 400, 'caller/malformed'],
    ['an unknown parameter', { path: '/v1/queues?colour=red' }, 400, 'caller/malformed'],
    ['a parameter twice', { path: '/v1/queues?limit=1&limit=2' }, 400, 'caller/malformed'],
    ['too large a page', { path: '/v1/queues?limit=1001' }, 400, 'caller/malformed'],
    ['no cursor', { path: '/v1/undeliverable?after=x' }, 400, 'caller/malformed'],
    ['many bodies', { path: '/v1/undeliverable?limit=9&body=true' }, 400, 'caller/malformed'],
    ['no state', { path: '/v1/queues/default/resize/tasks?status=lost' }, 400, 'caller/malformed'],
    ['no JSON', { method: 'PATCH', headers: JSON_TYPE, body: '{' }, 400, 'caller/malformed'],
    ['no object', { method: 'PATCH', headers: JSON_TYPE, body: '[]' }, 400, 'caller/malformed'],
    [
      'no UTF-8',
      {
        method: 'POST',
        path: '/v1/queues/default/resize/redrive',
        headers: JSON_TYPE,
        body: Buffer.from('{"requestIds":["\xff"]}', 'latin1'),
      },
      400,
      'caller/malformed',
    ],
    [
      'a wrong type',
      { method: 'PATCH', headers: JSON_TYPE, body: '{"isPaused":1}' },
      400,
      'caller/malformed',
    ],
    [
      'a limit of none',
      { method: 'PATCH', headers: JSON_TYPE, body: '{"maxRuns":0}' },
      400,
      'caller/malformed',
    ],
    [
      'an unknown member',
      { method: 'PATCH', headers: JSON_TYPE, body: '{"paused":true}' },
      400,
      'caller/malformed',
    ],
    [
      'a form',
      { method: 'PATCH', headers: { 'content-type': 'text/plain' }, body: '{}' },
      415,
      'caller/not-json',
    ],
    [
      'a long body',
      { method: 'PATCH', headers: JSON_TYPE, body: 'x'.repeat(64 * 1024 + 1) },
      413,
      'caller/body-too-large',
    ],
    [
      'a long body of unknown length',
      {
        method: 'PATCH',
        headers: { ...JSON_TYPE, 'transfer-encoding': 'chunked' },
        body: 'x'.repeat(64 * 1024 + 1),
      },
      413,
      'caller/body-too-large',
    ],
    [
      'one header too many, with the two that are there anyway,',
      { headers: Object.fromEntries(Array.from({ length: 31 }, (_, n) => [`x-${n}`, 'y'])) },
      431,
      'caller/head-too-large',
    ],
    ['a long head', { headers: { 'x-long': 'y'.repeat(9000) } }, 431, 'caller/head-too-large'],
  ])('%s is refused', async (_what, raw, status, code) => {
    await enqueue(['a'])
    const path = raw.path ?? (raw.method === 'PATCH' ? '/v1/queues/default/resize' : '/v1/queues')
    const answer = await ask({ ...raw, path })
    expect({ status: answer.status, code: answer.error.code }).toEqual({ status, code })
    expect(answer.error.message).toMatch(/\w/)
    expect(answer.headers['allow']).toBe(status === 405 ? 'GET' : undefined)
    expect(await queueOf()).toMatchObject({ isPaused: false, set: {} })
  })

  test('a body that says it is too long is not waited for', async () => {
    const head = 'PATCH /v1/queues/default/resize HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
    expect(await say(`${head}Content-Length: 65537\r\n\r\n`)).toMatch(/^HTTP\/1\.1 413 /)
  })

  test('what is no HTTP is refused and hung up on', async () => {
    const answer = await say('\x16\x03\x01 hello\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.1 400 .*"code":"caller\/malformed"/s)
  })

  test('a request that does not come to its end is given up', async () => {
    for (const beginning of [
      'GET /v1/queues HTTP/1.1\r\nHost: x\r\n',
      'PATCH /v1/queues/default/resize HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
    ])
      expect(await say(beginning)).toMatch(/^HTTP\/1\.1 408 /)
    expect(await say('')).toMatch(/^(?:HTTP\/1\.1 408 |$)/)
  })

  test('connections beyond the bound are closed unanswered', async () => {
    await reopenDoor({ maxConnections: 1, requestTimeoutMs: 60_000 })
    const first = connect(join(dir, 'control.sock'))
    await once(first, 'connect')
    expect(await say('GET /v1/queues HTTP/1.1\r\nHost: x\r\n\r\n')).toBe('')
    first.destroy()
    await once(first, 'close')
    await expect.poll(() => client.ask({ path: ['audit'] }).catch(() => undefined)).toBeDefined()
  })
})

test('faults are told to the operator, and to nobody else', async () => {
  const audit = tasks.audit
  tasks.audit = () => Promise.reject(new Error('a secret of ours'))
  const answer = await ask({ path: '/v1/audit' })
  expect(answer).toMatchObject({ status: 500, error: { code: 'platform/fault' } })
  expect(JSON.stringify(answer)).not.toContain('secret')
  expect(faults.splice(0)).toEqual([new Error('a secret of ours')])
  tasks.audit = () => Promise.reject(new EngineError('platform/store-full', {}))
  expect(await ask({ path: '/v1/audit' })).toMatchObject({
    status: 507,
    error: { code: 'platform/store-full' },
  })
  tasks.audit = audit
})

test('every operation has a path of its own', () => {
  const keys = OPERATIONS.map(({ method, path }) => `${method} ${path.join('/')}`)
  expect(new Set(keys).size).toBe(keys.length)
})

describe('the socket', () => {
  test('is for its owner alone, and nothing else is left of its making', async () => {
    const { mode } = await stat(join(dir, 'control.sock'))
    expect(mode & 0o777).toBe(0o600)
    expect(await readdir(dir)).toEqual(['control.sock'])
  })

  test('is gone once the door is closed', async () => {
    await door.close()
    expect(await readdir(dir)).toEqual([])
    await expect(client.ask({ path: ['queues'] })).rejects.toMatchObject({ reason: 'absent' })
  })

  test('takes the place of one that a killed server left', async () => {
    await client.close()
    await door.close()
    const path = join(dir, 'control.sock')
    await leaveSocket(path)
    await mkdir(join(dir, '.control-new'))
    await leaveSocket(join(dir, '.control-new', 'control.sock'))
    await openDoor()
    expect(await client.ask({ path: ['queues'] })).toEqual({ items: [] })
    expect(await readdir(dir)).toEqual(['control.sock'])
  })

  test('does not take the place of something else', async () => {
    await client.close()
    await door.close()
    await writeFile(join(dir, 'control.sock'), 'mine')
    await expect(openDoor()).rejects.toThrow('is no socket')
    await rm(join(dir, 'control.sock'))
    await openDoor()
  })

  test('works where the path is longer than a socket may have', async () => {
    const long = join(dir, 'd'.repeat(200))
    await mkdir(long)
    await client.close()
    await door.close()
    await openDoor({}, long)
    expect(await client.ask({ path: ['queues'] })).toEqual({ items: [] })
    await door.close()
    expect(await readdir(long)).toEqual([])
  })
})

/** A socket that nobody listens on. */
async function leaveSocket(path: string): Promise<void> {
  const server = createServer().listen(`${path}.kept`)
  await once(server, 'listening')
  const { rename } = await import('node:fs/promises')
  await rename(`${path}.kept`, path)
  await chmod(path, 0o666)
  server.close()
  await once(server, 'close')
}
