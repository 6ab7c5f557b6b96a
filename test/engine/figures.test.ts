import { afterEach, describe, expect, test } from 'vitest'
import { Rig, textOf, type RigOptions } from '../helpers/engine-rig.ts'
import { echo, TYPE, type ScriptedCall, type ScriptedProcess } from '../helpers/scripted-sandbox.ts'
import { aVersion } from '../helpers/versions.ts'

let rig: Rig
const open = async (options: RigOptions = {}): Promise<Rig> => (rig = await Rig.open(options))
afterEach(() => rig.close())

/** Processes that handle every call like this. */
const handling =
  (handle: (call: ScriptedCall, process: ScriptedProcess) => void | Promise<void>) =>
  () =>
  async (process: ScriptedProcess): Promise<void> => {
    await process.begin({ loaded: process.spec.environment['INITIALIZER'] !== undefined })
    process.ready({ peakKib: 1000 })
    await process.serve(handle)
  }

describe('the log of a call', () => {
  test('is framed by its contract and holds what was written during it, in order', async () => {
    await open({
      script: handling((call, process) => {
        process.log(call.callId, 'one\n')
        process.log(call.callId, 'two\n')
        process.answer(call)
      }),
    })
    const version = aVersion()
    for (let turn = 0; turn < 2; turn += 1) {
      const call = rig.call(version)
      const { requestId } = call.call.request
      const expected = `START ${requestId}\none\ntwo\nEND ${requestId} returned\n`
      expect((await call.outcome).logTail().toString()).toBe(expected)
      expect(call.log()).toBe(expected)
    }
  })

  test('of two calls in one process stay apart', async () => {
    await open({
      script: () => async (process) => {
        await process.begin()
        process.ready()
        const [a, b] = [await process.next(), await process.next()]
        process.log(b.callId, 'b1\n')
        process.log(a.callId, 'a1\n')
        process.log(b.callId, 'b2\n')
        process.answer(b)
        process.answer(a)
      },
    })
    const version = aVersion({ instanceConcurrency: 2 })
    const [a, b] = [rig.call(version), rig.call(version)]
    await Promise.all([a.outcome, b.outcome])
    expect(a.log()).toMatch(/^START .*\na1\nEND .*\n$/)
    expect(b.log()).toMatch(/^START .*\nb1\nb2\nEND .*\n$/)
  })

  test('begins with what loading and the initializer wrote, framed, once', async () => {
    await open({
      script: () => async (process) => {
        await process.begin()
        process.log(0, 'loading\n')
        process.send(TYPE.loaded, 0, 0)
        process.log(0, 'initializing\n')
        process.ready()
        await process.serve((call) => {
          process.log(call.callId, 'running\n')
          process.answer(call)
        })
      },
    })
    const version = aVersion({ initializer: { handler: 'i', timeoutMs: 1000 } })
    const first = rig.call(version)
    await first.outcome
    expect(first.log()).toMatch(/^loading\nINIT\ninitializing\nINIT END well\nSTART .*\nrunning\nEND .*\n$/)
    const second = rig.call(version)
    await second.outcome
    expect(second.log()).toMatch(/^START .*\nrunning\nEND .*\n$/)
  })

  test('takes what was written to standard output behind the back of the bootstrap', async () => {
    await open({
      script: handling(async (call, process) => {
        process.stdout.write('from a child\n')
        await new Promise((resolve) => setImmediate(resolve))
        process.answer(call)
      }),
    })
    const call = rig.call(aVersion())
    await call.outcome
    expect(call.log()).toMatch(/^START .*\nfrom a child\nEND .*\n$/)
  })

  test('begins with what was written while no call ran', async () => {
    await open({ script: handling((call, process) => process.answer(call)) })
    const version = aVersion()
    await rig.call(version).outcome
    const process = await rig.sandbox.process(0)
    process.stderr.write('in between\n')
    await new Promise((resolve) => setImmediate(resolve))
    const next = rig.call(version)
    await next.outcome
    expect(next.log()).toMatch(/^in between\nSTART .*\nEND .*\n$/)
  })

  test('of a call moved elsewhere tells nothing of the instance it never ran in', async () => {
    await open({
      script: (index) =>
        index === 0
          ? async (process) => {
              await process.begin()
              process.log(0, 'of the first\n')
              process.ready()
              await process.holds(1)
              process.exit(1)
            }
          : echo,
    })
    const call = rig.call(aVersion())
    const outcome = await call.outcome
    expect(call.log()).toMatch(/^START .*\nEND .*\n$/)
    expect(outcome.instanceId).toBe(rig.instance(1).id)
  })
})

describe('figures', () => {
  test('a cold start is told of every call that waited for it, a warm one of none', async () => {
    await open({
      script: () => async (process) => {
        await process.begin()
        rig.nowMs += 80
        process.ready()
        await process.serve((call) => process.answer(call))
      },
    })
    const version = aVersion({ instanceConcurrency: 3 })
    const cold = await Promise.all([1, 2, 3].map(() => rig.call(version).outcome))
    expect(cold.map(({ coldStart, initDurationMs }) => [coldStart, initDurationMs])).toEqual([
      [true, 80],
      [true, 80],
      [true, 80],
    ])
    rig.nowMs += 1
    expect(await rig.call(version).outcome).toMatchObject({ coldStart: false, initDurationMs: 0 })
  })

  test('a duration is what the process says, but never more than the server saw', async () => {
    await open({
      script: handling((call, process) => {
        rig.nowMs += 10
        process.answer(call, '', { durationMs: Number(call.event) })
      }),
    })
    const version = aVersion()
    expect(await rig.call(version, '7.25').outcome).toMatchObject({ durationMs: 7.25, billedDurationMs: 8 })
    expect(await rig.call(version, '7000').outcome).toMatchObject({ durationMs: 10, billedDurationMs: 10 })
    expect(await rig.call(version, '-1').outcome).toMatchObject({ durationMs: 10 })
    expect(await rig.call(version, 'none').outcome).toMatchObject({ durationMs: 10 })
  })

  test('memory is what the process says of the call, else what it said last', async () => {
    await open({
      script: handling((call, process) =>
        process.answer(call, '', { peakKib: call.event === '' ? undefined : Number(call.event) }),
      ),
    })
    const version = aVersion()
    const memoryOf = async (event: string): Promise<number> =>
      (await rig.call(version, event).outcome).maxMemoryBytes
    expect(await memoryOf('')).toBe(1000 * 1024)
    expect(await memoryOf('2000')).toBe(2000 * 1024)
    expect(await memoryOf('')).toBe(2000 * 1024)
    expect(await memoryOf('1e30')).toBe(2000 * 1024)
  })

  test('a meta text that is no JSON counts as none', async () => {
    await open({
      script: handling((call, process) => {
        const bytes = Buffer.from('\u0006\0\0\0{oops', 'latin1')
        const head = Buffer.alloc(12)
        head.writeUInt32LE(8 + 5, 0)
        head[4] = TYPE.result
        head.writeUInt16LE(5, 6)
        head.writeUInt32LE(call.callId, 8)
        process.write(Buffer.concat([head, bytes.subarray(4)]))
      }),
    })
    expect((await rig.call(aVersion()).outcome).kind).toBe('returned')
  })

  test('an error of the code is told with its type, and whether the code reported it itself', async () => {
    await open({
      script: handling((call, process) =>
        process.throwError(call, 'RangeError', '{"m":1}', call.event === 'handled' ? 2 : 1),
      ),
    })
    const version = aVersion()
    const outcome = await rig.call(version).outcome
    expect(outcome).toMatchObject({ kind: 'threw', errorType: 'RangeError', handled: false })
    expect(textOf(outcome)).toBe('{"m":1}')
    expect(await rig.call(version, 'handled').outcome).toMatchObject({ kind: 'threw', handled: true })
  })
})

describe('payloads', () => {
  test('of several megabytes go through and back untouched', async () => {
    await open({ script: () => echo })
    const event = 'ä'.repeat(2_000_000)
    expect(textOf(await rig.call(aVersion(), event).outcome)).toBe(event)
  })

  test('a result that waits for room in the budget is not late', async () => {
    await open({
      script: handling((call, process) => process.answer(call, Buffer.alloc(600_000))),
      budgetBytes: 2_000_000,
    })
    // Long enough for the result to arrive on a busy machine.
    const version = aVersion({ timeoutMs: 500 })
    rig.budget.hold(900_000)
    const call = rig.call(version)
    await rig.until(() => rig.sandbox.begun.size === 1)
    rig.nowMs += 501
    // The deadline fires by the real clock: it must have come and gone.
    await new Promise((resolve) => setTimeout(resolve, 600))
    rig.budget.give(900_000)
    expect(await call.ending).toBe('returned')
  })

  test('nothing is delivered ahead while the process does not take what was sent', async () => {
    await open({
      script: () => async (process) => {
        await process.begin()
        process.ready()
        for (let index = 0; index < 40; index += 1) process.answer(await process.next())
        process.deafen()
        await new Promise(() => undefined)
      },
      limits: { maxInstances: 1 },
    })
    const version = aVersion({ timeoutMs: 600_000 })
    await rig.warm(version, 40)
    const calls = [1, 2, 3, 4].map(() => rig.call(version, Buffer.alloc(1_000_000)))
    expect(rig.instance(0).delivered).toBe(2)
    await rig.pool.close(0)
    for (const { ending } of calls) expect(await ending).toMatch(/crashed|draining/)
  })
})

describe('what is told of a call that ended', () => {
  test('is its ending with its figures, the same as in its outcome', async () => {
    await open({
      script: handling(async (call, process) => {
        if (call.event === 'throw') process.throwError(call, 'TypeError', '{}')
        else process.answer(call, 'result', { peakKib: 3000 })
      }),
    })
    const version = aVersion()
    const first = rig.call(version, 'event', { retryCount: 2 })
    const { durationMs, billedDurationMs } = await first.outcome
    expect(first.record()).toEqual({
      requestId: first.call.request.requestId,
      ending: 'returned',
      reason: undefined,
      durationMs,
      billedDurationMs,
      maxMemoryBytes: 3000 * 1024,
      retryCount: 2,
      log: first.log(),
      result: undefined,
    })
    const second = rig.call(version, 'throw')
    await second.outcome
    expect(second.record()).toMatchObject({ ending: 'threw', reason: 'TypeError', retryCount: 0 })
  })

  test('names why a process ended, and cuts a name that the code chose', async () => {
    await open({
      script: handling((call, process) => {
        if (call.event === 'crash') process.exit(1)
        else process.throwError(call, 'E'.repeat(1000), '{}')
      }),
    })
    const version = aVersion()
    const thrown = rig.call(version)
    await thrown.outcome
    expect(thrown.record()?.reason).toBe('E'.repeat(256))
    const crashed = rig.call(version, 'crash')
    await crashed.outcome
    expect(crashed.record()).toMatchObject({ ending: 'crashed', reason: 'exited' })
  })

  test('has the beginning of its result, where the contract shows results with logs', async () => {
    await open({
      contract: { keepsResults: true },
      script: handling((call, process) => {
        if (call.event === 'throw') process.throwError(call, 'Error', '{"message":"no"}')
        else process.answer(call, call.event === 'much' ? `x${'é'.repeat(100_000)}` : 'result')
      }),
    })
    const version = aVersion()
    const results: (string | undefined)[] = []
    for (const event of ['little', 'much', 'throw']) {
      const call = rig.call(version, event)
      await call.outcome
      results.push(call.record()?.result)
    }
    expect(results).toEqual(['result', `x${'é'.repeat(2047)}`, '{"message":"no"}'])
  })
})
