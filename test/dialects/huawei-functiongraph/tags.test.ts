import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  clear,
  controlPlane,
  definitionsOf,
  HELLO,
  P,
  pluck,
  refusal,
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

const tag = (key: string, value = 'x') => ({ key, value })
const TAGS = `${P}/functions/${HELLO}/tags`
const add = (...tags: unknown[]) => api.post(`${TAGS}/create`, { action: 'create', tags })

describe('tags of a function', () => {
  test('are added, changed and taken away', async () => {
    const reply = await add(tag('a', '1'), tag('b', '2'))
    expect([reply.status, reply.bytes.length]).toEqual([204, 0])
    await add(tag('b', '3'), tag('c', ''))
    expect((await api.get(TAGS)).json).toEqual({
      tags: [tag('a', '1'), tag('b', '3'), tag('c', '')],
      sys_tags: [],
    })
    const gone = await api.delete(`${TAGS}/delete`, {
      action: 'delete',
      tags: [{ key: 'a' }, tag('b', 'other'), tag('none')],
    })
    expect(gone.status).toBe(204)
    expect((await api.get(TAGS)).json['tags']).toEqual([tag('c', '')])
    await api.delete(`${TAGS}/delete`, { tags: [tag('c')] })
    expect(server.catalogue.count('tags', '')).toBe(0)
  })

  test('are reached by its id, and by its URN with and without a version', async () => {
    await add(tag('a'))
    const { func_id } = (await api.get(`${F}/${HELLO}/config`)).json
    for (const id of [func_id, WHOLE, HELLO, urnOf('hello', 'v9'), 'hello'])
      expect((await api.get(`${P}/functions/${String(id)}/tags`)).json['tags']).toEqual([tag('a')])
  })

  test('of the system are kept apart', async () => {
    await api.post(`${TAGS}/create`, { sys_tags: [tag('_sys_enterprise_project_id', '0')] })
    expect((await api.get(TAGS)).json).toEqual({
      tags: [],
      sys_tags: [tag('_sys_enterprise_project_id', '0')],
    })
    await api.delete(`${TAGS}/delete`, { sys_tags: [tag('_sys_enterprise_project_id')] })
    expect(server.catalogue.count('document', '')).toBe(0)
  })

  test.each<[unknown[]]>([
    [[tag('')]],
    [[tag('a'.repeat(129))]],
    [[tag('a', 'x'.repeat(256))]],
    [[{ key: 7 }]],
    [['a']],
    [Array.from({ length: 21 }, (_, at) => tag(`k${at}`))],
  ])('are refused as a whole: %j', async (tags) => {
    await add(tag('kept'))
    const before = definitionsOf(server)
    expect(refusal(await add(tag('new'), ...tags))).toEqual([400, 'FSS.0400'])
    expect(definitionsOf(server)).toEqual(before)
  })

  test('are none of a function or a type that is not there', async () => {
    expect(refusal(await api.get(`${P}/functions/${urnOf('none')}/tags`))).toEqual([404, 'FSS.1051'])
    expect(refusal(await api.get(`${P}/functions/b3b3b3b3-0000-4000-8000-000000000000/tags`))).toEqual([
      404,
      'FSS.1051',
    ])
  })
})

describe('tags of a project', () => {
  beforeEach(async () => {
    await api.make('other')
    await add(tag('env', 'prod'), tag('team', 'a'))
    await api.post(`${P}/functions/${urnOf('other')}/tags/create`, { tags: [tag('env', 'test')] })
  })
  const found = async (body: object, action = 'filter') =>
    (await api.post(`${P}/functions/resource-instances/${action}`, body)).json

  test('are listed with all their values', async () => {
    expect((await api.get(`${P}/functions/tags`)).json).toEqual({
      tags: [
        { key: 'env', values: ['prod', 'test'] },
        { key: 'team', values: ['a'] },
      ],
      sys_tags: [],
    })
  })

  test('find functions', async () => {
    const { resources, total_count } = await found({ tags: [{ key: 'env', values: ['prod'] }] })
    expect([resources, total_count]).toEqual([
      [
        {
          resource_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
          resource_detail: { detailId: HELLO },
          tags: [tag('env', 'prod'), tag('team', 'a')],
          sys_tags: [],
          resource_name: 'hello',
        },
      ],
      1,
    ])
    expect(
      pluck((await found({ tags: [{ key: 'env', values: [] }] }))['resources'], 'resource_name'),
    ).toEqual(['hello', 'other'])
    expect(await found({ tags: [{ key: 'none' }] })).toEqual({ resources: [], total_count: 0 })
    expect(
      pluck(
        (await found({ matches: [{ key: 'resource_name', value: 'oth' }] }))['resources'],
        'resource_name',
      ),
    ).toEqual(['other'])
    expect(pluck((await found({ limit: '1', offset: '1' }))['resources'], 'resource_name')).toEqual(['other'])
    await api.make('plain')
    expect(pluck((await found({ without_any_tag: true }))['resources'], 'resource_name')).toEqual(['plain'])
  })

  test('count functions', async () => {
    expect(await found({}, 'count')).toEqual({ total_count: 2 })
    expect((await found({}, 'other'))['error_code']).toBe('FSS.0404')
  })
})
