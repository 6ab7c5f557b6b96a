import { afterEach, describe, expect, test } from 'vitest'
import { closeDrivers, codeDirectory, type Driver, type Frame } from '../../helpers/bootstrap-driver.ts'
import { type SetupOverrides, startBootstrap, TYPE } from '../../helpers/bootstrap-driver.ts'
import { functionGraphSetup } from '../functiongraph-setup.ts'

afterEach(closeDrivers)

const CREDENTIALS = { accessKey: 'ak', secretKey: 'sk', securityToken: 'st' }

async function open(source: string, overrides: Partial<SetupOverrides> = {}): Promise<Driver> {
  const driver = await startBootstrap('nodejs')
  await driver.ready({
    ...functionGraphSetup(),
    codeDir: codeDirectory({ 'index.js': source }),
    ...overrides,
  })
  return driver
}

async function textOf(source: string, event = '{}'): Promise<string> {
  return (await (await open(source)).call(event)).payload.toString()
}

/** What a start that fails says: the frame, its body and the log. */
async function failedStart(
  files: Record<string, string>,
  overrides: Partial<SetupOverrides> = {},
): Promise<{ frame: Frame; body: Record<string, unknown>; log: string }> {
  const driver = await startBootstrap('nodejs')
  driver.setup({ ...functionGraphSetup(), codeDir: codeDirectory(files), ...overrides })
  const frame = await driver.frame(({ type }) => type === TYPE.failed || type === TYPE.ready)
  expect(frame.type).toBe(TYPE.failed)
  expect(await driver.exited).toEqual({ code: 0, signal: null })
  return { frame, body: JSON.parse(frame.payload.toString()), log: driver.logOf(0) }
}

const RECORD = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/

describe('the event of a FunctionGraph handler', () => {
  test.each([
    ['{"a":[1]}', '{"a":[1]}'],
    ['"text"', 'text'],
    ['12', '12'],
    ['null', 'null'],
    ['', '{}'],
    ['no {json}', 'no {json}'],
  ])('%j is parsed', async (event, seen) => {
    expect(await textOf('exports.handler = async (event, context) => event', event)).toBe(seen)
  })
})

describe('the result of a FunctionGraph handler', () => {
  test.each([
    ['({ a: "ä" })', '{"a":"ä"}'],
    ['["x", null]', '["x",null]'],
    ['null', 'null'],
    ['"text"', 'text'],
    ['42', '42'],
    ['true', 'true'],
    ['12n', '12'],
    ['undefined', ''],
  ])('%s goes out as the vendor serialises it', async (value, text) => {
    expect(await textOf(`exports.handler = async (event, context) => (${value})`)).toBe(text)
    expect(await textOf(`exports.handler = (event, context, callback) => callback(null, ${value})`)).toBe(
      text,
    )
  })

  test('is what reaches the callback first', async () => {
    const source = `exports.handler = (event, context, callback) => {
      setTimeout(() => { callback(null, 'first'); callback(new Error('second')) }, 5)
      return 'ignored'
    }`
    expect(await textOf(source)).toBe('first')
  })

  test('of Node.js 6 is never what a promise becomes', async () => {
    const source = `exports.handler = (event, context, callback) => {
      setTimeout(callback, 20, null, 'callback')
      return Promise.resolve('promise')
    }`
    const driver = await open(source, functionGraphSetup({ generation: 6 }))
    expect((await driver.call('{}')).payload.toString()).toBe('callback')
  })

  test('that JSON cannot express is a failure of its own', async () => {
    const driver = await open('exports.handler = async (e, c) => { const a = {}; a.a = a; return a }')
    const result = await driver.call('{}')
    expect([result.flag, result.meta['errorType']]).toEqual([1, 'FunctionResultInvalid'])
    expect(JSON.parse(result.payload.toString())).toEqual({
      errorMessage: expect.stringMatching(
        /^function result is invalid, error: Converting circular structure/,
      ),
      errorType: 'TypeError',
    })
  })

  test('over 6 MiB is a failure of its own, and the instance lives on', async () => {
    const driver = await open('exports.handler = async (event, context) => "x".repeat(event)')
    expect((await driver.call('6291456')).payload.length).toBe(6_291_456)
    const result = await driver.call('6291457')
    expect([result.flag, result.meta['errorType']]).toEqual([1, 'FunctionResponseTooLarge'])
    expect(JSON.parse(result.payload.toString())).toEqual({
      errorMessage: 'response body size 6291457 exceeds the limit of 6291456',
      errorType: 'FunctionResponseTooLarge',
    })
    expect(driver.logOf(2)).toContain(' r-2 ERROR response body size 6291457 exceeds')
    expect((await driver.call('1')).payload.toString()).toBe('x')
  })
})

describe('the context of a FunctionGraph handler', () => {
  test('has every method of the vendor’s', async () => {
    const source = `exports.handler = async (event, context) => {
      const names = ['RequestID', 'AccessKey', 'SecretKey', 'SecurityAccessKey', 'SecuritySecretKey', 'SecurityToken',
        'Token', 'FunctionName', 'RunningTimeInSeconds', 'Version', 'Alias', 'MemorySize', 'CPUNumber', 'ProjectID',
        'Package', 'WorkflowID', 'WorkflowRunID', 'WorkflowStateID', 'State']
      const told = Object.fromEntries(names.map((name) => [name, context['get' + name]()]))
      context.setState({ n: 1 })
      return { ...told, now: context.getState(), user: context.getUserData('mine'), none: context.getUserData('toString') ?? null }
    }`
    const driver = await open(source, functionGraphSetup({ credentials: CREDENTIALS }))
    const result = await driver.call('{}', { qualifier: 'prod' })
    expect(JSON.parse(result.payload.toString())).toEqual({
      RequestID: 'r-1',
      AccessKey: 'ak',
      SecretKey: 'sk',
      SecurityAccessKey: 'ak',
      SecuritySecretKey: 'sk',
      SecurityToken: 'st',
      Token: '',
      FunctionName: 'f',
      RunningTimeInSeconds: 3,
      Version: 'v1',
      Alias: 'prod',
      MemorySize: '128',
      CPUNumber: '300',
      ProjectID: 'p',
      Package: 'default',
      WorkflowID: '',
      WorkflowRunID: '',
      WorkflowStateID: '',
      State: null,
      now: { n: 1 },
      user: 'value',
      none: null,
    })
  })

  test('has no alias where the version itself is called', async () => {
    const driver = await open('exports.handler = async (event, context) => context.getAlias()')
    expect((await driver.call('{}', { qualifier: 'v1' })).payload.toString()).toBe('')
    expect((await driver.call('{}')).payload.toString()).toBe('')
  })

  test('counts the remaining time down', async () => {
    const source = `exports.handler = async (event, context) => {
      const before = context.getRemainingTimeInMilliSeconds()
      await new Promise((resolve) => setTimeout(resolve, 30))
      return [before, context.getRemainingTimeInMilliSeconds()]
    }`
    const [before, after] = JSON.parse(await textOf(source)) as [number, number]
    expect(before).toBeLessThanOrEqual(3000)
    expect(before - after).toBeGreaterThanOrEqual(29)
  })

  test('logs records from INFO on, until told otherwise', async () => {
    const source = `exports.handler = async (event, context) => {
      const logger = context.getLogger()
      logger.debug('hidden')
      logger.info('a %s', { b: 1 }, 'c')
      logger.setLevel('nonsense')
      logger.setLevel('DEBUG')
      logger.debug('seen')
      logger.setLevel('ERROR')
      logger.warn('hidden')
      logger.error(new RangeError('bad').message)
      console.log('printed')
      console.error('as it is')
    }`
    const driver = await open(source)
    await driver.call('{}')
    const lines = driver.logOf(1).split('\n')
    expect(lines.map((line) => line.replace(RECORD, 'T'))).toEqual([
      'T r-1 INFO a { b: 1 } c',
      'T r-1 DEBUG seen',
      'T r-1 ERROR bad',
      'printed',
      'as it is',
      '',
    ])
  })

  test('splits a long text into records of 90 KB', async () => {
    const source = `exports.handler = async (event, context) => context.getLogger().info('x'.repeat(90 * 1024 + 5))`
    const driver = await open(source)
    await driver.call('{}')
    const [first = '', second = '', rest] = driver.logOf(1).split('\n')
    expect([first.length, second.replace(RECORD, 'T'), rest]).toEqual([
      90 * 1024 + '2026-01-01T00:00:00Z r-1 INFO '.length,
      'T r-1 INFO xxxxx',
      '',
    ])
  })
})

describe('a failure of a FunctionGraph handler', () => {
  test('that is thrown has the stack of the code, and is logged', async () => {
    const driver = await open(
      'function inner() { throw new RangeError("no") }\nexports.handler = async (e, c) => inner()',
    )
    const result = await driver.call('{}')
    expect([result.flag, result.meta['errorType']]).toEqual([1, 'RangeError'])
    const text = result.payload.toString()
    const body = JSON.parse(text)
    expect(body).toEqual({
      errorMessage: 'function invocation exception, error: no',
      errorType: 'RangeError',
      stackTrace: ['at inner (./index.js:1:26)', expect.stringMatching(/^at .*\(?\.\/index\.js:2:/)],
    })
    expect(text).toBe(JSON.stringify(body, null, 4))
    const [record = '', headline, frame] = driver.logOf(1).split('\n')
    expect(record.replace(RECORD, 'T')).toBe('T r-1 ERROR no')
    expect([headline, frame]).toEqual(['RangeError: no', '    at inner (./index.js:1:26)'])
  })

  test('that is no error is told by its text', async () => {
    const driver = await open('exports.handler = (event, context) => { throw event }')
    const bodyFor = async (event: string): Promise<unknown> =>
      JSON.parse((await driver.call(event)).payload.toString())
    expect(await bodyFor('"text"')).toEqual({
      errorMessage: 'function invocation exception, error: text',
      errorType: 'UserFunctionError',
      stackTrace: [],
    })
    expect(await bodyFor('{"a":1}')).toMatchObject({
      errorMessage: 'function invocation exception, error: {"a":1}',
    })
  })

  test.each([
    ['new TypeError("bad")', 'bad', 'TypeError'],
    ['"text"', 'text', 'Error'],
    ['{ a: 1 }', '{"a":1}', 'Error'],
    ['', '{}', 'Error'],
  ])('that reaches the callback is handled, without a stack: %s', async (error, message, errorType) => {
    const driver = await open(`exports.handler = (event, context, callback) => callback(${error})`)
    const result = await driver.call('{}')
    expect([result.flag, result.meta['errorType']]).toEqual([2, errorType])
    expect(JSON.parse(result.payload.toString())).toEqual({
      errorMessage: `function entry exception, error: ${message}`,
      errorType,
    })
  })

  test('that nothing catches ends the process', async () => {
    const driver = await open(
      'exports.handler = (event, context, callback) => { setTimeout(() => { throw new Error("late") }, 1) }',
    )
    const result = await driver.call('{}')
    expect(JSON.parse(result.payload.toString())).toMatchObject({
      errorMessage: 'function invocation exception, error: late',
      errorType: 'Error',
    })
    expect(await driver.exited).toEqual({ code: 1, signal: null })
  })
})

describe('code that makes no FunctionGraph handler', () => {
  test.each([
    [{}, 'FunctionLoadError', "not found module './index.js'"],
    [{ 'index.js': '' }, 'FunctionConfigError', "handler 'handler' not found in module './index.js'"],
    [{ 'index.js': 'require("./gone")' }, 'Error', "Cannot find module './gone'"],
    [{ 'index.js': 'throw new RangeError("early")' }, 'RangeError', 'early'],
    [
      { 'index.js': 'let let = 1' },
      'SyntaxError',
      'let is disallowed as a lexically bound name (./index.js:1)',
    ],
    [
      { 'index.js': 'exports.handler = async (event) => 1' },
      'FunctionLoadError',
      'handler expect to have 2 or 3 parameters, but received 1',
    ],
    [
      { 'index.js': 'exports.handler = (a, b, c, d) => 1' },
      'FunctionLoadError',
      'handler expect to have 2 or 3 parameters, but received 4',
    ],
  ])('%j says why', async (files, errorType, message) => {
    const { frame, body, log } = await failedStart(files)
    expect([frame.flag, frame.meta['errorType']]).toEqual([1, errorType])
    expect(body['errorType']).toBe(errorType)
    expect(String(body['errorMessage']).startsWith(`function entry exception, error: ${message}`)).toBe(true)
    expect(body).not.toHaveProperty('stackTrace')
    expect(log).toMatch(/ set-up-request ERROR /)
  })

  test('of Node.js 6 has another number of parameters', async () => {
    const { body } = await failedStart(
      { 'index.js': 'exports.handler = (event, context) => 1' },
      functionGraphSetup({ generation: 6 }),
    )
    expect(body['errorMessage']).toMatch(/handler expect to have 3 parameters, but received 2$/)
  })
})

describe('the initializer of a FunctionGraph function', () => {
  const withInit = (init: string): string =>
    `let ready = 'not'\nexports.init = ${init}\nexports.handler = async (event, context) => ready`
  const INITIALIZER = { initializer: 'index.init' }

  test.each([
    ['(context, callback) => { ready = context.getRequestID(); callback(null, "") }', 'set-up-request'],
    ['async (context) => { ready = context.getFunctionName() }', 'f'],
    ['async (context, callback) => { ready = "async" }', 'async'],
  ])('%s runs before the first call', async (init, seen) => {
    const driver = await open(withInit(init), INITIALIZER)
    expect((await driver.call('{}')).payload.toString()).toBe(seen)
  })

  test.each([
    ['(context, callback) => { throw new RangeError("no") }', 'RangeError', 'no'],
    ['async (context) => { throw new RangeError("no") }', 'RangeError', 'no'],
    ['(context, callback) => callback("text")', 'UserFunctionError', 'text'],
    ['(context, callback) => callback()', 'UserFunctionError', '{}'],
    ['(context) => 1', 'FunctionConfigError', 'initializer expect to have 2 parameters, but received 1'],
    ['undefined', 'FunctionConfigError', "initializer 'init' not found in module './index.js'"],
  ])('%s fails', async (init, errorType, message) => {
    const { frame, body, log } = await failedStart({ 'index.js': withInit(init) }, INITIALIZER)
    expect([frame.flag, frame.meta['errorType']]).toEqual([2, errorType])
    expect(body['errorMessage']).toBe(`function initialization exception, error: ${message}`)
    expect(log).toContain(' set-up-request ERROR ')
  })
})
