import type { Target } from '../targets.ts'
import { acceptConnections, rateNames, type Rate } from './rates.ts'
import type { Starts } from './report.ts'
import { waitingFigures, type WaitingCost, type WaitingFigure } from './waiting.ts'

const MILLION = 1_000_000
/** What "flat" means: the most waiting cost no more than this times what the fewest do. */
const FLAT = 1.5
/** Figures of which more is better. */
const RATES: ReadonlySet<WaitingFigure> = new Set(['acceptedPerSecond'])

/** What the project promises about asynchronous calls, with what a run says about it: medians. */
export function judgeAsync(
  rates: readonly Rate[],
  starts: Starts | undefined,
  waiting: readonly WaitingCost[],
): readonly Target[] {
  const rate = (name: string) => rates.find((one) => one.name === name)
  const most = Math.max(...waiting.map((cost) => cost.waiting))
  const fewest = Math.min(...waiting.map((cost) => cost.waiting))
  const cost = (figure: WaitingFigure) => waiting.find((one) => one.figure === figure && one.waiting === most)
  const flat = ['acceptedPerSecond', 'getMs', 'firstPageMs', 'nextPageMs', 'startMs'] as const
  const perMillion = cost('readyMs')
  return [
    ...acceptConnections.map((connections) =>
      atLeast(
        0.5,
        `accepted ÷ warm calls, ${connections} connections`,
        rate(rateNames.accept(connections))?.toWarm?.median,
      ),
    ),
    atLeast(5, 'accepted ÷ append + fdatasync, 64 connections', rate(rateNames.accept(64))?.toAppend?.median),
    atMost(10, '202 to start, p50, idle', starts?.acceptedToBegunMs.p50, 'ms'),
    ...flat.map((figure) => {
      const measured = cost(figure)?.ratio.median
      const sizes = waiting.length === 0 ? 'most ÷ fewest' : `${most} ÷ ${fewest}`
      const name = `${waitingFigures[figure].replace(/, ms$/, '')}: ${sizes} waiting`
      return RATES.has(figure)
        ? atLeast(Math.round(100 / FLAT) / 100, name, measured)
        : atMost(FLAT, name, measured, '')
    }),
    atMost(
      1000,
      'start-up, for each million waiting',
      // With few, the differences between any two starts would be multiplied.
      perMillion && most - fewest >= MILLION / 2
        ? (perMillion.difference.median * MILLION) / (most - fewest)
        : undefined,
      'ms',
    ),
  ]
}

function atLeast(bound: number, name: string, measured: number | undefined): Target {
  const met = isMissing(measured) ? undefined : measured >= bound
  return { name, bound: `≥ ${bound}`, measured, unit: '', met }
}

function atMost(bound: number, name: string, measured: number | undefined, unit: Target['unit']): Target {
  const met = isMissing(measured) ? undefined : measured <= bound
  return { name, bound: `≤ ${bound}${unit === '' ? '' : ` ${unit}`}`, measured, unit, met }
}

function isMissing(measured: number | undefined): measured is undefined {
  return measured === undefined || Number.isNaN(measured)
}
