import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { send } from '../../helpers/fc-request.ts'
import { ACCOUNT } from '../../helpers/server.ts'
import { crc64Of, renameEntry, zipOf } from '../../helpers/zip.ts'
import { base64Zip, Open, Suite } from './clients.ts'

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

let suite: Suite

beforeAll(async () => {
  suite = await Suite.start('plain')
})

afterAll(() => suite?.server.close())

/** Behind the local header of 30 bytes and a name of 11. */
function flipByteOfFirstFile(zip: Buffer): Buffer {
  const changed = Buffer.from(zip)
  changed.writeUInt8(changed.readUInt8(45) ^ 0xff, 45)
  return changed
}

describe('a service', () => {
  test('is created, shown, updated, listed and deleted by the older client', async () => {
    const created = await suite.fc2.createService('older', { description: 'made by fc2' })
    expect(created.data).toMatchObject({
      serviceName: 'older',
      description: 'made by fc2',
      serviceId: expect.stringMatching(UUID),
      createdTime: expect.stringMatching(TIME),
      lastModifiedTime: expect.stringMatching(TIME),
      internetAccess: true,
      role: '',
    })
    expect(created.headers['etag']).not.toBeUndefined()
    expect(created.headers['x-fc-request-id']).not.toBeUndefined()
    const { data: updated } = await suite.fc2.updateService('older', {
      logConfig: { project: 'p', logstore: 'l' },
    })
    expect(updated).toMatchObject({
      description: 'made by fc2',
      logConfig: { project: 'p', logstore: 'l' },
      serviceId: created.data.serviceId,
    })
    const { data: shown } = await suite.fc2.getService('older')
    expect(shown).toEqual(updated)
    const { data: listed } = await suite.fc2.listServices({ prefix: 'old' })
    expect(listed.services).toEqual([shown])
    const deleted = await suite.fc2.deleteService('older')
    expect(deleted.headers['x-fc-request-id']).not.toBeUndefined()
    await expect(suite.fc2.getService('older')).rejects.toMatchObject({ code: 'ServiceNotFound' })
  })

  test('is created, shown, updated, listed and deleted by the younger client', async () => {
    const { body: created, statusCode } = await suite.open.createService(
      new Open.CreateServiceRequest({ serviceName: 'younger', description: 'made by OpenAPI' }),
    )
    expect(statusCode).toBe(200)
    expect(created).toMatchObject({ serviceName: 'younger', description: 'made by OpenAPI' })
    const { body: updated } = await suite.open.updateService(
      'younger',
      new Open.UpdateServiceRequest({ description: 'changed', internetAccess: false }),
    )
    expect(updated).toMatchObject({ description: 'changed', internetAccess: false })
    const { body: shown } = await suite.open.getService('younger', new Open.GetServiceRequest({}))
    expect(shown).toMatchObject({ description: 'changed', serviceId: created.serviceId })
    const { body: listed } = await suite.open.listServices(
      new Open.ListServicesRequest({ prefix: 'young', limit: 10 }),
    )
    expect(listed.services?.map(({ serviceName }) => serviceName)).toEqual(['younger'])
    await suite.open.deleteService('younger')
    await expect(suite.open.getService('younger', new Open.GetServiceRequest({}))).rejects.toMatchObject({
      code: 'ServiceNotFound',
      statusCode: 404,
    })
  })

  test('is listed page by page', async () => {
    for (const name of ['page-a', 'page-b', 'page-c']) await suite.fc2.createService(name)
    const names: string[] = []
    let nextToken: string | undefined
    do {
      const options = nextToken === undefined ? {} : { nextToken }
      const { data } = await suite.fc2.listServices({ prefix: 'page-', limit: 2, ...options })
      names.push(...data.services.map(({ serviceName }: { serviceName: string }) => serviceName))
      nextToken = data.nextToken
    } while (nextToken !== undefined)
    expect(names).toEqual(['page-a', 'page-b', 'page-c'])
  })

  test('is not deleted while it has functions', async () => {
    await suite.fc2.createService('full')
    await suite.deploy('inside', `exports.handler = () => {}`, {}, 'full')
    await expect(suite.fc2.deleteService('full')).rejects.toMatchObject({ code: 'ServiceNotEmpty' })
    await suite.fc2.deleteFunction('full', 'inside')
    await suite.fc2.deleteService('full')
  })
})

describe('a function', () => {
  test('is created, shown, updated, listed and deleted by the older client', async () => {
    const zip = await zipOf({ 'index.py': 'def handler(event, context):\n    return 1' })
    const { data: created, headers } = await suite.fc2.createFunction('plain', {
      functionName: 'older',
      description: 'made by fc2',
      runtime: 'python3.9',
      handler: 'index.handler',
      initializer: 'index.prepare',
      initializationTimeout: 20,
      memorySize: 192,
      timeout: 30,
      instanceConcurrency: 3,
      environmentVariables: { KEY: 'value' },
      code: { zipFile: zip.toString('base64') },
    })
    expect(created).toMatchObject({
      functionId: expect.stringMatching(UUID),
      functionName: 'older',
      description: 'made by fc2',
      runtime: 'python3.9',
      handler: 'index.handler',
      initializer: 'index.prepare',
      initializationTimeout: 20,
      memorySize: 192,
      timeout: 30,
      instanceConcurrency: 3,
      instanceType: 'e1',
      environmentVariables: { KEY: 'value' },
      codeSize: zip.length,
      codeChecksum: crc64Of(zip),
      createdTime: expect.stringMatching(TIME),
      lastModifiedTime: expect.stringMatching(TIME),
    })
    expect(created).not.toHaveProperty('code')
    expect(headers['etag']).not.toBeUndefined()
    const { data: updated } = await suite.fc2.updateFunction('plain', 'older', { timeout: 31 })
    expect(updated).toMatchObject({ ...created, timeout: 31, lastModifiedTime: updated.lastModifiedTime })
    expect((await suite.fc2.getFunction('plain', 'older')).data).toEqual(updated)
    const { data: listed } = await suite.fc2.listFunctions('plain', { prefix: 'old' })
    expect(listed.functions).toEqual([updated])
    await suite.fc2.deleteFunction('plain', 'older')
    await expect(suite.fc2.getFunction('plain', 'older')).rejects.toMatchObject({
      name: 'FCFunctionNotFoundError',
      code: 'FunctionNotFound',
    })
  })

  test('is created, shown, updated, listed and deleted by the younger client', async () => {
    const zipFile = await base64Zip(`exports.handler = async () => 'first'`)
    const { body: created } = await suite.open.createFunction(
      'plain',
      new Open.CreateFunctionRequest({
        functionName: 'younger',
        runtime: 'nodejs18',
        handler: 'index.handler',
        memorySize: 1024,
        cpu: 0.5,
        diskSize: 512,
        code: new Open.Code({ zipFile }),
      }),
    )
    expect(created).toMatchObject({ functionName: 'younger', memorySize: 1024, cpu: 0.5, timeout: 3 })
    // This client sends the member with a capital letter.
    const { body: updated } = await suite.open.updateFunction(
      'plain',
      'younger',
      new Open.UpdateFunctionRequest({ instanceConcurrency: 7, environmentVariables: { A: 'b' } }),
    )
    expect(updated).toMatchObject({ instanceConcurrency: 7, environmentVariables: { A: 'b' }, cpu: 0.5 })
    const { body: listed } = await suite.open.listFunctions(
      'plain',
      new Open.ListFunctionsRequest({ prefix: 'young' }),
    )
    expect(listed.functions?.map(({ functionName }) => functionName)).toEqual(['younger'])
    await suite.open.deleteFunction('plain', 'younger')
    await expect(
      suite.open.getFunction('plain', 'younger', new Open.GetFunctionRequest({})),
    ).rejects.toMatchObject({ code: 'FunctionNotFound', statusCode: 404 })
  })

  test.each<Record<string, unknown>>([
    { functionName: '1digit' },
    { memorySize: 100 },
    { memorySize: 130 },
    { timeout: 86_401 },
    { runtime: 'cobol' },
    { instanceConcurrency: 201 },
    { environmentVariables: { FC_OWN: 'x' } },
    { environmentVariables: { TOO_LONG: 'x'.repeat(5000) } },
    { code: {} },
    { handler: '' },
  ])('is refused with a setting outside its range: %j', async (change) => {
    const zipFile = await base64Zip(`exports.handler = () => {}`)
    const sound = {
      functionName: 'refused',
      runtime: 'nodejs20',
      handler: 'index.handler',
      code: { zipFile },
    }
    await expect(suite.fc2.createFunction('plain', { ...sound, ...change })).rejects.toMatchObject({
      code: 'InvalidArgument',
    })
    await expect(suite.fc2.getFunction('plain', 'refused')).rejects.toMatchObject({
      code: 'FunctionNotFound',
    })
  })
})

describe('code', () => {
  test('is downloaded byte for byte, and its checksum is the CRC-64 of the upload', async () => {
    const zip = await zipOf({ 'index.js': `exports.handler = () => {}`, 'data.bin': Buffer.alloc(3000, 7) })
    await suite.fc2.createFunction('plain', {
      functionName: 'kept',
      runtime: 'nodejs20',
      handler: 'index.handler',
      code: { zipFile: zip.toString('base64') },
    })
    const { data: older } = await suite.fc2.getFunctionCode('plain', 'kept')
    const { body: younger } = await suite.open.getFunctionCode(
      'plain',
      'kept',
      new Open.GetFunctionCodeRequest({}),
    )
    const { data: shown } = await suite.fc2.getFunction('plain', 'kept')
    expect([older.checksum, younger.checksum, shown.codeChecksum]).toEqual(Array(3).fill(crc64Of(zip)))
    for (const url of [older.url, younger.url]) {
      const download = await fetch(url)
      expect(download.status).toBe(200)
      expect(zip.equals(Buffer.from(await download.arrayBuffer()))).toBe(true)
    }
    const tampered = await fetch(String(younger.url).replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')))
    expect(tampered.status).toBeGreaterThanOrEqual(400)
  })

  test('is refused when its checksum is another', async () => {
    const zipFile = await base64Zip(`exports.handler = () => {}`)
    await expect(
      suite.open.createFunctionWithOptions(
        'plain',
        new Open.CreateFunctionRequest({
          functionName: 'damaged',
          runtime: 'nodejs20',
          handler: 'index.handler',
          code: new Open.Code({ zipFile }),
        }),
        new Open.CreateFunctionHeaders({ xFcCodeChecksum: '1' }),
        suite.runtimeOptions,
      ),
    ).rejects.toMatchObject({ code: 'InvalidArgument', statusCode: 400 })
  })

  test.each<[string, (zip: Buffer) => Buffer]>([
    ['is not a zip', () => Buffer.from('not a zip')],
    ['is cut short', (zip) => zip.subarray(0, zip.length - 30)],
    ['was changed inside', flipByteOfFirstFile],
    ['would be put above its folder', (zip) => renameEntry(zip, 'aa/index.js', '../index.js')],
    ['would be put at the root', (zip) => renameEntry(zip, 'aa/index.js', '/tmp/a.js00')],
  ])('is refused when it %s', async (_, spoil) => {
    const spoilt = spoil(await zipOf({ 'aa/index.js': `exports.handler = () => {}` }))
    const refused = suite.fc2.createFunction('plain', {
      functionName: 'broken',
      runtime: 'nodejs20',
      handler: 'aa/index.handler',
      code: { zipFile: spoilt.toString('base64') },
    })
    await expect(refused).rejects.toMatchObject({ code: 'InvalidArgument' })
    await expect(suite.fc2.getFunction('plain', 'broken')).rejects.toMatchObject({
      code: 'FunctionNotFound',
    })
  })

  test('that is refused in an update leaves the function as it was', async () => {
    await suite.deploy('steady', `exports.handler = async () => 'steady'`)
    await expect(
      suite.open.updateFunction(
        'plain',
        'steady',
        new Open.UpdateFunctionRequest({ code: new Open.Code({ zipFile: 'bm8gemlw' }), timeout: 9 }),
      ),
    ).rejects.toMatchObject({ code: 'InvalidArgument', statusCode: 400 })
    expect((await suite.invoke('steady')).text).toBe('steady')
    expect((await suite.fc2.getFunction('plain', 'steady')).data.timeout).toBe(20)
  })
})

describe('an ETag', () => {
  test('guards an update and a delete, in the header and in the query', async () => {
    const { headers } = await suite.fc2.createService('guarded')
    const first = headers['etag'] ?? ''
    const changed = await suite.fc2.updateService('guarded', { description: 'two' }, { 'If-Match': first })
    await expect(
      suite.fc2.updateService('guarded', { description: 'three' }, { 'If-Match': first }),
    ).rejects.toMatchObject({ code: 'PreconditionFailed' })
    await expect(suite.fc2.deleteService('guarded', { 'If-Match': first })).rejects.toMatchObject({
      code: 'PreconditionFailed',
    })
    expect((await suite.fc2.getService('guarded')).headers['etag']).toBe(changed.headers['etag'])

    await suite.deploy('inside', `exports.handler = () => {}`, {}, 'guarded')
    const etag = (await suite.fc2.getFunction('guarded', 'inside')).headers['etag'] ?? ''
    // The older client puts the condition of this operation into the query.
    await expect(
      suite.fc2.deleteFunction('guarded', 'inside', { 'If-Match': 'another' }),
    ).rejects.toMatchObject({ code: 'PreconditionFailed' })
    await expect(
      suite.open.updateFunctionWithOptions(
        'guarded',
        'inside',
        new Open.UpdateFunctionRequest({ timeout: 5 }),
        new Open.UpdateFunctionHeaders({ ifMatch: 'another' }),
        suite.runtimeOptions,
      ),
    ).rejects.toMatchObject({ code: 'PreconditionFailed', statusCode: 412 })
    await suite.fc2.deleteFunction('guarded', 'inside', { 'If-Match': etag })
    await suite.fc2.deleteService('guarded', { 'If-Match': changed.headers['etag'] ?? '' })
  })
})

describe('tags', () => {
  const arn = `acs:fc:cn-hangzhou:${ACCOUNT}:services/tagged`

  test('are set by a short ARN, shown by a full one, filtered by and removed', async () => {
    await suite.fc2.createService('tagged')
    await suite.fc2.createService('tagged-too')
    await suite.fc2.tagResource('services/tagged', { team: 'blue', stage: 'test' })
    await suite.open.tagResource(
      new Open.TagResourceRequest({ resourceArn: 'services/tagged-too', tags: { team: 'blue' } }),
    )
    const { data: shown } = await suite.fc2.getResourceTags({ resourceArn: arn })
    expect(shown).toEqual({ resourceArn: arn, tags: { team: 'blue', stage: 'test' } })
    const namesWith = async (tags: Record<string, string>): Promise<string[]> => {
      const { data } = await suite.fc2.listServices({ tags })
      return data.services.map(({ serviceName }: { serviceName: string }) => serviceName)
    }
    expect(await namesWith({ team: 'blue' })).toEqual(['tagged', 'tagged-too'])
    expect(await namesWith({ team: 'blue', stage: 'test' })).toEqual(['tagged'])
    // One client untags with DELETE and a body, the other with PUT.
    await suite.fc2.untagResource('services/tagged', ['stage'])
    await suite.open.untagResource(
      new Open.UntagResourceRequest({ resourceArn: 'services/tagged-too', all: true }),
    )
    expect((await suite.fc2.getResourceTags({ resourceArn: arn })).data.tags).toEqual({ team: 'blue' })
    expect(await namesWith({ team: 'blue' })).toEqual(['tagged'])
  })
})

describe('scaling settings', () => {
  test('cap the instances of a function', async () => {
    await suite.deploy('capped', `exports.handler = () => {}`)
    // The qualifier need not exist yet.
    const { data: put } = await suite.fc2.putOnDemandConfig('plain', 'capped', 'prod', {
      maximumInstanceCount: 5,
    })
    expect(put).toEqual({ resource: 'services/plain.prod/functions/capped', maximumInstanceCount: 5 })
    const { data: got } = await suite.fc2.getOnDemandConfig('plain', 'capped', 'prod')
    expect(got).toEqual(put)
    const { body: listed } = await suite.open.listOnDemandConfigs(new Open.ListOnDemandConfigsRequest({}))
    expect(listed.configs?.map(({ resource }) => resource)).toContain(put.resource)
    await suite.fc2.deleteOnDemandConfig('plain', 'capped', 'prod')
    await expect(suite.fc2.getOnDemandConfig('plain', 'capped', 'prod')).rejects.toMatchObject({
      code: 'OnDemandConfigNotFound',
    })
  })

  test('name instances to be kept ready', async () => {
    await suite.deploy('ready', `exports.handler = () => {}`)
    await suite.fc2.publishVersion('plain')
    await suite.fc2.createAlias('plain', 'live', '1')
    const { data: put } = await suite.fc2.putProvisionConfig('plain', 'ready', 'live', { target: 2 })
    expect(put).toMatchObject({ resource: `${ACCOUNT}#plain#live#ready`, target: 2 })
    expect(put.current).toBeGreaterThanOrEqual(0)
    const { body: got } = await suite.open.getProvisionConfig(
      'plain',
      'ready',
      new Open.GetProvisionConfigRequest({ qualifier: 'live' }),
    )
    expect(got.target).toBe(2)
    const { data: listed } = await suite.fc2.listProvisionConfigs({ serviceName: 'plain' })
    expect(listed.provisionConfigs).toHaveLength(1)
    await suite.fc2.putProvisionConfig('plain', 'ready', 'live', { target: 0 })
    const { data: after } = await suite.fc2.listProvisionConfigs({})
    expect(after.provisionConfigs ?? []).toEqual([])
  })
})

describe('an error', () => {
  test('is shown by the older client with its code and the sentence of the vendor', async () => {
    await expect(suite.fc2.getFunction('nowhere', 'nothing')).rejects.toMatchObject({
      name: 'FCServiceNotFoundError',
      code: 'ServiceNotFound',
      message: expect.stringContaining("service 'nowhere' does not exist"),
    })
    await expect(suite.fc2.invokeFunction('plain', 'nothing')).rejects.toMatchObject({
      code: 'FunctionNotFound',
      message: expect.stringContaining("function 'nothing' does not exist in service 'plain'"),
    })
    await expect(suite.fc2.createService('plain')).rejects.toMatchObject({
      code: 'ServiceAlreadyExists',
      message: expect.stringMatching(/requestid: [0-9a-f-]{36}, message: service 'plain' already exists/),
    })
  })

  test('is shown by the younger client with code, status and request id', async () => {
    await expect(suite.invoke('nothing')).rejects.toMatchObject({
      code: 'FunctionNotFound',
      statusCode: 404,
      data: {
        Code: 'FunctionNotFound',
        ErrorCode: 'FunctionNotFound',
        RequestId: expect.stringMatching(UUID),
        statusCode: 404,
      },
    })
    await expect(suite.invoke('nothing', { qualifier: '7' })).rejects.toMatchObject({
      code: 'VersionNotFound',
    })
    await expect(suite.invoke('nothing', { qualifier: 'nobody' })).rejects.toMatchObject({
      code: 'AliasNotFound',
    })
  })

  test('about a path says which, and is JSON with a request id', async () => {
    const answer = await send(suite.server, { method: 'GET', path: '/2016-08-15/nonsense' })
    expect(answer.status).toBe(400)
    expect(answer.headers['content-type']).toBe('application/json')
    expect(answer.headers['x-fc-request-id']).toMatch(UUID)
    expect(JSON.parse(answer.bytes.toString())).toMatchObject({
      ErrorCode: 'PathNotSupported',
      ErrorMessage: "'GET' against '/2016-08-15/nonsense' is not supported",
    })
  })
})
