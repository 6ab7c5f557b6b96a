import { afterEach, describe, expect, test } from 'vitest'
import { Rig, textOf, type RigOptions } from '../helpers/engine-rig.ts'
import { echo, type Script } from '../helpers/scripted-sandbox.ts'
import { aVersion } from '../helpers/versions.ts'

let rig: Rig
const open = async (options: RigOptions = {}): Promise<Rig> => (rig = await Rig.open(options))
afterEach(() => rig.close())

/** Answers `quick` at once; a call with any other event runs until the gate of that name opens. */
class Gates {
  readonly #gates = new Map<string, PromiseWithResolvers<void>>()

  open(name: string): void {
    this.#gate(name).resolve()
  }

  readonly script: Script = async (process) => {
    await process.begin()
    process.ready()
    await process.serve(async (call) => {
      if (call.event !== 'quick') await this.#gate(call.event).promise
      process.answer(call)
    })
  }

  #gate(name: string): PromiseWithResolvers<void> {
    let gate = this.#gates.get(name)
    if (gate === undefined) this.#gates.set(name, (gate = Promise.withResolvers<void>()))
    return gate
  }
}

/** Two instances, both idle, of a version whose calls are known to be short. The second was used last. */
async function twoIdle(gates: Gates): Promise<ReturnType<typeof aVersion>> {
  const version = aVersion()
  const [a, b] = [rig.call(version, 'a'), rig.call(version, 'b')]
  await rig.until(() => rig.sandbox.begun.size === 2)
  gates.open('a')
  await a.outcome
  gates.open('b')
  await b.outcome
  for (let index = 0; index < 40; index += 1) await rig.call(version, 'quick').outcome
  return version
}

const busiest = (): number => rig.started.findIndex(({ state }) => state === 'busy')

describe('placement', () => {
  test('the first call of a version starts an instance, the second finds it', async () => {
    await open({
      script: () => async (process) => {
        await process.begin()
        rig.nowMs += 42
        process.ready()
        await process.serve((call) => process.answer(call))
      },
    })
    const version = aVersion()
    const [cold, warm] = [await rig.call(version).outcome, await rig.call(version).outcome]
    expect([cold.coldStart, warm.coldStart]).toEqual([true, false])
    expect(warm.instanceId).toBe(cold.instanceId)
    expect([cold.initDurationMs, warm.initDurationMs]).toEqual([42, 0])
  })

  test('short calls wait their turn in the instance used last', async () => {
    const gates = new Gates()
    await open({ script: () => gates.script })
    const version = await twoIdle(gates)
    const outcomes = await Promise.all(Array.from({ length: 16 }, () => rig.call(version, 'quick').outcome))
    expect(new Set(outcomes.map(({ instanceId }) => instanceId)).size).toBe(1)
  })

  test('nothing is put behind a call of a version of which nothing is known', async () => {
    const gates = new Gates()
    await open({ script: () => gates.script })
    const version = aVersion()
    const calls = ['a', 'b', 'c'].map((gate) => rig.call(version, gate))
    await rig.until(() => rig.sandbox.begun.size === 3)
    expect(rig.started.length).toBe(3)
    for (const gate of ['a', 'b', 'c']) gates.open(gate)
    await Promise.all(calls.map(({ outcome }) => outcome))
  })

  test('fifty short first calls at once are served by the few instances that were started for the first of them', async () => {
    await open({
      script: (index) => async (process) => {
        await process.begin()
        // Long, so that all have waited for longer than a start was taken to cost.
        if (index === 0) rig.nowMs += 500
        process.ready()
        await process.serve((call) => process.answer(call))
      },
    })
    const version = aVersion()
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => rig.call(version).outcome))
    expect(outcomes.filter(({ kind }) => kind === 'returned').length).toBe(50)
    expect(rig.started.length).toBe(8)
  })

  test('fifty first calls at once that take long get as many instances as they need', async () => {
    const gates = new Gates()
    await open({ script: () => gates.script, limits: { maxInstances: 40 } })
    const version = aVersion()
    const calls = Array.from({ length: 50 }, () => rig.call(version, 'long'))
    expect(rig.started.length).toBe(8)
    await rig.until(() => rig.sandbox.begun.size === 8)
    rig.nowMs += 200
    await rig.until(() => rig.sandbox.begun.size > 30)
    gates.open('long')
    const outcomes = await Promise.all(calls.map(({ outcome }) => outcome))
    expect(outcomes.filter(({ kind }) => kind === 'returned').length).toBe(50)
    expect(rig.started.length).toBeLessThanOrEqual(40)
  })

  test('as many calls run in an instance as it may run at once', async () => {
    await open({
      script: () => async (process) => {
        await process.begin()
        process.ready()
        const calls = [await process.next(), await process.next(), await process.next()]
        for (const call of calls.reverse()) process.answer(call)
      },
    })
    const version = aVersion({ instanceConcurrency: 3 })
    await Promise.all([1, 2, 3].map(() => rig.call(version).outcome))
    expect(rig.started.length).toBe(1)
  })

  test('SETUP tells the code everything once', async () => {
    await open()
    const version = aVersion({ environment: { USER: 'of the user', OWN: '1' }, instanceConcurrency: 7 })
    await rig.call(version).outcome
    expect((await rig.sandbox.process(0)).setup).toEqual({
      contract: 'alibaba-fc',
      handler: 'index.handler',
      codeDir: '/code',
      concurrency: 7,
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      environment: { OWN: '1', FUNCTION: 'hello', USER: 'of the contract' },
      context: { instanceId: rig.instance(0).id },
    })
  })
})

describe('the hold check', () => {
  test('moves calls from behind a slow one to an idle instance', async () => {
    const gates = new Gates()
    await open({ script: () => gates.script })
    const version = await twoIdle(gates)
    const slow = rig.call(version, 'slow')
    await rig.until(() => busiest() >= 0)
    const held = [rig.call(version, 'quick'), rig.call(version, 'quick')]
    expect(rig.instance(busiest()).ahead).toBe(2)
    rig.nowMs += 5
    const outcomes = await Promise.all(held.map(({ outcome }) => outcome))
    expect(rig.started.length).toBe(2)
    gates.open('slow')
    const { instanceId } = await slow.outcome
    for (const outcome of outcomes) expect(outcome.instanceId).not.toBe(instanceId)
  })

  test('starts an instance for them when none is idle, once that would have been no dearer', async () => {
    const gates = new Gates()
    await open({ script: () => gates.script })
    const version = aVersion()
    for (let index = 0; index < 40; index += 1) await rig.call(version, 'quick').outcome
    const slow = rig.call(version, 'slow')
    await rig.until(() => rig.sandbox.begun.size === 41)
    const held = rig.call(version, 'quick')
    expect(rig.instance(0).ahead).toBe(1)
    rig.nowMs += 100
    expect((await held.outcome).coldStart).toBe(true)
    expect(rig.started.length).toBe(2)
    gates.open('slow')
    await slow.outcome
  })

  test('keeps the order of what it moves', async () => {
    const order: string[] = []
    await open({
      script: () => async (process) => {
        await process.begin()
        process.ready()
        await process.serve(async (call) => {
          if (call.event === 'spin') return new Promise(() => undefined)
          if (call.event !== 'quick') order.push(call.event)
          process.answer(call)
        })
      },
    })
    const version = aVersion({ timeoutMs: 60_000 })
    for (let index = 0; index < 40; index += 1) await rig.call(version, 'quick').outcome
    rig.call(version, 'spin')
    await rig.until(() => rig.sandbox.begun.size === 41)
    const held = ['1', '2', '3'].map((event) => rig.call(version, event))
    expect(rig.instance(0).ahead).toBe(3)
    rig.nowMs += 100
    await Promise.all(held.map(({ outcome }) => outcome))
    expect(order).toEqual(['1', '2', '3'])
  })

  test('refuses a call whose caller hung up while it was held, and never starts it', async () => {
    const gates = new Gates()
    await open({ script: () => gates.script })
    const version = await twoIdle(gates)
    const slow = rig.call(version, 'slow')
    await rig.until(() => busiest() >= 0)
    const held = rig.call(version, 'quick')
    held.caller.hangUp()
    rig.nowMs += 5
    expect(await held.ending).toBe('caller/gone')
    expect(rig.sandbox.begun.has(held.call.request.requestId)).toBe(false)
    gates.open('slow')
    await slow.outcome
  })
})

describe('the silence check', () => {
  /** Answers 40 quick calls and then reads nothing until told. */
  const fallsSilent =
    (wake: Promise<void>): Script =>
    async (process) => {
      await process.begin()
      process.ready()
      for (let index = 0; index < 40; index += 1) process.answer(await process.next())
      await wake
      await process.serve((call) => process.answer(call))
    }

  test('moves calls that a stuck process does not begin, and gives it no more', async () => {
    const wake = Promise.withResolvers<void>()
    await open({ script: (index) => (index === 0 ? fallsSilent(wake.promise) : echo) })
    const version = aVersion({ timeoutMs: 600_000 })
    await rig.warm(version, 40)
    const calls = [1, 2, 3].map(() => rig.call(version))
    rig.nowMs += 200
    for (const { outcome } of calls) expect((await outcome).instanceId).toBe(rig.instance(1).id)
    expect(rig.instance(0).state).toBe('idle')
    expect(rig.instance(0).hasRoom).toBe(false)
    expect((await rig.call(version).outcome).instanceId).toBe(rig.instance(1).id)
    expect([...rig.sandbox.begun.values()].every((times) => times === 1)).toBe(true)
  })

  test('finds a single call that does not begin', async () => {
    await open({ script: (index) => (index === 0 ? fallsSilent(new Promise(() => undefined)) : echo) })
    const version = aVersion({ timeoutMs: 600_000 })
    await rig.warm(version, 40)
    const call = rig.call(version)
    expect(rig.instance(0).delivered).toBe(1)
    rig.nowMs += 200
    expect((await call.outcome).instanceId).toBe(rig.instance(1).id)
  })

  test('leaves a call alone that runs for long', async () => {
    const gates = new Gates()
    await open({ script: () => gates.script })
    const version = aVersion({ timeoutMs: 600_000 })
    for (let index = 0; index < 40; index += 1) await rig.call(version, 'quick').outcome
    const slow = rig.call(version, 'slow')
    await rig.until(() => rig.sandbox.begun.size === 41)
    rig.nowMs += 10_000
    await rig.until(() => rig.instance(0).unprovenForMs(rig.nowMs) === 0)
    expect(rig.instance(0).ready).toBe(true)
    gates.open('slow')
    expect(textOf(await slow.outcome)).toBe('slow')
    expect(rig.started.length).toBe(1)
  })

  test('gives calls to a process again that shows life', async () => {
    const wake = Promise.withResolvers<void>()
    await open({
      script: () => fallsSilent(wake.promise),
      limits: { maxInstances: 1, maxInstancesPerFunction: 1 },
    })
    const version = aVersion({ timeoutMs: 600_000, instanceConcurrency: 2 })
    await rig.warm(version, 40)
    const [a, b] = [rig.call(version), rig.call(version)]
    await (await rig.sandbox.process(0)).holds(2)
    rig.nowMs += 100
    await rig.until(() => !rig.instance(0).ready)
    wake.resolve()
    rig.nowMs += 10
    expect([await a.ending, await b.ending]).toEqual(['returned', 'returned'])
    expect(rig.started.length).toBe(1)
  })

  test('ends a silent instance that shows no life for long: it could compute on, and cannot be frozen', async () => {
    await open({ script: (index) => (index === 0 ? fallsSilent(new Promise(() => undefined)) : echo) })
    const version = aVersion({ timeoutMs: 600_000 })
    await rig.warm(version, 40)
    const call = rig.call(version)
    rig.nowMs += 200
    expect((await call.outcome).instanceId).toBe(rig.instance(1).id)
    rig.nowMs += 4500
    expect((await rig.call(version).outcome).instanceId).toBe(rig.instance(1).id)
    expect(rig.endings).toEqual([])
    rig.nowMs += 1000
    await rig.until(() => rig.endings.length === 1)
    expect(rig.endings[0]?.kind).toBe('broken')
    expect((await rig.call(version).outcome).instanceId).toBe(rig.instance(1).id)
  })

  test('lets a silent instance give way when there is no other place', async () => {
    await open({
      script: (index) => (index === 0 ? fallsSilent(new Promise(() => undefined)) : echo),
      limits: { maxInstancesPerFunction: 1 },
    })
    const version = aVersion({ timeoutMs: 600_000 })
    await rig.warm(version, 40)
    const call = rig.call(version)
    rig.nowMs += 200
    await rig.until(() => !rig.instance(0).ready)
    rig.nowMs += 200
    expect(await call.ending).toBe('returned')
    expect(rig.endings).toEqual([{ kind: 'evicted' }])
  })
})
