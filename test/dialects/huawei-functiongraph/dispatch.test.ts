import { createHash } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { OPERATIONS, UNSUPPORTED } from '../../../src/dialects/huawei-functiongraph/operations.ts'
import { STATUS_OF } from '../../../src/dialects/huawei-functiongraph/errors.ts'
import { F, functionBody, openHarness, PROJECT, urnOf, type Harness } from './harness.ts'
import { KEY_ID, SECRET } from './signing.ts'

let server: Harness
beforeAll(async () => {
  server = await openHarness()
  await server.send({ method: 'POST', path: F, body: functionBody('hello') })
})
afterAll(() => server.close())
afterEach(() => {
  expect(server.observed).toEqual([])
})

describe('the dialect', () => {
  const claim = (rawPath: string, headers: Record<string, string> = {}) =>
    server.dialect.claims({ method: 'GET', rawPath, rawQuery: '', headers })

  test('claims its paths and no others', () => {
    const own = [
      F,
      `/v2/${PROJECT}/fgs`,
      `/v2/${PROJECT}/functions/x/tags`,
      `/v2/${PROJECT}/groups/a/streams/b/content/query`,
      '/v3',
      '/v3/',
      '/v3/auth/tokens',
      '/v3.0/OS-CREDENTIAL/securitytokens',
    ]
    expect(own.filter((path) => claim(path) !== 'path')).toEqual([])
    const foreign = [
      '/',
      '/v2/index.php',
      '/v2',
      '/v2/',
      '/v2//fgs',
      '/v2/x/fgsx',
      '/v30',
      '/v2/x',
      '/services',
      '/healthz',
    ]
    expect(foreign.filter((path) => claim(path) !== undefined)).toEqual([])
  })

  test('claims what is signed its way, and what carries one of its tokens, whatever the path', () => {
    expect(claim('/x', { authorization: 'SDK-HMAC-SHA256 Access=a' })).toBe('scheme')
    expect(claim('/x', { authorization: 'V11-HMAC-SHA256 Credential=a' })).toBe('scheme')
    expect(claim('/x', { 'x-auth-token': 'a' })).toBe('action')
    expect(claim('/x', { 'x-subject-token': 'a' })).toBe('action')
    expect(claim('/x', { authorization: 'TC3-HMAC-SHA256 a' })).toBeUndefined()
    expect(claim('/v2/index.php', { 'x-auth-token': 'a' })).toBeUndefined()
  })

  test('answers errors with their code and the request id', async () => {
    const { status, json, headers } = await server.send({
      method: 'GET',
      path: `${F}/${urnOf('none')}/config`,
    })
    expect(status).toBe(404)
    expect(json).toEqual({
      error_code: 'FSS.1051',
      error_msg: "Not found the function 'none' in the package 'default'",
    })
    expect(headers).toEqual({
      'X-Request-Id': expect.stringMatching(/^[0-9a-f]{32}$/),
      'Content-Type': 'application/json',
    })
  })

  test('shapes refusals of the listener', () => {
    const shaped = (status: number) =>
      server.dialect.refuse?.({ status, code: 'Some', message: 'no' }, {}) ?? { status: 0, body: undefined }
    const code = (status: number): unknown => {
      const { body } = shaped(status)
      const text = body !== undefined && 'chunks' in body ? Buffer.concat(body.chunks).toString() : '{}'
      return (JSON.parse(text) as Record<string, unknown>)['error_code']
    }
    expect([400, 408, 413, 417, 431, 503].map((status) => [shaped(status).status, code(status)])).toEqual([
      [400, 'FSS.0400'],
      [408, 'FSS.0408'],
      [413, 'FSS.0413'],
      [417, 'FSS.0400'],
      [431, 'FSS.0400'],
      [503, 'FSS.0503'],
    ])
  })
})

describe('a path', () => {
  test.each([
    ['GET', `/v2/${PROJECT}/fgs/nowhere`],
    ['PATCH', F],
    ['GET', `${F}/a/b/c/d/e/f/g/h/i/j/k/l`],
    ['GET', '/elsewhere'],
  ])('%s %s that leads nowhere is the gateway`s 404', async (method, path) => {
    const { status, code, json, headers } = await server.send({ method, path })
    expect([status, code]).toEqual([404, 'APIGW.0101'])
    expect(json['request_id']).toBe(headers['X-Request-Id'])
  })

  test.each(UNSUPPORTED)('of %s (%s %s) says what is missing', async (name, method, pattern) => {
    const path = `/v2/${PROJECT}${pattern.replaceAll(/:\w+/g, 'x').replace('*', 'x')}`
    const { status, json } = await server.send({ method: method === 'ANY' ? 'POST' : method, path })
    expect(status).toBe(404)
    expect(json['error_msg']).toContain(`this server has no ${name} yet`)
  })

  test('has no operation that is also listed as unsupported', () => {
    const known = new Set(Object.values(OPERATIONS).map(({ method, pattern }) => `${method} ${pattern}`))
    expect(known.size).toBe(Object.keys(OPERATIONS).length)
    expect(UNSUPPORTED.filter(([, method, pattern]) => known.has(`${method} ${pattern}`))).toEqual([])
  })

  test('with a fixed word goes before a function of that name', async () => {
    const { json } = await server.send({ method: 'GET', path: `${F}/reservedinstances` })
    expect(json).toHaveProperty('reservedinstances')
    const other = await server.send({ method: 'DELETE', path: `${F}/statistics` })
    expect([other.status, other.code]).toEqual([404, 'FSS.1051'])
  })

  test('may be escaped, as some clients do with the whole URN', async () => {
    const escaped = encodeURIComponent(urnOf('hello'))
    const { status, json } = await server.send({ method: 'GET', path: `${F}/${escaped}/config` })
    expect([status, json['func_name']]).toEqual([200, 'hello'])
  })

  test('with a broken escape, or a project that is none, is refused', async () => {
    for (const path of [`${F}/%ff/config`, `/v2/%7Bproject_id%7D/fgs/functions`]) {
      const { status, code } = await server.send({ method: 'GET', path, unsigned: true, headers: {} })
      expect([status, code]).toEqual([400, 'FSS.0400'])
    }
  })
})

describe('credentials', () => {
  test('are looked at before the body is read', async () => {
    let read = false
    const reply = await server.dialect.handle({
      method: 'POST',
      rawPath: F,
      rawQuery: '',
      headers: {},
      receivedAtMs: 0,
      caller: { gone: false, onGone: undefined },
      readBody: () => {
        read = true
        throw new Error('the body was read')
      },
    })
    expect(reply.status).toBe(401)
    expect(read).toBe(false)
  })

  test('that are missing or wrong are the gateway`s 401, and nothing is changed', async () => {
    const wrong = await server.send({
      method: 'DELETE',
      path: `${F}/${urnOf('hello')}`,
      headers: {
        'x-sdk-date': '20261121T100000Z',
        authorization: `SDK-HMAC-SHA256 Access=${KEY_ID}, SignedHeaders=x-sdk-date, Signature=${'0'.repeat(64)}`,
      },
    })
    expect([wrong.status, wrong.code]).toEqual([401, 'APIGW.0301'])
    expect(wrong.json['error_msg']).toContain('verify aksk signature fail, canonicalRequest:DELETE|/v2/')
    expect(JSON.stringify(wrong.json)).not.toContain(SECRET)
    const none = await server.send({ method: 'DELETE', path: `${F}/${urnOf('hello')}`, unsigned: true })
    expect([none.status, none.code]).toEqual([401, 'APIGW.0301'])
    const shown = await server.send({ method: 'GET', path: `${F}/${urnOf('hello')}/config` })
    expect(shown.status).toBe(200)
  })

  test('cover the body, also of a GET and a DELETE', async () => {
    const good = await server.send({ method: 'GET', path: `${F}?maxitems=1`, body: '{}' })
    expect(good.status).toBe(200)
    const hash = createHash('sha256').update('other').digest('hex')
    const bad = await server.send({
      method: 'GET',
      path: F,
      body: '{}',
      headers: { 'x-sdk-content-sha256': hash },
    })
    expect(bad.status).toBe(401)
  })

  test('are for the project that X-Project-Id names', async () => {
    const own = await server.send({ method: 'GET', path: F, headers: { 'x-project-id': PROJECT } })
    expect(own.status).toBe(200)
    const other = await server.send({ method: 'GET', path: F, headers: { 'x-project-id': '0'.repeat(32) } })
    expect([other.status, other.code]).toEqual([403, 'FSS.0403'])
  })
})

describe('a body', () => {
  test.each([['[1]'], ['"text"'], ['{'], [Buffer.from([0x7b, 0xff, 0x7d])], ['1']])(
    'that is no JSON object is refused',
    async (body) => {
      const { status, code } = await server.send({ method: 'POST', path: F, body })
      expect([status, code]).toEqual([400, 'FSS.0400'])
    },
  )

  test('that is too long is refused with 413', async () => {
    const { status, code } = await server.send({
      method: 'PUT',
      path: `${F}/${urnOf('hello')}/config`,
      body: { description: 'x'.repeat(1024 * 1024) },
    })
    expect([status, code]).toEqual([413, 'FSS.0413'])
  })
})

test('a code ends in its status where it is a general one', () => {
  const general = Object.entries(STATUS_OF).filter(([code]) => /^FSS\.0[45]/.test(code))
  expect(general.map(([code]) => code)).toEqual(general.map(([, status]) => `FSS.0${status}`))
})
