import { afterEach, describe, expect, test } from 'vitest'
import { closeDrivers, codeDirectory, type Driver, type Frame } from '../../helpers/bootstrap-driver.ts'
import { type SetupOverrides, startBootstrap, TYPE } from '../../helpers/bootstrap-driver.ts'
import { functionGraphSetup } from '../functiongraph-setup.ts'

afterEach(closeDrivers)

const CREDENTIALS = { accessKey: 'ak', secretKey: 'sk', securityToken: 'st' }

async function open(source: string, overrides: Partial<SetupOverrides> = {}): Promise<Driver> {
  const driver = await startBootstrap('python')
  await driver.ready({
    ...functionGraphSetup(),
    codeDir: codeDirectory({ 'index.py': source }),
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
  const driver = await startBootstrap('python')
  driver.setup({ ...functionGraphSetup(), codeDir: codeDirectory(files), ...overrides })
  const frame = await driver.frame(({ type }) => type === TYPE.failed || type === TYPE.ready)
  expect(frame.type).toBe(TYPE.failed)
  expect(await driver.exited).toEqual({ code: 0, signal: null })
  return { frame, body: JSON.parse(frame.payload.toString()), log: driver.logOf(0) }
}

const RECORD = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/

describe('the event of a FunctionGraph handler in Python', () => {
  test.each([
    ['{"a":[1]}', "{'a': [1]}"],
    ['"text"', "'text'"],
    ['12', '12'],
    ['null', 'None'],
    ['', '{}'],
    ['no {json}', "'no {json}'"],
    ['NaN', "'NaN'"],
  ])('%j is parsed', async (event, seen) => {
    expect(await textOf('def handler(event, context): return repr(event)', event)).toBe(seen)
  })
})

describe('the result of a FunctionGraph handler in Python', () => {
  test.each([
    ['{"b": 1, "a": "ä"}', '{"b": 1, "a": "\\u00e4"}'],
    ['[1, None]', '[1, null]'],
    ['None', 'null'],
    ['"täxt"', 'täxt'],
    ['42', '42'],
    ['True', 'true'],
  ])('%s goes out as the vendor serialises it', async (value, text) => {
    expect(await textOf(`def handler(event, context): return ${value}`)).toBe(text)
  })

  test('that JSON cannot express is a failure of its own', async () => {
    const driver = await open('def handler(event, context): return object()')
    const result = await driver.call('{}')
    expect([result.flag, result.meta['errorType']]).toEqual([1, 'FunctionResultInvalid'])
    expect(JSON.parse(result.payload.toString())).toEqual({
      errorMessage: 'function result is invalid, error: Object of type object is not JSON serializable',
      errorType: 'TypeError',
    })
    expect(driver.logOf(1)).toContain(' r-1 ERROR function result is invalid')
  })

  test('over 6 MiB is a failure of its own, and the instance lives on', async () => {
    const driver = await open('def handler(event, context): return "x" * event')
    expect((await driver.call('6291456')).payload.length).toBe(6_291_456)
    const result = await driver.call('6291457')
    expect([result.flag, result.meta['errorType']]).toEqual([1, 'FunctionResponseTooLarge'])
    expect(JSON.parse(result.payload.toString())).toEqual({
      errorMessage: 'response body size 6291457 exceeds the limit of 6291456',
      errorType: 'FunctionResponseTooLarge',
    })
    expect((await driver.call('1')).payload.toString()).toBe('x')
  })
})

describe('the context of a FunctionGraph handler in Python', () => {
  test('has every method of the vendor’s', async () => {
    const source = `
NAMES = '''RequestID AccessKey SecretKey SecurityAccessKey SecuritySecretKey SecurityToken Token AuthToken FunctionName
  RunningTimeInSeconds Version Alias MemorySize CPUNumber ProjectID Package WorkflowID WorkflowRunID WorkflowStateID State'''
def handler(event, context):
    told = {name: getattr(context, 'get' + name)() for name in NAMES.split()}
    context.setState({'n': 1})
    return dict(told, now=context.get_state(), user=context.getUserData('mine'), none=context.getUserData('other'),
        fallback=context.getUserData('other', 'x'))
`
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
      AuthToken: '',
      FunctionName: 'f',
      RunningTimeInSeconds: 3,
      Version: 'v1',
      Alias: 'prod',
      MemorySize: 128,
      CPUNumber: 300,
      ProjectID: 'p',
      Package: 'default',
      WorkflowID: '',
      WorkflowRunID: '',
      WorkflowStateID: '',
      State: null,
      now: { n: 1 },
      user: 'value',
      none: null,
      fallback: 'x',
    })
  })

  test('has no alias where the version itself is called', async () => {
    const driver = await open('def handler(event, context): return context.getAlias()')
    expect((await driver.call('{}', { qualifier: 'v1' })).payload.toString()).toBe('')
  })

  test('counts the remaining time down', async () => {
    const source = `
import time
def handler(event, context):
    before = context.getRemainingTimeInMilliSeconds()
    time.sleep(0.03)
    return [before, context.getRemainingTimeInMilliSeconds()]
`
    const [before, after] = JSON.parse(await textOf(source)) as [number, number]
    expect(before).toBeLessThanOrEqual(3000)
    expect(before - after).toBeGreaterThanOrEqual(29)
  })

  test('logs records from INFO on, until told otherwise, and leaves printed lines alone', async () => {
    const source = `
import logging
def handler(event, context):
    logger = context.getLogger()
    logger.debug('hidden')
    logger.info('a %s', {'b': 1})
    logging.warning('of the root')
    logger.setLevel(logging.DEBUG)
    logger.debug('seen')
    print('printed')
`
    const driver = await open(source)
    await driver.call('{}')
    expect(
      driver
        .logOf(1)
        .split('\n')
        .map((line) => line.replace(RECORD, 'T')),
    ).toEqual(["T r-1 INFO a {'b': 1}", 'T r-1 WARNING of the root', 'T r-1 DEBUG seen', 'printed', ''])
  })

  test('splits a long text into records of 90 KB', async () => {
    const driver = await open(
      'def handler(event, context): context.getLogger().info("x" * (90 * 1024 + 5) + "%s", "")',
    )
    await driver.call('{}')
    const [first = '', second = '', rest] = driver.logOf(1).split('\n')
    expect([first.length, second.replace(RECORD, 'T'), rest]).toEqual([
      90 * 1024 + '2026-01-01T00:00:00Z r-1 INFO '.length,
      'T r-1 INFO xxxxx',
      '',
    ])
  })
})

describe('a failure of a FunctionGraph handler in Python', () => {
  test('has the stack of the code, and is logged', async () => {
    const driver = await open(
      "def inner():\n    raise ValueError('nö')\n\ndef handler(event, context):\n    inner()\n",
    )
    const result = await driver.call('{}')
    expect([result.flag, result.meta['errorType']]).toEqual([1, 'ValueError'])
    const text = result.payload.toString()
    expect(JSON.parse(text)).toEqual({
      errorMessage: 'function invocation exception, error: nö',
      errorType: 'ValueError',
      stackTrace: [
        'File "./index.py", line 5, in handler',
        'inner()',
        'File "./index.py", line 2, in inner',
        "raise ValueError('nö')",
      ],
    })
    expect(text).toMatch(/^\{\n {4}"errorMessage"/)
    const [record = '', frame, ...rest] = driver.logOf(1).split('\n')
    expect(record.replace(RECORD, 'T')).toBe('T r-1 ERROR Traceback (most recent call last):')
    expect(frame).toBe('  File "./index.py", line 5, in handler')
    expect(rest.slice(-2)).toEqual(['ValueError: nö', ''])
  })

  test('by sys.exit ends the process', async () => {
    const driver = await open('import sys\ndef handler(event, context): sys.exit(3)')
    driver.deliver('{}')
    expect(await driver.exited).toEqual({ code: 3, signal: null })
  })
})

describe('code that makes no FunctionGraph handler in Python', () => {
  test.each([
    [{}, 'index.handler', 'FunctionLoadError', "not found module './index.py'"],
    [
      { 'index.py': '' },
      'index.handler',
      'FunctionConfigError',
      "handler 'handler' not found in module './index.py'",
    ],
    [{ 'index.py': '' }, 'index', 'FunctionConfigError', "invalid handler 'index'"],
    [{ 'index.py': 'import gone' }, 'index.handler', 'ModuleNotFoundError', "No module named 'gone'"],
    [{ 'index.py': 'raise KeyError(1)' }, 'index.handler', 'KeyError', '1'],
    [{ 'index.py': 'def' }, 'index.handler', 'SyntaxError', 'invalid syntax (index.py, line 1)'],
  ])('%j with %s says why', async (files, handler, errorType, message) => {
    const { frame, body, log } = await failedStart(files, { handler })
    expect([frame.flag, frame.meta['errorType']]).toEqual([1, errorType])
    expect(body).toEqual({ errorMessage: `function entry exception, error: ${message}`, errorType })
    expect(log).toMatch(/ set-up-request ERROR /)
  })
})

describe('the initializer of a FunctionGraph function in Python', () => {
  const withInit = (init: string): string =>
    `ready = None\n${init}\ndef handler(event, context): return ready\n`
  const INITIALIZER = { initializer: 'index.init' }

  test('runs before the first call, with a context of its own', async () => {
    const init = 'def init(context):\n    global ready\n    ready = context.getRequestID()'
    const driver = await open(withInit(init), INITIALIZER)
    expect((await driver.call('{}')).payload.toString()).toBe('set-up-request')
  })

  test.each([
    ['def init(context): raise KeyError("no")', 'KeyError', "'no'", true],
    ['', 'FunctionConfigError', "initializer 'init' not found in module './index.py'", false],
  ])('%s fails', async (init, errorType, message, hasStack) => {
    const { frame, body, log } = await failedStart({ 'index.py': withInit(init) }, INITIALIZER)
    expect([frame.flag, frame.meta['errorType']]).toEqual([2, errorType])
    expect(body).toEqual({
      errorMessage: `function initialization exception, error: ${message}`,
      errorType,
      ...(hasStack ? { stackTrace: ['File "./index.py", line 2, in init', init] } : {}),
    })
    expect(log).toContain(' set-up-request ERROR ')
  })
})
