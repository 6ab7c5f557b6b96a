import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { base64Zip, Suite } from './clients.ts'

let suite: Suite

beforeAll(async () => {
  suite = await Suite.start()
})

afterAll(() => suite?.server.close())

const says = (word: string): string => `exports.main_handler = async () => process.env.WORD + ' ${word}'`

describe('a function of API 3.0', () => {
  const FunctionName = 'life'

  test('is made, shown as it was made, and called', async () => {
    await suite.deploy(FunctionName, says('one'), {
      Description: 'a function',
      MemorySize: 256,
      Timeout: 7,
      Environment: { Variables: [{ Key: 'WORD', Value: 'a & b' }] },
      TraceEnable: 'TRUE',
    })
    const shown = await suite.scf.GetFunction({ FunctionName, ShowCode: 'TRUE' })
    expect(shown).toMatchObject({
      FunctionName,
      Namespace: 'default',
      Description: 'a function',
      MemorySize: 256,
      Timeout: 7,
      Runtime: 'Nodejs18.15',
      Handler: 'index.main_handler',
      Environment: { Variables: [{ Key: 'WORD', Value: 'a & b' }] },
      Status: 'Active',
      FunctionVersion: '$LATEST',
      CodeInfo: says('one'),
      TraceEnable: 'TRUE',
    })
    expect((await suite.invoke(FunctionName)).RetMsg).toBe('"a & b one"')
    await expect(suite.deploy(FunctionName, says('one'))).rejects.toMatchObject({
      code: expect.stringMatching(/^ResourceInUse/),
    })
  })

  test('is versioned: what was published stays as it was', async () => {
    const { FunctionVersion } = await suite.scf.PublishVersion({ FunctionName, Description: 'first' })
    expect(FunctionVersion).toBe('1')
    await suite.scf.UpdateFunctionCode({
      FunctionName,
      Handler: 'index.main_handler',
      ZipFile: await base64Zip(says('two')),
    })
    await suite.scf.UpdateFunctionConfiguration({
      FunctionName,
      Environment: { Variables: [{ Key: 'WORD', Value: 'c' }] },
    })
    expect((await suite.invoke(FunctionName)).RetMsg).toBe('"c two"')
    expect((await suite.invoke(FunctionName, {}, { Qualifier: '1' })).RetMsg).toBe('"a & b one"')
    const { FunctionVersion: versions } = await suite.scf.ListVersionByFunction({ FunctionName })
    expect(versions?.toSorted()).toEqual(['$LATEST', '1'])
  })

  test('has aliases that can be moved, and that keep their version from being deleted', async () => {
    await suite.scf.CreateAlias({ FunctionName, Name: 'prod', FunctionVersion: '1' })
    expect((await suite.invoke(FunctionName, {}, { Qualifier: 'prod' })).RetMsg).toBe('"a & b one"')
    await expect(suite.scf.DeleteFunctionVersion({ FunctionName, Qualifier: '1' })).rejects.toMatchObject({
      code: 'UnsupportedOperation.AliasBind',
    })
    await suite.scf.UpdateAlias({ FunctionName, Name: 'prod', FunctionVersion: '$LATEST' })
    expect((await suite.invoke(FunctionName, {}, { Qualifier: 'prod' })).RetMsg).toBe('"c two"')
    await suite.scf.DeleteFunctionVersion({ FunctionName, Qualifier: '1' })
    await suite.scf.DeleteAlias({ FunctionName, Name: 'prod' })
    await expect(suite.scf.GetAlias({ FunctionName, Name: 'prod' })).rejects.toMatchObject({
      code: 'ResourceNotFound.Alias',
      message: expect.stringContaining('未找到指定的'),
    })
  })

  test('gives its code back', async () => {
    const { Url, CodeSha256 } = await suite.scf.GetFunctionAddress({ FunctionName })
    const archive = Buffer.from(await (await fetch(Url ?? '')).arrayBuffer())
    expect(createHash('sha256').update(archive).digest('hex')).toBe(CodeSha256)
  })

  test('tells of calls that ended, in answers of their own', async () => {
    const { FunctionRequestId } = await suite.invoke(FunctionName)
    await suite.server.untilLogged('default', FunctionName, (log) => log.includes(FunctionRequestId))
    const { Data } = await suite.scf.GetRequestStatus({ FunctionName, FunctionRequestId })
    expect(Data).toMatchObject([{ RequestId: FunctionRequestId, RetMsg: '"c two"', RetCode: 0 }])
    const logs = await suite.scf.GetFunctionLogs({ FunctionName, FunctionRequestId })
    expect(logs.Data).toMatchObject([{ RequestId: FunctionRequestId, RetCode: 0, InvokeFinished: 1 }])
  })

  test('is deleted with all it had', async () => {
    await suite.scf.DeleteFunction({ FunctionName })
    await expect(suite.scf.GetFunction({ FunctionName })).rejects.toMatchObject({
      code: 'ResourceNotFound.FunctionName',
    })
    await expect(suite.invoke(FunctionName)).rejects.toMatchObject({ code: 'ResourceNotFound.FunctionName' })
  })
})

describe('an asynchronous event', () => {
  async function untilStatus(InvokeRequestId: string, wanted: string): Promise<unknown> {
    for (;;) {
      const { Result } = await suite.scf.GetAsyncEventStatus({ InvokeRequestId })
      if (Result?.Status === wanted) return Result
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  test('is seen to run and to end', async () => {
    await suite.deploy('counted', `exports.main_handler = async () => 1`, { TraceEnable: 'TRUE' })
    const { FunctionRequestId } = await suite.invoke('counted', {}, { InvocationType: 'Event' })
    expect(await untilStatus(FunctionRequestId, 'FINISHED')).toMatchObject({
      InvokeRequestId: FunctionRequestId,
      StatusCode: 200,
    })
    const { EventList } = await suite.scf.ListAsyncEvents({ FunctionName: 'counted' })
    expect(EventList).toMatchObject([{ InvokeRequestId: FunctionRequestId, Status: 'FINISHED' }])
  })

  test('that runs is terminated on request', async () => {
    await suite.deploy(
      'endless',
      `exports.main_handler = () => { console.log('begun'); return new Promise(() => setInterval(() => {}, 1000)) }`,
      { AsyncRunEnable: 'TRUE', Timeout: 600 },
    )
    const { FunctionRequestId: InvokeRequestId } = await suite.invoke('endless')
    await untilStatus(InvokeRequestId, 'RUNNING')
    await suite.scf.TerminateAsyncEvent({ FunctionName: 'endless', InvokeRequestId })
    expect(await untilStatus(InvokeRequestId, 'ABORTED')).toMatchObject({ StatusCode: 499 })
    await expect(
      suite.scf.TerminateAsyncEvent({ FunctionName: 'endless', InvokeRequestId }),
    ).rejects.toMatchObject({ code: 'FailedOperation.AsyncEventStatus' })
  })

  test('outlives a crash of the server', async () => {
    await suite.deploy('durable', `exports.main_handler = async (e, c) => console.log('ran ' + c.request_id)`)
    const { FunctionRequestId } = await suite.invoke('durable', {}, { InvocationType: 'Event' })
    await suite.server.kill()
    await suite.server.launch()
    await suite.server.untilLogged('default', 'durable', (log) => log.includes(`ran ${FunctionRequestId}`))
  })
})
