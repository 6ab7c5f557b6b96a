import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
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

const ALIASES = `${F}/${HELLO}/aliases`

describe('an alias', () => {
  test('is read back as it was made, through any version of its function', async () => {
    const written = { name: 'prod', version: 'v1', description: 'd', additional_version_weights: { v2: 30 } }
    const { status, json } = await api.post(`${F}/${urnOf('hello', 'v2')}/aliases`, written)
    expect([status, json]).toEqual([
      200,
      { ...written, last_modified: '2026-11-21T10:00:00Z', alias_urn: urnOf('hello', '!prod') },
    ])
    expect((await api.get(`${ALIASES}/prod`)).json).toEqual(json)
    expect((await api.get(ALIASES)).list).toEqual([json])
    expect(server.catalogue.get('alias', `${ACCOUNT}/default/hello/prod`)?.value.weights).toEqual({ v2: 0.3 })
  })

  test('shows every whole percent as it was written', async () => {
    await api.post(ALIASES, { name: 'prod', version: 'v1' })
    for (let percent = 0; percent <= 100; percent += 1) {
      const weights = { v2: percent }
      const { json } = await api.put(`${ALIASES}/prod`, {
        version: 'v1',
        additional_version_weights: weights,
      })
      expect(json['additional_version_weights']).toEqual(weights)
    }
  })

  test('keeps rules', async () => {
    const rules = [{ rule_type: 'header', param: 'x-a', op: 'in', value: 'a,b' }]
    const additional_version_strategy = { v2: { combine_type: 'and', rules } }
    const made = await api.post(ALIASES, { name: 'prod', version: 'v1', additional_version_strategy })
    expect(made.json).toMatchObject({ additional_version_strategy })
    expect((await api.get(`${ALIASES}/prod`)).json).toEqual(made.json)
  })

  test('loses what an update leaves out, but for the description', async () => {
    await api.post(ALIASES, {
      name: 'prod',
      version: 'v1',
      description: 'd',
      additional_version_weights: { v2: 1 },
    })
    const { status, json } = await api.put(`${ALIASES}/prod`, { version: 'v2' })
    expect([status, json]).toEqual([
      200,
      {
        name: 'prod',
        version: 'v2',
        description: 'd',
        last_modified: json['last_modified'],
        alias_urn: urnOf('hello', '!prod'),
      },
    ])
  })

  test('may be one of the latest state', async () => {
    const made = await api.post(ALIASES, {
      name: 'head',
      version: 'latest',
      additional_version_weights: { v1: 5 },
    })
    expect(made.json['version']).toBe('latest')
    const alias = server.catalogue.get('alias', `${ACCOUNT}/default/hello/head`)
    expect(alias?.value.version).toBe('LATEST')
  })

  test('leads calls to its version', async () => {
    await api.post(ALIASES, { name: 'prod', version: 'v1' })
    const target = { account: ACCOUNT, namespace: 'default', name: 'hello', qualifier: 'prod' }
    expect(server.catalogue.resolve(target).version).toBe('v1')
  })

  test('is deleted with its settings, but not while it has triggers', async () => {
    await api.post(ALIASES, { name: 'prod', version: 'v1' })
    await api.put(`${F}/${urnOf('hello', '!prod')}/reservedinstances`, { count: 1 })
    const triggers = `${F.replace('functions', 'triggers')}/${urnOf('hello', '!prod')}`
    await api.post(triggers, { trigger_type_code: 'SMN', event_data: {} })
    expect(refusal(await api.delete(`${ALIASES}/prod`))).toEqual([403, 'FSS.1154'])
    await api.delete(triggers)
    expect((await api.delete(`${ALIASES}/prod`)).status).toBe(204)
    expect(server.catalogue.count('provision', '')).toBe(0)
    expect(refusal(await api.get(`${ALIASES}/prod`))).toEqual([404, 'FSS.1053'])
  })
})

describe('a refused alias', () => {
  test.each([
    [{ name: '1a' }, 400, 'FSS.1014'],
    [{ name: 'latest' }, 400, 'FSS.1014'],
    [{ name: 'a'.repeat(64) }, 400, 'FSS.1014'],
    [{ name: undefined }, 400, 'FSS.1014'],
    [{ version: undefined }, 400, 'FSS.1015'],
    [{ version: 'v9' }, 404, 'FSS.1052'],
    [{ version: 'v2' }, 409, 'FSS.1066'],
    [{ name: 'taken' }, 409, 'FSS.1063'],
    [{ name: 'v1' }, 409, 'FSS.1062'],
    [{ additional_version_weights: { v9: 1 } }, 400, 'FSS.1091'],
    [{ additional_version_weights: { v2: 1, latest: 1 } }, 400, 'FSS.1091'],
    [{ additional_version_weights: { v2: 101 } }, 400, 'FSS.1092'],
    [{ additional_version_weights: { v2: -1 } }, 400, 'FSS.1092'],
    [{ additional_version_weights: { v2: null } }, 400, 'FSS.1092'],
    [{ additional_version_weights: [1] }, 400, 'FSS.1092'],
    [{ additional_version_weights: { v1: 1 } }, 400, 'FSS.1093'],
    [{ additional_version_strategy: { v2: { rules: 'x' } } }, 400, 'FSS.1091'],
    [{ additional_version_strategy: { v2: { combine_type: 'xor', rules: [] } } }, 400, 'FSS.1091'],
    [
      { additional_version_weights: { v2: 1 }, additional_version_strategy: { v2: { rules: [] } } },
      400,
      'FSS.1092',
    ],
    [{ description: 'x'.repeat(513) }, 400, 'FSS.1019'],
  ])('with %j changes nothing', async (more, status, code) => {
    await api.post(ALIASES, { name: 'taken', version: 'v2' })
    const before = definitionsOf(server)
    expect(refusal(await api.post(ALIASES, { name: 'prod', version: 'v1', ...more }))).toEqual([status, code])
    expect(definitionsOf(server)).toEqual(before)
  })

  test('is the eleventh of a function', async () => {
    for (let at = 3; at <= 11; at += 1) {
      await api.put(`${F}/${HELLO}/config`, { description: `v${at}` })
      await api.post(`${F}/${HELLO}/versions`, { version: `v${at}` })
    }
    for (let at = 1; at <= 10; at += 1)
      expect((await api.post(ALIASES, { name: `a${at}`, version: `v${at}` })).status).toBe(200)
    expect(refusal(await api.post(ALIASES, { name: 'a11', version: 'v11' }))).toEqual([403, 'FSS.1043'])
    expect(pluck((await api.get(ALIASES)).list, 'name')).toHaveLength(10)
  })

  test('is one of a function that is not there', async () => {
    expect(refusal(await api.post(`${F}/none/aliases`, { name: 'prod', version: 'v1' }))).toEqual([
      404,
      'FSS.1051',
    ])
    expect(refusal(await api.put(`${ALIASES}/none`, { version: 'v1' }))).toEqual([404, 'FSS.1053'])
    expect(refusal(await api.delete(`${ALIASES}/none`))).toEqual([404, 'FSS.1053'])
  })
})
