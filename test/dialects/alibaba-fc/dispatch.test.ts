import { createHash, createHmac } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { OPERATIONS, UNSUPPORTED } from '../../../src/dialects/alibaba-fc/operations.ts'
import { functionBody, KEY_ID, openHarness, type Harness } from './harness.ts'

let server: Harness
beforeAll(async () => {
  server = await openHarness()
  await server.send({ method: 'POST', path: `${V1}/services`, body: { serviceName: 'demo' } })
  await server.send({
    method: 'POST',
    path: `${V1}/services/demo/functions`,
    body: await functionBody('hello'),
  })
})
afterAll(() => server.close())
afterEach(() => {
  expect(server.observed).toEqual([])
})

const V1 = '/2016-08-15'
const V2 = '/2021-04-06'

describe('the dialect', () => {
  test('claims its paths and no others', () => {
    const claims = (path: string) =>
      server.dialect.claims({ method: 'GET', rawPath: path, rawQuery: '', headers: {} })
    const own = [
      V1,
      `${V1}/services`,
      `${V2}/x`,
      '/services',
      '/services/a',
      '/2023-03-30/a',
      '/anvoke/code/0',
    ]
    expect(own.filter((path) => !claims(path))).toEqual([])
    const foreign = ['/', '/2016-08-150', '/servicesx', '/healthz', '/2015-03-31/functions', '/anvoke']
    expect(foreign.filter(claims)).toEqual([])
  })

  test('answers errors in the spelling of every generation of clients, with the request id', async () => {
    const reply = await server.send({
      method: 'GET',
      path: `${V1}/services/none`,
      headers: { 'x-fc-trace-id': 'id-1' },
    })
    const message = "service 'none' does not exist"
    expect(reply.status).toBe(404)
    expect(reply.json).toEqual({
      RequestId: 'id-1',
      Code: 'ServiceNotFound',
      Message: message,
      ErrorCode: 'ServiceNotFound',
      ErrorMessage: message,
    })
    expect(reply.headers).toEqual({
      'X-Fc-Request-Id': 'id-1',
      'x-acs-request-id': 'id-1',
      'Content-Type': 'application/json',
    })
  })

  test('tells paths that do not exist from operations it does not have yet', async () => {
    const answer = async (method: string, path: string) => {
      const { status, json } = await server.send({ method, path })
      expect([status, json['Code']]).toEqual([400, 'PathNotSupported'])
      return String(json['Message'])
    }
    expect(await answer('GET', `${V1}/nowhere`)).toBe(`'GET' against '${V1}/nowhere' is not supported`)
    expect(await answer('PATCH', `${V1}/services`)).not.toContain('yet')
    expect(await answer('POST', `${V1}/services/demo/functions/hello/triggers`)).toContain('CreateTrigger')
    expect(await answer('GET', `${V1}/proxy/demo/hello/a/b`)).toContain('HTTP invocation')
    expect(await answer('GET', `${V2}/layers`)).toContain('yet')
    expect(await answer('GET', '/2023-03-30/functions')).toContain('2023-03-30')
  })

  test('has no operation that it also lists as unsupported', () => {
    const known = new Set(Object.values(OPERATIONS).map(({ method, pattern }) => `${method} ${pattern}`))
    expect(known.size).toBe(Object.keys(OPERATIONS).length)
    expect(UNSUPPORTED.filter(([, method, pattern]) => known.has(`${method} ${pattern}`))).toEqual([])
  })

  test('refuses unsigned requests before it reads a body or looks for a resource', async () => {
    for (const path of [`${V1}/services/none`, `${V1}/services/none/functions/none/invocations`]) {
      const { status, json } = await server.send({
        method: path.endsWith('s') ? 'POST' : 'GET',
        path,
        unsigned: true,
      })
      expect([status, json['Code']]).toEqual([400, 'MissingRequiredHeader'])
    }
  })

  test('shows a client whose signature differs what it would have signed', async () => {
    const headers = { date: new Date(server.clockMs).toUTCString(), authorization: `FC ${KEY_ID}:AAAA` }
    const { status, json } = await server.send({
      method: 'GET',
      path: `${V1}/services`,
      headers,
      unsigned: true,
    })
    expect([status, json['Code']]).toEqual([403, 'SignatureNotMatch'])
    expect(json['Message']).toContain(`GET\n\n\n${headers.date}\n${V1}/services`)
  })

  test('refuses a body that is not the one whose hash was signed', async () => {
    const sent = (body: string, signedBody: string) => {
      const sha256 = createHash('sha256').update(signedBody).digest('hex')
      const date = `${new Date(server.clockMs).toISOString().slice(0, 19)}Z`
      const block = `host:127.0.0.1:7400\nx-acs-content-sha256:${sha256}\nx-acs-date:${date}\n`
      const names = 'host;x-acs-content-sha256;x-acs-date'
      const canonical = `POST\n${V2}/services\n\n${block}\n${names}\n${sha256}`
      const toSign = `ACS3-HMAC-SHA256\n${createHash('sha256').update(canonical).digest('hex')}`
      const signature = createHmac('sha256', 'testAccessKeySecret').update(toSign).digest('hex')
      const authorization = `ACS3-HMAC-SHA256 Credential=${KEY_ID},SignedHeaders=${names},Signature=${signature}`
      const headers = { 'x-acs-content-sha256': sha256, 'x-acs-date': date, authorization }
      return server.send({ method: 'POST', path: `${V2}/services`, headers, body, unsigned: true })
    }
    const honest = JSON.stringify({ serviceName: 'signed' })
    const { status, json } = await sent(JSON.stringify({ serviceName: 'forged' }), honest)
    expect([status, json['Code']]).toEqual([403, 'SignatureNotMatch'])
    expect((await sent(honest, honest)).status).toBe(200)
  })

  test('refuses bodies that are no JSON object, without repeating them', async () => {
    for (const body of [
      '{"a":',
      '[1]',
      '"text"',
      '7',
      Buffer.from([0x7b, 0xff, 0x7d]),
      '['.repeat(100_000),
    ]) {
      const { status, json } = await server.send({ method: 'POST', path: `${V1}/services`, body })
      expect([status, json['Code']]).toEqual([400, 'InvalidArgument'])
    }
    const secret = await server.send({ method: 'POST', path: `${V1}/services`, body: 'hunter2' })
    expect(secret.bytes.toString()).not.toContain('hunter2')
  })

  test('refuses values that nest deeper than its stack', async () => {
    const deep = `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`
    const { status } = await server.send({
      method: 'POST',
      path: `${V1}/services`,
      body: `{"serviceName":${deep}}`,
    })
    expect(status).toBe(400)
  })

  test('keeps an encoded slash in its segment', async () => {
    const arn = 'acs%3Afc%3Acn-hangzhou%3A1%3Alayers%2Fdemo%2Fversions%2F1'
    const { json } = await server.send({ method: 'GET', path: `${V1}/layerarn/${arn}` })
    expect(json['Message']).toContain('GetLayerVersionByArn')
    const service = await server.send({ method: 'GET', path: `${V1}/services/demo%2Ffunctions` })
    expect(service.json['Code']).toBe('InvalidArgument')
  })
})
