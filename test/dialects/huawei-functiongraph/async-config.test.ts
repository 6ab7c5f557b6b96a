import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  clear,
  controlPlane,
  definitionsOf,
  HELLO,
  pluck,
  refusal,
  type ControlPlane,
} from './control-plane.ts'
import { ACCOUNT, F, openHarness, urnOf, type Harness } from './harness.ts'

let server: Harness
let api: ControlPlane
beforeAll(async () => {
  server = await openHarness()
  api = controlPlane(server)
})
afterAll(() => server.close())
beforeEach(async () => {
  await api.make('hello')
  for (const version of ['v1', 'v2']) {
    await api.put(`${F}/${HELLO}/config`, { description: version })
    await api.post(`${F}/${HELLO}/versions`, { version })
  }
})
afterEach(async () => {
  expect(server.observed).toEqual([])
  await clear(server)
})

const CONFIG = `${F}/${HELLO}/async-invoke-config`

test('settings are read back as they were written, with the time they were made', async () => {
  const written = {
    max_async_event_age_in_seconds: 600,
    max_async_retry_attempts: 3,
    destination_config: {
      on_success: { destination: 'OBS', param: '{"bucket":"results", "prefix":"/p","expires":3}' },
      on_failure: { destination: 'FunctionGraph', param: JSON.stringify({ func_urn: HELLO }) },
    },
    enable_async_status_log: true,
    log_group_id: 'g',
  }
  const first = await api.put(CONFIG, written)
  const times = { created_time: '2026-11-21T10:00:00Z', last_modified: '2026-11-21T10:00:00Z' }
  expect([first.status, first.json]).toEqual([200, { func_urn: HELLO, ...written, ...times }])
  expect((await api.get(CONFIG)).json).toEqual(first.json)
  const { maxRetries, maxAgeMs } =
    server.catalogue.get('asyncConfig', `${ACCOUNT}/default/hello/LATEST`)?.value ?? {}
  expect([maxRetries, maxAgeMs]).toEqual([3, 600_000])
  server.clockMs += 1000
  const second = await api.put(CONFIG, { max_async_retry_attempts: 0 })
  expect(second.json).toEqual({
    func_urn: HELLO,
    max_async_event_age_in_seconds: 3600,
    max_async_retry_attempts: 0,
    destination_config: {},
    enable_async_status_log: false,
    ...times,
    last_modified: '2026-11-21T10:00:01Z',
  })
  server.clockMs -= 1000
})

test('each version has its own, an alias stands for its version', async () => {
  await api.post(`${F}/${HELLO}/aliases`, { name: 'prod', version: 'v1' })
  await api.put(`${F}/${urnOf('hello', '!prod')}/async-invoke-config`, { max_async_retry_attempts: 2 })
  const { json } = await api.get(`${F}/${urnOf('hello', 'v1')}/async-invoke-config`)
  expect([json['func_urn'], json['max_async_retry_attempts']]).toEqual([urnOf('hello', 'v1'), 2])
  expect(refusal(await api.get(CONFIG))).toEqual([404, 'FSS.0404'])
})

test('a list tells of its pages', async () => {
  for (const version of ['latest', 'v1', 'v2'])
    await api.put(`${F}/${urnOf('hello', version)}/async-invoke-config`, {})
  const page = async (query: string) => {
    const { async_invoke_configs, ...rest } = (await api.get(`${CONFIG}s${query}`)).json
    return [pluck(async_invoke_configs, 'func_urn').map((urn) => String(urn).split(':').at(-1)), rest]
  }
  expect(await page('')).toEqual([
    ['latest', 'v1', 'v2'],
    { count: 3, page_info: { previous_marker: 0, current_count: 3 } },
  ])
  expect(await page('?limit=2')).toEqual([
    ['latest', 'v1'],
    { count: 3, page_info: { next_marker: 2, previous_marker: 0, current_count: 2 } },
  ])
  expect(await page('?limit=2&marker=2')).toEqual([
    ['v2'],
    { count: 3, page_info: { previous_marker: 0, current_count: 1 } },
  ])
})

test('settings that are deleted are gone', async () => {
  await api.put(CONFIG, {})
  expect((await api.delete(CONFIG)).status).toBe(204)
  expect(refusal(await api.get(CONFIG))).toEqual([404, 'FSS.0404'])
  expect(refusal(await api.delete(CONFIG))).toEqual([404, 'FSS.0404'])
})

test.each([
  [{ max_async_event_age_in_seconds: 0 }],
  [{ max_async_event_age_in_seconds: 86_401 }],
  [{ max_async_retry_attempts: 4 }],
  [{ max_async_retry_attempts: 'x' }],
  [{ destination_config: 'x' }],
  [{ destination_config: { on_success: { destination: 'MQ', param: '{}' } } }],
  [{ destination_config: { on_success: { destination: 'SMN', param: '{}' } } }],
  [{ destination_config: { on_success: { destination: 'SMN', param: 'x' } } }],
  [{ destination_config: { on_success: { destination: 'SMN', param: { topic_urn: 't' } } } }],
  [{ destination_config: { on_failure: { destination: 'OBS', param: '{"bucket":"bbb","expires":366}' } } }],
  [{ destination_config: { on_failure: { destination: 'OBS', param: '{"bucket":"No"}' } } }],
  [{ destination_config: { on_failure: { destination: 'OBS', param: '{"bucket":"bbb","prefix":5}' } } }],
  [{ destination_config: { on_failure: { destination: 'SMN', param: '{"topic_urn":"urn:smn:r:p:t:x"}' } } }],
  [{ destination_config: { on_failure: { destination: 'DIS', param: '{"stream_name":"a/b"}' } } }],
  [
    {
      destination_config: { on_failure: { destination: 'FunctionGraph', param: '{"func_urn":"urn:fss:x"}' } },
    },
  ],
  [
    {
      destination_config: {
        on_failure: {
          destination: 'FunctionGraph',
          param: JSON.stringify({ func_urn: `urn:fss:r:${'0'.repeat(32)}:function:default:hello` }),
        },
      },
    },
  ],
  ...[
    'acs:fc:cn-hangzhou:999:services/default/functions/hello',
    `acs:fc:cn-hangzhou:${ACCOUNT}:functions/hello`,
    'qcs::scf:ap-guangzhou:uin/999:namespace/default/function/hello',
  ].map((func_urn): [{ destination_config: object }] => [
    {
      destination_config: {
        on_failure: { destination: 'FunctionGraph', param: JSON.stringify({ func_urn }) },
      },
    },
  ]),
  [{ destination_config: { on_failure: { destination: '__proto__', param: '{}' } } }],
])('refuses %j and changes nothing', async (body) => {
  const before = definitionsOf(server)
  expect(refusal(await api.put(CONFIG, body))).toEqual([400, 'FSS.0400'])
  expect(definitionsOf(server)).toEqual(before)
})
