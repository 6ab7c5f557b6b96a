import { afterEach, describe, expect, test } from 'vitest'
import { Rig, textOf, type RigOptions } from '../helpers/engine-rig.ts'
import { echo, type Script } from '../helpers/scripted-sandbox.ts'
import { aVersion } from '../helpers/versions.ts'

let rig: Rig
const open = async (options: RigOptions = {}): Promise<Rig> => (rig = await Rig.open(options))
afterEach(() => rig.close())

/** Processes that get ready one by one, and answer one call each time the test says so. */
class Turns {
  readonly #starts: PromiseWithResolvers<void>[] = []
  readonly #answers: PromiseWithResolvers<void>[] = []

  /** Lets the process with this number get ready. */
  start(index: number): void {
    at(this.#starts, index).resolve()
  }

  /** Lets it answer what it runs, and all that follows. */
  answer(index: number): void {
    at(this.#answers, index).resolve()
  }

  readonly script =
    (index: number): Script =>
    async (process) => {
      await at(this.#starts, index).promise
      await process.begin()
      process.ready()
      await process.serve(async (call) => {
        await at(this.#answers, index).promise
        process.answer(call)
      })
    }
}

function at(list: PromiseWithResolvers<void>[], index: number): PromiseWithResolvers<void> {
  return (list[index] ??= Promise.withResolvers<void>())
}

test('the code of a retired version is in use until its last call has ended', async () => {
  const turns = new Turns()
  await open({ script: turns.script })
  const version = aVersion()
  const call = rig.call(version)
  turns.start(0)
  await rig.until(() => rig.instance(0).state === 'busy')
  rig.pool.retire([version.id])
  expect(rig.pool.versionsInUse).toContain(version)
  turns.answer(0)
  await call.outcome
  await rig.instance(0).gone
  await rig.until(() => rig.pool.versionsInUse.length === 0)
})

describe('starts', () => {
  test('no more than the limit are under way at once, and the next begins when one is over', async () => {
    const turns = new Turns()
    await open({ script: turns.script, limits: { maxConcurrentStarts: 2 } })
    const version = aVersion()
    const calls = [1, 2, 3].map(() => rig.call(version))
    expect(rig.started.length).toBe(2)
    turns.start(0)
    await rig.until(() => rig.sandbox.begun.size === 1)
    rig.nowMs += 100
    await rig.until(() => rig.started.length === 3)
    for (const index of [1, 2]) turns.start(index)
    for (const index of [0, 1, 2]) turns.answer(index)
    await Promise.all(calls.map(({ outcome }) => outcome))
  })

  test('as many are started as calls need that may run at once in each', async () => {
    const turns = new Turns()
    await open({ script: turns.script })
    const version = aVersion({ instanceConcurrency: 4 })
    const calls = Array.from({ length: 9 }, () => rig.call(version))
    expect(rig.started.length).toBe(3)
    for (const index of [0, 1, 2]) {
      turns.start(index)
      turns.answer(index)
    }
    await Promise.all(calls.map(({ outcome }) => outcome))
  })

  test('functions that wait for a start take turns', async () => {
    const turns = new Turns()
    await open({ script: turns.script, limits: { maxConcurrentStarts: 1 } })
    const [greedy, modest] = [aVersion({ name: 'greedy' }), aVersion({ name: 'modest' })]
    const calls = [1, 2, 3].map(() => rig.call(greedy))
    calls.push(rig.call(modest))
    for (const index of [0, 1, 2, 3]) {
      turns.answer(index)
      turns.start(index)
    }
    await Promise.all(calls.map(({ outcome }) => outcome))
    expect(rig.started[1]?.version.name).toBe('modest')
  })

  test('each call that has waited as long as a start takes gets one start', async () => {
    const gate = Promise.withResolvers<void>()
    await open({
      script: () => async (process) => {
        await process.begin()
        rig.nowMs += 60
        process.ready()
        await process.serve(async (call) => {
          if (call.event === 'hold') await gate.promise
          rig.nowMs += 20
          process.answer(call, 'done', { durationMs: 20 })
        })
      },
    })
    const version = aVersion({ timeoutMs: 600_000 })
    for (let index = 0; index < 40; index += 1) await rig.call(version).outcome
    const calls = [rig.call(version, 'hold')]
    await rig.until(() => rig.sandbox.begun.size === 41)
    // Starts are estimated at 60 + 2 × 30 ms: the first of these is overdue after 121 ms, the others 50 ms later.
    calls.push(rig.call(version, 'hold'))
    rig.nowMs += 50
    calls.push(rig.call(version, 'hold'), rig.call(version, 'hold'))
    rig.nowMs += 71
    await rig.until(() => rig.started.length > 1)
    expect(rig.started.length).toBe(2)
    await rig.until(() => rig.sandbox.begun.size >= 42)
    gate.resolve()
    await Promise.all(calls.map(({ outcome }) => outcome))
  })
})

describe('a call in the queue', () => {
  test('is refused when nothing became free within the queue timeout', async () => {
    const turns = new Turns()
    await open({ script: turns.script, limits: { maxInstances: 1, queueTimeoutMs: 500 } })
    const version = aVersion({ timeoutMs: 600_000 })
    turns.start(0)
    const running = rig.call(version)
    await rig.until(() => rig.sandbox.begun.size === 1)
    const waiting = rig.call(version)
    rig.nowMs += 501
    await expect(waiting.outcome).rejects.toMatchObject({
      code: 'platform/no-capacity',
      details: { waitedMs: 501 },
    })
    turns.answer(0)
    expect(await running.ending).toBe('returned')
  })

  test('is refused when its caller hangs up, and never begins', async () => {
    const turns = new Turns()
    await open({ script: turns.script })
    const call = rig.call(aVersion())
    call.caller.hangUp()
    expect(await call.ending).toBe('caller/gone')
    turns.start(0)
    await rig.until(() => rig.instance(0).state === 'idle')
    expect(rig.sandbox.begun.size).toBe(0)
  })

  test('is refused at once when its caller is gone already', async () => {
    await open()
    const version = aVersion()
    await rig.call(version).outcome
    const [first] = [rig.call(version)]
    first.caller.hangUp()
    expect(await first.ending).toBe('cancelled')
    expect(first.call.caller.onGone).toBeUndefined()
  })

  test('is refused when 50 instances have ended before it began', async () => {
    await open({
      script: () => async (process) => {
        await process.begin()
        process.ready()
        await process.holds(1)
        process.exit(1)
      },
    })
    expect(await rig.call(aVersion()).ending).toBe('platform/no-capacity')
    expect(rig.started.length).toBe(51)
    expect(rig.sandbox.begun.size).toBe(0)
  })

  test('of an older date goes first when instances end in another order', async () => {
    const order: string[] = []
    const crash = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const bothEnded = Promise.withResolvers<void>()
    await open({
      limits: { maxInstances: 2 },
      script: (index) => async (process) => {
        const gate = crash[index]
        if (gate === undefined) await bothEnded.promise
        await process.begin()
        process.ready()
        if (gate === undefined) {
          await process.serve((call) => {
            order.push(call.event)
            process.answer(call)
          })
        }
        await process.next()
        await gate?.promise
        process.exit(1)
      },
    })
    const version = aVersion({ instanceConcurrency: 2, timeoutMs: 600_000 })
    const calls = ['a', '1', 'b', '2'].map((event) => {
      rig.nowMs += 1
      return rig.call(version, event)
    })
    await rig.until(() => rig.sandbox.begun.size === 2)
    await (await rig.sandbox.process(0)).holds(1)
    await (await rig.sandbox.process(1)).holds(1)
    crash[0]?.resolve()
    await rig.until(() => rig.endings.length === 1)
    crash[1]?.resolve()
    await rig.until(() => rig.endings.length === 2)
    bothEnded.resolve()
    expect(await Promise.all(calls.map(({ ending }) => ending))).toEqual([
      'crashed',
      'returned',
      'crashed',
      'returned',
    ])
    expect(order).toEqual(['1', '2'])
  })
})

describe('a caller that hangs up while the call runs', () => {
  test('ends nothing: the call is logged and measured, its outcome is cancelled', async () => {
    const turns = new Turns()
    await open({ script: turns.script })
    turns.start(0)
    const call = rig.call(aVersion())
    await rig.until(() => rig.sandbox.begun.size === 1)
    call.caller.hangUp()
    rig.nowMs += 25
    turns.answer(0)
    expect(await call.outcome).toMatchObject({ kind: 'cancelled', billedDurationMs: 1 })
    expect(call.log()).toMatch(/END .* cancelled\n$/)
    expect(rig.instance(0).state).toBe('idle')
  })
})

describe('room', () => {
  const versions = (...memoriesMib: number[]) =>
    memoriesMib.map((memoryMib, index) =>
      aVersion({ name: `f${index}`, functionId: `f${index}`, memoryMib, timeoutMs: 600_000 }),
    )

  test('for another function is made by ending the instance that was idle longest', async () => {
    await open({ limits: { maxInstances: 2 } })
    const [a = aVersion(), b = a, c = a] = versions(64, 64, 64)
    await rig.call(a).outcome
    rig.nowMs += 10
    await rig.call(b).outcome
    rig.nowMs += 10
    await rig.call(c).outcome
    expect(rig.endings).toEqual([{ kind: 'evicted' }])
    expect(rig.instance(0).state).toBe('dead')
    expect(rig.pool.instances.size).toBe(2)
  })

  test('within the memory budget is kept for configured memory', async () => {
    await open({ limits: { memoryBudgetMib: 1000 } })
    const [small = aVersion(), other = small, large = small] = versions(200, 200, 700)
    await rig.call(small).outcome
    rig.nowMs += 10
    await rig.call(other).outcome
    rig.nowMs += 10
    expect(await rig.call(large).ending).toBe('returned')
    expect(rig.started.map(({ state }) => state)).toEqual(['dead', 'idle', 'idle'])
  })

  test('that cannot be made costs nobody its idle instance', async () => {
    const turns = new Turns()
    await open({ script: turns.script, limits: { memoryBudgetMib: 1000, queueTimeoutMs: 100 } })
    const [small = aVersion(), busy = small, large = small] = versions(200, 200, 900)
    for (const index of [0, 1]) turns.start(index)
    turns.answer(0)
    await rig.call(small).outcome
    const running = rig.call(busy)
    await rig.until(() => rig.sandbox.begun.size === 2)
    const call = rig.call(large)
    rig.nowMs += 101
    expect(await call.ending).toBe('platform/no-capacity')
    expect(rig.instance(0).state).toBe('idle')
    turns.answer(1)
    await running.outcome
  })

  test('that the host could never have is refused at once, and the operator is told once for each state', async () => {
    await open({ limits: { memoryBudgetMib: 1000 } })
    const [small = aVersion(), fits = small, huge = small] = versions(200, 1000, 1001)
    await rig.call(small).outcome
    for (const _ of [1, 2])
      await expect(rig.call(huge).outcome).rejects.toMatchObject({
        code: 'caller/memory-unavailable',
        details: { neededMib: 1001, availableMib: 1000 },
      })
    expect(rig.beyondMemory).toEqual([huge])
    expect(rig.instance(0).state).toBe('idle')
    rig.pool.retire([huge.id])
    expect([rig.pool.expect(fits), rig.pool.expect(huge)]).toEqual([true, false])
    expect(await rig.call(huge).ending).toBe('caller/memory-unavailable')
    expect(rig.beyondMemory).toEqual([huge, huge])
    expect(await rig.call(fits).ending).toBe('returned')
  })

  test('that becomes free goes to a function that waits for it', async () => {
    const turns = new Turns()
    await open({ script: turns.script, limits: { maxInstances: 1 } })
    const [a = aVersion(), b = a] = versions(64, 64)
    turns.start(0)
    const first = rig.call(a)
    await rig.until(() => rig.sandbox.begun.size === 1)
    const second = rig.call(b)
    turns.start(1)
    turns.answer(0)
    turns.answer(1)
    expect(await Promise.all([first.ending, second.ending])).toEqual(['returned', 'returned'])
  })

  test('made for one start is not taken by another', async () => {
    const turns = new Turns()
    await open({ script: turns.script, limits: { memoryBudgetMib: 400, maxConcurrentStarts: 2 } })
    const [a = aVersion(), b = a, c = a] = versions(200, 300, 200)
    turns.start(0)
    turns.answer(0)
    await rig.call(a).outcome
    rig.nowMs += 1
    const calls = [rig.call(b), rig.call(c)]
    expect(rig.started.map(({ version, state }) => `${version.name} ${state}`)).toEqual([
      'f0 dead',
      'f1 starting',
    ])
    for (const index of [1, 2]) {
      turns.start(index)
      turns.answer(index)
    }
    await Promise.all(calls.map(({ outcome }) => outcome))
  })

  test('is never taken beyond the limit of one function', async () => {
    const turns = new Turns()
    await open({ script: turns.script, limits: { maxInstancesPerFunction: 2 } })
    const version = aVersion({ timeoutMs: 600_000 })
    const calls = [1, 2, 3, 4].map(() => rig.call(version))
    turns.start(0)
    turns.start(1)
    await rig.until(() => rig.sandbox.begun.size === 2)
    rig.nowMs += 5000
    turns.answer(0)
    turns.answer(1)
    await Promise.all(calls.map(({ outcome }) => outcome))
    expect(rig.started.length).toBe(2)
  })
})

describe('a replaced version', () => {
  test('still serves the calls that wait for it, then ends all its instances', async () => {
    const turns = new Turns()
    await open({ script: turns.script, limits: { maxInstancesPerFunction: 2 } })
    const version = aVersion({ timeoutMs: 600_000 })
    const calls = [1, 2, 3].map((number) => rig.call(version, `${number}`))
    turns.start(0)
    turns.start(1)
    await rig.until(() => rig.sandbox.begun.size === 2)
    rig.pool.retire([version.id])
    expect(rig.started.map(({ state }) => state)).toEqual(['busy', 'busy'])
    turns.answer(0)
    turns.answer(1)
    expect(await Promise.all(calls.map(async ({ outcome }) => textOf(await outcome)))).toEqual([
      '1',
      '2',
      '3',
    ])
    await rig.until(() => rig.endings.length === 2)
    expect(rig.endings).toEqual([{ kind: 'retired' }, { kind: 'retired' }])
  })

  test('ends its idle instances when the last call that waited is gone', async () => {
    await open({
      script: (index) => (index === 0 ? echo : async (process) => process.begin()),
      limits: { maxConcurrentStarts: 1 },
    })
    const version = aVersion({ timeoutMs: 600_000 })
    const waiting = rig.call(version)
    await waiting.outcome
    rig.sandbox.play(() => async () => undefined)
    rig.pool.retire([version.id])
    await rig.until(() => rig.endings.length === 1)
    const next = rig.call(version)
    rig.pool.retire([version.id])
    expect(rig.started.length).toBe(2)
    next.caller.hangUp()
    expect(await next.ending).toBe('caller/gone')
    expect(rig.endings).toEqual([{ kind: 'retired' }, { kind: 'retired' }])
  })
})

describe('close', () => {
  test('refuses what waits and what comes, lets running calls finish, and waits for every process', async () => {
    const turns = new Turns()
    await open({ script: turns.script, limits: { maxInstances: 1 } })
    const version = aVersion({ timeoutMs: 600_000 })
    turns.start(0)
    const running = rig.call(version)
    await rig.until(() => rig.sandbox.begun.size === 1)
    const waiting = rig.call(version)
    const closed = rig.pool.close(60_000)
    expect(await waiting.ending).toBe('platform/draining')
    expect(await rig.call(version).ending).toBe('platform/draining')
    turns.answer(0)
    expect(await running.ending).toBe('returned')
    await closed
    expect(rig.endings).toEqual([{ kind: 'retired' }])
  })

  test('ends what is starting at once', async () => {
    const turns = new Turns()
    await open({ script: turns.script })
    const call = rig.call(aVersion())
    await rig.pool.close(60_000)
    expect(await call.ending).toBe('platform/draining')
    expect(rig.endings).toEqual([{ kind: 'killed' }])
  })

  test('waits also for processes of instances that ended before', async () => {
    await open()
    const version = aVersion()
    await rig.call(version).outcome
    const process = await rig.sandbox.process(0)
    process.obeysKill = false
    rig.pool.retire([version.id])
    let isClosed = false
    const closed = rig.pool.close(0).then(() => (isClosed = true))
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(isClosed).toBe(false)
    process.obeysKill = true
    process.kill()
    await closed
  })

  test('called again with less grace, that holds', async () => {
    const turns = new Turns()
    await open({ script: turns.script })
    turns.start(0)
    const call = rig.call(aVersion({ timeoutMs: 600_000 }))
    await rig.until(() => rig.sandbox.begun.size === 1)
    const closed = rig.pool.close(60_000)
    await rig.pool.close(0)
    expect(await call.ending).toBe('crashed')
    await closed
  })
})
