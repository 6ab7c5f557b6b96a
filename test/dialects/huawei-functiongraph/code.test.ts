import { createHash } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { clear, controlPlane, definitionsOf, HELLO, P, refusal, type ControlPlane } from './control-plane.ts'
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

const CODE = `${F}/${HELLO}/code`
const base64 = (text: string): string => Buffer.from(text).toString('base64')
const running = () => server.catalogue.resolve({ account: ACCOUNT, namespace: 'default', name: 'hello' })

/** The files of what runs, by their paths. */
async function filesOf(): Promise<Record<string, string>> {
  const { readdir, readFile } = await import('node:fs/promises')
  const tree = server.packages.treePath(running().code.digest)
  const paths = (await readdir(tree, { recursive: true, withFileTypes: true })).filter((each) =>
    each.isFile(),
  )
  return Object.fromEntries(
    await Promise.all(
      paths.map(async ({ parentPath, name }) => {
        const path = `${parentPath}/${name}`
        return [path.slice(tree.length + 1), await readFile(path, 'utf8')] as const
      }),
    ),
  )
}

describe('showFunctionCode', () => {
  test('gives back the source that was written, and a link to the package', async () => {
    const { status, json } = await api.get(CODE)
    expect(Object.keys(json).sort()).toEqual([
      ...[
        'code_filename',
        'code_size',
        'code_type',
        'code_url',
        'depend_list',
        'depend_version_list',
        'dependencies',
      ],
      ...[
        'digest',
        'domain_id',
        'func_code',
        'func_name',
        'func_urn',
        'last_modified',
        'runtime',
        'strategy_config',
      ],
    ])
    const source = 'exports.handler = async (event) => event\n'
    expect([status, json['func_code']]).toEqual([
      200,
      {
        file: base64(source),
        link: expect.stringMatching(/^http:\/\/127\.0\.0\.1:7400\/anvoke\/code\/[0-9a-f]{64}\?/),
      },
    ])
    expect(json['digest']).toBe(createHash('sha512').update(source).digest('hex'))
    expect(json['code_size']).toBe(source.length)
  })
})

describe('updateFunctionCode', () => {
  test('replaces the code and answers as it is read back', async () => {
    const file = await zipOf('exports.handler = async () => 2\n')
    server.clockMs += 1000
    const { status, json } = await api.put(CODE, {
      code_type: 'zip',
      code_filename: 'my.zip',
      func_code: { file, link: '' },
    })
    expect(status).toBe(200)
    expect(json).toMatchObject({ code_type: 'zip', code_filename: 'my.zip', func_code: { file } })
    expect(json['digest']).toBe(createHash('sha512').update(Buffer.from(file, 'base64')).digest('hex'))
    expect((await api.get(CODE)).json).toEqual(json)
    expect((await api.get(`${F}/${HELLO}/config`)).json).toMatchObject({
      digest: json['digest'],
      last_modified: '2026-11-21T10:00:01Z',
    })
    expect(await filesOf()).toEqual({ 'index.js': 'exports.handler = async () => 2\n' })
  })

  test.each([
    ['its own name', 'Node.js18.15', 'index.handler', 'lib/a.js', 'lib/a.js'],
    ['the handler`s file', 'Node.js18.15', 'src/index.handler', 'index.zip', 'src/index.js'],
    ['the handler`s file', 'Python3.9', 'app.main', undefined, 'app.py'],
  ])('puts plain source under %s (%s)', async (_, runtime, handler, code_filename, path) => {
    await api.put(`${F}/${HELLO}/config`, { runtime, handler })
    const { json } = await api.put(CODE, {
      code_type: 'inline',
      code_filename,
      func_code: { file: base64('text') },
    })
    expect([json['code_filename'], await filesOf()]).toEqual([path, { [path]: 'text' }])
  })

  test('takes an inline zip for one, as the vendor`s own samples have it', async () => {
    const file = await zipOf('exports.handler = 1')
    const { json } = await api.put(CODE, {
      code_type: 'inline',
      code_filename: 'index.zip',
      func_code: { file },
    })
    expect(json).toMatchObject({ code_type: 'inline', code_filename: 'index.zip', func_code: { file } })
    expect(await filesOf()).toEqual({ 'index.js': 'exports.handler = 1' })
  })

  test('changes dependencies alone', async () => {
    const made = await api.post(`${P}/fgs/dependencies/version`, {
      name: 'dep',
      runtime: 'Node.js18.15',
      depend_type: 'zip',
      depend_file: await zipOf('exports.a = 1', 'node_modules/dep/index.js'),
    })
    const before = (await api.get(CODE)).json
    const { json } = await api.put(CODE, { code_type: 'inline', depend_version_list: [made.json['id']] })
    expect(json).toMatchObject({
      digest: before['digest'],
      func_code: before['func_code'],
      depend_version_list: [made.json['id']],
    })
    expect(json['dependencies']).toEqual([made.json])
    expect(running().layers).toHaveLength(1)
    await api.put(CODE, { code_type: 'inline', depend_version_list: [] })
    expect(running().layers).toBeUndefined()
  })

  test('knows a new place of the code, which it does not fetch', async () => {
    await api.put(CODE, { code_type: 'obs', code_url: 'https://b.obs.example/1.zip' })
    const files = await filesOf()
    expect(Object.keys(files)).toEqual(['index.js'])
    expect(files['index.js']).toContain('the code at https://b.obs.example/1.zip was not fetched')
    const file = await zipOf('real')
    await api.put(CODE, { code_type: 'zip', code_url: 'https://b.obs.example/1.zip', func_code: { file } })
    expect(await filesOf()).toEqual({ 'index.js': 'real' })
    // The same place again is no new code.
    await api.put(CODE, { code_type: 'zip', code_url: 'https://b.obs.example/1.zip' })
    expect(await filesOf()).toEqual({ 'index.js': 'real' })
  })

  test('takes code too long to be parsed with the rest, and shows it by its link', async () => {
    const noise = Buffer.alloc(1_500_000)
    for (let at = 0, x = 1; at < noise.length; at += 1) noise[at] = (x = (x * 48_271) % 2_147_483_647) & 255
    const file = await zipOf(noise.toString('latin1'))
    expect(file.length).toBeGreaterThan(1024 * 1024)
    const { status, json } = await api.put(CODE, { code_type: 'zip', func_code: { file } })
    const link = expect.stringContaining(running().code.digest) as string
    expect([status, json['func_code']]).toEqual([200, { file: '', link }])
    expect(json['digest']).toBe(createHash('sha512').update(Buffer.from(file, 'base64')).digest('hex'))
  })

  test.each([
    [{}, 400, 'FSS.1006'],
    [{ code_type: 'zip', func_code: { file: '????' } }, 400, 'FSS.1011'],
    [{ code_type: 'zip', func_code: { file: 'aGVsbG8=' } }, 400, 'FSS.1011'],
    [{ code_type: 'zip', func_code: 7 }, 400, 'FSS.1011'],
    [{ code_type: 'zip', code_url: 7 }, 400, 'FSS.1010'],
    [{ code_type: 'inline', depend_version_list: ['a'] }, 404, 'FSS.1056'],
    [{ code_type: 'inline', depend_version_list: Array.from({ length: 21 }, String) }, 400, 'FSS.1024'],
  ])('refuses %j and changes nothing', async (body, status, code) => {
    const before = definitionsOf(server)
    expect(refusal(await api.put(CODE, body))).toEqual([status, code])
    expect(definitionsOf(server)).toEqual(before)
  })

  test('is for the latest state alone', async () => {
    await api.post(`${F}/${HELLO}/versions`, { version: 'v1' })
    const body = { code_type: 'inline', func_code: { file: base64('x') } }
    expect(refusal(await api.put(`${F}/${urnOf('hello', 'v1')}/code`, body))).toEqual([400, 'FSS.1015'])
  })
})
