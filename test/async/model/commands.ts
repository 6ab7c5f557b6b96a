import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { payloadOf } from '../../../src/model/payload.ts'
import type { Destination, Destinations } from '../../../src/store/outbox.ts'
import type { Fault } from './boundary.ts'
import type { Manner, RunEnd } from './engine.ts'
import { checkProgress, checkStore } from './invariants.ts'
import { ACCOUNT, type WebhookAnswer, type World } from './world.ts'

/** How far the disk gets before the next command: so many transactions, or as long as there is something to do. */
type Progress = number | 'quiet'

/** The model is the world's own ledger. */
export type WorldCommand = fc.AsyncCommand<object, World>

class Command implements WorldCommand {
  readonly #label: string
  readonly #run: (world: World) => Promise<void> | void
  readonly #progress: Progress

  constructor(label: string, progress: Progress, run: (world: World) => Promise<void> | void) {
    this.#label = label
    this.#progress = progress
    this.#run = run
  }

  check(): boolean {
    return true
  }

  async run(_model: object, world: World): Promise<void> {
    await this.#run(world)
    await world.idle()
    const { boundary } = world.process
    if (this.#progress === 'quiet') await boundary.quiet()
    else for (let count = 0; count < this.#progress; count += 1) await boundary.step()
    assert.deepEqual(world.lies, [])
    await checkStore(world)
    if (boundary.isQuiet) checkProgress(world)
  }

  toString(): string {
    return `${this.#label}${this.#progress === 'quiet' ? '' : ` …${this.#progress}`}`
  }
}

const FUNCTIONS = ['a', 'b', 'c'] as const
const POLICIES = [
  { maxRetries: 0, maxAgeMs: 600_000 },
  { maxRetries: 2, maxAgeMs: 600_000, backoff: { firstMs: 1000, longestMs: 3000 } },
  { maxRetries: 3, maxAgeMs: 20_000 },
  { maxRetries: 1, maxAgeMs: 600_000, refusals: { firstMs: 500, longestMs: 1000, forMs: 2000 } },
] as const

function to(target: Destination['target']): Destination {
  return { dialect: 'any', target }
}

const WEBHOOK = to({ kind: 'webhook', url: 'https://example.com/' })
const FUNCTION = to({ kind: 'function', account: ACCOUNT, namespace: 'default', name: 'b' })
const DESTINATIONS: readonly (Destinations | undefined)[] = [
  undefined,
  { onSuccess: WEBHOOK, onFailure: WEBHOOK },
  { onSuccess: FUNCTION, onFailure: to({ kind: 'unreachable', name: 'a topic' }) },
  { onFailure: FUNCTION },
]

interface Given {
  readonly name: (typeof FUNCTIONS)[number]
  readonly taskId: string | undefined
  readonly delayMs: number
  readonly policy: number
  readonly destinations: number
  readonly bytes: number
}

function submit(world: World, { name, taskId, delayMs, policy, destinations, bytes }: Given): void {
  const requestId = `r${world.submitted.size}`
  const event = requestId.padEnd(bytes, '.')
  world.submitted.set(requestId, event)
  const told = DESTINATIONS[destinations]
  const submission = {
    target: { account: ACCOUNT, namespace: 'default', name },
    requestId,
    payload: payloadOf(event),
    delayMs,
    policy: POLICIES[policy] ?? POLICIES[0],
    ...(taskId === undefined ? {} : { taskId }),
    ...(told === undefined ? {} : { destinations: told }),
  }
  const isKnown = (): boolean => world.ledger.find(requestId) !== undefined
  const passes = faultsOf(world)
  world.follow(
    world.process.service.submit(submission),
    () => assert.ok(isKnown(), `I1: ${requestId} was accepted before it was on disk`),
    (code) => {
      assert.ok(!isKnown(), `I1: ${requestId} was accepted, and refused`)
      const refusals = ['caller/task-exists', 'caller/queue-full', ...passes()]
      assert.ok(refusals.includes(code ?? ''), `${requestId} was refused with ${code}`)
    },
  )
}

/** What may be said of a disk that is broken, or was so since. */
function faultsOf(world: World): () => readonly string[] {
  const sinceMs = world.timeline.awakeMs
  return () => (world.isBrokenSince(sinceMs) ? ['platform/store-full', 'platform/store-failed'] : [])
}

function stop(world: World, index: number, graceMs: number, manner: Manner): void {
  const requestId = `r${index % (world.submitted.size + 1)}`
  world.process.engine.manner = manner
  world.ledger.stopsAsked.add(requestId)
  const passes = faultsOf(world)
  const wasThere = world.ledger.find(requestId) !== undefined
  world.follow(
    world.process.service.terminate(ACCOUNT, requestId, graceMs),
    (termination) => {
      const task = world.ledger.find(requestId)
      const isThere = task !== undefined && task.state !== 'forgotten'
      if (termination === 'unknown')
        assert.ok(!isThere || !wasThere, `I7: ${requestId} is there, and said to be unknown`)
      else if (isThere) {
        assert.equal(task.state, 'ended', `I7: ${requestId} is said to be ${termination}`)
        assert.ok(
          termination === 'ended' || task.endings.includes('cancelled'),
          `I7: ${requestId} ${termination}`,
        )
      }
    },
    (code) => {
      const isUnwritten = world.ledger.find(requestId)?.isUnwritten === true
      assert.ok(isUnwritten || passes().includes(code ?? ''), `a stop failed with ${code}`)
    },
  )
}

function operate(world: World, run: () => Promise<unknown>): void {
  const passes = faultsOf(world)
  world.follow(
    run(),
    () => undefined,
    (code) => assert.ok(['caller/queue-full', ...passes()].includes(code ?? ''), `refused with ${code}`),
  )
}

function endRun(world: World, index: number, how: RunEnd): void {
  const { engine } = world.process
  const { active } = engine
  const run = active[index % Math.max(1, active.length)]
  if (run !== undefined) engine.end(run, how)
}

/** Everything that can happen to a server, in any order. */
export function worldCommands(maxCommands: number): fc.Arbitrary<Iterable<WorldCommand>> {
  const progress = fc.oneof(
    { weight: 3, arbitrary: fc.constant<Progress>('quiet') },
    { weight: 2, arbitrary: fc.nat({ max: 2 }).map((steps): Progress => steps) },
  )
  const name = fc.constantFrom(...FUNCTIONS)
  const index = fc.nat({ max: 20 })
  const wallMs = fc.constantFrom(0, 0, -86_400_000, -700, 500, 3_600_000)
  const graceMs = fc.constantFrom(0, 0, 1000, 40_000)
  const ms = fc.constantFrom(1, 20, 500, 1000, 5000, 12_000)
  const command = <T>(
    values: fc.Arbitrary<T>,
    run: (world: World, value: T) => Promise<void> | void,
    label: string,
  ): fc.Arbitrary<WorldCommand> =>
    fc
      .tuple(values, progress)
      .map(
        ([value, far]) => new Command(`${label} ${JSON.stringify(value)}`, far, (world) => run(world, value)),
      )

  const given = fc.record<Given>({
    name,
    taskId: fc.option(fc.constantFrom('x', 'y'), { nil: undefined, freq: 2 }),
    delayMs: fc.constantFrom(0, 0, 0, 1500, 50_000),
    policy: fc.nat({ max: POLICIES.length - 1 }),
    destinations: fc.nat({ max: DESTINATIONS.length - 1 }),
    bytes: fc.constantFrom(10, 10, 90),
  })
  const submission = command(given, submit, 'submit')
  const ending = command(
    fc.tuple(
      index,
      fc.constantFrom<RunEnd>(
        'returned',
        'returned',
        'threw',
        'timedOut',
        'crashed',
        'initFailed',
        'terminated',
        'refused',
        'refused',
        'refusedForGood',
        'faulted',
      ),
    ),
    (world, [which, how]) => endRun(world, which, how),
    'end',
  )
  const stopping = command(
    fc.tuple(index, graceMs, fc.constantFrom<Manner>('obeys', 'succeeds', 'fails', 'lingers')),
    (world, [which, grace, manner]) => stop(world, which, grace, manner),
    'stop',
  )
  const passing = command(ms, (world, time) => world.timeline.pass(time, () => world.quiet()), 'pass')
  return fc.commands(
    [
      submission,
      submission,
      command(
        fc.tuple(given, fc.integer({ min: 2, max: 4 })),
        (world, [one, times]) => {
          for (let time = 0; time < times; time += 1) submit(world, one)
        },
        'submit several',
      ),
      ending,
      ending,
      ending,
      stopping,
      passing,
      passing,
      command(
        fc.constantFrom(100, 31_000, 100_000, 7_300_000),
        (world, time) => world.timeline.stall(time, () => world.idle()),
        'stall',
      ),
      command(fc.constantFrom(31_000, 31_000, 100_000), (world, time) => world.timeline.stand(time), 'stand'),
      command(
        fc.constantFrom(1000, 31_000, 100_000, 7_300_000),
        (world, time) => world.timeline.sleep(time),
        'sleep',
      ),
      command(
        fc.record(
          {
            name,
            isPaused: fc.boolean(),
            maxRuns: fc.constantFrom(null, 1, 3),
            maxTasks: fc.constantFrom(null, 0, 2),
          },
          { requiredKeys: ['name'] },
        ),
        (world, { name: functionName, ...change }) =>
          operate(world, () => world.process.service.control(ownerOf(functionName), change)),
        'control',
      ),
      command(
        fc.tuple(name, fc.integer({ min: 1, max: 4 })),
        (world, [functionName, limit]) =>
          operate(world, () => world.process.service.purgeWaiting(ownerOf(functionName), limit)),
        'purge',
      ),
      command(
        fc.tuple(name, fc.integer({ min: 1, max: 4 })),
        (world, [functionName, limit]) =>
          operate(world, () => world.process.service.redrive(ownerOf(functionName), limit)),
        'redrive',
      ),
      command(
        fc.record({ isCommitted: fc.boolean(), isTorn: fc.boolean(), wallMs }),
        (world, options) => world.crash(options),
        'crash',
      ),
      command(fc.tuple(graceMs, wallMs), (world, [grace, wall]) => world.restart(grace, wall), 'restart'),
      command(wallMs, (world, wall) => world.timeline.setWall(wall), 'setWall'),
      command(
        fc.constantFrom<readonly [Fault, number?]>(
          ['full'],
          ['full'],
          ['full', 1],
          ['failed', 1],
          ['failed', 2],
        ),
        (world, [fault, batches]) => world.breakDown(fault, batches),
        'break',
      ),
      command(fc.constant('disk'), (world) => world.heal(), 'heal'),
      command(
        fc.constantFrom<WebhookAnswer>('takes', 'fails', 'refuses', 'is silent'),
        (world, answer) => {
          world.webhooks = answer
        },
        'webhooks',
      ),
      command(
        fc.constant('ended'),
        (world) => operate(world, () => world.process.store.purgeEndedTasks()),
        'forget',
      ),
    ],
    { maxCommands, size: 'max' },
  )
}

function ownerOf(name: string): { account: string; namespace: string; name: string } {
  return { account: ACCOUNT, namespace: 'default', name }
}
