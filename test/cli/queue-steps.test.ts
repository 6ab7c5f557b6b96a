import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Launched, type Ended } from './launched.ts'

interface Asked {
  readonly method: string
  readonly path: string
  readonly body: Readonly<Record<string, unknown>>
}

/** Commands that take several steps, against a server that follows a script. */
describe('anvoke queue', () => {
  let dir: string
  let server: Server
  let asked: Asked[]
  let answer: (asked: Asked) => { status?: number; content: object | string }

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'steps-'))
    asked = []
    server = createServer((request, response) => {
      void text(request).then((body) => {
        const one = {
          method: request.method ?? '',
          path: request.url ?? '',
          body: JSON.parse(body || '{}') as Asked['body'],
        }
        asked.push(one)
        const { status = 200, content } = answer(one)
        response.writeHead(status).end(typeof content === 'string' ? content : JSON.stringify(content))
      })
    }).listen(join(dir, 'control.sock'))
    await once(server, 'listening')
  })
  afterEach(async () => {
    server.close()
    await once(server, 'close')
    await rm(dir, { recursive: true })
  })

  const run = (...args: readonly string[]): Promise<Ended> =>
    new Launched(['queue', ...args, '--data', dir], { cwd: dir }).ended

  const redriven = (count: number, endedAtMs: number): object[] =>
    Array.from({ length: count }, (_, n) => ({
      requestId: `new-${n}`,
      causedBy: `old-${endedAtMs}-${n}`,
      endedAtMs,
    }))

  /** As many of the new ids as are printed. */
  const firstNew = Array.from({ length: 20 }, (_, n) => `  new-${n}\n`).join('')

  test('redrive takes what had failed when it began, step by step, and nothing that fails again meanwhile', async () => {
    const steps = [redriven(500, 7000), redriven(3, 8000), []]
    answer = ({ method }) => ({ content: method === 'GET' ? { nowMs: 9000 } : { redriven: steps.shift() } })
    expect(await run('redrive', 'a/b')).toMatchObject({
      code: 0,
      stdout: `503 calls of a/b accepted anew.\n${firstNew}  and 483 more: --json names all\n`,
    })
    expect(asked.slice(1).map(({ body }) => body)).toEqual([
      { limit: 500, endedToMs: 9000 },
      { limit: 500, endedFromMs: 7000, endedToMs: 9000 },
      { limit: 500, endedFromMs: 8000, endedToMs: 9000 },
    ])
  })

  test('asks the server whatever is wrong with the settings that it does not need', async () => {
    await writeFile(join(dir, 'anvoke.yaml'), 'maxCalls: [\n')
    answer = () => ({ content: { items: [] } })
    expect(await run('list')).toMatchObject({ code: 0 })
    expect(asked).toHaveLength(1)
  })

  test('redrive goes on with those of the named that a step had no room for', async () => {
    const steps = [[{ requestId: 'new', causedBy: 'one', endedAtMs: 1 }], redriven(0, 0)]
    answer = () => ({ content: { redriven: steps.shift() } })
    const ended = await run('redrive', 'a/b', 'one', 'two')
    expect(ended).toMatchObject({ code: 1, stdout: '1 call of a/b accepted anew.\n  new\n' })
    expect(ended.stderr).toContain('two: no failed or expired call of this function')
    expect(asked.map(({ body }) => body)).toEqual([
      { limit: 2, requestIds: ['one', 'two'] },
      { limit: 1, requestIds: ['two'] },
    ])
  })

  test('redeliver takes what had been given up when it began, step by step, until there is no room', async () => {
    const steps = [
      { redelivered: [{ requestId: 'a' }, { requestId: 'b' }], isFull: false },
      { redelivered: [{ requestId: 'c' }], isFull: true },
    ]
    answer = ({ method }) => ({ content: method === 'GET' ? { nowMs: 9000 } : (steps.shift() ?? {}) })
    const ended = await run('redeliver', 'a/b', '--ended-from', '1970-01-01T00:00:05Z')
    expect(ended).toMatchObject({ code: 1, stdout: '3 endings of a/b are told again.\n' })
    expect(ended.stderr).toContain('there was no room for more')
    expect(asked.slice(1).map(({ path, body }) => [path, body])).toEqual(
      Array.from({ length: 2 }, () => [
        '/v1/queues/a/b/redeliver',
        { endedFromMs: 5000, endedToMs: 9000, limit: 500 },
      ]),
    )
  })

  test('undelivered says how webhooks are allowed that were refused for their addresses', async () => {
    const given = (lastError: string): object => ({
      namespace: 'a',
      functionName: 'b',
      requestId: 'r',
      on: 'failure',
      attempts: 1,
      lastError,
      destination: { target: { kind: 'webhook', url: 'http://127.0.0.1:8087/' } },
    })
    let items = [given('webhook-address-refused')]
    answer = () => ({ content: { items } })
    const { stderr } = await run('undelivered')
    expect(stderr).toMatch(/--webhook-addresses any.*anvoke queue redeliver/)
    items = [given('webhook-status 404')]
    expect(await run('undelivered')).toMatchObject({ code: 0, stderr: '' })
  })

  test('redrive takes no more than it is told', async () => {
    answer = ({ method, body }) =>
      method === 'GET'
        ? { content: { nowMs: 9000 } }
        : { content: { redriven: redriven(Number(body['limit']), 1) } }
    expect(await run('redrive', 'a/b', '--limit', '501')).toMatchObject({
      code: 0,
      stdout: `501 calls of a/b accepted anew.\n${firstNew}  and 481 more: --json names all\n`,
    })
    expect(asked.slice(1).map(({ body }) => body['limit'])).toEqual([500, 1])
  })

  test('purge takes what waited when it began, and is not kept busy by what comes', async () => {
    answer = ({ method, body }) =>
      method === 'GET' ? { content: { waiting: 700 } } : { content: { purged: body['limit'], waiting: 1000 } }
    expect(await run('purge', 'a/b', '--yes')).toMatchObject({
      code: 0,
      stdout: '700 calls of a/b cancelled; 1000 wait now.\n',
    })
    expect(asked.slice(1).map(({ body }) => body)).toEqual([{ limit: 500 }, { limit: 200 }])
  })

  test('purge ends when there is nothing left, though less waited than it thought', async () => {
    answer = ({ method }) =>
      method === 'GET' ? { content: { waiting: 700 } } : { content: { purged: 5, waiting: 0 } }
    expect(await run('purge', 'a/b', '--yes')).toMatchObject({
      stdout: '5 calls of a/b cancelled; 0 wait now.\n',
    })
    expect(asked).toHaveLength(2)
  })

  test('an audit that finds something ends with 1', async () => {
    answer = () => ({ content: { imbalance: 0, miscounted: 2, strayPayloads: 0 } })
    const { code, stdout } = await run('audit')
    expect(code).toBe(1)
    expect(stdout).toMatch(/NOT sound.*\n(?:.*\n)*miscounted +2\n/)
  })

  test.each([
    [{ content: 'hello' }, 6, /no server answers .*\n {2}why {2}what answered is no server of this kind/],
    [{ content: '' }, 6, /no server answers/],
    [
      { status: 503, content: { error: { code: 'platform/draining', message: 'it stops' } } },
      1,
      /platform\/draining.*\n {2}why {2}it stops/,
    ],
    [{ status: 404, content: { error: { code: 'x', message: 'y', fix: 'z' } } }, 4, /why {2}y\n {2}fix {2}z/],
    [{ status: 400, content: { error: { code: 'caller/malformed', message: 'y' } } }, 2, /why {2}y/],
    [{ status: 500, content: {} }, 1, /no reason given/],
  ])('an answer of %j ends it with %d', async (given, code, told) => {
    answer = () => given
    const ended = await run('list')
    expect(ended).toMatchObject({ code, stdout: '' })
    expect(ended.stderr).toMatch(told)
  })
})
