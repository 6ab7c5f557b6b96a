import { afterEach, describe, expect, test } from 'vitest'
import {
  alibabaContext,
  closeDrivers,
  codeDirectory,
  type Frame,
  pythonFunction,
  type SetupOverrides,
  startBootstrap,
  TYPE,
} from '../../helpers/bootstrap-driver.ts'

afterEach(closeDrivers)

async function callOf(source: string, overrides: Partial<SetupOverrides> = {}): Promise<Frame> {
  return (await pythonFunction(source, overrides)).call('event')
}

async function failureIn(
  files: Record<string, string>,
  overrides: Partial<SetupOverrides> = {},
): Promise<{ frame: Frame; body: Record<string, unknown>; log: string }> {
  const driver = await startBootstrap('python')
  driver.setup({
    handler: 'index.handler',
    codeDir: codeDirectory(files),
    context: alibabaContext([3, 10]),
    ...overrides,
  })
  const frame = await driver.frame(({ type }) => type === TYPE.failed || type === TYPE.ready)
  expect(frame.type).toBe(TYPE.failed)
  expect(await driver.exited).toEqual({ code: 0, signal: null })
  return { frame, body: JSON.parse(frame.payload.toString()), log: driver.logOf(0) }
}

describe('the result of a Python handler', () => {
  test.each([
    ['None', 'null'],
    ['"tëxt"', 'tëxt'],
    ['b"\\x66\\x67"', 'fg'],
    ['{"b": [1], "a": "ä"}', '{\n    "a": "\\u00e4",\n    "b": [\n        1\n    ]\n}'],
    ['True', 'true'],
    ['decimal.Decimal("1.5")', '1.5'],
    ['{"day": datetime.date(2024, 2, 29)}', '{\n    "day": "2024-02-29"\n}'],
    ['Own()', '"own"'],
  ])('%s goes out as the vendor serialises it', async (value, text) => {
    const source = `
import datetime, decimal
class Own:
    def to_json(self): return 'own'
def handler(event, context): return ${value}
`
    expect((await callOf(source)).payload.toString()).toBe(text)
  })

  test('that JSON cannot express is an unhandled TypeError', async () => {
    const result = await callOf('def handler(event, context): return object()')
    expect([result.flag, result.meta['errorType']]).toEqual([1, 'TypeError'])
    expect(JSON.parse(result.payload.toString()).errorMessage).toBe(
      'Object of type object is not JSON serializable',
    )
  })

  test('over 32 MiB is an unhandled error', async () => {
    const driver = await pythonFunction('def handler(event, context): return b"x" * (32 * 1024 * 1024 + 1)')
    const result = await driver.call()
    expect([result.flag, result.meta['errorType']]).toEqual([1, 'EntityTooLarge'])
    expect(driver.logOf(1)).toBe(`${result.payload.toString()}\n`)
  })
})

describe('a failure of a Python handler', () => {
  test('is pretty-printed with sorted keys and one list for each frame of the code', async () => {
    const driver = await pythonFunction(
      "def inner():\n    raise ValueError('brökén')\n\ndef handler(event, context):\n    inner()\n",
    )
    const result = await driver.call()
    expect([result.flag, result.meta['errorType']]).toEqual([1, 'ValueError'])
    const text = result.payload.toString()
    const body = JSON.parse(text)
    expect(Object.keys(body)).toEqual(['errorMessage', 'errorType', 'stackTrace'])
    expect(text).toBe(JSON.stringify(body, null, 4).replaceAll('ö', '\\u00f6').replaceAll('é', '\\u00e9'))
    expect(body).toEqual({
      errorMessage: 'brökén',
      errorType: 'ValueError',
      stackTrace: [
        [expect.stringMatching(/^File ".*\/index\.py"$/), 'line 5', 'in handler', 'inner()'],
        [expect.stringMatching(/^File ".*\/index\.py"$/), 'line 2', 'in inner', "raise ValueError('brökén')"],
      ],
    })
  })

  test.each([1, 2])(
    'is in the log of its call after what the code wrote, at concurrency %i',
    async (concurrency) => {
      const driver = await pythonFunction(
        "def handler(event, context):\n    print('before', end='.')\n    raise ValueError(event.decode())",
        { concurrency },
      )
      for (const event of ['one', 'two']) {
        const callId = driver.deliver(event)
        const result = await driver.result(callId)
        expect(result.payload.toString()).toContain(event)
        expect(driver.logOf(callId)).toBe(`before.${result.payload.toString()}\n`)
        const frames = driver.frames.filter((frame) => frame.callId === callId)
        expect(frames.slice(-2)).toMatchObject([{ type: TYPE.log, flag: 2 }, { type: TYPE.result }])
      }
    },
  )

  test('leaves the instance alive, whatever was raised', async () => {
    const driver = await pythonFunction(
      "def handler(event, context):\n    if event == b'bad': raise KeyboardInterrupt\n    return 'fine'",
    )
    expect((await driver.call('bad')).meta['errorType']).toBe('KeyboardInterrupt')
    expect((await driver.call()).payload.toString()).toBe('fine')
  })

  test('prints what sys.exit was given and ends with status 1', async () => {
    const driver = await pythonFunction("import sys\ndef handler(event, context): sys.exit('enough')")
    driver.deliver()
    expect(await driver.exited).toEqual({ code: 1, signal: null })
    expect(driver.logOf(1)).toBe('enough\n')
  })
})

describe('the start of a Python function', () => {
  test.each([
    ['without a dot', {}, 'index', 'InvalidHandleName', "Invalid handler 'index'"],
    ['of a missing module', {}, 'index.handler', 'ImportModuleError', "Unable to import module 'index'"],
    [
      'of a module with a syntax error',
      { 'index.py': 'def handler(:' },
      'index.handler',
      'UserCodeSyntaxError',
      "Syntax error in module 'index'",
    ],
    [
      'of a module that raises',
      { 'index.py': "raise RuntimeError('at load')" },
      'index.handler',
      'UserCodeError',
      "Module initialization error: 'at load'",
    ],
    [
      'of a missing function',
      { 'index.py': 'other = 1' },
      'index.handler',
      'HandlerNotFound',
      "Handler 'handler' is missing on module 'index'",
    ],
  ])('%s fails with a flat stack', async (_name, files, handler, errorType, errorMessage) => {
    const { frame, body, log } = await failureIn(files, { handler })
    expect([frame.flag, frame.meta]).toEqual([
      1,
      { errorType, peakKib: expect.toSatisfy((kib) => kib > 1024) },
    ])
    expect(log).toContain(`${frame.payload.toString()}\n`)
    expect(body).toMatchObject({ errorType, errorMessage })
    expect(body['stackTrace']).toSatisfy((lines: unknown[]) =>
      lines.every((line) => typeof line === 'string'),
    )
    expect(JSON.stringify(body['stackTrace'])).not.toContain('_anvoke')
  })

  test('names the line of the code that failed to load', async () => {
    const { body } = await failureIn({ 'index.py': 'import os\nimport not_there\n' })
    expect(body['stackTrace']).toEqual([
      expect.stringMatching(/^File ".*\/index\.py", line 2, in <module>$/),
      'import not_there',
      "ModuleNotFoundError: No module named 'not_there'",
    ])
  })

  test('finds a module in a directory and its neighbours in the code directory', async () => {
    const driver = await startBootstrap('python')
    const codeDir = codeDirectory({
      'app/main.py': 'import shared\ndef run(event, context): return shared.NAME',
      'shared.py': "NAME = 'shared'",
      // Names of the bootstrap's own modules are the code's to use.
      'channel.py': '',
    })
    await driver.ready({ handler: 'app/main.run', codeDir, context: alibabaContext([3, 10]) })
    expect((await driver.call()).payload.toString()).toBe('shared')
  })

  test('keeps the bootstrap out of the way of the code', async () => {
    const driver = await startBootstrap('python')
    const codeDir = codeDirectory({
      'index.py': 'import sys, bootstrap\ndef handler(event, context): return [bootstrap.MINE, sys.path[0]]',
      'bootstrap.py': 'MINE = True',
    })
    await driver.ready({ handler: 'index.handler', codeDir, context: alibabaContext([3, 10]) })
    expect(JSON.parse((await driver.call()).payload.toString())).toEqual([true, codeDir])
  })

  test('runs the initializer once, between LOADED and READY', async () => {
    const driver = await pythonFunction(
      'count = 0\ndef init(context):\n    global count\n    count += 1\ndef handler(event, context): return str(count)',
      { initializer: 'index.init' },
    )
    const types = driver.frames.map((frame) => frame.type).filter((type) => type !== TYPE.log)
    expect(types).toEqual([TYPE.hello, TYPE.loaded, TYPE.ready])
    await driver.call()
    expect((await driver.call()).payload.toString()).toBe('1')
  })

  test('tells the initializer which request the instance was started for', async () => {
    const source = 'def init(context): print(context.request_id)\ndef handler(event, context): pass'
    const driver = await pythonFunction(source, { initializer: 'index.init' })
    expect(driver.logOf(0)).toContain('set-up-request\n')
  })

  test('fails with the stack of the initializer', async () => {
    const { frame, body, log } = await failureIn(
      { 'index.py': "def init(context): raise OSError('no')\ndef handler(event, context): pass" },
      { initializer: 'index.init' },
    )
    expect([frame.flag, frame.meta['errorType']]).toEqual([2, 'OSError'])
    expect(log.split(`${frame.payload.toString()}\n`)).toHaveLength(2)
    expect(body['stackTrace']).toHaveLength(1)
  })

  test('shows code only the variables of the platform that the vendor shows', async () => {
    const driver = await pythonFunction('import os\ndef handler(event, context): return dict(os.environ)', {
      environment: { FC_REGION: 'r', FC_SECRET_THING: 'x', _FC_OTHER: 'x', MINE: '1' },
    })
    expect(JSON.parse((await driver.call()).payload.toString())).toEqual({ FC_REGION: 'r', MINE: '1' })
  })
})

describe('the context of a Python handler', () => {
  const SHOW = `
def members(value):
    return {name: members(item) if hasattr(item, '__dict__') else item for name, item in vars(value).items()}
def handler(event, context):
    context.logger = context.logger and 'logger'
    return members(context)
`
  const COMMON = {
    request_id: 'r-1',
    region: 'cn-hangzhou',
    account_id: '1234567890123456',
    retry_count: 3,
    tracing: { span_context: '', span_baggages: {}, jaeger_endpoint: '' },
    service: { name: 's', log_project: 'lp', log_store: 'ls', qualifier: 'prod', version_id: 'LATEST' },
  }

  test('is complete up to python3.11', async () => {
    const driver = await pythonFunction(SHOW)
    const result = await driver.call('', { retryCount: 3, qualifier: 'prod' })
    expect(JSON.parse(result.payload.toString())).toEqual({
      ...COMMON,
      credentials: { access_key_id: 'id', access_key_secret: 'secret', security_token: 'token' },
      function: { name: 'f', handler: 'index.handler', memory: 128, timeout: 3 },
      logger: null,
    })
  })

  test('has no keys but more facts of the function from python3.12 on', async () => {
    const driver = await pythonFunction(SHOW, { context: alibabaContext([3, 12]) })
    const result = await driver.call('', { retryCount: 3, qualifier: 'prod' })
    expect(JSON.parse(result.payload.toString())).toEqual({
      ...COMMON,
      function: {
        name: 'f',
        handler: 'index.handler',
        memory: 128,
        timeout: 3,
        qualifier: 'prod',
        version_id: 'LATEST',
      },
      log_project: 'lp',
      log_store: 'ls',
      logger: 'logger',
    })
  })
})

describe('the log of a Python function', () => {
  test('has print as it is and logging with time, request id and level', async () => {
    const driver = await pythonFunction(`
import logging, sys
logger = logging.getLogger()
def handler(event, context):
    print('raw ü')
    logger.info('got %s', event)
    logger.debug('not shown')
    logging.getLogger('sub').warning('w')
    sys.stderr.write('no line feed')
`)
    await driver.call('x')
    const log = driver.logOf(1).split('\n')
    expect(log[0]).toBe('raw ü')
    expect(log[1]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z r-1 \[INFO\] got b'x'$/)
    expect(log[2]).toMatch(/ r-1 \[WARNING\] w$/)
    expect(log[3]).toBe('no line feed')
    expect(log).toHaveLength(4)
    expect(driver.frames.at(-2)).toMatchObject({ type: TYPE.log, flag: 2 })
  })

  test('tells load and call apart', async () => {
    const driver = await pythonFunction("print('loading')\ndef handler(event, context): print('call')")
    await driver.call()
    expect(driver.logOf(0)).toBe('loading\nFunctionCompute python3 runtime inited.\n')
    expect(driver.logOf(1)).toBe('call\n')
  })

  test('of a forked child goes to its descriptors, and the channel stays whole', async () => {
    const driver = await pythonFunction(`
import multiprocessing, logging
def work(): 
    print('printed', flush=True)
    logging.getLogger().info('logged')
def handler(event, context):
    child = multiprocessing.get_context('fork').Process(target=work)
    child.start()
    child.join()
    return str(child.exitcode)
`)
    expect((await driver.call()).payload.toString()).toBe('0')
    await driver.directOutput('printed\n')
    await driver.directOutput('[INFO] logged\n')
    expect((await driver.call()).payload.toString()).toBe('0')
  })
})

test('children of forked children keep their descriptors', async () => {
  const driver = await pythonFunction(`
import os
def handler(event, context):
    child = os.fork()
    if child == 0:
        opened = [os.open('/dev/null', os.O_RDONLY) for _ in range(8)]
        grandchild = os.fork()
        if grandchild == 0:
            try:
                for fd in opened:
                    os.fstat(fd)
                os._exit(0)
            except OSError:
                os._exit(9)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
    return str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
`)
  expect((await driver.call()).payload.toString()).toBe('0')
})

test('a Python handler runs in the main thread and may use signals and asyncio', async () => {
  const driver = await pythonFunction(`
import asyncio, signal, threading
async def work():
    await asyncio.sleep(0.001)
    return 'done'
def handler(event, context):
    signal.signal(signal.SIGALRM, lambda *_: None)
    assert threading.current_thread() is threading.main_thread()
    return asyncio.run(work())
`)
  expect((await driver.call()).payload.toString()).toBe('done')
})
