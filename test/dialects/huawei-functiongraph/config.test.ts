import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { clear, controlPlane, definitionsOf, HELLO, refusal, type ControlPlane } from './control-plane.ts'
import { ACCOUNT, F, openHarness, PROJECT, urnOf, type Harness } from './harness.ts'

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

const CONFIG = `${F}/${HELLO}/config`
const running = () => server.catalogue.resolve({ account: ACCOUNT, namespace: 'default', name: 'hello' })
const maxInstances = (version = 'LATEST') =>
  server.catalogue.get('scaling', `${ACCOUNT}/default/hello/${version}`)?.value.maxInstances

describe('updateFunctionConfig', () => {
  test('changes what it names and leaves the rest', async () => {
    await api.put(CONFIG, { user_data: '{"a":"1"}', encrypted_user_data: '{"b":"2"}', description: 'one' })
    const before = (await api.get(CONFIG)).json
    server.clockMs += 5000
    const { status, json } = await api.put(CONFIG, { timeout: 10, memory_size: 256 })
    expect([status, json]).toEqual([
      200,
      {
        ...before,
        timeout: 10,
        memory_size: 256,
        cpu: 400,
        image_name: json['image_name'],
        last_modified: json['last_modified'],
      },
    ])
    expect(json['last_modified']).not.toBe(before['last_modified'])
    expect((await api.get(CONFIG)).json).toEqual(json)
    expect(running().environment).toEqual({ a: '1', b: '2' })
  })

  test('replaces user data, and takes them away', async () => {
    await api.put(CONFIG, { user_data: '{"a":"1"}', encrypted_user_data: '{"b":"2"}' })
    await api.put(CONFIG, { user_data: '{"c":"3"}' })
    expect(running().environment).toEqual({ b: '2', c: '3' })
    const { json } = await api.put(CONFIG, { user_data: '', encrypted_user_data: '' })
    expect([json['user_data'], json['encrypted_user_data'], running().environment]).toEqual(['', '', {}])
  })

  test('takes the public network away and gives it back', async () => {
    expect(running().network).toBe(undefined)
    await api.put(CONFIG, { network_controller: { disable_public_network: true } })
    expect(running().network).toBe('none')
    await api.put(CONFIG, { timeout: 4 })
    expect(running().network).toBe('none')
    await api.put(CONFIG, { network_controller: { disable_public_network: false } })
    expect(running().network).toBe(undefined)
  })

  test('sets and removes the initializer', async () => {
    const set = await api.put(CONFIG, { initializer_handler: 'index.init', initializer_timeout: 7 })
    expect(set.json).toMatchObject({ initializer_handler: 'index.init', initializer_timeout: 7 })
    await api.put(CONFIG, { timeout: 4 })
    expect(running().initializer).toEqual({ handler: 'index.init', timeoutMs: 7000 })
    await api.put(CONFIG, { initializer_handler: '' })
    expect(running().initializer).toBeUndefined()
  })

  test('starts new instances only for what code can tell', async () => {
    const { id } = running()
    await api.put(CONFIG, { description: 'said otherwise', extend_config: 'x' })
    expect(running().id).toBe(id)
    await api.put(CONFIG, { app_xrole: 'agency' })
    expect(running()).toMatchObject({ facts: { role: 'agency' } })
    expect(running().id).not.toBe(id)
    await api.put(CONFIG, { app_xrole: '', xrole: '' })
    expect(running().facts).toEqual({ projectId: PROJECT })
  })

  test('merges the strategy member by member', async () => {
    await api.put(CONFIG, { strategy_config: { concurrency: 5 } })
    const { json } = await api.put(CONFIG, { strategy_config: { concurrent_num: 1 } })
    expect([json['strategy_config'], maxInstances()]).toEqual([{ concurrency: 5, concurrent_num: 1 }, 5])
  })

  test('gives a larger disk', async () => {
    const { json } = await api.put(CONFIG, { ephemeral_storage: 10_240 })
    expect(json).toMatchObject({ ephemeral_storage: 10_240, allow_ephemeral_storage: true })
    expect(running().diskMib).toBe(10_240)
  })

  test('ignores the name of another function', async () => {
    expect((await api.put(CONFIG, { func_name: 'other' })).json['func_name']).toBe('hello')
  })

  test.each([
    [{ memory_size: 100 }, 'FSS.1007'],
    [{ timeout: 1 }, 'FSS.1008'],
    [{ runtime: 'PHP7.3' }, 'FSS.1005'],
    [{ ephemeral_storage: 1024 }, 'FSS.0400'],
    [{ strategy_config: { concurrency: -2 } }, 'FSS.1026'],
    [{ encrypted_user_data: '{"a":"1"}', user_data: '{"a":"2"}' }, 'FSS.1009'],
  ])('refuses %j and changes nothing', async (body, code) => {
    const before = definitionsOf(server)
    expect(refusal(await api.put(CONFIG, { description: 'new', ...body }))).toEqual([400, code])
    expect(definitionsOf(server)).toEqual(before)
  })

  test('is for the latest state alone', async () => {
    await api.post(`${F}/${HELLO}/versions`, { version: 'v1' })
    await api.post(`${F}/${HELLO}/aliases`, { name: 'prod', version: 'v1' })
    for (const version of ['v1', '!prod'])
      expect(refusal(await api.put(`${F}/${urnOf('hello', version)}/config`, { timeout: 5 }))).toEqual([
        400,
        'FSS.1015',
      ])
    expect(refusal(await api.put(`${F}/none/config`, {}))).toEqual([404, 'FSS.1051'])
  })
})

describe('updateFunctionMaxInstanceConfig', () => {
  const MAX = `${F}/${HELLO}/config-max-instance`

  test('caps, disables and frees the function', async () => {
    for (const [asked, kept] of [
      [10, 10],
      [0, 0],
      [-1, undefined],
    ] as const) {
      const { status, json } = await api.put(MAX, { max_instance_num: asked })
      expect([status, json['strategy_config']]).toEqual([200, { concurrency: asked, concurrent_num: 1 }])
      expect((await api.get(CONFIG)).json['strategy_config']).toEqual(json['strategy_config'])
      expect(maxInstances()).toBe(kept)
    }
  })

  test('caps a version for itself', async () => {
    await api.put(MAX, { max_instance_num: 10 })
    await api.post(`${F}/${HELLO}/versions`, { version: 'v1' })
    expect(maxInstances('v1')).toBe(10)
    await api.put(`${F}/${urnOf('hello', 'v1')}/config-max-instance`, { max_instance_num: 3 })
    expect([maxInstances(), maxInstances('v1')]).toEqual([10, 3])
  })

  test.each([{}, { max_instance_num: 1001 }, { max_instance_num: -2 }, { max_instance_num: 'x' }])(
    'refuses %j',
    async (body) => {
      expect(refusal(await api.put(MAX, body))).toEqual([400, 'FSS.0400'])
    },
  )
})

test('a configuration is read through a version and through an alias', async () => {
  await api.post(`${F}/${HELLO}/versions`, { version: 'v1', description: 'first' })
  await api.post(`${F}/${HELLO}/aliases`, { name: 'prod', version: 'v1' })
  await api.put(CONFIG, { timeout: 60 })
  const through = (await api.get(`${F}/${urnOf('hello', '!prod')}/config`)).json
  expect(through).toMatchObject({
    func_urn: urnOf('hello', 'v1'),
    version: 'v1',
    version_description: 'first',
    timeout: 3,
  })
  expect((await api.get(`${F}/${urnOf('hello', 'v1')}/config`)).json).toEqual(through)
})
