import * as fc from 'fast-check'
import { expect } from 'vitest'
import type {
  TaskEnding,
  TaskLookup,
  TaskOperations,
  TaskQueue,
  TaskRecord,
} from '../../../src/store/task-queue.ts'
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
  stopRequested: boolean
  mayBeRunning: boolean
}

/** What is set and counted for a function. */
interface ModelFunction {
  isPaused: boolean
  maxRuns: number | undefined
  duplicates: number
  refusals: number
  repeats: number
}

interface RealQueue {
  readonly tasks: () => TaskQueue & TaskLookup & TaskOperations
  readonly restart: () => Promise<void>
}

/** What a queue should hold, in the simplest form. */
export class QueueModel {
  static readonly MAX_TASKS = 6
  nowMs = 1000
  readonly tasks: ModelTask[] = []
  /** Every lease ever given, current or not. */
  readonly leases: string[] = []
  readonly #functions = new Map<string, ModelFunction>()

  of(functionName: string): ModelFunction {
    const known = this.#functions.get(functionName)
    if (known !== undefined) return known
    const made = { isPaused: false, maxRuns: undefined, duplicates: 0, refusals: 0, repeats: 0 }
    this.#functions.set(functionName, made)
    return made
  }

  waiting(): ModelTask[] {
    return this.tasks.filter(({ state }) => state !== 'ended')
  }

  /**
   * Each place to the function that runs the fewest, of those to the one whose task has been due longest. Tasks whose run is lost end
   * instead when their stop was requested.
   */
  due(limit: number, maxRuns: number): ModelTask[] {
    const left = this.waiting()
      .filter(({ dueAtMs }) => dueAtMs <= this.nowMs)
      .toSorted((a, b) => a.dueAtMs - b.dueAtMs || this.tasks.indexOf(a) - this.tasks.indexOf(b))
    const running = new Map<string, number>()
    for (const { functionName, state } of this.tasks)
      if (state === 'leased') running.set(functionName, (running.get(functionName) ?? 0) + 1)
    const runsOf = ({ functionName }: ModelTask): number => running.get(functionName) ?? 0
    const taken: ModelTask[] = []
    while (taken.length < limit) {
      const mayRun = (task: ModelTask): boolean => this.mayRun(task, runsOf(task), maxRuns)
      const heads = left.filter(
        (task) => left.find((other) => other.functionName === task.functionName && mayRun(other)) === task,
      )
      const [next] = heads.toSorted((a, b) => runsOf(a) - runsOf(b))
      if (next === undefined) break
      left.splice(left.indexOf(next), 1)
      if (next.stopRequested) {
        // Its run is lost, and none follows.
        Object.assign(next, { state: 'ended', ending: 'cancelled' })
        running.set(next.functionName, runsOf(next) - 1)
        continue
      }
      taken.push(next)
      if (next.state !== 'leased') running.set(next.functionName, runsOf(next) + 1)
    }
    return taken
  }

  /** Whether a task of a function that runs `runs` may be taken once it is due. */
  mayRun({ functionName, state, stopRequested }: ModelTask, runs: number, maxRuns: number): boolean {
    const own = this.of(functionName)
    // Of a paused function only what ends with its lease, and is not run again.
    if (own.isPaused) return state === 'leased' && stopRequested
    // The end of a lease needs no place.
    return state === 'leased' || runs < (own.maxRuns ?? maxRuns)
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
        stopRequested: false,
        mayBeRunning: false,
      }
      model.tasks.push({ requestId, functionName, taskId, state: 'waiting', dueAtMs, ...fresh })
    }
  })
}

function claim(limit: number, leaseMs: number, maxRuns: number): QueueCommand {
  return command(`claim(${limit}, ${leaseMs}, ${maxRuns})`, async (model, real) => {
    const expected = model.due(limit, maxRuns)
    const claimed = await real.tasks().claim(limit, model.nowMs, leaseMs, { maxRuns })
    for (const task of expected) {
      if (task.state === 'leased') task.lostRuns += 1
      if (task.state === 'leased' || task.mayBeRunning) model.of(task.functionName).duplicates += 1
      task.mayBeRunning = false
    }
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
    if (holder === undefined) return
    if (holder.stopRequested) Object.assign(holder, { state: 'ended', ending: 'cancelled' })
    else {
      Object.assign(holder, { state: 'waiting', ...next })
      if (deferrals > 0) model.of(holder.functionName).refusals += 1
      else model.of(holder.functionName).repeats += 1
    }
  })
}

function settle(pick: number, ending: TaskEnding): QueueCommand {
  return command(`settle(${pick}, ${ending})`, async (model, real) => {
    const lease = model.pick(pick)
    const holder = model.holder(lease)
    expect(await real.tasks().settle(lease, { ending, attempts: 1 })).toBe(holder !== undefined)
    if (holder === undefined) return
    const isStopped = holder.stopRequested && ending !== 'succeeded'
    Object.assign(holder, { state: 'ended', ending: isStopped ? 'cancelled' : ending })
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

function requestStop(index: number): QueueCommand {
  return command(`requestStop(${index})`, async (model, real) => {
    const requestId = `r${index}`
    const task = model.tasks.find((known) => known.requestId === requestId)
    const found = await real.tasks().requestStop(newTask().account, requestId, model.nowMs)
    expect(found).toBe(task === undefined ? undefined : statusOf(task))
    if (task?.state === 'waiting') Object.assign(task, { state: 'ended', ending: 'cancelled' })
    if (task?.state === 'leased') task.stopRequested = true
  })
}

function control(functionName: string, isPaused: boolean, maxRuns: number | null): QueueCommand {
  return command(`control(${functionName}, ${isPaused}, ${maxRuns})`, async (model, real) => {
    const { account, namespace } = newTask()
    await real.tasks().control({ account, namespace, name: functionName }, { isPaused, maxRuns })
    Object.assign(model.of(functionName), { isPaused, maxRuns: maxRuns ?? undefined })
  })
}

/** What is counted is what is there, and what should be. */
function audit(): QueueCommand {
  return command('audit()', async (model, real) => {
    expect(await real.tasks().audit()).toEqual({ imbalance: 0, miscounted: 0, strayPayloads: 0 })
    for (const counters of await real.tasks().counters({ account: newTask().account })) {
      const own = model.tasks.filter(({ functionName }) => functionName === counters.name)
      const { duplicates, refusals, repeats } = model.of(counters.name)
      const count = (status: TaskRecord['status']): number =>
        own.filter((task) => statusOf(task) === status).length
      const due = own.filter((task) => statusOf(task) === 'waiting').map(({ dueAtMs }) => dueAtMs)
      expect(counters.next?.dueAtMs).toBe(due.length === 0 ? undefined : Math.min(...due))
      expect(counters).toMatchObject({
        accepted: own.length,
        waiting: count('waiting'),
        running: count('running'),
        succeeded: count('succeeded'),
        failed: count('failed'),
        expired: count('expired'),
        cancelled: count('cancelled'),
        duplicates,
        refusals,
        repeats,
      })
    }
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
    const times = model
      .waiting()
      .filter((task) => {
        const runs = model.tasks.filter(
          ({ functionName, state }) => functionName === task.functionName && state === 'leased',
        )
        return model.mayRun(task, runs.length, Number.POSITIVE_INFINITY)
      })
      .map(({ dueAtMs }) => dueAtMs)
    expect(await real.tasks().nextDueAtMs()).toBe(times.length === 0 ? undefined : Math.min(...times))
  })
}

function restart(): QueueCommand {
  return command('restart()', async (model, real) => {
    await real.restart()
    for (const task of model.tasks)
      if (task.state === 'leased') {
        if (task.stopRequested) {
          Object.assign(task, { state: 'ended', ending: 'cancelled' })
          continue
        }
        task.state = 'waiting'
        task.dueAtMs = task.claimedAtMs
        task.lostRuns += 1
        task.mayBeRunning = true
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
        .tuple(
          fc.integer({ min: 1, max: 4 }),
          fc.integer({ min: 1, max: 100 }),
          fc.integer({ min: 1, max: 4 }),
        )
        .map((values) => claim(...values)),
      fc.tuple(fc.array(pick, { maxLength: 4 }), ms).map((values) => renew(...values)),
      fc.tuple(pick, ms, few, few).map((values) => postpone(...values)),
      fc.tuple(pick, ending).map((values) => settle(...values)),
      fc.nat({ max: 10 }).map(cancel),
      fc.nat({ max: 10 }).map(requestStop),
      fc.tuple(functionName, fc.boolean(), fc.constantFrom(null, 1, 2)).map((values) => control(...values)),
      fc.constant(audit()),
      fc.option(functionName, { nil: undefined }).map(list),
      ms.map(pass),
      fc.constant(askNextDue()),
      fc.constant(restart()),
    ],
    { maxCommands: 40, size: 'max' },
  )
}
