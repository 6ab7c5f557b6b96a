import { describe, expect, test } from 'vitest'
import { alibabaFc, failureSentence } from '../../src/contracts/alibaba-fc.ts'
import type { InstanceFacts } from '../../src/contracts/contract.ts'
import type { FunctionVersion } from '../../src/model/function.ts'
import type { InvokeRequest } from '../../src/model/invocation.ts'
import type { Ending, Measured } from '../../src/model/outcome.ts'
import { EMPTY_PAYLOAD } from '../../src/model/payload.ts'

const VERSION: FunctionVersion = {
  id: 'v',
  functionId: 'fid',
  account: '1234567890123456',
  namespace: 'service',
  name: 'function',
  version: 'LATEST',
  facts: { logProject: 'lp', logStore: 'ls', role: 'acs:ram::1:role/r' },
  contract: 'alibaba-fc',
  runtime: 'nodejs20',
  handler: 'index.handler',
  timeoutMs: 3000,
  memoryMib: 128,
  diskMib: 512,
  instanceConcurrency: 1,
  environment: { MINE: '1' },
  code: { digest: '', crc64: '0', sizeBytes: 0, expandedBytes: 0 },
}

const INSTANCE: InstanceFacts = { instanceId: 'c-1', codeDir: '/code', region: 'cn-hangzhou' }

const CREDENTIALS = { accessKeyId: 'i', accessKeySecret: 's', securityToken: 't' }

const MEASURED: Measured = {
  version: VERSION,
  instanceId: 'c-1',
  coldStart: false,
  durationMs: 1.16,
  billedDurationMs: 2,
  initDurationMs: 0,
  maxMemoryBytes: 25.9 * 1024 * 1024,
  logTail: () => Buffer.alloc(0),
}

function request(qualifier: string | undefined, retryCount: number): InvokeRequest {
  const name = { account: 'a', namespace: 'n', name: 'f' }
  return {
    target: qualifier === undefined ? name : { ...name, qualifier },
    requestId: 'r',
    payload: EMPTY_PAYLOAD,
    retryCount,
  }
}

describe('the environment of a function', () => {
  test('names the function, its version and its instance', () => {
    expect(alibabaFc.environment(VERSION, INSTANCE)).toEqual({
      PATH: expect.stringContaining('/usr/bin'),
      HOME: '/tmp',
      LANG: 'C.UTF-8',
      TZ: 'UTC',
      FC_FUNC_CODE_PATH: '/code',
      FC_FUNCTION_NAME: 'function',
      FC_FUNCTION_HANDLER: 'index.handler',
      FC_FUNCTION_MEMORY_SIZE: '128',
      FC_REGION: 'cn-hangzhou',
      FC_ACCOUNT_ID: '1234567890123456',
      FC_INSTANCE_ID: 'c-1',
      FC_RUNTIME_VERSION: 'nodejs20',
      FC_QUALIFIER: 'LATEST',
      FC_SERVICE_NAME: 'service',
      FC_FUNCTION_VERSION: 'LATEST',
    })
  })

  test('leaves the time zone and the search path of the user alone', () => {
    const environment = { TZ: 'Asia/Shanghai', PATH: '/mine', FC_REGION: 'not theirs to set' }
    expect(alibabaFc.environment({ ...VERSION, environment }, INSTANCE)).toMatchObject({
      TZ: 'Asia/Shanghai',
      PATH: '/mine',
      FC_REGION: 'cn-hangzhou',
    })
  })

  test.each([
    ['nodejs16', { FC_VER_ID: 'LATEST', accessKeyID: 'i' }, ['FC_FUNCTION_VERSION']],
    ['nodejs18', { FC_FUNCTION_VERSION: 'LATEST' }, ['FC_VER_ID', 'accessKeyID']],
    ['python3', { FC_VER_ID: 'LATEST', accessKeyID: 'i' }, ['FC_FUNCTION_VERSION']],
    ['python3.9', { FC_VER_ID: 'LATEST' }, ['FC_FUNCTION_VERSION']],
    ['python3.12', { FC_VER_ID: 'LATEST', FC_FUNCTION_VERSION: 'LATEST' }, ['accessKeyID']],
  ])('of %s has the names of its time', (runtime, present, absent) => {
    const environment = alibabaFc.environment(
      { ...VERSION, runtime },
      { ...INSTANCE, credentials: CREDENTIALS },
    )
    expect(environment).toMatchObject({ ...present, ALIBABA_CLOUD_ACCESS_KEY_ID: 'i' })
    for (const name of absent) expect(environment).not.toHaveProperty(name)
  })

  test('tells of concurrency only where there is some', () => {
    expect(alibabaFc.environment({ ...VERSION, instanceConcurrency: 5 }, INSTANCE)).toMatchObject({
      FC_ENABLE_CONCURRENT_INVOKE: 'true',
      FC_CONCURRENT_LIMIT: '5',
    })
  })
})

describe('the set-up of an instance', () => {
  test('carries everything a context is made of', () => {
    const setup = alibabaFc.setup(
      { ...VERSION, version: '3', initializer: { handler: 'index.init', timeoutMs: 10_000 } },
      { ...INSTANCE, credentials: CREDENTIALS },
    )
    expect(JSON.parse(JSON.stringify(setup))).toEqual({
      generation: [20],
      region: 'cn-hangzhou',
      accountId: '1234567890123456',
      credentials: CREDENTIALS,
      function: {
        name: 'function',
        handler: 'index.handler',
        memory: 128,
        timeout: 3,
        initializer: 'index.init',
      },
      service: { name: 'service', logProject: 'lp', logStore: 'ls', qualifier: '3', versionId: '3' },
    })
  })

  test('has the time limit of the initializer for the older runtimes', () => {
    const initializer = { handler: 'index.init', timeoutMs: 10_000 }
    const setup = alibabaFc.setup({ ...VERSION, runtime: 'nodejs12', initializer }, INSTANCE)
    expect(setup).toMatchObject({ generation: [12], function: { initializationTimeout: 10 } })
  })

  test.each([
    ['python3', [3, 6]],
    ['python3.10', [3, 10]],
    ['python3.12', [3, 12]],
    ['nodejs4.4', [4, 4]],
  ])('knows the generation of %s', (runtime, generation) => {
    expect(alibabaFc.setup({ ...VERSION, runtime }, INSTANCE)).toMatchObject({ generation })
  })
})

describe('what a call adds', () => {
  test.each([
    [undefined, 0, undefined],
    ['LATEST', 0, undefined],
    ['prod', 0, { qualifier: 'prod' }],
    [undefined, 2, { retryCount: 2 }],
    ['3', 1, { qualifier: '3', retryCount: 1 }],
  ])('qualifier %s and retry %d', (qualifier, retryCount, added) => {
    expect(alibabaFc.perCall(request(qualifier, retryCount))).toEqual(added)
  })
})

describe('the log of a call', () => {
  const CALL = { requestId: 'r', version: VERSION }
  const closing = (ending: Ending, measured: Measured = MEASURED): string =>
    alibabaFc.logClosing(CALL, ending, measured)

  test("is framed like the vendor's", () => {
    expect(alibabaFc.logOpening(CALL)).toBe('FC Invoke Start RequestId: r\n')
    expect(closing({ kind: 'returned', payload: EMPTY_PAYLOAD })).toBe(
      'FC Invoke End RequestId: r\n\n' +
        'Duration: 1.16 ms, Billed Duration: 2 ms, Memory Size: 128 MB, Max Memory Used: 25.90 MB\n',
    )
    expect(alibabaFc.initLogOpening(CALL)).toBe('FC Initialize Start RequestId: r\n')
    expect(alibabaFc.initLogClosing(CALL, undefined)).toBe('FC Initialize End RequestId: r\n')
    expect(alibabaFc.initLogClosing(CALL, 'TypeError')).toBe(
      'FC Initialize End RequestId: r, Error: Unhandled function error\n',
    )
  })

  test.each<[Ending, string]>([
    [{ kind: 'threw', errorType: 'E', handled: true, payload: EMPTY_PAYLOAD }, 'Handled function error'],
    [{ kind: 'threw', errorType: 'E', handled: false, payload: EMPTY_PAYLOAD }, 'Unhandled function error'],
    [{ kind: 'timedOut', afterMs: 3000 }, 'Function timed out after 3 seconds (maxMemoryUsage: 25.90MB)'],
    [{ kind: 'cancelled' }, 'Invocation canceled by client (duration: 1ms, maxMemoryUsage: 25.90MB)'],
  ])('names the failure at the end of the call: %o', (ending, suffix) => {
    expect(closing(ending).split('\n')[0]).toBe(`FC Invoke End RequestId: r, Error: ${suffix}`)
  })
})

describe('the sentence of the platform', () => {
  const initFailed = { kind: 'initFailed', errorType: '', payload: EMPTY_PAYLOAD } as const

  test.each<[Ending, number, string | undefined]>([
    [{ kind: 'returned', payload: EMPTY_PAYLOAD }, 0, undefined],
    [{ ...initFailed, phase: 'load', reason: 'threw' }, 0, undefined],
    [
      { kind: 'crashed', cause: 'exited', exitCode: 1 },
      0,
      'Process exited unexpectedly before completing request (duration: 1ms, maxMemoryUsage: 0MB)',
    ],
    [
      { kind: 'crashed', cause: 'outOfMemory' },
      134_217_728,
      'Function process was killed because it ran out of memory (duration: 1ms, maxMemoryUsage: 128.00MB)',
    ],
    [
      { ...initFailed, phase: 'initializer', reason: 'timedOut', afterMs: 10_000 },
      1048576,
      'Function timed out after 10 seconds (maxMemoryUsage: 1.00MB)',
    ],
    [
      { ...initFailed, phase: 'load', reason: 'timedOut', afterMs: 12_000 },
      1048576,
      'Function timed out after 12 seconds (maxMemoryUsage: 1.00MB)',
    ],
    [
      { ...initFailed, phase: 'load', reason: 'crashed' },
      1048576,
      'Process exited unexpectedly before completing request (duration: 1ms, maxMemoryUsage: 1.00MB)',
    ],
  ])('for %o', (ending, maxMemoryBytes, sentence) => {
    const version = { ...VERSION, initializer: { handler: 'index.init', timeoutMs: 10_000 } }
    expect(failureSentence(ending, { ...MEASURED, version, maxMemoryBytes })).toBe(sentence)
  })
})
