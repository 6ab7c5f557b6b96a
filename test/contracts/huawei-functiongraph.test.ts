import { describe, expect, test } from 'vitest'
import type { InstanceFacts } from '../../src/contracts/contract.ts'
import {
  cpuOf,
  errorCodeOf,
  failureOf,
  huaweiFunctionGraph,
  RUN_CODE,
} from '../../src/contracts/huawei-functiongraph.ts'
import type { FunctionVersion } from '../../src/model/function.ts'
import type { InvokeRequest } from '../../src/model/invocation.ts'
import type { Ending, Measured } from '../../src/model/outcome.ts'
import { EMPTY_PAYLOAD, payloadOf } from '../../src/model/payload.ts'

const VERSION: FunctionVersion = {
  id: 'v',
  functionId: 'fid',
  account: '1234567890123456',
  namespace: 'default',
  name: 'function',
  version: 'LATEST',
  facts: { projectId: 'p', role: 'agency' },
  contract: 'huawei-functiongraph',
  runtime: 'Node.js18.15',
  handler: 'index.handler',
  timeoutMs: 3000,
  memoryMib: 128,
  diskMib: 512,
  instanceConcurrency: 1,
  environment: { MINE: '1' },
  code: { digest: '', crc64: '0', sizeBytes: 0, expandedBytes: 0 },
}

const INSTANCE: InstanceFacts = { instanceId: 'c-1', codeDir: '/opt/function/code', region: 'cn-north-4' }

const CREDENTIALS = { accessKeyId: 'i', accessKeySecret: 's', securityToken: 't' }

const MEASURED: Omit<Measured, 'logTail'> = {
  version: VERSION,
  instanceId: 'c-1',
  coldStart: false,
  durationMs: 65.8284,
  billedDurationMs: 66,
  initDurationMs: 0,
  maxMemoryBytes: 21.473 * 1024 * 1024,
}

const CALL = { requestId: '1939bbbb-4009-4685-bcc0-2ff0381fa911', version: VERSION }

function request(qualifier: string | undefined): InvokeRequest {
  const name = { account: 'a', namespace: 'n', name: 'f' }
  return {
    target: qualifier === undefined ? name : { ...name, qualifier },
    requestId: 'r',
    payload: EMPTY_PAYLOAD,
    retryCount: 0,
  }
}

describe('the environment of a FunctionGraph function', () => {
  test('names the function, its version and its limits', () => {
    expect(huaweiFunctionGraph.environment(VERSION, INSTANCE)).toEqual({
      PATH: expect.stringContaining('/usr/bin'),
      HOME: '/tmp',
      LANG: 'C.UTF-8',
      TZ: 'UTC',
      RUNTIME_PROJECT_ID: 'p',
      RUNTIME_FUNC_NAME: 'function',
      RUNTIME_FUNC_VERSION: 'latest',
      RUNTIME_PACKAGE: 'default',
      RUNTIME_HANDLER: 'index.handler',
      RUNTIME_TIMEOUT: '3',
      RUNTIME_USERDATA: '{"MINE":"1"}',
      RUNTIME_CPU: '300',
      RUNTIME_MEMORY: '128',
      RUNTIME_CODE_ROOT: '/opt/function/code',
      RUNTIME_MAX_REQUEST_BODY_SIZE: '6291456',
      RUNTIME_MAX_RESP_BODY_SIZE: '6291456',
    })
  })

  test('names the initializer where there is one', () => {
    const initializer = { handler: 'index.init', timeoutMs: 10_000 }
    expect(
      huaweiFunctionGraph.environment({ ...VERSION, version: 'v1', initializer }, INSTANCE),
    ).toMatchObject({
      RUNTIME_FUNC_VERSION: 'v1',
      RUNTIME_INITIALIZER_HANDLER: 'index.init',
      RUNTIME_INITIALIZER_TIMEOUT: '10',
    })
  })

  test('leads to the packages of dependencies, then to those of the user, who also sets the time zone', () => {
    const environment = { NODE_PATH: '/mine', TZ: 'Asia/Shanghai', RUNTIME_CPU: 'not theirs to set' }
    expect(
      huaweiFunctionGraph.environment({ ...VERSION, environment }, { ...INSTANCE, layersDir: '/layers' }),
    ).toMatchObject({
      NODE_PATH: '/layers/node_modules:/layers:/mine',
      PYTHONPATH: '/layers',
      TZ: 'Asia/Shanghai',
      RUNTIME_CPU: '300',
    })
  })

  test.each([
    [128, 300],
    [256, 400],
    [512, 600],
    [768, 800],
    [4096, 3400],
    [10_240, 8200],
  ])('%d MB have %d thousandths of a core', (memoryMib, cpu) => {
    expect(cpuOf(memoryMib)).toBe(cpu)
  })
})

test('the set-up of an instance carries everything a context is made of', () => {
  const setup = huaweiFunctionGraph.setup(
    { ...VERSION, version: 'v1' },
    { ...INSTANCE, credentials: CREDENTIALS },
  )
  expect(JSON.parse(JSON.stringify(setup))).toEqual({
    generation: 18,
    maxResultBytes: 6_291_456,
    projectId: 'p',
    package: 'default',
    functionName: 'function',
    version: 'v1',
    timeoutMs: 3000,
    timeoutSeconds: 3,
    memoryMb: 128,
    cpu: 300,
    userData: { MINE: '1' },
    credentials: { accessKey: 'i', secretKey: 's', securityToken: 't' },
  })
})

test.each([
  [undefined, undefined],
  ['LATEST', undefined],
  ['prod', { qualifier: 'prod' }],
])('a call through %s adds %j', (qualifier, added) => {
  expect(huaweiFunctionGraph.perCall(request(qualifier))).toEqual(added)
})

describe('the log of a FunctionGraph call', () => {
  const STAMP = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g
  const FIGURES = 'duration: 65.828ms, billing duration: 66ms, memory used: 21.473MB, billing memory: 128MB'
  const closing = (ending: Ending): string =>
    huaweiFunctionGraph.logClosing(CALL, ending, MEASURED).replace(STAMP, 'T')

  test('is framed like the vendor’s', () => {
    const { requestId } = CALL
    expect(huaweiFunctionGraph.logOpening(CALL).replace(STAMP, 'T')).toBe(
      `T Start invoke request '${requestId}', version: latest\n`,
    )
    expect(closing({ kind: 'returned', payload: EMPTY_PAYLOAD })).toBe(
      `\nT Finish invoke request '${requestId}', ${FIGURES}\n`,
    )
    expect(huaweiFunctionGraph.initLogOpening(CALL).replace(STAMP, 'T')).toBe(
      `T Start initialize request '${requestId}', version: latest\n`,
    )
    expect(huaweiFunctionGraph.initLogClosing(CALL, undefined).replace(STAMP, 'T')).toBe(
      `T Finish initialize request '${requestId}'\n`,
    )
  })

  test('names an ending that the code could not report itself, and no other', () => {
    expect(closing({ kind: 'timedOut', afterMs: 3000 })).toMatch(
      /^\nT 1939bbbb-\S+ ERROR function invocation timed out after 3s\nT Finish /,
    )
    const threw = { kind: 'threw', errorType: 'E', handled: false, payload: EMPTY_PAYLOAD } as const
    expect(closing(threw)).not.toContain('ERROR')
  })
})

describe('the vendor’s number of', () => {
  const threw = { kind: 'threw', errorType: 'E', handled: false, payload: EMPTY_PAYLOAD } as const
  const initFailed = { kind: 'initFailed', errorType: 'E', payload: EMPTY_PAYLOAD } as const

  test.each<[string, Ending, number]>([
    ['a result', { kind: 'returned', payload: payloadOf('x'.repeat(6_291_456)) }, 0],
    ['a result that is too large', { kind: 'returned', payload: payloadOf('x'.repeat(6_291_457)) }, 4004],
    ['what reached a callback', { ...threw, handled: true }, 4001],
    ['an exception', threw, 4002],
    [
      'a result of this contract that is too large',
      { ...threw, errorType: 'FunctionResponseTooLarge' },
      4004,
    ],
    ['a result that JSON cannot express', { ...threw, errorType: 'FunctionResultInvalid' }, 4007],
    ['a timeout', { kind: 'timedOut', afterMs: 3000 }, 4010],
    ['an exit', { kind: 'crashed', cause: 'exited', exitCode: 1 }, 4002],
    ['code that cannot be loaded', { ...initFailed, phase: 'load', reason: 'threw' }, 4001],
    ['a failed initializer', { ...initFailed, phase: 'initializer', reason: 'threw' }, 4009],
    ['an initializer that timed out', { ...initFailed, phase: 'initializer', reason: 'timedOut' }, 4211],
    ['a process that ended before it was ready', { ...initFailed, phase: 'load', reason: 'crashed' }, 4201],
    ['a call that was ended', { kind: 'terminated' }, 4208],
    ['a caller who hung up', { kind: 'cancelled' }, 4208],
  ])('%s', (_, ending, code) => {
    expect(errorCodeOf(ending)).toBe(code)
    expect(failureOf({ ...ending, version: VERSION })?.code).toBe(code === 0 ? undefined : code)
  })
})

describe('the failure of a run', () => {
  const threw = (body: string, version = VERSION) =>
    failureOf({
      kind: 'threw',
      errorType: 'Told',
      handled: false,
      payload: payloadOf(body),
      version,
    })
  const foreign = { ...VERSION, contract: 'alibaba-fc' }

  test('keeps a body of this contract as it is', () => {
    const body = '{ "errorMessage":"m" , "errorType":"T" }'
    expect(threw(body)).toEqual({ code: RUN_CODE.threw, isFunctionFault: true, body })
  })

  test('tells one of another contract in its own form', () => {
    const body = '{"errorMessage":"m","errorType":"T","stackTrace":"one\\ntwo","more":1}'
    expect(threw(body, foreign)?.body).toBe(
      JSON.stringify({ errorMessage: 'm', errorType: 'T', stackTrace: ['one', 'two'] }, null, 4),
    )
  })

  test('tells a body that is none by the type of the error', () => {
    for (const version of [VERSION, foreign])
      expect(JSON.parse(threw('\u0000', version)?.body ?? '')).toEqual({
        errorMessage: 'Told',
        errorType: 'Told',
      })
  })

  test.each<[Ending, string, boolean]>([
    [{ kind: 'timedOut', afterMs: 1500 }, 'function invocation timed out after 1.5s', true],
    [{ kind: 'crashed', cause: 'outOfMemory' }, 'runtime memory limit exceeded', true],
    [{ kind: 'crashed', cause: 'signalled', signal: 'SIGSEGV' }, 'runtime process is exited', true],
    [
      { kind: 'initFailed', phase: 'load', reason: 'timedOut', errorType: '', payload: EMPTY_PAYLOAD },
      'function initialization timed out',
      true,
    ],
    [
      { kind: 'returned', payload: payloadOf('x'.repeat(6_291_457)) },
      'response body size 6291457 exceeds the limit of 6291456',
      true,
    ],
    [{ kind: 'terminated' }, 'function invocation cancelled', false],
  ])('of the platform has a sentence: %#', (ending, errorMessage, isFunctionFault) => {
    const failure = failureOf({ ...ending, version: VERSION })
    expect(failure?.isFunctionFault).toBe(isFunctionFault)
    expect(JSON.parse(failure?.body ?? '')).toEqual({
      errorMessage,
      errorType: expect.stringMatching(/^Function/),
    })
  })
})
