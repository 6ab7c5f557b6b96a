import { beforeEach, describe, expect, test } from 'vitest'
import { createAlias } from '../../../src/dialects/alibaba-fc/aliases.ts'
import { putProvisionConfig } from '../../../src/dialects/alibaba-fc/provision.ts'
import {
  deleteServiceVersion,
  listServiceVersions,
  publishServiceVersion,
} from '../../../src/dialects/alibaba-fc/versions.ts'
import { functionKey, namespaceKey, qualifiedKey, versionKey } from '../../../src/engine/keys.ts'
import { EngineError } from '../../../src/model/errors.ts'
import { ACCOUNT, column, ControlPlane, START_MS, type CallDraft } from './control-plane.ts'

let plane: ControlPlane
const params = { service: 'demo' }

beforeEach(async () => {
  plane = await ControlPlane.open()
  await plane.putService('demo', { description: 'first' })
})

const publish = async (draft: CallDraft = {}): Promise<Record<string, unknown>> =>
  (await plane.call(publishServiceVersion, { params, ...draft })).body

/** Changes the service before each, so that there is something to publish. */
async function publishTimes(count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await plane.putService('demo', { description: `change ${index}` })
    await publish()
  }
}

const listed = async (query: Record<string, string> = {}): Promise<unknown> => {
  const { body } = await plane.call(listServiceVersions, { params, query })
  return {
    ...body,
    versions: column(body['versions'], 'versionId'),
  }
}

describe('publishServiceVersion', () => {
  test('answers number 1 with its description and times', async () => {
    plane.nowMs = START_MS + 60_000
    const { status, body, headers } = await plane.call(publishServiceVersion, {
      params,
      body: { Description: 'v1' },
    })
    expect(status).toBe(200)
    expect(body).toEqual({
      versionId: '1',
      description: 'v1',
      createdTime: '2024-05-06T07:09:09Z',
      lastModifiedTime: '2024-05-06T07:09:09Z',
    })
    expect(headers?.['ETag']).toMatch(/^[0-9a-f]{32}$/)
  })

  test('has an empty description where none was sent', async () => {
    expect(await publish({ api: '2016-08-15' })).toMatchObject({ versionId: '1', description: '' })
  })

  test('freezes the service and all its functions at once', async () => {
    await plane.putFunction('demo', 'one', { description: 'original' })
    await plane.putFunction('demo', 'two')
    await plane.putService('other')
    await plane.putFunction('other', 'three')
    const commits = plane.store.commits
    await publish()
    expect(plane.store.commits).toBe(commits + 1)

    await plane.putFunction('demo', 'one', { description: 'changed', stateId: 'state-later' })
    await plane.putService('demo', { description: 'changed' })
    const frozen = plane.catalogue
      .list('function', functionKey(ACCOUNT, 'demo', '', '1'))
      .map(({ value }) => value)
    expect(frozen).toMatchObject([
      { name: 'one', version: '1', description: 'original', functionId: 'id-of-demo-one' },
      { name: 'two', version: '1', functionId: 'id-of-demo-two' },
    ])
    expect(plane.catalogue.get('version', versionKey(ACCOUNT, 'demo', '1'))?.value.snapshot).toMatchObject({
      name: 'demo',
      description: 'first',
    })
  })

  test('gives each frozen function a state of its own', async () => {
    await plane.putFunction('demo', 'one')
    await publish()
    await plane.putService('demo', { description: 'second' })
    await publish()
    const resolve = (qualifier?: string): { id: string; functionId: string } =>
      plane.catalogue.resolve({
        account: ACCOUNT,
        namespace: 'demo',
        name: 'one',
        ...(qualifier && { qualifier }),
      })
    expect(new Set([resolve().id, resolve('1').id, resolve('2').id]).size).toBe(3)
    expect(new Set([resolve().functionId, resolve('1').functionId, resolve('2').functionId]).size).toBe(1)
  })

  test('refuses to publish what the newest version already holds', async () => {
    await plane.putFunction('demo', 'one')
    await publish()
    expect(
      await plane.refusal(publishServiceVersion, { params, body: { description: 'another' } }),
    ).toMatchObject({ code: 'InvalidArgument', message: "service 'demo' has no changes since version '1'" })
    await plane.reopen()
    expect(await plane.refusal(publishServiceVersion, { params })).toMatchObject({ code: 'InvalidArgument' })
    expect(plane.catalogue.get('namespace', namespaceKey(ACCOUNT, 'demo'))?.value.lastVersion).toBe(1)
  })

  test.each<[string, () => Promise<void>]>([
    ['the description of the service', () => plane.putService('demo', { description: 'second' })],
    ['a setting of the service', () => plane.putService('demo', { extras: { internetAccess: false } })],
    ['a description of a function', () => plane.putFunction('demo', 'one', { description: 'new' })],
    ['a setting of a function', () => plane.putFunction('demo', 'one', { extras: { caPort: 9001 } })],
    ['a new function', () => plane.putFunction('demo', 'two')],
    ['a deleted function', () => plane.removeFunction('demo', 'one')],
  ])('counts %s as a change', async (_, change) => {
    await plane.putFunction('demo', 'one')
    await publish()
    await change()
    expect(await publish()).toMatchObject({ versionId: '2' })
  })

  test('does not use a number again after its version was deleted', async () => {
    await publish()
    await plane.call(deleteServiceVersion, { params: { ...params, versionId: '1' } })
    expect(await publish()).toMatchObject({ versionId: '2' })
  })

  test('numbers versions published at the same time without a gap', async () => {
    await plane.putFunction('demo', 'one')
    const results = await Promise.allSettled([publish(), publish(), publish()])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected'])
    await plane.putService('demo', { description: 'second' })
    expect(await publish()).toMatchObject({ versionId: '2' })
  })

  test('keeps to the state of the service that If-Match names', async () => {
    expect(
      await plane.refusal(publishServiceVersion, {
        params,
        headers: { 'if-match': 'wrong' },
      }),
    ).toMatchObject({ code: 'PreconditionFailed' })
    expect(await listed()).toMatchObject({ versions: [] })
  })

  test('refuses an unknown service, another account, an ill-formed name and an overlong description', async () => {
    expect(await plane.refusal(publishServiceVersion, { params: { service: 'nothing' } })).toMatchObject({
      code: 'ServiceNotFound',
    })
    expect(await plane.refusal(publishServiceVersion, { params, account: '1' })).toMatchObject({
      code: 'ServiceNotFound',
      message: "service 'demo' does not exist",
    })
    expect(await plane.refusal(publishServiceVersion, { params: { service: 'a/b' } })).toMatchObject({
      code: 'InvalidArgument',
    })
    expect(
      await plane.refusal(publishServiceVersion, {
        params,
        body: { description: 'x'.repeat(257) },
      }),
    ).toMatchObject({ code: 'InvalidArgument' })
    expect(await plane.refusal(publishServiceVersion, { params, body: { description: 1 } })).toMatchObject({
      code: 'InvalidArgument',
    })
  })
})

describe('listServiceVersions', () => {
  test('is empty before the first publication', async () => {
    expect((await plane.call(listServiceVersions, { params })).body).toEqual({
      versions: [],
      direction: 'BACKWARD',
    })
  })

  test('shows the members of each version', async () => {
    await publish({ body: { description: 'v1' } })
    expect((await plane.call(listServiceVersions, { params })).body).toEqual({
      versions: [
        {
          versionId: '1',
          description: 'v1',
          createdTime: '2024-05-06T07:08:09Z',
          lastModifiedTime: '2024-05-06T07:08:09Z',
        },
      ],
      direction: 'BACKWARD',
    })
  })

  test('orders by number, newest first unless asked otherwise', async () => {
    await publishTimes(11)
    const newestFirst = ['11', '10', '9', '8', '7', '6', '5', '4', '3', '2', '1']
    expect(await listed()).toEqual({ versions: newestFirst, direction: 'BACKWARD' })
    expect(await listed({ direction: 'FORWARD' })).toEqual({
      versions: newestFirst.toReversed(),
      direction: 'FORWARD',
    })
  })

  test('pages in both directions with the next number as token', async () => {
    await publishTimes(11)
    expect(await listed({ limit: '2' })).toEqual({
      versions: ['11', '10'],
      nextToken: '9',
      direction: 'BACKWARD',
    })
    expect(await listed({ limit: '2', nextToken: '9' })).toMatchObject({
      versions: ['9', '8'],
      nextToken: '7',
    })
    expect(await listed({ startKey: '2' })).toEqual({ versions: ['2', '1'], direction: 'BACKWARD' })
    expect(await listed({ direction: 'FORWARD', startKey: '10' })).toMatchObject({ versions: ['10', '11'] })
  })

  test('refuses an unknown service, direction, token and limit', async () => {
    expect(await plane.refusal(listServiceVersions, { params: { service: 'nothing' } })).toMatchObject({
      code: 'ServiceNotFound',
    })
    expect(await plane.refusal(listServiceVersions, { params, query: { direction: 'UP' } })).toMatchObject({
      code: 'InvalidArgument',
      message: "Direction is set to an invalid value (allowed: BACKWARD | FORWARD, actual: 'UP')",
    })
    expect(await plane.refusal(listServiceVersions, { params, query: { nextToken: 'x' } })).toMatchObject({
      code: 'InvalidArgument',
    })
    expect(await plane.refusal(listServiceVersions, { params, query: { startKey: '0' } })).toMatchObject({
      code: 'InvalidArgument',
    })
    expect(await plane.refusal(listServiceVersions, { params, query: { limit: '101' } })).toMatchObject({
      code: 'InvalidArgument',
    })
  })
})

describe('deleteServiceVersion', () => {
  test('removes the version with its functions and leaves the latest ones', async () => {
    await plane.putFunction('demo', 'one')
    await publish()
    const retired: string[] = []
    plane.catalogue.onRetired = (stateIds) => retired.push(...stateIds)
    const { status, body } = await plane.call(deleteServiceVersion, { params: { ...params, versionId: '1' } })
    expect({ status, body }).toEqual({ status: 204, body: undefined })
    expect(await listed()).toMatchObject({ versions: [] })
    expect(plane.catalogue.get('function', functionKey(ACCOUNT, 'demo', 'one', '1'))).toBeUndefined()
    expect(plane.catalogue.get('function', functionKey(ACCOUNT, 'demo', 'one'))).toBeDefined()
    expect(retired).toHaveLength(1)
  })

  test('leaves an alias dangling: calls through it fail', async () => {
    await plane.putFunction('demo', 'one')
    await publish()
    await plane.call(createAlias, { params, body: { aliasName: 'prod', versionId: '1' } })
    const target = { account: ACCOUNT, namespace: 'demo', name: 'one', qualifier: 'prod' }
    expect(plane.catalogue.resolve(target).version).toBe('1')
    await plane.call(deleteServiceVersion, { params: { ...params, versionId: '1' } })
    expect(() => plane.catalogue.resolve(target)).toThrow(
      new EngineError('caller/version-not-found', { namespace: 'demo', version: '1' }),
    )
  })

  test('keeps no instances ready for a version that is gone', async () => {
    await plane.putFunction('demo', 'one')
    await publish()
    const target = { ...params, function: 'one' }
    await plane.call(putProvisionConfig, { params: target, qualifier: '1', body: { target: 2 } })
    await plane.call(putProvisionConfig, { params: target, qualifier: 'LATEST', body: { target: 3 } })
    await plane.call(deleteServiceVersion, { params: { ...params, versionId: '1' } })
    expect(plane.catalogue.get('provision', qualifiedKey(ACCOUNT, 'demo', 'one', '1'))).toBeUndefined()
    expect(plane.catalogue.get('provision', qualifiedKey(ACCOUNT, 'demo', 'one', 'LATEST'))).toBeDefined()
  })

  test('refuses LATEST, a name, an unknown number and an unknown service', async () => {
    for (const versionId of ['LATEST', 'prod', '0', '01', '-1'])
      expect(await plane.refusal(deleteServiceVersion, { params: { ...params, versionId } })).toMatchObject({
        code: 'InvalidArgument',
      })
    expect(
      await plane.refusal(deleteServiceVersion, { params: { ...params, versionId: '7' } }),
    ).toMatchObject({ code: 'VersionNotFound', message: "version '7' does not exist in service 'demo'" })
    expect(
      await plane.refusal(deleteServiceVersion, {
        params: { service: 'nothing', versionId: '1' },
      }),
    ).toMatchObject({ code: 'ServiceNotFound' })
  })
})
