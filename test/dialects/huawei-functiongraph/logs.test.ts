import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { CallRecord } from '../../../src/model/call-record.ts'
import { clear, controlPlane, HELLO, P, pluck, refusal, type ControlPlane } from './control-plane.ts'
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

const NOW_MS = Date.parse('2026-11-21T10:00:00Z')

const called = (requestId: string, endedAtMs: number, log: string): CallRecord => ({
  requestId,
  version: 'LATEST',
  endedAtMs,
  ending: 'returned',
  durationMs: 1,
  billedDurationMs: 1,
  maxMemoryBytes: 0,
  retryCount: 0,
  log,
})

const detail = async (urn = HELLO) => (await api.get(`${F}/${urn}/lts-log-detail`)).json
const query = async (body: object = {}) => {
  const { group_id, stream_id } = await detail()
  return api.post(`${P}/groups/${String(group_id)}/streams/${String(stream_id)}/content/query`, body)
}
const contents = async (body?: object) => pluck((await query(body)).json['logs'], 'content')

beforeEach(() => {
  server.records.splice(
    0,
    Infinity,
    called('b', NOW_MS, 'b1\nb2\n'),
    called('a', NOW_MS - 1000, 'a1\n\na3\n'),
  )
})

describe('the place of a function`s log', () => {
  test('stays the same and is the function`s own', async () => {
    const first = await detail()
    expect(first).toEqual({
      group_name: expect.any(String),
      group_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      stream_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      stream_name: 'default_hello',
    })
    expect(await detail()).toEqual(first)
    await api.make('other')
    const other = await detail(urnOf('other'))
    expect([other['group_id'] === first['group_id'], other['stream_id'] === first['stream_id']]).toEqual([
      true,
      false,
    ])
    expect((await api.get(`${F}/${HELLO}/config`)).json).toMatchObject({
      log_group_id: first['group_id'],
      log_stream_id: first['stream_id'],
    })
  })

  test('is the one its settings name', async () => {
    const log_config = { group_id: 'g1', group_name: 'gn', stream_id: 's1', stream_name: 'sn' }
    await api.put(`${F}/${HELLO}/config`, { log_config })
    expect(await detail()).toEqual(log_config)
    expect(await contents()).toHaveLength(5)
  })
})

describe('a query for log lines', () => {
  test('gives them oldest first, with what they belong to', async () => {
    const { status, json } = await query({ is_count: true })
    expect([status, json['count']]).toEqual([200, 5])
    const logs = json['logs'] as Record<string, unknown>[]
    expect(pluck(logs, 'content')).toEqual(['a1', '', 'a3', 'b1', 'b2'])
    expect(logs[0]?.['labels']).toEqual({
      functionName: 'hello',
      package: 'default',
      version: 'latest',
      requestId: 'a',
      functionUrn: HELLO,
    })
    const numbers = pluck(logs, 'line_num').map(String)
    expect(new Set(numbers).size).toBe(5)
    expect(numbers).toEqual(numbers.toSorted((a, b) => Number(BigInt(a) - BigInt(b))))
  })

  test('numbers lines of calls that ended at once apart', async () => {
    server.records.splice(0, Infinity, called('a', NOW_MS, 'a1\na2'), called('b', NOW_MS, 'b1\nb2'))
    expect(new Set(pluck((await query()).json['logs'], 'line_num')).size).toBe(4)
  })

  test('may ask for the newest first, for some, for a word, and for one call', async () => {
    expect(await contents({ is_desc: true, limit: 2 })).toEqual(['b2', 'b1'])
    expect(await contents({ limit: '1' })).toEqual(['a1'])
    expect(await contents({ keywords: '3' })).toEqual(['a3'])
    expect(await contents({ labels: { requestId: 'b' } })).toEqual(['b1', 'b2'])
    expect(await contents({ labels: { constructor: 'b' } })).toEqual([])
    expect(await contents({ start_time: String(NOW_MS - 10_000), end_time: String(NOW_MS) })).toHaveLength(5)
  })

  test.each([
    [{ limit: 5001 }],
    [{ limit: -1 }],
    [{ start_time: 'x' }],
    [{ labels: 'x' }],
    [{ keywords: 7 }],
  ])('is refused with %j', async (body) => {
    expect(refusal(await query(body))).toEqual([400, 'FSS.0400'])
  })

  test('of another stream is a 404', async () => {
    expect(refusal(await api.post(`${P}/groups/g/streams/s/content/query`, {}))).toEqual([404, 'FSS.0404'])
  })
})

test('logs are enabled once', async () => {
  const first = await api.post(`${F}/enable-lts-logs`)
  expect([first.status, first.bytes.length]).toEqual([200, 0])
  const second = await api.post(`${F}/enable-lts-logs`)
  expect([...refusal(second), second.json['error_msg']]).toEqual([
    400,
    'FSS.1221',
    'LTS log has been enabled',
  ])
})

describe('a query of very many lines', () => {
  const LINES = 200_000
  /** Turns of the event loop since it began. */
  let turns = 0
  let next: NodeJS.Immediate
  const turn = (): void => {
    turns += 1
    next = setImmediate(turn)
  }
  beforeEach(() => {
    turns = 0
    server.records.splice(0, Infinity, called('a', NOW_MS, '\n'.repeat(LINES)))
    next = setImmediate(turn)
  })
  afterEach(() => clearImmediate(next))

  test('lets others have their turn', async () => {
    expect((await query({ is_count: true, keywords: 'none' })).json).toEqual({ count: 0, logs: [] })
    expect(turns).toBeGreaterThanOrEqual(LINES / 10_000)
  })

  test('is over before the next begins to read', async () => {
    const { group_id, stream_id } = await detail()
    const path = `${P}/groups/${String(group_id)}/streams/${String(stream_id)}/content/query`
    const readAt: number[] = []
    const { records } = server
    const slice = vi.spyOn(records, 'slice').mockImplementation((from, to) => {
      readAt.push(turns)
      return Array.prototype.slice.call(records, from, to)
    })
    await Promise.all([1, 2].map(() => api.post(path, { is_count: true })))
    slice.mockRestore()
    const [first = 0, second = 0] = readAt
    expect(second - first).toBeGreaterThanOrEqual(LINES / 10_000)
  })
})
