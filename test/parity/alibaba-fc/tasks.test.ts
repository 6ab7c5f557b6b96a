import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { setQueue, undeliverableOf } from '../../helpers/queue-door.ts'
import { ACCOUNT } from '../../helpers/server.ts'
import { Open, Suite } from './clients.ts'

let suite: Suite

beforeAll(async () => {
  suite = await Suite.start('tasks')
})

afterAll(() => suite?.server.close())

type Task = InstanceType<typeof Open.StatefulAsyncInvocation>

const POLL_MS = 50
const WITHIN_MS = 20_000
const ENDED = ['Succeeded', 'Failed', 'Stopped', 'Expired', 'Invalid']

const pathOf = (name: string, qualifier?: string): string =>
  `/services/tasks${qualifier === undefined ? '' : `.${qualifier}`}/functions/${name}/stateful-async-invocations`

async function switchOn(name: string, more: Record<string, unknown> = {}): Promise<void> {
  const config = new Open.PutFunctionAsyncInvokeConfigRequest({ statefulInvocation: true, ...more })
  await suite.open.putFunctionAsyncInvokeConfig('tasks', name, config)
}

/** Submits through API 2021-04-06. */
async function submit(
  name: string,
  event: string,
  taskId?: string,
  enable?: string,
): Promise<Readonly<Record<string, string>>> {
  const { statusCode, headers } = await suite.open.invokeFunctionWithOptions(
    'tasks',
    name,
    new Open.InvokeFunctionRequest({ body: Buffer.from(event) }),
    new Open.InvokeFunctionHeaders({
      xFcInvocationType: 'Async',
      ...(taskId === undefined ? {} : { xFcStatefulAsyncInvocationId: taskId }),
      ...(enable === undefined ? {} : { xFcStatefulAsyncInvocationEnable: enable }),
    }),
    suite.runtimeOptions,
  )
  expect(statusCode).toBe(202)
  return headers
}

async function get(name: string, taskId: string): Promise<Task> {
  const request = new Open.GetStatefulAsyncInvocationRequest({})
  return (await suite.open.getStatefulAsyncInvocation('tasks', name, taskId, request)).body
}

async function stop(name: string, taskId: string): Promise<void> {
  const request = new Open.StopStatefulAsyncInvocationRequest({})
  await suite.open.stopStatefulAsyncInvocation('tasks', name, taskId, request)
}

async function list(name: string, filter: Record<string, unknown> = {}): Promise<(string | undefined)[]> {
  const request = new Open.ListStatefulAsyncInvocationsRequest(filter)
  const { body } = await suite.open.listStatefulAsyncInvocations('tasks', name, request)
  return (body.invocations ?? []).map(({ invocationId }) => invocationId)
}

async function until(name: string, taskId: string, states: readonly string[] = ENDED): Promise<Task> {
  for (const deadline = Date.now() + WITHIN_MS; ; await delay(POLL_MS)) {
    const task = await get(name, taskId)
    if (states.includes(task.status ?? '')) return task
    if (Date.now() > deadline)
      throw new Error(`the task '${taskId}' is ${task.status}, not ${states.join(', ')}`)
  }
}

const statesOf = ({ events = [] }: Task): (string | undefined)[] => events.map(({ status }) => status)

/** Whether any process of this host goes by a name. */
function hasProcess(name: string): boolean {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .some((pid) => {
      try {
        return readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === name
      } catch {
        return false
      }
    })
}

describe('a task', () => {
  test('is submitted, watched and read back with either client', async () => {
    await suite.deploy(
      'echo',
      `exports.handler = async (event) => { console.log('heard it'); return 'heard ' + event }`,
    )
    await switchOn('echo')
    const submitted = await submit('echo', 'a word', 'order-1')
    expect(submitted['x-fc-stateful-async-invocation-id']).toBe('order-1')
    const task = await until('echo', 'order-1')
    expect(task).toMatchObject({
      serviceName: 'tasks',
      functionName: 'echo',
      qualifier: 'LATEST',
      requestId: submitted['x-fc-request-id'],
      status: 'Succeeded',
      alreadyRetriedTimes: 0,
      invocationPayload: 'a word',
      returnPayload: 'heard a word',
    })
    expect(task.endTime).toBeGreaterThanOrEqual(task.startedTime ?? Number.MAX_VALUE)
    expect(task.instanceId).toMatch(/^c-/)
    expect(statesOf(task)).toEqual(['Enqueued', 'Dequeued', 'Running', 'Succeeded'])
    expect(task.events?.at(-1)?.eventDetail).toContain('heard it')

    await suite.invokeAsync('echo', 'another', { 'x-fc-stateful-async-invocation-id': 'order-2' })
    await until('echo', 'order-2')
    const { data } = await suite.fc2.get(`${pathOf('echo')}/order-2`)
    expect(data).toMatchObject({ status: 'Succeeded', invocationPayload: 'another' })
    const { data: page } = await suite.fc2.get(pathOf('echo'), { limit: 1 })
    expect(page.invocations).toHaveLength(1)
    const { data: next } = await suite.fc2.get(pathOf('echo'), { limit: 1, nextToken: page.nextToken })
    expect([page, next].map(({ invocations }) => invocations[0].invocationId)).toEqual(['order-2', 'order-1'])
    expect(next.nextToken).toBeUndefined()
  })

  test('gets an id where its caller gave none', async () => {
    await suite.deploy('unnamed', `exports.handler = async () => 1`)
    await switchOn('unnamed')
    const headers = await submit('unnamed', '')
    const taskId = headers['x-fc-stateful-async-invocation-id'] ?? ''
    expect(taskId).toBe(headers['x-fc-request-id'])
    expect((await until('unnamed', taskId)).status).toBe('Succeeded')
  })

  test('is refused when its id is taken, by both clients', async () => {
    await suite.deploy('named', `exports.handler = async () => 1`)
    await switchOn('named')
    await submit('named', '', 'order-1')
    const taken = { code: 'StatefulAsyncInvocationAlreadyExists' }
    await expect(submit('named', '', 'order-1')).rejects.toMatchObject({ ...taken, statusCode: 409 })
    const headers = { 'x-fc-stateful-async-invocation-id': 'order-1' }
    await expect(suite.invokeAsync('named', '', headers)).rejects.toMatchObject(taken)
    await expect(submit('named', '', '1-order')).rejects.toMatchObject({ code: 'InvalidArgument' })
  })

  test('is one by its call alone, or by its configuration alone', async () => {
    await suite.deploy('switched', `exports.handler = async () => 1`)
    const off = await submit('switched', '')
    expect(off['x-fc-stateful-async-invocation-id']).toBeUndefined()
    await expect(get('switched', off['x-fc-request-id'] ?? '')).rejects.toMatchObject({
      code: 'StatefulAsyncInvocationNotFound',
      statusCode: 404,
    })
    await submit('switched', '', 'by-call', 'true')
    await switchOn('switched')
    await submit('switched', '', 'by-config')
    await submit('switched', '', 'neither', 'false')
    expect(await list('switched')).toEqual(['by-config', 'by-call'])
    const functions = await suite.open.listStatefulAsyncInvocationFunctions(
      new Open.ListStatefulAsyncInvocationFunctionsRequest({ limit: 100 }),
    )
    const names = functions.body.data?.map(({ functionName }) => functionName)
    expect(names).toContain('switched')
  })

  test('whose code calls back with an error failed as a synchronous call does', async () => {
    await suite.deploy(
      'reporting',
      `exports.handler = (event, context, callback) => callback(new Error('no'))`,
    )
    await switchOn('reporting', { maxAsyncRetryAttempts: 0 })
    await submit('reporting', '', 'order-1')
    const task = await until('reporting', 'order-1')
    expect(task).toMatchObject({ status: 'Failed', invocationErrorMessage: 'HandledInvocationError' })
  })

  test('that fails says why, each time, and is told apart in lists', async () => {
    await suite.deploy('failing', `exports.handler = async () => { throw new TypeError('never') }`)
    await switchOn('failing', { maxAsyncRetryAttempts: 1 })
    await submit('failing', '', 'order-1')
    const task = await until('failing', 'order-1')
    expect(task).toMatchObject({
      status: 'Failed',
      alreadyRetriedTimes: 1,
      invocationErrorMessage: 'UnhandledInvocationError',
    })
    expect(task.returnPayload).toContain('never')
    expect(statesOf(task)).toEqual([
      ...['Enqueued', 'Dequeued', 'Running', 'Retrying'],
      ...['Dequeued', 'Running', 'Failed'],
    ])
    expect(JSON.parse(task.events?.[3]?.eventDetail ?? '')).toEqual({ Error: 'UnhandledInvocationError' })
    expect(await list('failing', { status: 'Failed', invocationIdPrefix: 'order' })).toEqual(['order-1'])
    expect(await list('failing', { status: 'Succeeded' }).catch(() => [])).toEqual([])
  })

  test('that runs too long has the body of a call that does', async () => {
    await suite.deploy('late', `exports.handler = () => new Promise(() => {})`, { timeout: 1 })
    await switchOn('late', { maxAsyncRetryAttempts: 0 })
    await submit('late', '', 'order-1')
    const task = await until('late', 'order-1')
    expect(task.returnPayload).toMatch(
      /^\{"errorMessage":"Function timed out after 1 seconds \(maxMemoryUsage: \d+\.\d\dMB\)"\}$/,
    )
    const { data: page } = await suite.fc2.get(pathOf('late'), { limit: 1 })
    expect(page.invocations[0].durationMs).toBe(task.durationMs)
  })

  test('that is delayed waits until then, and can be stopped', async () => {
    await suite.deploy('delayed', `exports.handler = async () => { console.log('ran') }`)
    await switchOn('delayed')
    await suite.invokeAsync('delayed', '', {
      'x-fc-stateful-async-invocation-id': 'order-1',
      'x-fc-async-delay': '3000',
    })
    expect((await get('delayed', 'order-1')).status).toBe('Enqueued')
    expect(await list('delayed', { status: 'Enqueued' })).toEqual(['order-1'])
    await stop('delayed', 'order-1')
    expect((await get('delayed', 'order-1')).status).toBe('Stopped')
    await expect(stop('delayed', 'order-1')).rejects.toMatchObject({
      code: 'InvalidArgument',
      statusCode: 400,
    })
  })
})

describe('a list of tasks', () => {
  test('is ordered and narrowed as asked, and shows events when asked', async () => {
    await suite.deploy('many', `exports.handler = async () => 1`)
    await switchOn('many')
    for (const number of [1, 2, 3]) await submit('many', `event ${number}`, `order-${number}`)
    await submit('many', 'visit', 'visit-1')
    expect(await list('many', { sortOrderByTime: 'asc' })).toEqual([
      'order-1',
      'order-2',
      'order-3',
      'visit-1',
    ])
    expect(await list('many', { invocationIdPrefix: 'order', limit: 2 })).toEqual(['order-3', 'order-2'])
    const { startedTime = 0 } = await get('many', 'order-2')
    expect(await list('many', { startedTimeBegin: startedTime, startedTimeEnd: startedTime })).toContain(
      'order-2',
    )
    expect(await list('many', { startedTimeEnd: startedTime })).not.toContain('visit-1')
    const { body } = await suite.open.listStatefulAsyncInvocations(
      'tasks',
      'many',
      new Open.ListStatefulAsyncInvocationsRequest({ includePayload: true, invocationIdPrefix: 'visit' }),
    )
    expect(body.invocations?.map(({ invocationPayload }) => invocationPayload)).toEqual(['visit'])
  })

  test('has the tasks of the version or alias that was called', async () => {
    await suite.deploy('versioned', `exports.handler = async () => 1`)
    await suite.fc2.publishVersion('tasks')
    await suite.fc2.createAlias('tasks', 'live', '1')
    const config = new Open.PutFunctionAsyncInvokeConfigRequest({
      qualifier: 'live',
      statefulInvocation: true,
    })
    await suite.open.putFunctionAsyncInvokeConfig('tasks', 'versioned', config)
    const through = (qualifier?: string, taskId = '') =>
      suite.fc2.invokeFunction(
        'tasks',
        'versioned',
        '',
        { 'x-fc-invocation-type': 'Async', 'x-fc-stateful-async-invocation-id': taskId },
        qualifier,
      )
    await through('live', 'order-1')
    await through(undefined, 'order-2')
    expect(await list('versioned', { qualifier: 'live' })).toEqual(['order-1'])
    expect(await list('versioned')).toEqual(['order-1'])
    const { data } = await suite.fc2.get(`${pathOf('versioned', 'live')}/order-1`)
    expect(data.qualifier).toBe('live')
  })
})

describe('a stop', () => {
  test('ends the process of a task that runs, and nothing runs it again', async () => {
    await suite.deploy(
      'spinning',
      `exports.handler = async (event, context) => {
        if (event.toString() === 'clock') {
          if (context.retryCount === 0) throw new Error('not yet')
          return 'free'
        }
        process.title = 'spin-for-good'
        for (;;) ;
      }`,
    )
    await switchOn('spinning', { maxAsyncRetryAttempts: 8 })
    await submit('spinning', 'forever', 'order-1')
    await until('spinning', 'order-1', ['Running'])
    await expect.poll(() => hasProcess('spin-for-good'), { timeout: WITHIN_MS }).toBe(true)
    await stop('spinning', 'order-1')
    const task = await get('spinning', 'order-1')
    expect(task).toMatchObject({ status: 'Stopped', alreadyRetriedTimes: 0 })
    expect(statesOf(task)).toEqual(['Enqueued', 'Dequeued', 'Running', 'Stopping', 'Stopped'])
    await expect.poll(() => hasProcess('spin-for-good'), { timeout: WITHIN_MS }).toBe(false)
    // Had the stopped one been put back, its repeat would be due before that of this one.
    await submit('spinning', 'clock', 'clock-1')
    expect((await until('spinning', 'clock-1')).returnPayload).toBe('free')
    expect(hasProcess('spin-for-good')).toBe(false)
  })

  test('leaves a call alone that goes by the same request id, because its caller chose it', async () => {
    await suite.deploy(
      'twins',
      `exports.handler = async (event) => {
        console.log('begun ' + event + ' '.repeat(40000))
        await new Promise((resolve) => setTimeout(resolve, event.toString() === 'task' ? 50_000 : 1500))
        return 'free'
      }`,
      { timeout: 60 },
    )
    await switchOn('twins')
    const trace = { 'x-fc-trace-id': 'chosen-1' }
    expect(await suite.invokeAsync('twins', 'task', trace)).toBe('chosen-1')
    await suite.untilLogged('twins', (log) => log.includes('begun task'))
    const waiting = suite.invoke('twins', { event: 'call', headers: trace })
    await suite.untilLogged('twins', (log) => log.includes('begun call'))
    await stop('twins', 'chosen-1')
    expect((await get('twins', 'chosen-1')).status).toBe('Stopped')
    expect(await waiting).toMatchObject({ text: 'free', requestId: 'chosen-1', errorType: undefined })
  })

  test('through the older client ends a task between its repeats, for good', async () => {
    await suite.deploy(
      'repeated',
      `exports.handler = async (event, context) => {
        console.log(event + ' attempt=' + context.retryCount + '!')
        if (context.retryCount < Number(event)) throw new Error('not yet')
        console.log('made it')
      }`,
    )
    await switchOn('repeated')
    await submit('repeated', '99', 'order-1')
    await until('repeated', 'order-1', ['Retrying'])
    const { data } = await suite.fc2.put(`${pathOf('repeated')}/order-1`)
    expect(data).toEqual({})
    expect(statesOf(await get('repeated', 'order-1'))).toEqual([
      ...['Enqueued', 'Dequeued', 'Running', 'Retrying'],
      ...['Stopping', 'Stopped'],
    ])
    // The stopped one would have been repeated before this one succeeds.
    await submit('repeated', '1', 'clock-1')
    await until('repeated', 'clock-1')
    const log = await suite.untilLogged('repeated', (text) => text.includes('made it'))
    expect(log).not.toContain('99 attempt=1!')
  })

  test('of what is no task is refused', async () => {
    await suite.deploy('idle', `exports.handler = async () => 1`)
    await expect(stop('idle', 'order-1')).rejects.toMatchObject({
      code: 'StatefulAsyncInvocationNotFound',
      statusCode: 404,
    })
    await expect(suite.fc2.put(`${pathOf('idle')}/order-1`)).rejects.toMatchObject({
      code: 'StatefulAsyncInvocationNotFound',
    })
  })
})

describe('a full queue', () => {
  test('refuses calls in the words of the vendor, through both clients, until there is room', async () => {
    await suite.deploy('full', `exports.handler = async () => 1`)
    await switchOn('full')
    await setQueue(suite.server, ['tasks', 'full'], { isPaused: true, maxTasks: 2 })
    await submit('full', '', 'order-1')
    await suite.invokeAsync('full', '', { 'x-fc-stateful-async-invocation-id': 'order-2' })
    const refused = {
      code: 'ResourceExhausted',
      message: expect.stringContaining('the queue of asynchronous invocations of the function is full (2)'),
    }
    await expect(submit('full', '', 'order-3')).rejects.toMatchObject({ ...refused, statusCode: 429 })
    await expect(suite.invokeAsync('full')).rejects.toMatchObject({ ...refused })
    expect(await list('full')).toEqual(['order-2', 'order-1'])
    await stop('full', 'order-1')
    await submit('full', '', 'order-3')
    await setQueue(suite.server, ['tasks', 'full'], { isPaused: false })
    expect((await until('full', 'order-3')).status).toBe('Succeeded')
  })
})

describe('a destination', () => {
  const arn = (name: string): string => `acs:fc:cn-hangzhou:${ACCOUNT}:services/tasks/functions/${name}`

  test('that is a function is told of an ending', async () => {
    await suite.deploy('told', `exports.handler = async (event) => { console.log('told ' + event) }`)
    const source = `exports.handler = async (event) => {
      if (event.toString() === 'bad') throw new RangeError('too bad')
      return 'well, ' + event
    }`
    await suite.deploy('telling', source)
    await switchOn('telling', {
      maxAsyncRetryAttempts: 0,
      destinationConfig: new Open.DestinationConfig({
        onSuccess: new Open.Destination({ destination: arn('told') }),
        onFailure: new Open.Destination({ destination: arn('told') }),
      }),
    })
    const told = async (event: string): Promise<unknown> => {
      const headers = await submit('telling', event)
      const requestId = headers['x-fc-request-id'] ?? ''
      const statusOf = async () => (await get('telling', requestId)).destinationStatus
      await expect.poll(statusOf, { timeout: WITHIN_MS }).toBe('Succeeded')
      const lineOf = (log: string) =>
        log
          .split('\n')
          .slice(0, -1)
          .find((entry) => entry.includes(requestId))
      const line = lineOf(await suite.untilLogged('told', (log) => lineOf(log) !== undefined)) ?? ''
      const text = String(JSON.parse(line).text)
      return JSON.parse(text.slice(text.indexOf('told {') + 'told '.length, text.indexOf('}\n') + 1))
    }
    expect(await told('good')).toMatchObject({
      requestContext: { functionArn: arn('telling'), condition: '', approximateInvokeCount: 1 },
      requestPayload: 'good',
      responseContext: { statusCode: 200, functionError: '' },
      responsePayload: 'well, good',
    })
    expect(await told('bad')).toMatchObject({
      requestContext: { condition: 'UnhandledInvocationError' },
      requestPayload: 'bad',
      responseContext: { statusCode: 200, functionError: 'UnhandledInvocationError' },
    })
  })

  test('hears of a task that grew too old before it could run', async () => {
    await suite.deploy('aged', `exports.handler = async () => { console.log('ran') }`)
    await suite.deploy('hears', `exports.handler = async (event) => { console.log('heard ' + event) }`)
    const onFailure = new Open.Destination({ destination: arn('hears') })
    await switchOn('aged', {
      maxAsyncEventAgeInSeconds: 1,
      destinationConfig: new Open.DestinationConfig({ onFailure }),
    })
    await suite.invokeAsync('aged', 'late', {
      'x-fc-stateful-async-invocation-id': 'order-1',
      'x-fc-async-delay': '2',
    })
    const task = await until('aged', 'order-1')
    expect(task).toMatchObject({ status: 'Expired', alreadyRetriedTimes: 0, invocationPayload: 'late' })
    expect(statesOf(task)).not.toContain('Running')
    expect(await list('aged', { status: 'Expired' })).toEqual(['order-1'])
    const requestId = task.requestId ?? 'none'
    const heard = await suite.untilLogged('hears', (log) => log.includes(requestId))
    expect(heard).toContain('EventAgeExceeded')
    expect(await suite.log('aged').catch(() => '')).not.toContain('ran')
  })

  test('that only the vendor has is kept with what it would have been told', async () => {
    await suite.deploy('queued', `exports.handler = async (event) => 'well, ' + event`)
    const queue = `acs:mns:cn-hangzhou:${ACCOUNT}:/queues/orders/messages`
    const onSuccess = new Open.Destination({ destination: queue })
    await switchOn('queued', { destinationConfig: new Open.DestinationConfig({ onSuccess }) })
    const requestId = (await submit('queued', 'good'))['x-fc-request-id']
    const undeliverable = () => undeliverableOf(suite.server, ['tasks', 'queued'])
    await expect.poll(undeliverable, { timeout: WITHIN_MS }).toHaveLength(1)
    const [delivery] = await undeliverable()
    const taskId = requestId ?? ''
    expect((await get('queued', taskId)).destinationStatus).toBe('Failed')
    expect(delivery).toMatchObject({
      requestId,
      on: 'success',
      destination: { target: { kind: 'unreachable', name: queue } },
      lastError: 'target-unreachable',
    })
    expect(delivery?.told).toMatchObject({
      requestContext: { requestId, functionArn: arn('queued'), condition: '' },
      requestPayload: 'good',
      responsePayload: 'well, good',
    })
  })
})
