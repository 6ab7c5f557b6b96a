import { afterAll, beforeAll, expect, test } from 'vitest'
import { Suite } from './clients.ts'

const DEVICES = `exports.handler = async () => JSON.stringify(Object.keys(require('os').networkInterfaces()).sort())`

let suite: Suite
let policy: string | undefined
beforeAll(async () => {
  suite = await Suite.start('networks')
  const ready = await (await fetch(`${suite.server.origin}/readyz?verbose`)).text()
  policy = /network (none|egress|host)/.exec(ready)?.[1]
})
afterAll(() => suite?.server.close())

test('functions have the network that the server tells of, and none when their service has no internet access', async (context) => {
  expect(policy).toBeDefined()
  context.skip(!suite.isolates, 'the host has no sandbox with namespaces')
  await suite.deploy('devices', DEVICES)
  const devices = async (): Promise<unknown> => (await suite.invoke('devices')).json
  const usual = policy === 'egress' ? ['lo', 'tap0'] : ['lo']
  expect(await devices()).toEqual(usual)
  await suite.fc2.updateService('networks', { internetAccess: false })
  expect(await devices()).toEqual(['lo'])
  await suite.fc2.updateService('networks', { internetAccess: true })
  expect(await devices()).toEqual(usual)
})
