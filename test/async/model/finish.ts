import assert from 'node:assert/strict'
import { checkProgress, checkStore } from './invariants.ts'
import { ACCOUNT, type World } from './world.ts'

/** More timers than the longest way to the end has. */
const MAX_TIMERS = 500

/** Nothing is in the way any more, and every run succeeds: then each task comes to its one ending. */
export async function finish(world: World): Promise<void> {
  const { ledger, process, timeline } = world
  const { engine, boundary, service } = process
  world.heal()
  world.webhooks = 'takes'
  engine.isSwift = true
  await boundary.quiet()
  for (const name of ledger.functions.keys())
    world.follow(
      service.control({ account: ACCOUNT, namespace: 'default', name }, { isPaused: false, maxRuns: null }),
      () => undefined,
      (code) => assert.fail(`refused with ${code}`),
    )
  for (const run of engine.active) engine.end(run, 'returned')
  await boundary.quiet()
  for (let timers = 0; ledger.live.length > 0 || isTelling(world) || world.open.size > 0; timers += 1) {
    const { nextInMs } = timeline
    assert.ok(nextInMs !== undefined, `I8: nothing is going to happen, and ${liveOf(world)} wait`)
    assert.ok(timers < MAX_TIMERS, `I5, I8: ${liveOf(world)} come to no end`)
    await timeline.pass(nextInMs, () => boundary.quiet())
    assert.deepEqual(world.lies, [])
  }
  await checkStore(world)
  checkProgress(world)
  assert.deepEqual(world.lies, [])
  for (const task of ledger.tasks)
    assert.ok(task.state === 'forgotten' || task.endings.length === 1, `I2: ${task.requestId} has no ending`)
  await world.restart(0, 0)
  await checkStore(world)
}

function isTelling({ ledger }: World): boolean {
  return ledger.deliveries.some(({ state }) => state === 'live')
}

function liveOf({ ledger, open }: World): string {
  const tasks = ledger.live.map(({ requestId, state }) => `${requestId} ${state}`)
  const deliveries = ledger.deliveries.filter(({ state }) => state === 'live').length
  return `${tasks.join(', ')}, ${deliveries} deliveries, ${open.size} promises`
}
