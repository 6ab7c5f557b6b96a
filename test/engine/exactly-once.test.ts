import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Rig, textOf, type Pending } from '../helpers/engine-rig.ts'
import { echo, type Script } from '../helpers/scripted-sandbox.ts'
import { aVersion } from '../helpers/versions.ts'

/** What a process does with one call, or instead of it. */
type Act =
  'answer' | 'throw' | 'hang' | 'answer, then hang' | 'exit' | 'answer, then exit' | 'exit first' | 'garbage'
const act = fc.oneof(
  { weight: 12, arbitrary: fc.constant<Act>('answer') },
  {
    weight: 5,
    arbitrary: fc.constantFrom<Act[]>(
      'throw',
      'hang',
      'answer, then hang',
      'exit',
      'answer, then exit',
      'exit first',
      'garbage',
    ),
  },
)
const acts = fc.array(fc.array(act, { minLength: 1, maxLength: 12 }), { maxLength: 8 })

const forever = new Promise<never>(() => undefined)

const player =
  (list: readonly Act[]): Script =>
  async (process) => {
    await process.begin()
    process.ready()
    for (const one of list) {
      if (one === 'exit first') {
        await process.holds(1)
        return process.exit(9)
      }
      const call = await process.next()
      if (one.startsWith('answer')) process.answer(call)
      if (one === 'throw') process.throwError(call, 'Error', 'no')
      if (one === 'garbage') process.write(Buffer.alloc(64, 0xff))
      if (one.endsWith('hang')) await forever
      if (one.endsWith('exit')) return process.exit(1)
    }
    await process.serve((call) => process.answer(call))
  }

/** When, in turns of the test's loop, calls come in, callers hang up and the version is replaced. */
const plan = fc.record({
  processes: acts,
  concurrency: fc.constantFrom(1, 1, 2, 5),
  maxInstances: fc.integer({ min: 1, max: 4 }),
  bursts: fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 10 }),
  hangUps: fc.array(fc.nat(60), { maxLength: 5 }),
  retireAt: fc.option(fc.nat(12), { nil: undefined }),
})

/** How often a call may have begun, by how it ended. */
const ALLOWED: ReadonlySet<string> = new Set([
  'returned 1',
  'threw 1',
  'cancelled 1',
  'timedOut 1',
  'crashed 1',
  // The process held the call's ticket, kept from a revoked one, and ended before it came to the call.
  'cancelled 0',
  'timedOut 0',
  'crashed 0',
  'caller/gone 0',
  'platform/no-capacity 0',
])

async function historyOf(rig: Rig, { call, ending }: Pending): Promise<string> {
  return `${await ending} ${rig.sandbox.begun.get(call.request.requestId) ?? 0}`
}

/** What a call returned; undefined for every other ending. */
async function answerOf({ outcome }: Pending): Promise<string | undefined> {
  const ended = await outcome.catch(() => undefined)
  return ended?.kind === 'returned' ? textOf(ended) : undefined
}

test('whatever processes do, each call is settled once, and begun once or, when refused, never', async () => {
  await fc.assert(
    fc.asyncProperty(plan, async ({ processes, concurrency, maxInstances, bursts, hangUps, retireAt }) => {
      const rig = await Rig.open({
        script: (index) => {
          const list = processes[index]
          return list === undefined ? echo : player(list)
        },
        limits: { maxInstances, maxConcurrentStarts: 2 },
      })
      try {
        const version = aVersion({ instanceConcurrency: concurrency, timeoutMs: 15 })
        const calls: Pending[] = []
        let open = 0
        for (let turn = 0; turn < 2000 && (turn < bursts.length || open > 0); turn += 1) {
          for (let index = 0; index < (bursts[turn] ?? 0); index += 1) {
            const call = rig.call(version, `event ${calls.length}`)
            calls.push(call)
            open += 1
            void call.ending.then(() => (open -= 1))
          }
          if (turn === retireAt) rig.pool.retire([version.id])
          for (const at of hangUps) if (at === turn * 5) calls.at(-1)?.caller.hangUp()
          rig.nowMs += 2
          await new Promise((resolve) => setTimeout(resolve, 1))
        }
        expect(open).toBe(0)
        const histories = await Promise.all(calls.map((call) => historyOf(rig, call)))
        expect(histories.filter((history) => !ALLOWED.has(history))).toEqual([])
        const answers = await Promise.all(calls.map(answerOf))
        expect(answers).toEqual(answers.map((answer, index) => answer && `event ${index}`))
      } finally {
        await rig.close()
      }
    }),
    { numRuns: 150, endOnFailure: true },
  )
}, 120_000)
