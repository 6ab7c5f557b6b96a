import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TaskService } from '../../src/async/task-service.ts'
import type { Submission } from '../../src/async/tasks.ts'
import { payloadOf } from '../../src/model/payload.ts'
import { newTask } from '../contracts/store/task.ts'
import { StoreHarness } from '../store/sqlite/harness.ts'
import { FakeClock } from './fake-clock.ts'

const { account, namespace, functionName: name } = newTask()
const OWNER = { account, namespace, name }

describe('TaskService', () => {
  let clock: FakeClock
  let harness: StoreHarness
  let service: TaskService
  /** Moments the delivery was told of. */
  let notified: number[]

  beforeEach(async () => {
    clock = new FakeClock()
    notified = []
    harness = await StoreHarness.open({ now: () => clock.now() })
    service = new TaskService({
      queue: harness.tasks(),
      delivery: {
        notify: (dueAtMs?: number) => void notified.push(dueAtMs ?? 0),
        terminate: (ofAccount, requestId, graceMs) =>
          Promise.resolve(
            `${ofAccount} ${requestId} ${graceMs}` === `${account} r1 5` ? 'terminated' : 'unknown',
          ),
      },
      clock,
    })
  })
  afterEach(() => harness.close())

  const submission = (changes: Partial<Submission> = {}): Submission => ({
    target: OWNER,
    requestId: 'r1',
    payload: payloadOf('{"n":1}'),
    policy: { maxRetries: 3, maxAgeMs: 60_000 },
    ...changes,
  })

  test('accepts a call on disk, with times of its own clock, and tells the delivery when it is due', async () => {
    const acceptedAtMs = clock.now()
    const given = submission({
      target: { ...OWNER, qualifier: 'live' },
      taskId: 'order-1',
      delayMs: 5000,
      policy: {
        maxRetries: 2,
        maxAgeMs: 60_000,
        backoff: { firstMs: 60_000, longestMs: 60_000 },
        refusals: { firstMs: 60_000, longestMs: 60_000, forMs: 3_600_000 },
      },
      keepsDetails: true,
      destinations: { onFailure: { dialect: 'any', target: { kind: 'function', ...OWNER } } },
      source: 'API',
      causedBy: 'r0',
      depth: 2,
    })
    expect(await service.submit(given)).toEqual({ requestId: 'r1', taskId: 'order-1', acceptedAtMs })
    expect(notified).toEqual([acceptedAtMs + 5000])
    await harness.restart()
    const [claimed] = await harness.tasks().claim(1, acceptedAtMs + 5000, 1000)
    expect(claimed).toMatchObject({
      qualifier: 'live',
      taskId: 'order-1',
      acceptedAtMs,
      dueAtMs: acceptedAtMs + 5000,
      expiresAtMs: acceptedAtMs + 60_000,
      maxRetries: 2,
      backoff: { firstMs: 60_000, longestMs: 60_000 },
      refusals: { firstMs: 60_000, longestMs: 60_000, forMs: 3_600_000 },
      keepsDetails: true,
      destinations: { onFailure: { dialect: 'any', target: { kind: 'function', ...OWNER } } },
      source: 'API',
      causedBy: 'r0',
      depth: 2,
    })
    expect(String(claimed?.payload)).toBe('{"n":1}')
  })

  test('refuses a second call with the same id of its own, and tells the delivery nothing', async () => {
    await service.submit(submission({ taskId: 'order-1' }))
    await expect(service.submit(submission({ taskId: 'order-1', requestId: 'r2' }))).rejects.toMatchObject({
      code: 'caller/task-exists',
      details: { taskId: 'order-1' },
    })
    expect(notified).toHaveLength(1)
    expect(await service.find(account, 'r2')).toBeUndefined()
  })

  test('accepts what is to be there once only once', async () => {
    await service.submit(submission({ once: true }))
    await service.submit(submission({ once: true }))
    expect((await service.list({ account, namespace, functionName: name, limit: 10 })).total).toBe(1)
    await service.submit(submission())
    expect((await service.list({ account, namespace, functionName: name, limit: 10 })).total).toBe(2)
  })

  test('finds a task by the id of its own, in its own function and account', async () => {
    await service.submit(submission({ taskId: 'order-1' }))
    expect(await service.detailsOf(OWNER, 'order-1')).toMatchObject({ requestId: 'r1', history: [] })
    expect(await service.detailsOf({ ...OWNER, name: 'other' }, 'order-1')).toBeUndefined()
    expect(await service.detailsOf({ ...OWNER, account: '9' }, 'order-1')).toBeUndefined()
    expect(await service.details('9', 'r1')).toBeUndefined()
    expect(await service.find('9', 'r1')).toBeUndefined()
  })

  test('hands a stop with its grace to the delivery', async () => {
    expect(await service.terminate(account, 'r1', 5)).toBe('terminated')
    expect(await service.terminate(account, 'r1')).toBe('unknown')
  })

  test('accepts failed calls anew, each once, and has them looked for', async () => {
    await service.submit(submission({ taskId: 'order-1' }))
    const [claimed] = await harness.tasks().claim(1, clock.now(), 1000)
    await harness.tasks().settle(claimed!.lease, { ending: 'failed', attempts: 1 })
    clock.advance(5)
    const [redriven, ...others] = await service.redrive(OWNER, 10)
    expect(redriven?.causedBy).toBe('r1')
    expect(others).toEqual([])
    expect(notified.at(-1)).toBe(0)
    const [again] = await harness.tasks().claim(1, clock.now(), 1000)
    expect(again).toMatchObject({
      requestId: redriven?.requestId,
      causedBy: 'r1',
      acceptedAtMs: clock.now(),
      expiresAtMs: clock.now() + 60_000,
      attempts: 0,
    })
    // One that was looked for by an id of its own is so again: the old id stays with the old task.
    expect(again?.taskId).toBe(again?.requestId)
    expect(String(again?.payload)).toBe('{"n":1}')
    expect(await service.redrive(OWNER, 10)).toEqual([])
    expect(await service.find(account, 'r1')).toMatchObject({ status: 'failed' })
    expect(await service.audit()).toEqual({ imbalance: 0, miscounted: 0, strayPayloads: 0 })
  })

  test('holds back the tasks of a paused function until it is resumed, over a restart too', async () => {
    await service.control(OWNER, { isPaused: true, maxRuns: 5 })
    await service.submit(submission())
    expect(await harness.tasks().claim(1, clock.now(), 1000)).toEqual([])
    await harness.restart()
    expect(await harness.tasks().claim(1, clock.now(), 1000)).toEqual([])
    expect(await harness.tasks().nextDueAtMs()).toBeUndefined()
    expect((await harness.tasks().counters(OWNER))[0]?.control).toEqual({ isPaused: true, maxRuns: 5 })
    expect(await harness.tasks().control(OWNER, { isPaused: false, maxRuns: null })).toEqual({
      isPaused: false,
    })
    expect(await harness.tasks().claim(1, clock.now(), 1000)).toHaveLength(1)
  })

  test('has what was held back looked for when it is resumed', async () => {
    await service.control(OWNER, { isPaused: false })
    expect(notified).toEqual([0])
  })

  test('purges what waits in steps, and leaves alone what runs', async () => {
    for (const requestId of ['r1', 'r2', 'r3', 'r4']) await service.submit(submission({ requestId }))
    await harness.tasks().claim(1, clock.now(), 1000)
    expect(await service.purgeWaiting(OWNER, 2)).toBe(2)
    expect(await service.purgeWaiting(OWNER, 2)).toBe(1)
    expect((await service.counters(OWNER))[0]).toMatchObject({ waiting: 0, running: 1, cancelled: 3 })
    expect(await service.find(account, 'r2')).toMatchObject({ status: 'cancelled', lastError: 'purged' })
    expect(await service.audit()).toEqual({ imbalance: 0, miscounted: 0, strayPayloads: 0 })
  })
})
