import type { Machine } from '../machine.ts'
import { table, targetRow, withQuartiles } from '../report.ts'
import { formatLayers, type LayerCost } from '../start-cost.ts'
import type { Target } from '../targets.ts'
import type { Burst } from './burst.ts'
import type { IdleMemory } from './idle-memory.ts'
import type { Figure } from './rows.ts'
import type { WarmCost } from './warm-cost.ts'

/** Everything one run measured; this object is the JSON output. Times in ms, memory in MiB. */
export interface ColdResults {
  readonly startedAt: string
  readonly elapsedSeconds: number
  readonly mode: 'default' | 'quick'
  readonly machine: Machine
  readonly rows: readonly Figure[]
  readonly bursts: readonly Burst[]
  readonly idleMemory: readonly IdleMemory[]
  readonly layers: readonly LayerCost[]
  readonly warmCost: WarmCost | undefined
  readonly targets: readonly Target[]
  /** What went wrong. Not empty: the run failed, whatever the figures say. */
  readonly problems: readonly string[]
}

/** The whole run as text: starts, bursts, memory, layers, warm calls, then the targets. */
export function formatCold(results: ColdResults): string {
  const { machine, rows, bursts, idleMemory, layers, warmCost, targets, problems } = results
  const head =
    `${machine.cpuCount} × ${machine.cpu}, kernel ${machine.kernel}, Node ${machine.node}; load average before: ` +
    `${machine.loadAverage.toFixed(2)}; ${results.mode} run, ${rows[0]?.rounds.length ?? 0} rounds, ` +
    `${Math.round(results.elapsedSeconds)} s in all`
  return [
    head,
    table(
      ['start or call', 'ms', '÷ baseline', 'above warm, ms'],
      rows.map(({ name, ms, ratio, aboveWarmMs }) => [
        name,
        withQuartiles(ms, 1),
        ratio === undefined ? '' : `${withQuartiles(ratio)} of ${ratio.to}`,
        aboveWarmMs === undefined ? '' : withQuartiles(aboveWarmMs, 1),
      ]),
    ),
    table(
      [
        'burst of first calls',
        'answered',
        'all in, ms',
        'slowest tenth from, ms',
        'instances',
        'processes started',
      ],
      bursts.map((burst) => [
        `${burst.calls} × ${burst.language}`,
        `${burst.answered} of ${burst.calls * burst.rounds}`,
        withQuartiles(burst.totalMs, 0),
        withQuartiles(burst.slowestTenthMs, 0),
        withQuartiles(burst.instances, 0),
        withQuartiles(burst.processesStarted, 0),
      ]),
    ),
    table(
      ['idle instances', 'PSS each, MiB', 'of it the interpreter', 'processes each'],
      idleMemory.map(({ language, instances, pssMib, interpreterPssMib, processes }) => [
        `${instances} × ${language}`,
        pssMib.toFixed(1),
        withQuartiles(interpreterPssMib, 1),
        processes.toFixed(1),
      ]),
    ),
    ...(layers.length === 0 ? [] : [formatLayers(layers)]),
    ...(warmCost === undefined
      ? []
      : [
          table(
            ['warm call', 'bwrap', 'process', 'bwrap ÷ process'],
            [
              ['p50 at 1 connection, ms', ...compared(warmCost.p50Ms, 3)],
              ['requests/s at 16 connections', ...compared(warmCost.requestsPerSecond, 0)],
            ],
          ),
        ]),
    table(['target', 'bound', 'measured', ''], targets.map(targetRow)),
    ...(problems.length === 0 ? [] : [['Problems', ...problems.map((text) => `- ${text}`)].join('\n')]),
  ].join('\n\n')
}

function compared({ bwrap, process, ratio }: WarmCost['p50Ms'], digits: number): string[] {
  return [withQuartiles(bwrap, digits), withQuartiles(process, digits), withQuartiles(ratio)]
}
