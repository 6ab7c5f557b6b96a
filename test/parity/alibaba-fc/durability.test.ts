import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { base64Zip, Suite } from './clients.ts'

const CALLS = 40

let suite: Suite

beforeAll(async () => {
  suite = await Suite.start('lasting')
})

afterAll(() => suite?.server.close())

/** Everything that tells one state of a service's definitions from another. */
async function definitionsOf(service: string): Promise<unknown> {
  const { fc2 } = suite
  const [shown, stays, versions, alias, config, tags, code] = await Promise.all([
    fc2.getService(service),
    fc2.getFunction(service, 'stays'),
    fc2.listVersions(service),
    fc2.getAlias(service, 'prod'),
    fc2.getFunctionAsyncConfig(service, 'stays'),
    fc2.getResourceTags({ resourceArn: `services/${service}` }),
    fc2.getFunctionCode(service, 'stays'),
  ])
  const etags = [shown, stays, alias].map(({ headers }) => headers['etag'])
  const bodies = [shown, stays, versions, alias, config, tags].map(({ data }) => data)
  return { etags, bodies, checksum: code.data.checksum }
}

async function define(service: string): Promise<void> {
  const { fc2 } = suite
  await fc2.createService(service)
  await suite.deploy('stays', `exports.handler = async () => 'one'`, {}, service)
  await fc2.publishVersion(service, 'first')
  await fc2.createAlias(service, 'prod', '1')
  await fc2.putFunctionAsyncConfig(service, 'stays', undefined, { maxAsyncRetryAttempts: 2 })
  await fc2.tagResource(`services/${service}`, { team: 'blue' })
  await fc2.updateFunction(service, 'stays', {
    code: { zipFile: await base64Zip(`exports.handler = async () => 'two'`) },
  })
}

describe('a restarted server', () => {
  test.each(['stop', 'kill'] as const)('has every definition after a %s', async (end) => {
    await define(end)
    const before = await definitionsOf(end)
    await suite.server[end]()
    await suite.server.launch()
    expect(await definitionsOf(end)).toEqual(before)
    expect((await suite.invoke('stays', {}, end)).text).toBe('two')
    expect((await suite.invoke('stays', { qualifier: 'prod' }, end)).text).toBe('one')
    const { data } = await suite.fc2.getFunctionCode(end, 'stays')
    expect((await fetch(data.url)).status).toBe(200)
  })
})

describe('SIGTERM', () => {
  test('lets a running call finish', async () => {
    // Beyond 32 KB a call's log reaches the files while it runs: the sign that it has begun.
    await suite.deploy(
      'finishes',
      `exports.handler = async () => {
        console.log('begun ' + '.'.repeat(40000))
        await new Promise((done) => setTimeout(done, 1500))
        return 'finished'
      }`,
    )
    const running = suite.invoke('finishes')
    await suite.untilLogged('finishes', (log) => log.includes('begun'))
    await suite.server.stop()
    expect((await running).text).toBe('finished')
    await suite.server.launch()
  })

  test('ends the instances of functions that wait for nothing', async () => {
    await suite.deploy('waits', `setInterval(() => {}, 1000); exports.handler = async () => 'ok'`)
    await suite.deployPython('py-waits', `def handler(event, context):\n    return 'ok'`)
    await suite.invoke('waits')
    await suite.invoke('py-waits')
    expect(suite.server.descendants()).toBeGreaterThan(1)
    await suite.server.stop()
    await suite.server.launch()
    expect((await suite.invoke('waits')).text).toBe('ok')
  })
})

describe('kill -9', () => {
  test('in the middle of asynchronous calls loses none of those that were accepted', async () => {
    // The log of a call is on the disk a moment after it was written, the call ends well after that.
    await suite.deploy(
      'counted',
      `exports.handler = async (event) => {
        console.log('ran=' + event + '! ' + '.'.repeat(33000))
        await new Promise((done) => setTimeout(done, 600))
      }`,
      { memorySize: 128, timeout: 5 },
    )
    const ran = (log: string): Set<string> =>
      new Set([...log.matchAll(/ran=(\d+)!/g)].map(([, n]) => n ?? ''))
    const numbers = Array.from({ length: CALLS }, (_, n) => String(n))
    await Promise.all(numbers.map((n) => suite.invokeAsync('counted', n)))
    await suite.untilLogged('counted', (log) => ran(log).size >= 2)
    await suite.server.kill()
    const before = ran(await suite.log('counted')).size
    expect(before).toBeLessThan(CALLS)
    await suite.server.launch()
    const log = await suite.untilLogged('counted', (text) => ran(text).size === CALLS, 60_000)
    expect([...ran(log)].sort((a, b) => Number(a) - Number(b))).toEqual(numbers)
  }, 90_000)

  test('while synchronous calls run leaves no process, and the next server serves', async (context) => {
    context.skip(!suite.isolates, 'only a pid namespace holds processes that detach themselves')
    await suite.deploy(
      'caught',
      `const { spawn } = require('child_process')
      exports.handler = async () => {
        // Beyond what the bootstrap does: a process of the function's own.
        spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' }).unref()
        console.log('begun ' + '.'.repeat(40000))
        await new Promise((done) => setTimeout(done, 15000))
      }`,
    )
    await suite.deploy('well', `exports.handler = async () => 'well'`)
    const cut = suite.invoke('caught').then(
      () => 'answered',
      () => 'cut',
    )
    await suite.untilLogged('caught', (log) => log.includes('begun'))
    expect(suite.server.descendants()).toBeGreaterThan(2)
    await suite.server.kill()
    expect(await cut).toBe('cut')
    await suite.server.launch()
    expect((await suite.invoke('well')).text).toBe('well')
  })
})

test('a second server is refused the data directory of the first', async () => {
  await expect(suite.server.launchAnother()).rejects.toThrow('cannot be used')
  await suite.deploy('unharmed', `exports.handler = async () => 'unharmed'`)
  expect((await suite.invoke('unharmed')).text).toBe('unharmed')
})
