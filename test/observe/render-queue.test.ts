import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { RenderQueue } from '../../src/observe/render-queue.ts'

test('makes long texts into lines a slice each turn, in their order', async () => {
  const queue = new RenderQueue()
  const made: number[] = []
  for (let number = 0; number < 10; number += 1) queue.enter(30_000, () => made.push(number))
  expect(made).toEqual([])
  let before = 0
  while (made.length < 10) {
    await nextTurn()
    expect(made.length - before).toBeLessThanOrEqual(2)
    before = made.length
  }
  expect(made).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  expect(queue.isEmpty).toBe(true)
  expect(queue.bytes).toBe(0)
})

test('takes one that is longer than a slice by itself', async () => {
  const queue = new RenderQueue()
  const made: string[] = []
  queue.enter(10_000_000, () => made.push('long'))
  queue.enter(1, () => made.push('short'))
  expect(queue.bytes).toBeGreaterThan(10_000_000)
  await nextTurn()
  expect(made).toEqual(['long'])
  await queue.settled()
  expect(made).toEqual(['long', 'short'])
})

test('is settled when what was there is made, whatever comes later', async () => {
  const queue = new RenderQueue()
  let made = 0
  let endless = true
  const again = (): void => {
    made += 1
    if (endless) queue.enter(100_000, again)
  }
  queue.enter(100_000, again)
  await queue.settled()
  expect(made).toBeGreaterThanOrEqual(1)
  expect(queue.isEmpty).toBe(false)
  endless = false
  await queue.settled()
})
