import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Crc64 } from '../../../src/store/packages/crc64.ts'
import { ACCOUNT, functionBody, openHarness, pluck, zipOf, type Harness } from './harness.ts'

let fc: Harness
beforeEach(async () => {
  fc = await openHarness()
  await post(`${V1}/services`, { serviceName: 'demo' })
})
afterEach(() => fc.close())

const V1 = '/2016-08-15'
const V2 = '/2021-04-06'
const FUNCTIONS = `${V1}/services/demo/functions`
const HELLO = `${FUNCTIONS}/hello`
const TARGET = { account: ACCOUNT, namespace: 'demo', name: 'hello' }
const get = (path: string) => fc.send({ method: 'GET', path })
const post = (path: string, body: unknown, headers = {}) => fc.send({ method: 'POST', path, body, headers })
const put = (path: string, body: unknown, headers = {}) => fc.send({ method: 'PUT', path, body, headers })
const remove = (path: string) => fc.send({ method: 'DELETE', path })
const create = async (more: Record<string, unknown> = {}, headers = {}) =>
  post(FUNCTIONS, await functionBody('hello', more), headers)

describe('functions', () => {
  test('a new function has the documented defaults and the exact size and checksum of its zip', async () => {
    const created = await create()
    const zip = Buffer.from(await zipOf(), 'base64')
    expect(created.status).toBe(200)
    expect(created.headers['ETag']).toMatch(/^[0-9a-f]{32}$/)
    expect(created.json).toMatchObject({
      functionName: 'hello',
      description: '',
      runtime: 'nodejs20',
      handler: 'index.handler',
      timeout: 3,
      memorySize: 128,
      instanceConcurrency: 1,
      instanceType: 'e1',
      environmentVariables: {},
      codeSize: zip.length,
      codeChecksum: new Crc64().update(zip).digest(),
      createdTime: '2026-11-21T10:00:00Z',
    })
    expect(created.json).not.toHaveProperty('code')
    expect((await get(HELLO)).json).toEqual(created.json)
    expect(fc.catalogue.resolve(TARGET)).toMatchObject({
      contract: 'alibaba-fc',
      timeoutMs: 3000,
      memoryMib: 128,
      diskMib: 512,
    })
  })

  test('members of the younger API are echoed there alone', async () => {
    await create({
      cpu: 0.1,
      diskSize: 10240,
      instanceLifecycleConfig: { preStop: { handler: 'index.stop', timeout: 9 } },
      customDNS: { nameServers: ['1.1.1.1'] },
      caPort: 9001,
    })
    const young = (await get(`${V2}/services/demo/functions/hello`)).json
    expect(young).toMatchObject({
      cpu: 0.1,
      diskSize: 10240,
      instanceLifecycleConfig: { preStop: { handler: 'index.stop', timeout: 9 } },
      customDNS: { nameServers: ['1.1.1.1'], searches: [], dnsOptions: [] },
      caPort: 9001,
      layersArnV2: [],
    })
    const old = (await get(HELLO)).json
    expect(old).toMatchObject({ caPort: 9001, layers: [] })
    for (const name of ['cpu', 'diskSize', 'instanceLifecycleConfig', 'customDNS', 'layersArnV2'])
      expect(old).not.toHaveProperty(name)
  })

  test('an initializer is kept with its own timeout', async () => {
    const { json } = await create({ initializer: 'index.init', initializationTimeout: 30 })
    expect(json).toMatchObject({ initializer: 'index.init', initializationTimeout: 30 })
    expect(fc.catalogue.resolve(TARGET).initializer).toEqual({ handler: 'index.init', timeoutMs: 30_000 })
    await put(HELLO, { initializer: '' })
    expect(fc.catalogue.resolve(TARGET).initializer).toBeUndefined()
  })

  test('members out of their ranges are refused, and nothing is kept', async () => {
    for (const more of [
      { runtime: undefined },
      { handler: undefined },
      { handler: '' },
      { functionName: '1x' },
      { functionName: 'x'.repeat(65) },
      { timeout: 0 },
      { timeout: 86_401 },
      { timeout: 1.5 },
      { memorySize: 100 },
      { memorySize: 130 },
      { memorySize: 32_832 },
      { diskSize: 1024 },
      { cpu: 0.07 },
      { cpu: 4 },
      { instanceConcurrency: 201 },
      { instanceSoftConcurrency: 2 },
      { instanceType: 'huge' },
      { layers: ['acs:fc:cn-hangzhou:1:layers/a/versions/1'] },
      { environmentVariables: { FC_SECRET: 'x' } },
      { environmentVariables: { '1A': 'x' } },
      { environmentVariables: { A: 1 } },
      { environmentVariables: { A: 'x\0' } },
      { environmentVariables: { A: 'x'.repeat(4096) } },
      { initializationTimeout: 301 },
      { caPort: 65_536 },
      { code: undefined },
      { code: {} },
      { code: { ossBucketName: 'b', ossObjectName: 'o' } },
      { code: { zipFile: 'no base64!' } },
      { code: { zipFile: 'bm8gemlw' } },
      { code: { zipFile: 7 } },
      { runtime: 'php7.2' },
      { runtime: 'custom-container' },
    ]) {
      const { status, json } = await create(more)
      expect({ more, status, code: json['ErrorCode'] }).toEqual({
        more,
        status: 400,
        code: 'InvalidArgument',
      })
    }
    expect(fc.observed).toEqual([])
    expect(fc.catalogue.list('function', '')).toEqual([])
  })

  test('a missing runtime is named together with what to do about it', async () => {
    expect((await create({ runtime: 'php7.2' })).json['ErrorMessage']).toContain('install it')
  })

  test('code with another checksum than announced is refused', async () => {
    const checksum = new Crc64().update(Buffer.from(await zipOf(), 'base64')).digest()
    const wrong = await create({}, { 'x-fc-code-checksum': '1' })
    expect([wrong.status, wrong.json['ErrorCode']]).toEqual([400, 'InvalidArgument'])
    expect((await create({}, { 'x-fc-code-checksum': checksum })).status).toBe(200)
  })

  test('a second function of the same name is refused, and so is one in no service', async () => {
    await create()
    expect((await create()).json['ErrorCode']).toBe('FunctionAlreadyExists')
    const lost = await post(`${V1}/services/none/functions`, await functionBody('hello'))
    expect([lost.status, lost.json['ErrorCode']]).toEqual([404, 'ServiceNotFound'])
  })

  test('two creations at the same time leave one function', async () => {
    const replies = await Promise.all([create(), create()])
    expect(replies.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 409])
  })

  test('an update changes what it names and replaces instances when that is part of what runs', async () => {
    await create({ timeout: 10, environmentVariables: { A: '1' } })
    const before = fc.catalogue.resolve(TARGET)
    fc.clockMs += 1000
    const described = await put(HELLO, { description: 'text', memorySize: null })
    expect(described.json).toMatchObject({
      description: 'text',
      timeout: 10,
      memorySize: 128,
      environmentVariables: { A: '1' },
      lastModifiedTime: '2026-11-21T10:00:01Z',
    })
    expect(fc.catalogue.resolve(TARGET).id).toBe(before.id)

    await put(HELLO, { code: { zipFile: await zipOf() } })
    expect(fc.catalogue.resolve(TARGET).id).toBe(before.id)

    for (const body of [
      { environmentVariables: {} },
      { InstanceConcurrency: 5 },
      { code: { zipFile: await zipOf('exports.handler = () => 2\n') } },
    ]) {
      const { id } = fc.catalogue.resolve(TARGET)
      expect((await put(HELLO, body)).status).toBe(200)
      expect(fc.catalogue.resolve(TARGET).id).not.toBe(id)
    }
    expect(fc.catalogue.resolve(TARGET)).toMatchObject({
      functionId: before.functionId,
      instanceConcurrency: 5,
      environment: {},
    })
  })

  test('an update that does not fit what is there changes nothing', async () => {
    await create({ cpu: 0.1, memorySize: 128 })
    const before = (await get(HELLO)).json
    expect((await put(HELLO, { memorySize: 1024 })).status).toBe(400)
    expect((await put(HELLO, { runtime: 'php7.2' })).status).toBe(400)
    expect((await get(HELLO)).json).toEqual(before)
  })

  test('If-Match holds updates and deletions to the state their caller saw', async () => {
    const etag = (await create()).headers['ETag']!
    expect((await put(HELLO, { timeout: 4 }, { 'if-match': 'x' })).json['ErrorCode']).toBe(
      'PreconditionFailed',
    )
    expect((await put(HELLO, { timeout: 4 }, { 'if-match': `"${etag}"` })).status).toBe(200)
    expect((await remove(`${HELLO}?If-Match=${etag}`)).status).toBe(412)
    const now = (await get(HELLO)).headers['ETag']
    expect((await remove(`${HELLO}?If-Match=${now}`)).status).toBe(204)
    expect((await get(HELLO)).json['ErrorCode']).toBe('FunctionNotFound')
  })

  test('a published version keeps its functions, through its number and its aliases', async () => {
    await create({ description: 'old' })
    await post(`${V1}/services/demo/versions`, {})
    await post(`${V1}/services/demo/aliases`, { aliasName: 'prod', versionId: '1' })
    await put(HELLO, { description: 'new' })
    for (const path of [
      `${V1}/services/demo.1/functions/hello`,
      `${V1}/services/demo.prod/functions/hello`,
      `${V2}/services/demo/functions/hello?qualifier=prod`,
    ])
      expect((await get(path)).json['description']).toBe('old')
    expect(pluck(await get(`${V1}/services/demo.prod/functions`), 'functions', 'description')).toEqual([
      'old',
    ])
    expect((await put(`${V1}/services/demo.1/functions/hello`, { description: 'x' })).status).toBe(400)
    await remove(HELLO)
    expect((await get(`${V1}/services/demo.1/functions/hello`)).status).toBe(200)
  })

  test('settings by qualifier and tags go with their function', async () => {
    await create()
    await put(`${HELLO}/async-invoke-config`, { maxAsyncRetryAttempts: 1 })
    await post(`${V1}/tag`, { resourceArn: 'services/demo/functions/hello', tags: { a: '1' } })
    await remove(HELLO)
    expect(fc.catalogue.list('asyncConfig', '')).toEqual([])
    expect(fc.catalogue.list('tags', '')).toEqual([])
  })

  test('lists functions by name', async () => {
    for (const name of ['b', 'a', 'c']) await post(FUNCTIONS, await functionBody(name))
    const first = await get(`${FUNCTIONS}?limit=2`)
    expect(pluck(first, 'functions', 'functionName')).toEqual(['a', 'b'])
    const rest = await get(`${FUNCTIONS}?limit=2&nextToken=${String(first.json['nextToken'])}`)
    expect(pluck(rest, 'functions', 'functionName')).toEqual(['c'])
  })
})

describe('code links', () => {
  const link = async () => {
    const { json } = await get(`${HELLO}/code`)
    return { path: String(json['url']).replace('http://127.0.0.1:7400', ''), checksum: json['checksum'] }
  }
  const download = (path: string) => fc.send({ method: 'GET', path, unsigned: true })

  test('serve the zip byte for byte to anyone, until they expire', async () => {
    const created = await create()
    const { path, checksum } = await link()
    expect(checksum).toBe(created.json['codeChecksum'])
    const reply = await download(path)
    expect(reply.status).toBe(200)
    expect(reply.bytes.toString('base64')).toBe(await zipOf())
    fc.clockMs += 600_000
    const late = await download(path)
    expect([late.status, late.json['ErrorCode']]).toEqual([403, 'AccessDenied'])
  })

  test('lead to the port of the server for the client that names none, and where they were asked for else', async () => {
    await create()
    const agent = 'Node.js(v26.10.0) OS(linux/x64) SDK(@alicloud/fc2@v2.6.6)'
    const originFor = async (headers: Record<string, string>) => {
      const { json } = await fc.send({ method: 'GET', path: `${HELLO}/code`, headers })
      return new URL(String(json['url'])).origin
    }
    expect(await originFor({ host: '10.0.0.1', 'user-agent': agent })).toBe('http://10.0.0.1:7400')
    expect(await originFor({ host: '10.0.0.1:81', 'user-agent': agent })).toBe('http://10.0.0.1:81')
    expect(await originFor({ host: 'fc.example.com' })).toBe('http://fc.example.com')
    expect(await originFor({ host: '"><script>' })).toBe('http://localhost:7400')
  })

  test('are of no use for another package or another time', async () => {
    await create()
    const { path } = await link()
    const other = createHash('sha256').update('other').digest('hex')
    const forged = [
      path.replace(/[0-9a-f]{64}\?/, `${other}?`),
      path.replace(/expires=(\d+)/, 'expires=9999999999'),
      path.replace(/signature=.*/, ''),
      path.replace(/signature=.*/, 'signature=00'),
      '/anvoke/code/..%2f..%2fstore.db',
      '/anvoke/code/',
    ]
    for (const attempt of forged) expect((await download(attempt)).status).toBe(403)
  })
})
