import { afterEach, expect, test, vi } from 'vitest'
import { Rig, TestCaller, type Pending, type RigOptions } from '../helpers/engine-rig.ts'
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
  expect(rig.pool.terminate(named.caller)).toBe(true)
  expect(await named.outcome).toMatchObject({
    kind: 'terminated',
    instanceId: rig.instance(0).id,
    durationMs: 40,
    maxMemoryBytes: 1024 * 1024,
  })
  expect(named.log()).toMatch(/^START .*\nEND .* terminated\n$/)
  expect(await neighbour.outcome).toMatchObject({ kind: 'crashed', cause: 'signalled' })
  await process.exited
  expect(rig.endings).toMatchObject([{ kind: 'terminated', caller: named.caller }])
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
  rig.pool.terminate(named.caller)
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
  expect(rig.pool.terminate(named.caller)).toBe(true)
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
  expect(rig.pool.terminate(named.caller)).toBe(true)
  expect(await named.ending).toBe('terminated')
  expect(rig.instance(0).state).toBe('busy')
  expect(running.call.settled).toBe(false)
})

test('finds no call that has ended, and none that never was', async () => {
  await open({ script: () => echo })
  const version = aVersion()
  const ended = rig.call(version)
  await ended.outcome
  expect(rig.pool.terminate(ended.caller)).toBe(false)
  expect(rig.pool.terminate(new TestCaller())).toBe(false)
  expect(rig.instance(0).state).toBe('idle')
})

const LONG_MS = 600_000

test('a call that is given time may finish in it, and nothing else is delivered there', async () => {
  const gate = Promise.withResolvers<void>()
  await open({
    script: (index) =>
      index > 0
        ? echo
        : async (process) => {
            await process.begin()
            process.ready()
            const call = await process.next()
            await gate.promise
            process.answer(call)
          },
  })
  const version = aVersion()
  const named = rig.call(version)
  const process = await rig.sandbox.process(0)
  process.onTold = () => undefined
  await rig.until(() => rig.sandbox.begun.size === 1)
  expect(rig.pool.terminate(named.caller, LONG_MS)).toBe(true)
  expect([rig.instance(0).state, process.told]).toEqual(['draining', 1])
  expect(await rig.call(version).outcome).toMatchObject({
    kind: 'returned',
    instanceId: rig.instance(1).id,
  })
  expect(named.call.settled).toBe(false)
  gate.resolve()
  expect(await named.ending).toBe('returned')
  await process.exited
  expect(rig.endings).toEqual([{ kind: 'retired' }])
})

test('a call that is given time crashed when its process ended by itself', async () => {
  await open({ script: () => busyWith(1) })
  const version = aVersion()
  const named = rig.call(version)
  await rig.until(() => rig.sandbox.begun.size === 1)
  rig.pool.terminate(named.caller, LONG_MS)
  expect(await named.outcome).toMatchObject({ kind: 'crashed', cause: 'signalled', signal: 'SIGTERM' })
  expect(rig.endings).toMatchObject([{ kind: 'crashed' }])
})

test('ends the call of one caller, and none of another that goes by the same request id', async () => {
  await open({ script: () => busyWith(1), limits: { maxInstancesPerFunction: 1 } })
  const requestId = 'chosen by a client'
  const version = aVersion()
  const [elsewhere, running] = [
    rig.call(aVersion({ id: 'other', functionId: 'other' }), 'event', { requestId }),
    rig.call(version, 'event', { requestId }),
  ]
  await rig.until(() => rig.started.length === 2 && rig.started.every(({ state }) => state === 'busy'))
  const [behind, last] = [
    rig.call(version, 'event', { requestId }),
    rig.call(version, 'event', { requestId }),
  ]
  expect(rig.pool.terminate(last.caller)).toBe(true)
  expect(await last.ending).toBe('terminated')
  expect(rig.pool.terminate(running.caller)).toBe(true)
  expect(await running.ending).toBe('terminated')
  await rig.until(() => rig.started.length === 3)
  expect([elsewhere, behind].map(({ call }) => call.settled)).toEqual([false, false])
})

test('when the time is over, the process is killed', async () => {
  await open({ script: () => busyWith(1) })
  const version = aVersion()
  const named = rig.call(version)
  const process = await rig.sandbox.process(0)
  process.onTold = () => undefined
  await rig.until(() => rig.sandbox.begun.size === 1)
  rig.pool.terminate(named.caller, 1)
  expect(await named.ending).toBe('terminated')
  expect(await process.exited).toEqual({ kind: 'signalled', signal: 'SIGKILL' })
})

test('told again, the shorter time holds, and the code is told once', async () => {
  await open({ script: () => busyWith(1) })
  const version = aVersion()
  const named = rig.call(version)
  const process = await rig.sandbox.process(0)
  process.onTold = () => undefined
  await rig.until(() => rig.sandbox.begun.size === 1)
  for (const graceMs of [LONG_MS, 1, LONG_MS]) rig.pool.terminate(named.caller, graceMs)
  expect(await named.ending).toBe('terminated')
  expect(process.told).toBe(1)
})

test('a time that was given can be taken back', async () => {
  await open({ script: () => busyWith(1) })
  const version = aVersion()
  const named = rig.call(version)
  const process = await rig.sandbox.process(0)
  process.onTold = () => undefined
  await rig.until(() => rig.sandbox.begun.size === 1)
  rig.pool.terminate(named.caller, LONG_MS)
  rig.pool.terminate(named.caller, 0)
  expect(await named.ending).toBe('terminated')
})

test('neighbours may finish for as long as they want once the call that was to end has', async () => {
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const
  await open({
    script: () => async (process) => {
      await process.begin()
      process.ready()
      const [named, neighbour] = [await process.next(), await process.next()]
      await gates[0].promise
      process.answer(named)
      await gates[1].promise
      process.answer(neighbour)
    },
  })
  const version = aVersion({ instanceConcurrency: 2 })
  const [named, neighbour] = [rig.call(version), rig.call(version)]
  const process = await rig.sandbox.process(0)
  process.onTold = () => gates[0].resolve()
  await rig.until(() => rig.sandbox.begun.size === 2)
  const timers = vi.spyOn(globalThis, 'setTimeout')
  rig.pool.terminate(named.caller, LONG_MS)
  const [over] = timers.mock.calls.find(([, afterMs]) => afterMs === LONG_MS) ?? []
  timers.mockRestore()
  expect(await named.ending).toBe('returned')
  over?.()
  expect([rig.instance(0).state, neighbour.call.settled]).toEqual(['draining', false])
  gates[1].resolve()
  expect(await neighbour.ending).toBe('returned')
})

test('a process that cannot be told ends at once', async () => {
  await open({ script: () => busyWith(1) })
  const version = aVersion()
  const named = rig.call(version)
  const process = await rig.sandbox.process(0)
  process.onTold = () => Promise.reject(new Error('it stands still'))
  await rig.until(() => rig.sandbox.begun.size === 1)
  rig.pool.terminate(named.caller, LONG_MS)
  expect(await named.ending).toBe('terminated')
  expect(await process.exited).toEqual({ kind: 'signalled', signal: 'SIGKILL' })
})

test('what was delivered behind a call that is given time does not wait for it', async () => {
  const gate = Promise.withResolvers<void>()
  await open({
    script: (index) =>
      index > 0
        ? echo
        : async (process) => {
            await process.begin()
            process.ready()
            for (let count = 0; count < 20; count += 1) process.answer(await process.next())
            const held = await process.next()
            await gate.promise
            process.answer(held)
          },
  })
  const version = aVersion()
  await rig.warm(version, 20)
  const process = await rig.sandbox.process(0)
  process.onTold = () => undefined
  const named = rig.call(version)
  const behind = rig.call(version)
  await rig.until(() => rig.sandbox.begun.has(requestIdOf(named)))
  expect(rig.instance(0).delivered).toBe(2)
  rig.pool.terminate(named.caller, LONG_MS)
  expect(await behind.outcome).toMatchObject({ kind: 'returned', instanceId: rig.instance(1).id })
  expect(named.call.settled).toBe(false)
  gate.resolve()
  expect(await named.ending).toBe('returned')
})
