import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { domainIdOf, projectIdOf, userIdOf } from '../../../src/dialects/huawei-functiongraph/ids.ts'
import { isJsonObject, type JsonObject } from '../../../src/model/json.ts'
import { ACCOUNT, F, openHarness, PROJECT, REGION, type Harness, type TestReply } from './harness.ts'
import { KEY_ID, SECRET } from './signing.ts'

const DOMAIN = { id: domainIdOf(ACCOUNT), name: ACCOUNT }
const TOKENS = '/v3/auth/tokens'

let server: Harness
beforeAll(async () => {
  server = await openHarness()
})
afterAll(() => server.close())
afterEach(() => {
  expect(server.observed).toEqual([])
})

function byPassword(user: object, scope?: object): object {
  return { auth: { identity: { methods: ['password'], password: { user } }, scope } }
}

function byAccessKey(access: string, secret: string): object {
  return {
    auth: {
      identity: { methods: ['hw_ak_sk'], hw_ak_sk: { access: { key: access }, secret: { key: secret } } },
    },
  }
}

const USER = { name: KEY_ID, password: SECRET, domain: { name: ACCOUNT } }

async function ask(body: unknown, path = TOKENS, headers: Record<string, string> = {}): Promise<TestReply> {
  return server.send({ method: 'POST', path, body, unsigned: true, headers })
}

async function tokenOf(body: unknown): Promise<string> {
  const { status, headers, text } = await ask(body)
  expect([status, text]).toEqual([201, text])
  return headers['X-Subject-Token'] ?? ''
}

function member(json: JsonObject, ...names: string[]): unknown {
  return names.reduce<unknown>((value, name) => (isJsonObject(value) ? value[name] : undefined), json)
}

describe('POST /v3/auth/tokens', () => {
  test('gives a token of a project for a password', async () => {
    const { status, headers, json } = await ask(byPassword(USER, { project: { name: REGION } }))
    expect(status).toBe(201)
    expect(headers).toMatchObject({
      'Content-Type': 'application/json',
      'X-Request-Id': expect.stringMatching(/^[0-9a-f]{32}$/),
      'X-Subject-Token': expect.stringMatching(/^[\w-]+\.[\w-]+$/),
    })
    expect(json).toEqual({
      token: {
        issued_at: '2026-11-21T10:00:00.000000Z',
        expires_at: '2026-11-22T10:00:00.000000Z',
        methods: ['password'],
        catalog: [
          expect.objectContaining({
            type: 'functiongraph',
            endpoints: [
              expect.objectContaining({ url: `http://127.0.0.1:7400/v2/${PROJECT}`, region: REGION }),
            ],
          }),
          expect.objectContaining({ type: 'identity' }),
        ],
        project: { id: PROJECT, name: REGION, domain: DOMAIN },
        roles: [{ id: '0', name: 'te_admin' }],
        user: { id: userIdOf(ACCOUNT, KEY_ID), name: KEY_ID, password_expires_at: '', domain: DOMAIN },
      },
    })
    expect(JSON.stringify([json, headers])).not.toContain(SECRET)
  })

  test('leaves the catalogue out when asked to, and names the account where no project is', async () => {
    const { json } = await ask(byPassword(USER, { domain: { name: ACCOUNT } }), `${TOKENS}?nocatalog=true`)
    expect(json['token']).toMatchObject({ catalog: [], domain: DOMAIN })
    expect(json['token']).not.toHaveProperty('project')
    const unscoped = await ask(byPassword(USER))
    expect(unscoped.json['token']).toMatchObject({ domain: DOMAIN })
  })

  test.each([
    { name: ACCOUNT, password: SECRET, domain: { name: ACCOUNT } },
    { name: KEY_ID, password: SECRET },
    { id: KEY_ID, password: SECRET },
    { id: userIdOf(ACCOUNT, KEY_ID), password: SECRET },
    { id: DOMAIN.id, password: SECRET, domain: { id: DOMAIN.id } },
  ])('knows the user %j', async (user) => {
    expect((await ask(byPassword(user))).status).toBe(201)
  })

  test.each([
    byPassword({ ...USER, password: `${SECRET}x` }),
    byPassword({ ...USER, password: '' }),
    byPassword({ ...USER, name: 'nobody' }),
    byPassword({ ...USER, name: 'nobody', password: 'x?' }),
    byPassword({ password: SECRET }),
    byPassword({ ...USER, domain: { name: 'other' } }),
    byPassword(USER, { project: { name: REGION, domain: { name: 'other' } } }),
    byPassword(USER, { domain: { id: '0'.repeat(32) } }),
    byAccessKey(KEY_ID, 'wrong'),
    byAccessKey('nobody', SECRET),
    { auth: { identity: { methods: ['token'], token: { id: 'abc.def' } } } },
    { auth: { identity: { methods: ['token'] } } },
    { auth: { identity: { methods: ['assume_role'], assume_role: { agency_name: 'a' } } } },
  ])('does not give one for %j', async (body) => {
    const { status, json, headers } = await ask(body)
    expect(status).toBe(401)
    expect(json).toEqual({ error: { code: 401, message: expect.any(String), title: 'Unauthorized' } })
    expect(headers).not.toHaveProperty('X-Subject-Token')
  })

  test.each([
    '{',
    '[]',
    {},
    { auth: {} },
    { auth: { identity: {} } },
    { auth: { identity: { methods: [] } } },
    { auth: { identity: { methods: ['totp'] } } },
    { auth: { identity: { methods: ['password', 'totp'], password: { user: USER } } } },
    { auth: { identity: { methods: ['password'] } } },
    { auth: { identity: { methods: ['password'], password: { user: [] } } } },
    byPassword({ name: 1, password: SECRET }),
    byPassword(USER, { project: {} }),
    byPassword(USER, { project: { name: 'a/b' } }),
    byPassword(USER, { project: { id: 'a b' } }),
    byPassword({ ...USER, domain: 'x' }),
  ])('says that it does not understand %j', async (body) => {
    const { status, json } = await ask(body)
    expect([status, member(json, 'error', 'title')]).toEqual([400, 'Bad Request'])
  })

  test('gives one for an access key, and for a token that is still good, which lasts no longer', async () => {
    const first = await ask(byAccessKey(KEY_ID, SECRET))
    expect(first.json['token']).toMatchObject({
      methods: ['hw_ak_sk'],
      expires_at: '2026-11-22T10:00:00.000000Z',
    })
    server.clockMs += 3_600_000
    const id = first.headers['X-Subject-Token'] ?? ''
    const identity = { methods: ['token'], token: { id } }
    const second = await ask({ auth: { identity, scope: { project: { id: PROJECT } } } })
    server.clockMs -= 3_600_000
    expect(second.status).toBe(201)
    expect(second.json['token']).toMatchObject({
      methods: ['token'],
      issued_at: '2026-11-21T11:00:00.000000Z',
      expires_at: '2026-11-22T10:00:00.000000Z',
      project: { id: PROJECT, name: REGION },
    })
  })

  test('takes no notice of a stale token when asked for a new one', async () => {
    const { status } = await ask(byPassword(USER), TOKENS, { 'x-auth-token': 'stale' })
    expect(status).toBe(201)
  })

  test('gives no token to a body that is too long', async () => {
    const { status } = await ask(byPassword({ ...USER, password: 'x'.repeat(70_000) }))
    expect(status).toBe(413)
  })
})

describe('a token', () => {
  test('is taken in place of a signature until it ends', async () => {
    const token = await tokenOf(byPassword(USER, { project: { name: REGION } }))
    const list = () => server.send({ method: 'GET', path: F, token })
    expect((await list()).json).toMatchObject({ functions: [], count: 0 })
    const before = server.clockMs
    server.clockMs = before + 24 * 3_600_000 - 1
    expect((await list()).status).toBe(200)
    server.clockMs += 1
    const over = await list()
    server.clockMs = before
    expect([over.status, over.code]).toEqual([401, 'APIGW.0301'])
    expect(over.json['error_msg']).toBe('Incorrect IAM authentication information: decrypt token fail')
  })

  test('of one project is good for no other', async () => {
    const token = await tokenOf(byPassword(USER, { project: { name: 'eu-de' } }))
    const own = await server.send({
      method: 'GET',
      path: `/v2/${projectIdOf(ACCOUNT, 'eu-de')}/fgs/functions`,
      token,
    })
    expect(own.status).toBe(200)
    const other = await server.send({ method: 'GET', path: F, token })
    expect([other.status, other.code]).toEqual([403, 'FSS.0403'])
    const scoped = await tokenOf(byPassword(USER, { domain: { id: DOMAIN.id } }))
    expect((await server.send({ method: 'GET', path: F, token: scoped })).status).toBe(200)
  })

  test('is shown to who has one, and only if it is good', async () => {
    const token = await tokenOf(byPassword(USER, { project: { name: REGION } }))
    const show = (subject: string, own = token) =>
      server.send({ method: 'GET', path: TOKENS, token: own, headers: { 'x-subject-token': subject } })
    const shown = await show(token)
    expect([shown.status, shown.headers['X-Subject-Token']]).toEqual([200, token])
    expect(shown.json['token']).toMatchObject({ project: { id: PROJECT }, methods: ['password'] })
    const unknown = await show(`${token}x`)
    expect([unknown.status, member(unknown.json, 'error', 'code')]).toEqual([404, 404])
    expect((await show(token, 'bad')).status).toBe(401)
    const without = await server.send({ method: 'GET', path: TOKENS, unsigned: true })
    expect(without.status).toBe(401)
  })
})

describe('what clients ask before they call', () => {
  const get = (path: string) => server.send({ method: 'GET', path, body: '{}' })

  test('GET /v3 needs no credentials', async () => {
    for (const path of ['/v3', '/v3/']) {
      const { status, json } = await server.send({ method: 'GET', path, unsigned: true })
      expect(status).toBe(200)
      expect(json['version']).toMatchObject({
        id: 'v3.6',
        status: 'stable',
        links: [{ rel: 'self', href: 'http://127.0.0.1:7400/v3/' }],
      })
    }
  })

  test('there is exactly one project of a name', async () => {
    for (const [query, id] of [
      ['?name=eu-de', projectIdOf(ACCOUNT, 'eu-de')],
      [`?name=${REGION}`, PROJECT],
      ['', PROJECT],
    ] as const) {
      const { json } = await get(`/v3/projects${query}`)
      expect(json['projects']).toEqual([
        expect.objectContaining({ id, domain_id: DOMAIN.id, is_domain: false, enabled: true }),
      ])
    }
    expect((await get('/v3/projects?name=a%2Fb')).json['projects']).toEqual([])
    expect((await get('/v3/auth/projects')).json['projects']).toEqual([
      expect.objectContaining({ id: PROJECT }),
    ])
  })

  test('making a project tells the id it always had', async () => {
    const make = (project: object) => server.send({ method: 'POST', path: '/v3/projects', body: { project } })
    const made = await make({ name: 'eu-de', domain_id: DOMAIN.id })
    expect([made.status, member(made.json, 'project', 'id')]).toEqual([201, projectIdOf(ACCOUNT, 'eu-de')])
    expect((await make({ name: 'eu-de', domain_id: '0'.repeat(32) })).status).toBe(403)
    expect((await make({ name: '' })).status).toBe(400)
  })

  test('regions, the account and the project of the region are there', async () => {
    expect((await get('/v3/regions')).json['regions']).toEqual([
      expect.objectContaining({ id: REGION, type: 'public' }),
    ])
    expect((await get(`/v3/regions/${REGION}`)).json['region']).toMatchObject({ id: REGION })
    expect((await get('/v3/regions/none')).status).toBe(404)
    expect((await get('/v3/auth/domains')).json['domains']).toEqual([expect.objectContaining(DOMAIN)])
    expect((await get(`/v3/projects/${PROJECT}`)).json['project']).toMatchObject({
      id: PROJECT,
      name: REGION,
    })
    expect((await get('/v3/projects/none')).status).toBe(404)
  })

  test('nothing of it is told to strangers, and other paths do not exist', async () => {
    for (const path of ['/v3/projects', '/v3/regions', '/v3/auth/domains']) {
      const { status, code } = await server.send({ method: 'GET', path, unsigned: true })
      expect([status, code]).toEqual([401, 'APIGW.0301'])
    }
    expect((await get('/v3/users')).status).toBe(404)
    expect((await server.send({ method: 'GET', path: '/v3/projects/%ff', unsigned: true })).status).toBe(400)
    const method = await server.send({ method: 'DELETE', path: '/v3/projects' })
    expect([method.status, member(method.json, 'error', 'title')]).toEqual([405, 'Method Not Allowed'])
  })
})

describe('POST /v3.0/OS-CREDENTIAL/securitytokens', () => {
  const PATH = '/v3.0/OS-CREDENTIAL/securitytokens'
  const request = (identity: object, headers: Record<string, string> = {}) =>
    ask({ auth: { identity } }, PATH, headers)

  test('gives temporary keys that sign requests with their token', async () => {
    const token = await tokenOf(byPassword(USER))
    const { status, json } = await request(
      { methods: ['token'], token: { duration_seconds: 900 } },
      { 'x-auth-token': token },
    )
    expect(status).toBe(201)
    expect(json['credential']).toEqual({
      access: expect.stringMatching(/^STS\./),
      secret: expect.any(String),
      securitytoken: expect.any(String),
      expires_at: '2026-11-21T10:15:00.000000Z',
    })
    const found = server.keyring.find(
      String(member(json, 'credential', 'access')),
      String(member(json, 'credential', 'securitytoken')),
      server.clockMs,
    )
    expect(found).toMatchObject({ kind: 'found', key: { accountId: ACCOUNT } })
    const tokenOfTemporary = await ask(
      byAccessKeyWithToken(
        String(member(json, 'credential', 'access')),
        String(member(json, 'credential', 'secret')),
        String(member(json, 'credential', 'securitytoken')),
      ),
    )
    expect(tokenOfTemporary.json['token']).toMatchObject({ expires_at: '2026-11-21T10:15:00.000000Z' })
  })

  test('never outlives what it was given for', async () => {
    const token = await tokenOf(byPassword(USER))
    const before = server.clockMs
    server.clockMs += 24 * 3_600_000 - 60_000
    const { json } = await request({ methods: ['token'], token: { id: token, duration_seconds: 86_400 } })
    server.clockMs = before
    expect(member(json, 'credential', 'expires_at')).toBe('2026-11-22T10:00:00.000000Z')
  })

  test.each([
    [{ methods: ['token'], token: { duration_seconds: 899 } }, 400],
    [{ methods: ['token'], token: { duration_seconds: 86_401 } }, 400],
    [{ methods: ['token'], token: {}, policy: { Version: '1.1' } }, 400],
    [{ methods: ['password'], password: { user: USER } }, 400],
    [{ methods: ['token'], token: { id: 'bad' } }, 401],
  ])('%j is answered with %i', async (identity, expected) => {
    const token = await tokenOf(byPassword(USER))
    const { status } = await request(identity, { 'x-auth-token': token })
    expect(status).toBe(expected)
  })

  test('gives keys of a role to a signed request', async () => {
    const identity = {
      methods: ['assume_role'],
      assume_role: { agency_name: 'fg', domain_name: ACCOUNT, duration_seconds: 3600 },
    }
    const signed = await server.send({ method: 'POST', path: PATH, body: { auth: { identity } } })
    expect(signed.status).toBe(201)
    const foreign = { ...identity, assume_role: { agency_name: 'fg', domain_name: 'other' } }
    const other = await server.send({ method: 'POST', path: PATH, body: { auth: { identity: foreign } } })
    expect(other.status).toBe(403)
  })
})

function byAccessKeyWithToken(access: string, secret: string, token: string): object {
  return {
    auth: {
      identity: {
        methods: ['hw_ak_sk'],
        hw_ak_sk: { access: { key: access }, secret: { key: secret }, token },
      },
    },
  }
}
