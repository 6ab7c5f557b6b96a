import type { Machine } from '../machine.ts'
import { table, targetRow, withQuartiles } from '../report.ts'
import type { Target } from '../targets.ts'
import { RECORD_BYTES } from './baselines.ts'
import type { Rate } from './rates.ts'
import { waitingFigures, type WaitingCost } from './waiting.ts'

/** Half and all but a hundredth of the calls took no longer. */
export interface Percentiles {
  readonly p50: number
  readonly p99: number
}

/** From request or 202 to the first line of the function, ms; all calls of all rounds. */
export interface Starts {
  readonly calls: number
  readonly syncMs: Percentiles
  readonly acceptedToBegunMs: Percentiles
  readonly sentToBegunMs: Percentiles
  readonly recordedMs: Percentiles
}

/** Everything one run measured; this object is the JSON output. Times in ms, memory in MiB. */
export interface AsyncResults {
  readonly startedAt: string
  readonly elapsedSeconds: number
  readonly mode: 'default' | 'quick'
  readonly machine: Machine
  readonly recordBytes: number
  readonly rates: readonly Rate[]
  readonly starts: Starts | undefined
  readonly waiting: readonly WaitingCost[]
  readonly targets: readonly Target[]
  /** What went wrong. Not empty: the run failed, whatever the figures say. */
  readonly problems: readonly string[]
}

/** The whole run as text: rates, starts, what waiting calls cost, then the targets. */
export function formatAsync(results: AsyncResults): string {
  const { machine, rates, starts, waiting, targets, problems } = results
  const head =
    `${machine.cpuCount} × ${machine.cpu}, kernel ${machine.kernel}, Node ${machine.node}, wrk ${machine.wrk}; load ` +
    `average before: ${machine.loadAverage.toFixed(2)}; ${results.mode} run, ${rates[0]?.rounds.length ?? 0} rounds, ` +
    `records of ${RECORD_BYTES} bytes, ${Math.round(results.elapsedSeconds)} s in all`
  return [
    head,
    table(
      ['durable records or calls', 'a second', '÷ warm', '÷ append', 'p50 ms', 'p99 ms'],
      rates.map(({ name, perSecond, toWarm, toAppend, p50Ms, p99Ms }) => [
        name,
        perSecond.median.toFixed(0),
        toWarm === undefined ? '' : withQuartiles(toWarm),
        toAppend === undefined ? '' : withQuartiles(toAppend, 1),
        p50Ms === undefined ? '' : p50Ms.median.toFixed(2),
        p99Ms === undefined ? '' : p99Ms.median.toFixed(1),
      ]),
    ),
    ...(starts === undefined ? [] : [startTable(starts)]),
    ...(waiting.length === 0 ? [] : [waitingTable(waiting)]),
    table(['target', 'bound', 'measured', ''], targets.map(targetRow)),
    ...(problems.length === 0 ? [] : [['Problems', ...problems.map((text) => `- ${text}`)].join('\n')]),
  ].join('\n\n')
}

function startTable(starts: Starts): string {
  const row = (name: string, { p50, p99 }: Percentiles) => [name, p50.toFixed(2), p99.toFixed(2)]
  return table(
    [`one call at a time, ${starts.calls} calls`, 'p50 ms', 'p99 ms'],
    [
      row('synchronous: request to start', starts.syncMs),
      row('asynchronous: 202 to start', starts.acceptedToBegunMs),
      row('asynchronous: request to start', starts.sentToBegunMs),
      row("server's records: received to started", starts.recordedMs),
    ],
  )
}

function waitingTable(waiting: readonly WaitingCost[]): string {
  const sizes = [...new Set(waiting.map((cost) => cost.waiting))]
  const names = [...new Set(waiting.map((cost) => cost.figure))]
  return table(
    ['with calls waiting', ...sizes.map(String), `${sizes.at(-1)} ÷ ${sizes[0]}`],
    names.map((figure) => {
      const costs = sizes.map((size) =>
        waiting.find((cost) => cost.figure === figure && cost.waiting === size),
      )
      const digits = figure.endsWith('Ms') && figure !== 'readyMs' ? 2 : 0
      return [
        waitingFigures[figure],
        ...costs.map((cost) => withQuartiles(cost?.value, digits)),
        withQuartiles(costs.at(-1)?.ratio),
      ]
    }),
  )
}
