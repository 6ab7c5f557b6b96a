import { beforeEach, describe, expect, test } from 'vitest'
import {
  createAlias,
  deleteAlias,
  getAlias,
  listAliases,
  updateAlias,
} from '../../../src/dialects/alibaba-fc/aliases.ts'
import { putProvisionConfig } from '../../../src/dialects/alibaba-fc/provision.ts'
import { deleteServiceVersion, publishServiceVersion } from '../../../src/dialects/alibaba-fc/versions.ts'
import { qualifiedKey } from '../../../src/engine/keys.ts'
import { ACCOUNT, column, ControlPlane, START_MS } from './control-plane.ts'

let plane: ControlPlane
const params = { service: 'demo' }
const prod = { service: 'demo', aliasName: 'prod' }

beforeEach(async () => {
  plane = await ControlPlane.open()
  for (const description of ['first', 'second']) {
    await plane.putService('demo', { description })
    await plane.putFunction('demo', 'one')
    await plane.call(publishServiceVersion, { params })
  }
})

const create = async (body: Record<string, unknown>): Promise<Record<string, unknown>> =>
  (await plane.call(createAlias, { params, body })).body

describe('createAlias', () => {
  test('answers the alias, without weights when it has none', async () => {
    const { status, body, headers } = await plane.call(createAlias, {
      params,
      body: { aliasName: 'prod', versionId: '1' },
    })
    expect(status).toBe(200)
    expect(body).toEqual({
      aliasName: 'prod',
      versionId: '1',
      description: '',
      createdTime: '2024-05-06T07:08:09Z',
      lastModifiedTime: '2024-05-06T07:08:09Z',
    })
    expect(headers?.['ETag']).toMatch(/^[0-9a-f]{32}$/)
  })

  test('gives a share of the calls to another version', async () => {
    await create({
      aliasName: 'prod',
      versionId: '1',
      additionalVersionWeight: { 2: 0.25 },
      description: 'canary',
    })
    expect((await plane.call(getAlias, { params: prod })).body).toMatchObject({
      description: 'canary',
      additionalVersionWeight: { 2: 0.25 },
    })
    const target = { account: ACCOUNT, namespace: 'demo', name: 'one', qualifier: 'prod' }
    expect(plane.catalogue.resolve(target).version).toBe('2')
  })

  test('takes weights that name the main version, as older clients send them', async () => {
    expect(
      await create({ aliasName: 'prod', versionId: '1', additionalVersionWeight: { 1: 0.9 } }),
    ).toMatchObject({
      additionalVersionWeight: { 1: 0.9 },
    })
  })

  test('takes LATEST and names made of digits and other characters', async () => {
    expect(await create({ aliasName: 'edge', versionId: 'LATEST' })).toMatchObject({ versionId: 'LATEST' })
    expect(await create({ aliasName: '1-a_B', versionId: '1' })).toMatchObject({ aliasName: '1-a_B' })
  })

  test('keeps the routing of 2021 in the answer, with member names in any case', async () => {
    const routePolicy = {
      condition: 'AND',
      policyItems: [{ type: 'Header', key: 'x-canary', operator: '=', value: 'yes' }],
    }
    const body = {
      aliasName: 'prod',
      versionId: '1',
      ResolvePolicy: 'Content',
      routePolicy: { ...routePolicy, other: 1 },
    }
    expect(await create(body)).toMatchObject({ resolvePolicy: 'Content', routePolicy })
    expect((await plane.call(getAlias, { params: prod })).body['routePolicy']).toEqual(routePolicy)
    const older = await plane.call(getAlias, { params: prod, api: '2016-08-15' })
    expect(Object.keys(older.body)).not.toContain('routePolicy')
  })

  test('does not know the routing of 2021 in 2016', async () => {
    await plane.call(createAlias, {
      params,
      api: '2016-08-15',
      body: { aliasName: 'prod', versionId: '1', resolvePolicy: 'Content' },
    })
    expect(Object.keys((await plane.call(getAlias, { params: prod })).body)).not.toContain('resolvePolicy')
  })

  test.each(['1', '007', 'LATEST', '', 'a b', 'a.b', 'x'.repeat(129)])(
    'refuses the name %j',
    async (aliasName) => {
      expect(await plane.refusal(createAlias, { params, body: { aliasName, versionId: '1' } })).toMatchObject(
        { code: 'InvalidArgument' },
      )
    },
  )

  test('refuses a name that is taken and keeps the alias that has it', async () => {
    await create({ aliasName: 'prod', versionId: '1' })
    expect(
      await plane.refusal(createAlias, { params, body: { aliasName: 'prod', versionId: '2' } }),
    ).toMatchObject({ code: 'AliasAlreadyExists', message: "alias 'prod' already exists in service 'demo'" })
    expect((await plane.call(getAlias, { params: prod })).body).toMatchObject({ versionId: '1' })
  })

  test('refuses versions that do not exist, weighted ones too', async () => {
    expect(
      await plane.refusal(createAlias, { params, body: { aliasName: 'prod', versionId: '9' } }),
    ).toMatchObject({ code: 'VersionNotFound', message: "version '9' does not exist in service 'demo'" })
    expect(
      await plane.refusal(createAlias, {
        params,
        body: { aliasName: 'prod', versionId: '1', additionalVersionWeight: { 9: 0.1 } },
      }),
    ).toMatchObject({ code: 'VersionNotFound' })
  })

  test.each<[string, unknown]>([
    ['more than 1', { 2: 1.1 }],
    ['less than 0', { 2: -0.1 }],
    ['a text', { 2: '0.5' }],
    ['null', { 2: null }],
    ['more than 1 together', { 1: 0.6, 2: 0.5 }],
    ['a list', [0.5]],
  ])('refuses a weight that is %s', async (_, additionalVersionWeight) => {
    const body = { aliasName: 'prod', versionId: '1', additionalVersionWeight }
    expect(await plane.refusal(createAlias, { params, body })).toMatchObject({ code: 'InvalidArgument' })
  })

  test('refuses absent and ill-formed members and an unknown service', async () => {
    expect(await plane.refusal(createAlias, { params, body: { aliasName: 'prod' } })).toMatchObject({
      code: 'InvalidArgument',
      message: 'VersionId is required but not provided',
    })
    expect(await plane.refusal(createAlias, { params, body: { versionId: '1' } })).toMatchObject({
      code: 'InvalidArgument',
    })
    expect(
      await plane.refusal(createAlias, { params, body: { aliasName: 'prod', versionId: 1 } }),
    ).toMatchObject({ code: 'InvalidArgument' })
    const body = { aliasName: 'prod', versionId: '1' }
    expect(await plane.refusal(createAlias, { params, body: { ...body, routePolicy: 'x' } })).toMatchObject({
      code: 'InvalidArgument',
    })
    expect(
      await plane.refusal(createAlias, {
        params,
        body: { ...body, description: 'x'.repeat(257) },
      }),
    ).toMatchObject({ code: 'InvalidArgument' })
    expect(await plane.refusal(createAlias, { params: { service: 'nothing' }, body })).toMatchObject({
      code: 'ServiceNotFound',
    })
  })
})

describe('updateAlias', () => {
  beforeEach(() =>
    create({
      aliasName: 'prod',
      versionId: '1',
      description: 'before',
      additionalVersionWeight: { 2: 0.5 },
      resolvePolicy: 'Random',
    }),
  )

  const update = async (body: Record<string, unknown>): Promise<Record<string, unknown>> =>
    (await plane.call(updateAlias, { params: prod, body })).body

  test('leaves members alone that are absent or null', async () => {
    plane.nowMs = START_MS + 60_000
    expect(await update({ description: 'after', additionalVersionWeight: null, versionId: null })).toEqual({
      aliasName: 'prod',
      versionId: '1',
      description: 'after',
      additionalVersionWeight: { 2: 0.5 },
      resolvePolicy: 'Random',
      createdTime: '2024-05-06T07:08:09Z',
      lastModifiedTime: '2024-05-06T07:09:09Z',
    })
  })

  test('moves to another version and clears weights by an empty object', async () => {
    const body = await update({ versionId: '2', additionalVersionWeight: {} })
    expect(body).toMatchObject({ versionId: '2', description: 'before' })
    expect(Object.keys(body)).not.toContain('additionalVersionWeight')
  })

  test('replaces weights as a whole', async () => {
    expect(await update({ additionalVersionWeight: { 1: 0.1 } })).toMatchObject({
      additionalVersionWeight: { 1: 0.1 },
    })
  })

  test('can be moved away from a version that was deleted', async () => {
    await plane.call(deleteServiceVersion, { params: { service: 'demo', versionId: '1' } })
    expect(await update({ description: 'dangling' })).toMatchObject({ versionId: '1' })
    expect(await update({ versionId: '2' })).toMatchObject({ versionId: '2' })
  })

  test('keeps to the state that If-Match names', async () => {
    const etag = (await plane.call(getAlias, { params: prod })).headers?.['ETag'] ?? ''
    const body = { description: 'matched' }
    expect(
      await plane.refusal(updateAlias, { params: prod, body, headers: { 'if-match': 'wrong' } }),
    ).toMatchObject({ code: 'PreconditionFailed', message: 'the resource being modified has been changed' })
    const { headers } = await plane.call(updateAlias, { params: prod, body, headers: { 'if-match': etag } })
    expect(headers?.['ETag']).not.toBe(etag)
    expect(
      await plane.refusal(updateAlias, {
        params: prod,
        body,
        headers: { 'if-match': etag },
      }),
    ).toMatchObject({ code: 'PreconditionFailed' })
  })

  test('refuses unknown versions, aliases and services and bad weights', async () => {
    expect(await plane.refusal(updateAlias, { params: prod, body: { versionId: '9' } })).toMatchObject({
      code: 'VersionNotFound',
    })
    expect(
      await plane.refusal(updateAlias, {
        params: prod,
        body: { additionalVersionWeight: { 9: 0.1 } },
      }),
    ).toMatchObject({ code: 'VersionNotFound' })
    expect(
      await plane.refusal(updateAlias, {
        params: prod,
        body: { additionalVersionWeight: { 2: 2 } },
      }),
    ).toMatchObject({ code: 'InvalidArgument' })
    expect(
      await plane.refusal(updateAlias, { params: { service: 'demo', aliasName: 'dev' }, body: {} }),
    ).toMatchObject({ code: 'AliasNotFound', message: "alias 'dev' does not exist in service 'demo'" })
    expect(
      await plane.refusal(updateAlias, { params: { service: 'nothing', aliasName: 'prod' } }),
    ).toMatchObject({ code: 'ServiceNotFound' })
  })
})

describe('listAliases', () => {
  const names = async (query: Record<string, string> = {}): Promise<unknown> => {
    const { body } = await plane.call(listAliases, { params, query })
    return {
      ...body,
      aliases: column(body['aliases'], 'aliasName'),
    }
  }

  test('is empty for a service without aliases, and refuses an unknown service', async () => {
    expect((await plane.call(listAliases, { params })).body).toEqual({ aliases: [] })
    expect(await plane.refusal(listAliases, { params: { service: 'nothing' } })).toMatchObject({
      code: 'ServiceNotFound',
    })
  })

  test('lists by name, in pages, by prefix and from a key', async () => {
    await plane.putService('demo2')
    await plane.call(createAlias, {
      params: { service: 'demo2' },
      body: { aliasName: 'a9', versionId: 'LATEST' },
    })
    for (const aliasName of ['b1', 'a2', 'a1']) await create({ aliasName, versionId: '1' })
    expect(await names()).toEqual({ aliases: ['a1', 'a2', 'b1'] })
    expect(await names({ limit: '2' })).toEqual({ aliases: ['a1', 'a2'], nextToken: 'b1' })
    expect(await names({ nextToken: 'b1' })).toEqual({ aliases: ['b1'] })
    expect(await names({ prefix: 'a' })).toEqual({ aliases: ['a1', 'a2'] })
    expect(await names({ startKey: 'a2' })).toEqual({ aliases: ['a2', 'b1'] })
    expect(await plane.refusal(listAliases, { params, query: { limit: 'x' } })).toMatchObject({
      code: 'InvalidArgument',
    })
  })
})

describe('getAlias and deleteAlias', () => {
  test('answer 404 for what does not exist', async () => {
    for (const operation of [getAlias, deleteAlias]) {
      expect(await plane.refusal(operation, { params: prod })).toMatchObject({ code: 'AliasNotFound' })
      expect(
        await plane.refusal(operation, { params: { service: 'nothing', aliasName: 'prod' } }),
      ).toMatchObject({ code: 'ServiceNotFound' })
    }
  })

  test('delete once, keeping to If-Match in the query', async () => {
    await create({ aliasName: 'prod', versionId: '1' })
    expect(await plane.refusal(deleteAlias, { params: prod, query: { 'If-Match': 'wrong' } })).toMatchObject({
      code: 'PreconditionFailed',
    })
    expect((await plane.call(deleteAlias, { params: prod })).status).toBe(204)
    expect(await plane.refusal(getAlias, { params: prod })).toMatchObject({ code: 'AliasNotFound' })
  })

  test('delete what is kept ready through the alias', async () => {
    await create({ aliasName: 'prod', versionId: '1' })
    const target = { service: 'demo', function: 'one' }
    await plane.call(putProvisionConfig, { params: target, qualifier: 'prod', body: { target: 2 } })
    await plane.call(deleteAlias, { params: prod })
    expect(plane.catalogue.get('provision', qualifiedKey(ACCOUNT, 'demo', 'one', 'prod'))).toBeUndefined()
  })
})
