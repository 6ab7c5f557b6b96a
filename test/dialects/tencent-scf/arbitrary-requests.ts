import * as fc from 'fast-check'
import { API2, API3 } from '../../../src/dialects/tencent-scf/operations.ts'
import { mostly } from '../arbitrary.ts'
import { HOST, legacyRequest, tc3Request, zipOf, type RawRequest } from './harness.ts'
import { CLOCK_MS, flatten, SECRET_ID, signParameters, signTc3, VERSION } from './signing.ts'

const CODE = await zipOf()

const scalar = fc.oneof(
  fc.constantFrom(null, true, false, 0, 1, -1, 128, 1e308, '', 'x', '1', 'TRUE', 'false', '$LATEST', 'a.b'),
  fc.string(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
)

/** What an action's parameters usually hold, by their names, so that there is something to read, change and list. */
const USUAL: Readonly<Record<string, readonly unknown[]>> = {
  FunctionName: ['hello', 'hello', 'hello', 'other', 'made'],
  Namespace: ['default', 'default', 'ns', ''],
  Qualifier: ['$LATEST', '1', 'prod', '$DEFAULT', '2'],
  Name: ['prod', '$DEFAULT', 'other'],
  FunctionVersion: ['$LATEST', '1', '2'],
  Description: ['', 'text'],
  MemorySize: [128, '256', 64],
  Timeout: [3, '9'],
  Handler: ['index.main_handler'],
  Runtime: ['Nodejs18.15', 'Python3.9', 'Php7'],
  Code: [{ ZipFile: CODE }, { ZipFile: CODE }, { CosBucketName: 'b', CosObjectName: '/o' }],
  Content: [{ ZipFile: CODE }],
  ZipFile: [CODE],
  Publish: ['TRUE', 'FALSE'],
  Environment: [{ Variables: [{ Key: 'A', Value: '1' }] }, { Variables: [{ Key: '', Value: '' }] }],
  Layers: [[{ LayerName: 'layer', LayerVersion: 1 }], [{ LayerName: '', LayerVersion: 0 }]],
  Tags: [[{ Key: 'k', Value: 'v' }]],
  RoutingConfig: [
    { AdditionalVersionWeights: [{ Version: '1', Weight: 0.5 }] },
    { AddtionVersionMatchs: [{ Version: '1', Key: 'invoke.headers.u', Method: 'exact', Expression: 'x' }] },
  ],
  RoutingKey: ['{"u":"x"}', ''],
  InvocationType: ['RequestResponse', 'Event'],
  LogType: ['Tail', 'none'],
  ClientContext: ['{"a":1}', '[]', '"x"'],
  Event: ['{}'],
  LayerName: ['layer', 'other'],
  LayerVersion: [1, '2'],
  CompatibleRuntimes: [['Nodejs18.15']],
  CompatibleRuntime: [['Nodejs18.15'], 'Nodejs18.15'],
  TriggerName: ['tick', 'tock'],
  Type: ['timer', 'Event', 'http', 'cos'],
  TriggerDesc: ['0 0 * * * * *', '{"cron":"0 0 * * * * *"}', '{"AuthType":"NONE"}'],
  Enable: ['OPEN', 'CLOSE'],
  CustomArgument: ['message', ''],
  Offset: [0, '1'],
  Limit: [20, '1000'],
  Order: ['ASC', 'DESC'],
  Orderby: ['AddTime', 'FunctionName', 'Name', 'StartTime'],
  OrderBy: ['AddTime', 'add_time', 'duration'],
  SearchKey: ['h', [{ Key: 'Namespace', Value: 'n' }]],
  Filters: [[{ Name: 'Runtime', Values: ['Nodejs18.15'] }], [{ Name: 'tag-k', Values: ['v'] }]],
  Filter: [{ RetCode: 'is0' }],
  AsyncTriggerConfig: [{ RetryConfig: [{ RetryNum: 1 }], MsgTTL: 600 }],
  ReservedConcurrencyMem: [1280, '0'],
  VersionProvisionedConcurrencyNum: [1],
  TriggerActions: [
    [{ TriggerName: 't', TriggerProvisionedConcurrencyNum: 1, TriggerCronConfig: '0 0 0 1 1 * 2030' }],
  ],
  InvokeRequestId: ['00000000-0000-4000-8000-000000000000'],
  FunctionRequestId: ['00000000-0000-4000-8000-000000000000'],
  StartTime: ['2026-11-21 00:00:00'],
  EndTime: ['2026-11-21 12:00:00'],
  StartTimeInterval: [{ Start: '2026-11-21 00:00:00', End: '2026-11-22 00:00:00' }],
  Status: [['RUNNING'], ['FINISHED', 'FAILED']],
  AsyncRunEnable: ['FALSE', 'TRUE'],
  PublicNetConfig: [{ PublicNetStatus: 'ENABLE', EipConfig: { EipStatus: 'DISABLE' } }],
  InstanceConcurrencyConfig: [{ DynamicEnabled: 'TRUE', MaxConcurrency: 3 }, { DynamicEnabled: '' }],
  ForceDelete: ['true'],
  GraceShutdown: [false],
}

const name = fc.constantFrom(...Object.keys(USUAL))
const strangeName = fc.constantFrom(
  '__proto__',
  'constructor',
  'toString',
  'x',
  'ZipFile',
  'functionName',
  'Value',
)
const anyName = mostly(name, strangeName)
const anything: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(anyName, tie('value'), { maxKeys: 4 }),
  ),
})).value

/** The members that nearly every action needs, and some others, each now and then garbage. */
const params: fc.Arbitrary<Record<string, unknown>> = fc
  .array(name, { maxLength: 8 })
  .chain((names) => {
    const members = [...new Set(['FunctionName', ...names])].map((member) => {
      const usual = fc.constantFrom(...(USUAL[member] ?? ['']))
      return mostly(usual, anything).map((value) => [member, value] as const)
    })
    return fc.tuple(...members)
  })
  .map((entries) => Object.fromEntries(entries))

/** What makes the things that the others are about: deletions come as often as anything else. */
const making = fc
  .constantFrom('hello', 'other', 'made')
  .chain((FunctionName) =>
    fc.constantFrom<readonly [action: string, params: object]>(
      [
        'CreateFunction',
        { FunctionName, Runtime: 'Nodejs18.15', Handler: 'index.main_handler', Code: { ZipFile: CODE } },
      ],
      ['PublishVersion', { FunctionName }],
      ['CreateAlias', { FunctionName, Name: 'prod', FunctionVersion: '1' }],
      ['CreateTrigger', { FunctionName, TriggerName: 'tick', Type: 'timer', TriggerDesc: '0 0 * * * * *' }],
      [
        'PublishLayerVersion',
        { LayerName: 'layer', CompatibleRuntimes: ['Nodejs18.15'], Content: { ZipFile: CODE } },
      ],
      ['CreateNamespace', { Namespace: 'ns' }],
    ),
  )

const action = mostly(
  fc.constantFrom(...Object.keys(API3)),
  fc.constantFrom('', 'CopyFunction', 'GetDemoAddress', 'constructor', '__proto__', 'invoke'),
)
const legacyAction = mostly(
  fc.constantFrom(...Object.keys(API2)),
  fc.constantFrom('', 'Invoke', 'constructor'),
)

function decapitalised(given: object): object {
  return Object.fromEntries(
    Object.entries(given).map(([key, value]: [string, unknown]) => [
      key.charAt(0).toLowerCase() + key.slice(1),
      typeof value === 'object' && value !== null && !Array.isArray(value) ? decapitalised(value) : value,
    ]),
  )
}

function v1(method: 'GET' | 'POST', named: string, given: object, nonce: number): RawRequest {
  const common = {
    Action: named,
    Version: VERSION,
    Nonce: String(nonce),
    SecretId: SECRET_ID,
    Timestamp: String(CLOCK_MS / 1000),
  }
  const form = new URLSearchParams(
    signParameters(method, '/', { ...flatten(given), ...common }, HOST),
  ).toString()
  return method === 'GET'
    ? { method, query: form, headers: { host: HOST } }
    : { headers: { host: HOST, 'content-type': 'application/x-www-form-urlencoded' }, body: form }
}

function tc3Get(named: string, given: object): RawRequest {
  const query = new URLSearchParams(flatten(given)).toString()
  const headers: Record<string, string> = { ...tc3Request(named, {}, CLOCK_MS).headers }
  headers['authorization'] = signTc3({ method: 'GET', query, headers, body: Buffer.alloc(0) })
  return { method: 'GET', query, headers }
}

function multipart(named: string, given: object): RawRequest {
  const parts = Object.entries(flatten(given)).map(
    ([key, value]) =>
      `--b\r\nContent-Disposition: form-data; name="${key.replaceAll(/["\r\n]/g, '')}"\r\n\r\n${value}\r\n`,
  )
  const body = Buffer.from(`${parts.join('')}--b--\r\n`)
  return tc3Request(named, body, CLOCK_MS, { 'content-type': 'multipart/form-data; boundary=b' })
}

const nonce = fc.integer({ min: 0, max: 2 ** 31 })

const signed: fc.Arbitrary<RawRequest> = fc.oneof(
  { weight: 5, arbitrary: making.map(([named, value]) => tc3Request(named, value, CLOCK_MS)) },
  {
    weight: 6,
    arbitrary: fc.tuple(action, params).map(([named, value]) => tc3Request(named, value, CLOCK_MS)),
  },
  fc.tuple(action, params).map(([named, value]) => tc3Get(named, value)),
  fc.tuple(action, params).map(([named, value]) => multipart(named, value)),
  fc
    .tuple(fc.constantFrom('GET', 'POST'), action, params, nonce)
    .map(([method, named, value, number]) => v1(method, named, value, number)),
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom('GET', 'POST'), legacyAction, params, nonce)
      .map(([method, named, value, number]) =>
        legacyRequest(named, decapitalised(value), CLOCK_MS, number, method),
      ),
  },
  // Signed bytes of any kind.
  fc
    .tuple(
      action,
      fc.uint8Array({ maxLength: 60 }),
      fc.constantFrom('application/json', 'multipart/form-data; boundary=b', 'text/plain', ''),
    )
    .map(([named, bytes, type]) =>
      tc3Request(named, Buffer.from(bytes), CLOCK_MS, type === '' ? {} : { 'content-type': type }),
    ),
  fc.tuple(action, anything).map(([named, value]) => tc3Request(named, Object(value), CLOCK_MS)),
)

const spoiling: fc.Arbitrary<Partial<RawRequest>> = fc.oneof(
  fc.record({ method: fc.constantFrom('GET', 'PUT', 'OPTIONS', 'POST') }),
  fc.record({ path: fc.constantFrom('/', '/v2/index.php', '/x', '/v2/index.php/') }),
  fc.record({ query: fc.string() }),
  fc.record({ body: fc.string() }),
)
const strangeHeaders = fc.dictionary(
  fc.constantFrom(
    'authorization',
    'host',
    'x-tc-timestamp',
    'x-tc-version',
    'x-tc-region',
    'x-tc-token',
    'x-tc-traceid',
    'content-type',
  ),
  fc.oneof(fc.string(), fc.constantFrom('SKIP', 'TC3-HMAC-SHA256 x', '0', VERSION)),
  { maxKeys: 2 },
)

/** Requests for every action by every way: most of them in order, each part now and then garbage. */
export const anyRequest: fc.Arbitrary<RawRequest> = mostly(
  signed,
  fc.tuple(signed, spoiling, strangeHeaders).map(([request, spoilt, headers]) => ({
    ...request,
    ...spoilt,
    headers: { ...request.headers, ...headers },
  })),
  5,
)
