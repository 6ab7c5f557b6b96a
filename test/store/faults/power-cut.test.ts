import { mkdirSync } from 'node:fs'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { SqliteStore } from '../../../src/store/sqlite/sqlite-store.ts'
import { newTask } from '../../contracts/store/task.ts'
import { Disk, type Loss } from './disk.ts'
import { record, whyNotTraced, type FileEvent } from './system-calls.ts'

const WORKING_STORE = fileURLToPath(new URL('./working-store.ts', import.meta.url))
const { account } = newTask()
/** Power cuts that are tried: half of them just after something was acknowledged. */
const CUTS = 24

/** Repeatable: what was found once can be looked at again. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** Indexes of events before which the power fails: spread over all of the recording, and one at its end. */
function cutsIn(events: readonly FileEvent[], random: () => number): readonly number[] {
  const said = events.flatMap(({ kind }, index) => (kind === 'said' ? [index + 1] : []))
  const pick = (from: readonly number[], part: number, parts: number): number =>
    from[Math.floor(((part + random()) / parts) * from.length)] ?? 0
  const all = events.map((_, index) => index)
  const cuts = Array.from({ length: CUTS }, (_, part) => pick(part % 2 === 0 ? said : all, part, CUTS))
  return [...cuts, events.length].toSorted((a, b) => a - b)
}

test('a power cut loses nothing that was acknowledged, whatever of the rest reached the disk', async (context) => {
  const missing = whyNotTraced()
  context.skip(missing !== '', missing)
  const root = await realpath(await mkdtemp(join(tmpdir(), 'anvoke-power-')))
  try {
    const dir = join(root, 'recorded')
    mkdirSync(dir)
    const events = record(dir, join(root, 'calls.log'), [WORKING_STORE, join(dir, 'store.db'), '120'])
    const random = randomFrom(7)
    const cuts = cutsIn(events, random)
    const disk = new Disk(dir)
    const accepted = new Set<string>()
    const ended = new Map<string, string>()
    let tried = 0
    for (const [index, event] of [...events, undefined].entries()) {
      while (cuts[tried] === index) {
        const loss: Loss = (['all', 'some', 'some', 'none'] as const)[tried % 4] ?? 'some'
        const found = join(root, `cut-${tried}`)
        mkdirSync(found)
        disk.writeTo(found, loss, random)
        await expectKept(join(found, 'store.db'), accepted, ended, `cut ${tried} at ${index}, ${loss} lost`)
        await rm(found, { recursive: true })
        tried += 1
      }
      if (event === undefined) break
      if (event.kind === 'said') {
        const [, sign, id = '', ending = ''] = /^(.)(\S+) ?(\S*)$/.exec(event.line) ?? []
        if (sign === '+') accepted.add(id)
        else if (sign === '-') ended.set(id, ending)
        else throw new Error(`the store said ${event.line}`)
      }
      disk.apply(event)
    }
    expect(tried).toBe(CUTS + 1)
    expect(accepted.size).toBe(240)
    expect(ended.size).toBeGreaterThan(20)
  } finally {
    await rm(root, { recursive: true })
  }
}, 60_000)

/** Starts a store on what a power cut left, and looks for everything that was acknowledged. */
async function expectKept(
  file: string,
  accepted: ReadonlySet<string>,
  ended: ReadonlyMap<string, string>,
  when: string,
): Promise<void> {
  const store = await SqliteStore.open({ file, now: () => 1 })
  try {
    const { tasks } = await store.tasks.list({ account, limit: 1000, withPayload: true })
    const { deliveries } = await store.outbox.listDeliveries({ account, limit: 1000 })
    const there = new Map(tasks.map((task) => [task.requestId, task]))
    const told = new Set(deliveries.map(({ requestId }) => requestId))
    const hasEnded = tasks.filter(({ status }) => status === 'succeeded' || status === 'failed')
    expect({
      when,
      audit: await store.tasks.audit(),
      lost: [...accepted].filter((id) => !there.has(id)),
      notAsTheyEnded: [...ended].filter(([id, ending]) => there.get(id)?.status !== ending),
      notWhole: tasks.filter(({ requestId, payload }) => !isWhole(requestId, payload)),
      // What was leased is due again: nothing runs in a server that has just begun.
      running: tasks.filter(({ status }) => status === 'running'),
      endedUntold: hasEnded.filter(({ requestId }) => !told.has(requestId)),
      toldUnended: told.size - hasEnded.length,
    }).toEqual({
      when,
      audit: { imbalance: 0, miscounted: 0, strayPayloads: 0 },
      lost: [],
      notAsTheyEnded: [],
      notWhole: [],
      running: [],
      endedUntold: [],
      toldUnended: 0,
    })
  } finally {
    await store.close()
  }
}

/** Events say the id of their task again and again. */
function isWhole(requestId: string, payload: Buffer | undefined): boolean {
  return payload?.equals(Buffer.alloc(payload.length, `${requestId} `)) === true
}
