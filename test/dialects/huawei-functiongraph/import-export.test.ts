import { setImmediate } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { storedZip } from '../../../src/intake/stored-zip.ts'
import { LINK, rawZip } from '../../store/packages/zip-bytes.ts'
import { clear, controlPlane, definitionsOf, HELLO, refusal, type ControlPlane } from './control-plane.ts'
import { ACCOUNT, F, openHarness, urnOf, zipOf, type Harness } from './harness.ts'

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

const EXPORT = `${F}/${HELLO}/export`
const bring = (file_code: string | undefined, more: object = {}) =>
  api.post(`${F}/import`, { func_name: 'copy', file_name: 'hello.zip', file_type: 'zip', file_code, ...more })

const zipped = (files: Readonly<Record<string, string | Buffer>>): string =>
  storedZip(
    Object.entries(files).map(([path, content]) => ({ path, content: Buffer.from(content as string) })),
  ).toString('base64')

/** The same, with one more entry: a symbolic link that leads nowhere. */
const linked = (path: string, files: Readonly<Record<string, string>>): string =>
  rawZip([
    { name: path, data: Buffer.from('nowhere'), mode: LINK },
    ...Object.entries(files).map(([name, content]) => ({ name, data: Buffer.from(content) })),
  ]).toString('base64')

const YAML =
  'functions:\n  a:\n    runtime: Node.js18.15\n    handler: index.handler\n    timeout: 3\n    memory_size: 128\n'

describe('exportFunction', () => {
  test('gives a function that can be imported again', async () => {
    const file = await zipOf('exports.handler = 1')
    await api.put(`${F}/${HELLO}/code`, { code_type: 'zip', code_filename: 'my.zip', func_code: { file } })
    await api.put(`${F}/${HELLO}/config`, {
      timeout: 33,
      description: 'yes: "no" # maybe',
      user_data: '{"a":"1"}',
      encrypted_user_data: '{"secret":"s3cret"}',
      initializer_handler: 'index.init',
      initializer_timeout: 9,
    })
    const exported = await api.get(`${EXPORT}?config=true&code=true`)
    expect([exported.status, exported.headers['Content-Type']]).toEqual([200, 'application/zip'])
    expect(exported.bytes.includes('s3cret')).toBe(false)
    const { status, json } = await bring(exported.bytes.toString('base64'), { package: 'app' })
    const original = (await api.get(`${F}/${HELLO}/config`)).json
    const own = [
      'func_id',
      'resource_id',
      'func_urn',
      'func_name',
      'package',
      'image_name',
      'encrypted_user_data',
    ]
    expect([status, json]).toEqual([
      200,
      {
        ...original,
        ...Object.fromEntries(own.map((name) => [name, json[name]])),
        log_stream_id: json['log_stream_id'],
        encrypted_user_data: '',
      },
    ])
    expect(json['func_urn']).toBe(urnOf('copy', 'latest', 'app'))
    const at = (namespace: string, name: string) =>
      server.catalogue.resolve({ account: ACCOUNT, namespace, name }).code.digest
    expect(at('app', 'copy')).toBe(at('default', 'hello'))
    expect((await api.get(`${F}/${urnOf('copy', 'latest', 'app')}/config`)).json).toEqual(json)
  })

  test('gives the code alone as it was uploaded', async () => {
    const file = await zipOf('exports.handler = 1')
    await api.put(`${F}/${HELLO}/code`, { code_type: 'zip', func_code: { file } })
    for (const query of ['?code=true', '?type=code'])
      expect((await api.get(EXPORT + query)).bytes.toString('base64')).toBe(file)
  })

  test('gives the settings alone', async () => {
    for (const query of ['?config=true', '?type=config']) {
      const { bytes } = await api.get(EXPORT + query)
      expect([bytes.includes('hello.yaml'), bytes.includes('hello.zip')]).toEqual([true, false])
      expect(refusal(await bring(bytes.toString('base64')))).toEqual([400, 'FSS.1012'])
    }
    expect((await api.get(EXPORT)).bytes.includes('hello.zip')).toBe(true)
    expect(refusal(await api.get(`${EXPORT}?type=all`))).toEqual([400, 'FSS.1001'])
  })
})

describe('exports of large code', () => {
  beforeEach(async () => {
    const file = storedZip([{ path: 'index.js', content: Buffer.alloc(2 * 1024 * 1024, 0x20) }])
    const { status } = await api.put(`${F}/${HELLO}/code`, {
      code_type: 'zip',
      func_code: { file: file.toString('base64') },
    })
    expect(status).toBe(200)
  })

  test('are refused when there are too many at once', async () => {
    const exported = await Promise.all(Array.from({ length: 6 }, () => api.get(EXPORT)))
    const refused = exported.filter(({ status }) => status !== 200)
    expect(refused.map(refusal)).toEqual([1, 2].map(() => [429, 'FSS.0429']))
  })

  test('are held no longer than their answers', async () => {
    for (let at = 0; at < 6; at += 1) expect((await api.get(EXPORT)).status).toBe(200)
  })
})

describe('a refused import', () => {
  const cases: [string, () => string | undefined, object, number, string][] = [
    ['of no file', () => undefined, {}, 400, 'FSS.1012'],
    ['of no base64', () => '%%', {}, 400, 'FSS.1011'],
    ['of no zip', () => 'aGVsbG8=', {}, 400, 'FSS.1011'],
    ['of another type', () => zipped({}), { file_type: 'tar' }, 400, 'FSS.1013'],
    ['without a file name', () => zipped({}), { file_name: undefined }, 400, 'FSS.1013'],
    ['with a bad name', () => zipped({}), { func_name: '1' }, 400, 'FSS.1002'],
    ['of a taken name', () => zipped({}), { func_name: 'hello' }, 409, 'FSS.1061'],
    ['without a description', () => zipped({ 'a.zip': 'x' }), {}, 400, 'FSS.1025'],
    [
      'with two descriptions',
      () => zipped({ 'a.yaml': YAML, 'b.yaml': YAML, 'a.zip': 'x' }),
      {},
      400,
      'FSS.1022',
    ],
    [
      'with a description that is no YAML',
      () => zipped({ 'a.yaml': '{', 'a.zip': 'x' }),
      {},
      400,
      'FSS.1025',
    ],
    [
      'with a description too deep',
      () => zipped({ 'a.yaml': '['.repeat(60_000), 'a.zip': 'x' }),
      {},
      400,
      'FSS.1025',
    ],
    [
      'with a description too long',
      () => zipped({ 'a.yaml': `# ${'x'.repeat(70_000)}`, 'a.zip': 'x' }),
      {},
      400,
      'FSS.1023',
    ],
    [
      'with a description of nothing',
      () => zipped({ 'a.yaml': 'functions: {}', 'a.zip': 'x' }),
      {},
      404,
      'FSS.1057',
    ],
    [
      'with bad settings',
      () => zipped({ 'a.yaml': YAML.replace('128', '129'), 'a.zip': 'x' }),
      {},
      400,
      'FSS.1007',
    ],
    ['with code that is no zip', () => zipped({ 'a.yaml': YAML, 'a.zip': 'x' }), {}, 400, 'FSS.1011'],
    [
      'with a description whose keys are structures within each other',
      () => zipped({ 'a.yaml': '? '.repeat(500), 'a.zip': 'x' }),
      {},
      400,
      'FSS.1025',
    ],
    [
      'with a description that says something twice',
      () => zipped({ 'a.yaml': `${YAML}    timeout: 4\n`, 'a.zip': 'x' }),
      {},
      400,
      'FSS.1025',
    ],
    [
      'with a description that refers to itself',
      () => zipped({ 'a.yaml': 'functions: &a {b: *a}', 'a.zip': 'x' }),
      {},
      400,
      'FSS.1025',
    ],
    ['with a description behind a dead link', () => linked('a.yaml', { 'a.zip': 'x' }), {}, 400, 'FSS.1023'],
    ['with code behind a dead link', () => linked('a.zip', { 'a.yaml': YAML }), {}, 400, 'FSS.1023'],
    ['with a folder for code', () => zipped({ 'a.yaml': YAML, 'a.zip/x': 'x' }), {}, 400, 'FSS.1023'],
  ]
  test.each(cases)('%s changes nothing', async (_, file, more, status, code) => {
    const before = definitionsOf(server)
    expect(refusal(await bring(file(), more))).toEqual([status, code])
    expect(definitionsOf(server)).toEqual(before)
  })

  test('prints nothing of a description that is not understood', async () => {
    const warnings: Error[] = []
    const collect = (warning: Error): number => warnings.push(warning)
    process.on('warning', collect)
    try {
      await bring(zipped({ 'a.yaml': '!secret s3cret', 'a.zip': 'x' }))
      await bring(zipped({ 'a.yaml': '? {a: s3cret}\n: 1', 'a.zip': 'x' }))
      await setImmediate()
    } finally {
      process.off('warning', collect)
    }
    expect(warnings).toEqual([])
  })
})
