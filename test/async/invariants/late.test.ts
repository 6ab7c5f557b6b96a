import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { payloadOf } from '../../../src/model/payload.ts'
import type { Submission } from '../../../src/async/tasks.ts'
import { checkStore } from '../model/invariants.ts'
import { ACCOUNT, World } from '../model/world.ts'

const OWNER = { account: ACCOUNT, namespace: 'default', name: 'a' }

describe('a run whose lease ended', () => {
  let world: World
  beforeEach(async () => {
    world = await World.open()
  })
  afterEach(() => world.close())

  const quiet = (): Promise<void> => world.quiet()
  const submit = async (requestId: string, more: Partial<Submission> = {}): Promise<void> => {
    const accepted = world.process.service.submit({
      target: OWNER,
      requestId,
      payload: payloadOf('{}'),
      policy: { maxRetries: 0, maxAgeMs: 86_400_000 },
      ...more,
    })
    await quiet()
    await accepted
  }
  const statusOf = async (requestId: string): Promise<unknown> => {
    const found = world.process.service.find(ACCOUNT, requestId)
    await quiet()
    return (await found)?.status
  }

  test('is not repeated when its stop is on disk: its task is cancelled', async () => {
    const { engine, service } = world.process
    await submit('stopped')
    await submit('later', { delayMs: 5000 })
    engine.manner = 'lingers'
    world.ledger.stopsAsked.add('stopped')
    const termination = service.terminate(ACCOUNT, 'stopped', 100_000)
    await quiet()
    // Long enough for the lease to end; the later task is looked for before the lease is renewed.
    await world.timeline.stall(31_000, () => world.idle())
    await quiet()
    expect(engine.active.map(({ task }) => task.requestId)).toEqual(['later'])
    expect(await statusOf('stopped')).toBe('cancelled')
    expect(await termination).toBe('terminated')
    await checkStore(world)
  })

  test('comes to something nobody waits for: that is dropped and counted, and the engine told', async () => {
    const { engine, delivery } = world.process
    await submit('r1')
    const [late] = engine.active
    // The engine is told just as the run returns.
    late!.caller.onGone = () => engine.end(late!, 'returned')
    // The process stands still, and then hears of another task before its timers.
    world.timeline.stand(31_000)
    await submit('r2')
    expect(late?.caller.gone).toBe(false)
    await world.timeline.pass(0, quiet)
    expect(late?.caller.gone).toBe(true)
    expect(late?.end?.how).toBe('returned')
    expect(delivery.droppedResults).toBe(1)
    expect(await statusOf('r1')).toBe('running')
    const again = engine.active.find(({ task }) => task.requestId === 'r1')
    expect(again?.task.lostRuns).toBe(1)
    engine.end(again!, 'returned')
    await quiet()
    expect(await statusOf('r1')).toBe('succeeded')
    await checkStore(world)
  })

  test('and that ends before the loss is known settles nothing', async () => {
    const { engine, delivery } = world.process
    await submit('r1')
    const [late] = engine.active
    world.timeline.stand(31_000)
    await submit('r2')
    engine.end(late!, 'returned')
    await quiet()
    expect(delivery.droppedResults).toBe(1)
    expect(await statusOf('r1')).toBe('running')
    await checkStore(world)
  })

  test('and whose end could not be written is not said to be unknown when it is stopped', async () => {
    const { engine, service, boundary } = world.process
    await submit('r1')
    engine.end(engine.active[0]!, 'refused')
    await world.idle()
    boundary.breakDown('failed', 1)
    await quiet()
    world.ledger.stopsAsked.add('r1')
    const termination = service.terminate(ACCOUNT, 'r1')
    const failed = termination.catch((error: unknown) => error)
    await quiet()
    expect(await failed).toMatchObject({ code: 'platform/store-failed' })
    // Its stop is on disk all the same.
    await world.timeline.pass(30_000, quiet)
    expect(await statusOf('r1')).toBe('cancelled')
    await checkStore(world)
  })

  test('is repeated although its function has no other place, without anybody asking', async () => {
    const { engine, service, boundary } = world.process
    const controlled = service.control(OWNER, { maxRuns: 1 })
    await quiet()
    await controlled
    await submit('lost')
    const [run] = engine.active
    engine.end(run!, 'returned')
    await world.idle()
    // Its result cannot be written, for a reason that does not go away.
    boundary.breakDown('failed', 1)
    await quiet()
    engine.isSwift = true
    for (let timers = 0; timers < 10 && world.timeline.nextInMs !== undefined; timers += 1)
      await world.timeline.pass(world.timeline.nextInMs, quiet)
    expect(await statusOf('lost')).toBe('succeeded')
    await checkStore(world)
  })
})
