import { afterEach, describe, expect, test } from 'vitest'
import { Catalogue } from '../../src/engine/catalogue.ts'
import { Kept, type KeptEvent, type Readiness } from '../../src/engine/kept.ts'
import { aliasKey, functionKey, namespaceKey, qualifiedKey } from '../../src/engine/keys.ts'
import { EngineError } from '../../src/model/errors.ts'
import type { FunctionVersion } from '../../src/model/function.ts'
import { planFor, plainContract, Rig, type RigOptions } from '../helpers/engine-rig.ts'
import { MemoryDefinitions } from '../helpers/memory-definitions.ts'
import { echo, type Script } from '../helpers/scripted-sandbox.ts'
import { aVersion } from '../helpers/versions.ts'

const ACCOUNT = '1234567890123456'
const IDLE_MS = 10_000
const NO_TIMES = { createdAtMs: 0, modifiedAtMs: 0 }

let rig: Rig
let world: World
afterEach(() => rig.close())

/** Definitions, and what is kept ready for them in the rig's pool. */
class World {
  readonly store = new MemoryDefinitions()
  readonly events: KeptEvent[] = []
  readonly #limits: NonNullable<RigOptions['limits']>
  kept!: Kept
  catalogue!: Catalogue

  constructor(limits: NonNullable<RigOptions['limits']>) {
    this.#limits = limits
  }

  /** Reads everything from the store, as a server that starts. */
  async begin(): Promise<void> {
    this.catalogue = await Catalogue.open(this.store, () => 0)
    this.kept = new Kept({
      catalogue: this.catalogue,
      pool: rig.pool,
      contracts: new Map([['alibaba-fc', plainContract]]),
      limits: { maxInstances: 100, maxInstancesPerFunction: 50, memoryBudgetMib: 100_000, ...this.#limits },
      clock: () => rig.nowMs,
      observe: (event) => this.events.push(event),
    })
    rig.pool.keeper = this.kept
    this.catalogue.onRetired = (ids) => rig.pool.retire(ids)
    this.catalogue.onChanged = (changes) => this.kept.follow(changes)
    this.kept.begin()
  }

  async putFunction(given: Partial<FunctionVersion> = {}): Promise<FunctionVersion> {
    const { id, functionId, account, namespace, name, version, facts, ...spec } = aVersion(given)
    await this.catalogue.change((draft) => {
      draft.put('namespace', namespaceKey(account, namespace), {
        ...{ account, name: namespace, namespaceId: namespace, description: '', facts: {}, lastVersion: 0 },
        ...{ extras: {}, ...NO_TIMES },
      })
      draft.put('function', functionKey(account, namespace, name, version), {
        ...{ account, namespace, name, version, functionId, stateId: id, description: '', spec, facts },
        ...{ extras: {}, ...NO_TIMES },
      })
    })
    return this.catalogue.resolve({ account, namespace, name, qualifier: version })
  }

  removeFunction(name: string): Promise<void> {
    return this.catalogue.change((draft) => draft.delete('function', functionKey(ACCOUNT, 'demo', name)))
  }

  putAlias(name: string, version: string, weights: Record<string, number> = {}): Promise<unknown> {
    return this.catalogue.change((draft) =>
      draft.put('alias', aliasKey(ACCOUNT, 'demo', name), {
        ...{ account: ACCOUNT, namespace: 'demo', name, version, weights, description: '', extras: {} },
        ...NO_TIMES,
      }),
    )
  }

  keep(target: number, qualifier = 'LATEST', functionName = 'hello'): Promise<unknown> {
    return this.catalogue.change((draft) =>
      draft.put('provision', qualifiedKey(ACCOUNT, 'demo', functionName, qualifier), {
        ...{ account: ACCOUNT, namespace: 'demo', functionName, qualifier, target, extras: {} },
        ...NO_TIMES,
      }),
    )
  }

  unkeep(qualifier = 'LATEST', functionName = 'hello'): Promise<unknown> {
    return this.catalogue.change((draft) =>
      draft.delete('provision', qualifiedKey(ACCOUNT, 'demo', functionName, qualifier)),
    )
  }

  ready(target: number, qualifier = 'LATEST', functionName = 'hello'): Readiness {
    return this.kept.keptOf({ account: ACCOUNT, namespace: 'demo', functionName, qualifier, target })
  }

  /** Resolves once so many are ready for the record. */
  until(ready: number, qualifier = 'LATEST', functionName = 'hello'): Promise<void> {
    return rig.until(() => this.ready(1000, qualifier, functionName).ready === ready)
  }
}

async function open(options: RigOptions = {}): Promise<World> {
  const limits = { idleTimeoutMs: IDLE_MS, ...options.limits }
  rig = await Rig.open({ ...options, limits })
  world = new World(limits)
  await world.begin()
  return world
}

/** Resolves when the pool has looked at everything at least once more. */
async function swept(): Promise<void> {
  const old = aVersion({ name: 'swept' })
  await rig.call(old).outcome
  const probe = rig.started.findLast(({ version }) => version === old)
  rig.nowMs += IDLE_MS + 1
  await rig.until(() => probe?.state === 'dead')
}

const living = (version: FunctionVersion): number =>
  [...rig.pool.instances].filter((instance) => instance.version.id === version.id).length

/** A process that ends before it says anything. */
const stillborn: Script = async (process) => process.exit(1)

describe('instances that are kept ready', () => {
  test('start without a call, and the first call is no cold start', async () => {
    await open()
    const version = await world.putFunction()
    await world.keep(2)
    await world.until(2)
    expect(rig.started.length).toBe(2)
    expect(await rig.call(version).outcome).toMatchObject({ kind: 'returned', coldStart: false })
    expect(rig.started.length).toBe(2)
  })

  test('start under request ids of their own', async () => {
    await open()
    await world.putFunction({ initializer: { handler: 'index.init', timeoutMs: 1000 } })
    await world.keep(2)
    await world.until(2)
    const ids = rig.sandbox.processes.map(({ setup }) => setup['requestId'])
    expect(new Set(ids).size).toBe(2)
    for (const id of ids) expect(id).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/)
  })

  test('are started again by a server that starts', async () => {
    await open()
    await world.putFunction()
    await world.keep(1)
    await world.until(1)
    await rig.close()
    const { store } = world
    rig = await Rig.open()
    world = Object.assign(new World({}), { store })
    await world.begin()
    await world.until(1)
  })

  test('add up over the records that lead to one state, and count for them in order', async () => {
    await open({ limits: { maxInstancesPerFunction: 3 } })
    await world.putFunction({ version: '1' })
    await world.putAlias('prod', '1')
    await world.keep(2, '1')
    await world.keep(2, 'prod')
    await world.until(1, 'prod')
    expect(rig.started.length).toBe(3)
    expect(world.ready(2, '1')).toEqual({ ready: 2, target: 2 })
    expect(world.ready(2, 'prod')).toEqual({
      ready: 1,
      target: 2,
      failure:
        "1 of 2 instances are kept ready, as far as allowed by the server's cap for each function (maxInstancesPerFunction 3)",
    })
  })

  test('are as many as the function’s own cap allows, and more when it is lifted', async () => {
    let cap: number | undefined = 1
    await open({ limits: { maxInstancesOf: () => cap } })
    const version = await world.putFunction()
    await world.keep(3)
    await world.until(1)
    expect(rig.started.length).toBe(1)
    expect(world.events).toEqual([{ kind: 'limited', version, asked: 3, granted: 1 }])
    expect(world.ready(3).failure).toBe(
      '1 of 3 instances are kept ready, as far as allowed by the cap of 1 that is set for the function',
    )
    cap = undefined
    world.kept.follow([{ kind: 'scaling', key: '', expectedRevision: 1 }])
    await world.until(3)
    expect(world.ready(3)).toEqual({ ready: 3, target: 3 })
  })

  test('are told to be missing where a record leads nowhere', async () => {
    await open()
    await world.putFunction()
    await world.keep(2, 'gone')
    expect(world.ready(2, 'gone')).toEqual({ ready: 0, target: 2 })
    expect(rig.started.length).toBe(0)
  })

  test('are not started any more while the server goes down', async () => {
    await open()
    await world.putFunction()
    await world.keep(1)
    await world.until(1)
    const closed = rig.pool.close(0)
    await world.keep(5)
    await closed
    expect(rig.started.length).toBe(1)
  })
})

describe('a change', () => {
  test('of the latest state moves what is kept to the new one', async () => {
    await open()
    const before = await world.putFunction()
    await world.keep(2)
    await world.until(2)
    const after = await world.putFunction()
    await world.until(2)
    expect([living(before), living(after)]).toEqual([0, 2])
    expect(rig.started.length).toBe(4)
  })

  test('of an alias moves it to the version behind it, with weights to the main one', async () => {
    await open()
    const versions = await Promise.all(['1', '2'].map((version) => world.putFunction({ version })))
    await world.putAlias('prod', '1', { 2: 0.9 })
    await world.keep(1, 'prod')
    await world.until(1, 'prod')
    expect(versions.map(living)).toEqual([1, 0])
    await world.putAlias('prod', '2', { 1: 0.9 })
    await world.until(1, 'prod')
    expect(rig.instance(1).version).toBe(versions[1])
    rig.nowMs += IDLE_MS + 1
    await rig.until(() => rig.instance(0).state === 'dead')
    expect(versions.map(living)).toEqual([0, 1])
  })

  test('of the target to more starts more; its deletion leaves them to the idle timer', async () => {
    await open()
    const version = await world.putFunction()
    await world.keep(1)
    await world.until(1)
    await world.keep(3)
    await world.until(3)
    rig.nowMs += IDLE_MS + 1
    await swept()
    expect(living(version)).toBe(3)
    await world.unkeep()
    expect(living(version)).toBe(3)
    await rig.until(() => living(version) === 0)
    expect(rig.endings.every(({ kind }) => kind === 'evicted')).toBe(true)
  })

  test('that deletes the function ends them', async () => {
    await open()
    const version = await world.putFunction()
    await world.keep(2)
    await world.until(2)
    await world.removeFunction('hello')
    expect(living(version)).toBe(0)
    await swept()
    expect(rig.started.filter(({ version: { name } }) => name === 'hello')).toHaveLength(2)
  })
})

describe('room', () => {
  test('is made by ending idle instances beyond those that are kept, never the kept ones', async () => {
    await open({ limits: { maxInstances: 4, queueTimeoutMs: 500 } })
    const version = await world.putFunction()
    await world.keep(3)
    await world.until(3)
    const [first, second] = [aVersion({ name: 'first' }), aVersion({ name: 'second' })]
    expect(await rig.call(first).ending).toBe('returned')
    // The one place that is left goes round.
    expect(await rig.call(second).ending).toBe('returned')
    expect([living(first), living(second), living(version)]).toEqual([0, 1, 3])
  })

  test('that only kept instances fill is not given to a call of another function', async () => {
    await open({ limits: { maxInstances: 4, queueTimeoutMs: 500, memoryBudgetMib: 1024 } })
    await world.putFunction({ memoryMib: 256 })
    await world.keep(4)
    await world.until(3)
    const call = rig.call(aVersion({ name: 'large', memoryMib: 512 }))
    rig.nowMs += 501
    expect(await call.ending).toBe('platform/no-capacity')
    expect(world.ready(4)).toMatchObject({ ready: 3, target: 4 })
  })

  test('is taken from idle instances of others that nobody asked to keep', async () => {
    await open({ limits: { maxInstances: 4 } })
    const others = [1, 2, 3, 4].map((index) => aVersion({ name: `other${index}` }))
    for (const other of others) await rig.call(other).outcome
    await world.putFunction()
    await world.keep(2)
    await world.until(2)
    expect(rig.pool.instances.size).toBe(4)
  })

  test('is not taken from busy ones, and a call that waits for it comes first', async () => {
    const gates = [1, 2, 3].map(() => Promise.withResolvers<void>())
    await open({
      // Beside the busy ones there is room for the small one, and none for the call.
      limits: { memoryBudgetMib: 1024 + 128 },
      script: () => async (process) => {
        await process.begin()
        process.ready()
        await process.serve(async (call) => {
          await gates[Number(call.event)]?.promise
          process.answer(call)
        })
      },
    })
    const settings = { timeoutMs: 600_000, memoryMib: 512 }
    const busy = [0, 1].map((index) => rig.call(aVersion({ ...settings, name: `busy${index}` }), `${index}`))
    await rig.until(() => rig.sandbox.begun.size === 2)
    const waiting = rig.call(aVersion({ ...settings, name: 'waiting' }), '2')
    const version = await world.putFunction({ memoryMib: 64 })
    await world.keep(1)
    expect(world.ready(1)).toEqual({ ready: 0, target: 1 })
    gates[0]?.resolve()
    expect(await busy[0]?.ending).toBe('returned')
    await rig.until(() => rig.started.length === 3)
    expect(rig.instance(2).version.name).toBe('waiting')
    expect(living(version)).toBe(0)
    for (const gate of gates) gate.resolve()
    for (const call of [...busy, waiting]) expect(await call.ending).toBe('returned')
    await world.until(1)
  })

  test('for starts is left to calls: half of those at a time are theirs', async () => {
    const gate = Promise.withResolvers<void>()
    await open({
      limits: { maxConcurrentStarts: 4 },
      script: (index) => async (process) => {
        if (index < 2) await gate.promise
        await echo(process)
      },
    })
    await world.putFunction()
    await world.keep(6)
    expect(rig.started.length).toBe(2)
    expect(await rig.call(aVersion({ name: 'other' })).ending).toBe('returned')
    expect(rig.started.length).toBe(3)
    gate.resolve()
    await world.until(6)
  })

  test('that is too small for all is shared out, and the operator is told once', async () => {
    await open({ limits: { maxInstances: 8 } })
    const version = await world.putFunction()
    await world.keep(100)
    await world.until(6)
    const limits = 'what the server keeps ready for all functions (maxInstances 8, memoryBudgetMib 100000)'
    expect(world.ready(100)).toEqual({
      ready: 6,
      target: 100,
      failure: `6 of 100 instances are kept ready, as far as allowed by ${limits}`,
    })
    const other = await world.putFunction({ name: 'other' })
    await world.keep(2, 'LATEST', 'other')
    await world.until(2, 'LATEST', 'other')
    expect(world.ready(100)).toMatchObject({
      ready: 4,
      failure: `4 of 100 instances are kept ready, as far as allowed by ${limits}`,
    })
    expect(world.ready(2, 'LATEST', 'other')).toEqual({ ready: 2, target: 2 })
    await world.putAlias('unrelated', '1')
    expect(other.name).toBe('other')
    expect(world.events).toEqual([
      { kind: 'limited', version, asked: 100, granted: 6 },
      { kind: 'limited', version, asked: 100, granted: 4 },
    ])
  })
})

describe('an instance', () => {
  test('that dies after it has lived for a while is replaced at once', async () => {
    await open()
    await world.putFunction()
    await world.keep(2)
    await world.until(2)
    rig.nowMs += 60_001
    rig.sandbox.processes[0]?.exit(1)
    await rig.until(() => rig.started.length === 3)
    await world.until(2)
    expect(world.events).toEqual([])
  })

  test('that is too old ends once another is ready in its place', async () => {
    await open({ limits: { maxInstanceAgeMs: 100_000, idleTimeoutMs: 1_000_000 } })
    const version = await world.putFunction()
    await world.keep(1)
    await world.until(1)
    rig.nowMs += 100_001
    await rig.until(() => rig.started.length === 2 && rig.instance(0).state !== 'idle')
    expect(rig.instance(1).ready).toBe(true)
    await rig.until(() => rig.instance(0).state === 'dead')
    expect(living(version)).toBe(1)
    expect(rig.endings).toEqual([{ kind: 'retired' }])
  })

  test('that is too old and has no place for another beside it ends some minutes later', async () => {
    await open({ limits: { maxInstanceAgeMs: 100_000, maxInstancesPerFunction: 1 } })
    const version = await world.putFunction()
    await world.keep(1)
    await world.until(1)
    rig.nowMs += 100_001
    await swept()
    expect(rig.instance(0).state).toBe('idle')
    rig.nowMs += 300_000
    await rig.until(() => rig.instance(0).state === 'dead')
    await world.until(1)
    expect(living(version)).toBe(1)
  })

  test('that runs a call counts as ready', async () => {
    const gate = Promise.withResolvers<void>()
    await open({
      script: () => async (process) => {
        await process.begin()
        process.ready()
        await process.serve(async (call) => {
          await gate.promise
          process.answer(call)
        })
      },
    })
    const version = await world.putFunction({ timeoutMs: 600_000 })
    await world.keep(1)
    await world.until(1)
    const call = rig.call(version)
    await rig.until(() => rig.sandbox.begun.size === 1)
    world.kept.look()
    expect(world.ready(1)).toEqual({ ready: 1, target: 1 })
    expect(rig.started.length).toBe(1)
    gate.resolve()
    await call.outcome
  })
})

describe('a start that fails', () => {
  test('is repeated after a wait that grows, alone, and told once', async () => {
    await open({ script: () => stillborn })
    const version = await world.putFunction()
    await world.keep(3)
    await rig.until(() => rig.endings.length === 3)
    let started = 3
    for (const waitMs of [1000, 2000, 4000, 8000]) {
      rig.nowMs += waitMs - 1
      world.kept.look()
      expect(rig.started.length).toBe(started)
      rig.nowMs += 1
      world.kept.look()
      started += 1
      expect(rig.started.length).toBe(started)
      await rig.until(() => rig.endings.length === started)
    }
    expect(world.ready(3)).toEqual({ ready: 0, target: 3, failure: 'instances cannot be started' })
    expect(world.events).toEqual([{ kind: 'failing', version, reason: 'it exited with status 1' }])
    rig.sandbox.play(() => echo)
    rig.nowMs += 16_000
    world.kept.look()
    await world.until(3)
    expect(world.ready(3)).toEqual({ ready: 3, target: 3 })
  })

  test('waits no longer than five minutes', async () => {
    await open({ script: () => stillborn })
    await world.putFunction()
    await world.keep(1)
    for (let count = 1; count <= 12; count += 1) {
      await rig.until(() => rig.endings.length === count)
      rig.nowMs += 300_000
      world.kept.look()
    }
    await rig.until(() => rig.endings.length === 13)
  })

  test('for code that cannot be loaded says so', async () => {
    await open({
      script: () => async (process) => {
        await process.begin()
        process.send(4, 1, 0, { errorType: 'SyntaxError' }, '{}')
      },
    })
    const version = await world.putFunction()
    await world.keep(1)
    await rig.until(() => rig.endings.length === 1)
    const failure = 'the code cannot be loaded: SyntaxError'
    expect(world.ready(1)).toEqual({ ready: 0, target: 1, failure })
    expect(world.events).toEqual([{ kind: 'failing', version, reason: failure }])
    expect(rig.started.length).toBe(1)
  })

  test('begins anew with a new state of the function', async () => {
    await open({ script: (index) => (index === 0 ? stillborn : echo) })
    await world.putFunction()
    await world.keep(1)
    await rig.until(() => rig.endings.length === 1)
    await world.putFunction()
    await world.until(1)
  })

  test('is told to a call that waits for it, and calls go on getting starts of their own', async () => {
    const gate = Promise.withResolvers<void>()
    await open({
      script: (index) => async (process) => {
        if (index > 0) return echo(process)
        await gate.promise
        process.exit(1)
      },
    })
    const version = await world.putFunction()
    await world.keep(1)
    const call = rig.call(version)
    expect(rig.started.length).toBe(1)
    gate.resolve()
    expect(await call.ending).toBe('platform/start-failed')
    expect(await rig.call(version).ending).toBe('returned')
    expect(world.ready(1)).toEqual({ ready: 1, target: 1 })
  })

  test('before it begins counts as well', async () => {
    let missing = true
    await open({
      launch: (version) => {
        if (missing) throw new EngineError('caller/runtime-missing', { runtime: 'php', hint: 'install it' })
        return planFor(version)
      },
    })
    await world.putFunction()
    await world.keep(2)
    world.kept.look()
    expect(world.events).toMatchObject([{ kind: 'failing' }])
    missing = false
    rig.nowMs += 999
    world.kept.look()
    expect(rig.started.length).toBe(0)
    rig.nowMs += 1
    world.kept.look()
    await world.until(2)
  })
})

test('code that ends by itself soon after its start is not restarted in a tight loop', async () => {
  await open({
    script: (index) => async (process) => {
      await process.begin()
      process.ready()
      if (index < 2) process.exit(0)
      else await process.serve((call) => process.answer(call))
    },
  })
  const version = await world.putFunction()
  await world.keep(1)
  await rig.until(() => rig.endings.length === 1)
  expect(world.ready(1).failure).toBe('instances end soon after their start')
  expect(rig.started.length).toBe(1)
  rig.nowMs += 1000
  await rig.until(() => rig.endings.length === 2)
  rig.nowMs += 1999
  world.kept.look()
  expect(rig.started.length).toBe(2)
  rig.nowMs += 1
  await world.until(1)
  expect(world.events).toEqual([{ kind: 'failing', version, reason: 'it exited with status 0' }])
  // It lives now: its end is no failure, and a later one is told again.
  rig.nowMs += 60_001
  rig.sandbox.processes[2]?.exit(7)
  await rig.until(() => rig.started.length === 4)
  await world.until(1)
  expect(world.events.length).toBe(1)
  rig.sandbox.processes[3]?.exit(7)
  await rig.until(() => world.events.length === 2)
})
