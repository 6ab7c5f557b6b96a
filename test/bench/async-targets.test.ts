import { describe, expect, test } from 'vitest'
import type { Rate } from '../../bench/async/rates.ts'
import { judgeAsync } from '../../bench/async/targets.ts'
import { waitingFigures, type WaitingCost, type WaitingFigure } from '../../bench/async/waiting.ts'

const spread = (median: number) => ({ median, q1: median, q3: median })
const percentiles = { p50: 10, p99: 12 }

function rate(connections: number, toWarm: number, toAppend: number): Rate {
  return {
    name: `accepted, ${connections} conn.`,
    perSecond: spread(1000),
    toWarm: spread(toWarm),
    toAppend: spread(toAppend),
    p50Ms: undefined,
    p99Ms: undefined,
    rounds: [1000],
  }
}

/** Costs with a thousand and a million waiting. */
function costs(figure: WaitingFigure, ratio: number, difference = 0): readonly WaitingCost[] {
  return [1000, 1_000_000].map((waiting) => ({
    waiting,
    figure,
    value: spread(1),
    ratio: spread(waiting === 1000 ? 1 : ratio),
    difference: spread(waiting === 1000 ? 0 : difference),
    rounds: [1],
  }))
}

function verdicts(
  rates: readonly Rate[],
  p50: number | undefined,
  waiting: readonly WaitingCost[],
): Record<string, boolean | undefined> {
  const shown =
    p50 === undefined
      ? undefined
      : {
          calls: 1,
          syncMs: percentiles,
          acceptedToBegunMs: { p50, p99: 99 },
          sentToBegunMs: percentiles,
          recordedMs: percentiles,
        }
  return Object.fromEntries(judgeAsync(rates, shown, waiting).map(({ name, met }) => [name, met]))
}

const accept = (connections: number) => `accepted ÷ warm calls, ${connections} connections`
const append = 'accepted ÷ append + fdatasync, 64 connections'
const start = '202 to start, p50, idle'
const ready = 'start-up, for each million waiting'

describe('the goals of asynchronous calls', () => {
  test('are met at their bounds', () => {
    const rates = [1, 16, 64].map((connections) => rate(connections, 0.5, 5))
    const met = verdicts(rates, 10, [
      ...costs('acceptedPerSecond', 0.67),
      ...costs('getMs', 1.5),
      ...costs('firstPageMs', 1.5),
      ...costs('nextPageMs', 1.5),
      ...costs('startMs', 1.5),
      ...costs('readyMs', 9, 990),
    ])
    expect(Object.keys(met)).toHaveLength(11)
    expect(new Set(Object.values(met))).toEqual(new Set([true]))
  })

  test('are missed beyond them, each by itself', () => {
    const met = verdicts([rate(1, 0.6, 1), rate(16, 0.49, 9), rate(64, 0.6, 4.9)], 10.1, [
      ...costs('acceptedPerSecond', 0.66),
      ...costs('getMs', 1.51),
      ...costs('readyMs', 1.1, 1000),
    ])
    expect(met).toMatchObject({
      [accept(1)]: true,
      [accept(16)]: false,
      [accept(64)]: true,
      [append]: false,
      [start]: false,
      [`${waitingFigures.acceptedPerSecond}: 1000000 ÷ 1000 waiting`]: false,
      'get one of them: 1000000 ÷ 1000 waiting': false,
      [ready]: false,
    })
  })

  test('that were not measured are neither', () => {
    expect(new Set(Object.values(verdicts([], undefined, [])))).toEqual(new Set([undefined]))
  })

  test('say nothing of start-up when few calls wait: the difference of two starts would be multiplied', () => {
    const few = costs('readyMs', 1.1, 30).map((cost) => ({
      ...cost,
      waiting: cost.waiting === 1000 ? 1000 : 20_000,
    }))
    expect(verdicts([], undefined, few)[ready]).toBeUndefined()
  })
})
