import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { functionBody, openHarness, pluck, type Harness } from './harness.ts'

let fc: Harness
beforeEach(async () => {
  fc = await openHarness()
})
afterEach(() => fc.close())

const V1 = '/2016-08-15'
const V2 = '/2021-04-06'
const get = (path: string) => fc.send({ method: 'GET', path })
const post = (path: string, body: unknown) => fc.send({ method: 'POST', path, body })
const put = (path: string, body: unknown, headers = {}) => fc.send({ method: 'PUT', path, body, headers })
const remove = (path: string, headers = {}) => fc.send({ method: 'DELETE', path, headers })

describe('services', () => {
  test('a new service shows every member that clients reach into, set or not', async () => {
    const created = await post(`${V1}/services`, { serviceName: 'demo' })
    expect(created.status).toBe(200)
    expect(created.headers['Content-Type']).toBe('application/json')
    expect(created.headers['ETag']).toMatch(/^[0-9a-f]{32}$/)
    expect(created.json).toMatchObject({
      serviceName: 'demo',
      description: '',
      role: '',
      logConfig: { project: '', logstore: '' },
      internetAccess: true,
      createdTime: '2026-11-21T10:00:00Z',
      lastModifiedTime: '2026-11-21T10:00:00Z',
    })
    expect(created.json['serviceId']).toMatch(/^[0-9a-f-]{36}$/)
    expect((await get(`${V1}/services/demo`)).json).toEqual(created.json)
  })

  test('only the younger API shows its own members', async () => {
    await post(`${V1}/services`, { serviceName: 'demo' })
    expect((await get(`${V1}/services/demo`)).json).not.toHaveProperty('useSLRAuthentication')
    const young = (await get(`${V2}/services/demo`)).json
    expect(young).toMatchObject({ useSLRAuthentication: false, ossMountConfig: { mountPoints: [] } })
  })

  test('member names are read in any case, and unknown ones are ignored', async () => {
    const { json } = await post(`${V1}/services`, {
      SERVICENAME: 'demo',
      Description: 'd',
      LogConfig: { Project: 'p', LogStore: 'l' },
      whatever: 1,
    })
    expect(json).toMatchObject({
      serviceName: 'demo',
      description: 'd',
      logConfig: { project: 'p', logstore: 'l' },
    })
  })

  test('a second service of the same name is refused', async () => {
    await post(`${V1}/services`, { serviceName: 'demo' })
    const second = await post(`${V1}/services`, { serviceName: 'demo' })
    expect([second.status, second.json['ErrorCode']]).toEqual([409, 'ServiceAlreadyExists'])
  })

  test('members out of their ranges are refused', async () => {
    for (const body of [
      {},
      { serviceName: '1demo' },
      { serviceName: 'x'.repeat(129) },
      { serviceName: 'a/b' },
      { serviceName: 'demo', role: 'admin' },
      { serviceName: 'demo', logConfig: [] },
      { serviceName: 'demo', internetAccess: 'yes' },
      { serviceName: 'demo', description: 'd'.repeat(257) },
      { serviceName: 'demo', logConfig: { logBeginRule: 'Other' } },
    ]) {
      const { status, json } = await post(`${V1}/services`, body)
      expect({ body, status, code: json['Code'] }).toEqual({ body, status: 400, code: 'InvalidArgument' })
    }
  })

  test('an update keeps what is absent or null', async () => {
    await post(`${V1}/services`, {
      serviceName: 'demo',
      description: 'one',
      logConfig: { project: 'p', logstore: 'l' },
    })
    fc.clockMs += 5000
    const { json } = await put(`${V1}/services/demo`, { description: null, internetAccess: false })
    expect(json).toMatchObject({
      description: 'one',
      internetAccess: false,
      logConfig: { project: 'p' },
      createdTime: '2026-11-21T10:00:00Z',
      lastModifiedTime: '2026-11-21T10:00:05Z',
    })
  })

  test('a change of role or log gives each function a new state, and one that functions do not see gives none', async () => {
    await post(`${V1}/services`, { serviceName: 'demo' })
    await post(`${V1}/services/demo/functions`, await functionBody('hello'))
    const target = { account: '1234567890123456', namespace: 'demo', name: 'hello' }
    const before = fc.catalogue.resolve(target)
    const retired: string[] = []
    fc.catalogue.onRetired = (ids) => retired.push(...ids)

    await put(`${V1}/services/demo`, { description: 'other', vpcConfig: { vpcId: 'vpc' } })
    expect(fc.catalogue.resolve(target).id).toBe(before.id)

    const role = 'acs:ram::1234567890123456:role/fc'
    await put(`${V1}/services/demo`, { role, logConfig: { project: 'p', logstore: 'l' } })
    const after = fc.catalogue.resolve(target)
    expect(after.facts).toEqual({ role, logProject: 'p', logStore: 'l' })
    expect(retired).toEqual([before.id])
  })

  test('functions of a service without internet access have no network: those that are there and new ones', async () => {
    const networkOf = (name: string) =>
      fc.catalogue.resolve({ account: '1234567890123456', namespace: 'demo', name }).network
    await post(`${V1}/services`, { serviceName: 'demo' })
    await post(`${V1}/services/demo/functions`, await functionBody('old'))
    expect(networkOf('old')).toBe(undefined)

    await put(`${V1}/services/demo`, { internetAccess: false })
    await post(`${V1}/services/demo/functions`, await functionBody('new'))
    expect([networkOf('old'), networkOf('new')]).toEqual(['none', 'none'])
    await put(`${V1}/services/demo/functions/new`, { description: 'changed', timeout: 9 })
    expect(networkOf('new')).toBe('none')

    await put(`${V1}/services/demo`, { internetAccess: true })
    expect([networkOf('old'), networkOf('new')]).toEqual([undefined, undefined])
  })

  test('If-Match holds an update to the state its caller saw', async () => {
    const { headers } = await post(`${V1}/services`, { serviceName: 'demo' })
    const etag = headers['ETag']!
    expect((await put(`${V1}/services/demo`, { description: '1' }, { 'if-match': 'other' })).status).toBe(412)
    expect((await put(`${V1}/services/demo`, { description: '1' }, { 'if-match': etag })).status).toBe(200)
    const late = await put(`${V1}/services/demo`, { description: '2' }, { 'if-match': etag })
    expect([late.status, late.json['ErrorCode']]).toEqual([412, 'PreconditionFailed'])
    expect((await remove(`${V1}/services/demo?If-Match=${etag}`)).status).toBe(412)
  })

  test('a service that was made anew has another ETag', async () => {
    const first = await post(`${V1}/services`, { serviceName: 'demo' })
    await remove(`${V1}/services/demo`)
    fc.clockMs += 1
    const second = await post(`${V1}/services`, { serviceName: 'demo' })
    expect(second.headers['ETag']).not.toBe(first.headers['ETag'])
  })

  test('lists by prefix, start key and token in the order of names', async () => {
    for (const name of ['b-2', 'a-1', 'b-1', 'b-3']) await post(`${V1}/services`, { serviceName: name })
    const first = await get(`${V1}/services?prefix=b-&limit=2`)
    expect(pluck(first, 'services', 'serviceName')).toEqual(['b-1', 'b-2'])
    expect(first.json['nextToken']).toBe('b-3')
    const last = await get(`${V1}/services?prefix=b-&limit=2&nextToken=b-3`)
    expect(pluck(last, 'services', 'serviceName')).toEqual(['b-3'])
    expect(last.json).not.toHaveProperty('nextToken')
    expect((await get(`${V1}/services?limit=0`)).status).toBe(400)
  })

  test('lists the services that have all of the tags asked for', async () => {
    for (const name of ['one', 'two', 'three']) await post(`${V1}/services`, { serviceName: name })
    await post(`${V1}/tag`, { resourceArn: 'services/one', tags: { a: '1', b: '2' } })
    await post(`${V1}/tag`, { resourceArn: 'services/two', tags: { a: '1' } })
    const names = async (query: string) =>
      pluck(await get(`${V1}/services?${query}`), 'services', 'serviceName')
    expect(await names('tag_a=1')).toEqual(['one', 'two'])
    expect(await names('tag_a=1&tag_b=2')).toEqual(['one'])
    expect(await names('tag_a=2')).toEqual([])
    expect(await names('tag_constructor=')).toEqual([])
  })

  test('a service is not deleted while it has functions, versions or aliases', async () => {
    await post(`${V1}/services`, { serviceName: 'demo' })
    await post(`${V1}/services/demo/functions`, await functionBody('hello'))
    const expectRefusal = async (reason: string) => {
      const { json } = await remove(`${V1}/services/demo`)
      expect([json['ErrorCode'], json['ErrorMessage']]).toEqual([
        'ServiceNotEmpty',
        `service 'demo' has ${reason}; delete them first`,
      ])
    }
    await expectRefusal('functions')
    await post(`${V1}/services/demo/versions`, {})
    await post(`${V1}/services/demo/aliases`, { aliasName: 'prod', versionId: '1' })
    await expectRefusal('functions and versions and aliases')
    await remove(`${V1}/services/demo/functions/hello`)
    await expectRefusal('versions and aliases')
    await remove(`${V1}/services/demo/versions/1`)
    await expectRefusal('aliases')
    await remove(`${V1}/services/demo/aliases/prod`)
    const removed = await remove(`${V1}/services/demo`)
    expect([removed.status, removed.bytes.length]).toEqual([204, 0])
    expect(removed.headers).not.toHaveProperty('Content-Type')
    expect((await get(`${V1}/services/demo`)).json['ErrorCode']).toBe('ServiceNotFound')
  })

  test('a version shows the service as it was', async () => {
    await post(`${V1}/services`, { serviceName: 'demo', description: 'old' })
    await post(`${V1}/services/demo/functions`, await functionBody('hello'))
    await post(`${V1}/services/demo/versions`, {})
    await put(`${V1}/services/demo`, { description: 'new' })
    expect((await get(`${V1}/services/demo.1`)).json['description']).toBe('old')
    expect((await get(`${V2}/services/demo?qualifier=1`)).json['description']).toBe('old')
    expect((await get(`${V1}/services/demo.`)).json['description']).toBe('new')
    expect((await get(`${V1}/services/demo.LATEST`)).json['description']).toBe('new')
    expect((await get(`${V1}/services/demo.9`)).json['ErrorCode']).toBe('VersionNotFound')
    expect((await get(`${V1}/services/demo.prod`)).json['ErrorCode']).toBe('AliasNotFound')
    expect((await put(`${V1}/services/demo.1`, { description: 'x' })).status).toBe(400)
  })
})
