import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Turns } from '../../src/intake/slices.ts'

test('large bodies are worked on one at a time, also after one failed', async () => {
  const turns = new Turns()
  let running = 0
  const work = async (fails: boolean): Promise<number> => {
    running += 1
    const seen = running
    await setImmediate()
    running -= 1
    if (fails) throw new Error('broken')
    return seen
  }
  const outcomes = await Promise.allSettled([true, false, false].map((fails) => turns.run(() => work(fails))))
  expect(outcomes.slice(1)).toEqual([1, 1].map((value) => ({ status: 'fulfilled', value })))
})
