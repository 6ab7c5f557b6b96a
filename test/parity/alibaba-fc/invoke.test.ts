import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { send } from '../../helpers/fc-request.ts'
import { ACCOUNT } from '../../helpers/server.ts'
import { Suite, type Answer } from './clients.ts'

const SUMMARY =
  /\n\nDuration: (\d+\.\d\d) ms, Billed Duration: (\d+) ms, Memory Size: (\d+) MB, Max Memory Used: (\d+\.\d\d) MB\n?$/

let suite: Suite

beforeAll(async () => {
  suite = await Suite.start('calls')
})

afterAll(() => suite?.server.close())

function summaryOf({ log }: Answer): {
  durationMs: number
  billedMs: number
  sizeMb: number
  usedMb: number
} {
  const [durationMs = NaN, billedMs = NaN, sizeMb = NaN, usedMb = NaN] =
    SUMMARY.exec(log)?.slice(1).map(Number) ?? []
  return { durationMs, billedMs, sizeMb, usedMb }
}

describe('a synchronous call', () => {
  test('is answered with what the handler returned and with the figures of the call', async () => {
    await suite.deploy('hello', `exports.handler = async (event) => 'hello ' + event`)
    const answer = await suite.invoke('hello', { event: 'world' })
    expect(answer.text).toBe('hello world')
    expect(answer.headers['content-type']).toBe('application/octet-stream')
    expect(answer.errorType).toBeUndefined()
    expect(answer.requestId).not.toBe('')
    expect(answer.instanceId).toMatch(/^c-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12}$/)
    expect(answer.versionId).toBe('LATEST')
    expect(answer.headers['x-fc-log-result']).toBeUndefined()
    const { data } = await suite.fc2.getFunction('calls', 'hello')
    expect(answer.headers['x-fc-code-checksum']).toBe(data.codeChecksum)
  })

  test('has a log tail that frames the lines of the code and ends in the summary', async () => {
    await suite.deploy(
      'talks',
      `exports.handler = async () => { console.log('one'); console.error('two'); return 1 }`,
    )
    await suite.invoke('talks')
    const answer = await suite.invoke('talks', { tail: true })
    const { requestId: id } = answer
    const stamp = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}`
    expect(answer.log).toMatch(
      new RegExp(
        `^FC Invoke Start RequestId: ${id}\n` +
          `${stamp} ${id} \\[info\\] one\n` +
          `${stamp} ${id} \\[error\\] two\n` +
          `FC Invoke End RequestId: ${id}\n\nDuration: `,
      ),
    )
    const summary = summaryOf(answer)
    expect(summary.billedMs).toBe(Math.ceil(summary.durationMs))
    expect(summary.sizeMb).toBe(256)
    expect(summary.usedMb).toBeGreaterThan(0)
    expect(Number(answer.headers['x-fc-invocation-duration'])).toBe(summary.durationMs)
    expect(Number(answer.headers['x-fc-max-memory-usage'])).toBe(summary.usedMb)
  })

  test('has the end of a long log in its tail, at most 4 KB of it', async () => {
    await suite.deploy(
      'shouts',
      `exports.handler = async () => { for (let i = 0; i < 400; i++) console.log('line ' + i); return '' }`,
    )
    const { log } = await suite.invoke('shouts', { tail: true })
    expect(Buffer.byteLength(log)).toBeLessThanOrEqual(4096)
    expect(log).toContain('line 399\n')
    expect(log).not.toContain('line 0\n')
    expect(log).toMatch(SUMMARY)
  })

  test('has a duration that counts the time of the handler', async () => {
    await suite.deploy(
      'sleeps',
      `exports.handler = () => new Promise((done) => setTimeout(done, 250, 'awake'))`,
    )
    const answer = await suite.invoke('sleeps', { tail: true })
    expect(answer.text).toBe('awake')
    // Timers may fire a fraction of a millisecond early.
    expect(summaryOf(answer).durationMs).toBeGreaterThanOrEqual(249)
    expect(Number(answer.headers['x-fc-invocation-duration'])).toBe(summaryOf(answer).durationMs)
  })

  test('has a memory figure that grows with what the code allocates', async () => {
    await suite.deploy(
      'hoards',
      `const kept = []
      exports.handler = async (event) => { kept.push(Buffer.alloc(Number(event) * 1024 * 1024, 1)); return String(kept.length) }`,
    )
    const before = await suite.invoke('hoards', { event: '1' })
    const after = await suite.invoke('hoards', { event: '64' })
    expect(after.instanceId).toBe(before.instanceId)
    const grownMb =
      Number(after.headers['x-fc-max-memory-usage']) - Number(before.headers['x-fc-max-memory-usage'])
    expect(grownMb).toBeGreaterThan(48)
    expect(grownMb).toBeLessThan(96)
  })

  test('carries binary events and results untouched', async () => {
    await suite.deploy('echo', `exports.handler = async (event) => event`)
    const bytes = randomBytes(300_000)
    const { data } = await suite.fc2.invokeFunction('calls', 'echo', bytes, {}, undefined, { rawBuf: true })
    expect(bytes.equals(data)).toBe(true)
    const none = await suite.fc2.invokeFunction('calls', 'echo', undefined, {}, undefined, { rawBuf: true })
    expect(none.data).toHaveLength(0)
  })

  test('takes the id that the caller chose', async () => {
    await suite.deploy('names-itself', `exports.handler = async (event, context) => context.requestId`)
    const answer = await suite.invoke('names-itself', { headers: { 'X-Fc-Trace-Id': 'order-4711' } })
    expect(answer.text).toBe('order-4711')
    expect(answer.requestId).toBe('order-4711')
  })

  test('may leave out the last path segment, and name a qualifier either way', async () => {
    await suite.deploy('short', `exports.handler = async (event, context) => context.service.qualifier`)
    const forms = [
      '/2016-08-15/services/calls/functions/short',
      '/2016-08-15/services/calls.LATEST/functions/short',
      '/2016-08-15/services/calls./functions/short',
      '/2021-04-06/services/calls/functions/short?qualifier=LATEST',
      '/services/calls.LATEST/functions/short',
    ]
    for (const path of forms) {
      const answer = await send(suite.server, { method: 'POST', path })
      expect([path, answer.status, answer.bytes.toString()]).toEqual([path, 200, 'LATEST'])
    }
  })

  test('is refused when its log type is not one', async () => {
    const refused = suite.invoke('hello', { headers: { 'X-Fc-Log-Type': 'Invalid' } })
    await expect(refused).rejects.toMatchObject({
      code: 'InvalidArgument',
      statusCode: 400,
      message: expect.stringContaining(
        "LogType is set to an invalid value (allowed: Tail | None, actual: 'Invalid')",
      ),
    })
    const tailed = suite.invoke('hello', { tail: true, headers: { 'X-Fc-Invocation-Type': 'Async' } })
    await expect(tailed).rejects.toMatchObject({
      message: expect.stringContaining("LogType is set to an invalid value (allowed: None, actual: 'Tail')"),
    })
  })
})

describe('a Node.js handler', () => {
  test('may answer by callback in every generation of the runtime', async () => {
    for (const runtime of ['nodejs6', 'nodejs12', 'nodejs16', 'nodejs18', 'nodejs20']) {
      await suite.deploy(
        `callback-${runtime}`,
        `exports.handler = (event, context, callback) => setImmediate(() => callback(null, { runtime: process.env.FC_RUNTIME_VERSION }))`,
        { runtime },
      )
      const answer = await suite.invoke(`callback-${runtime}`)
      expect(answer.text).toBe(`{"runtime":"${runtime}"}`)
    }
  })

  test('may be an ES module from nodejs18 on, by its extension or its package', async () => {
    const esModule = `import { basename } from 'node:path'
      export const handler = async (event) => basename(import.meta.url) + ' ' + event`
    await suite.deploy('mjs', { 'index.mjs': esModule })
    await suite.deploy('typed', { 'index.js': esModule, 'package.json': '{"type":"module"}' })
    expect((await suite.invoke('mjs', { event: 'a' })).text).toBe('index.mjs a')
    expect((await suite.invoke('typed', { event: 'b' })).text).toBe('index.js b')
  })

  test('may lie in a folder and use modules of its package', async () => {
    await suite.deploy(
      'nested',
      {
        'src/app/main.js': `const helper = require('helper'); exports.run = async () => helper()`,
        'node_modules/helper/index.js': `module.exports = () => 'helped'`,
      },
      { handler: 'src/app/main.run' },
    )
    expect((await suite.invoke('nested')).text).toBe('helped')
  })

  test('has its result serialised as the vendor does', async () => {
    await suite.deploy(
      'results',
      `const results = {
        nothing: undefined, none: null, text: 'plain', number: 42, no: false,
        object: { b: [1, 2], a: 'ä' }, bytes: Buffer.from([0, 255]),
      }
      exports.handler = async (event) => results[event]`,
    )
    const bytesOf = async (event: string): Promise<string> =>
      (await suite.invoke('results', { event })).bytes.toString('latin1')
    expect(await bytesOf('nothing')).toBe('')
    expect(await bytesOf('none')).toBe('')
    expect(await bytesOf('text')).toBe('plain')
    expect(await bytesOf('number')).toBe('42')
    expect(await bytesOf('no')).toBe('false')
    expect(await bytesOf('object')).toBe(Buffer.from('{"b":[1,2],"a":"ä"}').toString('latin1'))
    expect(await bytesOf('bytes')).toBe('\u0000ÿ')
  })

  test('sees a context with exactly the documented members', async () => {
    await suite.fc2.createService('logged', {
      logConfig: { project: 'my-project', logstore: 'my-store' },
    })
    await suite.deploy(
      'context',
      `exports.handler = (event, context, callback) => {
        const seen = JSON.parse(JSON.stringify(context))
        seen.isBuffer = Buffer.isBuffer(event)
        seen.loggers = Object.keys(context.logger).sort()
        callback(null, seen)
      }`,
      { memorySize: 320, timeout: 7 },
      'logged',
    )
    const answer = await suite.invoke('context', {}, 'logged')
    const { logger: _logger, ...seen } = answer.json
    expect(seen).toEqual({
      requestId: answer.requestId,
      region: 'cn-hangzhou',
      accountId: ACCOUNT,
      retryCount: 0,
      credentials: { accessKeyId: '', accessKeySecret: '', securityToken: '' },
      function: { name: 'context', handler: 'index.handler', memory: 320, timeout: 7 },
      service: {
        name: 'logged',
        logProject: 'my-project',
        logStore: 'my-store',
        qualifier: 'LATEST',
        versionId: 'LATEST',
      },
      tracing: { openTracingSpanContext: '', openTracingSpanBaggages: {}, jaegerEndpoint: '' },
      waitsForEmptyEventLoopBeforeCallback: false,
      isBuffer: true,
      loggers: ['debug', 'error', 'info', 'log', 'warn'],
    })
  })

  test('sees its own variables and those of the platform, and nothing of the server', async (context) => {
    context.skip(!suite.isolates, 'the host has no sandbox that shows code at /code')
    await suite.deploy(
      'environment',
      `exports.handler = async () => ({ ...process.env, cwd: process.cwd() })`,
      {
        environmentVariables: { GREETING: 'grüß dich', EMPTY: '' },
      },
    )
    const answer = await suite.invoke('environment')
    const seen: Record<string, string> = answer.json
    expect(seen).toMatchObject({
      GREETING: 'grüß dich',
      EMPTY: '',
      FC_FUNC_CODE_PATH: '/code',
      FC_FUNCTION_NAME: 'environment',
      FC_FUNCTION_HANDLER: 'index.handler',
      FC_FUNCTION_MEMORY_SIZE: '256',
      FC_REGION: 'cn-hangzhou',
      FC_ACCOUNT_ID: ACCOUNT,
      FC_INSTANCE_ID: answer.instanceId,
      FC_RUNTIME_VERSION: 'nodejs20',
      FC_QUALIFIER: 'LATEST',
      FC_SERVICE_NAME: 'calls',
      FC_FUNCTION_VERSION: 'LATEST',
      TZ: 'UTC',
      cwd: '/code',
    })
    expect(Object.keys(seen).filter((name) => /ANVOKE|VITEST|ALIBABA/i.test(name))).toEqual([])
  })

  test('keeps what it holds between the calls of an instance', async () => {
    await suite.deploy('counts', `let calls = 0; exports.handler = async () => String(++calls)`)
    const first = await suite.invoke('counts')
    const second = await suite.invoke('counts')
    expect([first.text, second.text]).toEqual(['1', '2'])
    expect(second.instanceId).toBe(first.instanceId)
  })
})

describe('a Python handler', () => {
  test('has its result serialised as the vendor does', async () => {
    await suite.deployPython(
      'py-results',
      `import decimal, datetime
def handler(event, context):
    return {
        b'none': None, b'text': 'grün', b'bytes': b'\\x00\\xff', b'number': 4.5,
        b'object': {'b': [1, True], 'a': {'d': decimal.Decimal('1.5'), 'c': datetime.date(2026, 11, 21)}},
    }[event]`,
    )
    const textOf = async (event: string): Promise<string> =>
      (await suite.invoke('py-results', { event })).text
    expect(await textOf('none')).toBe('null')
    expect(await textOf('text')).toBe('grün')
    expect((await suite.invoke('py-results', { event: 'bytes' })).bytes).toEqual(Buffer.from([0, 255]))
    expect(await textOf('number')).toBe('4.5')
    expect(await textOf('object')).toBe(
      '{\n    "a": {\n        "c": "2026-11-21",\n        "d": 1.5\n    },\n    "b": [\n        1,\n        true\n    ]\n}',
    )
  })

  test('sees a context and an environment with exactly the documented members', async (context) => {
    context.skip(!suite.isolates, 'the host has no sandbox that shows code at /code')
    await suite.deployPython(
      'py-context',
      `import json, os
def members(value):
    return {k: members(v) if hasattr(v, '__dict__') else v for k, v in vars(value).items() if not k.startswith('_')}
def handler(event, context):
    return {'context': members(context), 'environment': dict(os.environ), 'event': type(event).__name__}`,
      { environmentVariables: { GREETING: 'hello' }, memorySize: 192, timeout: 9 },
    )
    const answer = await suite.invoke('py-context')
    const { environment, event, ...seen } = answer.json
    expect(event).toBe('bytes')
    expect(seen.context).toEqual({
      request_id: answer.requestId,
      region: 'cn-hangzhou',
      account_id: ACCOUNT,
      retry_count: 0,
      credentials: { access_key_id: '', access_key_secret: '', security_token: '' },
      function: { name: 'py-context', handler: 'index.handler', memory: 192, timeout: 9 },
      service: { name: 'calls', log_project: '', log_store: '', qualifier: 'LATEST', version_id: 'LATEST' },
      tracing: { span_context: '', span_baggages: {}, jaeger_endpoint: '' },
      logger: null,
    })
    const own = Object.entries(environment).filter(([name]) => name.startsWith('FC_'))
    expect(Object.fromEntries(own)).toEqual({
      FC_FUNC_CODE_PATH: '/code',
      FC_FUNCTION_NAME: 'py-context',
      FC_FUNCTION_HANDLER: 'index.handler',
      FC_FUNCTION_MEMORY_SIZE: '192',
      FC_REGION: 'cn-hangzhou',
      FC_ACCOUNT_ID: ACCOUNT,
      FC_INSTANCE_ID: answer.instanceId,
      FC_RUNTIME_VERSION: 'python3.10',
      FC_QUALIFIER: 'LATEST',
      FC_SERVICE_NAME: 'calls',
      FC_VER_ID: 'LATEST',
    })
    expect(environment['GREETING']).toBe('hello')
    expect(Object.keys(environment).filter((name) => /ANVOKE|VITEST/.test(name))).toEqual([])
  })

  test('has its logging and its prints in the log tail', async () => {
    await suite.deployPython(
      'py-talks',
      `import logging
def handler(event, context):
    print('printed')
    logging.getLogger().info('logged %d', 7)
    logging.debug('too fine')
    return 'done'`,
    )
    await suite.invoke('py-talks')
    const answer = await suite.invoke('py-talks', { tail: true })
    const { requestId: id } = answer
    expect(answer.log).toMatch(
      new RegExp(
        `^FC Invoke Start RequestId: ${id}\nprinted\n` +
          String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ${id} \[INFO\] logged 7` +
          `\nFC Invoke End RequestId: ${id}\n\nDuration: `,
      ),
    )
    expect(answer.log).toMatch(SUMMARY)
  })

  test('may lie in a folder', async () => {
    await suite.deploy(
      'py-nested',
      { 'pkg/main.py': `def run(event, context):\n    return event.decode().upper()` },
      { runtime: 'python3', handler: 'pkg/main.run' },
    )
    expect((await suite.invoke('py-nested', { event: 'loud' })).text).toBe('LOUD')
  })
})

describe('code of a service with a role', () => {
  test('gets temporary keys in its context and its environment', async () => {
    await suite.fc2.createService('trusted', { role: `acs:ram::${ACCOUNT}:role/worker` })
    const source = `exports.handler = async (event, context) => ({
      context: context.credentials,
      environment: {
        accessKeyId: process.env.ALIBABA_CLOUD_ACCESS_KEY_ID,
        accessKeySecret: process.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET,
        securityToken: process.env.ALIBABA_CLOUD_SECURITY_TOKEN,
      },
    })`
    await suite.deploy('keys', source, {}, 'trusted')
    const { context, environment } = (await suite.invoke('keys', {}, 'trusted')).json
    expect(context.accessKeyId).toMatch(/^STS\./)
    expect(context.accessKeySecret).not.toBe('')
    expect(context.securityToken).not.toBe('')
    expect(environment).toEqual(context)
  })

  test('gets them in Python, too', async () => {
    await suite.deploy(
      'py-keys',
      {
        'index.py': `def handler(event, context):
    keys = context.credentials
    return [keys.access_key_id, keys.access_key_secret, keys.security_token]`,
      },
      { runtime: 'python3.9' },
      'trusted',
    )
    const keys: string[] = (await suite.invoke('py-keys', {}, 'trusted')).json
    expect(keys[0]).toMatch(/^STS\./)
    expect(keys.filter((text) => text.length > 10)).toHaveLength(3)
  })
})
