import * as fc from 'fast-check'
import { OPERATIONS, UNSUPPORTED } from '../../../src/dialects/alibaba-fc/operations.ts'
import { mostly, strangeSegment } from '../arbitrary.ts'
import { zipOf, type TestRequest } from './harness.ts'

const CODE = await zipOf()
const V1 = '/2016-08-15'
const V2 = '/2021-04-06'

const SEGMENTS: Readonly<Record<string, fc.Arbitrary<string>>> = {
  ':service': mostly(
    fc.constantFrom('demo', 'demo', 'demo', 'demo.1', 'demo.prod', 'demo.', 'demo.v1', 'demo.$DEFAULT'),
    strangeSegment,
  ),
  ':function': mostly(
    fc.constantFrom('hello', 'hello', 'hello', 'theirs', 'theirs', 'other'),
    strangeSegment,
  ),
  ':versionId': mostly(fc.constantFrom('1', '2'), strangeSegment),
  ':aliasName': mostly(fc.constantFrom('prod', 'test'), strangeSegment),
}

const known = Object.values(OPERATIONS).map(({ method, pattern }) => ({ method, pattern }))
const routes = [
  ...[...known, ...known, ...known],
  ...UNSUPPORTED.map(([, method, pattern]) => ({ method: method === 'ANY' ? 'GET' : method, pattern })),
  { method: 'POST', pattern: '/services/:service/functions/:function/invocations' },
  { method: 'POST', pattern: '/services/:service/functions/:function/invocations' },
  { method: 'GET', pattern: '/anvoke/code/:digest' },
  { method: 'GET', pattern: '/:any/:any' },
]

const path = fc.constantFrom(...routes).chain(({ method, pattern }) => {
  const parts = pattern
    .split('/')
    .map((part) => SEGMENTS[part] ?? (part.startsWith(':') ? strangeSegment : fc.constant(part)))
  const base = pattern.startsWith('/anvoke')
    ? fc.constant('')
    : mostly(fc.constantFrom(V1, V2), fc.constantFrom('', '/2023-03-30'))
  return fc.tuple(base, ...parts).map(([start, ...rest]) => ({ method, rawPath: start + rest.join('/') }))
})

const queryName = fc.constantFrom(
  ...[
    'qualifier',
    'limit',
    'nextToken',
    'startKey',
    'prefix',
    'direction',
    'tag_a',
    'resourceArn',
    'If-Match',
  ],
  ...['serviceName', 'config', 'expires', 'signature', 'x-fc-signature', '__proto__', '%', 'a'],
)
const queryValue = fc.oneof(
  fc.constantFrom('', '1', '100', 'prod', '%', 'BACKWARD', 'services/demo'),
  fc.string(),
)
const query = mostly(
  fc.constantFrom('', '', 'qualifier=1', 'qualifier=prod', 'limit=2', 'resourceArn=services/demo', 'tag_a=1'),
  fc
    .array(fc.tuple(queryName, queryValue), { maxLength: 4 })
    .map((pairs) => pairs.map(([name, value]) => `${name}=${value}`).join('&')),
  3,
)

const member = fc.constantFrom(
  ...[
    'serviceName',
    'functionName',
    'description',
    'runtime',
    'handler',
    'code',
    'zipFile',
    'timeout',
    'memorySize',
  ],
  ...[
    'cpu',
    'layers',
    'role',
    'logConfig',
    'nasConfig',
    'vpcConfig',
    'mountPoints',
    'environmentVariables',
    'customDNS',
  ],
  ...[
    'aliasName',
    'versionId',
    'additionalVersionWeight',
    'target',
    'scheduledActions',
    'targetTrackingPolicies',
  ],
  ...[
    'resourceArn',
    'tags',
    'tagKeys',
    'all',
    'maximumInstanceCount',
    'destinationConfig',
    'onSuccess',
    'destination',
  ],
  ...['maxAsyncRetryAttempts', 'tracingConfig', 'params', '__proto__', 'constructor', 'toString', 'x'],
)
const scalar = fc.oneof(
  fc.constantFrom(
    null,
    true,
    0,
    1,
    -1,
    3,
    128,
    1e308,
    '',
    'x',
    'nodejs20',
    'index.handler',
    'demo',
    'services/demo',
  ),
  fc.string(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
)
const jsonValue: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(member, tie('value'), { maxKeys: 5 }),
  ),
})).value

/** Bodies that operations accept, so that there is something to read, change and list. */
const goodBody = fc.constantFrom<unknown>(
  { serviceName: 'demo' },
  { serviceName: 'other', description: 'd', role: 'acs:ram::1:role/r' },
  { functionName: 'hello', runtime: 'nodejs20', handler: 'index.handler', code: { zipFile: CODE } },
  {
    functionName: 'other',
    runtime: 'python3.10',
    handler: 'index.handler',
    code: { zipFile: CODE },
    timeout: 9,
  },
  { aliasName: 'prod', versionId: '1' },
  { aliasName: 'test', versionId: '2', additionalVersionWeight: { 1: 0.5 } },
  { target: 1, scheduledActions: [], maximumInstanceCount: 2, maxAsyncRetryAttempts: 1, description: 'new' },
  { resourceArn: 'services/demo', tags: { a: '1' }, tagKeys: ['a'] },
  {},
)

const body: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 6, arbitrary: goodBody },
  {
    weight: 4,
    arbitrary: fc.dictionary(member, jsonValue, { maxKeys: 6 }).map((value) => JSON.stringify(value)),
  },
  fc.constant(undefined),
  fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  fc.string(),
)

const headers: fc.Arbitrary<Record<string, string>> = mostly(
  fc.constantFrom({}, {}, { 'x-fc-invocation-type': 'Async' }, { 'x-fc-log-type': 'Tail' }),
  fc.dictionary(
    fc.constantFrom(
      ...['x-fc-invocation-type', 'x-fc-log-type', 'x-fc-stateful-async-invocation-id', 'x-fc-async-task-id'],
      ...['x-fc-stateful-async-invocation-enable', 'x-fc-async-delay', 'x-fc-trace-id', 'x-fc-code-checksum'],
      ...['if-match', 'content-type', 'content-md5', 'host', 'x-fc-security-token'],
    ),
    fc.oneof(
      fc.constantFrom(
        'Async',
        'Sync',
        'Tail',
        'None',
        '"Async"',
        '"',
        'true',
        'false',
        '5',
        'order-1',
        '*',
        'W/"x"',
      ),
      fc.string({ maxLength: 20 }),
    ),
    { maxKeys: 4 },
  ),
  3,
)

/** Requests to every route: most of them well-formed, each part now and then garbage, a few unsigned. */
export const anyRequest: fc.Arbitrary<TestRequest> = fc
  .record({
    at: path,
    method: mostly(
      fc.constant(undefined),
      fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'),
    ),
    query,
    headers,
    body,
    garbage: mostly(fc.constant(undefined), fc.string()),
  })
  .map(({ at, method, query, headers, body, garbage }) => ({
    method: method ?? at.method,
    path: query === '' ? at.rawPath : `${at.rawPath}?${query}`,
    headers: garbage === undefined ? headers : { ...headers, authorization: garbage },
    body,
    unsigned: garbage !== undefined,
  }))
