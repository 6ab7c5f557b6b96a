import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { publishFunction } from '../../../src/definitions/publish.ts'
import {
  aliasKey,
  documentKey,
  functionKey,
  namespaceKey,
  qualifiedKey,
  triggerKey,
  versionKey,
} from '../../../src/engine/keys.ts'
import type { Ending } from '../../../src/model/outcome.ts'
import { EMPTY_PAYLOAD, payloadOf } from '../../../src/model/payload.ts'
import type { FunctionRecord } from '../../../src/store/definition-store.ts'
import { ACCOUNT, functionBody, openHarness, pluck, type Harness, type TestReply } from './harness.ts'
import { EXTRAS, FACTS, putTheirs, SPEC } from './theirs.ts'

const stamps = { createdAtMs: 1, modifiedAtMs: 1 }

let fc: Harness
beforeEach(async () => {
  fc = await openHarness()
  await putTheirs(fc.catalogue, 'default')
})
afterEach(() => fc.close())

const V2 = '/2021-04-06'
const SERVICE = `${V2}/services/default`
const THEIRS = `${SERVICE}/functions/theirs`
const through = (qualifier: string): string => `${V2}/services/default.${qualifier}/functions/theirs`

const send = (method: string, path: string, body?: unknown, headers = {}): Promise<TestReply> =>
  fc.send({ method, path, body, headers })
const record = (version = 'LATEST'): FunctionRecord => {
  const found = fc.catalogue.get('function', functionKey(ACCOUNT, 'default', 'theirs', version))
  if (found === undefined) throw new Error(`no version ${version}`)
  return found.value
}
/** A version that the other dialect publishes of the one function. */
const publish = (name?: string): Promise<string> =>
  fc.catalogue.change((draft) => {
    const head = draft.get('function', functionKey(ACCOUNT, 'default', 'theirs'))
    if (head === undefined) throw new Error('no function')
    const version = { description: '', nowMs: 1, ...(name === undefined ? {} : { name }) }
    return publishFunction(draft, head, version).value.version
  })
const putAlias = (name: string, version: string): Promise<unknown> =>
  fc.catalogue.change((draft) =>
    draft.put('alias', aliasKey(ACCOUNT, 'default', name, 'theirs'), {
      ...stamps,
      account: ACCOUNT,
      namespace: 'default',
      functionName: 'theirs',
      name,
      version,
      weights: {},
      description: '',
      extras: { 'tencent-scf': {} },
    }),
  )

describe('what others made is shown', () => {
  test('as a service with the settings of one that says nothing', async () => {
    const { json } = await send('GET', SERVICE)
    expect(json).toMatchObject({ serviceName: 'default', role: '', internetAccess: true })
    expect(pluck(await send('GET', `${V2}/services`), 'services', 'serviceName')).toEqual(['default'])
  })

  test('as a function with what is neutral in it, the defaults of this API, and nothing else', async () => {
    const { status, json } = await send('GET', THEIRS)
    expect(status).toBe(200)
    expect(json).toEqual({
      functionId: 'their-id',
      functionName: 'theirs',
      description: 'made by others',
      runtime: 'Nodejs16.13',
      handler: 'index.main_handler',
      timeout: 7,
      memorySize: 256,
      diskSize: 1024,
      environmentVariables: { _key: 'value' },
      initializer: '',
      initializationTimeout: 3,
      instanceConcurrency: 1,
      layers: [],
      layersArnV2: [],
      instanceType: 'e1',
      codeSize: 9,
      codeChecksum: '77',
      createdTime: '1970-01-01T00:00:00Z',
      lastModifiedTime: '1970-01-01T00:00:00Z',
    })
    expect((await send('GET', `${SERVICE}/functions`)).json['functions']).toEqual([json])
  })

  test('as aliases and versions of the service only where they are of the service', async () => {
    await publish()
    await putAlias('prod', '1')
    expect((await send('GET', `${SERVICE}/versions`)).json['versions']).toEqual([])
    expect((await send('GET', `${SERVICE}/aliases`)).json['aliases']).toEqual([])
    for (const path of ['versions/1', 'aliases/prod'])
      expect((await send('DELETE', `${SERVICE}/${path}`)).status).toBe(404)
  })
})

describe('a change through this API', () => {
  test('leaves contract, layers, facts and the parts of others as they were', async () => {
    const { status, json } = await send('PUT', THEIRS, { handler: 'index.other', caPort: 9001 })
    expect([status, json['handler'], json['caPort']]).toEqual([200, 'index.other', 9001])
    expect(record()).toMatchObject({
      spec: { ...SPEC, handler: 'index.other' },
      facts: FACTS,
      extras: { ...EXTRAS, 'alibaba-fc': { caPort: 9001 } },
    })
    expect(record().stateId).not.toBe('their-state')
  })

  test('that changes nothing that runs keeps the state', async () => {
    await send('PUT', THEIRS, { description: 'new' })
    expect(record()).toMatchObject({ stateId: 'their-state', description: 'new' })
  })

  test('of the service reaches the functions that are written for this vendor alone', async () => {
    await send('POST', `${SERVICE}/functions`, await functionBody('ours'))
    const role = 'acs:ram::1234567890123456:role/x'
    expect((await send('PUT', SERVICE, { role })).json['role']).toBe(role)
    const ours = fc.catalogue.get('function', functionKey(ACCOUNT, 'default', 'ours'))?.value
    expect(ours?.facts).toEqual({ role })
    expect(record()).toMatchObject({ facts: FACTS, stateId: 'their-state' })
  })

  test('of settings by qualifier leaves the parts of others as they were', async () => {
    const key = qualifiedKey(ACCOUNT, 'default', 'theirs', 'LATEST')
    const of = {
      ...stamps,
      account: ACCOUNT,
      namespace: 'default',
      functionName: 'theirs',
      qualifier: 'LATEST',
    }
    const others = { 'tencent-scf': { destinationConfig: 'theirs', statefulInvocation: true, target: 7 } }
    await fc.catalogue.change((draft) => {
      draft.put('asyncConfig', key, { ...of, maxRetries: 1, extras: others })
      draft.put('provision', key, { ...of, target: 0, extras: others })
    })
    const config = await send('GET', `${THEIRS}/async-invoke-config`)
    expect(config.json).toMatchObject({
      maxAsyncRetryAttempts: 1,
      destinationConfig: {},
      statefulInvocation: false,
    })
    await send('PUT', `${THEIRS}/async-invoke-config`, { statefulInvocation: true })
    await send('PUT', `${SERVICE}.LATEST/functions/theirs/provision-config`, { target: 1 })
    for (const kind of ['asyncConfig', 'provision'] as const)
      expect(fc.catalogue.get(kind, key)?.value.extras).toMatchObject({
        ...others,
        'alibaba-fc': expect.any(Object),
      })
  })
})

describe('versions of the service and of single functions', () => {
  test('share no number, and each is seen where it belongs', async () => {
    expect([await publish(), await publish()]).toEqual(['1', '2'])
    await send('POST', `${SERVICE}/functions`, await functionBody('ours'))
    expect((await send('POST', `${SERVICE}/versions`, {})).json['versionId']).toBe('3')
    expect(await publish()).toBe('4')
    expect(pluck(await send('GET', `${SERVICE}/versions`), 'versions', 'versionId')).toEqual(['3'])
    const at3 = await send('GET', `${SERVICE}.3/functions`)
    expect(pluck(at3, 'functions', 'functionName')).toEqual(['ours', 'theirs'])
    expect((await send('GET', `${SERVICE}.1/functions`)).json['ErrorCode']).toBe('VersionNotFound')
    await send('PUT', SERVICE, { description: 'changed' })
    await send('DELETE', `${SERVICE}/versions/3`)
    expect((await send('POST', `${SERVICE}/versions`, {})).json['versionId']).toBe('5')
    expect(record('4').stateId).not.toBe(record('5').stateId)
  })

  test('of one number are apart: deleting that of the service leaves that of a function, and its settings', async () => {
    await send('POST', `${SERVICE}/versions`, {})
    await fc.catalogue.change((draft) => {
      // Made by hand: publishing gives no such number.
      for (const [name, version] of [['late', '1']] as const) {
        const late = { ...record(), name, version, stateId: 'late-state' }
        draft.put('function', functionKey(ACCOUNT, 'default', name, version), late)
        draft.put('version', versionKey(ACCOUNT, 'default', version, name), {
          ...stamps,
          account: ACCOUNT,
          namespace: 'default',
          functionName: name,
          version,
          description: '',
        })
        draft.put('provision', qualifiedKey(ACCOUNT, 'default', name, version), {
          ...stamps,
          account: ACCOUNT,
          namespace: 'default',
          functionName: name,
          qualifier: version,
          target: 1,
          extras: {},
        })
      }
    })
    expect(pluck(await send('GET', `${SERVICE}.1/functions`), 'functions', 'functionName')).toEqual([
      'theirs',
    ])
    expect((await send('DELETE', `${SERVICE}/versions/1`)).status).toBe(204)
    expect(fc.catalogue.get('function', functionKey(ACCOUNT, 'default', 'late', '1'))).toBeDefined()
    expect(fc.catalogue.get('provision', qualifiedKey(ACCOUNT, 'default', 'late', '1'))).toBeDefined()
    expect(fc.catalogue.get('function', functionKey(ACCOUNT, 'default', 'theirs', '1'))).toBeUndefined()
  })

  test('of a service with nothing but theirs can be published and brought up to date', async () => {
    await send('POST', `${SERVICE}/versions`, {})
    expect((await send('POST', `${SERVICE}/versions`, {})).json['ErrorCode']).toBe('InvalidArgument')
    await publish()
    expect((await send('POST', `${SERVICE}/versions`, {})).json['ErrorCode']).toBe('InvalidArgument')
    await send('PUT', THEIRS, { handler: 'index.other' })
    expect((await send('POST', `${SERVICE}/versions`, {})).json['versionId']).toBe('3')
  })
})

describe("qualifiers of others' functions", () => {
  test.each([
    ['a number', '1', '1'],
    ['a free name', 'v1.2', 'v1.2'],
    ['an alias', 'prod', '1'],
    ['an alias that is no name here', '$DEFAULT', 'LATEST'],
  ])('that are %s can be called and read', async (_, qualifier, version) => {
    await publish()
    await publish('v1.2')
    await putAlias('prod', '1')
    await putAlias('$DEFAULT', 'LATEST')
    const call = await send('POST', `${through(qualifier)}/invocations`, 'event')
    expect([call.status, call.headers['X-Fc-Invocation-Service-Version']]).toEqual([200, version])
    const inQuery = await send('POST', `${THEIRS}/invocations?qualifier=${encodeURIComponent(qualifier)}`, '')
    expect(inQuery.headers['X-Fc-Invocation-Service-Version']).toBe(version)
    expect((await send('GET', through(qualifier))).json['functionName']).toBe('theirs')
    expect((await send('GET', `${SERVICE}.${qualifier}/functions`)).status).toBe(404)
  })

  test.each([
    ['$DEFAULT', 404, 'AliasNotFound'],
    ['$LATEST', 404, 'AliasNotFound'],
    ['v1', 404, 'AliasNotFound'],
    ['9', 404, 'VersionNotFound'],
    ['!prod', 400, 'InvalidArgument'],
  ])('%s that lead nowhere are refused', async (qualifier, status, code) => {
    for (const [method, path] of [
      ['POST', `${through(qualifier)}/invocations`],
      ['GET', through(qualifier)],
    ] as const) {
      const reply = await send(method, path)
      expect([reply.status, reply.json['ErrorCode']]).toEqual([status, code])
    }
  })

  test('a snapshot is not changed through them', async () => {
    await publish('v1')
    for (const method of ['PUT', 'DELETE'])
      expect((await send(method, through('v1'), {})).json['ErrorCode']).toBe('InvalidArgument')
  })
})

describe('deletions', () => {
  const equip = async (): Promise<void> => {
    await publish()
    await publish('v1')
    await putAlias('$DEFAULT', '1')
    await fc.catalogue.change((draft) => {
      const of = {
        ...stamps,
        account: ACCOUNT,
        namespace: 'default',
        functionName: 'theirs',
        qualifier: 'v1',
      }
      const key = qualifiedKey(ACCOUNT, 'default', 'theirs', 'v1')
      draft.put('asyncConfig', key, { ...of, extras: {} })
      draft.put('scaling', key, { ...of, maxInstances: 1 })
      draft.put('trigger', triggerKey(ACCOUNT, 'default', 'theirs', 'timer', 't'), {
        ...of,
        name: 't',
        type: 'timer',
        enabled: true,
        extras: {},
      })
      draft.put('document', documentKey(ACCOUNT, 'default/theirs', 'tencent-scf', 'd'), {
        ...stamps,
        account: ACCOUNT,
        owner: 'default/theirs',
        name: 'd',
        content: {},
      })
    })
  }
  const left = (): string[] =>
    (['function', 'version', 'alias', 'asyncConfig', 'scaling', 'trigger', 'document'] as const).flatMap(
      (kind) => fc.catalogue.list(kind, '').map(({ key }) => `${kind} ${key}`),
    )

  test('of a function take all of it, after which its service is empty', async () => {
    await equip()
    const full = await send('DELETE', SERVICE)
    expect([full.status, full.json['ErrorCode']]).toEqual([409, 'ServiceNotEmpty'])
    expect((await send('DELETE', THEIRS)).status).toBe(204)
    expect(left()).toEqual([])
    expect((await send('DELETE', SERVICE)).status).toBe(204)
  })

  test('of a function leave what its service has published', async () => {
    await equip()
    await send('POST', `${SERVICE}/versions`, {})
    await send('DELETE', THEIRS)
    expect(left()).toEqual([
      `function ${functionKey(ACCOUNT, 'default', 'theirs', '2')}`,
      `version ${versionKey(ACCOUNT, 'default', '2')}`,
    ])
    expect((await send('DELETE', SERVICE)).json['ErrorMessage']).toContain('has versions')
  })

  test('of a service take what is left in it of functions that are gone', async () => {
    await equip()
    await fc.catalogue.change((draft) => {
      draft.delete('function', functionKey(ACCOUNT, 'default', 'theirs'))
      for (const version of ['1', 'v1']) {
        draft.delete('function', functionKey(ACCOUNT, 'default', 'theirs', version))
        draft.delete('version', versionKey(ACCOUNT, 'default', version, 'theirs'))
      }
    })
    expect((await send('DELETE', SERVICE)).json['ErrorMessage']).toContain('has aliases')
    await fc.catalogue.change((draft) =>
      draft.delete('alias', aliasKey(ACCOUNT, 'default', '$DEFAULT', 'theirs')),
    )
    expect((await send('DELETE', SERVICE)).status).toBe(204)
    expect(left()).toEqual([])
    expect(fc.catalogue.get('namespace', namespaceKey(ACCOUNT, 'default'))).toBeUndefined()
  })
})

describe('calls of code written for another vendor', () => {
  const call = (): Promise<TestReply> => send('POST', `${THEIRS}/invocations`, '{}')
  const said = (body: object): Ending => ({
    kind: 'threw',
    errorType: 'RangeError',
    handled: false,
    payload: payloadOf(JSON.stringify(body)),
  })

  test('bring back what it returned, byte for byte', async () => {
    fc.ending = { kind: 'returned', payload: payloadOf('{"statusCode":200}') }
    expect((await call()).bytes.toString()).toBe('{"statusCode":200}')
  })

  test('that fail answer with what the code said, in the members of this API', async () => {
    fc.ending = said({
      errorCode: 1,
      errorMessage: 'user code exception caught',
      requestId: 'r',
      stackTrace: 'RangeError: no\n    at f (/var/user/index.js:1:1)',
      statusCode: 430,
    })
    const reply = await call()
    expect(reply.status).toBe(200)
    expect(reply.headers).toMatchObject({
      'X-Fc-Error-Type': 'UnhandledInvocationError',
      'Content-Type': 'application/json',
    })
    expect(reply.json).toEqual({
      errorMessage: 'no',
      errorType: 'RangeError',
      stackTrace: ['RangeError: no', '    at f (/var/user/index.js:1:1)'],
    })
  })

  test('that fail in a way of their own bring that, and those of no words the type of the failure', async () => {
    fc.ending = said({ whatever: 1 })
    expect((await call()).json).toEqual({ whatever: 1 })
    fc.ending = { kind: 'threw', errorType: 'RangeError', handled: true, payload: EMPTY_PAYLOAD }
    const reply = await call()
    expect(reply.headers['X-Fc-Error-Type']).toBe('HandledInvocationError')
    expect(reply.json).toEqual({ errorMessage: '', errorType: 'RangeError' })
  })

  test.each<[string, Ending, string, RegExp]>([
    [
      'time out',
      { kind: 'timedOut', afterMs: 7000 },
      'UnhandledInvocationError',
      /timed out after 7 seconds/,
    ],
    [
      'exit',
      { kind: 'crashed', cause: 'exited', exitCode: 1 },
      'UnhandledInvocationError',
      /exited unexpect/,
    ],
    ['run out of memory', { kind: 'crashed', cause: 'outOfMemory' }, 'UnhandledInvocationError', /memory/],
    ['are ended by somebody', { kind: 'terminated' }, 'UnhandledInvocationError', /canceled/],
    [
      'cannot be loaded',
      {
        kind: 'initFailed',
        phase: 'load',
        reason: 'threw',
        errorType: 'ImportError',
        payload: payloadOf('{"errorMessage":"no module"}'),
      },
      'UnhandledInvocationError',
      /^no module$/,
    ],
    [
      'fail to initialise',
      {
        kind: 'initFailed',
        phase: 'initializer',
        reason: 'timedOut',
        errorType: 'Timeout',
        payload: EMPTY_PAYLOAD,
      },
      'InitializationError',
      /timed out/,
    ],
  ])('that %s are told like any other', async (_, ending, errorType, message) => {
    fc.ending = ending
    const reply = await call()
    expect([reply.status, reply.headers['X-Fc-Error-Type']]).toEqual([200, errorType])
    expect(reply.json['errorMessage']).toMatch(message)
  })

  test('that nobody waits for follow the settings of their qualifier', async () => {
    await publish()
    await putAlias('$DEFAULT', '1')
    const config = { maxAsyncRetryAttempts: 2, maxAsyncEventAgeInSeconds: 60, statefulInvocation: true }
    const put = await send('PUT', `${through('$DEFAULT')}/async-invoke-config`, config)
    expect([put.status, put.json['qualifier']]).toEqual([200, '$DEFAULT'])
    const headers = { 'x-fc-invocation-type': 'Async' }
    const reply = await send('POST', `${through('$DEFAULT')}/invocations`, 'event', headers)
    expect(reply.status).toBe(202)
    expect(await fc.store.tasks.claim(10, fc.clockMs, 60_000)).toMatchObject([
      {
        namespace: 'default',
        functionName: 'theirs',
        qualifier: '$DEFAULT',
        taskId: reply.headers['X-Fc-Request-Id'],
        maxRetries: 2,
        expiresAtMs: fc.clockMs + 60_000,
      },
    ])
    expect((await send('POST', `${through('v9')}/invocations`, 'event', headers)).status).toBe(404)
  })
})
