import type { Results } from './results.ts'
import type { Spread } from './statistics.ts'
import type { Target } from './targets.ts'
import { ratio, type Cell } from './throughput.ts'

const titles: Readonly<Record<Cell['system'], string>> = {
  plain: 'plain node:http',
  'functions-framework': 'functions-framework',
  workerd: 'workerd',
  anvoke: 'Anvoke',
  'anvoke-16': 'Anvoke, instanceConcurrency 16',
}

/** The whole run as text: one table, then the figures that have no requests per second, then the targets. */
export function formatResults(results: Results): string {
  const { machine, plan } = results
  const head =
    `${machine.cpuCount} × ${machine.cpu}, kernel ${machine.kernel}, Node ${machine.node}, ` +
    `functions-framework ${machine.functionsFramework}, workerd ${machine.workerd}, wrk ${machine.wrk}; ` +
    `load average before: ${machine.loadAverage.toFixed(2)}; ${plan.mode} run, ` +
    `${plan.throughputRounds} × ${plan.runSeconds} s per row, ${Math.round(results.elapsedSeconds)} s in all`
  return [
    head,
    table(
      ['workload', 'conn.', 'system', 'req/s', '÷ plain', 'p50 ms', '÷ plain', 'p99 ms', 'errors'],
      results.cells.map((cell) => row(results.cells, cell)),
    ),
    startAndMemory(results),
    single(results),
    ...(results.tails.length === 0
      ? []
      : [['p99 of hello at 16 connections', ...results.tails.map(tailLine)].join('\n')]),
    table(['target', 'bound', 'measured', ''], results.targets.map(targetRow)),
    ...(results.problems.length === 0
      ? []
      : [['Problems', ...results.problems.map((text) => `- ${text}`)].join('\n')]),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

function row(cells: readonly Cell[], cell: Cell): string[] {
  const name = [cell.workload, String(cell.connections), titles[cell.system]]
  if (!cell.valid)
    return [...name, 'invalid', '', '', '', '', `${cell.errors}: ${cell.firstError ?? 'not measured'}`]
  return [
    ...name,
    Math.round(cell.requestsPerSecond.median).toString(),
    withQuartiles(ratio(cells, cell, cell.system, 'plain')),
    cell.p50Ms.median.toFixed(3),
    withQuartiles(ratio(cells, cell, cell.system, 'plain', 'p50Ms')),
    cell.p99Ms.median.toFixed(2),
    '0',
  ]
}

function startAndMemory(results: Results): string {
  const rows = Object.keys(results.readyMs).map((name) => {
    const ready = results.readyMs[name]
    const memory = results.memory[name]
    return [
      name,
      withQuartiles(ready, 0),
      mib(memory?.idle.rssMib),
      mib(memory?.loaded?.rssMib),
      mib(memory?.idle.treePssMib),
      mib(memory?.loaded?.treePssMib),
      `${memory?.idle.processes ?? '–'} → ${memory?.loaded?.processes ?? '–'}`,
    ]
  })
  const header = [
    'server',
    'ready ms',
    'RSS idle MiB',
    'after load',
    'tree PSS idle MiB',
    'after load',
    'processes',
  ]
  return table(header, rows)
}

function single({ coldStart, growth }: Results): string {
  const lines: string[] = []
  if (coldStart !== undefined) {
    lines.push(
      `First call of a fresh function: ${withQuartiles(coldStart.firstCallMs, 1)} ms; bare "node -e 0": ` +
        `${withQuartiles(coldStart.bareNodeMs, 1)} ms; ratio ${withQuartiles(coldStart.ratio)} (${coldStart.rounds} rounds)`,
    )
  }
  if (growth !== undefined) {
    const samples = growth.samples
      .map(({ calls, liveMib, rssMib }) => `${calls}: ${liveMib.toFixed(2)} / ${rssMib.toFixed(1)}`)
      .join(', ')
    lines.push(`Live heap / RSS of the server in MiB, garbage collected, after so many calls: ${samples}`)
    lines.push(`Growth: ${growthText(growth.grown)}`)
  }
  return lines.join('\n')
}

function growthText(grown: NonNullable<Results['growth']>['grown']): string {
  if (grown === undefined) return 'too few calls to judge'
  const bytesPerCall = (grown.liveMib * 1024 * 1024) / grown.calls
  return (
    `live heap ${grown.liveMib.toFixed(2)} MiB (${bytesPerCall.toFixed(1)} bytes a call), ` +
    `RSS ${grown.rssMib.toFixed(1)} MiB over ${grown.calls} calls`
  )
}

function tailLine(tail: Results['tails'][number]): string {
  return `- ${titles[tail.system]}: ${tail.p99Ms.toFixed(2)} ms. ${tail.cause}`
}

/** A row of the table of targets: name, bound, what was measured, and whether it is met. */
export function targetRow(target: Target): string[] {
  const digits = target.unit === 'ms' ? ((target.measured ?? 0) < 100 ? 1 : 0) : 2
  const measured =
    target.measured === undefined ? '–' : `${target.measured.toFixed(digits)} ${target.unit}`.trim()
  return [
    target.name,
    target.bound,
    measured,
    target.met === undefined ? 'not measured' : target.met ? 'met' : 'MISSED',
  ]
}

/** The median, with its quartiles in brackets where they differ. */
export function withQuartiles(value: Spread | undefined, digits = 2): string {
  if (value === undefined) return '–'
  const [median, q1, q3] = [value.median, value.q1, value.q3].map((number) => number.toFixed(digits))
  return q1 === q3 ? `${median}` : `${median} [${q1}–${q3}]`
}

function mib(value: number | undefined): string {
  return value === undefined ? '–' : value.toFixed(0)
}

/** A Markdown table whose columns are aligned. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows]
  const widths = header.map((_, column) => Math.max(...all.map((cells) => (cells[column] ?? '').length)))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((text, i) => text.padEnd(widths[i] ?? 0)).join(' | ')} |`
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  return [line(header), rule, ...rows.map(line)].join('\n')
}
