import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { publishNamespace } from '../../../src/definitions/publish.ts'
import { clear, controlPlane, HELLO, pluck, refusal, type ControlPlane } from './control-plane.ts'
import { ACCOUNT, F, openHarness, urnOf, type Harness } from './harness.ts'

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

const VERSIONS = `${F}/${HELLO}/versions`
let changes = 0

/** Publishes after a change, without which there would be nothing to publish. */
async function publish(version: string) {
  changes += 1
  server.clockMs += 1000
  await api.put(`${F}/${HELLO}/config`, { description: `change ${changes}` })
  return api.post(VERSIONS, { version })
}

describe('createFunctionVersion', () => {
  test('freezes the function, and answers with the version as it is read back', async () => {
    const { status, json } = await api.post(VERSIONS, { version: 'v1.0', description: 'first' })
    expect(status).toBe(200)
    expect(json).toMatchObject({
      func_urn: urnOf('hello', 'v1.0'),
      version: 'v1.0',
      version_description: 'first',
      last_modified: '2026-11-21T10:00:00Z',
      image_name: expect.stringMatching(/^v1\.0-261121100000@[0-9a-f]{5}$/),
    })
    await api.put(`${F}/${HELLO}/config`, { timeout: 99 })
    const read = (await api.get(`${F}/${urnOf('hello', 'v1.0')}/config`)).json
    expect(json).toMatchObject(read)
    expect(read['timeout']).toBe(3)
    expect(
      server.catalogue.resolve({ account: ACCOUNT, namespace: 'default', name: 'hello', qualifier: 'v1.0' })
        .timeoutMs,
    ).toBe(3000)
  })

  test('makes a name of the time when none is given, another within the same second', async () => {
    const first = await api.post(VERSIONS, {})
    await api.put(`${F}/${HELLO}/config`, { timeout: 5 })
    const second = await api.post(VERSIONS, {})
    expect([first.json['version'], second.json['version']]).toEqual([
      'v20261121-100000',
      'v20261121-100000-2',
    ])
  })

  test('publishes nothing twice', async () => {
    await api.post(VERSIONS, { version: 'v1' })
    expect(refusal(await api.post(VERSIONS, { version: 'v2' }))).toEqual([400, 'FSS.1016'])
    await api.put(`${F}/${HELLO}/config`, { timeout: 9 })
    expect((await api.post(VERSIONS, { version: 'v2' })).status).toBe(200)
  })

  test('shows the settings for asynchronous calls that the version has', async () => {
    await api.post(VERSIONS, { version: 'v1' })
    await api.put(`${F}/${urnOf('hello', 'v1')}/async-invoke-config`, { max_async_retry_attempts: 2 })
    const { versions } = (await api.get(VERSIONS)).json
    expect(pluck(versions, 'function_async_config')).toEqual([
      undefined,
      expect.objectContaining({ max_async_retry_attempts: 2 }),
    ])
  })

  test.each(['latest', 'LATEST', '-a', 'a/b', 'a'.repeat(43), 'ü'])(
    'refuses the name %j',
    async (version) => {
      expect(refusal(await api.post(VERSIONS, { version }))).toEqual([400, 'FSS.1015'])
    },
  )

  test('refuses a name that a version or an alias has', async () => {
    await publish('v1')
    expect(refusal(await publish('v1'))).toEqual([409, 'FSS.1062'])
    await api.post(`${F}/${HELLO}/aliases`, { name: 'prod', version: 'v1' })
    expect(refusal(await publish('prod'))).toEqual([409, 'FSS.1063'])
  })

  test('refuses the digest of other code, and takes any that is none of ours', async () => {
    expect(refusal(await api.post(VERSIONS, { digest: 'a'.repeat(128) }))).toEqual([400, 'FSS.0400'])
    const { digest } = (await api.get(`${F}/${HELLO}/config`)).json
    expect((await api.post(VERSIONS, { version: 'v1', digest })).status).toBe(200)
    await api.put(`${F}/${HELLO}/config`, { timeout: 9 })
    expect((await api.post(VERSIONS, { digest: 'd41d8cd98f00b204e9800998ecf8427e' })).status).toBe(200)
  })

  test('refuses the 21st version, the latest state counted', async () => {
    for (let at = 1; at < 20; at += 1) expect((await publish(`v${at}`)).status).toBe(200)
    expect(refusal(await publish('v20'))).toEqual([403, 'FSS.0403'])
  })
})

describe('listFunctionVersions', () => {
  test('begins with the latest state and goes on from the newest', async () => {
    for (const version of ['b', 'a', 'c']) await publish(version)
    const { json } = await api.get(VERSIONS)
    expect([pluck(json['versions'], 'version'), json['count']]).toEqual([['latest', 'c', 'a', 'b'], 4])
    expect(json).not.toHaveProperty('next_marker')
    const page = (await api.get(`${VERSIONS}?maxitems=2&marker=1`)).json
    expect([pluck(page['versions'], 'version'), page['next_marker']]).toEqual([['c', 'a'], 3])
    expect((await api.get(`${F}/${urnOf('hello', 'a')}/versions`)).json).toEqual(json)
  })

  test('has the versions that were published with the whole package', async () => {
    await server.catalogue.change((draft) => {
      const namespace = draft.get('namespace', `${ACCOUNT}/default`)
      if (namespace !== undefined)
        publishNamespace(draft, namespace, { description: 'all', nowMs: server.clockMs })
    })
    const { json } = await api.get(VERSIONS)
    expect(pluck(json['versions'], 'version')).toEqual(['latest', '1'])
    expect(refusal(await publish('1'))).toEqual([409, 'FSS.1062'])
    expect(refusal(await api.delete(`${F}/${urnOf('hello', '1')}`))).toEqual([404, 'FSS.1052'])
  })
})

describe('a version that is deleted', () => {
  beforeEach(async () => {
    for (const version of ['v1', 'v2']) await publish(version)
    await api.post(`${F}/${HELLO}/aliases`, { name: 'prod', version: 'v1' })
  })

  test('takes its aliases and triggers with it', async () => {
    const trigger = { trigger_type_code: 'SMN', event_data: { topic_urn: 't' } }
    const path = (urn: string) => F.replace('/functions', `/triggers/${urn}`)
    for (const version of ['latest', 'v1', '!prod', 'v2'])
      await api.post(path(urnOf('hello', version)), trigger)
    expect((await api.delete(`${F}/${urnOf('hello', '!prod')}`)).status).toBe(204)
    expect((await api.get(`${F}/${HELLO}/aliases`)).list).toEqual([])
    expect(
      server.catalogue
        .list('trigger', '')
        .map(({ value }) => value.qualifier)
        .sort(),
    ).toEqual(['LATEST', 'v2'])
    expect(pluck((await api.get(VERSIONS)).json['versions'], 'version')).toEqual(['latest', 'v2'])
  })

  test('is kept while an alias sends a share of calls to it', async () => {
    await api.put(`${F}/${HELLO}/aliases/prod`, { version: 'v1', additional_version_weights: { v2: 10 } })
    expect(refusal(await api.delete(`${F}/${urnOf('hello', 'v2')}`))).toEqual([403, 'FSS.1094'])
  })

  test('is not the latest state behind an alias', async () => {
    await api.post(`${F}/${HELLO}/aliases`, { name: 'head', version: 'latest' })
    expect(refusal(await api.delete(`${F}/${urnOf('hello', '!head')}`))).toEqual([400, 'FSS.1015'])
  })
})
