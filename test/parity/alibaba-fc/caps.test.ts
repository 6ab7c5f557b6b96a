import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Suite } from './clients.ts'

let suite: Suite

beforeAll(async () => {
  suite = await Suite.start('capped')
})

afterAll(() => suite?.server.close())

test('an on-demand cap of 0 closes a function, a warm one too, and its deletion opens it again', async () => {
  await suite.deploy('closable', `exports.handler = async () => 'open'`)
  expect((await suite.invoke('closable')).text).toBe('open')
  await suite.fc2.putOnDemandConfig('capped', 'closable', undefined, { maximumInstanceCount: 0 })
  await expect(suite.invoke('closable')).rejects.toMatchObject({ statusCode: 429, code: 'ResourceExhausted' })
  await suite.fc2.deleteOnDemandConfig('capped', 'closable')
  expect((await suite.invoke('closable')).text).toBe('open')
})

test('calls beyond an on-demand cap wait for the instances there are', async () => {
  await suite.deploy(
    'single',
    `exports.handler = async () => {
      await new Promise((done) => setTimeout(done, 50))
      return String(process.pid)
    }`,
  )
  await suite.fc2.putOnDemandConfig('capped', 'single', undefined, { maximumInstanceCount: 1 })
  const answers = await Promise.all([1, 2, 3, 4].map(() => suite.invoke('single')))
  expect(answers.map(({ errorType }) => errorType)).toEqual(Array(4).fill(undefined))
  expect(new Set(answers.map(({ instanceId }) => instanceId)).size).toBe(1)
})

test('the logs of a function go with it', async () => {
  await suite.deploy('chatty', `exports.handler = async () => console.log('a secret')`)
  await suite.invoke('chatty')
  await suite.untilLogged('chatty', (log) => log.includes('a secret'))
  await suite.fc2.deleteFunction('capped', 'chatty')
  const logs = join(suite.server.dataDir, 'logs')
  await expect
    .poll(async () => (await readdir(logs, { recursive: true })).filter((path) => path.includes('chatty')))
    .toEqual([])
})
