import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ensureNamespace } from '../../../src/definitions/namespaces.ts'
import { functionKey } from '../../../src/engine/keys.ts'
import { clear, controlPlane, HELLO, pluck, refusal, WHOLE, type ControlPlane } from './control-plane.ts'
import {
  ACCOUNT,
  F,
  functionBody,
  openHarness,
  PROJECT,
  REGION,
  urnOf,
  zipOf,
  type Harness,
} from './harness.ts'

let server: Harness
let api: ControlPlane
beforeAll(async () => {
  server = await openHarness()
  api = controlPlane(server)
})
afterAll(() => server.close())
afterEach(async () => {
  expect(server.observed).toEqual([])
  await clear(server)
})

/** Members that the vendor's Go client cannot do without in a list, with the types it reads. */
const REQUIRED: Readonly<Record<string, 'string' | 'number'>> = {
  func_urn: 'string',
  func_name: 'string',
  domain_id: 'string',
  namespace: 'string',
  project_name: 'string',
  package: 'string',
  runtime: 'string',
  timeout: 'number',
  handler: 'string',
  memory_size: 'number',
  cpu: 'number',
  code_type: 'string',
  code_size: 'number',
  digest: 'string',
  version: 'string',
  image_name: 'string',
  last_modified: 'string',
}

describe('createFunction', () => {
  test('answers with the function as it is read back', async () => {
    const made = await api.make('hello')
    expect((await api.get(`${F}/${HELLO}/config`)).json).toEqual(made.json)
    expect(made.json).toMatchObject({
      func_urn: HELLO,
      func_name: 'hello',
      package: 'default',
      namespace: PROJECT,
      project_name: REGION,
      domain_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      func_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      runtime: 'Node.js18.15',
      timeout: 3,
      handler: 'index.handler',
      memory_size: 128,
      cpu: 300,
      code_type: 'inline',
      code_filename: 'index.js',
      digest: expect.stringMatching(/^[0-9a-f]{128}$/),
      version: 'latest',
      image_name: expect.stringMatching(/^latest-261121100000@[0-9a-f]{5}$/),
      last_modified: '2026-11-21T10:00:00Z',
      user_data: '',
      encrypted_user_data: '',
      strategy_config: { concurrency: 400, concurrent_num: 1 },
      depend_version_list: [],
      dependencies: [],
      type: 'v2',
      long_time: false,
      enable_cloud_debug: 'DISABLED',
      ephemeral_storage: 512,
      reserved_instance_count: 0,
    })
    expect(made.json).not.toHaveProperty('version_description')
  })

  test('keeps every setting as it was written', async () => {
    const written = {
      package: 'app',
      description: 'says hello',
      timeout: 30,
      memory_size: 512,
      user_data: '{"region":"eu", "count":3}',
      xrole: 'config-agency',
      app_xrole: 'run-agency',
      initializer_handler: 'index.init',
      initializer_timeout: 10,
      pre_stop_handler: 'index.stop',
      pre_stop_timeout: 5,
      func_vpc: { vpc_id: 'v', subnet_id: 's', security_groups: ['g'], is_safety: true },
      mount_config: {
        mount_user: { user_id: -1, user_group_id: -1 },
        func_mounts: [
          { mount_type: 'sfs', mount_resource: 'r', mount_share_path: '/a', local_mount_path: '/mnt' },
        ],
      },
      network_controller: {
        disable_public_network: true,
        trigger_access_vpcs: [{ vpc_name: 'n', vpc_id: 'v' }],
      },
      custom_image: { enabled: false, image: 'i' },
      domain_names: '[]',
      enable_dynamic_memory: true,
      is_stateful_function: true,
      enable_lts_log: true,
      lts_custom_tag: { team: 'a' },
      enterprise_project_id: '0',
      type: 'v1',
      gpu_memory: 1024,
      gpu_type: 'nvidia-t4',
      user_data_encrypt_kms_key_id: 'k1',
      code_encrypt_kms_key_id: 'k2',
    }
    const made = await api.make('hello', written)
    const read = await api.get(`${F}/${urnOf('hello', 'latest', 'app')}/config`)
    expect(read.json).toEqual(made.json)
    expect(read.json).toMatchObject(written)
    expect(read.json['cpu']).toBe(600)
    const version = server.catalogue.resolve({ account: ACCOUNT, namespace: 'app', name: 'hello' })
    expect(version).toMatchObject({
      contract: 'huawei-functiongraph',
      timeoutMs: 30_000,
      memoryMib: 512,
      environment: { region: 'eu', count: '3' },
      initializer: { handler: 'index.init', timeoutMs: 10_000 },
      network: 'none',
      facts: { projectId: PROJECT, role: 'run-agency' },
    })
  })

  test('shows secret user data blank and gives them to the code', async () => {
    const made = await api.make('hello', {
      encrypted_user_data: '{"password":"s3cret"}',
      user_data: '{"a":"b"}',
    })
    expect(made.json).toMatchObject({ user_data: '{"a":"b"}', encrypted_user_data: '{"password":""}' })
    expect(made.text).not.toContain('s3cret')
    const version = server.catalogue.resolve({ account: ACCOUNT, namespace: 'default', name: 'hello' })
    expect(version.environment).toEqual({ a: 'b', password: 's3cret' })
  })

  test('takes an empty package for the default one, and makes tags', async () => {
    await api.make('hello', { package: '', tags: '{"team":"a"}' })
    expect((await api.get(`/v2/${PROJECT}/functions/${HELLO}/tags`)).json['tags']).toEqual([
      { key: 'team', value: 'a' },
    ])
  })

  test('makes sample code of an empty inline file, in the language and for the handler', async () => {
    await api.make('node', { handler: 'src/app.main', func_code: { file: '' } })
    await api.make('python', { runtime: 'Python3.9', handler: 'app.main', func_code: { file: '' } })
    const codeOf = async (name: string) => {
      const { json } = await api.get(`${F}/${urnOf(name)}/code`)
      const { file } = json['func_code'] as { file: string }
      return [json['code_filename'], Buffer.from(file, 'base64').toString()]
    }
    expect(await codeOf('node')).toEqual(['src/app.js', expect.stringContaining('exports.main =')])
    expect(await codeOf('python')).toEqual(['app.py', expect.stringContaining('def main (event, context):')])
  })

  test('accepts code that is elsewhere without fetching it', async () => {
    const body = { code_type: 'zip', code_url: 'https://b.obs.example/code.zip', func_code: undefined }
    const made = await api.make('hello', body)
    expect(made.json).toMatchObject({ code_type: 'zip', code_url: body.code_url, code_filename: 'index.zip' })
    await api.make('other', { ...body, code_type: 'obs', code_filename: 'code.zip' })
    const { json } = await api.get(`${F}/${urnOf('other')}/code`)
    expect(json).toMatchObject({ code_type: 'obs', code_url: body.code_url, code_filename: 'code.zip' })
  })

  test.each<[string, unknown, number, string]>([
    ['func_name', '1a', 400, 'FSS.1002'],
    ['func_name', 'a-', 400, 'FSS.1002'],
    ['func_name', 'a'.repeat(61), 400, 'FSS.1002'],
    ['func_name', undefined, 400, 'FSS.1002'],
    ['package', 'a/b', 400, 'FSS.1004'],
    ['handler', 'nodot', 400, 'FSS.1003'],
    ['handler', undefined, 400, 'FSS.1003'],
    ['runtime', undefined, 400, 'FSS.1005'],
    ['runtime', 'PHP7.3', 400, 'FSS.1005'],
    ['code_type', 'tar', 400, 'FSS.1006'],
    ['code_type', undefined, 400, 'FSS.1006'],
    ['code_type', 'Custom-Image-Swr', 400, 'FSS.1006'],
    ['memory_size', 129, 400, 'FSS.1007'],
    ['memory_size', undefined, 400, 'FSS.1007'],
    ['timeout', 2, 400, 'FSS.1008'],
    ['timeout', 259_201, 400, 'FSS.1008'],
    ['timeout', undefined, 400, 'FSS.1008'],
    ['user_data', 'no json', 400, 'FSS.1009'],
    ['user_data', '[]', 400, 'FSS.1009'],
    ['user_data', '{"1a":"b"}', 400, 'FSS.1009'],
    ['user_data', '{"a":{}}', 400, 'FSS.1009'],
    [
      'user_data',
      JSON.stringify(Object.fromEntries(Array.from({ length: 21 }, (_, at) => [`k${at}`, '']))),
      400,
      'FSS.1017',
    ],
    ['user_data', JSON.stringify({ a: 'x'.repeat(4096) }), 400, 'FSS.1018'],
    ['func_code', { file: '%%%' }, 400, 'FSS.1011'],
    ['func_code', 'text', 400, 'FSS.1011'],
    ['func_code', undefined, 400, 'FSS.1012'],
    ['func_code', { file: Buffer.alloc(10_241, 'a').toString('base64') }, 413, 'FSS.1072'],
    ['code_filename', '../../etc/passwd.js', 400, 'FSS.1011'],
    ['description', 'x'.repeat(513), 400, 'FSS.1019'],
    ['depend_version_list', ['none'], 404, 'FSS.1056'],
    ['depend_version_list', 'none', 400, 'FSS.1024'],
    ['initializer_handler', 'init', 400, 'FSS.1404'],
    ['initializer_handler', 'index.init', 400, 'FSS.1405'],
    ['initializer_timeout', 301, 400, 'FSS.1405'],
    ['strategy_config', { concurrency: 1001 }, 400, 'FSS.1026'],
    ['strategy_config', { concurrent_num: 2 }, 400, 'FSS.1026'],
    ['func_vpc', { vpc_id: 1 }, 400, 'FSS.0400'],
    ['pre_stop_timeout', 91, 400, 'FSS.0400'],
    ['tags', '{"":"x"}', 400, 'FSS.0400'],
    ['type', 'v3', 400, 'FSS.0400'],
  ])('refuses such a %s with its code and keeps nothing', async (member, value, status, code) => {
    const body = functionBody('hello', { [member]: value })
    expect(refusal(await api.post(F, body))).toEqual([status, code])
    expect(server.catalogue.count('function', '')).toBe(0)
    expect(server.catalogue.count('namespace', '')).toBe(0)
  })

  test('refuses a zip that is none, and a key that is secret and plain at once', async () => {
    const text = functionBody('hello', { code_type: 'zip' })
    expect(refusal(await api.post(F, text))).toEqual([400, 'FSS.1011'])
    const both = functionBody('hello', { user_data: '{"a":"1"}', encrypted_user_data: '{"a":"2"}' })
    expect(refusal(await api.post(F, both))).toEqual([400, 'FSS.1009'])
  })

  test('refuses a name that is taken in the package, and takes it in another', async () => {
    await api.make('hello')
    expect(refusal(await api.post(F, functionBody('hello')))).toEqual([409, 'FSS.1061'])
    await api.make('hello', { package: 'app' })
    expect(server.catalogue.count('function', '')).toBe(2)
  })

  test('makes one of several functions of the same name that are asked for at once', async () => {
    const replies = await Promise.all(Array.from({ length: 5 }, () => api.post(F, functionBody('hello'))))
    expect(replies.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 409, 409, 409, 409])
  })

  test('refuses the 401st function', async () => {
    await api.make('hello')
    await server.catalogue.change((draft) => {
      const [seed] = draft.list('function', '')
      if (seed === undefined) return
      for (let at = 1; at < 400; at += 1) {
        const value = { ...seed.value, name: `f${at}`, stateId: `s${at}` }
        draft.put('function', functionKey(ACCOUNT, 'default', `f${at}`), value)
      }
    })
    expect(refusal(await api.post(F, functionBody('more')))).toEqual([403, 'FSS.1041'])
  })
})

describe('listFunctions', () => {
  beforeEach(async () => {
    for (const name of ['alpha', 'beta', 'gamma']) await api.make(name)
    await api.make('alpha', { package: 'app' })
  })

  const listed = async (query = '') => (await api.get(`${F}${query}`)).json

  test('shows all functions with the members that typed clients insist on', async () => {
    const { functions, count, ...rest } = await listed()
    expect(pluck(functions, 'func_urn')).toEqual([
      urnOf('alpha', 'latest', 'app'),
      ...['alpha', 'beta', 'gamma'].map((name) => urnOf(name)),
    ])
    expect([count, rest]).toEqual([4, {}])
    for (const item of functions as Record<string, unknown>[])
      for (const [name, type] of Object.entries(REQUIRED))
        expect([name, typeof item[name]]).toEqual([name, type])
  })

  test('is narrowed by package and by a part of the name', async () => {
    expect(pluck((await listed('?package_name=app'))['functions'], 'func_name')).toEqual(['alpha'])
    expect(pluck((await listed('?func_name=amm'))['functions'], 'func_name')).toEqual(['gamma'])
    expect((await listed('?package_name=none'))['functions']).toEqual([])
  })

  test('goes on at its marker, and tells none on the last page', async () => {
    const first = await listed('?maxitems=3')
    expect([first['next_marker'], first['count']]).toEqual([3, 4])
    const last = await listed('?maxitems=3&marker=3')
    expect(pluck(last['functions'], 'func_name')).toEqual(['gamma'])
    expect(last).not.toHaveProperty('next_marker')
    expect((await listed('?marker=99'))['functions']).toEqual([])
  })

  test.each(['maxitems=-1', 'maxitems=x', 'marker=-1', 'marker=1.5'])('refuses %s', async (query) => {
    expect(refusal(await api.get(`${F}?${query}`))).toEqual([400, 'FSS.1001'])
  })
})

describe('deleteFunction', () => {
  beforeEach(async () => {
    await api.make('hello')
    await api.post(`${F}/${HELLO}/versions`, { version: 'v1' })
    await api.make('hello', { package: 'app' })
  })

  test('without a version removes the function and all that is its own', async () => {
    await api.post(`${F}/${HELLO}/aliases`, { name: 'prod', version: 'v1' })
    await api.post(`${F}/${HELLO}/events`, { name: 'one', content: 'e30=' })
    await api.put(`${F}/${HELLO}/async-invoke-config`, {})
    const reply = await api.delete(`${F}/${WHOLE}`)
    expect([reply.status, reply.bytes.length]).toEqual([204, 0])
    for (const kind of ['version', 'alias', 'asyncConfig', 'document'] as const)
      expect([kind, server.catalogue.count(kind, `${ACCOUNT}/default/hello`)]).toEqual([kind, 0])
    expect(refusal(await api.get(`${F}/${HELLO}/config`))).toEqual([404, 'FSS.1051'])
    expect((await api.get(`${F}/${urnOf('hello', 'latest', 'app')}/config`)).status).toBe(200)
  })

  test('takes the short forms of a URN', async () => {
    expect((await api.delete(`${F}/app:hello`)).status).toBe(204)
    expect((await api.delete(`${F}/hello`)).status).toBe(204)
  })

  test('refuses the latest state by name', async () => {
    expect(refusal(await api.delete(`${F}/${HELLO}`))).toEqual([400, 'FSS.1015'])
  })

  test('with a version removes that version', async () => {
    expect((await api.delete(`${F}/${urnOf('hello', 'v1')}`)).status).toBe(204)
    expect(refusal(await api.get(`${F}/${urnOf('hello', 'v1')}/config`))).toEqual([404, 'FSS.1052'])
    expect((await api.get(`${F}/${HELLO}/config`)).status).toBe(200)
  })

  test('of nothing is a 404', async () => {
    expect(refusal(await api.delete(`${F}/none`))).toEqual([404, 'FSS.1051'])
    expect(refusal(await api.delete(`${F}/${urnOf('hello', 'v9')}`))).toEqual([404, 'FSS.1052'])
    expect(refusal(await api.delete(`${F}/${urnOf('hello', '!v9')}`))).toEqual([404, 'FSS.1053'])
  })
})

describe('a function that another API made', () => {
  const URN = urnOf('foreign', 'latest', 'demo')
  beforeEach(async () => {
    const code = await server.packages.put(Buffer.from(await zipOf(), 'base64'))
    await server.catalogue.change((draft) => {
      ensureNamespace(draft, ACCOUNT, 'demo', server.clockMs)
      draft.put('function', functionKey(ACCOUNT, 'demo', 'foreign'), {
        account: ACCOUNT,
        namespace: 'demo',
        name: 'foreign',
        version: 'LATEST',
        functionId: 'id-1',
        stateId: 'state-1',
        description: 'made elsewhere',
        spec: {
          contract: 'alibaba-fc',
          runtime: 'nodejs20',
          handler: 'index.handler',
          timeoutMs: 1500,
          memoryMib: 192,
          diskMib: 512,
          instanceConcurrency: 10,
          environment: { KEY_1: 'one' },
          code,
        },
        facts: { role: 'acs:ram::1:role/r' },
        extras: { 'alibaba-fc': { instanceType: 'e1' } },
        createdAtMs: server.clockMs,
        modifiedAtMs: server.clockMs,
      })
    })
  })

  test('is shown with what is known of it', async () => {
    const { json } = await api.get(`${F}/${URN}/config`)
    expect(json).toMatchObject({
      func_urn: URN,
      runtime: 'nodejs20',
      timeout: 2,
      memory_size: 192,
      cpu: 350,
      code_type: 'zip',
      code_filename: 'index.zip',
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
      user_data: '{"KEY_1":"one"}',
      strategy_config: { concurrency: 400, concurrent_num: 10 },
      xrole: 'acs:ram::1:role/r',
    })
    for (const [name, type] of Object.entries(REQUIRED))
      expect([name, typeof json[name]]).toEqual([name, type])
  })

  test('may be written back as it was read, and stays what it was', async () => {
    const read = (await api.get(`${F}/${URN}/config`)).json
    const { status, json } = await api.put(`${F}/${URN}/config`, { ...read, description: 'changed here' })
    expect([status, json['description']]).toEqual([200, 'changed here'])
    const { spec, extras, facts } =
      server.catalogue.get('function', functionKey(ACCOUNT, 'demo', 'foreign'))?.value ?? {}
    expect(spec).toMatchObject({
      contract: 'alibaba-fc',
      timeoutMs: 1500,
      memoryMib: 192,
      instanceConcurrency: 10,
    })
    expect(extras).toMatchObject({ 'alibaba-fc': { instanceType: 'e1' } })
    expect(facts).toMatchObject({ role: 'acs:ram::1:role/r' })
  })

  test('takes code from here', async () => {
    const file = await zipOf('exports.handler = () => 2\n')
    const { json } = await api.put(`${F}/${URN}/code`, { code_type: 'zip', func_code: { file } })
    expect(json).toMatchObject({ func_code: { file }, digest: expect.stringMatching(/^[0-9a-f]{128}$/) })
  })

  test('shows code that the other API changed as that', async () => {
    await api.make('own')
    const before = (await api.get(`${F}/${urnOf('own')}/code`)).json
    const code = await server.packages.put(Buffer.from(await zipOf('x'), 'base64'))
    await server.catalogue.change((draft) => {
      const record = draft.get('function', functionKey(ACCOUNT, 'default', 'own'))
      if (record !== undefined)
        draft.put('function', record.key, {
          ...record.value,
          spec: { ...record.value.spec, code, environment: { A: '1' } },
        })
    })
    const { json } = await api.get(`${F}/${urnOf('own')}/code`)
    expect([before['code_type'], json['code_type'], json['digest']]).toEqual(['inline', 'zip', code.digest])
    expect((await api.get(`${F}/${urnOf('own')}/config`)).json['user_data']).toBe('{"A":"1"}')
  })
})
