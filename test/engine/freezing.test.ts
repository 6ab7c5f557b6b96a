import { afterEach, describe, expect, test } from 'vitest'
import { Rig, type RigOptions } from '../helpers/engine-rig.ts'
import type { ScriptedProcess } from '../helpers/scripted-sandbox.ts'
import { aVersion } from '../helpers/versions.ts'

const FREEZE_AFTER_MS = 250
let rig: Rig
afterEach(() => rig.close())

/** What was asked of the processors of each process, in order. */
const asked = new Map<number, string[]>()
const frozen: (() => void)[] = []

async function open(
  options: RigOptions = {},
  thaw: () => Promise<void> = async () => undefined,
): Promise<void> {
  asked.clear()
  rig = await Rig.open({ ...options, limits: { freezeAfterMs: FREEZE_AFTER_MS, ...options.limits } })
  rig.sandbox.equip = (process) => {
    const orders: string[] = []
    asked.set(process.index, orders)
    Object.assign(process, {
      freeze: () => {
        orders.push('freeze')
        for (const resolve of frozen.splice(0)) resolve()
      },
      thaw: () => {
        orders.push('thaw')
        return thaw()
      },
    })
  }
}

/** Resolves when the pool has frozen an instance; its sweep runs in real time. */
const nextFreeze = (): Promise<void> => new Promise((resolve) => frozen.push(resolve))
/** Longer than the time between two sweeps. */
const aSweep = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 300))

describe('an idle instance', () => {
  test('is frozen once it has been idle for long enough, and thawed for its next call', async () => {
    await open()
    const version = aVersion()
    expect(await rig.call(version).ending).toBe('returned')
    await aSweep()
    expect(asked.get(0)).toEqual([])
    rig.nowMs += FREEZE_AFTER_MS
    await nextFreeze()
    await aSweep()
    expect(asked.get(0)).toEqual(['freeze'])
    const again = nextFreeze()
    expect(await rig.call(version).ending).toBe('returned')
    expect(asked.get(0)).toEqual(['freeze', 'thaw'])
    rig.nowMs += FREEZE_AFTER_MS
    await again
    expect(rig.sandbox.processes).toHaveLength(1)
  })

  test('keeps its processors where nothing else was asked for', async () => {
    await open({ limits: { freezeAfterMs: Infinity } })
    await rig.call(aVersion()).ending
    rig.nowMs += 1e6
    await aSweep()
    expect(asked.get(0)).toEqual([])
  })

  test('that cannot be thawed ends, and its call is told or delivered again', async () => {
    const version = aVersion()
    await open({}, () => Promise.reject(new Error('the kernel says no')))
    await rig.call(version).ending
    rig.nowMs += FREEZE_AFTER_MS
    await nextFreeze()
    await rig.call(version).ending
    await rig.until(() => rig.endings.length === 1)
    expect(rig.endings).toEqual([
      { kind: 'broken', reason: 'it cannot be thawed: Error: the kernel says no' },
    ])
  })

  test('is evicted and drained frozen as well', async () => {
    await open({ limits: { maxInstances: 1 } })
    await rig.call(aVersion()).ending
    rig.nowMs += FREEZE_AFTER_MS
    await nextFreeze()
    expect(await rig.call(aVersion({ name: 'other' })).ending).toBe('returned')
    expect(rig.endings.map(({ kind }) => kind)).toEqual(['evicted'])
    expect(asked.get(0)).toEqual(['freeze'])
  })
})

test('an instance that starts or is busy keeps its processors', async () => {
  let answer: () => void = () => undefined
  const greeting = Promise.withResolvers<void>()
  await open({
    script: () => async (process: ScriptedProcess) => {
      await greeting.promise
      await process.begin()
      process.ready()
      await process.serve((call) => {
        answer = () => process.answer(call)
        busy.resolve()
      })
    },
  })
  const busy = Promise.withResolvers<void>()
  const { ending } = rig.call(aVersion())
  rig.nowMs += 10 * FREEZE_AFTER_MS
  await aSweep()
  greeting.resolve()
  await busy.promise
  rig.nowMs += 10 * FREEZE_AFTER_MS
  await aSweep()
  expect(asked.get(0)).toEqual([])
  answer()
  expect(await ending).toBe('returned')
})
