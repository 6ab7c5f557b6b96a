import { createHash } from 'node:crypto'
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
  type ControlPlane,
} from './control-plane.ts'
import { ACCOUNT, F, functionBody, openHarness, zipOf, type Harness } from './harness.ts'

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

const DEPENDENCIES = `${P}/fgs/dependencies`
const running = () => server.catalogue.resolve({ account: ACCOUNT, namespace: 'default', name: 'hello' })

const body = async (name: string, more: object = {}) => ({
  name,
  runtime: 'Node.js18.15',
  depend_type: 'zip',
  description: 'd',
  depend_file: await zipOf(`exports.name = '${name}'`, `node_modules/${name}/index.js`),
  ...more,
})

const publish = async (name: string, more: object = {}) =>
  api.post(`${DEPENDENCIES}/version`, await body(name, more))
const bind = (...ids: unknown[]) =>
  api.put(`${F}/${HELLO}/code`, { code_type: 'inline', depend_version_list: ids })

describe('a version of a dependency', () => {
  test('is read back as it was made', async () => {
    const { depend_file } = await body('dep')
    const archive = Buffer.from(depend_file, 'base64')
    const { status, json } = await publish('dep')
    expect([status, json]).toEqual([
      200,
      {
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        dep_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        owner: expect.stringMatching(/^[0-9a-f]{32}$/),
        link: '',
        runtime: 'Node.js18.15',
        etag: createHash('md5').update(archive).digest('hex'),
        size: archive.length,
        name: 'dep',
        description: 'd',
        file_name: 'dep.zip',
        version: 1,
        last_modified: Date.parse('2026-11-21T10:00:00Z') / 1000,
      },
    ])
    const shown = (await api.get(`${DEPENDENCIES}/${textOf(json, 'dep_id')}/version/1`)).json
    expect(shown).toEqual({
      ...json,
      download_link: expect.stringContaining('/anvoke/code/'),
      is_shared: false,
    })
    expect((await api.get(`${DEPENDENCIES}/${textOf(json, 'id')}`)).json).toEqual(shown)
  })

  test('is the next of those of its name, whose numbers are not used again', async () => {
    const first = await publish('dep')
    const second = await publish('dep', { description: 'two' })
    expect([second.json['version'], second.json['dep_id']]).toEqual([2, first.json['dep_id']])
    expect(second.json['id']).not.toBe(first.json['id'])
    expect((await api.delete(`${DEPENDENCIES}/${textOf(first.json, 'dep_id')}/version/2`)).status).toBe(204)
    expect((await publish('dep')).json['version']).toBe(3)
    const listed = (await api.get(`${DEPENDENCIES}/${textOf(first.json, 'dep_id')}/version`)).json
    expect([pluck(listed['dependencies'], 'version'), listed['count']]).toEqual([[3, 1], 2])
    expect(
      (await api.get(`${DEPENDENCIES}/${textOf(first.json, 'dep_id')}/version?maxitems=1`)).json[
        'next_marker'
      ],
    ).toBe(1)
  })

  test('may have no file, or one that is elsewhere', async () => {
    expect((await publish('empty', { depend_file: '' })).status).toBe(200)
    const link = 'https://b.obs.example/dep.zip'
    const { json } = await publish('linked', {
      depend_type: 'obs',
      depend_file: undefined,
      depend_link: link,
    })
    expect(json['link']).toBe(link)
  })

  test('is bound to functions by its id, and kept while one has it', async () => {
    const [a, b] = [(await publish('a')).json, (await publish('b')).json]
    const { json } = await bind(b['id'], a['id'])
    expect([json['depend_version_list'], pluck(json['dependencies'], 'name')]).toEqual([
      [b['id'], a['id']],
      ['b', 'a'],
    ])
    expect(running().layers?.map(({ sizeBytes }) => sizeBytes)).toEqual([b['size'], a['size']])
    const path = `${DEPENDENCIES}/${textOf(a, 'dep_id')}/version/1`
    expect(refusal(await api.delete(path))).toEqual([412, 'FSS.1033'])
    await api.post(`${F}/${HELLO}/versions`, { version: 'v1' })
    await bind()
    expect(refusal(await api.delete(path))).toEqual([412, 'FSS.1033'])
    await api.delete(`${F}/default:hello`)
    expect((await api.delete(path)).status).toBe(204)
  })

  test('lies beside the code of a function that is made with it', async () => {
    const { json } = await publish('dep')
    const made = await api.make('second', { depend_version_list: [json['id']] })
    expect(made.json).toMatchObject({ depend_version_list: [json['id']], dependencies: [json] })
    const { layers = [] } = server.catalogue.resolve({
      account: ACCOUNT,
      namespace: 'default',
      name: 'second',
    })
    const tree = server.packages.layersPath(layers.map(({ digest }) => digest))
    const { readFile } = await import('node:fs/promises')
    expect(await readFile(`${tree}/node_modules/dep/index.js`, 'utf8')).toBe("exports.name = 'dep'")
  })

  test('with the content of another is told apart by its id', async () => {
    const file = { depend_file: await zipOf('same') }
    const [a, b] = [(await publish('a', file)).json, (await publish('b', file)).json]
    expect((await bind(b['id'])).json['depend_version_list']).toEqual([b['id']])
    expect((await api.delete(`${DEPENDENCIES}/${textOf(a, 'dep_id')}/version/1`)).status).toBe(204)
    expect(refusal(await api.delete(`${DEPENDENCIES}/${textOf(b, 'dep_id')}/version/1`))).toEqual([
      412,
      'FSS.1033',
    ])
  })
})

describe('listDependencies', () => {
  beforeEach(async () => {
    await publish('alpha')
    await publish('alpha')
    await publish('beta', { runtime: 'Python3.9' })
  })
  const names = async (query: string) => {
    const { dependencies, count } = (await api.get(`${DEPENDENCIES}${query}`)).json
    return [pluck(dependencies, 'name'), pluck(dependencies, 'version'), count]
  }

  test('shows the newest version of each', async () => {
    expect(await names('')).toEqual([['alpha', 'beta'], [2, 1], 2])
  })

  test('is narrowed by name, runtime and kind', async () => {
    expect(await names('?name=et')).toEqual([['beta'], [1], 1])
    expect(await names('?runtime=Python3.9')).toEqual([['beta'], [1], 1])
    expect(await names('?dependency_type=private')).toEqual([['alpha', 'beta'], [2, 1], 2])
    expect(await names('?dependency_type=public')).toEqual([[], [], 0])
    expect(await names('?ispublic=true')).toEqual([[], [], 0])
  })

  test.each(['limit', 'maxitems'])('goes on at its marker, by %s', async (length) => {
    const { json } = await api.get(`${DEPENDENCIES}?${length}=1`)
    expect([pluck(json['dependencies'], 'name'), json['next_marker'], json['count']]).toEqual([
      ['alpha'],
      1,
      2,
    ])
    expect((await api.get(`${DEPENDENCIES}?${length}=1&marker=1`)).json).not.toHaveProperty('next_marker')
  })

  test('shows what another API made', async () => {
    const code = await server.packages.put(Buffer.from(await zipOf('x'), 'base64'))
    await server.catalogue.change((draft) => {
      draft.put('layer', `${ACCOUNT}/foreign/000000001`, {
        account: ACCOUNT,
        name: 'foreign',
        version: 1,
        description: '',
        code,
        extras: {},
        createdAtMs: 0,
        modifiedAtMs: 0,
      })
    })
    const { dependencies } = (await api.get(`${DEPENDENCIES}?name=foreign`)).json
    const [foreign] = dependencies as Record<string, unknown>[]
    expect(foreign).toMatchObject({ name: 'foreign', version: 1, runtime: '', etag: code.digest })
    expect((await bind(foreign?.['id'])).json['depend_version_list']).toEqual([foreign?.['id']])
  })
})

describe('the older operations', () => {
  test('change a dependency under the id it was made with', async () => {
    const made = await api.post(DEPENDENCIES, await body('dep'))
    expect(made.status).toBe(200)
    const path = `${DEPENDENCIES}/${textOf(made.json, 'id')}`
    const changed = await api.put(path, {
      ...(await body('dep')),
      description: 'two',
      depend_file: await zipOf('two'),
    })
    expect(changed.json).toMatchObject({
      id: made.json['id'],
      dep_id: made.json['dep_id'],
      description: 'two',
    })
    expect((await api.get(path)).json).toMatchObject(changed.json)
    expect((await api.put(path, { description: 'three' })).json).toMatchObject({
      etag: changed.json['etag'],
      description: 'three',
    })
    const renamed = await api.put(path, { name: 'other' })
    expect(renamed.json).toMatchObject({ id: made.json['id'], name: 'other' })
    expect((await api.get(path)).json).toMatchObject(renamed.json)
    expect((await api.delete(path)).status).toBe(204)
    expect(refusal(await api.get(path))).toEqual([404, 'FSS.1056'])
  })

  test('leave a function what it has', async () => {
    const made = await api.post(DEPENDENCIES, await body('dep'))
    await bind(made.json['id'])
    const before = running().layers
    await api.put(`${DEPENDENCIES}/${textOf(made.json, 'id')}`, { depend_file: await zipOf('two') })
    expect(running().layers).toEqual(before)
    const { depend_version_list: ids } = (await api.get(`${F}/${HELLO}/config`)).json
    expect(ids).toHaveLength(1)
    expect((await api.get(`${DEPENDENCIES}/${(ids as string[])[0]}`)).json['version']).toBe(1)
  })

  test('delete all versions by the id of the dependency', async () => {
    const { json } = await publish('dep')
    await publish('dep')
    expect((await api.delete(`${DEPENDENCIES}/${textOf(json, 'dep_id')}`)).status).toBe(204)
    expect(server.catalogue.count('layer', '')).toBe(0)
  })

  test('refuse a name that is taken', async () => {
    await publish('dep')
    expect(refusal(await api.post(DEPENDENCIES, await body('dep')))).toEqual([409, 'FSS.1065'])
    const other = await publish('other')
    expect(refusal(await api.put(`${DEPENDENCIES}/${textOf(other.json, 'id')}`, { name: 'dep' }))).toEqual([
      409,
      'FSS.1065',
    ])
  })

  test('name a function`s dependency by either id', async () => {
    const { json } = await publish('dep')
    const reply = await api.post(F, functionBody('second', { depend_list: [json['dep_id']] }))
    expect(reply.json['depend_list']).toEqual([json['id']])
  })
})

describe('a refused dependency', () => {
  test.each<[object, number, string]>([
    [{ name: '1' }, 400, 'FSS.0400'],
    [{ name: undefined }, 400, 'FSS.0400'],
    [{ name: 'a'.repeat(97) }, 400, 'FSS.0400'],
    [{ runtime: undefined }, 400, 'FSS.1005'],
    [{ depend_type: 'tar' }, 400, 'FSS.1032'],
    [{ description: 'x'.repeat(513) }, 400, 'FSS.1019'],
    [{ depend_file: '%%' }, 400, 'FSS.1024'],
    [{ depend_file: 'aGVsbG8=' }, 400, 'FSS.1011'],
  ])('with %j keeps nothing', async (more, status, code) => {
    const before = definitionsOf(server)
    expect(refusal(await publish('dep', more))).toEqual([status, code])
    expect(definitionsOf(server)).toEqual(before)
  })

  test('is one that is not there', async () => {
    const { json } = await publish('dep')
    for (const path of [
      'none',
      'none/version',
      'none/version/1',
      `${textOf(json, 'dep_id')}/version/9`,
      `${textOf(json, 'dep_id')}/version/x`,
    ])
      expect([path, ...refusal(await api.get(`${DEPENDENCIES}/${path}`))]).toEqual([path, 404, 'FSS.1056'])
  })
})
