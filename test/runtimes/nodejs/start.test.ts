import { afterEach, describe, expect, test } from 'vitest'
import {
  alibabaContext,
  closeDrivers,
  codeDirectory,
  type Frame,
  nodeFunction,
  type SetupOverrides,
  startBootstrap,
  TYPE,
} from '../../helpers/bootstrap-driver.ts'

afterEach(closeDrivers)

async function callIn(files: Record<string, string>, handler: string): Promise<string> {
  const driver = await startBootstrap('nodejs')
  await driver.ready({ handler, codeDir: codeDirectory(files) })
  return (await driver.call()).payload.toString()
}

async function failureIn(
  files: Record<string, string>,
  overrides: Partial<SetupOverrides> = {},
): Promise<{ frame: Frame; body: Record<string, unknown>; log: string }> {
  const driver = await startBootstrap('nodejs')
  driver.setup({ handler: 'index.handler', codeDir: codeDirectory(files), ...overrides })
  const frame = await driver.frame(({ type }) => type === TYPE.failed || type === TYPE.ready)
  expect(frame.type).toBe(TYPE.failed)
  expect(await driver.exited).toEqual({ code: 0, signal: null })
  return { frame, body: JSON.parse(frame.payload.toString()), log: driver.logOf(0) }
}

describe('the handler string of a Node.js function', () => {
  const COMMONJS = 'exports.handler = async () => "commonjs " + typeof require'
  const ES_MODULE = 'export const handler = async () => "es module " + typeof require'

  test.each([
    ['a .js file', { 'index.js': COMMONJS }, 'index.handler', 'commonjs function'],
    ['a .cjs file', { 'index.cjs': COMMONJS }, 'index.handler', 'commonjs function'],
    ['an .mjs file', { 'index.mjs': ES_MODULE }, 'index.handler', 'es module undefined'],
    [
      'a .js file of a package of type module',
      { 'package.json': '{"type":"module"}', 'index.js': ES_MODULE },
      'index.handler',
      'es module undefined',
    ],
    [
      'a nested file of the nearest package',
      { 'package.json': '{"type":"module"}', 'src/package.json': '{}', 'src/main.js': COMMONJS },
      'src/main.handler',
      'commonjs function',
    ],
    [
      'a file with dots in its name',
      { 'index.prod.js': COMMONJS },
      'index.prod.handler',
      'commonjs function',
    ],
    ['a directory with an index', { 'app/index.js': COMMONJS }, 'app.handler', 'commonjs function'],
    [
      'a member of the default export',
      { 'index.mjs': 'export default { handler: async () => "default" }' },
      'index.handler',
      'default',
    ],
  ])('can name %s', async (_name, files, handler, result) => {
    expect(await callIn(files as Record<string, string>, handler)).toBe(result)
  })

  test.each([
    ['without a dot', { 'index.js': COMMONJS }, 'index', 'InvalidHandleName', "Invalid handler 'index'"],
    ['of a missing file', {}, 'index.handler', 'ImportModuleError', 'Cannot find module'],
    [
      'of a module that needs a missing one',
      { 'index.js': 'require("not-there")' },
      'index.handler',
      'ImportModuleError',
      "Cannot find module 'not-there'",
    ],
    [
      'of an ES module that needs a missing one',
      { 'index.mjs': 'import "not-there"' },
      'index.handler',
      'ImportModuleError',
      'not-there',
    ],
    [
      'of a module with a syntax error',
      { 'index.js': 'exports.handler = (' },
      'index.handler',
      'UserCodeSyntaxError',
      'Unexpected',
    ],
    [
      'of a module that throws',
      { 'index.js': 'throw new RangeError("at load")' },
      'index.handler',
      'RangeError',
      'at load',
    ],
    [
      'of a missing export',
      { 'index.js': 'exports.other = 1' },
      'index.handler',
      'HandlerNotFound',
      "Handler 'handler' is missing on module 'index'",
    ],
  ])('%s fails the load', async (_name, files, handler, errorType, message) => {
    const { frame, body, log } = await failureIn(files, { handler })
    expect([frame.flag, frame.meta]).toEqual([
      1,
      { errorType: `FunctionUnhandledError: ${errorType}`, peakKib: expect.toSatisfy((kib) => kib > 1024) },
    ])
    expect(log).toMatch(/^\S+ \S+ set-up-request \[error\] \{.*\}\n$/)
    expect(log).toContain(frame.payload.toString())
    expect(body['errorType']).toBe(`FunctionUnhandledError: ${errorType}`)
    expect(body['errorMessage']).toContain(message)
    expect(body['stackTrace']).toEqual(expect.any(Array))
  })
})

describe('the initializer of a Node.js function', () => {
  const COUNTING = `let count = 0
    exports.init = INIT
    exports.handler = async () => String(count)`

  test.each([
    ['calls back', '(context, callback) => { count++; callback() }'],
    ['returns a promise', 'async (context) => { count += context.function.memory / 128 }'],
  ])('runs once before the first call when it %s', async (_name, initializer) => {
    const driver = await nodeFunction(COUNTING.replace('INIT', initializer), { initializer: 'index.init' })
    const types = driver.frames.map((frame) => frame.type).filter((type) => type !== TYPE.log)
    expect(types).toEqual([TYPE.hello, TYPE.loaded, TYPE.ready])
    expect((await driver.call()).payload.toString()).toBe('1')
    expect((await driver.call()).payload.toString()).toBe('1')
  })

  test.each([
    ['calls back with an error', '(context, callback) => callback(new TypeError("no"))'],
    ['throws', '() => { throw new TypeError("no") }'],
    ['rejects', 'async () => { throw new TypeError("no") }'],
  ])('fails the instance when it %s', async (_name, initializer) => {
    const source = COUNTING.replace('INIT', initializer)
    const { frame, body, log } = await failureIn({ 'index.js': source }, { initializer: 'index.init' })
    expect([frame.flag, frame.meta['errorType']]).toEqual([2, 'FunctionUnhandledError: TypeError'])
    expect(frame.meta['peakKib']).toBeGreaterThan(1024)
    expect(body['errorMessage']).toBe('no')
    expect(log.split(frame.payload.toString())).toHaveLength(2)
  })

  test('knows the request that the instance was started for', async () => {
    const source = `exports.init = (context, callback) => { console.log(context.requestId); callback() }
      exports.handler = (event, context, callback) => callback()`
    const driver = await nodeFunction(source, { initializer: 'index.init' })
    expect(driver.logOf(0)).toMatch(/^\S+ \S+ set-up-request \[info\] set-up-request\n$/)
  })

  test('that is missing fails the instance as an initializer', async () => {
    const { frame } = await failureIn(
      { 'index.js': 'exports.handler = () => {}' },
      { initializer: 'index.init' },
    )
    expect([frame.flag, frame.meta['errorType']]).toEqual([2, 'FunctionUnhandledError: HandlerNotFound'])
  })

  test('with an exception that nothing catches fails the instance, too', async () => {
    const source = COUNTING.replace('INIT', '() => { setTimeout(() => { throw new Error("late") }) }')
    const { frame, body } = await failureIn({ 'index.js': source }, { initializer: 'index.init' })
    expect(frame.flag).toBe(2)
    expect(body['errorMessage']).toBe('FunctionUnhandledError: uncaughtException')
  })
})

describe('the log of a Node.js function', () => {
  test('has console lines with time, request id and level on the stream of the level', async () => {
    const source = `exports.handler = async () => {
      console.log('a %s', 'b', { c: 1 }); console.info('i'); console.debug('d'); console.warn('w'); console.error('e')
      console.table([{ x: 1 }]); console.dir({ y: 2 })
    }`
    const driver = await nodeFunction(source)
    await driver.call()
    const logs = driver.frames.filter((frame) => frame.type === TYPE.log && frame.callId === 1)
    const lines = logs.map((frame) => [frame.flag, frame.payload.toString().replace(/^\S+ \S+ /, '')])
    expect(lines.slice(0, 5)).toEqual([
      [1, 'r-1 [info] a b { c: 1 }\n'],
      [1, 'r-1 [info] i\n'],
      [1, 'r-1 [debug] d\n'],
      [2, 'r-1 [warn] w\n'],
      [2, 'r-1 [error] e\n'],
    ])
    expect(lines[5]?.[1]).toMatch(/^r-1 \[info\] ┌/)
    expect(lines[6]).toEqual([1, 'r-1 [info] { y: 2 }\n'])
    expect(logs[0]?.payload.toString()).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} r-1 /)
  })

  test('is told in ISO time and as verbose by the oldest runtimes, which also announce themselves', async () => {
    const driver = await nodeFunction(
      'exports.handler = (e, c, callback) => { console.log("x"); callback() }',
      {
        context: alibabaContext([10]),
      },
    )
    await driver.call()
    expect(driver.logOf(1)).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z r-1 \[verbose\] x\n$/)
    expect(driver.logOf(0)).toBe(
      'load code for handler:index.handler\nFunctionCompute nodejs runtime inited.\n',
    )
  })

  test('leaves out levels below ALIYUN_FC_LOG_LEVEL', async () => {
    const driver = await nodeFunction(
      'exports.handler = async () => { console.log("low"); console.warn("high") }',
      {
        environment: { ALIYUN_FC_LOG_LEVEL: 'WARN' },
      },
    )
    await driver.call()
    expect(driver.logOf(1)).toMatch(/^[^\n]*\[warn\] high\n$/)
  })

  test('tells load, call and between calls apart', async () => {
    const source = `console.log('loading')
      exports.handler = async (event) => {
        process.stdout.write('raw ' + event)
        if (String(event) === '1') setImmediate(() => setImmediate(() => console.log('late')))
      }`
    const driver = await nodeFunction(source)
    await driver.call('1')
    await driver.frame((frame) => frame.payload.toString().endsWith('late\n'))
    await driver.call('2')
    expect(driver.logOf(1)).toBe('raw 1')
    expect(driver.logOf(2)).toBe('raw 2')
    expect(driver.logOf(0)).toMatch(/^\S+ \S+ set-up-request \[info\] loading\n\S+ \S+ r-1 \[info\] late\n$/)
  })

  test('comes before the result of its call, in order with it', async () => {
    const driver = await nodeFunction('exports.handler = async (event) => { console.log(String(event)) }')
    const last = Array.from({ length: 50 }, (_, index) => driver.deliver(String(index))).at(-1)!
    await driver.result(last)
    const kinds = driver.frames.filter((frame) => frame.callId > 0).map((frame) => [frame.callId, frame.type])
    expect(kinds).toEqual(
      Array.from({ length: 50 }, (_, index) => [
        [index + 1, TYPE.log],
        [index + 1, TYPE.result],
      ]).flat(),
    )
  })
})

test('a call never sees the async context of the one before', async () => {
  const source = `const { AsyncLocalStorage } = require('async_hooks')
    const storage = new AsyncLocalStorage()
    exports.handler = async (event) => {
      const inherited = String(storage.getStore())
      storage.enterWith(String(event))
      await null
      return inherited
    }`
  const driver = await nodeFunction(source)
  const calls = ['a', 'b', 'c'].map((event) => driver.deliver(event))
  const results = await Promise.all(calls.map((call) => driver.result(call)))
  expect(results.map((result) => result.payload.toString())).toEqual(['undefined', 'undefined', 'undefined'])
})

test('queued calls leave turns to the timers and rejections of the code', async () => {
  const source = `let ticks = 0
    setInterval(() => ticks++, 1)
    exports.handler = (event, context, callback) => {
      const end = performance.now() + 1
      while (performance.now() < end);
      callback(null, String(ticks))
    }`
  const driver = await nodeFunction(source)
  const last = Array.from({ length: 100 }, () => driver.deliver()).at(-1)!
  expect(Number((await driver.result(last)).payload.toString())).toBeGreaterThan(20)
})

test('a rejection that nothing handles is the end of its own call, not of the next', async () => {
  const driver = await nodeFunction(`exports.handler = (event, context, callback) => {
    if (String(event) === 'bad') Promise.reject(new Error('lost'))
    callback(null, 'answered')
  }`)
  const bad = driver.deliver('bad')
  const innocent = driver.deliver('good')
  expect((await driver.result(bad)).payload.toString()).toBe('answered')
  await driver.exited
  expect(driver.frames.filter((frame) => frame.callId === innocent)).toEqual([])
  expect(driver.logOf(0)).toContain('Error: lost')
})

test('the answer to an uncaught exception gets out whole, and no other call starts after it', async () => {
  const driver = await nodeFunction(`exports.handler = () => {
    for (let i = 0; i < 9000; i++) process.stdout.write('x'.repeat(99) + '\\n')
    setTimeout(() => { require('fs').writeSync(1, 'thrown'); throw new Error('late') }, 1)
  }`)
  driver.pause()
  const failed = driver.deliver()
  const next = driver.deliver()
  await driver.directOutput('thrown')
  driver.resume()
  expect((await driver.result(failed)).payload.toString()).toContain('uncaughtException')
  expect(await driver.exited).toEqual({ code: 1, signal: null })
  expect(driver.logOf(failed)).toContain('Error: late')
  expect(driver.frames.filter((frame) => frame.callId === next)).toEqual([])
  expect(driver.revoke()).toBe(4095)
})
