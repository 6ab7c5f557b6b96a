import { afterEach, describe, expect, test } from 'vitest'
import { closeDrivers, codeDirectory, type Driver, type Frame, TYPE } from '../../helpers/bootstrap-driver.ts'
import { scfLoadFailure, scfNode } from '../../helpers/scf-instances.ts'

afterEach(closeDrivers)

/** `exports.main_handler = …` with the given function. */
const handler = (source: string): string => `exports.main_handler = ${source}`

async function resultOf(source: string, event = '', generation?: readonly number[]): Promise<string> {
  const result = await (await scfNode(handler(source), generation)).call(event)
  expect(result.flag).toBe(0)
  return result.payload.toString()
}

async function failureOf(
  source: string,
  generation?: readonly number[],
): Promise<{ frame: Frame; text: string; body: Record<string, unknown>; driver: Driver }> {
  const driver = await scfNode(handler(source), generation)
  const frame = await driver.call()
  const text = frame.payload.toString()
  return { frame, text, body: JSON.parse(text), driver }
}

describe('the result of an SCF function in Node.js', () => {
  test.each([
    ['"hello"', '"hello"'],
    ['"{\\"a\\":1}"', '"{\\"a\\":1}"'],
    ['{ a: [1, "ä"], b: undefined }', '{"a":[1,"ä"]}'],
    ['[]', '[]'],
    ['42', '42'],
    ['0', '0'],
    ['false', 'false'],
    ['""', '""'],
    ['null', 'null'],
    ['undefined', 'null'],
    ['() => 1', 'null'],
    ['new Date(0)', '"1970-01-01T00:00:00.000Z"'],
    ['Buffer.from("x")', '{"type":"Buffer","data":[120]}'],
  ])('%s is encoded as JSON once', async (value, text) => {
    expect(await resultOf(`async () => (${value})`)).toBe(text)
    expect(await resultOf(`(event, context, callback) => callback(null, ${value})`)).toBe(text)
  })

  test('is null when the event loop runs empty without any', async () => {
    expect(await resultOf('(event, context, callback) => { setTimeout(() => {}, 5) }')).toBe('null')
    expect(await resultOf('() => "not awaited, not called back"')).toBe('null')
    expect(await resultOf('async () => new Promise(() => {})')).toBe('null')
  })

  test('comes from the call that gave it, however many gave none before', async () => {
    const driver = await scfNode(
      handler(
        '(event, context, callback) => { if (event.answer) setTimeout(callback, 5, null, event.answer) }',
      ),
    )
    const events = ['{}', '{"answer":1}', '{}', '{}', '{"answer":2}']
    const calls = events.map((event) => driver.deliver(event))
    const results = await Promise.all(calls.map((id) => driver.result(id)))
    expect(results.map(({ payload }) => payload.toString())).toEqual(['null', '1', 'null', 'null', '2'])
  })

  test.each([
    [8, 9],
    [12, 16],
  ])('counts once: later ends of the same call are ignored, on Nodejs%i.%i', async (...generation) => {
    const source = `async (event, context, callback) => {
      callback(null, 'first')
      callback(new Error('second'))
      context.fail('third')
      return 'fourth'
    }`
    const driver = await scfNode(handler(source), generation)
    const results = [await driver.call(), await driver.call()]
    expect(results.map(({ payload }) => payload.toString())).toEqual(['"first"', '"first"'])
    expect(driver.frames.filter(({ type }) => type === TYPE.result)).toHaveLength(2)
  })

  test('over 6 MiB is failure 407 and the instance lives on', async () => {
    const driver = await scfNode(handler('async ({ size }) => "x".repeat(size - 2)'))
    const most = 6 * 1024 * 1024
    expect((await driver.call(`{"size":${most}}`)).payload.length).toBe(most)
    const result = await driver.call(`{"size":${most + 1}}`)
    expect([result.flag, result.payload.toString()]).toEqual([
      1,
      '{"errorCode":-1,"errorMessage":"The size of response exceeds the upper limit (6MB)","requestId":"r-2","statusCode":407}',
    ])
    expect((await driver.call('{"size":3}')).payload.toString()).toBe('"x"')
  })

  test('over 6 MiB is counted in bytes', async () => {
    const driver = await scfNode(handler('async ({ size }) => "ü".repeat(size)'))
    expect((await driver.call(`{"size":${3 * 1024 * 1024 - 1}}`)).flag).toBe(0)
    expect((await driver.call(`{"size":${3 * 1024 * 1024}}`)).flag).toBe(1)
  })
})

describe('the answer of an SCF function, by the generation of its runtime', () => {
  const PROMISE =
    '(e, c, callback) => { setTimeout(callback, 5, null, "callback"); return Promise.resolve("promise") }'

  test.each([
    ['callback', [6, 10]],
    ['promise', [8, 9]],
    ['promise', [12, 16]],
  ])('is what the %s gives on %j', async (giver, generation) => {
    expect(await resultOf(PROMISE, '', generation)).toBe(`"${giver}"`)
  })

  const LINGER = `(e, context, callback) => {
    SETTING
    setTimeout(() => console.log('late'), 30)
    callback(null, 'done')
  }`

  test.each([
    ['waits for an empty event loop on Nodejs8.9', [8, 9], '', true],
    ['waits for it on Nodejs6.10', [6, 10], '', true],
    ['does not when the context says so', [8, 9], 'context.callbackWaitsForEmptyEventLoop = false', false],
    ['does not from Nodejs10.15 on', [10, 15], '', false],
  ])('%s', async (_name, generation, setting, waits) => {
    const driver = await scfNode(handler(LINGER.replace('SETTING', setting)), generation)
    for (const attempt of [1, 2]) {
      expect((await driver.call()).payload.toString()).toBe('"done"')
      expect(driver.logOf(attempt).includes('late')).toBe(waits)
    }
  })

  test.each([
    ['done(null, "x")', 0, '"x"'],
    ['succeed("x")', 0, '"x"'],
    ['succeed()', 0, 'null'],
  ])('context.%s answers at once', async (call, flag, text) => {
    const source = `(e, context) => { setTimeout(() => console.log('late'), 30); context.${call} }`
    const driver = await scfNode(handler(source), [8, 9])
    const result = await driver.call()
    expect([result.flag, result.payload.toString(), driver.logOf(1)]).toEqual([flag, text, ''])
  })

  test('keeps the timers of an answered call running', async () => {
    const source = `let late = 0
      exports.main_handler = (event, context, callback) => {
        setTimeout(() => { late++ }, 1)
        setTimeout(callback, event.ms, null, late)
      }`
    const driver = await scfNode(source)
    await driver.call('{"ms":0}')
    await driver.call('{"ms":20}')
    expect(Number((await driver.call('{"ms":0}')).payload.toString())).toBeGreaterThanOrEqual(2)
  })
})

describe('a failure of an SCF function in Node.js', () => {
  test.each([
    ['a throw', '() => { throw new TypeError("broken") }', 1],
    ['a rejection', 'async () => { await null; throw new TypeError("broken") }', 1],
    ['the callback', '(e, c, callback) => callback(new TypeError("broken"))', 2],
    ['context.fail', '(e, context) => context.fail(new TypeError("broken"))', 2],
    ['context.done', '(e, context) => context.done(new TypeError("broken"))', 2],
  ])('by %s is its stack, and the instance lives on', async (_name, source, flag) => {
    const { frame, body, text, driver } = await failureOf(source)
    expect([frame.flag, frame.meta['errorType']]).toEqual([flag, 'TypeError'])
    expect(body).toEqual({
      errorCode: 1,
      errorMessage: 'user code exception caught',
      requestId: 'r-1',
      stackTrace: expect.stringMatching(/^TypeError: broken\n {4}at .*\/index\.js:1:/),
      statusCode: 430,
    })
    expect(Object.keys(body)).toEqual(['errorCode', 'errorMessage', 'requestId', 'stackTrace', 'statusCode'])
    expect(text).not.toMatch(/[<>&]|bootstrap/)
    expect(driver.logOf(1)).toBe('')
    expect(JSON.parse((await driver.call()).payload.toString())).toMatchObject({ requestId: 'r-2' })
  })

  test.each([
    ['() => { throw "text" }', 'text'],
    ['() => { throw null }', 'null'],
    ['() => { throw undefined }', 'undefined'],
    ['async () => { throw { code: 1 } }', '{"code":1}'],
    ['async () => { throw Symbol("s") }', 'Symbol(s)'],
    ['() => { const e = new Error("m"); e.stack = undefined; throw e }', 'null'],
    ['(e, c, callback) => callback("text")', 'text(callback err is not instance of Error)'],
    ['(e, c, callback) => callback(0)', '0(callback err is not instance of Error)'],
    ['(e, context) => context.fail()', 'null(callback err is not instance of Error)'],
    [
      'async () => 1n',
      expect.stringMatching(/^stringify response to json failed: Do not know how to serialize a BigInt/),
    ],
    [
      '(e, c, callback) => { const a = {}; a.a = a; callback(null, a) }',
      expect.stringMatching(/^stringify response to json failed: Converting circular structure/),
    ],
  ])('by %s is its text', async (source, stackTrace) => {
    expect((await failureOf(source)).body).toMatchObject({ statusCode: 430, stackTrace })
  })

  test('has characters of HTML escaped', async () => {
    const { text, body } = await failureOf('() => { throw "<a&b>\\u2028" }')
    expect(text).toContain('"stackTrace":"\\u003ca\\u0026b\\u003e\\u2028"')
    expect(body['stackTrace']).toBe('<a&b>\u2028')
  })

  test('over 6 MiB is failure 407', async () => {
    const { body } = await failureOf('() => { throw "x".repeat(6 * 1024 * 1024) }')
    expect(body['statusCode']).toBe(407)
  })

  test('answers no empty event loop later', async () => {
    const { driver } = await failureOf('() => { throw 1 }', [8, 9])
    await driver.call()
    expect(driver.frames.filter(({ type }) => type === TYPE.result)).toHaveLength(2)
  })

  test.each([
    ['exception', 'setTimeout(() => { throw new Error("from a timer") }, 1)'],
    ['rejection', 'void Promise.reject(new Error("from a timer"))'],
  ])('outside the handler, an uncaught %s, answers the call and ends the process', async (_name, code) => {
    const { body, frame, driver } = await failureOf(`() => { ${code} }`)
    expect(frame.flag).toBe(1)
    expect(body).toMatchObject({
      statusCode: 430,
      requestId: 'r-1',
      stackTrace: expect.stringMatching(/^Error: from a timer\n {4}at /),
    })
    expect(await driver.exited).toEqual({ code: 1, signal: null })
  })

  test('by an exit of the process is no answer at all', async () => {
    const driver = await scfNode(handler('() => { console.log("bye"); process.exit(3) }'))
    driver.deliver()
    expect(await driver.exited).toEqual({ code: 3, signal: null })
    expect(driver.logOf(1)).toMatch(/bye\n$/)
    expect(driver.frames.some(({ type }) => type === TYPE.result)).toBe(false)
  })
})

describe('the load of an SCF function in Node.js', () => {
  test.each<[string, Record<string, string>, string, number, RegExp]>([
    ['without its file', {}, 'index.main_handler', 437, /^Error: Cannot find module '.*\/index'$/],
    ['without a dot in its handler', { 'index.js': '' }, 'index', 437, /^Error: Invalid handler 'index'$/],
    [
      'without its function',
      { 'index.js': 'exports.other = 1' },
      'index.main_handler',
      443,
      /^Error: Handler 'main_handler' is missing on module 'index'$/,
    ],
    [
      'without a module it needs',
      { 'index.js': 'require("not-there")' },
      'index.main_handler',
      443,
      /^Error: Cannot find module 'not-there'\nRequire stack:\n- .*index\.js/,
    ],
    [
      'with a syntax error',
      { 'index.js': 'exports.main_handler = (' },
      'index.main_handler',
      443,
      /index\.js:1\n[^]*SyntaxError: Unexpected end of input/,
    ],
    [
      'that throws',
      { 'index.js': 'throw new RangeError("at load")' },
      'index.main_handler',
      443,
      /^RangeError: at load\n {4}at .*index\.js:1:7/,
    ],
    ['that throws no Error', { 'index.js': 'throw null' }, 'index.main_handler', 443, /^null$/],
    [
      'that throws later',
      {
        'index.mjs':
          'setTimeout(() => { throw new Error("later") }); await new Promise(() => setTimeout(() => {}, 9999))',
      },
      'index.main_handler',
      443,
      /^Error: later\n {4}at /,
    ],
  ])('%s fails', async (_name, files, name, statusCode, message) => {
    const { text, flag, meta, log } = await scfLoadFailure('nodejs', files, name)
    const body = JSON.parse(text)
    expect(body).toEqual({
      errorCode: 1,
      errorMessage: expect.stringMatching(message),
      requestId: 'set-up-request',
      statusCode,
    })
    expect(Object.keys(body)).toEqual(['errorCode', 'errorMessage', 'requestId', 'statusCode'])
    expect(text).not.toContain('bootstrap')
    const errorType = statusCode === 437 ? 'HandlerNotFound' : 'UserCodeError'
    expect([flag, meta['errorType'], log]).toEqual([1, errorType, ''])
  })

  test.each([
    ['src/app.main_handler', { 'src/app.js': 'exports.main_handler = async () => 1' }],
    ['index.prod.main_handler', { 'index.prod.js': 'exports.main_handler = async () => 1' }],
    ['index.main_handler', { 'index.js': 'module.exports = async () => 1' }],
    ['index.main_handler', { 'index.mjs': 'export const main_handler = async () => 1' }],
  ])('finds %s', async (name, files) => {
    const driver = await scfNode('', [18, 15], { handler: name, codeDir: codeDirectory(files) })
    expect((await driver.call()).payload.toString()).toBe('1')
  })

  test('finds packages of layers beside its own, which win', async () => {
    const layers = codeDirectory({
      'node_modules/shared/index.js': 'module.exports = "layer"',
      'node_modules/both/index.js': 'module.exports = "layer"',
    })
    const codeDir = codeDirectory({
      'index.js': 'exports.main_handler = async () => [require("shared"), require("both")]',
      'node_modules/both/index.js': 'module.exports = "own"',
    })
    const driver = await scfNode('', [12, 16], {
      codeDir,
      environment: { NODE_PATH: `${codeDir}:${codeDir}/node_modules:${layers}:${layers}/node_modules` },
    })
    expect((await driver.call()).payload.toString()).toBe('["layer","own"]')
  })

  test('runs no initializer', async () => {
    const driver = await scfNode(handler('async () => 1'), [12, 16], { initializer: 'index.none' })
    expect((await driver.call()).payload.toString()).toBe('1')
  })
})

describe('the event of an SCF function in Node.js', () => {
  test.each([
    ['{"key":["ü",1]}', '{"key":["ü",1]}'],
    ['"text"', '"text"'],
    ['null', 'null'],
    ['7', '7'],
    ['', '{}'],
    ['not JSON', '"not JSON"'],
    ['{', '"{"'],
  ])('%j is given as %s', async (event, text) => {
    expect(await resultOf('async (event) => event', event)).toBe(text)
  })
})

describe('the context of an SCF function in Node.js', () => {
  test('has all members', async () => {
    const source = `async (event, context) => ({
      json: JSON.parse(JSON.stringify(context)),
      names: Object.keys(context).sort(),
      plain: context.getContext(),
      remaining: context.getRemainingTimeInMillis(),
    })`
    const { json, names, plain, remaining } = JSON.parse(await resultOf(source))
    const members = {
      request_id: 'r-1',
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
    }
    expect(plain).toEqual(members)
    expect(json).toEqual({ ...members, callbackWaitsForEmptyEventLoop: true })
    const functions = ['done', 'fail', 'getContext', 'getRemainingTimeInMillis', 'succeed']
    expect(names).toEqual([...functions, ...Object.keys(json)].sort())
    expect(remaining).toBeGreaterThan(2000)
    expect(remaining).toBeLessThanOrEqual(3000)
  })

  test('tells the time that is left, never less than none', async () => {
    const source = `async (event, { getRemainingTimeInMillis }) => {
      const first = getRemainingTimeInMillis()
      while (getRemainingTimeInMillis() > 2960);
      const later = performance.now() + 3000
      while (performance.now() < later - event.short);
      return [first > 2960, getRemainingTimeInMillis()]
    }`
    expect(await resultOf(source, '{"short":0}')).toBe('[true,0]')
  })

  test('belongs to one call: what code writes to it is gone in the next', async () => {
    const source = `async (event, context) => {
      const before = [context.namespace, context.getContext().namespace, context.callbackWaitsForEmptyEventLoop]
      context.namespace = context.getContext().namespace = 'changed'
      context.callbackWaitsForEmptyEventLoop = false
      return before
    }`
    const driver = await scfNode(handler(source))
    await driver.call()
    expect((await driver.call()).payload.toString()).toBe('["default","default",true]')
  })

  test('has variables on the process, with equals signs in their values', async () => {
    const driver = await scfNode(handler('async () => process.env.MINE'), [12, 16], {
      environment: { MINE: 'a=b=c' },
    })
    expect((await driver.call()).payload.toString()).toBe('"a=b=c"')
  })
})

describe('the log of an SCF function in Node.js', () => {
  test('has lines with time and request id, whatever their level, and writes as they are', async () => {
    const source = `async () => {
      console.log('a %d', 1)
      console.error(new Error('e').message)
      console.debug({ b: 2 })
      process.stdout.write('raw')
    }`
    const driver = await scfNode(handler(source))
    await driver.call()
    const TIME = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`
    expect(driver.logOf(1)).toMatch(
      new RegExp(`^${TIME}\tr-1\ta 1\n${TIME}\tr-1\te\n${TIME}\tr-1\t\\{ b: 2 \\}\nraw$`),
    )
  })

  test('of loading carries the call the instance was started for', async () => {
    const driver = await scfNode('console.log("loading"); exports.main_handler = async () => {}')
    expect(driver.logOf(0)).toMatch(/Z\tset-up-request\tloading\n$/)
  })
})

describe('concurrent calls of an SCF function in Node.js', () => {
  const MEET = `let met = 0
    exports.main_handler = (event, context, callback) => {
      console.log('from ' + context.request_id)
      if (event.silent) return
      met++
      const look = () => {
        if (met < 3) return setTimeout(look, 1)
        console.log('again ' + context.request_id)
        callback(event.fail ? new Error(context.request_id) : null, context.request_id)
      }
      look()
    }`

  test('have answers, failures and lines of their own', async () => {
    const driver = await scfNode(MEET, [12, 16], { concurrency: 4 })
    const calls = ['{}', '{"fail":true}', '{"silent":true}', '{}'].map((event) => driver.deliver(event))
    const results = await Promise.all(calls.map((id) => driver.result(id)))
    const [first, second, third, fourth] = results.map(({ payload }) => payload.toString())
    expect([first, third, fourth]).toEqual(['"r-1"', 'null', '"r-4"'])
    expect(JSON.parse(second ?? '')).toMatchObject({
      requestId: 'r-2',
      stackTrace: expect.stringContaining('Error: r-2'),
    })
    for (const id of [1, 2, 4])
      expect(driver.logOf(id)).toMatch(new RegExp(`\tr-${id}\tfrom r-${id}\n.*\tr-${id}\tagain r-${id}\n$`))
  })
})

test('an interval that never ends costs an instance nothing per call', async () => {
  const source = `setInterval(() => {}, 1000)
    exports.main_handler = async () => {
      await new Promise((resolve) => setTimeout(resolve))
      gc()
      return [process.listenerCount('beforeExit'), process.memoryUsage().arrayBuffers]
    }`
  const driver = await scfNode(source)
  const event = JSON.stringify('x'.repeat(1024 * 1024))
  const seen: [listeners: number, bytes: number][] = []
  for (let call = 0; call < 20; call++) seen.push(JSON.parse((await driver.call(event)).payload.toString()))
  expect(seen.map(([listeners]) => listeners)).toEqual(seen.map(() => 1))
  expect(seen.at(-1)?.[1]).toBeLessThan(10 * 1024 * 1024)
})
