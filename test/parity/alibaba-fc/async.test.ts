import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ACCOUNT } from '../../helpers/server.ts'
import { Open, Suite } from './clients.ts'

const ALIBABA_DELAY = 'x-fc-async-delay'

let suite: Suite

beforeAll(async () => {
  suite = await Suite.start('later')
})

afterAll(() => suite?.server.close())

/** Logs each attempt; fails those that the event counts. */
const FLAKY = `exports.handler = async (event, context) => {
  console.log('attempt=' + context.retryCount + ' id=' + context.requestId + '!')
  if (context.retryCount < Number(event)) throw new Error('not yet')
  console.log('made it')
}`

function attemptsOf(log: string, requestId: string): string[] {
  return [...log.matchAll(/attempt=(\d+) id=([^!]+)!/g)]
    .filter(([, , id]) => id === requestId)
    .map(([, attempt]) => attempt ?? '')
}

describe('an asynchronous call', () => {
  test('is accepted with 202 and no body, and runs under the id of its acceptance', async () => {
    await suite.deploy(
      'notes',
      `exports.handler = async (event, context) => { console.log('got ' + event + ' as ' + context.requestId) }`,
    )
    const older = await suite.fc2.invokeFunction('later', 'notes', 'from 2016', {
      'x-fc-invocation-type': 'Async',
    })
    expect(older.data).toBe('')
    const younger = await suite.open.invokeFunctionWithOptions(
      'later',
      'notes',
      new Open.InvokeFunctionRequest({ body: Buffer.from('from 2021') }),
      new Open.InvokeFunctionHeaders({ xFcInvocationType: 'Async' }),
      suite.runtimeOptions,
    )
    expect(younger.statusCode).toBe(202)
    expect(Buffer.from(younger.body)).toHaveLength(0)
    expect(younger.headers['x-fc-log-result']).toBeUndefined()
    const ids = [older.headers['x-fc-request-id'], younger.headers['x-fc-request-id']]
    const log = await suite.untilLogged('notes', (text) => text.includes('2016') && text.includes('2021'))
    expect(log).toContain(`got from 2016 as ${ids[0]}`)
    expect(log).toContain(`got from 2021 as ${ids[1]}`)
  })

  test('that fails is run again, counts its retries, and ends when it succeeds', async () => {
    await suite.deploy('flaky', FLAKY)
    const requestId = await suite.invokeAsync('flaky', '1')
    const log = await suite.untilLogged('flaky', (text) => text.includes('made it'))
    expect(attemptsOf(log, requestId)).toEqual(['0', '1'])
  })

  test('is run as often as its configuration allows and not again', async () => {
    await suite.deploy('limited', FLAKY)
    await suite.fc2.putFunctionAsyncConfig('later', 'limited', undefined, { maxAsyncRetryAttempts: 1 })
    const requestId = await suite.invokeAsync('limited', '99')
    // A third attempt would come two seconds after the second; a later call that needs three is the clock.
    await suite.fc2.putFunctionAsyncConfig('later', 'limited', undefined, { maxAsyncRetryAttempts: 3 })
    const clock = await suite.invokeAsync('limited', '3')
    await suite.untilLogged('limited', (text) => text.includes('made it'))
    const log = await suite.log('limited')
    expect(attemptsOf(log, requestId)).toEqual(['0', '1'])
    expect(attemptsOf(log, clock)).toEqual(['0', '1', '2', '3'])
  })

  test('is not run twice where no retries are configured', async () => {
    await suite.deploy('once', FLAKY)
    await suite.fc2.putFunctionAsyncConfig('later', 'once', 'LATEST', { maxAsyncRetryAttempts: 0 })
    const requestId = await suite.invokeAsync('once', '99')
    await suite.untilLogged('once', (text) => attemptsOf(text, requestId).length > 0)
    await suite.deploy('clock', FLAKY)
    await suite.invokeAsync('clock', '1')
    await suite.untilLogged('clock', (text) => text.includes('made it'))
    expect(attemptsOf(await suite.log('once'), requestId)).toEqual(['0'])
  })

  test('may be put off', async () => {
    await suite.deploy(
      'delayed',
      `exports.handler = async () => { console.log('ran at ' + Date.now() + '!') }`,
    )
    const acceptedAtMs = Date.now()
    await suite.invokeAsync('delayed', '', { [ALIBABA_DELAY]: '1' })
    const log = await suite.untilLogged('delayed', (text) => text.includes('ran at'))
    expect(Number(/ran at (\d+)!/.exec(log)?.[1])).toBeGreaterThanOrEqual(acceptedAtMs + 1000)
    await expect(suite.invokeAsync('delayed', '', { [ALIBABA_DELAY]: '3600' })).rejects.toMatchObject({
      code: 'InvalidArgument',
    })
  })

  test('reaches the version and alias that were named', async () => {
    await suite.deploy(
      'versioned',
      `exports.handler = async (event, context) => {
      console.log('ran ' + context.service.qualifier + ' ' + context.service.versionId)
    }`,
    )
    await suite.fc2.publishVersion('later')
    await suite.fc2.createAlias('later', 'live', '1')
    await suite.fc2.invokeFunction('later', 'versioned', '', { 'x-fc-invocation-type': 'Async' }, 'live')
    await suite.untilLogged('versioned', (text) => text.includes('ran live 1'))
  })

  test('is treated as its own qualifier is configured, and not as another one of the function', async () => {
    await suite.deploy('qualified', FLAKY)
    await suite.deploy('hears', `exports.handler = async (event) => { console.log('heard ' + event) }`)
    const { data } = await suite.fc2.publishVersion('later')
    const version = String(data.versionId)
    await suite.fc2.createAlias('later', 'tried', version)
    const destination = `acs:fc:cn-hangzhou:${ACCOUNT}:services/later/functions/hears`
    const { body: config } = await suite.open.putFunctionAsyncInvokeConfig(
      'later',
      'qualified',
      new Open.PutFunctionAsyncInvokeConfigRequest({
        qualifier: 'tried',
        maxAsyncRetryAttempts: 0,
        destinationConfig: new Open.DestinationConfig({ onFailure: new Open.Destination({ destination }) }),
      }),
    )
    expect(config).toMatchObject({ qualifier: 'tried', maxAsyncRetryAttempts: 0 })
    const through = async (qualifier?: string): Promise<string> => {
      const mode = { 'x-fc-invocation-type': 'Async' }
      const { headers } = await suite.fc2.invokeFunction('later', 'qualified', '1', mode, qualifier)
      return headers['x-fc-request-id'] ?? ''
    }
    const tried = await through('tried')
    const others = [await through(version), await through()]
    await suite.untilLogged('hears', (log) => log.includes(tried))
    const log = await suite.untilLogged('qualified', (text) =>
      others.every((id) => attemptsOf(text, id).length === 2),
    )
    expect(attemptsOf(log, tried)).toEqual(['0'])
    const heard = await suite.log('hears')
    expect(others.filter((id) => heard.includes(id))).toEqual([])
  })

  test('with an id of its own is accepted once', async () => {
    await suite.deploy('named', `exports.handler = async () => 1`)
    const headers = { 'x-fc-stateful-async-invocation-id': 'order-1' }
    await suite.invokeAsync('named', '', headers)
    await expect(suite.invokeAsync('named', '', headers)).rejects.toMatchObject({
      code: 'StatefulAsyncInvocationAlreadyExists',
    })
  })

  test('of a function that does not exist is refused at once', async () => {
    await expect(suite.invokeAsync('nobody')).rejects.toMatchObject({ code: 'FunctionNotFound' })
  })
})

describe('an asynchronous configuration', () => {
  const destination = 'acs:fc:cn-hangzhou:1234567890123456:services/later/functions/afterwards'

  test('is put, merged, shown, listed and deleted', async () => {
    await suite.deploy('managed', `exports.handler = async () => 1`)
    const put = await suite.fc2.putFunctionAsyncConfig('later', 'managed', undefined, {
      maxAsyncRetryAttempts: 2,
      destinationConfig: { onFailure: { destination } },
    })
    expect(put.data).toMatchObject({ service: 'later', function: 'managed', qualifier: 'LATEST' })
    expect(put.data).not.toHaveProperty('maxAsyncEventAgeInSeconds')
    const { body: merged } = await suite.open.putFunctionAsyncInvokeConfig(
      'later',
      'managed',
      new Open.PutFunctionAsyncInvokeConfigRequest({ maxAsyncEventAgeInSeconds: 600 }),
    )
    expect(merged).toMatchObject({ maxAsyncRetryAttempts: 2, maxAsyncEventAgeInSeconds: 600 })
    const { data: shown } = await suite.fc2.getFunctionAsyncConfig('later', 'managed')
    expect(shown.destinationConfig.onFailure.destination).toBe(destination)
    const { data: listed } = await suite.fc2.listFunctionAsyncConfigs('later', 'managed')
    expect(listed.configs).toHaveLength(1)
    expect(listed.nextToken).toBe('')
    await suite.fc2.deleteFunctionAsyncConfig('later', 'managed')
    await expect(suite.fc2.getFunctionAsyncConfig('later', 'managed')).rejects.toMatchObject({
      code: 'AsyncConfigNotExists',
    })
  })

  test('is refused outside its ranges', async () => {
    await suite.deploy('ranged', `exports.handler = async () => 1`)
    for (const config of [{ maxAsyncRetryAttempts: 9 }, { maxAsyncEventAgeInSeconds: 0 }])
      await expect(
        suite.fc2.putFunctionAsyncConfig('later', 'ranged', undefined, config),
      ).rejects.toMatchObject({ code: 'InvalidArgument' })
  })
})
