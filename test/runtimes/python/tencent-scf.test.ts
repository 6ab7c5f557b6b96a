import { afterEach, describe, expect, test } from 'vitest'
import { closeDrivers, codeDirectory, type Driver, type Frame, TYPE } from '../../helpers/bootstrap-driver.ts'
import { scfLoadFailure, scfPython } from '../../helpers/scf-instances.ts'

afterEach(closeDrivers)

/** `def main_handler(event, context)` with the given lines. */
const handler = (...lines: string[]): string =>
  `def main_handler(event, context):\n${lines.map((line) => `    ${line}\n`).join('')}`

async function resultOf(source: string, event = ''): Promise<string> {
  const result = await (await scfPython(source)).call(event)
  expect(result.flag).toBe(0)
  return result.payload.toString()
}

async function failureOf(
  source: string,
): Promise<{ frame: Frame; text: string; body: Record<string, unknown>; driver: Driver }> {
  const driver = await scfPython(source)
  const frame = await driver.call()
  const text = frame.payload.toString()
  return { frame, text, body: JSON.parse(text), driver }
}

describe('the result of an SCF function in Python', () => {
  test.each([
    ['"hello"', '"hello"'],
    [`'{"a":1}'`, '"{\\"a\\":1}"'],
    ['{"b": [1, "ä"], "a": None}', '{"b": [1, "ä"], "a": null}'],
    ['(1, 2)', '[1, 2]'],
    ['42', '42'],
    ['1.5', '1.5'],
    ['False', 'false'],
    ['None', 'null'],
    ['__import__("decimal").Decimal("1.50")', '"1.50"'],
    ['"\\ud800"', '"\\ud800"'],
  ])('%s is encoded as JSON once', async (value, text) => {
    expect(await resultOf(handler(`return ${value}`))).toBe(text)
  })

  test('is null when there is none', async () => {
    expect(await resultOf(handler('pass'))).toBe('null')
  })

  test('over 6 MiB is failure 407 and the instance lives on', async () => {
    const driver = await scfPython(handler('return "x" * (event["size"] - 2)'))
    const most = 6 * 1024 * 1024
    expect((await driver.call(`{"size":${most}}`)).payload.length).toBe(most)
    const result = await driver.call(`{"size":${most + 1}}`)
    expect([result.flag, result.payload.toString()]).toEqual([
      1,
      '{"errorCode":-1,"errorMessage":"The size of response exceeds the upper limit (6MB)","requestId":"r-2","statusCode":407}',
    ])
    expect((await driver.call('{"size":3}')).payload.toString()).toBe('"x"')
  })
})

describe('a failure of an SCF function in Python', () => {
  test('is its traceback from the code on, and the instance lives on', async () => {
    const { frame, body, text, driver } = await failureOf(
      `def inner():\n    raise ValueError('brökén <&>')\n\n${handler('inner()')}`,
    )
    expect([frame.flag, frame.meta['errorType']]).toEqual([1, 'ValueError'])
    expect(body).toEqual({
      errorCode: 1,
      errorMessage: 'user code exception caught',
      requestId: 'r-1',
      stackTrace: expect.any(String),
      statusCode: 430,
    })
    // Newer interpreters underline the failing part of a line.
    const lines = String(body['stackTrace'])
      .split('\n')
      .filter((line) => !/^[ ~^]+$/.test(line))
    expect(lines).toEqual([
      'Traceback (most recent call last):',
      expect.stringMatching(/^ {2}File ".*\/index\.py", line 5, in main_handler$/),
      '    inner()',
      expect.stringMatching(/^ {2}File ".*\/index\.py", line 2, in inner$/),
      "    raise ValueError('brökén <&>')",
      'ValueError: brökén <&>',
    ])
    expect(Object.keys(body)).toEqual(['errorCode', 'errorMessage', 'requestId', 'stackTrace', 'statusCode'])
    expect(text).toContain('brökén \\u003c\\u0026\\u003e')
    expect(text).not.toMatch(/[<>&]|": /)
    expect(driver.logOf(1)).toBe('')
    expect(JSON.parse((await driver.call()).payload.toString())).toMatchObject({ requestId: 'r-2' })
  })

  test.each([
    ['raise KeyError("data")', 'KeyError', "KeyError: 'data'"],
    ['raise KeyboardInterrupt', 'KeyboardInterrupt', 'KeyboardInterrupt'],
    ['return object()', 'TypeError', 'TypeError: Object of type object is not JSON serializable'],
    ['return b"bytes"', 'TypeError', 'TypeError: Object of type bytes is not JSON serializable'],
    [
      'return [__import__("decimal").Decimal(1)]',
      'TypeError',
      'TypeError: Object of type Decimal is not JSON serializable',
    ],
    ['raise ValueError("\\ud800")', 'ValueError', 'ValueError: \ud800'],
    ['raise "text"', 'TypeError', 'TypeError: exceptions must derive from BaseException'],
  ])('by %s ends with its name and text', async (line, errorType, ending) => {
    const { frame, body } = await failureOf(handler(line))
    expect(frame.meta['errorType']).toBe(errorType)
    expect(body['stackTrace']).toMatch(/^Traceback \(most recent call last\):\n {2}File "/)
    expect(String(body['stackTrace']).split('\n').at(-1)).toBe(ending)
    expect(body['stackTrace']).not.toContain('_anvoke/inbox')
  })

  test('has the exceptions that led to it', async () => {
    const { body } = await failureOf(
      handler('try:', '    1 / 0', 'except Exception as e:', '    raise OSError() from e'),
    )
    expect(body['stackTrace']).toMatch(
      /^Traceback[^]*ZeroDivisionError: [^]*direct cause[^]*Traceback[^]*OSError$/,
    )
  })

  test('over 6 MiB is failure 407', async () => {
    const { body } = await failureOf(handler('raise ValueError("x" * 6 * 1024 * 1024)'))
    expect(body['statusCode']).toBe(407)
  })

  test.each([
    ['sys.exit(3)', 3],
    ['os._exit(4)', 4],
  ])('by %s is no answer at all', async (exit, code) => {
    const driver = await scfPython(`import os, sys\n${handler('print("bye", flush=True)', exit)}`)
    driver.deliver()
    expect(await driver.exited).toEqual({ code, signal: null })
    expect(driver.logOf(1)).toBe('bye\n')
    expect(driver.frames.some(({ type }) => type === TYPE.result)).toBe(false)
  })
})

describe('the load of an SCF function in Python', () => {
  const TRACE = 'Traceback \\(most recent call last\\):\n'

  test.each<[string, Record<string, string>, string, number, string]>([
    ['without its file', {}, 'index.main_handler', 437, "ModuleNotFoundError: No module named 'index'"],
    [
      'without the folder of its file',
      {},
      'src/index.main_handler',
      437,
      "ModuleNotFoundError: No module named 'src'",
    ],
    ['without a dot in its handler', { 'index.py': '' }, 'index', 437, "ValueError: Invalid handler 'index'"],
    [
      'without its function',
      { 'index.py': 'other = 1' },
      'index.main_handler',
      443,
      "AttributeError: module 'index' has no attribute 'main_handler'",
    ],
    [
      'without its function, in a folder',
      { 'src/index.py': 'other = 1' },
      'src/index.main_handler',
      443,
      "AttributeError: module 'src\\.index' has no attribute 'main_handler'",
    ],
    [
      'with something else in place of its function',
      { 'index.py': 'main_handler = 1' },
      'index.main_handler',
      443,
      "TypeError: 'main_handler' of module 'index' is not callable",
    ],
    [
      'without a module it needs',
      { 'index.py': '\nimport not_there' },
      'index.main_handler',
      443,
      `  File ".*/index\\.py", line 2, in <module>\n    import not_there\nModuleNotFoundError: No module named 'not_there'`,
    ],
    [
      'with a syntax error',
      { 'index.py': 'def main_handler(:' },
      'index.main_handler',
      443,
      '  File ".*/index\\.py", line 1\n[^]*SyntaxError: invalid syntax',
    ],
    [
      'that raises',
      { 'index.py': 'raise RuntimeError("at load")' },
      'index.main_handler',
      443,
      '  File ".*/index\\.py", line 1, in <module>\n.*\nRuntimeError: at load',
    ],
  ])('%s fails', async (_name, files, name, statusCode, message) => {
    const { text, flag, meta, log } = await scfLoadFailure('python', files, name)
    const body = JSON.parse(text)
    expect(body).toEqual({
      errorCode: 1,
      errorMessage: expect.stringMatching(new RegExp(`^${TRACE}${message}$`)),
      requestId: 'set-up-request',
      statusCode,
    })
    expect(Object.keys(body)).toEqual(['errorCode', 'errorMessage', 'requestId', 'statusCode'])
    const errorType = statusCode === 437 ? 'HandlerNotFound' : 'UserCodeError'
    expect([flag, meta['errorType'], log]).toEqual([1, errorType, ''])
  })

  test('finds a module in a folder and its neighbours in the code directory', async () => {
    const codeDir = codeDirectory({
      'app/main.py': 'import shared\ndef run(event, context): return shared.NAME',
      'shared.py': "NAME = 'shared'",
    })
    const driver = await scfPython('', { handler: 'app/main.run', codeDir })
    expect((await driver.call()).payload.toString()).toBe('"shared"')
  })

  test('finds modules of layers beside its own, which win', async () => {
    const layers = codeDirectory({ 'shared.py': 'NAME = "layer"', 'both.py': 'NAME = "layer"' })
    const codeDir = codeDirectory({
      'index.py': `import shared, both\n${handler('return [shared.NAME, both.NAME]')}`,
      'both.py': 'NAME = "own"',
    })
    const driver = await scfPython('', { codeDir, environment: { PYTHONPATH: `${codeDir}:${layers}` } })
    expect((await driver.call()).payload.toString()).toBe('["layer", "own"]')
  })

  test('runs no initializer', async () => {
    const driver = await scfPython(handler('return 1'), { initializer: 'index.none' })
    expect((await driver.call()).payload.toString()).toBe('1')
  })
})

describe('the event of an SCF function in Python', () => {
  test.each([
    ['{"key": ["ü", 1]}', '{"key": ["ü", 1]}'],
    ['"text"', '"text"'],
    ['null', 'null'],
    ['7', '7'],
    ['', '{}'],
    ['not JSON', '"not JSON"'],
    ['NaN', '"NaN"'],
    ['[-Infinity]', '"[-Infinity]"'],
  ])('%j is given as %s', async (event, text) => {
    expect(await resultOf(handler('return event'), event)).toBe(text)
  })

  test('is text where it is nested too deeply, or no UTF-8', async () => {
    const driver = await scfPython(handler('return type(event).__name__'))
    expect((await driver.call('['.repeat(1_000_000))).payload.toString()).toBe('"str"')
    expect((await driver.call(Buffer.from([0x22, 0xff, 0x22, 0xff]))).payload.toString()).toBe('"str"')
  })
})

describe('the context of an SCF function in Python', () => {
  test('is a dict with all members, one for each call', async () => {
    const driver = await scfPython(
      handler('before = dict(context)', 'context.clear()', 'return [type(context).__name__, before]'),
    )
    await driver.call()
    expect(JSON.parse((await driver.call()).payload.toString())).toEqual([
      'dict',
      {
        request_id: 'r-2',
        memory_limit_in_mb: 128,
        time_limit_in_ms: 3000,
        environment: '{"SCF_NAMESPACE":"default","MINE":"a=b"}',
        environ: 'SCF_NAMESPACE=default;MINE=a=b',
        function_version: '$LATEST',
        function_name: 'hello',
        namespace: 'default',
        tencentcloud_region: 'ap-guangzhou',
        tencentcloud_appid: '1250000000',
        tencentcloud_uin: '100000000001',
      },
    ])
  })
})

describe('the log of an SCF function in Python', () => {
  test('has every line as it was written, those of logging from DEBUG on', async () => {
    const driver = await scfPython(
      `import logging, sys\n${handler(
        'print("printed ü")',
        'logging.getLogger().info("info %s", 1)',
        'logging.getLogger("sub").debug("debug")',
        'sys.stderr.write("no line feed")',
      )}`,
    )
    await driver.call()
    expect(driver.logOf(1)).toBe('printed ü\ninfo 1\ndebug\nno line feed')
  })

  test('tells load and call apart', async () => {
    const driver = await scfPython(`print("loading")\n${handler('print("call")')}`)
    await driver.call()
    expect([driver.logOf(0), driver.logOf(1)]).toEqual(['loading\n', 'call\n'])
  })
})

test('concurrent calls of an SCF function in Python have answers, failures and lines of their own', async () => {
  const driver = await scfPython(
    `import logging, threading
meeting = threading.Barrier(3)
${handler(
  'print("from " + context["request_id"])',
  'meeting.wait()',
  'logging.warning("again " + context["request_id"])',
  'if event: raise ValueError(context["request_id"])',
  'return context["request_id"]',
)}`,
    { concurrency: 3 },
  )
  const calls = ['{}', '[1]', '{}'].map((event) => driver.deliver(event))
  const results = await Promise.all(calls.map((id) => driver.result(id)))
  const [first, second, third] = results.map(({ payload }) => payload.toString())
  expect([first, third]).toEqual(['"r-1"', '"r-3"'])
  expect(JSON.parse(second ?? '')).toMatchObject({
    requestId: 'r-2',
    stackTrace: expect.stringContaining('ValueError: r-2'),
  })
  for (const id of calls) expect(driver.logOf(id)).toBe(`from r-${id}\nagain r-${id}\n`)
})
