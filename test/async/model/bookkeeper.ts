import assert from 'node:assert/strict'
import type {
  InputOf,
  Operation,
  OperationName,
  OutputOf,
  Result,
} from '../../../src/store/sqlite/operations.ts'
import { deal } from './dealing.ts'
import { LIMITS, type KnownDelivery, type KnownTask, type Ledger } from './ledger.ts'
import { allowedAfter, isAllowed } from './policy.ts'

type Handlers = { readonly [K in OperationName]?: (input: InputOf<K>, output: OutputOf<K>) => void }

/**
 * Enters committed operations into a ledger, one after another; throws at the first that should not have come, or not have come to what
 * it came to.
 */
export class Bookkeeper {
  readonly #ledger: Ledger
  readonly #handlers: Handlers = {
    enqueueTask: (input) => this.#enqueued(input),
    claimTasks: (input, output) => this.#claimed(input, output),
    renewLeases: (input, output) => this.#renewed(input, output),
    postponeTask: (input, output) => this.#postponed(input, output),
    settleTask: (input, output) => this.#settled(input, output),
    cancelTask: (input, output) => this.#cancelled(input, output),
    controlQueue: (input) => this.#controlled(input),
    purgeWaiting: (input, output) => this.#purged(input, output),
    redriveTasks: (input, output) => this.#redriven(input, output),
    purgeTasks: (input) => this.#forgot(input),
    claimDeliveries: (_input, output) => this.#deliveriesClaimed(output),
    endDelivery: (input, output) => {
      if (output) this.#deliveryEnded(input)
    },
  }

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  readonly enter = <K extends OperationName>(operation: Operation<K>, result: Result): void => {
    if (!result.ok) {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- one of them
      this.#sawFailure(operation as unknown as Operation, result)
      return
    }
    const { name, input } = operation
    this.#handlers[name]?.(input, result.output)
  }

  #sawFailure({ name, input }: Operation, result: Extract<Result, { ok: false }>): void {
    if (name === 'enqueueTask') {
      const code = result.failure.kind === 'refused' ? result.failure.code : undefined
      const { functionName, payloadBytes } = input
      assert.equal(
        code === 'caller/task-exists',
        code !== undefined && this.#isTaken(input),
        'I4: an id that is not taken',
      )
      if (code === 'caller/queue-full')
        assert.ok(this.#isFull(functionName, payloadBytes), 'I11: there was room')
    }
    const isPut = name === 'settleTask' || name === 'postponeTask'
    const holder = isPut ? this.#ledger.holder(input.lease) : undefined
    if (holder !== undefined && result.failure.kind !== 'full') holder.isUnwritten = true
  }

  #isTaken({ functionName, taskId }: { readonly functionName: string; readonly taskId?: string }): boolean {
    return this.#ledger.tasks.some(
      (task) =>
        taskId !== undefined &&
        task.state !== 'forgotten' &&
        task.taskId === taskId &&
        task.functionName === functionName,
    )
  }

  #isFull(functionName: string, bytes: number): boolean {
    const { live } = this.#ledger
    const own = live.filter((task) => task.functionName === functionName)
    return (
      live.length >= LIMITS.maxQueuedTasks ||
      own.length >= (this.#ledger.of(functionName).maxTasks ?? LIMITS.maxQueuedTasksPerFunction) ||
      live.reduce((sum, task) => sum + task.bytes, bytes) > LIMITS.maxQueuedBytes
    )
  }

  #enqueued(input: InputOf<'enqueueTask'>): void {
    if (
      input.once === true &&
      this.#ledger.tasks.some((task) => task.requestId === input.requestId && task.state !== 'forgotten')
    )
      return
    assert.ok(!this.#isTaken(input), 'I4: an id that is taken was taken again')
    assert.ok(!this.#isFull(input.functionName, input.payloadBytes), 'I11: there was no room')
    this.#ledger.add(input, input.payloadBytes)
  }

  #claimed({ limit, nowMs, leaseMs, share }: InputOf<'claimTasks'>, output: OutputOf<'claimTasks'>): void {
    const dealt = deal(this.#ledger, limit, nowMs, {
      maxRuns: share?.maxRuns ?? 1,
      firstRuns: share?.firstRuns ?? 0,
    })
    for (const task of dealt.stopped) this.#ledger.end(task, ['cancelled'], nowMs)
    const ids = output.map(({ requestId }) => requestId)
    assert.deepEqual(
      ids,
      dealt.tasks.map(({ requestId }) => requestId),
      'I6, I11: the wrong tasks were claimed',
    )
    for (const [index, task] of dealt.tasks.entries()) {
      const { lease, attempts, deferrals, lostRuns } = output[index]!
      assert.ok(!this.#ledger.leases.has(lease), 'I3: a lease was given twice')
      assert.ok(!task.isStopped, 'I7: a task whose stop is on disk is run again')
      this.#ledger.leases.add(lease)
      this.#ledger.wrote(nowMs)
      const isLate = task.state === 'leased'
      if (isLate) this.#requireLoss(task, nowMs)
      if (isLate) task.lostRuns += 1
      if (isLate || task.mayBeRunning) this.#ledger.of(task.functionName).duplicates += 1
      const known = [task.attempts, task.deferrals, task.lostRuns]
      assert.deepEqual([attempts, deferrals, lostRuns], known, 'I4: what happened to a task was forgotten')
      Object.assign(task, {
        state: 'leased',
        lease,
        claimedAtMs: nowMs,
        startedAtMs: task.startedAtMs ?? nowMs,
        dueAtMs: nowMs + leaseMs,
        mayBeRunning: false,
        isUnwritten: false,
      })
    }
  }

  /** A run whose end is known is repeated only when that could not be written, for another reason than a full disk. */
  #requireLoss(task: KnownTask, nowMs: number): void {
    const run = this.#ledger.runs.get(task.lease ?? '')
    if (run?.end === undefined || run.caller.gone || task.isUnwritten) return
    assert.ok(run.end.atMs >= nowMs, 'I8: the result of a run is known, and the task is run again')
  }

  #renewed({ leases, untilMs }: InputOf<'renewLeases'>, output: OutputOf<'renewLeases'>): void {
    for (const [index, lease] of leases.entries()) {
      const holder = this.#ledger.holder(lease)
      assert.equal(output[index], holder !== undefined, 'I3: only a current lease is renewed')
      if (holder !== undefined) holder.dueAtMs = untilMs
    }
  }

  #postponed({ lease, next, nowMs }: InputOf<'postponeTask'>, output: boolean): void {
    const task = this.#ledger.holder(lease)
    assert.equal(output, task !== undefined, 'I3: only a current lease puts a task back')
    if (task === undefined) return
    const isGivenBack =
      this.#ledger.isDraining && next.attempts === task.attempts && next.deferrals === task.deferrals
    const allowed = allowedAfter(
      task,
      this.#ledger.runs.get(lease),
      this.#ledger.stopsAsked.has(task.requestId),
      nowMs,
    )
    assert.ok(isGivenBack || isAllowed(allowed, next), `I5: ${JSON.stringify({ next, allowed })}`)
    if (task.isStopped) {
      task.attempts = next.attempts
      this.#ledger.end(task, ['cancelled'], nowMs)
      return
    }
    this.#ledger.wrote(nowMs)
    const how = next.how ?? (next.deferrals > 0 ? 'refused' : 'failed')
    const { dueAtMs, attempts, deferrals } = next
    Object.assign(task, {
      state: 'waiting',
      dueAtMs,
      attempts,
      deferrals,
      mayBeRunning: how === 'interrupted',
    })
    if (how === 'refused') this.#ledger.of(task.functionName).refusals += 1
    if (how === 'failed') this.#ledger.of(task.functionName).repeats += 1
  }

  #settled({ lease, settlement, nowMs }: InputOf<'settleTask'>, output: boolean): void {
    const task = this.#ledger.holder(lease)
    assert.equal(output, task !== undefined, 'I3: only a current lease settles')
    if (task === undefined) return
    const { ending, attempts, delivery } = settlement
    const isStopped = this.#ledger.stopsAsked.has(task.requestId)
    const allowed = allowedAfter(task, this.#ledger.runs.get(lease), isStopped, nowMs)
    assert.ok(isAllowed(allowed, settlement), `I5, I7: ${JSON.stringify({ ending, attempts, allowed })}`)
    task.attempts = attempts
    this.#ledger.end(task, task.isStopped && ending !== 'succeeded' ? ['cancelled', ending] : [ending], nowMs)
    // Nobody is told of what was stopped.
    if (delivery === undefined || (task.isStopped && ending !== 'succeeded')) return
    const { body, ...rest } = delivery
    const known = { ...rest, body: Buffer.from(body).toString() }
    this.#ledger.deliveries.push({ delivery: known, state: 'live', lease: undefined, endedAtMs: 0 })
  }

  #cancelled({ requestId, nowMs }: InputOf<'cancelTask'>, output: OutputOf<'cancelTask'>): void {
    const task = this.#ledger.tasks.find((one) => one.requestId === requestId && one.state !== 'forgotten')
    if (task === undefined) {
      assert.equal(output, undefined)
      return
    }
    if (task.state === 'ended')
      assert.ok(
        task.endings.some((ending) => ending === output),
        'I2: a task ended anew',
      )
    else assert.equal(output, task.state === 'leased' ? 'running' : 'waiting')
    if (task.state === 'waiting') this.#ledger.end(task, ['cancelled'], nowMs)
    if (task.state !== 'leased') return
    this.#ledger.wrote(nowMs)
    task.isStopped = true
  }

  #controlled({ owner, change }: InputOf<'controlQueue'>): void {
    const known = this.#ledger.of(owner.name)
    if (change.isPaused !== undefined) known.isPaused = change.isPaused
    if (change.maxRuns !== undefined) known.maxRuns = change.maxRuns ?? undefined
    if (change.maxTasks !== undefined) known.maxTasks = change.maxTasks ?? undefined
  }

  #purged({ owner, limit, nowMs }: InputOf<'purgeWaiting'>, output: number): void {
    const waiting = this.#ledger.tasks
      .filter((task) => task.functionName === owner.name && task.state === 'waiting')
      .toSorted((a, b) => a.dueAtMs - b.dueAtMs)
      .slice(0, limit)
    assert.equal(output, waiting.length)
    for (const task of waiting) this.#ledger.end(task, ['cancelled'], nowMs)
  }

  #redriven({ owner, limit, nowMs }: InputOf<'redriveTasks'>, output: OutputOf<'redriveTasks'>): void {
    const failed = this.#ledger.tasks.filter(
      ({ functionName, state, endings, isRedriven }) =>
        functionName === owner.name &&
        state === 'ended' &&
        !isRedriven &&
        (endings.includes('failed') || endings.includes('expired')),
    )
    assert.ok(output.length <= Math.min(limit, failed.length))
    for (const { requestId, causedBy } of output) {
      const task = failed.find((one) => one.requestId === causedBy && !one.isRedriven)
      assert.ok(task !== undefined, 'I2: something was accepted anew that did not fail, or twice')
      task.isRedriven = true
      const { functionName, expiresAtMs, acceptedAtMs, maxRetries, backoff, refusals, destinations } = task
      const times = { acceptedAtMs: nowMs, dueAtMs: nowMs, expiresAtMs: nowMs + expiresAtMs - acceptedAtMs }
      const anew = { account: '', namespace: '', requestId, causedBy, functionName, maxRetries, ...times }
      this.#ledger.add({ ...anew, ...defined({ backoff, refusals, destinations }) }, task.bytes)
    }
  }

  #forgot({ endedBeforeMs }: InputOf<'purgeTasks'>): void {
    for (const task of this.#ledger.tasks)
      if (task.state === 'ended' && task.endedAtMs < endedBeforeMs) task.state = 'forgotten'
    for (const one of this.#ledger.deliveries)
      if (one.state === 'undeliverable' && one.endedAtMs < endedBeforeMs) one.state = 'forgotten'
  }

  #deliveriesClaimed(output: OutputOf<'claimDeliveries'>): void {
    for (const { deliveryId, lease } of output) {
      const one = this.#delivery(({ delivery }) => delivery.deliveryId === deliveryId)
      assert.equal(one.state, 'live', 'I10: a delivery that has ended was handed out')
      one.lease = lease
    }
  }

  #deliveryEnded({ lease, lastError, nowMs }: InputOf<'endDelivery'>): void {
    const one = this.#delivery((known) => known.lease === lease)
    assert.equal(one.state, 'live', 'I10: a delivery ended twice')
    one.state = lastError === undefined ? 'delivered' : 'undeliverable'
    one.endedAtMs = nowMs
  }

  #delivery(matches: (one: KnownDelivery) => boolean): KnownDelivery {
    const one = this.#ledger.deliveries.find(matches)
    assert.ok(one !== undefined, 'I10: a delivery that nobody wrote')
    return one
  }
}

function defined<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as never
}
