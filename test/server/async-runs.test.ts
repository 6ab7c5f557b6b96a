import { afterAll, beforeAll, expect, test } from 'vitest'
import type { QueueView } from '../../src/control/api.ts'
import { queueOf, setQueue } from '../helpers/queue-door.ts'
import { Suite } from '../parity/alibaba-fc/clients.ts'

const ENDLESS = 'exports.handler = () => new Promise((resolve) => setInterval(resolve, 3_600_000))'

let suite: Suite

beforeAll(async () => {
  suite = await Suite.start('runs', {
    ANVOKE_MAX_ASYNC_RUNS: '3',
    ANVOKE_MAX_ASYNC_RUNS_PER_FUNCTION: '2',
    ANVOKE_SHUTDOWN_GRACE_SECONDS: '0',
  })
})
afterAll(() => suite?.server.close())

const view = (name: string): Promise<QueueView> => queueOf(suite.server, ['runs', name])

/** Lets four calls of a function run, as many at a time as may. */
async function runFour(name: string): Promise<void> {
  await suite.deploy(name, ENDLESS, { timeout: 600 })
  await setQueue(suite.server, ['runs', name], { isPaused: true })
  for (const event of ['1', '2', '3', '4']) await suite.invokeAsync(name, event)
  await setQueue(suite.server, ['runs', name], { isPaused: false })
  await expect.poll(async () => (await view(name)).running).toBeGreaterThan(0)
}

test('as many asynchronous calls run at a time as the settings say, of one function and of all', async () => {
  await runFour('first')
  expect(await view('first')).toMatchObject({ running: 2, waiting: 2, maxRuns: 2, set: {} })
  await runFour('second')
  expect(await view('second')).toMatchObject({ running: 1, waiting: 3 })
  // All places are taken: it gets one of those beyond, as it runs nothing.
  await runFour('third')
  expect(await view('third')).toMatchObject({ running: 1, waiting: 3 })
})
