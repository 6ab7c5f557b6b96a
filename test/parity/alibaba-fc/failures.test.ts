import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { base64Zip, Suite, type Answer, type FunctionSettings } from './clients.ts'

let suite: Suite

beforeAll(async () => {
  suite = await Suite.start('failing')
})

afterAll(() => suite?.server.close())

/** Deploys code and calls it once. */
async function failureOf(
  name: string,
  source: string | Readonly<Record<string, string>>,
  settings: FunctionSettings = {},
): Promise<Answer> {
  await suite.deploy(name, source, settings)
  return suite.invoke(name, { tail: true })
}

/** A function error is a success of HTTP with a JSON body and an error type. */
function expectFailure(answer: Answer, errorType: string): void {
  expect(answer.errorType).toBe(errorType)
  expect(answer.headers['content-type']).toBe('application/json')
}

function endLine({ log, requestId }: Answer): string {
  const marker = `FC Invoke End RequestId: ${requestId}`
  const line = log.split('\n').find((text) => text.startsWith(marker))
  return line?.slice(marker.length) ?? 'no end line'
}

const RECOVERS = `if (String(event) === 'well') return callback(null, 'fine')`

/** The next call gets a new instance and works. */
async function expectRecovery(name: string, broken: Answer): Promise<void> {
  const next = await suite.invoke(name, { event: 'well' })
  expect(next.text).toBe('fine')
  expect(next.errorType).toBeUndefined()
  expect(next.instanceId).not.toBe(broken.instanceId)
}

describe('a Node.js function', () => {
  test('that reports an Error through its callback has a handled error', async () => {
    const answer = await failureOf(
      'handled',
      `exports.handler = (event, context, callback) => callback(new TypeError('not this one'))`,
    )
    expectFailure(answer, 'HandledInvocationError')
    const { stackTrace, ...body } = answer.json
    expect(body).toEqual({ errorMessage: 'not this one', errorType: 'TypeError' })
    expect(stackTrace[0]).toBe('TypeError: not this one')
    expect(stackTrace[1]).toContain('/index.js:1')
    expect(endLine(answer)).toBe(', Error: Handled function error')
  })

  test('up to nodejs16 has its stack without the message', async () => {
    const answer = await failureOf(
      'handled-16',
      `exports.handler = (event, context, callback) => callback(new TypeError('not this one'))`,
      { runtime: 'nodejs16' },
    )
    expectFailure(answer, 'HandledInvocationError')
    expect(answer.json.stackTrace[0]).toMatch(/^at .*\/index\.js:1/)
  })

  test('may report anything through its callback', async () => {
    const source = `exports.handler = (event, context, callback) => callback({ code: 7 })`
    expect((await failureOf('handled-value', source)).text).toBe(
      '{"errorMessage":"{\\"code\\":7}","errorType":"FunctionHandledError"}',
    )
    expect((await failureOf('handled-value-14', source, { runtime: 'nodejs14' })).text).toBe(
      '{"errorMessage":"{\\"code\\":7}"}',
    )
  })

  test('that throws or rejects has an unhandled error', async () => {
    const thrown = await failureOf('throws', `exports.handler = () => { throw new RangeError('too far') }`)
    const rejected = await failureOf(
      'rejects',
      `exports.handler = async () => { throw new RangeError('too far') }`,
    )
    for (const answer of [thrown, rejected]) {
      expectFailure(answer, 'UnhandledInvocationError')
      expect(answer.json).toMatchObject({
        errorMessage: 'too far',
        errorType: 'FunctionUnhandledError: RangeError',
      })
      expect(answer.json.stackTrace[0]).toContain('RangeError: too far')
      expect(endLine(answer)).toBe(', Error: Unhandled function error')
    }
  })

  test('whose timer throws has an uncaught exception, and its stack in the log', async () => {
    const answer = await failureOf(
      'uncaught',
      `exports.handler = (event, context, callback) => {
        ${RECOVERS}
        setTimeout(() => { throw new Error('out of line') }, 5)
      }`,
    )
    expectFailure(answer, 'UnhandledInvocationError')
    expect(answer.text).toBe(
      '{"errorMessage":"FunctionUnhandledError: uncaughtException","errorType":"FunctionHandledError"}',
    )
    expect(answer.log).toContain('out of line')
    expect((await suite.invoke('uncaught', { event: 'well' })).text).toBe('fine')
  })

  test('that runs too long is told so, and is ended', async () => {
    const answer = await failureOf(
      'late',
      `exports.handler = (event, context, callback) => { ${RECOVERS}; setTimeout(callback, 60000) }`,
      { timeout: 1 },
    )
    expectFailure(answer, 'UnhandledInvocationError')
    expect(answer.text).toMatch(
      /^\{"errorMessage":"Function timed out after 1 seconds \(maxMemoryUsage: \d+\.\d\dMB\)"\}$/,
    )
    expect(endLine(answer)).toBe(`, Error: ${answer.json.errorMessage}`)
    expect(Number(answer.headers['x-fc-invocation-duration'])).toBeGreaterThanOrEqual(999)
    await expectRecovery('late', answer)
  })

  test('that never lets go of the processor is ended all the same', async () => {
    const answer = await failureOf(
      'spins',
      `exports.handler = (event, context, callback) => { ${RECOVERS}; for (;;); }`,
      { timeout: 1 },
    )
    expectFailure(answer, 'UnhandledInvocationError')
    expect(answer.json.errorMessage).toContain('Function timed out after 1 seconds')
    await expectRecovery('spins', answer)
  })

  test('up to nodejs16 is not done when its promise is', async () => {
    const answer = await failureOf('promise-16', `exports.handler = async () => 'lost'`, {
      runtime: 'nodejs16',
      timeout: 1,
    })
    expectFailure(answer, 'UnhandledInvocationError')
    expect(answer.json.errorMessage).toContain('Function timed out after 1 seconds')
  })

  test.each([
    ['exits', 'process.exit(3)'],
    ['exits-well', 'process.exit(0)'],
    ['aborts', 'process.abort()'],
    ['kills-itself', `process.kill(process.pid, 'SIGKILL')`],
  ])('that %s is told of the exit', async (name, statement) => {
    const answer = await failureOf(
      name,
      `exports.handler = (event, context, callback) => { ${RECOVERS}; console.log('last words'); ${statement} }`,
    )
    expectFailure(answer, 'UnhandledInvocationError')
    expect(answer.text).toMatch(
      /^\{"errorMessage":"Process exited unexpectedly before completing request \(duration: \d+ms, maxMemoryUsage: [\d.]+MB\)"\}$/,
    )
    expect(endLine(answer)).toBe(`, Error: ${answer.json.errorMessage}`)
    await expectRecovery(name, answer)
  })

  test.each([
    ['fills-heap', `const kept = []; for (;;) kept.push({ text: 'x'.repeat(100) + kept.length })`],
    ['fills-buffers', `const kept = []; for (;;) kept.push(Buffer.alloc(8 * 1024 * 1024, 1))`],
  ])('that %s is told that it ran out of memory', async (name, statement) => {
    const answer = await failureOf(
      name,
      `exports.handler = (event, context, callback) => { ${RECOVERS}; ${statement} }`,
      { memorySize: 128, timeout: 30 },
    )
    expectFailure(answer, 'UnhandledInvocationError')
    expect(answer.json.errorMessage).toMatch(/memory.*\(duration: \d+ms, maxMemoryUsage: [\d.]+MB\)/)
    expect(endLine(answer)).toBe(`, Error: ${answer.json.errorMessage}`)
    await expectRecovery(name, answer)
  })

  test('that cannot be loaded has an unhandled error that says why', async () => {
    const syntax = await failureOf('syntax', `exports.handler = async ( => 1`)
    expectFailure(syntax, 'UnhandledInvocationError')
    expect(syntax.json.errorType).toBe('FunctionUnhandledError: UserCodeSyntaxError')

    const missing = await failureOf(
      'missing-module',
      `require('not-packed'); exports.handler = async () => 1`,
    )
    expectFailure(missing, 'UnhandledInvocationError')
    expect(missing.json).toMatchObject({
      errorType: 'FunctionUnhandledError: ImportModuleError',
      errorMessage: expect.stringContaining("Cannot find module 'not-packed'"),
    })

    const noFile = await failureOf('no-file', `exports.handler = 1`, { handler: 'main.handler' })
    expectFailure(noFile, 'UnhandledInvocationError')
    expect(noFile.json.errorType).toBe('FunctionUnhandledError: ImportModuleError')

    const noExport = await failureOf('no-export', `exports.other = async () => 1`)
    expectFailure(noExport, 'UnhandledInvocationError')
    expect(noExport.json.errorMessage).toBe("Handler 'handler' is missing on module 'index'")

    const throwing = await failureOf('throws-at-load', `throw new Error('not today')`)
    expectFailure(throwing, 'UnhandledInvocationError')
    expect(throwing.json).toMatchObject({
      errorType: 'FunctionUnhandledError: Error',
      errorMessage: 'not today',
    })
  })

  test('works once its code is mended', async () => {
    await failureOf('mended', `throw new Error('not today')`)
    const zipFile = await base64Zip(`exports.handler = async () => 'mended'`)
    await suite.fc2.updateFunction('failing', 'mended', { code: { zipFile } })
    const answer = await suite.invoke('mended')
    expect([answer.text, answer.errorType]).toEqual(['mended', undefined])
  })
})

describe('an initializer', () => {
  test('runs once before the first call, with its own markers in the log', async () => {
    await suite.deploy(
      'prepared',
      `let ready = 0
      exports.prepare = (context, callback) => { console.log('preparing'); setTimeout(() => { ready += 1; callback() }, 5) }
      exports.handler = async () => 'ready ' + ready`,
      { initializer: 'index.prepare', initializationTimeout: 10 },
    )
    const first = await suite.invoke('prepared', { tail: true })
    expect(first.text).toBe('ready 1')
    expect(first.log).toMatch(
      /FC Initialize Start RequestId: .+\n.*preparing\nFC Initialize End RequestId: .+\nFC Invoke Start/,
    )
    const second = await suite.invoke('prepared', { tail: true })
    expect(second.text).toBe('ready 1')
    expect(second.log).not.toContain('FC Initialize')
  })

  test('may be an async function', async () => {
    await suite.deploy(
      'prepared-async',
      `let ready; exports.prepare = async () => { ready = await Promise.resolve('set') }
      exports.handler = async () => ready`,
      { initializer: 'index.prepare' },
    )
    expect((await suite.invoke('prepared-async')).text).toBe('set')
  })

  test('that fails makes the call fail with an error of its own, each time anew', async () => {
    const first = await failureOf(
      'unprepared',
      `exports.prepare = (context, callback) => callback(new Error('no database'))
      exports.handler = async () => 'never'`,
      { initializer: 'index.prepare' },
    )
    expectFailure(first, 'InitializationError')
    expect(first.json.errorMessage).toBe('no database')
    expect(first.log).toMatch(/FC Initialize End RequestId: .+, Error: /)
    const second = await suite.invoke('unprepared')
    expectFailure(second, 'InitializationError')
    expect(second.instanceId).not.toBe(first.instanceId)
  })

  test('that runs too long makes the call fail after its own timeout', async () => {
    const answer = await failureOf(
      'slow-start',
      `exports.prepare = () => {}; exports.handler = async () => 'never'`,
      { initializer: 'index.prepare', initializationTimeout: 1, timeout: 20 },
    )
    expectFailure(answer, 'InitializationError')
    expect(answer.json.errorMessage).toMatch(/^Function timed out after 1 seconds \(maxMemoryUsage: /)
  })

  test('that exits makes the call fail', async () => {
    const answer = await failureOf(
      'dies-early',
      `exports.prepare = () => process.exit(1); exports.handler = async () => 'never'`,
      { initializer: 'index.prepare' },
    )
    expectFailure(answer, 'InitializationError')
    expect(answer.json.errorMessage).toContain('Process exited unexpectedly before completing request')
  })

  test('works in Python, too', async () => {
    await suite.deployPython(
      'py-prepared',
      `ready = []
def prepare(context):
    ready.append(1)
def handler(event, context):
    return len(ready)`,
      { initializer: 'index.prepare' },
    )
    expect((await suite.invoke('py-prepared')).text).toBe('1')
    await suite.deployPython(
      'py-unprepared',
      `def prepare(context):
    raise ValueError('no database')
def handler(event, context):
    return 'never'`,
      { initializer: 'index.prepare' },
    )
    const failed = await suite.invoke('py-unprepared')
    expectFailure(failed, 'InitializationError')
    expect(failed.json).toMatchObject({ errorMessage: 'no database', errorType: 'ValueError' })
  })
})

describe('a Python function', () => {
  async function pythonFailure(
    name: string,
    source: string,
    settings: FunctionSettings = {},
  ): Promise<Answer> {
    await suite.deployPython(name, source, settings)
    return suite.invoke(name, { tail: true })
  }

  test('that raises has exactly the vendor’s error body', async (context) => {
    context.skip(!suite.isolates, 'the host has no sandbox that shows code at /code')
    const answer = await pythonFailure(
      'py-raises',
      `def helper():
    raise ValueError('grün')
def handler(event, context):
    helper()`,
    )
    expectFailure(answer, 'UnhandledInvocationError')
    expect(answer.text).toBe(`{
    "errorMessage": "gr\\u00fcn",
    "errorType": "ValueError",
    "stackTrace": [
        [
            "File \\"/code/index.py\\"",
            "line 4",
            "in handler",
            "helper()"
        ],
        [
            "File \\"/code/index.py\\"",
            "line 2",
            "in helper",
            "raise ValueError('gr\\u00fcn')"
        ]
    ]
}`)
    expect(endLine(answer)).toBe(', Error: Unhandled function error')
  })

  test('whose result cannot be serialised has a TypeError', async () => {
    const answer = await pythonFailure('py-object', `def handler(event, context):\n    return object()`)
    expectFailure(answer, 'UnhandledInvocationError')
    expect(answer.json.errorType).toBe('TypeError')
  })

  test('that cannot be loaded has an unhandled error with a flat stack', async () => {
    const cases: [name: string, source: string, settings: FunctionSettings, type: string, message: string][] =
      [
        [
          'py-syntax',
          'def handler(event, context:\n  pass',
          {},
          'UserCodeSyntaxError',
          "Syntax error in module 'index'",
        ],
        [
          'py-no-file',
          'x = 1',
          { handler: 'main.handler' },
          'ImportModuleError',
          "Unable to import module 'main'",
        ],
        ['py-import', 'import not_packed', {}, 'ImportModuleError', "Unable to import module 'index'"],
        ['py-no-function', 'x = 1', {}, 'HandlerNotFound', "Handler 'handler' is missing on module 'index'"],
        ['py-bad-name', 'x = 1', { handler: 'handler' }, 'InvalidHandleName', "Invalid handler 'handler'"],
        ['py-at-load', `raise KeyError('k')`, {}, 'UserCodeError', `Module initialization error: ''k''`],
      ]
    for (const [name, source, settings, errorType, errorMessage] of cases) {
      const answer = await pythonFailure(name, source, settings)
      expectFailure(answer, 'UnhandledInvocationError')
      const { stackTrace, ...body } = answer.json
      expect(body).toEqual({ errorType, errorMessage })
      expect(stackTrace.every((line: unknown) => typeof line === 'string')).toBe(true)
    }
  })

  test('that runs too long or exits is told so', async () => {
    const late = await pythonFailure(
      'py-late',
      `import time\ndef handler(event, context):\n    time.sleep(60)`,
      {
        timeout: 1,
      },
    )
    expectFailure(late, 'UnhandledInvocationError')
    expect(late.text).toMatch(/^\{"errorMessage":"Function timed out after 1 seconds \(maxMemoryUsage: /)
    const gone = await pythonFailure('py-exits', `import os\ndef handler(event, context):\n    os._exit(2)`)
    expectFailure(gone, 'UnhandledInvocationError')
    expect(gone.text).toMatch(/^\{"errorMessage":"Process exited unexpectedly before completing request \(/)
  })

  test('that runs out of memory is told so', async () => {
    const answer = await pythonFailure(
      'py-hoards',
      `def handler(event, context):
    kept = []
    while True:
        kept.append(bytearray(b'1') * (8 << 20))`,
      { memorySize: 128, timeout: 30 },
    )
    expectFailure(answer, 'UnhandledInvocationError')
    expect(answer.json.errorMessage).toContain('memory')
  })
})

describe('the reason of a failure', () => {
  const NODE_INIT = { initializer: 'index.prepare' }
  const PYTHON = { runtime: 'python3.10' }
  test.each<[string, Readonly<Record<string, string>>, FunctionSettings, string]>([
    ['js-throw', { 'index.js': `exports.handler = async () => { throw new Error('why-so') }` }, {}, 'why-so'],
    ['js-load', { 'index.js': `require('why-so')` }, {}, "Cannot find module 'why-so'"],
    [
      'js-init',
      {
        'index.js': `exports.prepare = async () => { throw new Error('why-so') }\nexports.handler = () => {}`,
      },
      NODE_INIT,
      'why-so',
    ],
    [
      'py-throw',
      { 'index.py': `def handler(event, context):\n    raise ValueError('why-so')` },
      PYTHON,
      'ValueError',
    ],
    ['py-load', { 'index.py': 'import why_so' }, PYTHON, "No module named 'why_so'"],
    [
      'py-init',
      {
        'index.py': `def prepare(context):\n    raise ValueError('why-so')\ndef handler(event, context): pass`,
      },
      { ...PYTHON, ...NODE_INIT },
      'ValueError',
    ],
  ])('is in the log tail and in the log files: %s', async (name, files, settings, reason) => {
    await suite.deploy(`told-${name}`, files, settings)
    const answer = await suite.invoke(`told-${name}`, { tail: true })
    expect(answer.text).toContain(reason)
    expect(answer.log.split(answer.text)).toHaveLength(2)
    expect(answer.log).not.toContain('Max Memory Used: 0.00 MB')

    await suite.deploy(`later-${name}`, files, settings)
    await suite.fc2.putFunctionAsyncConfig('failing', `later-${name}`, undefined, {
      maxAsyncRetryAttempts: 0,
    })
    await suite.invokeAsync(`later-${name}`)
    const log = await suite.untilLogged(`later-${name}`, (text) => text.includes('Max Memory Used'))
    expect(log).toContain(reason)
    expect(log).not.toContain('Max Memory Used: 0.00 MB')
  })
})

test('the older client sees function errors as answers', async () => {
  await suite.deploy('seen', `exports.handler = async () => { throw new Error('seen') }`)
  const { headers, data } = await suite.fc2.invokeFunction('failing', 'seen')
  expect(headers['x-fc-error-type']).toBe('UnhandledInvocationError')
  expect(data).toMatchObject({ errorMessage: 'seen', errorType: 'FunctionUnhandledError: Error' })
})
