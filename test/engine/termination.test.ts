import { afterEach, expect, test } from 'vitest'
import { Rig, type Pending, type RigOptions } from '../helpers/engine-rig.ts'
import { echo, type Script } from '../helpers/scripted-sandbox.ts'
import { aVersion } from '../helpers/versions.ts'

let rig: Rig
const open = async (options: RigOptions = {}): Promise<Rig> => (rig = await Rig.open(options))
afterEach(() => rig.close())

/** A process that begins `begun` calls, answers none of them and looks at no other. */
const busyWith =
  (begun: number): Script =>
  async (process) => {
    await process.begin()
    process.ready()
    for (let index = 0; index < begun; index += 1) await process.next()
  }

const requestIdOf = ({ call }: Pending): string => call.request.requestId

test('ends a running call and its process; its neighbours there crashed', async () => {
  await open({ script: () => busyWith(2) })
  const version = aVersion({ instanceConcurrency: 2 })
  const [named, neighbour] = [rig.call(version), rig.call(version)]
  const process = await rig.sandbox.process(0)
  process.peakBytes = 5000
  await rig.until(() => rig.sandbox.begun.size === 2)
  rig.nowMs += 40
  expect(rig.pool.terminate(version.account, requestIdOf(named))).toBe(true)
  expect(await named.outcome).toMatchObject({
    kind: 'terminated',
    instanceId: rig.instance(0).id,
    durationMs: 40,
    maxMemoryBytes: 1024 * 1024,
  })
  expect(named.log()).toMatch(/^START .*\nEND .* terminated\n$/)
  expect(await neighbour.outcome).toMatchObject({ kind: 'crashed', cause: 'signalled' })
  await process.exited
  expect(rig.endings).toMatchObject([{ kind: 'terminated', requestId: requestIdOf(named) }])
})

test('delivers again what had not begun in the process that was ended', async () => {
  await open({
    script: (index) => (index === 0 ? busyWith(1) : echo),
    limits: { maxInstancesPerFunction: 1 },
  })
  const version = aVersion()
  const named = rig.call(version)
  await rig.until(() => rig.sandbox.begun.size === 1)
  const behind = rig.call(version)
  rig.pool.terminate(version.account, requestIdOf(named))
  expect(await named.ending).toBe('terminated')
  expect(await behind.outcome).toMatchObject({ kind: 'returned', instanceId: rig.instance(1).id })
})

test('ends a call alone that was delivered and has not begun', async () => {
  const gate = Promise.withResolvers<void>()
  await open({
    script: () => async (process) => {
      await process.begin()
      process.ready()
      for (let index = 0; index < 20; index += 1) process.answer(await process.next())
      const held = await process.next()
      await gate.promise
      process.answer(held)
      await process.serve((call) => process.answer(call))
    },
  })
  const version = aVersion()
  await rig.warm(version, 20)
  const running = rig.call(version)
  const [named, last] = [rig.call(version), rig.call(version)]
  await rig.until(() => rig.sandbox.begun.has(requestIdOf(running)))
  expect(rig.instance(0).delivered).toBe(3)
  expect(rig.pool.terminate(version.account, requestIdOf(named))).toBe(true)
  expect(await named.outcome).toMatchObject({ kind: 'terminated', instanceId: '', durationMs: 0 })
  gate.resolve()
  expect(await Promise.all([running.ending, last.ending])).toEqual(['returned', 'returned'])
  expect(rig.sandbox.begun.get(requestIdOf(named))).toBeUndefined()
  expect(rig.started).toHaveLength(1)
})

test('ends a call that waits for an instance, and takes no instance from another', async () => {
  await open({ script: () => busyWith(1), limits: { maxInstances: 1 } })
  const version = aVersion()
  const running = rig.call(version)
  await rig.until(() => rig.sandbox.begun.size === 1)
  const named = rig.call(aVersion({ id: 'other', functionId: 'other' }))
  expect(rig.pool.terminate(version.account, requestIdOf(named))).toBe(true)
  expect(await named.ending).toBe('terminated')
  expect(rig.instance(0).state).toBe('busy')
  expect(running.call.settled).toBe(false)
})

test('finds no call of another account, none that has ended and none that never was', async () => {
  await open({ script: () => echo })
  const version = aVersion()
  const ended = rig.call(version)
  await ended.outcome
  expect(rig.pool.terminate(version.account, requestIdOf(ended))).toBe(false)
  rig.sandbox.play(() => busyWith(1))
  const other = aVersion({ id: 'other', functionId: 'other' })
  const running = rig.call(other)
  await rig.until(() => rig.sandbox.begun.has(requestIdOf(running)))
  expect(rig.pool.terminate('9999', requestIdOf(running))).toBe(false)
  expect(rig.pool.terminate(version.account, 'nobody')).toBe(false)
  expect(rig.instance(0).state).toBe('idle')
})
