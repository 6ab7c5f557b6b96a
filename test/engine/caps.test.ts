import { afterEach, describe, expect, test } from 'vitest'
import { Rig, type RigOptions } from '../helpers/engine-rig.ts'
import { aVersion } from '../helpers/versions.ts'

let rig: Rig
const open = async (options: RigOptions = {}): Promise<Rig> => (rig = await Rig.open(options))
afterEach(() => rig.close())

/** Processes that answer `hold` when the gate opens, everything else at once. */
function holding(gate: Promise<void>): Required<Pick<RigOptions, 'script'>> {
  return {
    script: () => async (process) => {
      await process.begin()
      process.ready()
      await process.serve(async (call) => {
        if (call.event === 'hold') await gate
        process.answer(call)
      })
    },
  }
}

describe('a cap of instances that the owner of a function set', () => {
  test('makes calls wait for the instances there are', async () => {
    const gate = Promise.withResolvers<void>()
    const capped = aVersion({ timeoutMs: 600_000 })
    const free = aVersion({ timeoutMs: 600_000 })
    const maxInstancesOf = (version: unknown): number | undefined => (version === capped ? 2 : undefined)
    await open({ ...holding(gate.promise), limits: { maxInstancesOf } })
    const calls = [1, 2, 3, 4].map(() => rig.call(capped, 'hold'))
    expect(rig.started.length).toBe(2)
    calls.push(...[1, 2, 3].map(() => rig.call(free, 'hold')))
    expect(rig.started.length).toBe(5)
    gate.resolve()
    for (const { ending } of calls) expect(await ending).toBe('returned')
    expect(rig.started.filter(({ version }) => version === capped)).toHaveLength(2)
  })

  test('of 0 refuses a call at once', async () => {
    await open({ limits: { maxInstancesOf: () => 0 } })
    await expect(rig.call(aVersion()).outcome).rejects.toMatchObject({
      code: 'caller/concurrency-exceeded',
      details: { scope: 'function', limit: 0 },
    })
    expect(rig.started.length).toBe(0)
  })

  test('set to 0 lets what runs end, and refuses what waits and what comes', async () => {
    let cap: number | undefined = 1
    const gate = Promise.withResolvers<void>()
    const version = aVersion({ timeoutMs: 600_000 })
    await open({ ...holding(gate.promise), limits: { maxInstancesOf: () => cap } })
    const running = rig.call(version, 'hold')
    await rig.until(() => rig.sandbox.begun.size === 1)
    const waiting = rig.call(version)
    cap = 0
    rig.pool.applyCaps()
    expect(await waiting.ending).toBe('caller/concurrency-exceeded')
    expect(await rig.call(version).ending).toBe('caller/concurrency-exceeded')
    gate.resolve()
    expect(await running.ending).toBe('returned')
    expect(await rig.call(version).ending).toBe('caller/concurrency-exceeded')
    cap = undefined
    expect(await rig.call(version).ending).toBe('returned')
  })

  test('ends idle instances beyond it', async () => {
    let cap: number | undefined
    const gate = Promise.withResolvers<void>()
    const version = aVersion()
    await open({ ...holding(gate.promise), limits: { maxInstancesOf: () => cap } })
    const calls = [1, 2, 3].map(() => rig.call(version, 'hold'))
    gate.resolve()
    await Promise.all(calls.map(({ outcome }) => outcome))
    await rig.until(() => rig.started.every(({ state }) => state === 'idle'))
    cap = 1
    rig.pool.applyCaps()
    expect([...rig.pool.instances]).toHaveLength(1)
    expect(await rig.call(version).ending).toBe('returned')
    expect(rig.started.length).toBe(3)
  })

  test('lets waiting calls have more instances when it is lifted', async () => {
    let cap: number | undefined = 1
    const gate = Promise.withResolvers<void>()
    await open({ ...holding(gate.promise), limits: { maxInstancesOf: () => cap } })
    const version = aVersion({ timeoutMs: 600_000 })
    const calls = [1, 2, 3].map(() => rig.call(version, 'hold'))
    expect(rig.started.length).toBe(1)
    cap = undefined
    rig.pool.applyCaps()
    expect(rig.started.length).toBe(3)
    gate.resolve()
    await Promise.all(calls.map(({ outcome }) => outcome))
  })
})

describe('an instance that is too old', () => {
  test('finishes what it runs and ends, and later calls get another', async () => {
    const gate = Promise.withResolvers<void>()
    const version = aVersion({ timeoutMs: 600_000 })
    await open({ ...holding(gate.promise), limits: { maxInstanceAgeMs: 10_000 } })
    const running = rig.call(version, 'hold')
    await rig.until(() => rig.instance(0).state === 'busy')
    rig.nowMs += 10_001
    await rig.until(() => rig.instance(0).state === 'draining')
    expect(await rig.call(version).ending).toBe('returned')
    expect(rig.started.length).toBe(2)
    gate.resolve()
    expect(await running.ending).toBe('returned')
    await rig.instance(0).gone
    expect(rig.endings).toEqual([{ kind: 'retired' }])
  })

  test('ends at once when it is idle', async () => {
    await open({ limits: { maxInstanceAgeMs: 10_000 } })
    await rig.call(aVersion()).outcome
    rig.nowMs += 10_001
    await rig.instance(0).gone
    expect(rig.endings).toEqual([{ kind: 'retired' }])
  })
})
