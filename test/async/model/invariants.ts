import assert from 'node:assert/strict'
import type { TaskRecord } from '../../../src/store/task-queue.ts'
import { deal } from './dealing.ts'
import { SHARE, type KnownTask, type Ledger } from './ledger.ts'
import { ACCOUNT, type World } from './world.ts'

/** A look after a fault may be late by this while the machine is awake, and the shortest timer by that. */
const RECOVERY_MS = 2000
const SHORTEST_SLEEP_MS = 20

/** Everything that holds between any two transactions, whatever is under way. */
export async function checkStore({ ledger, process, posted }: World): Promise<void> {
  const { boundary, clock } = process
  const everything = { account: ACCOUNT, limit: 1000 }
  const [audit, listed, counters, told] = await boundary.ask(
    { name: 'auditQueues', input: null },
    { name: 'listTasks', input: { filter: { ...everything, order: 'oldest' } } },
    { name: 'countTasks', input: { account: ACCOUNT } },
    { name: 'listDeliveries', input: { filter: { ...everything, withBody: true } } },
  )
  assert.deepEqual(audit, { imbalance: 0, miscounted: 0, strayPayloads: 0 }, 'I2: the counters are wrong')
  const records = new Map(listed.tasks.map((record) => [record.requestId, record]))
  for (const task of ledger.tasks) {
    const record = records.get(task.requestId)
    if (task.state === 'forgotten') assert.equal(record, undefined)
    else assert.ok(record !== undefined, `I1, I8: ${task.requestId} is lost`)
    if (record !== undefined) checkRecord(task, record, ledger)
  }
  assert.equal(
    records.size,
    ledger.tasks.filter(({ state }) => state !== 'forgotten').length,
    'I2: there is a task that was not accepted',
  )
  for (const { name, accepted, waiting, running, duplicates, refusals, repeats, ...rest } of counters) {
    const known = ledger.of(name)
    const own = ledger.tasks.filter((task) => task.functionName === name)
    const count = (state: KnownTask['state']): number => own.filter((task) => task.state === state).length
    const { succeeded, failed, expired, cancelled } = rest
    assert.deepEqual(
      {
        accepted,
        waiting,
        running,
        duplicates,
        refusals,
        repeats,
        ended: { succeeded, failed, expired, cancelled },
      },
      {
        accepted: known.accepted,
        waiting: count('waiting'),
        running: count('leased'),
        duplicates: known.duplicates,
        refusals: known.refusals,
        repeats: known.repeats,
        ended: known.ended,
      },
      'I2, I4: counted is not what happened',
    )
  }
  const live = new Map(told.deliveries.map((one) => [one.deliveryId, one]))
  for (const { delivery, state } of ledger.deliveries) {
    const record = live.get(delivery.deliveryId)
    if (state === 'live' || state === 'undeliverable') {
      assert.ok(record !== undefined, 'I10: a delivery is lost')
      assert.equal(
        record.status === 'undeliverable',
        state === 'undeliverable',
        'I10: a delivery ended otherwise',
      )
      assert.equal(Buffer.from(record.body ?? []).toString(), delivery.body)
    } else assert.equal(record, undefined, 'I10: a delivery that has ended is there')
  }
  assert.equal(
    live.size,
    ledger.deliveries.filter(({ state }) => state === 'live' || state === 'undeliverable').length,
  )
  checkTellings(ledger, posted)
  assert.ok(clock.now() >= ledger.latestMs, 'I9: time goes back')
}

function checkRecord(
  task: KnownTask,
  record: Pick<TaskRecord, 'status'> & Omit<TaskRecord, 'payload'>,
  ledger: Ledger,
): void {
  const { status } = record
  if (task.state === 'ended') {
    const ending = task.endings.find((one) => one === status)
    assert.ok(
      ending !== undefined,
      `I2, I7: ${task.requestId} is ${status}, not ${task.endings.join(' or ')}`,
    )
    if (!task.isCounted) ledger.of(task.functionName).ended[ending] += 1
    task.isCounted = true
    task.endings = [ending]
    task.endedAtMs = record.endedAtMs ?? 0
  } else assert.equal(status, task.state === 'leased' ? 'running' : 'waiting', `I2: ${task.requestId}`)
  const { attempts, lostRuns, acceptedAtMs, startedAtMs, claimedAtMs, endedAtMs } = record
  assert.deepEqual(
    [attempts, lostRuns, acceptedAtMs],
    [task.attempts, task.lostRuns, task.acceptedAtMs],
    task.requestId,
  )
  const line = [acceptedAtMs, startedAtMs, claimedAtMs, endedAtMs].filter((ms) => ms !== undefined)
  assert.deepEqual(
    line,
    line.toSorted((a, b) => a - b),
    `I9: ${task.requestId} ended or began before its time`,
  )
  if (task.state === 'leased')
    assert.equal(record.stopRequestedAtMs !== undefined, task.isStopped, 'I7: a stop is not on disk')
}

/** One delivery for each ending that somebody is to be told of; each with one effect. */
function checkTellings({ tasks, deliveries }: Ledger, posted: World['posted']): void {
  for (const task of tasks) {
    if (task.state !== 'ended') continue
    const [ending] = task.endings
    const destination = ending === 'succeeded' ? task.destinations?.onSuccess : task.destinations?.onFailure
    const isTold = destination !== undefined && ending !== 'cancelled'
    const own = deliveries.filter(({ delivery }) => delivery.requestId === task.requestId)
    assert.equal(own.length, isTold ? 1 : 0, `I10: ${task.requestId} ended as ${ending}`)
  }
  for (const { delivery, state } of deliveries) {
    const { deliveryId, destination, body } = delivery
    const bodies = posted.get(deliveryId) ?? []
    assert.ok(
      bodies.every((one) => one === body),
      'I10: one delivery said two things',
    )
    const made = tasks.filter(({ requestId }) => requestId === deliveryId).length
    if (destination.target.kind === 'webhook') assert.ok(state !== 'delivered' || bodies.length > 0)
    if (destination.target.kind === 'function')
      assert.ok(made === 1 || (made === 0 && state !== 'delivered'), 'I10')
    if (destination.target.kind === 'unreachable') assert.notEqual(state, 'delivered')
  }
}

/** What holds once nothing is under way but runs and timers. */
export function checkProgress(world: World): void {
  const { ledger, process } = world
  const { engine, boundary } = process
  const { parallelRuns, firstRuns, parallelRunsPerFunction: maxRuns } = SHARE
  const running = engine.active.length
  assert.ok(running <= parallelRuns + firstRuns, 'I11: more runs than places')
  for (const run of engine.runs.values()) {
    if (run.end !== undefined) continue
    const holder = ledger.holder(run.task.lease)
    if (holder === undefined) continue
    assert.equal(run.payload, eventOf(holder, world), 'I4: another event')
    assert.equal(run.retryCount, holder.attempts, 'I4: another count of attempts')
    if (holder.isStopped)
      assert.ok(run.stoppedWithMs !== undefined || boundary.isBroken, 'I7: a stopped run was not told to end')
  }
  if (world.isBrokenSince(world.timeline.awakeMs - RECOVERY_MS)) return
  // Whoever is late is about to look.
  if ((world.timeline.nextInMs ?? Number.POSITIVE_INFINITY) <= SHORTEST_SLEEP_MS) return
  const places = Math.max(0, parallelRuns - running)
  const first = firstRuns - Math.max(0, running - parallelRuns)
  const { tasks } = deal(ledger, places, world.nowMs - SHORTEST_SLEEP_MS, { maxRuns, firstRuns: first })
  assert.deepEqual(
    tasks.map(({ requestId }) => requestId),
    [],
    'I6: there are places, and tasks that are due are not begun',
  )
}

/** What a task was given: by whoever submitted it, by the delivery that made it, or by the task that it repeats. */
function eventOf(task: KnownTask, world: World): string | undefined {
  const { ledger, submitted } = world
  const own = submitted.get(task.requestId)
  if (own !== undefined) return own
  const told = ledger.deliveries.find(({ delivery }) => delivery.deliveryId === task.requestId)
  if (told !== undefined) return told.delivery.body
  const cause = ledger.find(task.causedBy ?? '')
  return cause === undefined ? undefined : eventOf(cause, world)
}
