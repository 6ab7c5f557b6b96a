import { afterEach, beforeEach, expect, test } from 'vitest'
import { payloadOf } from '../../../src/model/payload.ts'
import { SHARE } from '../model/ledger.ts'
import { ACCOUNT, World } from '../model/world.ts'

let world: World
beforeEach(async () => {
  world = await World.open()
})
afterEach(() => world.close())

test('no more runs at a time than there are places, however many functions have tasks, and each that ends makes one', async () => {
  const { engine, service } = world.process
  for (let index = 0; index < 9; index += 1) {
    const accepted = service.submit({
      target: { account: ACCOUNT, namespace: 'default', name: `f${index}` },
      requestId: `r${index}`,
      payload: payloadOf('{}'),
      policy: { maxRetries: 0, maxAgeMs: 60_000 },
    })
    await world.quiet()
    await accepted
  }
  const places = SHARE.parallelRuns + SHARE.firstRuns
  for (let ended = 0; ended <= 9 - places; ended += 1) {
    expect(engine.active.map(({ task }) => task.requestId)).toEqual(
      Array.from({ length: places }, (_, index) => `r${ended + index}`),
    )
    engine.end(engine.active[0]!, 'returned')
    await world.quiet()
  }
})
