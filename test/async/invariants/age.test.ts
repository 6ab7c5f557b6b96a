import { afterEach, beforeEach, expect, test } from 'vitest'
import { payloadOf } from '../../../src/model/payload.ts'
import type { RunEnd } from '../model/engine.ts'
import { ACCOUNT, World } from '../model/world.ts'

let world: World
beforeEach(async () => {
  world = await World.open()
})
afterEach(() => world.close())

/** How a task of at most 10 s ends whose run begins at once and comes to this after 20 s. */
async function endOf(how: RunEnd): Promise<unknown> {
  const accepted = world.process.service.submit({
    target: { account: ACCOUNT, namespace: 'default', name: 'a' },
    requestId: 'r1',
    payload: payloadOf('{}'),
    policy: { maxRetries: 3, maxAgeMs: 10_000 },
  })
  await world.quiet()
  await accepted
  await world.timeline.pass(20_000, () => world.quiet())
  const [run] = world.process.engine.active
  expect(run?.caller.gone).toBe(false)
  world.process.engine.end(run!, how)
  await world.quiet()
  const found = world.process.service.find(ACCOUNT, 'r1')
  await world.quiet()
  return (await found)?.status
}

test('a run that has begun is not ended by age, and its success counts', async () => {
  expect(await endOf('returned')).toBe('succeeded')
})

test('a run that fails when its task is too old is not repeated', async () => {
  expect(await endOf('threw')).toBe('expired')
})
