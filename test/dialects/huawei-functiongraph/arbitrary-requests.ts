import * as fc from 'fast-check'
import { OPERATIONS, UNSUPPORTED } from '../../../src/dialects/huawei-functiongraph/operations.ts'
import { mostly, strangeSegment } from '../arbitrary.ts'
import { functionBody, PROJECT, urnOf, zipOf, type TestRequest } from './harness.ts'

const CODE = await zipOf()

const urn = mostly(
  fc.constantFrom(
    ...['latest', 'latest', 'latest', 'v1', '!prod', '!ruled', 'none', '!none'].map((version) =>
      urnOf('hello', version),
    ),
    ...[urnOf('theirs', 'latest', 'demo'), urnOf('theirs', '1', 'demo'), urnOf('other'), urnOf('none')],
    ...['hello', 'default:hello', `${PROJECT}:default:hello`, urnOf('hello').replace(/:latest$/, '')],
  ),
  strangeSegment,
)

const SEGMENTS: Readonly<Record<string, fc.Arbitrary<string>>> = {
  ':function_urn': urn,
  ':resource_type': mostly(fc.constant('functions'), strangeSegment),
  ':resource_id': urn,
  ':alias_name': mostly(fc.constantFrom('prod', 'ruled', 'test'), strangeSegment),
  ':action': mostly(fc.constantFrom('filter', 'count'), strangeSegment),
  ':period': mostly(fc.constantFrom('5', '1440', '2026-11-21T10:00:00Z'), strangeSegment),
  ':trigger_type_code': mostly(fc.constantFrom('TIMER', 'APIG', 'OBS'), strangeSegment),
  ':version': mostly(fc.constantFrom('1', '2', '0'), strangeSegment),
}

/** Ids that the server gave out are put in here by the test; any other one is unknown. */
export const givenIds: string[] = ['00000000-0000-4000-8000-000000000000']
const anyId = mostly(
  fc.nat({ max: 1000 }).map((at) => givenIds[at % givenIds.length] ?? ''),
  strangeSegment,
)

const known = Object.values(OPERATIONS).map(({ method, pattern }) => ({ method, pattern }))
const IAM = [
  ['GET', '/v3'],
  ['POST', '/v3/auth/tokens'],
  ['GET', '/v3/auth/tokens'],
  ['GET', '/v3/projects'],
  ['POST', '/v3/projects'],
  ['GET', '/v3/projects/:id'],
  ['GET', '/v3/regions/:id'],
  ['GET', '/v3/auth/domains'],
  ['POST', '/v3.0/OS-CREDENTIAL/securitytokens'],
] as const
const INVOKE = '/fgs/functions/:function_urn'
const routes = [
  ...[...known, ...known, ...known],
  ...UNSUPPORTED.map(([, method, pattern]) => ({ method: method === 'ANY' ? 'GET' : method, pattern })),
  ...IAM.map(([method, pattern]) => ({ method, pattern })),
  ...['invocations', 'invocations-async', 'reserved-invocations', 'invocations'].map((kind) => ({
    method: 'POST',
    pattern: `${INVOKE}/${kind}`,
  })),
  { method: 'GET', pattern: '/:any/:any' },
]

const queryName = fc.constantFrom(
  ...['marker', 'maxitems', 'limit', 'package_name', 'func_name', 'request_id', 'requests', 'status'],
  ...['query_begin_time', 'query_end_time', 'urn', 'function_urn', 'filter', 'option', 'period', 'type'],
  ...['config', 'code', 'ispublic', 'dependency_type', 'runtime', 'name', 'start_time', 'end_time'],
  ...['nocatalog', '__proto__', '%', 'a'],
)
const queryValue = fc.oneof(
  fc.constantFrom(
    '',
    '0',
    '1',
    '-1',
    '100',
    '99999999999999999999',
    '%',
    'true',
    'default',
    'SUCCESS',
    'FAIL',
  ),
  fc.constantFrom(
    'monitor_data',
    'monthly_report',
    '2026-11-21T09:00:00',
    urnOf('hello'),
    'all',
    'failcount',
  ),
  fc.string(),
)
const query = mostly(
  fc.constantFrom('', '', 'maxitems=2', 'filter=monitor_data', 'config=true&code=true', 'status=WAIT'),
  fc
    .array(fc.tuple(queryName, queryValue), { maxLength: 4 })
    .map((pairs) => pairs.map(([name, value]) => `${name}=${value}`).join('&')),
  3,
)

const member = fc.constantFrom(
  ...[
    'func_name',
    'package',
    'runtime',
    'timeout',
    'handler',
    'memory_size',
    'code_type',
    'code_url',
    'code_filename',
  ],
  ...['func_code', 'file', 'link', 'user_data', 'encrypted_user_data', 'depend_list', 'depend_version_list'],
  ...[
    'description',
    'xrole',
    'app_xrole',
    'func_vpc',
    'mount_config',
    'initializer_handler',
    'initializer_timeout',
  ],
  ...[
    'pre_stop_handler',
    'pre_stop_timeout',
    'type',
    'log_config',
    'enable_dynamic_memory',
    'lts_custom_tag',
    'tags',
  ],
  ...[
    'strategy_config',
    'concurrency',
    'concurrent_num',
    'max_instance_num',
    'custom_image',
    'network_controller',
  ],
  ...[
    'name',
    'version',
    'digest',
    'additional_version_weights',
    'additional_version_strategy',
    'combine_type',
  ],
  ...[
    'rules',
    'rule_type',
    'param',
    'op',
    'value',
    'v1',
    'max_async_event_age_in_seconds',
    'max_async_retry_attempts',
  ],
  ...['destination_config', 'on_success', 'destination', 'request_id', 'trigger_type_code', 'trigger_status'],
  ...[
    'event_data',
    'event_type_code',
    'schedule_type',
    'schedule',
    'user_event',
    'path',
    'req_method',
    'func_info',
  ],
  ...[
    'count',
    'idle_mode',
    'tactics_config',
    'cron_configs',
    'metric_configs',
    'cron',
    'start_time',
    'expired_time',
  ],
  ...[
    'depend_type',
    'depend_file',
    'depend_link',
    'content',
    'file_name',
    'file_type',
    'file_code',
    'matches',
  ],
  ...[
    'without_any_tag',
    'limit',
    'offset',
    'sys_tags',
    'key',
    'values',
    'action',
    'auth',
    'identity',
    'methods',
  ],
  ...[
    'password',
    'user',
    'scope',
    'project',
    'domain',
    'id',
    'token',
    '__proto__',
    'constructor',
    'toString',
    'x',
  ],
)
const scalar = fc.oneof(
  fc.constantFrom(
    null,
    true,
    false,
    0,
    1,
    -1,
    3,
    128,
    256,
    1e308,
    '',
    'x',
    '{}',
    '{"a":"b"}',
    '[',
    'zip',
    'inline',
  ),
  fc.constantFrom(
    'Node.js18.15',
    'index.handler',
    'default',
    'hello',
    'TIMER',
    'ACTIVE',
    '3m',
    '0 0 1 * * *',
    CODE,
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

const CONFIG = { runtime: 'Node.js18.15', timeout: 3, handler: 'index.handler', memory_size: 128 }
const TIMER = { name: 't', schedule_type: 'Rate', schedule: '3m', user_event: 'x' }
const DEPENDENCY = { name: 'dep', runtime: 'Node.js18.15', depend_type: 'zip', depend_file: CODE }

/** Bodies that operations accept, by what their paths end in: so that there is something to read, change and list. */
const GOOD: readonly (readonly [end: string, bodies: readonly object[]])[] = [
  [
    '/fgs/functions',
    [
      functionBody('other', { code_type: 'zip', code_filename: 'index.zip', func_code: { file: CODE } }),
      functionBody('more', { user_data: '{"a":"b"}', description: 'd', tags: '{"a":"1"}' }),
    ],
  ],
  [
    '/config',
    [CONFIG, { ...CONFIG, memory_size: 256, user_data: '{"a":"b"}', strategy_config: { concurrency: 5 } }],
  ],
  [
    '/code',
    [
      { code_type: 'inline', func_code: { file: Buffer.from('exports.handler = 1').toString('base64') } },
      { code_type: 'zip', func_code: { file: CODE } },
    ],
  ],
  ['/config-max-instance', [{ max_instance_num: 1 }, { max_instance_num: -1 }]],
  ['/versions', [{ version: 'v2', description: 'd' }, {}]],
  [
    '/aliases',
    [
      { name: 'test', version: 'latest', additional_version_weights: { v1: 50 } },
      { name: 'ruled', version: 'v1' },
    ],
  ],
  ['/:alias_name', [{ version: 'latest', description: 'new' }, { version: 'v1' }]],
  ['/async-invoke-config', [{ max_async_event_age_in_seconds: 60, max_async_retry_attempts: 1 }]],
  [
    '/triggers/:function_urn',
    [
      { trigger_type_code: 'TIMER', trigger_status: 'ACTIVE', event_data: TIMER },
      { trigger_type_code: 'OBS', event_data: { bucket: 'b', events: ['ObjectCreated'] } },
    ],
  ],
  ['/:trigger_id', [{ trigger_status: 'DISABLED' }, { trigger_status: 'ACTIVE', event_data: TIMER }]],
  ['/reservedinstances', [{ count: 1, idle_mode: false }, { count: 0 }]],
  ['/dependencies', [DEPENDENCY]],
  ['/dependencies/version', [DEPENDENCY]],
  ['/:depend_id', [DEPENDENCY]],
  ['/create', [{ action: 'create', tags: [{ key: 'a', value: '1' }] }]],
  ['/delete', [{ action: 'delete', tags: [{ key: 'a', value: '1' }] }]],
  ['/:action', [{ action: 'filter', limit: '10', offset: '0', matches: [] }]],
  ['/events', [{ name: 'event', content: Buffer.from('{}').toString('base64') }]],
  ['/:event_id', [{ content: Buffer.from('{"a":1}').toString('base64') }]],
  ['/import', [{ func_name: 'imported', file_name: 'imported.zip', file_type: 'zip', file_code: CODE }]],
  ['/cancel', [{ request_id: '00000000-0000-4000-8000-000000000000', type: 'force' }]],
  ['/query', [{ start_time: '0', end_time: '1900000000000', limit: '5' }]],
  ['/projects', [{ project: { name: 'eu-de' } }]],
]

function bodyFor(pattern: string): fc.Arbitrary<unknown> {
  const good = GOOD.find(([end]) => pattern.endsWith(end))?.[1] ?? [{}]
  const goodObject = fc.constantFrom(...good)
  const anything = fc.dictionary(member, jsonValue, { maxKeys: 5 })
  return fc.oneof(
    { weight: 6, arbitrary: goodObject },
    {
      weight: 5,
      arbitrary: fc
        .tuple(goodObject, anything)
        .map(([object, other]) => JSON.stringify({ ...object, ...other })),
    },
    { weight: 2, arbitrary: anything.map((value) => JSON.stringify(value)) },
    fc.constant(undefined),
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
    fc.string(),
  )
}

const headers: fc.Arbitrary<Record<string, string>> = mostly(
  fc.constantFrom({}, {}, { 'x-cff-log-type': 'tail' }, { 'x-cff-request-version': 'v1' }),
  fc.dictionary(
    fc.constantFrom(
      ...['x-cff-log-type', 'x-cff-request-version', 'x-cff-instance-memory', 'x-project-id', 'content-type'],
      ...['host', 'cookie', 'x-team', 'x-subject-token', 'x-security-token', 'x-sdk-date', 'x-request-id'],
    ),
    fc.oneof(
      fc.constantFrom('tail', 'v1', 'v0', '512', PROJECT, 'a', ';;=;', '*'),
      fc.string({ maxLength: 20 }),
    ),
    { maxKeys: 4 },
  ),
  3,
)

const path = fc.constantFrom(...routes).chain(({ method, pattern }) => {
  const parts = pattern
    .split('/')
    .map((part) => SEGMENTS[part] ?? (part.startsWith(':') ? anyId : fc.constant(part)))
  const base = pattern.startsWith('/v3')
    ? fc.constant('')
    : mostly(fc.constant(`/v2/${PROJECT}`), fc.constantFrom('', '/v2', `/v2/${'0'.repeat(32)}`, '/v2/%7B'))
  return fc
    .tuple(bodyFor(pattern), base, ...parts)
    .map(([body, start, ...rest]) => ({ method, rawPath: start + rest.join('/'), body }))
})

/** Requests to every route: most of them well-formed, each part now and then garbage, a few without credentials. */
export function anyRequest(token: string): fc.Arbitrary<TestRequest> {
  return fc
    .record({
      at: path,
      method: mostly(
        fc.constant(undefined),
        fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'),
      ),
      query,
      headers,
      garbage: mostly(fc.constant(undefined), fc.string(), 20),
    })
    .map(({ at, method, query, headers, garbage }) => ({
      method: method ?? at.method,
      path: query === '' ? at.rawPath : `${at.rawPath}?${query}`,
      headers,
      body: at.body,
      token: garbage ?? token,
    }))
}
