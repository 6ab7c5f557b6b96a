import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { AsyncDelivery, type AsyncDeliveryOptions } from '../../src/async/delivery.ts'
import type { DeliveryEvent } from '../../src/async/delivery-event.ts'
import { EngineError } from '../../src/model/errors.ts'
import { LATEST, type FunctionVersion } from '../../src/model/function.ts'
import type { Caller, InvokeRequest } from '../../src/model/invocation.ts'
import type { Ending, Outcome } from '../../src/model/outcome.ts'
import { EMPTY_PAYLOAD, payloadOf, toBuffer } from '../../src/model/payload.ts'
import { RESULT_BYTES, type NewTask, type TaskQueue } from '../../src/store/task-queue.ts'
import { newDelivery, newTask } from '../contracts/store/task.ts'
import { StoreHarness } from '../store/sqlite/harness.ts'
import { FakeClock } from './fake-clock.ts'

const LEASE_MS = 30_000

const VERSION: FunctionVersion = {
  id: 'state-1',
  functionId: 'function-1',
  account: '1234567890123456',
  namespace: 'default',
  name: 'resize',
  version: LATEST,
  facts: {},
  contract: 'any',
  runtime: 'any',
  handler: 'index.handler',
  timeoutMs: 1000,
  memoryMib: 128,
  diskMib: 512,
  instanceConcurrency: 1,
  environment: {},
  code: { digest: '', crc64: '', sizeBytes: 0, expandedBytes: 0 },
}

function outcomeOf(ending: Ending): Outcome {
  return {
    version: VERSION,
    instanceId: 'instance-1',
    coldStart: false,
    durationMs: 1,
    billedDurationMs: 1,
    initDurationMs: 0,
    maxMemoryBytes: 0,
    logTail: () => Buffer.from('the end of the log'),
    ...ending,
  }
}

/** A call inside the engine, which ends when the test says so. */
interface Running {
  readonly request: InvokeRequest
  readonly caller: Caller
  readonly end: (ending: Ending) => void
  readonly refuse: (error: Error) => void
}

/** Things that come one after another and are waited for one after another. */
class Feed<T> {
  readonly #come: T[] = []
  #wanted: (() => void) | undefined

  add(item: T): void {
    this.#come.push(item)
    this.#wanted?.()
  }

  /** The first that matches, taken out; waits for it. */
  async take<S extends T = T>(matches: (item: T) => item is S): Promise<S> {
    for (;;) {
      const item = this.#come.find(matches)
      if (item !== undefined) {
        this.#come.splice(this.#come.indexOf(item), 1)
        return item
      }
      await new Promise<void>((resolve) => {
        this.#wanted = resolve
      })
    }
  }

  get untaken(): readonly T[] {
    return this.#come
  }
}

describe('AsyncDelivery', () => {
  let clock: FakeClock
  let harness: StoreHarness
  let calls: Feed<Running>
  let events: Feed<DeliveryEvent>
  const deliveries: AsyncDelivery[] = []

  beforeEach(async () => {
    clock = new FakeClock()
    harness = await StoreHarness.open({ now: () => clock.now() })
    calls = new Feed()
    events = new Feed()
  })

  afterEach(async () => {
    await Promise.all(
      deliveries.splice(0).map((delivery) => {
        const drained = delivery.drain(0)
        clock.advance(0)
        return drained
      }),
    )
    const closed = harness.close()
    await Promise.allSettled([closed])
    assert.equal(clock.waiting, 0)
    await closed
  })

  const invoke = (request: InvokeRequest, caller: Caller): Promise<Outcome> =>
    new Promise((resolve, reject) => {
      calls.add({ request, caller, end: (ending) => resolve(outcomeOf(ending)), refuse: reject })
    })

  const deliver = (options: Partial<AsyncDeliveryOptions> = {}): AsyncDelivery => {
    const delivery = new AsyncDelivery({
      tasks: harness.tasks(),
      invoke,
      terminate: () => false,
      clock,
      leaseMs: LEASE_MS,
      observe: (event) => events.add(event),
      ...options,
    })
    deliveries.push(delivery)
    delivery.start()
    return delivery
  }

  const event = <K extends DeliveryEvent['kind']>(kind: K): Promise<DeliveryEvent & { kind: K }> =>
    events.take((candidate): candidate is DeliveryEvent & { kind: K } => candidate.kind === kind)

  const nextCall = (): Promise<Running> => calls.take((call): call is Running => call !== undefined)

  /** The queue, with some of its operations replaced. */
  const queueWith = (replaced: Partial<AsyncDeliveryOptions['tasks']>): AsyncDeliveryOptions['tasks'] => {
    const tasks = harness.tasks()
    return {
      claim: (...args) => tasks.claim(...args),
      enqueue: (task) => tasks.enqueue(task),
      renew: (leases, untilMs) => tasks.renew(leases, untilMs),
      postpone: (lease, next) => tasks.postpone(lease, next),
      settle: (lease, settlement) => tasks.settle(lease, settlement),
      nextDueAtMs: (share) => tasks.nextDueAtMs(share),
      requestStop: (account, requestId, nowMs) => tasks.requestStop(account, requestId, nowMs),
      find: (account, requestId) => tasks.find(account, requestId),
      ...replaced,
    }
  }

  const enqueue = (changes: Partial<NewTask> = {}): Promise<void> =>
    harness.tasks().enqueue(newTask({ acceptedAtMs: clock.now(), dueAtMs: clock.now(), ...changes }))

  const returned: Ending = { kind: 'returned', payload: EMPTY_PAYLOAD }
  const timedOut: Ending = { kind: 'timedOut', afterMs: 1 }
  const diskFull = new EngineError('platform/store-failed', { reason: 'disk full' })
  const fullDisk = new EngineError('platform/store-full', {})
  const throttled = new EngineError('caller/concurrency-exceeded', { scope: 'function', limit: 1 })
  /** Resolves when everything asked of the queue so far has happened and was seen. */
  const queueIsQuiet = async (): Promise<void> => {
    for (let round = 0; round < 4; round += 1) await harness.tasks().nextDueAtMs()
  }

  test('runs what was queued before it started, and ends it', async () => {
    await enqueue({ requestId: 'r1', qualifier: 'prod', payload: Buffer.from('event') })
    deliver()
    const { request, end } = await nextCall()
    expect({ ...request, payload: String(toBuffer(request.payload)) }).toEqual({
      target: { account: '1234567890123456', namespace: 'default', name: 'resize', qualifier: 'prod' },
      requestId: 'r1',
      payload: 'event',
      retryCount: 0,
    })
    end(returned)
    expect(await event('ended')).toMatchObject({ ending: 'succeeded', task: { requestId: 'r1' } })
    expect(await harness.tasks().nextDueAtMs()).toBeUndefined()
  })

  test('runs a task it is told of, at once', async () => {
    const delivery = deliver()
    await queueIsQuiet()
    await enqueue()
    delivery.notify()
    const { end } = await nextCall()
    end(returned)
    expect(await event('ended')).toMatchObject({ ending: 'succeeded' })
  })

  test('runs a task it is told of while it finds out that nothing was due', async () => {
    const tasks = harness.tasks()
    const asked = Promise.withResolvers<void>()
    const answer = Promise.withResolvers<void>()
    const nextDueAtMs = async (): Promise<number | undefined> => {
      const dueAtMs = await tasks.nextDueAtMs()
      asked.resolve()
      await answer.promise
      return dueAtMs
    }
    const delivery = deliver({ tasks: queueWith({ nextDueAtMs }) })
    await asked.promise
    await enqueue()
    delivery.notify()
    answer.resolve()
    const { end } = await nextCall()
    end(returned)
    expect(await event('ended')).toMatchObject({ ending: 'succeeded' })
  })

  test('sleeps until a delayed task is due', async () => {
    const delivery = deliver()
    await queueIsQuiet()
    await enqueue({ dueAtMs: clock.now() + 5000 })
    delivery.notify(clock.now() + 5000)
    clock.advance(4999)
    await queueIsQuiet()
    expect(calls.untaken).toHaveLength(0)
    clock.advance(1)
    const { end } = await nextCall()
    end(returned)
    await event('ended')
  })

  test('finds a delayed task of an earlier server without being told', async () => {
    await enqueue({ dueAtMs: clock.now() + 5000 })
    deliver()
    await queueIsQuiet()
    expect(clock.nextInMs).toBe(5000)
    clock.advance(5000)
    const { end } = await nextCall()
    end(returned)
    await event('ended')
  })

  test('does nothing while nothing is due', async () => {
    let asked = 0
    const tasks = harness.tasks()
    const claim: TaskQueue['claim'] = (limit, nowMs, leaseMs) => {
      asked += 1
      return tasks.claim(limit, nowMs, leaseMs)
    }
    deliver({ tasks: queueWith({ claim }) })
    await queueIsQuiet()
    expect(asked).toBe(1)
    expect(clock.waiting).toBe(0)
  })

  test('repeats a failed run with the same id, later and later, and gives up in the end', async () => {
    await enqueue({ requestId: 'r1', maxRetries: 2 })
    deliver()
    for (const [retryCount, waitMs] of [1000, 2000].entries()) {
      const { request, end } = await nextCall()
      expect(request).toMatchObject({ requestId: 'r1', retryCount })
      end(timedOut)
      expect(await event('postponed')).toMatchObject({ dueAtMs: clock.now() + waitMs, lastError: 'timedOut' })
      clock.advance(waitMs - 1)
      await queueIsQuiet()
      expect(calls.untaken).toHaveLength(0)
      clock.advance(1)
    }
    const { request, end } = await nextCall()
    expect(request.retryCount).toBe(2)
    end(timedOut)
    expect(await event('ended')).toMatchObject({ ending: 'failed', lastError: 'timedOut' })
  })

  test('waits out a refusal without counting it', async () => {
    await enqueue({ maxRetries: 0 })
    deliver()
    for (const waitMs of [500, 1000, 2000]) {
      const { request, refuse } = await nextCall()
      expect(request.retryCount).toBe(0)
      refuse(throttled)
      expect(await event('postponed')).toMatchObject({ dueAtMs: clock.now() + waitMs })
      await queueIsQuiet()
      clock.advance(waitMs)
    }
    const { end } = await nextCall()
    end(returned)
    expect(await event('ended')).toMatchObject({ ending: 'succeeded' })
  })

  test('ends a task whose function is gone', async () => {
    await enqueue()
    deliver()
    const { refuse } = await nextCall()
    refuse(new EngineError('caller/function-not-found', { namespace: 'default', name: 'resize' }))
    expect(await event('ended')).toMatchObject({ ending: 'failed', lastError: 'caller/function-not-found' })
  })

  test('expires a task that is too old, without running it', async () => {
    await enqueue({ expiresAtMs: clock.now() + 10 })
    clock.advance(11)
    deliver()
    expect(await event('ended')).toMatchObject({ ending: 'expired' })
    expect(calls.untaken).toHaveLength(0)
  })

  test('reports an engine that breaks its contract, and waits it out', async () => {
    await enqueue()
    deliver()
    const { refuse } = await nextCall()
    const error = new TypeError('x is undefined')
    refuse(error)
    expect(await event('engineFaulted')).toMatchObject({ error })
    expect(await event('postponed')).toMatchObject({ lastError: 'internal' })
  })

  test('claims no more than it can run', async () => {
    for (let index = 0; index < 5; index += 1) await enqueue({ requestId: `r${index}` })
    deliver({ parallelRuns: 2 })
    const first = await nextCall()
    const second = await nextCall()
    await queueIsQuiet()
    expect(calls.untaken).toHaveLength(0)
    // The other three are free for anyone.
    expect(await harness.tasks().claim(5, clock.now(), 1)).toHaveLength(3)
    first.end(returned)
    second.end(returned)
    await event('ended')
    await event('ended')
  })

  test('runs everything that is queued, a few at a time', async () => {
    await Promise.all(Array.from({ length: 40 }, (_, index) => enqueue({ requestId: `r${index}` })))
    deliver({ parallelRuns: 3 })
    const seen = new Set<string>()
    for (let index = 0; index < 40; index += 1) {
      const { request, end } = await nextCall()
      expect(calls.untaken.length).toBeLessThan(3)
      seen.add(request.requestId)
      end(returned)
    }
    expect(seen.size).toBe(40)
    for (let index = 0; index < 40; index += 1) await event('ended')
  })

  test('runs a call at once although hundreds of a slow function are due', async () => {
    await Promise.all(
      Array.from({ length: 300 }, (_, index) => enqueue({ requestId: `s${index}`, functionName: 'slow' })),
    )
    const delivery = deliver({ parallelRuns: 8, parallelRunsPerFunction: 3 })
    const slow = [await nextCall(), await nextCall(), await nextCall()]
    await queueIsQuiet()
    expect(calls.untaken).toHaveLength(0)
    await enqueue({ requestId: 'q', functionName: 'quick' })
    delivery.notify()
    const quick = await nextCall()
    expect(quick.request.requestId).toBe('q')
    quick.end(returned)
    expect(await event('ended')).toMatchObject({ task: { requestId: 'q' } })
    await queueIsQuiet()
    expect(calls.untaken).toHaveLength(0)
    slow[0]?.end(returned)
    const next = await nextCall()
    expect(next.request.target.name).toBe('slow')
    await queueIsQuiet()
    expect(calls.untaken).toHaveLength(0)
  })

  test('sleeps while all that is due belongs to functions that have their share', async () => {
    for (let index = 0; index < 3; index += 1) await enqueue({ requestId: `s${index}` })
    await enqueue({ requestId: 'later', functionName: 'other', dueAtMs: clock.now() + 5000 })
    deliver({ parallelRunsPerFunction: 1 })
    await nextCall()
    await queueIsQuiet()
    expect(clock.nextInMs).toBe(5000)
    clock.advance(5000)
    expect((await nextCall()).request.requestId).toBe('later')
  })

  test('keeps the lease of a run that lasts longer than it', async () => {
    await enqueue()
    deliver()
    const { end } = await nextCall()
    for (let third = 0; third < 9; third += 1) {
      clock.advance(LEASE_MS / 3)
      await queueIsQuiet()
      expect(await harness.tasks().claim(1, clock.now(), 1)).toEqual([])
    }
    end(returned)
    expect(await event('ended')).toMatchObject({ ending: 'succeeded' })
  })

  test('drops the result of a run whose lease was lost, and tells the engine', async () => {
    await enqueue()
    deliver({ parallelRuns: 1 })
    const { caller, end } = await nextCall()
    let told = 0
    caller.onGone = () => (told += 1)
    const [elsewhere] = await harness.tasks().claim(1, clock.now() + LEASE_MS, LEASE_MS * 100)
    clock.advance(LEASE_MS / 3)
    await event('leaseLost')
    expect(caller.gone).toBe(true)
    expect(told).toBe(1)
    end(returned)
    await queueIsQuiet()
    expect(await harness.tasks().settle(elsewhere!.lease, { ending: 'failed', attempts: 1 })).toBe(true)
    expect(events.untaken.map(({ kind }) => kind)).toEqual(['modeChanged', 'started'])
  })

  test('does not take a lost lease for a success when the run ends first', async () => {
    await enqueue()
    deliver()
    const { end } = await nextCall()
    await harness.tasks().claim(1, clock.now() + LEASE_MS, LEASE_MS)
    end(returned)
    await event('leaseLost')
    expect(events.untaken.some(({ kind }) => kind === 'ended')).toBe(false)
  })

  test('runs again, and counts, what a server left behind when it died', async () => {
    await enqueue({ requestId: 'r1', maxRetries: 0 })
    await harness.tasks().claim(1, clock.now(), 3_600_000)
    await harness.restart()
    deliver()
    const { request, end } = await nextCall()
    expect(request).toMatchObject({ requestId: 'r1', retryCount: 0 })
    end(returned)
    expect(await event('ended')).toMatchObject({ ending: 'succeeded', task: { lostRuns: 1 } })
  })

  test('gives up a task that took the server down too often', async () => {
    await enqueue({ maxRetries: 0 })
    for (let crash = 0; crash < 11; crash += 1) {
      expect(await harness.tasks().claim(1, clock.now(), 1)).toHaveLength(1)
      clock.advance(1)
    }
    deliver()
    expect(await event('ended')).toMatchObject({ ending: 'failed', lastError: 'runsLost' })
    expect(calls.untaken).toHaveLength(0)
  })

  test('lets runs end within the grace when it is drained, and starts no others', async () => {
    await enqueue({ requestId: 'r1' })
    await enqueue({ requestId: 'r2' })
    const delivery = deliver({ parallelRuns: 1 })
    const { caller, end } = await nextCall()
    const drained = delivery.drain(10_000)
    clock.advance(9999)
    await queueIsQuiet()
    expect(caller.gone).toBe(false)
    end(returned)
    await drained
    expect(await event('ended')).toMatchObject({ ending: 'succeeded', task: { requestId: 'r1' } })
    const [next] = await harness.tasks().claim(5, clock.now(), 1)
    expect(next).toMatchObject({ requestId: 'r2', lostRuns: 0, attempts: 0 })
  })

  test('puts back what does not end within the grace, as it was', async () => {
    await enqueue({ requestId: 'r1' })
    const delivery = deliver()
    const { caller, end } = await nextCall()
    const drained = delivery.drain(10_000)
    await queueIsQuiet()
    clock.advance(10_000)
    await drained
    expect(caller.gone).toBe(true)
    end(returned)
    const [again] = await harness.tasks().claim(1, clock.now(), 1)
    expect(again).toMatchObject({ requestId: 'r1', attempts: 0, deferrals: 0, lostRuns: 0 })
  })

  test('puts back what the engine does not begin any more because it drains, as it was and due at once', async () => {
    await enqueue({ requestId: 'r1', refusals: { firstMs: 60_000, longestMs: 60_000, forMs: 3_600_000 } })
    const delivery = deliver()
    const { refuse } = await nextCall()
    const drained = delivery.drain(10_000)
    refuse(new EngineError('platform/draining', {}))
    await drained
    const [again] = await harness.tasks().claim(1, clock.now(), 1)
    expect(again).toMatchObject({ requestId: 'r1', attempts: 0, deferrals: 0, lostRuns: 0 })
  })

  test('cuts the grace short when it is drained again', async () => {
    await enqueue()
    const delivery = deliver()
    await nextCall()
    const drained = delivery.drain(3_600_000)
    const again = delivery.drain(0)
    clock.advance(0)
    await Promise.all([drained, again])
    expect(await harness.tasks().claim(1, clock.now(), 1)).toHaveLength(1)
  })

  test('gives back what a claim under way brings while it is drained', async () => {
    await enqueue()
    const delivery = deliver()
    await delivery.drain(1000)
    expect(calls.untaken).toHaveLength(0)
    expect(await harness.tasks().claim(1, clock.now(), 1)).toMatchObject([{ lostRuns: 0 }])
  })

  test('cannot be started twice, nor after it was drained', async () => {
    const delivery = deliver()
    expect(() => delivery.start()).toThrow('delivering')
    await delivery.drain(0)
    expect(() => delivery.start()).toThrow('stopped')
  })

  test('asks a queue that failed again, a second later', async () => {
    const tasks = harness.tasks()
    let broken = true
    const claim: TaskQueue['claim'] = (limit, nowMs, leaseMs) =>
      broken ? Promise.reject(diskFull) : tasks.claim(limit, nowMs, leaseMs)
    await enqueue()
    deliver({ tasks: queueWith({ claim }) })
    expect(await event('queueFailed')).toMatchObject({ operation: 'claim' })
    await queueIsQuiet()
    expect(clock.nextInMs).toBe(1000)
    broken = false
    clock.advance(1000)
    const { end } = await nextCall()
    end(returned)
    await event('ended')
  })

  test('runs a task again whose ending could not be stored', async () => {
    const tasks = harness.tasks()
    let broken = true
    const settle: TaskQueue['settle'] = (lease, settlement) =>
      broken ? Promise.reject(diskFull) : tasks.settle(lease, settlement)
    await enqueue({ requestId: 'r1', maxRetries: 0 })
    deliver({ tasks: queueWith({ settle }) })
    const first = await nextCall()
    first.end(returned)
    expect(await event('queueFailed')).toMatchObject({ operation: 'settle', error: diskFull })
    await queueIsQuiet()
    broken = false
    clock.advance(LEASE_MS)
    const second = await nextCall()
    expect(second.request).toMatchObject({ requestId: 'r1', retryCount: 0 })
    second.end(returned)
    expect(await event('ended')).toMatchObject({ ending: 'succeeded' })
  })

  test('is not broken by an observer that throws', async () => {
    await enqueue()
    deliver({
      observe: (seen) => {
        events.add(seen)
        throw new Error('a full log')
      },
    })
    const { end } = await nextCall()
    end(returned)
    expect(await event('ended')).toMatchObject({ ending: 'succeeded' })
  })

  describe('with a full disk', () => {
    test('keeps a result in memory until there is room, and runs nothing twice', async () => {
      await enqueue({ requestId: 'r1', keepsDetails: true })
      let refusals = 0
      const settle: TaskQueue['settle'] = (lease, settlement) => {
        refusals += 1
        return refusals < 3 ? Promise.reject(fullDisk) : harness.tasks().settle(lease, settlement)
      }
      const delivery = deliver({ tasks: queueWith({ settle }) })
      const { end } = await nextCall()
      await enqueue({ requestId: 'r2' })
      end({ kind: 'returned', payload: payloadOf('42') })
      await event('queueFailed')
      delivery.notify()
      clock.advance(1000)
      await event('queueFailed')
      await queueIsQuiet()
      // Nothing is claimed before what is there is written.
      expect(calls.untaken).toHaveLength(0)
      clock.advance(1000)
      expect(await event('ended')).toMatchObject({ ending: 'succeeded', task: { requestId: 'r1' } })
      const details = await harness.tasks().details(newTask().account, 'r1')
      expect(String(details?.result?.payload)).toBe('42')
      const second = await nextCall()
      expect(second.request.requestId).toBe('r2')
      second.end(returned)
      await event('ended')
    })

    test('holds the lease of what is not written yet, longer than the lease lasts', async () => {
      await enqueue({ requestId: 'r1' })
      let isFull = true
      const settle: TaskQueue['settle'] = (...args) =>
        isFull ? Promise.reject(fullDisk) : harness.tasks().settle(...args)
      deliver({ tasks: queueWith({ settle }) })
      const { end } = await nextCall()
      end(returned)
      await event('queueFailed')
      for (let second = 0; second < 2 * (LEASE_MS / 1000); second += 1) {
        clock.advance(1000)
        await queueIsQuiet()
      }
      expect(await harness.tasks().claim(1, clock.now(), 1000)).toEqual([])
      isFull = false
      clock.advance(1000)
      expect(await event('ended')).toMatchObject({ ending: 'succeeded' })
    })

    test('runs nothing beside itself that lasts longer than a lease, and claims again when there is room', async () => {
      await enqueue({ requestId: 'r1' })
      let isFull = false
      const whenRoom =
        <A extends readonly unknown[], R>(act: (...args: A) => Promise<R>) =>
        (...args: A): Promise<R> =>
          isFull ? Promise.reject(fullDisk) : act(...args)
      const delivery = deliver({
        tasks: queueWith({
          claim: whenRoom((...args) => harness.tasks().claim(...args)),
          renew: whenRoom((...args) => harness.tasks().renew(...args)),
          settle: whenRoom((...args) => harness.tasks().settle(...args)),
        }),
      })
      const { end } = await nextCall()
      await queueIsQuiet()
      isFull = true
      for (let second = 0; second < 2 * (LEASE_MS / 1000); second += 1) {
        clock.advance(1000)
        delivery.notify()
        await queueIsQuiet()
      }
      await enqueue({ requestId: 'r2' })
      isFull = false
      delivery.notify()
      await queueIsQuiet()
      // Not before the lease of what runs is renewed.
      expect(calls.untaken).toHaveLength(0)
      for (let second = 0; second < 2; second += 1) {
        clock.advance(1000)
        await queueIsQuiet()
      }
      const next = await nextCall()
      expect(next.request.requestId).toBe('r2')
      expect(await harness.tasks().find(newTask().account, 'r1')).toMatchObject({ lostRuns: 0 })
      next.end(returned)
      end(returned)
      expect(await event('ended')).toMatchObject({ ending: 'succeeded' })
      expect(await event('ended')).toMatchObject({ ending: 'succeeded' })
      await queueIsQuiet()
      expect(calls.untaken).toHaveLength(0)
      expect(delivery.droppedResults).toBe(0)
    })

    test('claims again the moment that what runs is renewed', async () => {
      await enqueue({ requestId: 'r1' })
      let isFull = true
      const renew: TaskQueue['renew'] = (...args) =>
        isFull ? Promise.reject(fullDisk) : harness.tasks().renew(...args)
      const delivery = deliver({ tasks: queueWith({ renew }) })
      const first = await nextCall()
      await queueIsQuiet()
      clock.advance(LEASE_MS / 3)
      expect(await event('queueFailed')).toMatchObject({ operation: 'renew' })
      clock.advance(500)
      await enqueue({ requestId: 'r2' })
      delivery.notify()
      await queueIsQuiet()
      expect(calls.untaken).toHaveLength(0)
      isFull = false
      // The next try to renew is due now, the next look half a second later.
      clock.advance(500)
      const second = await nextCall()
      expect(second.request.requestId).toBe('r2')
      for (const { end } of [first, second]) end(returned)
      for (let ended = 0; ended < 2; ended += 1)
        expect(await event('ended')).toMatchObject({ ending: 'succeeded' })
    })

    test('gives up with the grace of a drain', async () => {
      await enqueue({ requestId: 'r1' })
      const delivery = deliver({ tasks: queueWith({ settle: () => Promise.reject(fullDisk) }) })
      const { end } = await nextCall()
      end(returned)
      await event('queueFailed')
      const drained = delivery.drain(0)
      clock.advance(0)
      await drained
      await harness.restart()
      expect(await harness.tasks().claim(1, clock.now(), 1000)).toMatchObject([{ lostRuns: 1 }])
    })
  })

  describe('places', () => {
    test('are there for a function that runs nothing when others have taken all', async () => {
      for (const requestId of ['slow1', 'slow2', 'slow3']) await enqueue({ requestId, functionName: 'slow' })
      const delivery = deliver({ parallelRuns: 2, firstRuns: 1 })
      const slow = [await nextCall(), await nextCall()]
      await queueIsQuiet()
      expect(calls.untaken).toHaveLength(0)
      for (const requestId of ['quick1', 'quick2']) await enqueue({ requestId, functionName: 'quick' })
      delivery.notify()
      const quick = await nextCall()
      expect(quick.request.requestId).toBe('quick1')
      await enqueue({ requestId: 'other1', functionName: 'other' })
      delivery.notify()
      await queueIsQuiet()
      expect(calls.untaken).toHaveLength(0)
      quick.end(returned)
      // The first place goes to the function that has had none, not to the second task of the quick one.
      const other = await nextCall()
      expect(other.request.requestId).toBe('quick2')
      other.end(returned)
      const last = await nextCall()
      expect(last.request.requestId).toBe('other1')
      last.end(returned)
      for (const { end } of slow) end(returned)
      const third = await nextCall()
      third.end(returned)
      for (let count = 0; count < 6; count += 1) await event('ended')
    })

    test('are not looked for again and again while all are taken', async () => {
      for (const requestId of ['slow1', 'slow2', 'slow3']) await enqueue({ requestId, functionName: 'slow' })
      deliver({ parallelRuns: 2, firstRuns: 1 })
      const slow = [await nextCall(), await nextCall()]
      await queueIsQuiet()
      // Only the leases have a timer.
      expect(clock.nextInMs).toBe(LEASE_MS / 3)
      for (const { end } of slow) end(returned)
      const third = await nextCall()
      third.end(returned)
      for (let count = 0; count < 3; count += 1) await event('ended')
    })
  })

  describe('of what a run came to', () => {
    const { account } = newTask()

    test('keeps result, log tail and figures where the task says so', async () => {
      await enqueue({ requestId: 'kept', keepsDetails: true })
      await enqueue({ requestId: 'dropped' })
      deliver()
      const [first, second] = [await nextCall(), await nextCall()]
      first.end({ kind: 'returned', payload: payloadOf('x'.repeat(RESULT_BYTES + 1)) })
      second.end({ kind: 'returned', payload: payloadOf('y') })
      await event('ended')
      await event('ended')
      const kept = await harness.tasks().details(account, 'kept')
      expect(kept?.payload?.toString()).toBe('{}')
      expect(kept?.result).toMatchObject({ isCut: true, kind: 'returned', instanceId: 'instance-1' })
      expect(kept?.result?.payload).toHaveLength(RESULT_BYTES)
      expect(String(kept?.result?.logTail)).toBe('the end of the log')
      const dropped = await harness.tasks().details(account, 'dropped')
      expect(dropped).toMatchObject({ status: 'succeeded', history: [] })
      expect(dropped).not.toHaveProperty('result')
      expect(dropped).not.toHaveProperty('payload')
    })

    test('keeps the error of a task that failed, and each run before', async () => {
      await enqueue({ requestId: 'r1', maxRetries: 1 })
      deliver()
      const threw: Ending = {
        kind: 'threw',
        errorType: 'TypeError',
        handled: false,
        payload: payloadOf('{"errorMessage":"no"}'),
      }
      const startedAtMs = clock.now()
      const first = await nextCall()
      first.end(threw)
      await event('postponed')
      clock.advance(1000)
      const second = await nextCall()
      second.end(threw)
      expect(await event('ended')).toMatchObject({ ending: 'failed' })
      const details = await harness.tasks().details(account, 'r1')
      expect(details).toMatchObject({
        status: 'failed',
        attempts: 2,
        history: [{ startedAtMs, endedAtMs: startedAtMs, how: 'failed', reason: 'TypeError' }],
        claimedAtMs: startedAtMs + 1000,
      })
      expect(String(details?.result?.payload)).toBe('{"errorMessage":"no"}')
      expect(String(details?.payload)).toBe('{}')
    })

    test('tells the destination in the transaction of the ending, and nobody of a cancelled task', async () => {
      const told: unknown[] = []
      let times = 0
      await enqueue({ requestId: 'r1' })
      await enqueue({ requestId: 'r2' })
      deliver({
        tell: ({ task, ending, outcome, attempts }) => {
          told.push([task.requestId, ending, outcome?.kind, attempts])
          return newDelivery({ requestId: task.requestId })
        },
        told: () => {
          times += 1
        },
      })
      const [first, second] = [await nextCall(), await nextCall()]
      first.end(returned)
      await event('ended')
      second.end({ kind: 'terminated' })
      await event('ended')
      expect(told).toEqual([['r1', 'succeeded', 'returned', 1]])
      expect(times).toBe(1)
      const { deliveries: written } = await harness.store.outbox.listDeliveries({ account, limit: 10 })
      expect(written).toMatchObject([{ requestId: 'r1', status: 'waiting' }])
    })

    test('lets an ending stand that cannot be put into words, and says so', async () => {
      await enqueue({ requestId: 'r1' })
      const failure = new Error('no words')
      deliver({
        tell: () => {
          throw failure
        },
      })
      const { end } = await nextCall()
      end(returned)
      expect(await event('tellingFailed')).toMatchObject({ error: failure })
      expect(await event('ended')).toMatchObject({ ending: 'succeeded' })
    })

    test('counts a run that a shutdown put back as followed by a duplicate', async () => {
      await enqueue({ requestId: 'r1' })
      const first = deliver()
      await nextCall()
      const drained = first.drain(0)
      clock.advance(0)
      await drained
      const counted = async () => (await harness.tasks().counters({ account }))[0]
      expect(await counted()).toMatchObject({ waiting: 1, running: 0, duplicates: 0 })
      deliver()
      const again = await nextCall()
      expect(again.request).toMatchObject({ requestId: 'r1', retryCount: 0 })
      again.end(returned)
      await event('ended')
      expect(await counted()).toMatchObject({ succeeded: 1, duplicates: 1 })
      expect(await harness.tasks().audit()).toEqual({ imbalance: 0, miscounted: 0, strayPayloads: 0 })
    })
  })

  describe('terminate', () => {
    const { account } = newTask()
    const crashed: Ending = { kind: 'crashed', cause: 'signalled', signal: 'SIGKILL' }
    const statusOf = async (requestId: string) => (await harness.tasks().find(account, requestId))?.status

    test('ends a run, whose task is cancelled and never repeated', async () => {
      const ended: unknown[] = []
      await enqueue({ requestId: 'r1', maxRetries: 3 })
      const delivery = deliver({
        terminate: (...args) => {
          ended.push(args)
          end({ kind: 'terminated' })
          return true
        },
      })
      const { end, caller } = await nextCall()
      expect(await delivery.terminate(account, 'r1', 5000)).toBe('terminated')
      expect(ended).toEqual([[caller, 5000]])
      // Equal is not enough: the engine finds the call by this object.
      expect(ended.flat()[0]).toBe(caller)
      expect(await event('ended')).toMatchObject({ ending: 'cancelled', lastError: 'terminated' })
      expect(await harness.tasks().find(account, 'r1')).toMatchObject({ status: 'cancelled', attempts: 1 })
      expect(await harness.tasks().nextDueAtMs()).toBeUndefined()
    })

    test('is told by the reason of the end when a run failed by itself in the time that it was given', async () => {
      await enqueue({ requestId: 'r1', maxRetries: 3 })
      const delivery = deliver({
        terminate: () => {
          end({ kind: 'crashed', cause: 'signalled', signal: 'SIGTERM' })
          return true
        },
      })
      const { end } = await nextCall()
      expect(await delivery.terminate(account, 'r1', 5000)).toBe('terminated')
      expect(await harness.tasks().find(account, 'r1')).toMatchObject({
        status: 'cancelled',
        attempts: 1,
        lastError: 'signalled',
      })
      expect(await harness.tasks().nextDueAtMs()).toBeUndefined()
    })

    test('has no such reason when the time was taken back', async () => {
      await enqueue({ requestId: 'r1', maxRetries: 3 })
      const delivery = deliver({ terminate: (_, graceMs) => graceMs === 0 && (end(crashed), true) })
      const { end } = await nextCall()
      const terminations = [delivery.terminate(account, 'r1', 5000), delivery.terminate(account, 'r1')]
      expect(await Promise.all(terminations)).toEqual(['terminated', 'terminated'])
      expect(await event('ended')).toMatchObject({ ending: 'cancelled', lastError: 'terminated' })
    })

    test('has its stop on disk before the run is ended: it is over also when the server dies in between', async () => {
      await enqueue({ requestId: 'r1', maxRetries: 3 })
      const asked = Promise.withResolvers<void>()
      const delivery = deliver({
        terminate: () => {
          asked.resolve()
          return true
        },
      })
      const { end } = await nextCall()
      const termination = delivery.terminate(account, 'r1')
      await asked.promise
      expect(await harness.tasks().find(account, 'r1')).toMatchObject({
        status: 'running',
        stopRequestedAtMs: clock.now(),
      })
      await harness.restart()
      expect(await harness.tasks().find(account, 'r1')).toMatchObject({ status: 'cancelled' })
      expect(await harness.tasks().claim(1, clock.now() + 1e9, 1000)).toEqual([])
      end(returned)
      // The server it was asked of is gone.
      await expect(termination).rejects.toMatchObject({ code: 'platform/store-failed' })
      expect(await statusOf('r1')).toBe('cancelled')
    })

    test('ends a run although the disk is full, and resolves when that is written', async () => {
      await enqueue({ requestId: 'r1', maxRetries: 3 })
      let isFull = true
      const delivery = deliver({
        terminate: () => {
          end({ kind: 'terminated' })
          return true
        },
        tasks: queueWith({
          requestStop: (...args) =>
            isFull ? Promise.reject(fullDisk) : harness.tasks().requestStop(...args),
          settle: (...args) => (isFull ? Promise.reject(fullDisk) : harness.tasks().settle(...args)),
        }),
      })
      const { end } = await nextCall()
      await expect(delivery.terminate(account, 'r2')).rejects.toBe(fullDisk)
      const termination = delivery.terminate(account, 'r1')
      await event('queueFailed')
      isFull = false
      clock.advance(1000)
      expect(await termination).toBe('terminated')
      expect(await statusOf('r1')).toBe('cancelled')
    })

    test.each([
      ['is given up', 0],
      ['is to be repeated', 3],
    ])('is told as it is on disk when a failed run that %s waits for room', async (_, maxRetries) => {
      await enqueue({ requestId: 'r1', maxRetries })
      let isFull = true
      const delivery = deliver({
        tasks: queueWith({
          settle: (...args) => (isFull ? Promise.reject(fullDisk) : harness.tasks().settle(...args)),
          postpone: (...args) => (isFull ? Promise.reject(fullDisk) : harness.tasks().postpone(...args)),
        }),
      })
      const { end } = await nextCall()
      end(crashed)
      await event('queueFailed')
      const termination = delivery.terminate(account, 'r1')
      await queueIsQuiet()
      isFull = false
      clock.advance(1000)
      expect(await termination).toBe('terminated')
      expect(await event('ended')).toMatchObject({ ending: 'cancelled' })
      expect(await statusOf('r1')).toBe('cancelled')
    })

    test('cancels a task whose call was terminated elsewhere', async () => {
      await enqueue({ requestId: 'r1', maxRetries: 3 })
      deliver()
      const { end } = await nextCall()
      end({ kind: 'terminated' })
      expect(await event('ended')).toMatchObject({ ending: 'cancelled' })
    })

    test('cancels a task whose run fails or is refused meanwhile, and lets one succeed', async () => {
      await enqueue({ requestId: 'crashes' })
      await enqueue({ requestId: 'refused' })
      await enqueue({ requestId: 'returns' })
      const delivery = deliver()
      const running = [await nextCall(), await nextCall(), await nextCall()]
      const terminations = running.map(({ request }) => delivery.terminate(account, request.requestId))
      running[0]?.end(crashed)
      running[1]?.refuse(throttled)
      running[2]?.end(returned)
      expect(await Promise.all(terminations)).toEqual(['terminated', 'terminated', 'ended'])
      expect(await harness.tasks().find(account, 'crashes')).toMatchObject({
        status: 'cancelled',
        attempts: 1,
      })
      expect(await harness.tasks().find(account, 'refused')).toMatchObject({
        status: 'cancelled',
        attempts: 0,
      })
      expect(await statusOf('returns')).toBe('succeeded')
    })

    test('cancels a task that waits for its time or for its repeat', async () => {
      await enqueue({ requestId: 'later', dueAtMs: clock.now() + 5000 })
      await enqueue({ requestId: 'again', maxRetries: 3 })
      const delivery = deliver()
      const { end } = await nextCall()
      end(timedOut)
      await event('postponed')
      expect(await delivery.terminate(account, 'later')).toBe('cancelled')
      expect(await delivery.terminate(account, 'again')).toBe('cancelled')
      expect(await harness.tasks().nextDueAtMs()).toBeUndefined()
    })

    test('cancels a task that is being put back for its repeat', async () => {
      await enqueue({ requestId: 'r1', maxRetries: 3 })
      const postponing = Promise.withResolvers<void>()
      const answer = Promise.withResolvers<void>()
      const postpone: TaskQueue['postpone'] = async (lease, next) => {
        postponing.resolve()
        await answer.promise
        return harness.tasks().postpone(lease, next)
      }
      const delivery = deliver({ tasks: queueWith({ postpone }) })
      const { end } = await nextCall()
      end(timedOut)
      await postponing.promise
      const termination = delivery.terminate(account, 'r1')
      answer.resolve()
      expect(await termination).toBe('terminated')
      expect(await statusOf('r1')).toBe('cancelled')
    })

    test('ends a task that is being claimed', async () => {
      await enqueue({ requestId: 'r1' })
      const claimed = Promise.withResolvers<void>()
      const answer = Promise.withResolvers<void>()
      const claim: TaskQueue['claim'] = async (...args) => {
        const tasks = await harness.tasks().claim(...args)
        claimed.resolve()
        await answer.promise
        return tasks
      }
      const delivery = deliver({ tasks: queueWith({ claim }) })
      await claimed.promise
      const termination = delivery.terminate(account, 'r1')
      await queueIsQuiet()
      answer.resolve()
      const { end } = await nextCall()
      end({ kind: 'terminated' })
      expect(await termination).toBe('terminated')
    })

    test('ends a task whose run was lost without waiting for the next look', async () => {
      await enqueue({ requestId: 'r1', maxRetries: 3 })
      await harness.tasks().claim(1, clock.now(), LEASE_MS)
      // The process stands still past the end of the lease: no timer has gone off yet.
      let stoodStillMs = 0
      const delivery = deliver({
        clock: { now: () => clock.now() + stoodStillMs, after: (ms, run) => clock.after(ms, run) },
      })
      await queueIsQuiet()
      stoodStillMs = LEASE_MS
      expect(await delivery.terminate(account, 'r1')).toBe('terminated')
      expect(await statusOf('r1')).toBe('cancelled')
    })

    test('knows what has ended, and what never was or is of another account', async () => {
      await enqueue({ requestId: 'r1' })
      const delivery = deliver()
      const { end } = await nextCall()
      expect(await delivery.terminate('9999', 'r1')).toBe('unknown')
      end(returned)
      await event('ended')
      expect(await delivery.terminate(account, 'r1')).toBe('ended')
      expect(await delivery.terminate(account, 'r2')).toBe('unknown')
      expect(await statusOf('r1')).toBe('succeeded')
    })
  })
})
