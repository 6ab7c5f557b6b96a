import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { putCap } from '../../src/definitions/settings.ts'
import { Admission } from '../../src/engine/admission.ts'
import { Catalogue } from '../../src/engine/catalogue.ts'
import { Engine } from '../../src/engine/engine.ts'
import { aliasKey, functionKey, namespaceKey } from '../../src/engine/keys.ts'
import type { InstanceState } from '../../src/engine/instance.ts'
import type { FunctionSpec } from '../../src/model/function.ts'
import type { InvokeRequest } from '../../src/model/invocation.ts'
import { payloadOf } from '../../src/model/payload.ts'
import type { FunctionRecord } from '../../src/store/definition-store.ts'
import { plainContract, Rig, TestCaller, textOf } from '../helpers/engine-rig.ts'
import { MemoryDefinitions } from '../helpers/memory-definitions.ts'
import { echo } from '../helpers/scripted-sandbox.ts'
import { aVersion } from '../helpers/versions.ts'

const ACCOUNT = '1234567890123456'
const stamps = { createdAtMs: 1, modifiedAtMs: 1 }

describe('Engine.invoke', () => {
  let rig: Rig
  let catalogue: Catalogue
  let admission: Admission
  let engine: Engine
  const kept: string[] = []

  const deploy = (stateId: string, spec: Partial<FunctionSpec> = {}): Promise<unknown> =>
    catalogue.change((draft) => {
      const record: FunctionRecord = {
        ...stamps,
        account: ACCOUNT,
        namespace: 'demo',
        name: 'hello',
        version: 'LATEST',
        functionId: 'function-1',
        stateId,
        description: '',
        facts: {},
        extras: {},
        spec: { ...aVersion(), contract: 'plain', ...spec },
      }
      draft.put('function', functionKey(ACCOUNT, 'demo', 'hello'), record)
    })

  const request = (event = 'event', name = 'hello'): InvokeRequest => ({
    target: { account: ACCOUNT, namespace: 'demo', name },
    requestId: `request of ${event}`,
    payload: payloadOf(event),
    retryCount: 0,
  })

  beforeEach(async () => {
    rig = await Rig.open()
    kept.length = 0
    catalogue = await Catalogue.open(new MemoryDefinitions())
    catalogue.onRetired = (ids) => rig.pool.retire(ids)
    admission = new Admission({ maxCallsPerFunction: 2, maxCalls: 10 })
    engine = new Engine({
      catalogue,
      admission,
      pool: rig.pool,
      contracts: new Map([[plainContract.name, plainContract]]),
      logs: {
        keep: (version, requestId, text) => kept.push(`${version.id} ${requestId} ${text.toString()}`),
        ended: (version, call) => kept.push(`${version.id} ${call.requestId} ${call.log}`),
      },
      clock: () => rig.nowMs,
    })
    await catalogue.change((draft) => {
      draft.put('namespace', namespaceKey(ACCOUNT, 'demo'), {
        ...stamps,
        account: ACCOUNT,
        name: 'demo',
        namespaceId: 'n1',
        description: '',
        facts: {},
        lastVersion: 0,
        extras: {},
      })
    })
    await deploy('state 1')
  })
  afterEach(async () => {
    await rig.close()
    expect(admission.inside).toBe(0)
  })

  test('runs the state that the name leads to, and keeps its log under it', async () => {
    const outcome = await engine.invoke(request(), new TestCaller())
    expect(textOf(outcome)).toBe('event')
    expect(outcome.version.id).toBe('state 1')
    expect(kept).toEqual(['state 1 request of event START request of event\nEND request of event returned\n'])
  })

  test('after a change runs the new state, while a call inside keeps the old', async () => {
    const gate = Promise.withResolvers<void>()
    rig.sandbox.play((index) =>
      index > 0
        ? echo
        : async (process) => {
            await process.begin()
            process.ready()
            const call = await process.next()
            await gate.promise
            process.answer(call)
          },
    )
    const before = engine.invoke(request('before'), new TestCaller())
    await rig.until(() => rig.sandbox.begun.size === 1)
    await deploy('state 2')
    expect((await engine.invoke(request('after'), new TestCaller())).version.id).toBe('state 2')
    gate.resolve()
    expect((await before).version.id).toBe('state 1')
    expect(rig.endings).toEqual([{ kind: 'retired' }])
  })

  test('refuses the call over the limit without giving it to the function', async () => {
    const calls = ['a', 'b', 'c'].map((event) => engine.invoke(request(event), new TestCaller()))
    await expect(calls[2]).rejects.toMatchObject({ code: 'caller/concurrency-exceeded' })
    await Promise.all(calls.slice(0, 2))
    expect(rig.sandbox.begun.has('request of c')).toBe(false)
  })

  test('bounds the calls through an alias by the cap that is set for it, and no others', async () => {
    const gate = Promise.withResolvers<void>()
    rig.sandbox.play(() => async (process) => {
      await process.begin()
      process.ready()
      await process.serve(async (call) => {
        if (call.event === 'held') await gate.promise
        process.answer(call)
      })
    })
    await catalogue.change((draft) => {
      draft.put('alias', aliasKey(ACCOUNT, 'demo', 'live', 'hello'), {
        ...{ ...stamps, account: ACCOUNT, namespace: 'demo', name: 'live', version: 'LATEST', weights: {} },
        ...{ description: '', extras: {}, functionName: 'hello' },
      })
      putCap(draft, { account: ACCOUNT, namespace: 'demo', name: 'hello' }, 'live', 1, 1)
    })
    const through = (event: string): InvokeRequest => {
      const { target, ...rest } = request(event)
      return { ...rest, target: { ...target, qualifier: 'live' } }
    }
    const held = engine.invoke(through('held'), new TestCaller())
    await rig.until(() => rig.sandbox.begun.size === 1)
    await expect(engine.invoke(through('beyond'), new TestCaller())).rejects.toMatchObject({
      code: 'caller/concurrency-exceeded',
      details: { scope: 'function', limit: 1 },
    })
    const direct = engine.invoke(request('direct'), new TestCaller())
    // The one that runs has run for longer than a start takes: another instance is worth it.
    rig.nowMs += 100
    expect((await direct).kind).toBe('returned')
    gate.resolve()
    await held
    expect((await engine.invoke(through('next'), new TestCaller())).kind).toBe('returned')
  })

  test('lets the next call in after every way of ending', async () => {
    rig.sandbox.play((index) =>
      index === 0
        ? async (process) => process.exit(1)
        : index === 1
          ? async (process) => {
              await process.begin()
              process.ready()
              await process.next()
              process.exit(1)
            }
          : echo,
    )
    await expect(engine.invoke(request('a'), new TestCaller())).rejects.toMatchObject({
      code: 'platform/start-failed',
    })
    expect((await engine.invoke(request('b'), new TestCaller())).kind).toBe('crashed')
    await expect(engine.invoke(request('x', 'nobody'), new TestCaller())).rejects.toMatchObject({
      code: 'caller/function-not-found',
    })
    const gone = new TestCaller()
    gone.hangUp()
    await expect(engine.invoke(request('c'), gone)).rejects.toMatchObject({ code: 'caller/gone' })
    expect(admission.inside).toBe(0)
    expect((await engine.invoke(request('d'), new TestCaller())).kind).toBe('returned')
  })

  test('refuses a contract that the server does not have', async () => {
    await deploy('state 2', { contract: 'unheard of' })
    await expect(engine.invoke(request(), new TestCaller())).rejects.toMatchObject({
      code: 'platform/start-failed',
    })
  })

  test('refuses everything once it stopped admitting', async () => {
    engine.stopAdmitting()
    await expect(engine.invoke(request(), new TestCaller())).rejects.toMatchObject({
      code: 'platform/draining',
    })
  })
})

test('an instance goes through its states in order', async () => {
  const rig = await Rig.open()
  const seen: InstanceState[] = []
  const see = (): void => {
    const { state } = rig.instance(0)
    if (seen.at(-1) !== state) seen.push(state)
  }
  const steps = Array.from({ length: 4 }, () => Promise.withResolvers<void>())
  rig.sandbox.play(() => async (process) => {
    await steps[0]?.promise
    await process.begin({ loaded: true })
    await steps[1]?.promise
    process.ready()
    process.answer(await process.next())
    const last = await process.next()
    await steps[2]?.promise
    process.answer(last)
  })
  const version = aVersion({ initializer: { handler: 'i', timeoutMs: 60_000 } })
  const first = rig.call(version)
  see()
  steps[0]?.resolve()
  await rig.until(() => rig.instance(0).state !== 'starting')
  see()
  steps[1]?.resolve()
  await first.outcome
  see()
  const second = rig.call(version)
  see()
  rig.pool.retire([version.id])
  see()
  steps[2]?.resolve()
  await second.outcome
  await rig.until(() => rig.endings.length === 1)
  see()
  expect(seen).toEqual(['starting', 'initialising', 'idle', 'busy', 'draining', 'dead'])
  await rig.close()
})
