import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EngineError } from '../../../src/model/errors.ts'
import type { FunctionRecord, RecordKind } from '../../../src/store/definition-store.ts'
import { functionParams, openHarness, zipOf, type Harness, type TestReply } from './harness.ts'
import { ACCOUNT } from './signing.ts'

let server: Harness
const CODE = await zipOf()
const FunctionName = 'hello'

beforeEach(async () => {
  server = await openHarness()
  await server.call('CreateFunction', await functionParams(FunctionName))
  await server.call('PublishVersion', { FunctionName })
})
afterEach(() => server.close())

const KINDS: readonly RecordKind[] = [
  ...(['namespace', 'function', 'version', 'alias', 'asyncConfig', 'scaling'] as const),
  ...(['provision', 'tags', 'trigger', 'layer', 'document'] as const),
]

/** Which records there are, in which state. */
function definitionsOf({ catalogue }: Harness): string {
  return KINDS.flatMap((kind) =>
    catalogue.list(kind, '').map(({ key, revision }) => `${kind} ${key} ${revision}`),
  ).join('\n')
}

/** Values of no particular shape. */
const anything: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(
      null,
      true,
      false,
      0,
      -1,
      1.5,
      1e21,
      '',
      'x',
      '0',
      '{}',
      '[]',
      'TRUE',
      '\0',
      '\ud800',
      'a/b',
      '..',
    ),
    fc.string({ unit: 'binary' }),
    fc.double(),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(
      fc.oneof(fc.string(), fc.constantFrom('Key', 'Value', 'Version', '__proto__')),
      tie('value'),
      {
        maxKeys: 3,
      },
    ),
  ),
})).value

/** One of what clients usually send; now and then garbage. */
function among(...usual: readonly unknown[]): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...usual) }, { weight: 1, arbitrary: anything })
}

type Step = readonly [action: string, params: Record<string, unknown>]

/**
 * Steps of some actions. Each names a few of the parameters that the actions know, and nearly always those without which
 * none of them succeeds.
 */
function steps(
  actions: readonly string[],
  needed: Readonly<Record<string, fc.Arbitrary<unknown>>>,
  others: Readonly<Record<string, fc.Arbitrary<unknown>>>,
): fc.Arbitrary<readonly Step[]> {
  const some = fc
    .subarray(Object.keys(others), { maxLength: 3 })
    .chain((names) => fc.record(Object.fromEntries(names.map((name) => [name, others[name] ?? anything]))))
  const step = fc
    .tuple(fc.constantFrom(...actions), fc.record(needed), some, fc.nat(19))
    .map(([action, usual, more, chance]): Step => [action, { ...(chance === 0 ? {} : usual), ...more }])
  return fc.array(step, { minLength: 1, maxLength: 8 })
}

/** Runs steps; each is answered in the envelope and, when it is refused, changes nothing. */
async function run(steps: readonly Step[], after: (reply: TestReply, step: Step) => unknown): Promise<void> {
  for (const [action, params] of steps) {
    const before = definitionsOf(server)
    const given = { FunctionName, ...params }
    const reply = await server.call(action, given)
    expect(reply.status).toBe(200)
    expect(reply.response['RequestId']).toEqual(expect.any(String))
    expect(String(reply.code)).not.toMatch(/^InternalError/)
    expect(server.observed).toEqual([])
    if (reply.code !== undefined) expect(definitionsOf(server)).toBe(before)
    await after(reply, [action, given])
  }
}

async function holds(
  sequences: fc.Arbitrary<readonly Step[]>,
  after: (reply: TestReply, step: Step) => unknown,
): Promise<void> {
  const codes = new Set<unknown>()
  await fc.assert(
    fc.asyncProperty(sequences, (sequence) =>
      run(sequence, (reply, step) => {
        codes.add(reply.code)
        return after(reply, step)
      }),
    ),
    { numRuns: 250 },
  )
  // Some steps succeed, others are refused for several reasons.
  expect(codes.has(undefined)).toBe(true)
  expect(codes.size).toBeGreaterThan(3)
}

const states = (): readonly FunctionRecord[] =>
  server.catalogue.list('function', '').map(({ value }) => value)

describe('whatever is asked of', { timeout: 120_000 }, () => {
  test('functions, each of them can be shown, and runs within the limits', async () => {
    const names = among('hello', 'hello', 'other', 'third', 'has space')
    const sequences = steps(
      [
        'CreateFunction',
        'UpdateFunctionCode',
        'UpdateFunctionConfiguration',
        'UpdateFunctionConfiguration',
        'DeleteFunction',
        'ListFunctions',
        'GetFunctionAddress',
        'PublishVersion',
        'DeleteFunctionVersion',
        'ListVersionByFunction',
      ],
      {
        FunctionName: names,
        Code: among({ ZipFile: CODE }, { ZipFile: CODE }, { ZipFile: 'UEs=' }, { CosBucketName: 'b' }),
        Runtime: among('Nodejs18.15', 'Python3.10', 'Php7'),
        Handler: among('index.main_handler', 'a/b.c', '../../etc.passwd', ''),
      },
      {
        ZipFile: among(CODE, ''),
        Description: among('d', 'x'.repeat(1001)),
        MemorySize: among(64, 128, '256', 100, 4096),
        Timeout: among(1, '900', 901, 0),
        InitTimeout: among(1, 300, 301),
        Role: among('r', ''),
        Environment: among(
          { Variables: [{ Key: 'A', Value: '1' }] },
          { Variables: [{ Key: '', Value: '' }] },
          { Variables: [{ Key: 'SCF_A', Value: '1' }] },
        ),
        VpcConfig: among({ VpcId: 'v', SubnetId: 's' }, {}),
        PublicNetConfig: among({ PublicNetStatus: 'ENABLE', EipConfig: { EipStatus: 'DISABLE' } }),
        CfsConfig: among({ CfsInsList: [{ CfsId: 'c' }] }, { CfsInsList: [] }),
        DeadLetterConfig: among({ Type: 'CMQ-QUEUE', Name: 'q' }),
        ProtocolParams: among({ WSParams: { IdleTimeOut: 15 } }),
        InstanceConcurrencyConfig: among(
          { DynamicEnabled: 'TRUE', MaxConcurrency: 2 },
          { DynamicEnabled: '' },
        ),
        IntranetConfig: among({ IpFixed: 'ENABLE' }),
        Layers: among([], [{ LayerName: '', LayerVersion: 0 }], [{ LayerName: 'l', LayerVersion: 1 }]),
        Tags: among([{ Key: 'k', Value: 'v' }]),
        AsyncRunEnable: among('TRUE', 'FALSE'),
        TraceEnable: among('TRUE', 'FALSE'),
        DnsCache: among('TRUE', 'FALSE'),
        L5Enable: among('TRUE', 'FALSE'),
        Publish: among('TRUE', 'FALSE'),
        Qualifier: among('$LATEST', '1', '2', 'none'),
        Filters: among([{ Name: 'Role', Values: ['r'] }], [{ Name: 'tag-k', Values: ['v'] }]),
        Namespace: among('default', ''),
      },
    )
    await holds(sequences, async () => {
      for (const { name, version, spec } of states()) {
        const Qualifier = version === 'LATEST' ? '$LATEST' : version
        const shown = await server.call('GetFunction', { FunctionName: name, Qualifier, ShowCode: 'TRUE' })
        expect(shown.message).toBe(undefined)
        expect(spec.timeoutMs).toBeLessThanOrEqual(86_400_000)
        expect(spec.memoryMib).toBeLessThanOrEqual(3072)
        expect(Object.keys(spec.environment).every((key) => /^[A-Za-z]\w*$/.test(key))).toBe(true)
      }
      if (states().some(({ name, version }) => name === FunctionName && version === 'LATEST')) return
      await server.call('CreateFunction', await functionParams(FunctionName))
    })
  })

  test('aliases, each of them leads to a version that runs', async () => {
    const sequences = steps(
      [
        'CreateAlias',
        'UpdateAlias',
        'UpdateAlias',
        'GetAlias',
        'ListAliases',
        'DeleteAlias',
        'PublishVersion',
        'DeleteFunctionVersion',
      ],
      {
        Name: among('live', '$DEFAULT', 'other', '1', '$LATEST'),
        FunctionVersion: among('$LATEST', '1', '2', 'live'),
        Qualifier: among('1', '2', '$LATEST'),
      },
      {
        Description: among('d'),
        RoutingConfig: among(
          { AdditionalVersionWeights: [{ Version: '1', Weight: 0.5 }] },
          { AdditionalVersionWeights: [{ Version: '2', Weight: '1' }] },
          { AdditionalVersionWeights: [{ Version: '$LATEST', Weight: 0 }] },
          {
            AddtionVersionMatchs: [
              { Version: '2', Key: 'invoke.headers.u', Method: 'range', Expression: '(1,5]' },
            ],
          },
          { AdditionalVersionWeights: [] },
        ),
        Limit: among(20, '1'),
        Offset: among(0, '1'),
      },
    )
    await holds(sequences, async () => {
      for (const { value } of server.catalogue.list('alias', '')) {
        const target = { account: ACCOUNT, namespace: 'default', name: FunctionName, qualifier: value.name }
        const resolved = server.catalogue.resolve(target)
        expect([value.version, ...Object.keys(value.weights)]).toContain(resolved.version)
      }
      expect((await server.call('GetAlias', { FunctionName, Name: '$DEFAULT' })).message).toBe(undefined)
    })
  })

  test('namespaces, each of them is listed, and none with functions goes', async () => {
    const sequences = steps(
      ['CreateNamespace', 'UpdateNamespace', 'DeleteNamespace', 'ListNamespaces', 'CreateFunction'],
      {
        Namespace: among('n1', 'n2', 'default', 'n 3'),
        Description: among('d', ''),
        Code: among({ ZipFile: CODE }),
        Runtime: among('Nodejs18.15'),
        Handler: among('index.main_handler'),
      },
      {
        SearchKey: among([{ Key: 'Namespace', Value: 'n' }], []),
        Orderby: among('Name', 'Updatetime'),
        Order: among('ASC', 'DESC'),
        ResourceEnv: anything,
        Type: among('TCB'),
      },
    )
    await holds(sequences, async () => {
      const { response } = await server.call('ListNamespaces', { Limit: 1000 })
      const listed = response['Namespaces']
      const names = Array.isArray(listed) ? listed.map((one: { Name: string }) => one.Name) : []
      for (const { namespace } of states()) expect(names).toContain(namespace)
      expect(names).toContain('default')
    })
  })

  test('triggers, each of them is listed in its canonical form', async () => {
    const sequences = steps(
      [
        'CreateTrigger',
        'CreateTrigger',
        'UpdateTrigger',
        'UpdateTriggerStatus',
        'DeleteTrigger',
        'ListTriggers',
      ],
      {
        TriggerName: among('t1', 't2', 't3', 'a/b'),
        Type: among('timer', 'timer', 'cos', 'apigw', 'nothing'),
        TriggerDesc: among(
          '0 */5 * * * * *',
          '{"cron":"0 0 1 * * * *"}',
          '{"event":"cos:ObjectCreated:*"}',
          '{"event":1}',
          '61 * * * * * *',
        ),
        Enable: among('OPEN', 'CLOSE', 1, 0),
      },
      {
        CustomArgument: among('', 'x', 'x'.repeat(4097)),
        Description: among('', 'd'),
        Qualifier: among('$LATEST', '1', '$DEFAULT', '9'),
        Filters: among([{ Name: 'TriggerName', Values: ['t1'] }]),
        OrderBy: among('add_time', 'mod_time'),
      },
    )
    await holds(sequences, async () => {
      const { response, message } = await server.call('ListTriggers', { FunctionName, Limit: 1000 })
      expect(message).toBe(undefined)
      expect(response['TotalCount']).toBe(server.catalogue.count('trigger', ''))
      for (const { value } of server.catalogue.list('trigger', ''))
        expect([value.type, value.extras['tencent-scf']]).toEqual([
          value.type,
          expect.objectContaining({
            desc: expect.stringMatching(value.type === 'timer' ? /^\{"cron":"/ : /^/),
          }),
        ])
    })
  })

  test('layers, their numbers only grow, and functions keep what they are bound to', async () => {
    const published: unknown[] = []
    const sequences = steps(
      [
        'PublishLayerVersion',
        'GetLayerVersion',
        'DeleteLayerVersion',
        'ListLayers',
        'ListLayerVersions',
        'UpdateFunctionConfiguration',
      ],
      {
        LayerName: among('lib', 'lib', '1lib', 'a/b'),
        LayerVersion: among(1, '2', 0, -1),
        CompatibleRuntimes: among(['Nodejs18.15'], [], ['a b']),
        Content: among({ ZipFile: CODE }, { ZipFile: CODE }, {}),
      },
      {
        CompatibleRuntime: among('Nodejs18.15', ['Nodejs18.15']),
        Description: among('d'),
        LicenseInfo: among('MIT'),
        Tags: among([{ Key: 'k', Value: 'v' }]),
        SearchKey: among('l'),
        Layers: among(
          [{ LayerName: 'lib', LayerVersion: 1 }],
          [{ LayerName: 'lib', LayerVersion: '2' }],
          [{ LayerName: '', LayerVersion: 0 }],
        ),
      },
    )
    await holds(sequences, async ({ response, code }, [action, { LayerName }]) => {
      if (action === 'PublishLayerVersion' && code === undefined && LayerName === 'lib')
        published.push(response['LayerVersion'])
      expect(published).toEqual(published.map((_, index) => index + 1))
      const shown = await server.call('GetFunction', { FunctionName })
      expect(shown.response['Layers']).toHaveLength(
        states().find(({ version }) => version === 'LATEST')?.spec.layers?.length ?? 0,
      )
    })
  })

  test('concurrency, each state of a function is capped by its reserve', async () => {
    const sequences = steps(
      [
        'PutReservedConcurrencyConfig',
        'PutReservedConcurrencyConfig',
        'GetReservedConcurrencyConfig',
        'DeleteReservedConcurrencyConfig',
        'PutProvisionedConcurrencyConfig',
        'GetProvisionedConcurrencyConfig',
        'DeleteProvisionedConcurrencyConfig',
        'UpdateFunctionConfiguration',
        'PublishVersion',
        'DeleteFunctionVersion',
      ],
      {
        ReservedConcurrencyMem: among(0, 100, '1280', 128_000, 115_200),
        Qualifier: among('1', '2', '$LATEST', '$DEFAULT'),
        VersionProvisionedConcurrencyNum: among(0, 1, '2', 1e6),
      },
      {
        MemorySize: among(128, 256),
        TriggerActions: among([
          { TriggerName: 't', TriggerProvisionedConcurrencyNum: 1, TriggerCronConfig: '0 0 8 * * * *' },
        ]),
        ProvisionedType: among('Default'),
        TrackingTarget: among(0.5),
        MinCapacity: among(1),
        MaxCapacity: among(2),
      },
    )
    await holds(sequences, async () => {
      const { response } = await server.call('GetReservedConcurrencyConfig', { FunctionName })
      const mib = response['ReservedMem']
      for (const { version, spec } of states()) {
        const cap = server.catalogue.get('scaling', `${ACCOUNT}/default/${FunctionName}/${version}`)?.value
        expect(cap?.maxInstances).toBe(typeof mib === 'number' ? Math.floor(mib / spec.memoryMib) : undefined)
      }
    })
  })

  test('asynchronous calls and logs, every answer can be given', async () => {
    server.records.push({
      requestId: 'one',
      version: 'LATEST',
      endedAtMs: server.clockMs,
      ending: 'threw',
      durationMs: 1,
      billedDurationMs: 1,
      maxMemoryBytes: 1,
      retryCount: 0,
      log: 'log\n',
    })
    const interval = among({ Start: '2026-11-21 00:00:00', End: '2026-11-22 00:00:00' }, { Start: '' }, {})
    const sequences = steps(
      [
        'UpdateFunctionEventInvokeConfig',
        'GetFunctionEventInvokeConfig',
        'Invoke',
        'GetAsyncEventStatus',
        'ListAsyncEvents',
        'TerminateAsyncEvent',
        'GetRequestStatus',
        'GetFunctionLogs',
        'GetAccount',
      ],
      {
        AsyncTriggerConfig: among(
          { RetryConfig: [{ RetryNum: 1 }], MsgTTL: 600 },
          { RetryConfig: [{ ErrorCode: ['432'], RetryNum: -1 }] },
        ),
        InvocationType: among('Event'),
        InvokeRequestId: among('one', ''),
        FunctionRequestId: among('one', ''),
      },
      {
        InvokeType: among(['API'], []),
        Status: among(['RUNNING'], ['ABORTED', 'FAILED']),
        StartTimeInterval: interval,
        EndTimeInterval: interval,
        StartTime: among('2026-11-21 12:00:00', '', '2026-13-45 99:99:99'),
        EndTime: among('2026-11-21 19:00:00', ''),
        Orderby: among('StartTime', 'EndTime'),
        OrderBy: among('start_time', 'duration', 'mem_usage', 'function_name'),
        Order: among('ASC', 'desc'),
        Limit: among(0, 20, '100', 10_001),
        Offset: among(0, '5', 10_000),
        Filter: among({ RetCode: 'not0' }, { RetCode: 'is0' }, {}),
        SearchContext: among({ Offset: '', Limit: 1, Keyword: 'l' }),
        Qualifier: among('$LATEST', '1', '$DEFAULT', '9'),
        GraceShutdown: among(true, 'false'),
      },
    )
    await holds(sequences, () => undefined)
  })
})

test('a name leads nowhere after its function is gone, whatever it had', async () => {
  await server.call('CreateAlias', { FunctionName, Name: 'live', FunctionVersion: '1' })
  await server.call('DeleteFunction', { FunctionName })
  for (const qualifier of ['LATEST', '1', 'live'])
    expect(() =>
      server.catalogue.resolve({ account: ACCOUNT, namespace: 'default', name: FunctionName, qualifier }),
    ).toThrow(EngineError)
})
