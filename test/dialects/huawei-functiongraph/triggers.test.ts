import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  clear,
  controlPlane,
  definitionsOf,
  HELLO,
  P,
  pluck,
  refusal,
  textOf,
  WHOLE,
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
beforeEach(() => api.make('hello'))
afterEach(async () => {
  expect(server.observed).toEqual([])
  await clear(server)
})

const triggersOf = (version: string): string => `${P}/fgs/triggers/${urnOf('hello', version)}`
const TRIGGERS = triggersOf('latest')
const TIMER = {
  name: 'Timer_001',
  schedule_type: 'Rate',
  schedule: '3m',
  user_event: 'text',
  sync_execution: false,
}

const timer = (data: object = {}, more: object = {}) =>
  api.post(TRIGGERS, {
    trigger_type_code: 'TIMER',
    trigger_status: 'ACTIVE',
    event_data: { ...TIMER, ...data },
    ...more,
  })

describe('a trigger', () => {
  test('is read back as it was made', async () => {
    const made = await timer()
    expect([made.status, made.json]).toEqual([
      201,
      {
        trigger_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        trigger_type_code: 'TIMER',
        trigger_status: 'ACTIVE',
        event_data: TIMER,
        last_updated_time: '2026-11-21T10:00:00Z',
        created_time: '2026-11-21T10:00:00Z',
      },
    ])
    expect((await api.get(`${TRIGGERS}/TIMER/${textOf(made.json, 'trigger_id')}`)).json).toEqual(made.json)
    expect((await api.get(TRIGGERS)).list).toEqual([made.json])
  })

  test.each([
    [
      'KAFKA',
      { topic_ids: ['t'], kafka_user: 'u', kafka_password: 'p', kafka_ssl_enable: true, batch_size: 10 },
      'DISABLED',
    ],
    ['DDS', { instance_id: 'i', db_name: 'd', collection_name: 'c', db_password: 'p' }, 'DISABLED'],
    ['OBS', { bucket: 'b', events: ['Put'], prefix: '', suffix: '.jpg', name: 'o' }, 'ACTIVE'],
    ['SMN', { topic_urn: 'urn:smn:r:p:t' }, 'ACTIVE'],
    ['LTS', { log_group_id: 'g', log_topic_id: 't' }, 'ACTIVE'],
    ['EVENTGRID', { channel_id: 'c', triggers: [{ unknown: { deep: [1] } }] }, 'ACTIVE'],
    [
      'DIS',
      { stream_name: 's', sharditerator_type: 'LATEST', is_serial: 'true', max_fetch_bytes: 1 },
      'ACTIVE',
    ],
  ])('of type %s keeps all its data', async (type, event_data, trigger_status) => {
    const { status, json } = await api.post(TRIGGERS, { trigger_type_code: type, event_data })
    expect([status, json]).toEqual([
      201,
      expect.objectContaining({ trigger_type_code: type, event_data, trigger_status }),
    ])
    expect((await api.get(`${TRIGGERS}/${type}/${textOf(json, 'trigger_id')}`)).json).toEqual(json)
  })

  test('of a gateway is given the ids of its API', async () => {
    const data = {
      name: 'api',
      type: 1,
      path: '/a',
      protocol: 'HTTPS',
      req_method: 'ANY',
      group_id: 'g',
      auth: 'NONE',
      func_info: { timeout: 5000 },
    }
    const { json } = await api.post(TRIGGERS, { trigger_type_code: 'APIG', event_data: data })
    expect(json['event_data']).toEqual({
      ...data,
      triggerid: json['trigger_id'],
      api_id: json['trigger_id'],
      api_name: 'api',
    })
  })

  test('belongs to the version or alias it was made through', async () => {
    await api.post(`${F}/${HELLO}/versions`, { version: 'v1' })
    await api.post(`${F}/${HELLO}/aliases`, { name: 'prod', version: 'v1' })
    for (const [version, name] of [
      ['latest', 'a'],
      ['v1', 'b'],
      ['!prod', 'c'],
    ] as const)
      await api.post(triggersOf(version), { trigger_type_code: 'TIMER', event_data: { ...TIMER, name } })
    const names = async (version: string) =>
      pluck(pluck((await api.get(triggersOf(version))).list, 'event_data'), 'name')
    expect([await names('latest'), await names('v1'), await names('!prod')]).toEqual([
      ['a', 'b', 'c'],
      ['b'],
      ['c'],
    ])
    expect((await api.delete(triggersOf('v1'))).status).toBe(204)
    expect(await names('latest')).toEqual(['a', 'c'])
    expect((await api.delete(`${P}/fgs/triggers/${WHOLE}`)).status).toBe(204)
    expect(await names('latest')).toEqual([])
  })

  test('is deleted by its id', async () => {
    const path = `${TRIGGERS}/TIMER/${textOf((await timer()).json, 'trigger_id')}`
    expect((await api.delete(path)).status).toBe(204)
    expect(refusal(await api.delete(path))).toEqual([404, 'FSS.1140'])
  })
})

describe('updateTrigger', () => {
  test('merges an object, and switches', async () => {
    const { json } = await timer()
    const path = `${TRIGGERS}/TIMER/${textOf(json, 'trigger_id')}`
    server.clockMs += 1000
    const changed = await api.put(path, { trigger_status: 'DISABLED', event_data: { schedule: '5m' } })
    expect([changed.status, changed.json]).toEqual([
      200,
      {
        ...json,
        trigger_status: 'DISABLED',
        event_data: { ...TIMER, schedule: '5m' },
        last_updated_time: '2026-11-21T10:00:01Z',
      },
    ])
    expect((await api.get(path)).json).toEqual(changed.json)
    expect((await api.put(path, { trigger_status: 'ACTIVE' })).json['trigger_status']).toBe('ACTIVE')
    server.clockMs -= 1000
  })

  test('merges a list of objects, as the vendor`s client sends it', async () => {
    const { json } = await api.post(TRIGGERS, {
      trigger_type_code: 'DIS',
      event_data: { stream_name: 's', polling_interval: 1 },
    })
    const update = { event_data: [{ is_serial: true, polling_interval: 30, polling_unit: 's' }] }
    const changed = await api.put(`${TRIGGERS}/DIS/${textOf(json, 'trigger_id')}`, update)
    expect(changed.json['event_data']).toEqual({
      stream_name: 's',
      is_serial: 'true',
      polling_interval: 30,
      polling_unit: 's',
    })
  })

  test('renames a timer to a name that is free', async () => {
    const { json } = await timer()
    await timer({ name: 'other' })
    const path = `${TRIGGERS}/TIMER/${textOf(json, 'trigger_id')}`
    expect((await api.put(path, { event_data: { name: 'new' } })).status).toBe(200)
    expect((await timer()).status).toBe(201)
    expect(refusal(await api.put(path, { event_data: { name: 'other' } }))).toEqual([409, 'FSS.1148'])
    expect((await api.get(TRIGGERS)).list).toHaveLength(3)
  })

  test('refuses what a timer cannot have, and changes nothing', async () => {
    const { json } = await timer()
    const before = definitionsOf(server)
    const path = `${TRIGGERS}/TIMER/${textOf(json, 'trigger_id')}`
    expect(
      refusal(await api.put(path, { trigger_status: 'DISABLED', event_data: { schedule: '61m' } })),
    ).toEqual([400, 'FSS.1109'])
    expect(refusal(await api.put(path, { trigger_status: 'OFF' }))).toEqual([400, 'FSS.0400'])
    expect(definitionsOf(server)).toEqual(before)
  })
})

describe('a refused trigger', () => {
  const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)])

  test.each<[string, string, unknown, number, string]>([
    ['of an unknown type', 'NONE', {}, 400, 'FSS.1101'],
    ['of a type in the wrong case', 'timer', TIMER, 400, 'FSS.1101'],
    ['without data', 'TIMER', undefined, 400, 'FSS.1109'],
    ['with data that are a text', 'TIMER', 'x', 400, 'FSS.1109'],
    ['without a name', 'TIMER', { ...TIMER, name: undefined }, 400, 'FSS.1109'],
    ['with a bad name', 'TIMER', { ...TIMER, name: '1' }, 400, 'FSS.1109'],
    ['with a bad kind of schedule', 'TIMER', { ...TIMER, schedule_type: 'At' }, 400, 'FSS.1109'],
    ['with a bad rate', 'TIMER', { ...TIMER, schedule: '61m' }, 400, 'FSS.1109'],
    ['with a bad cron', 'TIMER', { ...TIMER, schedule_type: 'Cron', schedule: '3m' }, 400, 'FSS.1109'],
    ['with an event too long', 'TIMER', { ...TIMER, user_event: 'x'.repeat(2049) }, 400, 'FSS.1109'],
    ['with a text where a list belongs', 'OBS', { events: 'Put' }, 400, 'FSS.1106'],
    ['with a number where a text belongs', 'SMN', { topic_urn: 7 }, 400, 'FSS.1102'],
    ['with a bad method', 'APIG', { req_method: 'FETCH' }, 400, 'FSS.1107'],
    ['with a timeout too long', 'APIG', { func_info: { timeout: 60_001 } }, 400, 'FSS.1107'],
    ['too deep', 'EVENTGRID', { a: nested(50) }, 400, 'FSS.0400'],
    ['too large', 'EVENTGRID', { a: 'x'.repeat(20_000) }, 400, 'FSS.0400'],
  ])('%s keeps nothing', async (_, trigger_type_code, event_data, status, code) => {
    expect(refusal(await api.post(TRIGGERS, { trigger_type_code, event_data }))).toEqual([status, code])
    expect(server.catalogue.count('trigger', '')).toBe(0)
  })

  test('is one of a type that is always on', async () => {
    const body = { trigger_type_code: 'OBS', trigger_status: 'DISABLED', event_data: {} }
    expect(refusal(await api.post(TRIGGERS, body))).toEqual([400, 'FSS.0400'])
  })

  test('is a timer whose name is taken', async () => {
    await timer()
    expect(refusal(await timer())).toEqual([409, 'FSS.1148'])
  })

  test('is the eleventh of a version', async () => {
    for (let at = 0; at < 10; at += 1) expect((await timer({ name: `t${at}` })).status).toBe(201)
    expect(refusal(await timer({ name: 't10' }))).toEqual([400, 'FSS.1306'])
  })

  test.each([
    ['TIMER', 'FSS.1140'],
    ['APIG', 'FSS.1138'],
    ['SMN', 'FSS.1132'],
    ['OBS', 'FSS.1136'],
    ['CTS', 'FSS.1131'],
    ['KAFKA', 'FSS.1174'],
  ])('of type %s that is not there is %s', async (type, code) => {
    const id = textOf((await timer()).json, 'trigger_id')
    expect(refusal(await api.get(`${TRIGGERS}/${type}/none`))).toEqual([404, code])
    const other = type === 'TIMER' ? 'other' : id
    expect(refusal(await api.get(`${TRIGGERS}/${type}/${other}`))).toEqual([404, code])
  })

  test('is one of a function that is not there', async () => {
    expect(refusal(await api.get(`${P}/fgs/triggers/${urnOf('none')}`))).toEqual([404, 'FSS.1051'])
  })
})
