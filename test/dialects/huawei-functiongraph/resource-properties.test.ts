import * as fc from 'fast-check'
import { isDeepStrictEqual } from 'node:util'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { anyRequest } from './arbitrary-requests.ts'
import {
  clear,
  controlPlane,
  definitionsOf,
  HELLO,
  P,
  pluck,
  textOf,
  type ControlPlane,
} from './control-plane.ts'
import { ACCOUNT, F, functionBody, openHarness, PROJECT, urnOf, type Harness } from './harness.ts'
import { KEY_ID, SECRET } from './signing.ts'

let server: Harness
let api: ControlPlane
let token: string
beforeAll(async () => {
  server = await openHarness()
  api = controlPlane(server)
  const identity = { methods: ['hw_ak_sk'], hw_ak_sk: { access: { key: KEY_ID }, secret: { key: SECRET } } }
  const request = { method: 'POST', path: '/v3/auth/tokens', body: { auth: { identity } }, unsigned: true }
  token = (await server.send(request)).headers['X-Subject-Token'] ?? ''
})
afterAll(() => server.close())
afterEach(async () => {
  expect(server.observed).toEqual([])
  await clear(server)
})

test(
  'a request that is refused, or only reads, changes no definition; one that is taken leaves them whole',
  { timeout: 120_000 },
  async () => {
    let [refused, taken] = [0, 0]
    await fc.assert(
      fc.asyncProperty(anyRequest(token), async (request) => {
        if (server.catalogue.count('function', `${ACCOUNT}/default/LATEST/hello`) === 0) {
          await api.make('hello')
          await api.post(`${F}/${HELLO}/versions`, { version: 'v1' })
        }
        const before = definitionsOf(server)
        const { status } = await server.send(request)
        const mayChange = status < 400 && request.method !== 'GET'
        expect(mayChange || isDeepStrictEqual(definitionsOf(server), before)).toBe(true)
        if (mayChange) taken += 1
        else refused += 1
        requireWhole()
      }),
      { numRuns: 1500 },
    )
    expect([refused > 100, taken > 100]).toEqual([true, true])
  },
)

/** Every record belongs to something that is there. */
function requireWhole(): void {
  const { catalogue } = server
  const heads = new Set(
    catalogue
      .list('function', '')
      .flatMap(({ value }) => (value.version === 'LATEST' ? [`${value.namespace}/${value.name}`] : [])),
  )
  const owners = [
    ...catalogue.list('function', '').map(({ value }) => `${value.namespace}/${value.name}`),
    ...catalogue.list('version', '').map(({ value }) => `${value.namespace}/${value.functionName ?? ''}`),
    ...catalogue.list('alias', '').map(({ value }) => `${value.namespace}/${value.functionName ?? ''}`),
    ...catalogue.list('trigger', '').map(({ value }) => `${value.namespace}/${value.functionName}`),
    ...catalogue.list('asyncConfig', '').map(({ value }) => `${value.namespace}/${value.functionName}`),
    ...catalogue.list('provision', '').map(({ value }) => `${value.namespace}/${value.functionName}`),
    ...catalogue.list('scaling', '').map(({ value }) => `${value.namespace}/${value.functionName}`),
    ...catalogue.list('tags', '').map(({ value }) => value.resource),
    ...catalogue.list('document', '').flatMap(({ value }) => (value.owner === '' ? [] : [value.owner])),
  ]
  expect(owners.filter((owner) => !heads.has(owner))).toEqual([])
  for (const { value } of catalogue.list('alias', '')) {
    const target = {
      account: ACCOUNT,
      namespace: value.namespace,
      name: value.functionName ?? '',
      qualifier: value.name,
    }
    expect(() => catalogue.resolve(target)).not.toThrow()
  }
}

const text = (maxLength: number) => fc.string({ maxLength }).map((each) => each.toWellFormed())
const member = fc
  .string({ unit: fc.constantFrom('a', 'b', 'X', 'Z', '0', '9', '_'), minLength: 1, maxLength: 8 })
  .map((name) => `k${name}`)

const settings = fc.record(
  {
    timeout: fc.integer({ min: 3, max: 259_200 }),
    memory_size: fc.constantFrom(128, 256, 512, 768, 1024, 1280, 2048, 4096, 8192, 10_240),
    description: text(512),
    user_data: fc.dictionary(member, text(20), { maxKeys: 10 }).map((data) => JSON.stringify(data)),
    handler: fc.constantFrom('index.handler', 'src/app.main', 'a.b.c'),
    xrole: text(40),
    app_xrole: text(40),
    extend_config: text(40),
    initializer_handler: fc.constantFrom('index.init', 'a.b'),
    initializer_timeout: fc.integer({ min: 1, max: 300 }),
    pre_stop_handler: text(20),
    pre_stop_timeout: fc.integer({ min: 1, max: 90 }),
    ephemeral_storage: fc.constantFrom(512, 10_240),
    enable_dynamic_memory: fc.boolean(),
    is_stateful_function: fc.boolean(),
    enterprise_project_id: text(36),
    lts_custom_tag: fc.dictionary(member, text(10), { maxKeys: 10 }),
    strategy_config: fc.record({
      concurrency: fc.integer({ min: -1, max: 1000 }),
      concurrent_num: fc.constant(1),
    }),
    func_vpc: fc.record({
      vpc_id: text(20),
      subnet_id: text(20),
      security_groups: fc.array(text(10), { maxLength: 3 }),
    }),
    mount_config: fc.record({
      mount_user: fc.record({ user_id: fc.integer(), user_group_id: fc.integer() }),
      func_mounts: fc.constant([]),
    }),
  },
  { requiredKeys: ['initializer_handler', 'initializer_timeout'] },
)

test('what is written is read back, and writing what was read changes nothing', async () => {
  await api.make('hello')
  await fc.assert(
    fc.asyncProperty(settings, async (written) => {
      const { status, json } = await api.put(`${F}/${HELLO}/config`, written)
      expect([status, json]).toEqual([200, expect.objectContaining(written)])
      const before = server.catalogue.resolve({ account: ACCOUNT, namespace: 'default', name: 'hello' })
      const again = await api.put(`${F}/${HELLO}/config`, json)
      expect(again.json).toEqual(json)
      const after = server.catalogue.resolve({ account: ACCOUNT, namespace: 'default', name: 'hello' })
      expect(after.id).toBe(before.id)
    }),
    { numRuns: 100 },
  )
})

test('a function that is made with settings is as one that is given them later', async () => {
  const own = ['func_id', 'resource_id', 'func_urn', 'func_name', 'image_name', 'log_stream_id', 'digest']
  const code = ['code_filename', 'code_size']
  await fc.assert(
    fc.asyncProperty(settings, async (written) => {
      await clear(server)
      const made = (await api.post(F, functionBody('one', written))).json
      await api.make('two')
      const changed = (await api.put(`${F}/${urnOf('two')}/config`, written)).json
      const same = Object.fromEntries([...own, ...code].map((name) => [name, made[name]]))
      expect({ ...changed, ...same }).toEqual(made)
    }),
    { numRuns: 30 },
  )
})

test('user data reach the code as they are, whichever way they are split into plain and secret', async () => {
  await api.make('hello')
  const data = fc.dictionary(member, text(30), { maxKeys: 20 })
  await fc.assert(
    fc.asyncProperty(
      data,
      fc.array(fc.boolean(), { minLength: 20, maxLength: 20 }),
      async (values, isSecret) => {
        const entries = Object.entries(values)
        const part = (secret: boolean) =>
          Object.fromEntries(entries.filter((_, at) => isSecret[at] === secret))
        const user_data = JSON.stringify(part(false))
        const { json } = await api.put(`${F}/${HELLO}/config`, {
          user_data,
          encrypted_user_data: JSON.stringify(part(true)),
        })
        const { environment } = server.catalogue.resolve({
          account: ACCOUNT,
          namespace: 'default',
          name: 'hello',
        })
        expect([environment, json['user_data']]).toEqual([values, user_data])
        const shown: unknown = JSON.parse(textOf(json, 'encrypted_user_data'))
        expect(shown).toEqual(Object.fromEntries(Object.keys(part(true)).map((key) => [key, ''])))
      },
    ),
    { numRuns: 100 },
  )
})

test('the pages of a list hold each item once, in one order, whatever their length', async () => {
  for (let at = 0; at < 9; at += 1) await api.make(`f${at}`)
  const all = pluck((await api.get(F)).json['functions'], 'func_name')
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 12 }), async (length) => {
      const names: unknown[] = []
      let marker: unknown = 0
      do {
        const { json } = await api.get(`${F}?maxitems=${length}&marker=${String(marker)}`)
        names.push(...pluck(json['functions'], 'func_name'))
        marker = json['next_marker']
      } while (marker !== undefined)
      expect(names).toEqual(all)
    }),
    { numRuns: 12 },
  )
})

test('event data of any trigger are read back as they were written', async () => {
  await api.make('hello')
  const triggers = `${P}/fgs/triggers/${HELLO}`
  const value = fc.oneof(
    fc.integer(),
    fc.boolean(),
    text(20),
    fc.array(text(5), { maxLength: 3 }),
    fc.dictionary(member, text(5), { maxKeys: 3 }),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(fc.oneof(member, fc.constant('__proto__')), value, { maxKeys: 8 }),
      async (data) => {
        // As text: an object literal could not have that name of its own.
        const body = `{"trigger_type_code":"EVENTGRID","event_data":${JSON.stringify(data)}}`
        const { status, json, text: answer } = await api.post(triggers, body)
        expect(status).toBe(201)
        expect(JSON.stringify(json['event_data'])).toBe(JSON.stringify(data))
        const id = textOf(json, 'trigger_id')
        expect((await api.get(`${triggers}/EVENTGRID/${id}`)).text).toBe(answer)
        await api.delete(`${triggers}/EVENTGRID/${id}`)
      },
    ),
    { numRuns: 100 },
  )
})

test('the account and the project of a path are those of its answers', async () => {
  await api.make('hello')
  const other = `/v2/${'a'.repeat(32)}/fgs/functions`
  const { functions } = (await api.get(other)).json
  expect(pluck(functions, 'func_urn')).toEqual([HELLO.replace(PROJECT, 'a'.repeat(32))])
  expect(pluck(functions, 'namespace')).toEqual(['a'.repeat(32)])
})
