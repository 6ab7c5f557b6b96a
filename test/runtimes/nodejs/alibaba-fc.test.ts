import { afterEach, describe, expect, test } from 'vitest'
import { alibabaContext, closeDrivers, nodeFunction } from '../../helpers/bootstrap-driver.ts'

afterEach(closeDrivers)

const OLD = { context: alibabaContext([12]) }

async function textOf(source: string, event = ''): Promise<string> {
  const driver = await nodeFunction(source)
  return (await driver.call(event)).payload.toString()
}

describe('the result of a Node.js handler', () => {
  test('is what reaches the callback', async () => {
    const driver = await nodeFunction(
      'exports.handler = (event, context, callback) => callback(null, `got ${event}`)',
    )
    const result = await driver.call('x')
    expect([result.flag, result.payload.toString()]).toEqual([0, 'got x'])
    expect(result.meta).toEqual({ durationMs: expect.any(Number), peakKib: expect.any(Number) })
  })

  test('is what a promise becomes, from nodejs18 on', async () => {
    expect(await textOf('exports.handler = async (event) => ({ got: String(event) })', 'ü')).toBe(
      '{"got":"ü"}',
    )
  })

  test('is not what a promise becomes before: the callback answers', async () => {
    const source = `exports.handler = (event, context, callback) => {
      setTimeout(() => callback(null, 'callback'), 20)
      return Promise.resolve('promise')
    }`
    const driver = await nodeFunction(source, OLD)
    expect((await driver.call()).payload.toString()).toBe('callback')
  })

  test.each([
    ['undefined', ''],
    ['null', ''],
    ['Buffer.from([0xff, 0])', 'ff00'],
    ['"text"', '74657874'],
    ['{ a: [1, "ä"] }', Buffer.from('{"a":[1,"ä"]}').toString('hex')],
    ['42', '3432'],
    ['false', '66616c7365'],
    ['12n', '3132'],
    ['new Date(0)', Buffer.from('"1970-01-01T00:00:00.000Z"').toString('hex')],
    ['() => 1', Buffer.from('function Function() { [native code] }').toString('hex')],
  ])('%s goes out as the vendor serialises it', async (value, hex) => {
    const driver = await nodeFunction(`exports.handler = async () => (${value})`)
    expect((await driver.call()).payload.toString('hex')).toBe(hex)
  })

  test('counts once: later ends of the same call are ignored', async () => {
    const source = `exports.handler = async (event, context, callback) => {
      callback(null, 'first')
      callback(new Error('second'))
      return 'third'
    }`
    const driver = await nodeFunction(source)
    const first = await driver.call()
    const second = await driver.call()
    expect([first.payload.toString(), second.payload.toString()]).toEqual(['first', 'first'])
    expect(driver.frames.filter((frame) => frame.type === 6)).toHaveLength(2)
  })

  test('over 32 MiB is an unhandled error and the instance lives on', async () => {
    const driver = await nodeFunction(
      'exports.handler = async (event) => Buffer.alloc(32 * 1024 * 1024 + Number(event))',
    )
    expect((await driver.call('0')).payload.length).toBe(32 * 1024 * 1024)
    const result = await driver.call('1')
    expect(result.flag).toBe(1)
    expect(JSON.parse(result.payload.toString())).toEqual({
      errorMessage: 'payload size exceeds maximum allowed size (33554432 bytes)',
      errorType: 'FunctionUnhandledError: EntityTooLarge',
    })
    expect(driver.logOf(2)).toContain(result.payload.toString())
    expect((await driver.call('-33554432')).flag).toBe(0)
  })

  test('that JSON cannot express is an unhandled error', async () => {
    const driver = await nodeFunction('exports.handler = async () => { const a = {}; a.a = a; return a }')
    const result = await driver.call()
    expect([result.flag, result.meta['errorType']]).toEqual([1, 'FunctionUnhandledError: TypeError'])
  })

  test('waits for an empty event loop when the context says so', async () => {
    const source = `let late = ''
    exports.handler = (event, context, callback) => {
      context.waitsForEmptyEventLoopBeforeCallback = true
      setTimeout(() => console.log('late'), 30)
      callback(null, 'done')
    }`
    const driver = await nodeFunction(source)
    for (const attempt of [1, 2]) {
      const result = await driver.call()
      expect(result.payload.toString()).toBe('done')
      expect(driver.logOf(attempt)).toMatch(/late\n$/)
    }
  })
})

describe('a failure of a Node.js handler', () => {
  test('that reaches the callback is handled, with the whole stack', async () => {
    const driver = await nodeFunction('exports.handler = (e, c, callback) => callback(new RangeError("no"))')
    const result = await driver.call()
    expect([result.flag, result.meta['errorType']]).toEqual([2, 'RangeError'])
    const body = JSON.parse(result.payload.toString())
    expect(body).toEqual({ errorMessage: 'no', errorType: 'RangeError', stackTrace: expect.any(Array) })
    expect(body.stackTrace[0]).toBe('RangeError: no')
    expect(body.stackTrace[1]).toMatch(/^ {4}at .*index\.js:1:/)
  })

  test('has a trimmed stack without its first line before nodejs18', async () => {
    const driver = await nodeFunction(
      'exports.handler = (e, c, callback) => callback(new RangeError("no"))',
      OLD,
    )
    const { stackTrace } = JSON.parse((await driver.call()).payload.toString())
    expect(stackTrace[0]).toMatch(/^at .*index\.js:1:/)
  })

  test.each([
    ['"text"', 'text'],
    ['{ code: 1 }', '{"code":1}'],
    ['7', '7'],
  ])('reported as %s carries its text', async (value, errorMessage) => {
    const source = `exports.handler = (e, c, callback) => callback(${value})`
    const recent = await (await nodeFunction(source)).call()
    const old = await (await nodeFunction(source, OLD)).call()
    expect([recent.flag, recent.meta['errorType']]).toEqual([2, 'FunctionHandledError'])
    expect(JSON.parse(recent.payload.toString())).toEqual({ errorMessage, errorType: 'FunctionHandledError' })
    expect(JSON.parse(old.payload.toString())).toEqual({ errorMessage })
  })

  test.each([
    ['a throw', '() => { throw new TypeError("broken") }'],
    ['a rejection', 'async () => { throw new TypeError("broken") }'],
  ])('by %s is unhandled, is logged, and the instance lives on', async (_name, handler) => {
    const driver = await nodeFunction(`exports.handler = ${handler}`)
    for (const callId of [1, 2]) {
      const result = await driver.call()
      expect([result.flag, result.meta['errorType']]).toEqual([1, 'FunctionUnhandledError: TypeError'])
      const body = JSON.parse(result.payload.toString())
      expect(body).toMatchObject({ errorMessage: 'broken', errorType: 'FunctionUnhandledError: TypeError' })
      expect(driver.logOf(callId).split(result.payload.toString())).toHaveLength(2)
    }
  })

  test.each([
    ['exception', 'setTimeout(() => { throw new Error("from a timer") }, 1)'],
    ['rejection', 'void Promise.reject(new Error("from a timer"))'],
  ])('outside the handler, an uncaught %s, answers the call and ends the process', async (_name, code) => {
    const driver = await nodeFunction(`exports.handler = () => { ${code} }`)
    const result = await driver.call()
    expect(result.flag).toBe(1)
    expect(result.payload.toString()).toBe(
      '{"errorMessage":"FunctionUnhandledError: uncaughtException","errorType":"FunctionHandledError"}',
    )
    expect(driver.logOf(1)).toMatch(/Error: from a timer\n +at /)
    expect(await driver.exited).toEqual({ code: 1, signal: null })
  })
})

describe('the context of a Node.js handler', () => {
  const SHOW = 'exports.handler = async (event, context) => context'

  test('carries the constant facts and those of the call', async () => {
    const driver = await nodeFunction(SHOW)
    const context = JSON.parse(
      (await driver.call('', { retryCount: 2, qualifier: 'prod' })).payload.toString(),
    )
    expect(context).toEqual({
      requestId: 'r-1',
      region: 'cn-hangzhou',
      accountId: '1234567890123456',
      retryCount: 2,
      credentials: { accessKeyId: 'id', accessKeySecret: 'secret', securityToken: 'token' },
      function: { name: 'f', handler: 'index.handler', memory: 128, timeout: 3 },
      service: { name: 's', logProject: 'lp', logStore: 'ls', qualifier: 'prod', versionId: 'LATEST' },
      tracing: { openTracingSpanContext: '', openTracingSpanBaggages: {}, jaegerEndpoint: '' },
      waitsForEmptyEventLoopBeforeCallback: false,
    })
    const second = JSON.parse((await driver.call()).payload.toString())
    expect(second).toMatchObject({ requestId: 'r-2', retryCount: 0, service: { qualifier: 'LATEST' } })
  })

  test('belongs to one call: what code writes to it is gone in the next', async () => {
    const source = `exports.handler = async (event, context) => {
      const before = context.service.name
      context.service.name = 'changed'
      context.credentials.accessKeyId = 'changed'
      return before
    }`
    const driver = await nodeFunction(source)
    await driver.call()
    expect((await driver.call()).payload.toString()).toBe('s')
  })

  test('has a logger that writes lines of the call', async () => {
    const source = `exports.handler = async (event, { logger }) => {
      const { info } = logger
      info('a %d', 1)
      logger.error('b')
    }`
    const driver = await nodeFunction(source)
    await driver.call()
    expect(driver.logOf(1)).toMatch(/^[-\d]+ [:.\d]+ r-1 \[info\] a 1\n[-\d]+ [:.\d]+ r-1 \[error\] b\n$/)
  })

  test('the event is a Buffer of its own', async () => {
    const source = `const kept = []
    exports.handler = async (event) => {
      kept.push(event)
      return [Buffer.isBuffer(event), ...kept.map(String)].join()
    }`
    const driver = await nodeFunction(source)
    const last = ['a', 'b', 'c'].map((event) => driver.deliver(event)).at(-1)!
    expect((await driver.result(last)).payload.toString()).toBe('true,a,b,c')
  })
})
