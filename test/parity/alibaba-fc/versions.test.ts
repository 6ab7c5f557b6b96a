import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { base64Zip, Open, Suite } from './clients.ts'

/** Enough calls that a version with a fifth of the traffic is missed once in 10^9 runs. */
const CALLS = 100

let suite: Suite

beforeAll(async () => {
  suite = await Suite.start('main')
})

afterAll(() => suite?.server.close())

function says(text: string): string {
  return `exports.handler = async (event, context) =>
    [${JSON.stringify(text)}, context.service.qualifier, context.service.versionId].join(' ')`
}

/** A service of its own with version 1 saying `old` and LATEST saying `new`. */
async function publishedService(service: string): Promise<void> {
  await suite.fc2.createService(service)
  await suite.deploy('speaks', says('old'), {}, service)
  const { data } = await suite.fc2.publishVersion(service, 'the first')
  expect(data.versionId).toBe('1')
  await suite.fc2.updateFunction(service, 'speaks', { code: { zipFile: await base64Zip(says('new')) } })
}

describe('a published version', () => {
  test('keeps its code and is reached by both forms of a qualifier', async () => {
    await publishedService('pinned')
    const latest = await suite.invoke('speaks', {}, 'pinned')
    expect([latest.text, latest.versionId]).toEqual(['new LATEST LATEST', 'LATEST'])
    const byQuery = await suite.invoke('speaks', { qualifier: '1' }, 'pinned')
    expect([byQuery.text, byQuery.versionId]).toEqual(['old 1 1', '1'])
    const bySegment = await suite.fc2.invokeFunction('pinned', 'speaks', '', {}, '1')
    expect(bySegment.data).toBe('old 1 1')
    expect(bySegment.headers['x-fc-invocation-service-version']).toBe('1')
    expect(byQuery.headers['x-fc-code-checksum']).not.toBe(latest.headers['x-fc-code-checksum'])
  })

  test('shows the function as it was', async () => {
    await publishedService('shown')
    const { data: before } = await suite.fc2.getFunction('shown', 'speaks', {}, '1')
    const { data: now } = await suite.fc2.getFunction('shown', 'speaks')
    expect(before.codeChecksum).not.toBe(now.codeChecksum)
    const { body } = await suite.open.getFunction(
      'shown',
      'speaks',
      new Open.GetFunctionRequest({ qualifier: '1' }),
    )
    expect(body.codeChecksum).toBe(before.codeChecksum)
    const { data: listed } = await suite.fc2.listFunctions('shown', {}, {}, '1')
    expect(listed.functions).toMatchObject([{ functionName: 'speaks', codeChecksum: before.codeChecksum }])
  })

  test('is counted up, never used again, and listed', async () => {
    await publishedService('counted')
    const second = await suite.open.publishServiceVersion(
      'counted',
      new Open.PublishServiceVersionRequest({ description: 'the second' }),
    )
    expect(second.body).toMatchObject({ versionId: '2', description: 'the second' })
    await expect(suite.fc2.publishVersion('counted', 'nothing new')).rejects.toMatchObject({
      code: 'InvalidArgument',
    })
    await suite.fc2.deleteVersion('counted', '2')
    await suite.fc2.updateService('counted', { description: 'a change' })
    const third = await suite.fc2.publishVersion('counted')
    expect(third.data.versionId).toBe('3')
    const idsOf = async (direction: string): Promise<string[]> => {
      const { data } = await suite.fc2.listVersions('counted', { direction })
      return data.versions.map(({ versionId }: { versionId: string }) => versionId)
    }
    expect(await idsOf('FORWARD')).toEqual(['1', '3'])
    expect(await idsOf('BACKWARD')).toEqual(['3', '1'])
    await expect(suite.invoke('speaks', { qualifier: '2' }, 'counted')).rejects.toMatchObject({
      code: 'VersionNotFound',
      statusCode: 404,
    })
  })

  test('keeps its service from being deleted', async () => {
    await suite.fc2.createService('held')
    await suite.fc2.publishVersion('held')
    await expect(suite.fc2.deleteService('held')).rejects.toMatchObject({ code: 'ServiceNotEmpty' })
    await suite.fc2.deleteVersion('held', '1')
    await suite.fc2.deleteService('held')
    await expect(suite.fc2.getService('held')).rejects.toMatchObject({ code: 'ServiceNotFound' })
  })
})

describe('an alias', () => {
  test('leads to its version until it is pointed elsewhere', async () => {
    await publishedService('staged')
    await suite.fc2.publishVersion('staged')
    await suite.fc2.createAlias('staged', 'prod', '1', { description: 'what customers get' })
    const first = await suite.invoke('speaks', { qualifier: 'prod' }, 'staged')
    expect([first.text, first.versionId]).toEqual(['old prod 1', '1'])
    await suite.open.updateAlias('staged', 'prod', new Open.UpdateAliasRequest({ versionId: '2' }))
    const second = await suite.fc2.invokeFunction('staged', 'speaks', '', {}, 'prod')
    expect(second.data).toBe('new prod 2')
    const { data: alias } = await suite.fc2.getAlias('staged', 'prod')
    expect(alias).toMatchObject({ aliasName: 'prod', versionId: '2', description: 'what customers get' })
    const { body: list } = await suite.open.listAliases('staged', new Open.ListAliasesRequest({}))
    expect(list.aliases?.map(({ aliasName }) => aliasName)).toEqual(['prod'])
    await suite.fc2.deleteAlias('staged', 'prod')
    await expect(suite.invoke('speaks', { qualifier: 'prod' }, 'staged')).rejects.toMatchObject({
      code: 'AliasNotFound',
      statusCode: 404,
    })
  })

  test('shares its calls out by weight and tells which version ran', async () => {
    await publishedService('weighted')
    await suite.fc2.publishVersion('weighted')
    await suite.open.createAlias(
      'weighted',
      new Open.CreateAliasRequest({
        aliasName: 'canary',
        versionId: '1',
        additionalVersionWeight: { '2': 0.3 },
      }),
    )
    const ran = { '1': 0, '2': 0 }
    for (let call = 0; call < CALLS; call += 1) {
      const answer = await suite.invoke('speaks', { qualifier: 'canary' }, 'weighted')
      const version = answer.versionId as '1' | '2'
      expect(answer.text).toBe(version === '1' ? 'old canary 1' : 'new canary 2')
      ran[version] += 1
    }
    expect(ran['1']).toBeGreaterThan(CALLS * 0.4)
    expect(ran['2']).toBeGreaterThan(CALLS * 0.1)
  })
})

describe('new code', () => {
  test('reaches the next call while a running one finishes with the old', async () => {
    // Beyond 32 KB a call's log reaches the files while it runs: the sign that it has begun.
    const slow = (text: string): string => `exports.handler = async () => {
      console.log('begun ' + '.'.repeat(40000))
      await new Promise((done) => setTimeout(done, 2500))
      return ${JSON.stringify(text)}
    }`
    await suite.deploy('replaced', slow('old'))
    const running = suite.invoke('replaced')
    await suite.untilLogged('replaced', (log) => log.includes('begun'))
    await suite.open.updateFunction(
      'main',
      'replaced',
      new Open.UpdateFunctionRequest({
        code: new Open.Code({ zipFile: await base64Zip(`exports.handler = async () => 'new'`) }),
      }),
    )
    const next = await suite.invoke('replaced')
    expect(next.text).toBe('new')
    const finished = await running
    expect(finished.text).toBe('old')
    expect(finished.instanceId).not.toBe(next.instanceId)
  })

  test('and a new configuration reach the next call', async () => {
    await suite.deploy('configured', `exports.handler = async () => process.env.GREETING ?? 'none'`)
    expect((await suite.invoke('configured')).text).toBe('none')
    await suite.fc2.updateFunction('main', 'configured', { environmentVariables: { GREETING: 'hi' } })
    expect((await suite.invoke('configured')).text).toBe('hi')
    await suite.fc2.updateFunction('main', 'configured', { description: 'still the same' })
    expect((await suite.invoke('configured')).text).toBe('hi')
    await suite.fc2.updateFunction('main', 'configured', { environmentVariables: {} })
    expect((await suite.invoke('configured')).text).toBe('none')
  })
})
