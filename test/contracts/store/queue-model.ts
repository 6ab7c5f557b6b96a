import * as fc from 'fast-check'
import { expect } from 'vitest'
import type { TaskEnding, TaskLookup, TaskQueue, TaskRecord } from '../../../src/store/task-queue.ts'
import { newTask } from './task.ts'

interface ModelTask {
  readonly requestId: string
  readonly functionName: string
  readonly taskId: string | undefined
  state: 'waiting' | 'leased' | 'ended'
  ending: TaskEnding | undefined
  dueAtMs: number
  claimedAtMs: number
  attempts: number
  deferrals: number
  lostRuns: number
  lease: string | undefined
}

interface RealQueue {
  readonly tasks: () => TaskQueue & TaskLookup
  readonly restart: () => Promise<void>
}

/** What a queue should hold, in the simplest form. */
export class QueueModel {
  static readonly MAX_TASKS = 6
  nowMs = 1000
  readonly tasks: ModelTask[] = []
  /** Every lease ever given, current or not. */
  readonly leases: string[] = []

  waiting(): ModelTask[] {
    return this.tasks.filter(({ state }) => state !== 'ended')
  }

  due(limit: number, maxRuns: number): ModelTask[] {
    const runs = new Map<string, number>()
    return this.waiting()
      .filter(({ dueAtMs }) => dueAtMs <= this.nowMs)
      .toSorted((a, b) => a.dueAtMs - b.dueAtMs || this.tasks.indexOf(a) - this.tasks.indexOf(b))
      .filter(({ functionName }) => {
        const count = (runs.get(functionName) ?? 0) + 1
        runs.set(functionName, count)
        return count <= maxRuns
      })
      .slice(0, limit)
  }

  /** One of the leases ever given, or one never given. */
  pick(index: number): string {
    return this.leases[index % (this.leases.length + 1)] ?? '999.1'
  }

  holder(lease: string): ModelTask | undefined {
    return this.tasks.find((task) => task.state === 'leased' && task.lease === lease)
  }
}

type QueueCommand = fc.AsyncCommand<QueueModel, RealQueue>

/** A command out of what it is called and what it does to both. */
function command(label: string, run: (model: QueueModel, real: RealQueue) => Promise<void>): QueueCommand {
  return { check: () => true, run, toString: () => label }
}

function enqueue(taskId: string | undefined, delayMs: number, functionName: string): QueueCommand {
  return command(`enqueue(${taskId}, +${delayMs}, ${functionName})`, async (model, real) => {
    const dueAtMs = model.nowMs + delayMs
    const requestId = `r${model.tasks.length}`
    const task = newTask({ requestId, functionName, dueAtMs, ...(taskId === undefined ? {} : { taskId }) })
    const taken =
      taskId !== undefined &&
      model.tasks.some((known) => known.taskId === taskId && known.functionName === functionName)
    const full = model.waiting().length >= QueueModel.MAX_TASKS
    const attempt = real.tasks().enqueue(task)
    if (taken) await expect(attempt).rejects.toMatchObject({ code: 'caller/task-exists' })
    else if (full) await expect(attempt).rejects.toMatchObject({ code: 'caller/queue-full' })
    else {
      await attempt
      const fresh = {
        ending: undefined,
        claimedAtMs: 0,
        attempts: 0,
        deferrals: 0,
        lostRuns: 0,
        lease: undefined,
      }
      model.tasks.push({ requestId, functionName, taskId, state: 'waiting', dueAtMs, ...fresh })
    }
  })
}

function claim(limit: number, leaseMs: number, maxRuns: number): QueueCommand {
  return command(`claim(${limit}, ${leaseMs}, ${maxRuns})`, async (model, real) => {
    const expected = model.due(limit, maxRuns)
    const claimed = await real.tasks().claim(limit, model.nowMs, leaseMs, { maxRuns, running: [] })
    for (const task of expected) if (task.state === 'leased') task.lostRuns += 1
    expect(
      claimed.map(({ requestId, attempts, deferrals, lostRuns }) => [
        requestId,
        attempts,
        deferrals,
        lostRuns,
      ]),
    ).toEqual(
      expected.map(({ requestId, attempts, deferrals, lostRuns }) => [
        requestId,
        attempts,
        deferrals,
        lostRuns,
      ]),
    )
    for (const [index, task] of expected.entries()) {
      const { lease } = claimed[index]!
      expect(model.leases).not.toContain(lease)
      model.leases.push(lease)
      Object.assign(task, {
        state: 'leased',
        lease,
        dueAtMs: model.nowMs + leaseMs,
        claimedAtMs: model.nowMs,
      })
    }
  })
}

function renew(picks: readonly number[], forMs: number): QueueCommand {
  return command(`renew(${picks.join()}, ${forMs})`, async (model, real) => {
    const leases = picks.map((pick) => model.pick(pick))
    const renewed = await real.tasks().renew(leases, model.nowMs + forMs)
    expect(renewed).toEqual(leases.map((lease) => model.holder(lease) !== undefined))
    for (const lease of leases) {
      const holder = model.holder(lease)
      if (holder !== undefined) holder.dueAtMs = model.nowMs + forMs
    }
  })
}

function postpone(pick: number, delayMs: number, attempts: number, deferrals: number): QueueCommand {
  return command(`postpone(${pick}, +${delayMs})`, async (model, real) => {
    const lease = model.pick(pick)
    const holder = model.holder(lease)
    const next = { dueAtMs: model.nowMs + delayMs, attempts, deferrals }
    expect(await real.tasks().postpone(lease, next)).toBe(holder !== undefined)
    if (holder !== undefined) Object.assign(holder, { state: 'waiting', ...next })
  })
}

function settle(pick: number, ending: TaskEnding): QueueCommand {
  return command(`settle(${pick}, ${ending})`, async (model, real) => {
    const lease = model.pick(pick)
    const holder = model.holder(lease)
    expect(await real.tasks().settle(lease, { ending, attempts: 1 })).toBe(holder !== undefined)
    if (holder !== undefined) Object.assign(holder, { state: 'ended', ending })
  })
}

function cancel(index: number): QueueCommand {
  return command(`cancel(${index})`, async (model, real) => {
    const requestId = `r${index}`
    const task = model.tasks.find((known) => known.requestId === requestId)
    const found = await real.tasks().cancel(newTask().account, requestId, model.nowMs)
    expect(found).toBe(task === undefined ? undefined : statusOf(task))
    if (task?.state === 'waiting') Object.assign(task, { state: 'ended', ending: 'cancelled' })
  })
}

function list(functionName: string | undefined): QueueCommand {
  return command(`list(${functionName})`, async (model, real) => {
    const { account } = newTask()
    const filter = { account, limit: 1000, ...(functionName === undefined ? {} : { functionName }) }
    const listed = await real.tasks().list(filter)
    const expected = model.tasks.filter(
      (task) => functionName === undefined || task.functionName === functionName,
    )
    expect(listed.total).toBe(expected.length)
    expect(new Map(listed.tasks.map(({ requestId, status }) => [requestId, status]))).toEqual(
      new Map(expected.map((task) => [task.requestId, statusOf(task)])),
    )
  })
}

function statusOf({ state, ending }: ModelTask): TaskRecord['status'] {
  return ending ?? (state === 'leased' ? 'running' : 'waiting')
}

function pass(ms: number): QueueCommand {
  return command(`pass(${ms})`, (model) => {
    model.nowMs += ms
    return Promise.resolve()
  })
}

function askNextDue(): QueueCommand {
  return command('nextDueAtMs()', async (model, real) => {
    const times = model.waiting().map(({ dueAtMs }) => dueAtMs)
    expect(await real.tasks().nextDueAtMs()).toBe(times.length === 0 ? undefined : Math.min(...times))
  })
}

function restart(): QueueCommand {
  return command('restart()', async (model, real) => {
    await real.restart()
    for (const task of model.tasks)
      if (task.state === 'leased') {
        task.state = 'waiting'
        task.dueAtMs = task.claimedAtMs
        task.lostRuns += 1
      }
  })
}

/** Sequences of everything that can happen to a queue. */
export function queueCommands(): fc.Arbitrary<Iterable<QueueCommand>> {
  const ms = fc.nat({ max: 100 })
  const pick = fc.nat({ max: 30 })
  const few = fc.nat({ max: 3 })
  const taskId = fc.option(fc.constantFrom('a', 'b', 'c'), { nil: undefined })
  const functionName = fc.constantFrom('resize', 'rotate')
  const ending = fc.constantFrom<TaskEnding>('succeeded', 'failed', 'expired', 'cancelled')
  return fc.commands(
    [
      fc.tuple(taskId, ms, functionName).map((values) => enqueue(...values)),
      fc.tuple(taskId, ms, functionName).map((values) => enqueue(...values)),
      fc
        .tuple(fc.integer({ min: 1, max: 4 }), ms, fc.integer({ min: 1, max: 4 }))
        .map((values) => claim(...values)),
      fc.tuple(fc.array(pick, { maxLength: 4 }), ms).map((values) => renew(...values)),
      fc.tuple(pick, ms, few, few).map((values) => postpone(...values)),
      fc.tuple(pick, ending).map((values) => settle(...values)),
      fc.nat({ max: 10 }).map(cancel),
      fc.option(functionName, { nil: undefined }).map(list),
      ms.map(pass),
      fc.constant(askNextDue()),
      fc.constant(restart()),
    ],
    { maxCommands: 40 },
  )
}
