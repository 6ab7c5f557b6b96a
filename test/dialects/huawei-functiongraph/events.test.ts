import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  clear,
  controlPlane,
  definitionsOf,
  HELLO,
  pluck,
  refusal,
  textOf,
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

const EVENTS = `${F}/${HELLO}/events`
const base64 = (text: string): string => Buffer.from(text).toString('base64')
const NOW_S = Date.parse('2026-11-21T10:00:00Z') / 1000

test('a test event is read back as it was written, through any version', async () => {
  const made = await api.post(EVENTS, { name: 'first', content: base64('{"a":1}') })
  expect([made.status, made.json]).toEqual([200, { id: expect.any(String), name: 'first' }])
  const path = `${EVENTS}/${textOf(made.json, 'id')}`
  const shown = { ...made.json, content: base64('{"a":1}'), last_modified: NOW_S }
  expect((await api.get(path)).json).toEqual(shown)
  expect((await api.get(`${F}/${urnOf('hello', 'any')}/events/${textOf(made.json, 'id')}`)).json).toEqual(
    shown,
  )
  server.clockMs += 2000
  expect((await api.put(path, { content: base64('{}') })).json).toEqual(made.json)
  expect((await api.get(path)).json).toEqual({
    ...made.json,
    content: base64('{}'),
    last_modified: NOW_S + 2,
  })
  server.clockMs -= 2000
  expect((await api.delete(path)).status).toBe(204)
  expect(refusal(await api.get(path))).toEqual([404, 'FSS.1070'])
})

test('a list has ten of them at most', async () => {
  for (let at = 0; at < 10; at += 1)
    expect((await api.post(EVENTS, { name: `e${at}`, content: 'e30=' })).status).toBe(200)
  const { events, count, ...rest } = (await api.get(EVENTS)).json
  expect([new Set(pluck(events, 'name')).size, pluck(events, 'last_modified')[0], count, rest]).toEqual([
    10,
    NOW_S,
    10,
    {},
  ])
  expect(refusal(await api.post(EVENTS, { name: 'more', content: 'e30=' }))).toEqual([403, 'FSS.1068'])
})

test.each<[object, number, string]>([
  [{ name: '1' }, 400, 'FSS.1074'],
  [{ name: 'a'.repeat(26) }, 400, 'FSS.1074'],
  [{ name: undefined }, 400, 'FSS.1074'],
  [{ content: undefined }, 400, 'FSS.1074'],
  [{ content: '%%%' }, 400, 'FSS.1074'],
  [{ content: base64('x'.repeat(4097)) }, 403, 'FSS.1069'],
  [{ name: 'taken' }, 403, 'FSS.1073'],
])('an event with %j is refused and changes nothing', async (more, status, code) => {
  await api.post(EVENTS, { name: 'taken', content: 'e30=' })
  const before = definitionsOf(server)
  expect(refusal(await api.post(EVENTS, { name: 'new', content: 'e30=', ...more }))).toEqual([status, code])
  expect(definitionsOf(server)).toEqual(before)
})

test('events of one function are none of another', async () => {
  await api.make('hello2')
  const { json } = await api.post(EVENTS, { name: 'mine', content: 'e30=' })
  expect(refusal(await api.get(`${F}/${urnOf('hello2')}/events/${textOf(json, 'id')}`))).toEqual([
    404,
    'FSS.1070',
  ])
  expect((await api.get(`${F}/${urnOf('hello2')}/events`)).json['events']).toEqual([])
  expect(refusal(await api.get(`${F}/${urnOf('none')}/events`))).toEqual([404, 'FSS.1051'])
})
