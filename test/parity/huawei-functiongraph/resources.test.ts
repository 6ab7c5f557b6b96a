import { BasicCredentials } from '@huaweicloud/huaweicloud-sdk-core'
import * as fg from '@huaweicloud/huaweicloud-sdk-functiongraph'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KEY_ID, KEY_SECRET, TestServer } from '../../helpers/server.ts'
import { zipOf } from '../../helpers/zip.ts'
import { deploy, fgClient, invoke, PROJECT, refusal, tokenOf, wire, type Wire } from './clients.ts'

const ECHO = 'exports.handler = async (event, context) => event\n'
const base64 = (text: string): string => Buffer.from(text).toString('base64')

let server: TestServer
let client: fg.FunctionGraphClient
beforeAll(async () => {
  server = await TestServer.start()
  client = fgClient(server)
})
afterAll(() => server.close())

const listOf = (response: Wire, member: string): Wire[] => response[member] as Wire[]

/** The elements of an answer that is a list: the client makes it one with a property more. */
const elementsOf = (response: object): Wire[] => [...(response as Iterable<Wire>)]

const functionBody = (name: string, runtime: string, source: string) =>
  new fg.CreateFunctionRequestBody(name, 'default')
    .withRuntime(runtime)
    .withTimeout(10)
    .withHandler('index.handler')
    .withMemorySize(128)
    .withCodeType('inline')
    .withFuncCode(new fg.FuncCode().withFile(base64(source)))

describe('code', () => {
  test.each([
    ['Node.js18.15', ECHO],
    ['Python3.9', 'def handler(event, context):\n    return event\n'],
  ])('of %s as plain source runs, and is read back', async (runtime, source) => {
    const name = `inline-${runtime.slice(0, 4)}`
    const body = functionBody(name, runtime, source)
    const { func_urn } = wire(await client.createFunction(new fg.CreateFunctionRequest().withBody(body)))
    const urn = String(func_urn)
    expect(await invoke(client, urn, { a: 1 })).toMatchObject({
      status: 200,
      result: expect.stringMatching(/^\{"a": ?1\}$/),
    })
    const shown = wire(await client.showFunctionCode(new fg.ShowFunctionCodeRequest(urn)))
    expect(shown).toMatchObject({ code_type: 'inline', func_code: { file: base64(source) } })
    const link = await fetch((shown['func_code'] as { link: string }).link)
    expect([link.status, (await link.arrayBuffer()).byteLength > source.length]).toEqual([200, true])
  })

  test('is replaced while calls go on', async () => {
    const urn = await deploy(client, 'replaced', ECHO)
    const update = new fg.UpdateFunctionCodeRequestBody('inline').withFuncCode(
      new fg.FuncCode().withFile(base64("exports.handler = async (event, context) => ({ is: 'new' })\n")),
    )
    await client.updateFunctionCode(new fg.UpdateFunctionCodeRequest(urn).withBody(update))
    expect(await invoke(client, urn, {})).toMatchObject({ result: '{"is":"new"}' })
  })

  test('that is elsewhere says so when it is called', async () => {
    const body = functionBody('elsewhere', 'Node.js18.15', ECHO)
      .withCodeType('obs')
      .withCodeUrl('https://bucket.obs.example/code.zip')
    Object.assign(body, { func_code: undefined })
    const { func_urn } = wire(await client.createFunction(new fg.CreateFunctionRequest().withBody(body)))
    const { result } = await invoke(client, String(func_urn), {})
    expect(result).toContain('the code at https://bucket.obs.example/code.zip was not fetched')
  })
})

describe('dependencies', () => {
  const publish = async (name: string, runtime: string, files: Readonly<Record<string, string>>) => {
    const body = new fg.CreateDependencyRequestBody('zip', runtime, name).withDependFile(
      (await zipOf(files)).toString('base64'),
    )
    const request = new fg.CreateDependencyVersionRequest().withBody(body)
    const { httpStatusCode: _, ...dependency } = wire(await client.createDependencyVersion(request))
    return dependency
  }

  test.each([
    [
      'Node.js18.15',
      'node_modules/dep/index.js',
      "module.exports = 'from dep'",
      "exports.handler = async (event, context) => [require('dep')]",
    ],
    [
      'Python3.9',
      'dep.py',
      "value = 'from dep'",
      'import dep\ndef handler(event, context):\n    return [dep.value]\n',
    ],
  ])('of %s are found by the code', async (runtime, path, source, code) => {
    const dependency = await publish(`dep-${runtime.slice(0, 4)}`, runtime, { [path]: source })
    const id = String(dependency['id'])
    const body = functionBody(`with-dep-${runtime.slice(0, 4)}`, runtime, code).withDependVersionList([id])
    const made = wire(await client.createFunction(new fg.CreateFunctionRequest().withBody(body)))
    expect(made).toMatchObject({ depend_version_list: [id], dependencies: [dependency] })
    expect(await invoke(client, String(made['func_urn']), {})).toMatchObject({ result: '["from dep"]' })
    const deletion = new fg.DeleteDependencyVersionRequest(String(dependency['dep_id']), '1')
    expect(await refusal(client.deleteDependencyVersion(deletion))).toMatchObject({
      errorCode: 'FSS.1033',
      httpStatusCode: 412,
    })
  })

  test('are listed, shown by version, and deleted', async () => {
    const first = await publish('listed', 'Node.js18.15', { 'a.js': '1' })
    const second = await publish('listed', 'Node.js18.15', { 'a.js': '2' })
    const id = String(first['dep_id'])
    const list = wire(await client.listDependencies(new fg.ListDependenciesRequest().withName('listed')))
    expect(listOf(list, 'dependencies')).toEqual([second])
    expect(list).not.toHaveProperty('next_marker')
    const versions = wire(await client.listDependencyVersion(new fg.ListDependencyVersionRequest(id)))
    expect(listOf(versions, 'dependencies').map(({ version }) => version)).toEqual([2, 1])
    const shown = wire(await client.showDependencyVersion(new fg.ShowDependencyVersionRequest(id, '1')))
    expect(shown).toMatchObject(first)
    expect((await fetch(String(shown['download_link']))).status).toBe(200)
    await client.deleteDependencyVersion(new fg.DeleteDependencyVersionRequest(id, '1'))
    const gone = client.showDependencyVersion(new fg.ShowDependencyVersionRequest(id, '1'))
    expect(await refusal(gone)).toMatchObject({ errorCode: 'FSS.1056' })
  })
})

test('a function is carried over by its export', async () => {
  const urn = await deploy(client, 'carried', ECHO)
  // Without that option the client decodes the archive as text.
  const binary = fg.FunctionGraphClient.newBuilder()
    .withCredential(new BasicCredentials().withAk(KEY_ID).withSk(KEY_SECRET).withProjectId(PROJECT))
    .withEndpoint(server.origin)
    .withOptions({ axiosRequestConfig: { responseType: 'arraybuffer' } })
    .build()
  const wanted = new fg.ExportFunctionRequest(urn, 'application/json').withConfig(true).withCode(true)
  const { body: archive } = wire(await binary.exportFunction(wanted)) as { body: Buffer }
  const request = new fg.ImportFunctionRequestBody('over', 'carried.zip', 'zip', archive.toString('base64'))
  const made = wire(await client.importFunction(new fg.ImportFunctionRequest().withBody(request)))
  expect(await invoke(client, String(made['func_urn']), [1])).toMatchObject({ result: '[1]' })
})

test('triggers are kept', async () => {
  const urn = await deploy(client, 'triggered', ECHO)
  const data = new fg.TriggerEventDataRequestBody()
    .withName('Timer_1')
    .withScheduleType('Cron')
    .withSchedule('0 0 12 * * ?')
  const body = new fg.CreateFunctionTriggerRequestBody('TIMER', data).withTriggerStatus('ACTIVE')
  const made = wire(
    await client.createFunctionTrigger(new fg.CreateFunctionTriggerRequest(urn).withBody(body)),
  )
  const id = String(made['trigger_id'])
  const shown = wire(await client.showFunctionTrigger(new fg.ShowFunctionTriggerRequest(urn, 'TIMER', id)))
  expect({ ...shown, httpStatusCode: 201 }).toEqual(made)
  const update = new fg.UpdateTriggerRequestBody().withTriggerStatus('DISABLED')
  await client.updateTrigger(new fg.UpdateTriggerRequest(urn, 'TIMER', id).withBody(update))
  const list = elementsOf(await client.listFunctionTriggers(new fg.ListFunctionTriggersRequest(urn)))
  expect(list).toEqual([expect.objectContaining({ trigger_id: id, trigger_status: 'DISABLED' })])
  await client.deleteFunctionTrigger(new fg.DeleteFunctionTriggerRequest(urn, 'TIMER', id))
  await client.batchDeleteFunctionTriggers(new fg.BatchDeleteFunctionTriggersRequest(urn))
  expect(elementsOf(await client.listFunctionTriggers(new fg.ListFunctionTriggersRequest(urn)))).toEqual([])
})

test('settings around a function are kept', async () => {
  const urn = await deploy(client, 'around', ECHO)

  const tags = new fg.UpdateFunctionTagsRequestBody().withTags([
    new fg.KvItem().withKey('env').withValue('prod'),
  ])
  await client.createTags(new fg.CreateTagsRequest('functions', urn).withBody(tags))
  expect(wire(await client.listFunctionTags(new fg.ListFunctionTagsRequest('functions', urn)))).toMatchObject(
    { tags: [{ key: 'env', value: 'prod' }] },
  )
  expect(
    wire(await client.showProjectTagsList(new fg.ShowProjectTagsListRequest('functions'))),
  ).toMatchObject({ tags: [{ key: 'env', values: ['prod'] }] })
  const filter = new fg.ListEnterpriseResourceRequestBody().withLimit('10').withOffset('0')
  const found = wire(
    await client.showResInstanceInfo(
      new fg.ShowResInstanceInfoRequest('functions', 'filter').withBody(filter),
    ),
  )
  expect(listOf(found, 'resources').map(({ resource_name: name }) => name)).toContain('around')
  await client.deleteTags(new fg.DeleteTagsRequest('functions', urn).withBody(tags))

  const event = new fg.CreateEventRequestBody('first', base64('{"a":1}'))
  const { id } = wire(await client.createEvent(new fg.CreateEventRequest(urn).withBody(event)))
  expect(
    wire(await client.showEvent(new fg.ShowEventRequest(urn, 'application/json', String(id)))),
  ).toMatchObject({
    content: base64('{"a":1}'),
  })
  const changed = new fg.UpdateEventRequestBody(base64('{}'))
  await client.updateEvent(new fg.UpdateEventRequest(urn, 'application/json', String(id)).withBody(changed))
  expect(listOf(wire(await client.listEvents(new fg.ListEventsRequest(urn))), 'events')).toHaveLength(1)
  await client.deleteEvent(new fg.DeleteEventRequest(urn, 'application/json', String(id)))

  const reserved = new fg.UpdateFunctionReservedInstancesCountRequestBody(1)
  await client.updateFunctionReservedInstancesCount(
    new fg.UpdateFunctionReservedInstancesCountRequest(urn).withBody(reserved),
  )
  const counts = wire(
    await client.listFunctionReservedInstances(new fg.ListFunctionReservedInstancesRequest().withUrn(urn)),
  )
  expect(listOf(counts, 'reservedinstances')).toEqual([{ func_urn: urn, count: 1 }])
  const configs = wire(
    await client.listReservedInstanceConfigs(
      new fg.ListReservedInstanceConfigsRequest().withFunctionUrn(urn),
    ),
  )
  expect(listOf(configs, 'reserved_instances')).toMatchObject([
    { function_urn: urn, qualifier_name: 'latest', min_count: 1 },
  ])
  expect(
    wire(await client.showFuncReservedInstanceMetrics(new fg.ShowFuncReservedInstanceMetricsRequest(urn))),
  ).toHaveProperty('instanceNum')

  const quotas = wire(await client.listQuotas(new fg.ListQuotasRequest()))
  expect(quotas).toMatchObject({
    quotas: { resources: expect.arrayContaining([expect.objectContaining({ type: 'fgs_func_num' })]) },
  })
})

test('aliases and versions are listed', async () => {
  const urn = await deploy(client, 'named', ECHO)
  await client.createFunctionVersion(
    new fg.CreateFunctionVersionRequest(urn).withBody(
      new fg.CreateFunctionVersionRequestBody().withVersion('v1'),
    ),
  )
  await client.createVersionAlias(
    new fg.CreateVersionAliasRequest(urn).withBody(new fg.CreateVersionAliasRequestBody('prod', 'v1')),
  )
  const versions = wire(await client.listFunctionVersions(new fg.ListFunctionVersionsRequest(urn)))
  expect(listOf(versions, 'versions').map(({ version }) => version)).toEqual(['latest', 'v1'])
  const [alias] = elementsOf(await client.listVersionAliases(new fg.ListVersionAliasesRequest(urn)))
  const shown = wire(await client.showVersionAlias(new fg.ShowVersionAliasRequest(urn, 'prod')))
  expect(shown).toMatchObject({ ...alias, alias_urn: urn.replace('latest', '!prod') })
  await client.deleteVersionAlias(new fg.DeleteVersionAliasRequest(urn, 'prod'))
})

describe('what calls leave behind', () => {
  let urn: string
  beforeAll(async () => {
    urn = await deploy(
      client,
      'logged',
      "exports.handler = async (event, context) => { console.log('word', event.n); if (event.n > 1) throw new Error('x'); return 1 }\n",
    )
    for (const n of [1, 2]) await invoke(client, urn, { n })
    await server.untilLogged('default', 'logged', (log) => log.split('Finish invoke').length > 2)
  })

  test('is counted', async () => {
    const series = wire(await client.listFunctionStatistics(new fg.ListFunctionStatisticsRequest(urn, '60')))
    const sum = (name: string): number =>
      listOf(series, name).reduce((total, { value }) => total + Math.max(0, Number(value)), 0)
    expect([sum('count'), sum('fail_count')]).toEqual([2, 1])
    expect(
      wire(await client.showFunctionMetrics(new fg.ShowFunctionMetricsRequest(urn, '60'))),
    ).toHaveProperty('instance_num')
    const report = wire(await client.listFunctionAsMetric(new fg.ListFunctionAsMetricRequest()))
    expect(listOf(report, 'values')).toContainEqual({ key: urn, value: 1 })
    const monitored = wire(await client.listStatistics(new fg.ListStatisticsRequest('monitor_data')))
    expect(monitored).toHaveProperty('statistics.count')
  })

  test('is logged in the stream that is told of', async () => {
    const { group_id, stream_id } = wire(await client.showLtsLogDetails(new fg.ShowLtsLogDetailsRequest(urn)))
    const path = `groups/${String(group_id)}/streams/${String(stream_id)}/content/query`
    const reply = await fetch(`${server.origin}/v2/${PROJECT}/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-auth-token': await tokenOf(server, PROJECT) },
      body: JSON.stringify({
        start_time: '0',
        end_time: String(Date.now()),
        keywords: 'word 1',
        is_count: true,
      }),
    })
    const { count, logs } = (await reply.json()) as { count: number; logs: { content: string }[] }
    expect([reply.status, count, logs[0]?.content]).toEqual([200, 1, expect.stringContaining('word 1')])
  })

  test('is enabled once', async () => {
    await client.enableLtsLogs(new fg.EnableLtsLogsRequest())
    expect(await refusal(client.enableLtsLogs(new fg.EnableLtsLogsRequest()))).toMatchObject({
      errorCode: 'FSS.1221',
    })
  })
})
