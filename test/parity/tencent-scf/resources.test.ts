import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { base64Zip, Suite } from './clients.ts'

let suite: Suite

beforeAll(async () => {
  suite = await Suite.start()
})

afterAll(() => suite?.server.close())

describe('layers', () => {
  test('are found by code of both languages, the later one first', async () => {
    const publish = async (LayerName: string, word: string): Promise<void> => {
      await suite.scf.PublishLayerVersion({
        LayerName,
        CompatibleRuntimes: ['Nodejs18.15', 'Python3.9'],
        Content: {
          ZipFile: await base64Zip({
            'node_modules/word/index.js': `module.exports = '${word}'\n`,
            'word.py': `word = '${word}'\n`,
          }),
        },
      })
    }
    await publish('first', 'one')
    await publish('second', 'two')
    const Layers = [
      { LayerName: 'first', LayerVersion: 1 },
      { LayerName: 'second', LayerVersion: 1 },
    ]
    await suite.deploy('layered', `exports.main_handler = async () => require('word')`, { Layers })
    expect((await suite.invoke('layered')).RetMsg).toBe('"two"')
    const source = { 'index.py': 'import word\ndef main_handler(event, context):\n    return word.word\n' }
    await suite.deploy('layered-py', source, { Runtime: 'Python3.9', Layers })
    expect((await suite.invoke('layered-py')).RetMsg).toBe('"two"')
  })

  test('stay with the functions that have them when they are deleted, and go when these are told so', async () => {
    await suite.scf.DeleteLayerVersion({ LayerName: 'second', LayerVersion: 1 })
    await suite.scf.UpdateFunctionConfiguration({ FunctionName: 'layered', Timeout: 5 })
    expect((await suite.invoke('layered')).RetMsg).toBe('"two"')
    await suite.scf.UpdateFunctionConfiguration({
      FunctionName: 'layered',
      Layers: [{ LayerName: 'first', LayerVersion: 1 }],
    })
    expect((await suite.invoke('layered')).RetMsg).toBe('"one"')
    await suite.scf.UpdateFunctionConfiguration({
      FunctionName: 'layered',
      Layers: [{ LayerName: '', LayerVersion: 0 }],
    })
    expect((await suite.invoke('layered')).InvokeResult).not.toBe(0)
  })

  test('are downloaded as they were published', async () => {
    const { Location, CodeSha256 } = await suite.scf.GetLayerVersion({ LayerName: 'first', LayerVersion: 1 })
    const archive = await fetch(Location ?? '')
    expect(archive.status).toBe(200)
    expect((await archive.arrayBuffer()).byteLength).toBeGreaterThan(0)
    expect(CodeSha256).toMatch(/^[0-9a-f]{64}$/)
  })
})

describe('an alias', () => {
  const FunctionName = 'routed'

  beforeAll(async () => {
    await suite.deploy(FunctionName, `exports.main_handler = async (e, c) => c.function_version`)
    await suite.scf.PublishVersion({ FunctionName })
    await suite.scf.PublishVersion({ FunctionName })
  })

  test('sends calls where its weight and its rules say', async () => {
    await suite.scf.CreateAlias({
      FunctionName,
      Name: 'all',
      FunctionVersion: '1',
      RoutingConfig: { AdditionalVersionWeights: [{ Version: '2', Weight: 1 }] },
    })
    expect((await suite.invoke(FunctionName, {}, { Qualifier: 'all' })).RetMsg).toBe('"2"')
    const rule = { Version: '2', Key: 'invoke.headers.User', Method: 'exact', Expression: 'ann' }
    await suite.scf.UpdateAlias({
      FunctionName,
      Name: 'all',
      FunctionVersion: '1',
      RoutingConfig: { AddtionVersionMatchs: [rule] },
    })
    const through = { Qualifier: 'all' }
    expect((await suite.invoke(FunctionName, {}, through)).RetMsg).toBe('"1"')
    expect((await suite.invoke(FunctionName, {}, { ...through, RoutingKey: '{"User":"ann"}' })).RetMsg).toBe(
      '"2"',
    )
    expect((await suite.invoke(FunctionName, {}, { ...through, RoutingKey: '{"User":"bob"}' })).RetMsg).toBe(
      '"1"',
    )
  })

  test('$DEFAULT is where InvokeFunction goes', async () => {
    const before = await suite.scf.InvokeFunction({ FunctionName })
    expect(before.Result?.RetMsg).toBe('"$LATEST"')
    await suite.scf.UpdateAlias({ FunctionName, Name: '$DEFAULT', FunctionVersion: '2' })
    const after = await suite.scf.InvokeFunction({ FunctionName })
    expect(after.Result?.RetMsg).toBe('"2"')
    expect((await suite.invoke(FunctionName)).RetMsg).toBe('"$LATEST"')
  })
})

test('a reserve of 0 MB blocks a function until it is taken back', async () => {
  const FunctionName = 'blocked'
  await suite.deploy(FunctionName, `exports.main_handler = async () => 1`)
  await suite.scf.PutReservedConcurrencyConfig({ FunctionName, ReservedConcurrencyMem: 0 })
  await expect(suite.invoke(FunctionName)).rejects.toMatchObject({ message: expect.stringContaining('432') })
  await suite.scf.DeleteReservedConcurrencyConfig({ FunctionName })
  expect((await suite.invoke(FunctionName)).RetMsg).toBe('1')
})

test('a timer set by one API is seen by the other in its canonical form', async () => {
  await suite.deploy('timed', `exports.main_handler = async () => 1`)
  const answer = await suite.legacy({
    Action: 'SetTrigger',
    functionName: 'timed',
    triggerName: 'every',
    type: 'timer',
    triggerDesc: '0 */6 * * * * *',
  })
  expect(answer).toMatchObject({ code: 0 })
  const { Triggers } = await suite.scf.ListTriggers({ FunctionName: 'timed' })
  expect(Triggers).toMatchObject([
    { TriggerName: 'every', TriggerDesc: '{"cron":"0 */6 * * * * *"}', Enable: 1, Qualifier: '$LATEST' },
  ])
})

test('everything outlives a crash of the server', async () => {
  const Namespace = 'kept'
  await suite.scf.CreateNamespace({ Namespace, Description: 'd' })
  await suite.deploy('kept', `exports.main_handler = async () => 'kept'`, { Namespace, Role: 'r' })
  await suite.scf.PublishVersion({ FunctionName: 'kept', Namespace })
  const before = await suite.scf.GetFunction({ FunctionName: 'kept', Namespace, Qualifier: '1' })
  await suite.server.kill()
  await suite.server.launch()
  const after = await suite.scf.GetFunction({ FunctionName: 'kept', Namespace, Qualifier: '1' })
  expect({ ...after, RequestId: '' }).toEqual({ ...before, RequestId: '' })
  expect((await suite.invoke('kept', {}, { Namespace, Qualifier: '1' })).RetMsg).toBe('"kept"')
})
