import { afterEach, describe, expect, test } from 'vitest'
import { Rig, textOf, type RigOptions } from '../helpers/engine-rig.ts'
import { echo, TYPE, type Script } from '../helpers/scripted-sandbox.ts'
import { aVersion } from '../helpers/versions.ts'

let rig: Rig
const open = async (options: RigOptions = {}): Promise<Rig> => (rig = await Rig.open(options))
afterEach(() => rig.close())

/** Gets ready, begins `calls` calls and stops there. */
const beginsAndHangs =
  (calls: number): Script =>
  async (process) => {
    await process.begin()
    process.ready()
    for (let index = 0; index < calls; index += 1) await process.next()
  }

/** The first process plays `script`, all later ones echo. */
const first =
  (script: Script) =>
  (index: number): Script =>
    index === 0 ? script : echo

/** A version two calls of which run at once: the simplest way to have begun and unbegun ones in one instance. */
const pair = () => aVersion({ instanceConcurrency: 2, timeoutMs: 100 })

const MIB = 1024 * 1024

describe('evicted', () => {
  test('an instance without calls ends after the idle timeout', async () => {
    await open({ limits: { idleTimeoutMs: 5000 } })
    const version = aVersion()
    await rig.call(version).outcome
    expect(rig.instance(0).state).toBe('idle')
    rig.nowMs += 5001
    await rig.until(() => rig.endings.length === 1)
    expect(rig.endings).toEqual([{ kind: 'evicted' }])
  })

  test('a call starts the idle time anew', async () => {
    await open({ limits: { idleTimeoutMs: 5000 } })
    const version = aVersion()
    await rig.call(version).outcome
    rig.nowMs += 4000
    await rig.call(version).outcome
    expect(rig.instance(0).idleSinceMs).toBe(rig.nowMs)
    expect(rig.started.length).toBe(1)
  })
})

describe('retired', () => {
  test('an idle instance of a replaced version ends at once', async () => {
    await open()
    const version = aVersion()
    await rig.call(version).outcome
    rig.pool.retire([version.id])
    expect(rig.endings).toEqual([{ kind: 'retired' }])
  })

  test('a busy one finishes its calls first and gets no more', async () => {
    const gate = Promise.withResolvers<void>()
    await open({
      script: first(async (process) => {
        await process.begin()
        process.ready()
        const call = await process.next()
        await gate.promise
        process.answer(call, 'late')
      }),
    })
    const version = aVersion()
    const call = rig.call(version)
    await rig.until(() => rig.sandbox.begun.size === 1)
    rig.pool.retire([version.id])
    expect(rig.instance(0).state).toBe('draining')
    expect(rig.instance(0).hasRoom).toBe(false)
    gate.resolve()
    expect(textOf(await call.outcome)).toBe('late')
    expect(rig.endings).toEqual([{ kind: 'retired' }])
  })
})

describe('start-failed', () => {
  test('a process that could not be started refuses the call that wanted it', async () => {
    await open({
      script: () => async (process) => process.end({ kind: 'notStarted', reason: 'no such program' }),
    })
    await expect(rig.call(aVersion()).outcome).rejects.toMatchObject({
      code: 'platform/start-failed',
      details: { reason: 'no such program' },
    })
  })

  test('a process that never says HELLO refuses it when the start limit is over', async () => {
    await open({ script: () => async () => undefined, startTimeoutMs: 20 })
    await expect(rig.call(aVersion()).outcome).rejects.toMatchObject({
      code: 'platform/start-failed',
      details: { reason: 'no sign of life within 20 ms' },
    })
  })

  test('a process that ends before HELLO refuses it and says how it ended', async () => {
    await open({ script: () => async (process) => process.exit(127) })
    await expect(rig.call(aVersion()).outcome).rejects.toMatchObject({
      code: 'platform/start-failed',
      details: { reason: 'it exited with status 127' },
    })
  })

  test('a bootstrap of another protocol version refuses it', async () => {
    await open({ script: () => async (process) => process.send(TYPE.hello, 2, 0) })
    await expect(rig.call(aVersion()).ending).resolves.toBe('platform/start-failed')
  })

  test('a launch that throws refuses the call with its own error, and holds no place', async () => {
    let broken = true
    await open({
      limits: { maxConcurrentStarts: 1 },
      launch: (version) => {
        if (broken) throw new Error('no interpreter')
        return {
          codeTarget: '/code',
          spec: {
            functionId: version.functionId,
            command: [],
            mounts: [],
            environment: {},
            workDir: '/',
            memoryMib: 1,
            diskMib: 1,
          },
        }
      },
    })
    const version = aVersion()
    expect(await rig.call(version).ending).toBe('platform/start-failed')
    broken = false
    expect(await rig.call(version).ending).toBe('returned')
  })

  test('each failed start refuses exactly one waiting call', async () => {
    await open({
      script: (index) => (index < 2 ? async (process) => process.exit(1) : echo),
      limits: { maxConcurrentStarts: 1 },
    })
    const version = aVersion()
    const endings = await Promise.all([1, 2, 3, 4].map(() => rig.call(version).ending))
    expect(endings).toEqual(['platform/start-failed', 'platform/start-failed', 'returned', 'returned'])
  })
})

describe('init-failed', () => {
  const failing =
    (flag: 1 | 2, loaded: boolean): Script =>
    async (process) => {
      await process.begin({ loaded })
      process.log(0, 'about to fail\n')
      process.send(TYPE.failed, flag, 0, { errorType: 'SyntaxError', peakKib: 4096 }, '{"errorMessage":"no"}')
      process.exit(0)
    }

  test('code that cannot be loaded is the outcome of the call, with what it wrote', async () => {
    await open({ script: () => failing(1, false) })
    const call = rig.call(aVersion())
    const outcome = await call.outcome
    expect(outcome).toMatchObject({
      kind: 'initFailed',
      phase: 'load',
      reason: 'threw',
      errorType: 'SyntaxError',
      coldStart: true,
      maxMemoryBytes: 4096 * 1024,
    })
    expect(textOf(outcome)).toBe('{"errorMessage":"no"}')
    const { requestId } = call.call.request
    expect(call.log()).toBe(`about to fail\nSTART ${requestId}\nEND ${requestId} initFailed\n`)
  })

  test('an initializer that throws is the outcome, framed by its own lines', async () => {
    await open({ script: () => failing(2, true) })
    const call = rig.call(aVersion({ initializer: { handler: 'index.init', timeoutMs: 1000 } }))
    expect(await call.outcome).toMatchObject({ kind: 'initFailed', phase: 'initializer', reason: 'threw' })
    expect(call.log()).toMatch(/^INIT\nabout to fail\nINIT END SyntaxError\nSTART .*\nEND .* initFailed\n$/)
  })

  test('an initializer that takes too long is the outcome', async () => {
    await open({ script: () => async (process) => process.begin({ loaded: true }) })
    const version = aVersion({ initializer: { handler: 'index.init', timeoutMs: 20 } })
    expect(await rig.call(version).outcome).toMatchObject({
      kind: 'initFailed',
      phase: 'initializer',
      reason: 'timedOut',
      afterMs: 20,
    })
  })

  test.for([
    { loaded: false, phase: 'load' },
    { loaded: true, phase: 'initializer' },
  ])('a process that dies there is the outcome: $phase', async ({ loaded, phase }) => {
    await open({
      script: () => async (process) => {
        await process.begin({ loaded })
        process.exit(3)
      },
    })
    const version = aVersion({ initializer: { handler: 'index.init', timeoutMs: 1000 } })
    expect(await rig.call(version).outcome).toMatchObject({ kind: 'initFailed', phase, reason: 'crashed' })
  })

  test('the call that wanted the start is told even when another stands before it in the queue', async () => {
    const gate = Promise.withResolvers<void>()
    await open({
      script: (index) =>
        index === 0
          ? async (process) => {
              await process.begin()
              process.ready()
              await process.next()
              await gate.promise
              process.exit(1)
            }
          : index === 1
            ? async (process) => {
                await process.begin()
                await gate.promise
                process.send(TYPE.failed, 1, 0, {})
              }
            : echo,
    })
    const version = aVersion({ instanceConcurrency: 2 })
    const running = rig.call(version)
    await rig.until(() => rig.sandbox.begun.size === 1)
    const ahead = rig.call(version) // delivered to the first, not begun
    const wanting = rig.call(version)
    rig.nowMs += 1000
    await rig.until(() => rig.started.length === 2)
    gate.resolve()
    expect(await running.ending).toBe('crashed')
    expect(await wanting.ending).toBe('initFailed')
    expect(await ahead.ending).toBe('returned')
  })
})

describe('timed-out', () => {
  test('the late call is timed out, its neighbour crashed, and what had not begun runs elsewhere', async () => {
    await open({
      script: first(async (process) => {
        await process.begin()
        process.ready()
        const quick = await process.next()
        await process.next()
        process.answer(quick)
        await process.next()
      }),
    })
    const version = aVersion({ instanceConcurrency: 2, timeoutMs: 100 })
    const [quick, late] = [rig.call(version), rig.call(version)]
    await quick.outcome
    rig.nowMs += 60
    const neighbour = rig.call(version)
    await rig.until(() => rig.sandbox.begun.size === 3)
    rig.nowMs += 50
    expect(await late.outcome).toMatchObject({ kind: 'timedOut', afterMs: 100, durationMs: 110 })
    expect(await neighbour.outcome).toMatchObject({ kind: 'crashed', cause: 'signalled', durationMs: 50 })
    expect(rig.endings[0]).toEqual({ kind: 'timed-out' })
  })

  test('a call that the process never began is delivered again', async () => {
    await open({ script: first(beginsAndHangs(1)) })
    const version = pair()
    const [late, unbegun] = [rig.call(version), rig.call(version)]
    await rig.until(() => rig.sandbox.begun.size === 1)
    rig.nowMs += 101
    expect(await late.ending).toBe('timedOut')
    expect(textOf(await unbegun.outcome)).toBe('event')
    expect([...rig.sandbox.begun.values()]).toEqual([1, 1])
  })

  test('a call that began behind an answer still on its way is not called late', async () => {
    await open({
      script: first(async (process) => {
        await process.begin()
        process.ready()
        await process.serve((call) => {
          if (call.event === 'quick') process.answer(call)
        })
      }),
    })
    const version = aVersion({ timeoutMs: 100 })
    for (let index = 0; index < 20; index += 1) await rig.call(version, 'quick').outcome
    const head = rig.call(version, 'lost answer')
    const next = rig.call(version, 'next')
    await rig.until(() => rig.sandbox.begun.size === 22)
    rig.nowMs += 101
    expect(await head.ending).toBe('timedOut')
    expect(await next.outcome).toMatchObject({ kind: 'crashed', durationMs: 0 })
  })
})

describe('crashed', () => {
  const ends = [
    { exit: { kind: 'exited', exitCode: 3 }, outcome: { cause: 'exited', exitCode: 3 } },
    { exit: { kind: 'signalled', signal: 'SIGSEGV' }, outcome: { cause: 'signalled', signal: 'SIGSEGV' } },
    { exit: { kind: 'outOfMemory' }, outcome: { cause: 'outOfMemory' } },
  ] as const
  test.for(ends)('begun calls are told the cause: $exit.kind', async ({ exit, outcome }) => {
    await open({
      script: first(async (process) => {
        await process.begin()
        process.ready()
        await process.next()
        process.peakBytes = 77 * 1024 * 1024
        await process.holds(1)
        process.end(exit)
      }),
    })
    const version = pair()
    const [begun, unbegun] = [rig.call(version), rig.call(version)]
    expect(await begun.outcome).toMatchObject({
      kind: 'crashed',
      ...outcome,
      maxMemoryBytes: 77 * 1024 * 1024,
    })
    expect(await unbegun.ending).toBe('returned')
    expect(rig.endings[0]).toEqual({ kind: 'crashed', exit })
  })

  test('a call that took too much memory is told so itself, and nobody who comes after it', async () => {
    await open({
      script: first(async (process) => {
        await process.begin()
        process.ready()
        const call = await process.next()
        process.peakBytes = 300 * MIB
        process.answer(call, 'too much', { peakKib: 300 * 1024 })
        await process.serve((next) => process.answer(next))
      }),
    })
    const version = aVersion({ memoryMib: 256 })
    const greedy = await rig.call(version).outcome
    expect(greedy).toMatchObject({
      kind: 'crashed',
      cause: 'outOfMemory',
      maxMemoryBytes: 300 * MIB,
      instanceId: rig.instance(0).id,
    })
    const next = await rig.call(version).outcome
    expect(next.kind).toBe('returned')
    expect(next.instanceId).toBe(rig.instance(1).id)
    expect(rig.endings[0]).toEqual({ kind: 'crashed', exit: { kind: 'outOfMemory' } })
  })

  test('a call that has given back what it took too much is answered, and its process serves on', async () => {
    await open({
      script: first(async (process) => {
        await process.begin()
        process.ready()
        process.peakBytes = 300 * MIB
        process.currentBytes = 60 * MIB
        await process.serve((call) => process.answer(call, 'given back', { peakKib: 300 * 1024 }))
      }),
    })
    const version = aVersion({ memoryMib: 256 })
    for (let count = 0; count < 3; count += 1)
      expect(textOf(await rig.call(version).outcome)).toBe('given back')
    expect(rig.started.length).toBe(1)
  })

  test('a process that is drained while its answer is measured ends after it', async () => {
    await open({
      script: first(async (process) => {
        await process.begin()
        process.ready()
        const call = await process.next()
        process.tellsMemory = false
        process.answer(call, 'measured', { peakKib: 300 * 1024 })
        await process.serve((next) => process.answer(next))
      }),
    })
    const version = aVersion({ memoryMib: 256 })
    const call = rig.call(version)
    await rig.until(
      () => rig.started.length === 1 && rig.instance(0).state === 'busy' && !rig.instance(0).ready,
    )
    rig.instance(0).drain()
    expect(rig.endings).toEqual([])
    expect(textOf(await call.outcome)).toBe('measured')
    expect(rig.endings).toEqual([{ kind: 'retired' }])
  })

  test('an answer sent before the end still counts', async () => {
    await open({
      script: first(async (process) => {
        await process.begin()
        process.ready()
        process.answer(await process.next(), 'last words')
        process.exit(1)
      }),
    })
    expect(textOf(await rig.call(aVersion()).outcome)).toBe('last words')
    await rig.until(() => rig.endings.length === 1)
    expect(rig.endings).toEqual([{ kind: 'crashed', exit: { kind: 'exited', exitCode: 1 } }])
  })

  test('memory that is never told does not hold the outcome up for ever', async () => {
    await open({
      script: first(async (process) => {
        process.tellsMemory = false
        await process.begin()
        process.ready()
        await process.next()
        process.exit(1)
      }),
    })
    expect(await rig.call(aVersion()).outcome).toMatchObject({ kind: 'crashed', maxMemoryBytes: 1024 * 1024 })
  })
})

describe('broken', () => {
  test.for([
    ['a length beyond the limit', Buffer.from([255, 255, 255, 255, 6, 0, 0, 0, 0, 0, 0, 0])],
    ['a meta length past the end', Buffer.from([8, 0, 0, 0, 6, 0, 1, 0, 0, 0, 0, 0])],
    ['an unknown type', Buffer.from([8, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0])],
    ['a type only the server sends', Buffer.from([8, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0])],
    ['a second HELLO', Buffer.from([8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0])],
    ['a second READY', Buffer.from([8, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0])],
    ['LOADED after READY', Buffer.from([8, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0])],
    ['FAILED after READY', Buffer.from([8, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0])],
    ['a RESULT for no call', Buffer.from([8, 0, 0, 0, 6, 0, 0, 0, 99, 0, 0, 0])],
    ['a large LOG', Buffer.from([0, 0, 8, 0, 7, 1, 0, 0, 1, 0, 0, 0])],
    ['a large RESULT for no call', Buffer.from([0, 0, 8, 0, 6, 0, 0, 0, 99, 0, 0, 0])],
  ] as const)('%s ends the instance; the begun call crashed, the other runs elsewhere', async ([, bytes]) => {
    await open({
      script: first(async (process) => {
        await process.begin()
        process.ready()
        await process.next()
        await process.holds(1)
        process.write(bytes)
      }),
    })
    const version = pair()
    const [begun, unbegun] = [rig.call(version), rig.call(version)]
    expect(await begun.outcome).toMatchObject({ kind: 'crashed', cause: 'exited' })
    expect(await unbegun.ending).toBe('returned')
    expect(rig.endings[0]).toMatchObject({ kind: 'broken' })
  })

  test('an instance whose channel closed is given no more calls', async () => {
    await open({
      script: first(async (process) => {
        await process.begin()
        process.ready()
        process.answer(await process.next())
        await process.closeChannel()
      }),
    })
    const version = aVersion()
    await rig.call(version).outcome
    await rig.until(() => !rig.instance(0).ready)
    expect(rig.instance(0).state).toBe('idle')
    expect(await rig.call(version).ending).toBe('returned')
    expect(rig.started.length).toBe(2)
  })
})

describe('a frame out of turn while it starts', () => {
  test.for([
    ['LOG before SETUP', [TYPE.log, 1], 'platform/start-failed'],
    ['READY before SETUP', [TYPE.ready, 0], 'platform/start-failed'],
  ] as const)('%s: the start has failed', async ([, [type, flag], ending]) => {
    await open({ script: () => async (process) => process.send(type, flag, 0, {}) })
    expect(await rig.call(aVersion()).ending).toBe(ending)
  })

  test.for([
    ['a second HELLO', TYPE.hello, false],
    ['LOADED without an initializer', TYPE.loaded, false],
    ['READY before the initializer was announced', TYPE.ready, true],
    ['a RESULT', TYPE.result, false],
  ] as const)('%s: the function never got ready', async ([, type, hasInitializer]) => {
    await open({
      script: () => async (process) => {
        await process.begin()
        process.send(type, 1, 0, {})
      },
    })
    const version = hasInitializer ? aVersion({ initializer: { handler: 'i', timeoutMs: 1000 } }) : aVersion()
    expect(await rig.call(version).outcome).toMatchObject({
      kind: 'initFailed',
      phase: 'load',
      reason: 'crashed',
    })
  })
})

describe('killed', () => {
  test('when the grace has run out begun calls crashed and the others are refused', async () => {
    await open({ script: () => beginsAndHangs(1) })
    const version = pair()
    const [begun, unbegun] = [rig.call(version), rig.call(version)]
    await rig.until(() => rig.sandbox.begun.size === 1)
    const closed = rig.pool.close(10)
    expect(await begun.outcome).toMatchObject({ kind: 'crashed', cause: 'signalled', signal: 'SIGKILL' })
    expect(await unbegun.ending).toBe('platform/draining')
    await closed
    expect(rig.endings).toEqual([{ kind: 'killed' }])
  })
})
