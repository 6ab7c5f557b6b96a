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
import { F, openHarness, urnOf, type Harness } from './harness.ts'

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

const reserve = (version: string, body: unknown) =>
  api.put(`${F}/${urnOf('hello', version)}/reservedinstances`, body)
const counts = async (query = '') => (await api.get(`${F}/reservedinstances${query}`)).json
const configs = async (query = '') => (await api.get(`${F}/reservedinstanceconfigs${query}`)).json

const TACTICS = {
  cron_configs: [
    { name: 'c', cron: '0 */10 * * * ?', count: 2, start_time: 1_800_000_000, expired_time: 1_900_000_000 },
  ],
  metric_configs: [{ name: 'm', type: 'Concurrency', threshold: 50, min: 1 }],
}

test('reserved instances are listed by version and by alias', async () => {
  await api.post(`${F}/${HELLO}/aliases`, { name: 'prod', version: 'v1' })
  const answer = await reserve('latest', { count: 2, idle_mode: true, tactics_config: TACTICS })
  expect([answer.status, answer.json]).toEqual([200, { count: 2, idle_mode: true, tactics_config: TACTICS }])
  await reserve('!prod', { count: 1 })
  await reserve('v1', { count: 3 })
  expect(await counts()).toEqual({
    reservedinstances: [
      { func_urn: HELLO, count: 2 },
      { func_urn: urnOf('hello', '!prod'), count: 1 },
      { func_urn: urnOf('hello', 'v1'), count: 3 },
    ],
    count: 3,
    page_info: { previous_marker: 0, current_count: 3 },
  })
  expect((await configs('?limit=2'))['reserved_instances']).toEqual([
    {
      function_urn: HELLO,
      qualifier_type: 'version',
      qualifier_name: 'latest',
      min_count: 2,
      idle_mode: true,
      tactics_config: TACTICS,
    },
    {
      function_urn: urnOf('hello', '!prod'),
      qualifier_type: 'alias',
      qualifier_name: 'prod',
      min_count: 1,
      idle_mode: false,
      tactics_config: {},
    },
  ])
  expect((await configs('?limit=2'))['page_info']).toEqual({
    next_marker: 2,
    previous_marker: 0,
    current_count: 2,
  })
  expect((await api.get(`${F}/${HELLO}/config`)).json['reserved_instance_count']).toBe(2)
})

test('a list is narrowed to one function', async () => {
  await api.make('other')
  await reserve('latest', { count: 1 })
  expect((await counts(`?urn=${encodeURIComponent(urnOf('other'))}`))['count']).toBe(0)
  expect((await configs(`?function_urn=${HELLO}`))['count']).toBe(1)
  expect(refusal(await api.get(`${F}/reservedinstances?urn=none`))).toEqual([404, 'FSS.1051'])
})

test('none without tactics is no configuration', async () => {
  await reserve('latest', { count: 1 })
  await reserve('latest', { count: 0, tactics_config: TACTICS })
  expect((await counts())['count']).toBe(1)
  expect((await reserve('latest', { count: 0 })).json).toEqual({ count: 0, idle_mode: false })
  expect((await counts())['reservedinstances']).toEqual([])
})

test.each([
  [{}],
  [{ count: -1 }],
  [{ count: 1001 }],
  [{ count: 1, idle_mode: 7 }],
  [{ count: 1, tactics_config: { cron_configs: [{ cron: 'x', count: 1 }] } }],
  [{ count: 1, tactics_config: { cron_configs: [{ cron: '0 0 0 * * *' }] } }],
  [{ count: 1, tactics_config: { metric_configs: [{ threshold: 0, min: 1 }] } }],
])('refuses %j and changes nothing', async (body) => {
  const before = definitionsOf(server)
  expect(refusal(await reserve('latest', body))).toEqual([400, 'FSS.0400'])
  expect(definitionsOf(server)).toEqual(before)
})

test('reports know of the reserved instances that are ready now, and of no other figure', async () => {
  server.kept = { ready: 2 }
  await reserve('latest', { count: 3 })
  const { status, json } = await api.get(`${F}/${HELLO}/instancereports`)
  expect([status, Object.keys(json).sort()]).toEqual([200, ['instanceNum', 'reservedInstanceNum']])
  const unknown = Array(60).fill(-1)
  expect(pluck(json['instanceNum'], 'value')).toEqual(unknown)
  expect(pluck(json['reservedInstanceNum'], 'value')).toEqual([...unknown.slice(1), 2])
  const { json: none } = await api.get(`${F}/${urnOf('hello', 'v1')}/instancereports`)
  expect(pluck(none['reservedInstanceNum'], 'value').at(-1)).toBe(0)
})

test('an instance that was held is released', async () => {
  expect((await api.delete(`${F}/${HELLO}/reservedinstances/any`)).status).toBe(204)
  expect(refusal(await api.delete(`${F}/none/reservedinstances/any`))).toEqual([404, 'FSS.1051'])
})
