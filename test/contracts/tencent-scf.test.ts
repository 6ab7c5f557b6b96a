import { describe, expect, test } from 'vitest'
import type { InstanceFacts } from '../../src/contracts/contract.ts'
import { answerOf, failureOf, tencentScf } from '../../src/contracts/tencent-scf.ts'
import type { FunctionVersion } from '../../src/model/function.ts'
import type { Ending, Measured } from '../../src/model/outcome.ts'
import { payloadOf } from '../../src/model/payload.ts'
import { aVersion } from '../helpers/versions.ts'

const VERSION = aVersion({
  contract: 'tencent-scf',
  runtime: 'Nodejs12.16',
  handler: 'index.main_handler',
  namespace: 'default',
  name: 'hello',
  timeoutMs: 3000,
  memoryMib: 128,
  facts: { appId: '1250000000', uin: '100000000001' },
  environment: { MINE: 'a=b', OTHER: 'c' },
})

const INSTANCE: InstanceFacts = { instanceId: 'i-1', codeDir: '/var/user', region: 'ap-guangzhou' }

const CREDENTIALS = { accessKeyId: 'id', accessKeySecret: 'secret', securityToken: 'token' }

const MEASURED = {
  version: VERSION,
  instanceId: 'i-1',
  coldStart: false,
  durationMs: 2004.2,
  billedDurationMs: 2005,
  initDurationMs: 0,
  maxMemoryBytes: 14_077_952,
}

const ID = '5d9e1f1a-0000-4000-8000-000000000001'

const ended = (ending: Ending, version: FunctionVersion = VERSION) => ({ ...ending, version })

const threw = (payload: string, errorType = 'TypeError'): Ending => ({
  kind: 'threw',
  errorType,
  handled: false,
  payload: payloadOf(payload),
})

const FOREIGN = aVersion({ contract: 'alibaba-fc' })

describe('the environment of a function', () => {
  test('has every variable of the platform', () => {
    expect(tencentScf.environment(VERSION, INSTANCE)).toEqual({
      TENCENTCLOUD_RUNENV: 'SCF',
      TENCENTCLOUD_REGION: 'ap-guangzhou',
      TENCENTCLOUD_APPID: '1250000000',
      TENCENTCLOUD_UIN: '100000000001',
      SCF_FUNCTIONNAME: 'hello',
      SCF_FUNCTIONVERSION: '$LATEST',
      SCF_NAMESPACE: 'default',
      _SCF_SERVER_PORT: '28902',
      USER_CODE_ROOT: '/var/user/',
      PYTHONPATH: '/var/user:/opt',
      PYTHONDONTWRITEBYTECODE: 'x',
      NODE_PATH: '/var/user:/var/user/node_modules:/opt:/opt/node_modules',
      CLASSPATH: '/var/user:/opt',
      LD_LIBRARY_PATH: expect.stringMatching(/:\/var\/user:\/opt$/),
      PWD: '/var/user',
      HOME: '/home/qcloud',
      USER: 'qcloud',
      LOGNAME: 'qcloud',
      LANG: 'en_US.UTF8',
      LC_ALL: 'en_US.UTF8',
      SHELL: '/bin/bash',
      HOSTNAME: 'i-1',
      TZ: 'UTC',
      PATH: expect.stringContaining('/usr/bin'),
    })
  })

  test('has keys exactly where the function has a role', () => {
    const names = ['TENCENTCLOUD_SECRETID', 'TENCENTCLOUD_SECRETKEY', 'TENCENTCLOUD_SESSIONTOKEN']
    const without = tencentScf.environment(VERSION, INSTANCE)
    const given = tencentScf.environment(VERSION, { ...INSTANCE, credentials: CREDENTIALS })
    expect(names.map((name) => without[name])).toEqual([undefined, undefined, undefined])
    expect(names.map((name) => given[name])).toEqual(['id', 'secret', 'token'])
  })

  test('takes time zone, search path and home of the user, and nothing that the platform says', () => {
    const environment = {
      TZ: 'Asia/Shanghai',
      PATH: '/mine',
      HOME: '/tmp',
      SCF_NAMESPACE: 'x',
      USER_CODE_ROOT: 'x',
    }
    expect(tencentScf.environment({ ...VERSION, environment }, INSTANCE)).toMatchObject({
      TZ: 'Asia/Shanghai',
      PATH: '/mine',
      HOME: '/tmp',
      SCF_NAMESPACE: 'default',
      USER_CODE_ROOT: '/var/user/',
    })
  })

  test('searches code and layers, wherever they are, before the directories of the user', () => {
    const environment = { NODE_PATH: '/tmp/node', PYTHONPATH: '/tmp/python', LD_LIBRARY_PATH: '' }
    const variables = tencentScf.environment(
      { ...VERSION, environment },
      { ...INSTANCE, codeDir: '/c', layersDir: '/l' },
    )
    expect(variables).toMatchObject({
      NODE_PATH: '/c:/c/node_modules:/l:/l/node_modules:/tmp/node',
      PYTHONPATH: '/c:/l:/tmp/python',
      LD_LIBRARY_PATH: expect.stringMatching(/:\/c:\/l$/),
      USER_CODE_ROOT: '/c/',
      PWD: '/c',
    })
  })

  test('names a published version by its number and an unknown account by its name', () => {
    expect(tencentScf.environment({ ...VERSION, version: '7', facts: {} }, INSTANCE)).toMatchObject({
      SCF_FUNCTIONVERSION: '7',
      TENCENTCLOUD_APPID: '1234567890123456',
      TENCENTCLOUD_UIN: '1234567890123456',
    })
  })
})

describe('what an instance is told', () => {
  test('is the generation of its runtime and the constant members of the context', () => {
    expect(tencentScf.setup(VERSION, INSTANCE)).toEqual({
      generation: [12, 16],
      members: {
        memory_limit_in_mb: 128,
        time_limit_in_ms: 3000,
        environment: '{"SCF_NAMESPACE":"default","MINE":"a=b","OTHER":"c"}',
        environ: 'SCF_NAMESPACE=default;MINE=a=b;OTHER=c',
        function_version: '$LATEST',
        function_name: 'hello',
        namespace: 'default',
        tencentcloud_region: 'ap-guangzhou',
        tencentcloud_appid: '1250000000',
        tencentcloud_uin: '100000000001',
      },
    })
  })

  test('has the keys of a role among the variables of the context', () => {
    const { members } = tencentScf.setup(VERSION, { ...INSTANCE, credentials: CREDENTIALS }) as {
      members: { environment: string; environ: string }
    }
    expect(JSON.parse(members.environment)).toMatchObject({
      TENCENTCLOUD_SECRETID: 'id',
      TENCENTCLOUD_SECRETKEY: 'secret',
      TENCENTCLOUD_SESSIONTOKEN: 'token',
    })
    expect(members.environ).toContain(';TENCENTCLOUD_SESSIONTOKEN=token')
  })

  test.each([
    ['Nodejs6.10', [6, 10]],
    ['Nodejs18.15', [18, 15]],
    ['Python3.6', [3, 6]],
    ['nodejs20', [20]],
    ['Nodejs', [Number.MAX_SAFE_INTEGER]],
  ])('reads the generation of %s', (runtime, generation) => {
    expect(tencentScf.setup({ ...VERSION, runtime }, INSTANCE)).toMatchObject({ generation })
  })
})

describe('a failure', () => {
  test.each<[string, Ending, number, number, string]>([
    ['a timeout', { kind: 'timedOut', afterMs: 3000 }, -1, 433, 'Invoking task timed out after 3 seconds'],
    ['an exit', { kind: 'crashed', cause: 'exited', exitCode: 1 }, -1, 439, 'User process exit when running'],
    [
      'a signal',
      { kind: 'crashed', cause: 'signalled', signal: 'SIGKILL' },
      -1,
      439,
      'User process exit when running',
    ],
    ['too much memory', { kind: 'crashed', cause: 'outOfMemory' }, -1, 434, 'Memory limit exceeded'],
    [
      'a start that never ends',
      { kind: 'initFailed', phase: 'load', reason: 'timedOut', errorType: '', payload: payloadOf('') },
      -1,
      450,
      'Function initialization timed out',
    ],
    [
      'an exit while loading',
      { kind: 'initFailed', phase: 'load', reason: 'crashed', errorType: '', payload: payloadOf('') },
      -1,
      439,
      'User process exit when running',
    ],
    ['a caller who hung up', { kind: 'cancelled' }, -1, 499, 'Request canceled'],
    ['a request to end it', { kind: 'terminated' }, -1, 499, 'Request canceled'],
    [
      'a result over 6 MiB',
      { kind: 'returned', payload: payloadOf(Buffer.alloc(6 * 1024 * 1024 + 1)) },
      -1,
      407,
      'The size of response exceeds the upper limit (6MB)',
    ],
  ])('by %s has its code and text', (_name, ending, errorCode, statusCode, errorMessage) => {
    const body = JSON.stringify({ errorCode, errorMessage, requestId: ID, statusCode })
    for (const version of [VERSION, FOREIGN]) {
      expect(failureOf(ended(ending, version), ID)).toEqual({ errorCode, statusCode, body })
    }
  })

  test('is none of a result, up to 6 MiB', () => {
    const payload = payloadOf(Buffer.alloc(6 * 1024 * 1024, 'x'))
    expect(failureOf(ended({ kind: 'returned', payload }), ID)).toBeUndefined()
  })

  test('of code of this contract is answered byte for byte', () => {
    const body = `{"errorCode":1,"errorMessage":"user code exception caught","requestId":"${ID}","stackTrace":"\\u003ca","statusCode":430}`
    expect(failureOf(ended(threw(body)), ID)).toEqual({ errorCode: 1, statusCode: 430, body })
  })

  test('of code of this contract that was told to several calls gets the id of each', () => {
    const body =
      '{"errorCode":1,"errorMessage":"m","requestId":"another","stackTrace":"<t>","statusCode":430}'
    expect(failureOf(ended(threw(body)), ID)?.body).toBe(
      `{"errorCode":1,"errorMessage":"m","requestId":"${ID}","stackTrace":"\\u003ct\\u003e","statusCode":430}`,
    )
  })

  test.each([
    [
      'with type, message and stack',
      { errorMessage: 'no', errorType: 'E', stackTrace: ['at a', 'at b'] },
      'E: no\nat a\nat b',
    ],
    [
      'whose stack has the message',
      { errorMessage: 'no', errorType: 'E', stackTrace: ['E: no', 'at b'] },
      'E: no\nat b',
    ],
    ['without a stack', { errorMessage: 'no', errorType: 'E' }, 'E: no'],
    ['without a type', { errorMessage: 'no' }, 'TypeError: no'],
  ])('of another contract %s is told as a stack trace', (_name, told, stackTrace) => {
    const answer = failureOf(ended(threw(JSON.stringify(told)), FOREIGN), ID)
    expect(JSON.parse(answer?.body ?? '')).toEqual({
      errorCode: 1,
      errorMessage: 'user code exception caught',
      requestId: ID,
      stackTrace,
      statusCode: 430,
    })
    expect(answer).toMatchObject({ errorCode: 1, statusCode: 430 })
  })

  test('of another contract never passes for one of this', () => {
    const told = { errorCode: 7, errorMessage: 'forged', requestId: ID, statusCode: 200 }
    expect(failureOf(ended(threw(JSON.stringify(told)), FOREIGN), ID)).toMatchObject({
      errorCode: 1,
      statusCode: 430,
    })
  })

  test.each([
    ['not JSON', 'not JSON'],
    ['', 'TypeError'],
    ['{"errorCode":"1","statusCode":430}', '{"errorCode":"1","statusCode":430}'],
  ])('whose body %j is in no form is told by its text', (payload, stackTrace) => {
    for (const version of [VERSION, FOREIGN]) {
      const { body = '' } = failureOf(ended(threw(payload), version), ID) ?? {}
      expect(JSON.parse(body)).toMatchObject({ statusCode: 430, stackTrace })
    }
  })

  test('to load code of another contract is its trace as the message, with 443', () => {
    const payload = payloadOf(
      JSON.stringify({ errorMessage: 'no such module', errorType: 'ImportModuleError' }),
    )
    const ending: Ending = { kind: 'initFailed', phase: 'load', reason: 'threw', errorType: 'x', payload }
    expect(JSON.parse(failureOf(ended(ending, FOREIGN), ID)?.body ?? '')).toEqual({
      errorCode: 1,
      errorMessage: 'ImportModuleError: no such module',
      requestId: ID,
      statusCode: 443,
    })
  })
})

describe('an answer', () => {
  test('of a success is the result alone', () => {
    const outcome = ended({ kind: 'returned', payload: payloadOf('"hello"') })
    expect(answerOf(outcome, ID)).toEqual({ invokeResult: 0, statusCode: 200, retMsg: '"hello"', errMsg: '' })
  })

  test('has bytes that are no text in base64', () => {
    const outcome = ended({ kind: 'returned', payload: payloadOf(Buffer.from([0xff, 0])) }, FOREIGN)
    expect(answerOf(outcome, ID).retMsg).toBe('/wA=')
  })

  test('of a failure is its body, twice', () => {
    const { retMsg, errMsg, invokeResult, statusCode } = answerOf(
      ended({ kind: 'timedOut', afterMs: 1500 }),
      ID,
    )
    expect([invokeResult, statusCode, retMsg]).toEqual([-1, 433, errMsg])
    expect(JSON.parse(errMsg)).toMatchObject({ errorMessage: 'Invoking task timed out after 1.5 seconds' })
  })
})

describe('the log of a call', () => {
  const call = { requestId: ID, version: VERSION }
  const RETURNED: Ending = { kind: 'returned', payload: payloadOf('"hello"') }
  const closing = (ending: Ending, measured: Partial<Measured> = {}) =>
    tencentScf.logClosing(call, ending, { ...MEASURED, ...measured })

  test('begins with its request id', () => {
    expect(tencentScf.logOpening(call)).toBe(`START RequestId: ${ID}\nEvent RequestId: ${ID}\n`)
  })

  test('ends with the figures', () => {
    expect(closing(RETURNED)).toBe(
      `END RequestId: ${ID}\nReport RequestId: ${ID} Duration:2005ms Memory:128MB MemUsage:13.425781MB\n`,
    )
  })

  test('shows the failure before its end', () => {
    const [error, end] = closing({ kind: 'timedOut', afterMs: 3000 }).split('\n')
    const body = `{"errorCode":-1,"errorMessage":"Invoking task timed out after 3 seconds","requestId":"${ID}","statusCode":433}`
    expect([error, end]).toEqual([`ERROR RequestId:${ID} Result:${body}`, `END RequestId: ${ID}`])
  })

  test('shows at most 8 KiB of a failure, whole characters', () => {
    const shown = ['', 'x'].map((start) => {
      const [error = ''] = closing(threw(start + 'ü'.repeat(10_000))).split('\n')
      return error.slice(error.indexOf('{'))
    })
    expect(new Set(shown.map((text) => Buffer.byteLength(text)))).toEqual(new Set([8191, 8192]))
    expect(shown.map((text) => text.at(-1))).toEqual(['ü', 'ü'])
  })

  test('reports a cold start', () => {
    expect(closing(RETURNED, { coldStart: true, initDurationMs: 236.4 }).split('\n')[0]).toBe(
      `Init Report RequestId: ${ID} Coldstart: 236ms (PullCode: 0ms InitRuntime: 0ms InitFunction: 236ms) Memory: 128MB MemUsage: 13.43MB`,
    )
  })

  test('reports none where the code never got ready', () => {
    const failed: Ending = {
      kind: 'initFailed',
      phase: 'load',
      reason: 'crashed',
      errorType: '',
      payload: payloadOf(''),
    }
    expect(closing(failed, { coldStart: true })).not.toContain('Init Report')
  })
})
