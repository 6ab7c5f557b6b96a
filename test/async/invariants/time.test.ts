import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { payloadOf } from '../../../src/model/payload.ts'
import { ACCOUNT, World } from '../model/world.ts'

const DAY_MS = 86_400_000
const OWNER = { account: ACCOUNT, namespace: 'default', name: 'a' }

describe('the time of the queue, over a restart with another wall clock', () => {
  let world: World
  beforeEach(async () => {
    world = await World.open()
  })
  afterEach(() => world.close())

  const crash = (wallMs = -DAY_MS): Promise<void> =>
    world.crash({ isCommitted: false, isTorn: false, wallMs })
  const submit = async (): Promise<number> => {
    const accepted = world.process.service.submit({
      target: OWNER,
      requestId: 'r1',
      payload: payloadOf('{}'),
      delayMs: 30_000,
      policy: { maxRetries: 1, maxAgeMs: DAY_MS },
    })
    await world.process.boundary.quiet()
    return (await accepted).acceptedAtMs
  }

  test('begins no earlier than the acceptance of a task, and not a second later', async () => {
    await world.timeline.pass(5000, () => world.quiet())
    const acceptedAtMs = await submit()
    await crash()
    expect(world.nowMs).toBeGreaterThanOrEqual(acceptedAtMs)
    expect(world.nowMs).toBeLessThanOrEqual(acceptedAtMs + 1000)
  })

  test('begins no earlier than the ending of a task, however soon after another one that was', async () => {
    await submit()
    await world.timeline.pass(30_000, () => world.quiet())
    const [run] = world.process.engine.active
    await world.timeline.pass(7, () => world.quiet())
    world.process.engine.end(run!, 'returned')
    await world.process.boundary.quiet()
    const endedAtMs = world.nowMs
    await crash()
    expect(world.nowMs).toBeGreaterThanOrEqual(endedAtMs)
  })

  test('delays nothing by what the clock was set back', async () => {
    await submit()
    await crash()
    await world.quiet()
    await world.timeline.pass(30_000, () => world.quiet())
    expect(world.process.engine.active.map(({ task }) => task.requestId)).toEqual(['r1'])
  })

  test('takes a clock that was set forward for the time that the server was down', async () => {
    await submit()
    await crash(60_000)
    await world.quiet()
    expect(world.process.engine.active.map(({ task }) => task.requestId)).toEqual(['r1'])
  })

  test('goes on where it was after an orderly end', async () => {
    await submit()
    const beforeMs = world.nowMs
    await world.restart(0, -DAY_MS)
    expect(world.nowMs).toBe(beforeMs)
  })
})

describe('the time of the queue, over a sleep of the machine', () => {
  let world: World
  beforeEach(async () => {
    world = await World.open()
  })
  afterEach(() => world.close())

  const SLEEP_MS = 8 * 3_600_000
  const quiet = (): Promise<void> => world.quiet()
  const submit = async (requestId: string, delayMs = 0): Promise<number> => {
    const accepted = world.process.service.submit({
      target: OWNER,
      requestId,
      payload: payloadOf('{}'),
      delayMs,
      policy: { maxRetries: 1, maxAgeMs: DAY_MS },
    })
    await quiet()
    return (await accepted).acceptedAtMs
  }
  const running = (): readonly string[] => world.process.engine.active.map(({ task }) => task.requestId)

  test('goes on, and what became due meanwhile runs soon', async () => {
    const acceptedAtMs = await submit('delayed', 3_600_000)
    world.timeline.sleep(SLEEP_MS)
    // Nobody reads the time before the timer that the delivery waits for.
    await world.timeline.pass(60_000, quiet)
    expect(running()).toEqual(['delayed'])
    expect(await submit('next')).toBeGreaterThanOrEqual(acceptedAtMs + SLEEP_MS)
  })

  test('leaves a run under way as it is, though its lease has ended meanwhile', async () => {
    await submit('long')
    const [long] = world.process.engine.active
    world.timeline.sleep(SLEEP_MS)
    await submit('next')
    expect(running()).toEqual(['long', 'next'])
    expect(long?.caller.gone).toBe(false)
    world.process.engine.end(long!, 'returned')
    await quiet()
    const found = world.process.service.find(ACCOUNT, 'long')
    await quiet()
    expect(await found).toMatchObject({ status: 'succeeded', lostRuns: 0 })
  })

  test('leaves a run as it is also when its lease is being renewed', async () => {
    await submit('long')
    // A lease of 30 s is renewed at a third of it; the renewal is under way when the time after the sleep is read.
    await world.timeline.pass(10_000, () => Promise.resolve())
    world.timeline.sleep(SLEEP_MS)
    await submit('next')
    expect(running()).toEqual(['long', 'next'])
  })
})
