import { toleratedMib, type Growth } from './growth.ts'
import type { Spread } from './statistics.ts'
import type { SystemName } from './systems/system.ts'
import { ratio, type Cell } from './throughput.ts'

/** A promise of the project, with what this run says about it. */
export interface Target {
  readonly name: string
  /** The bound in words, such as "≥ 0.5". */
  readonly bound: string
  /** Undefined when it was not measured. */
  readonly measured: number | undefined
  /** Unit of `measured`: a ratio when empty. */
  readonly unit: '' | 'ms' | 'MiB'
  readonly met: boolean | undefined
}

/** Compares a run with what the project promises. Ratios are medians of per-round ratios. */
export function judge(
  cells: readonly Cell[],
  readyMs: Readonly<Record<string, Spread>>,
  growth: Growth | undefined,
): readonly Target[] {
  return [
    atLeast(0.5, 'throughput ÷ plain node:http, one call per instance', throughput('anvoke', 'plain')),
    atLeast(0.6, 'throughput ÷ plain node:http, instanceConcurrency 16', throughput('anvoke-16', 'plain')),
    atLeast(
      1.8,
      'throughput ÷ functions-framework, one call per instance',
      throughput('anvoke', 'functions-framework'),
    ),
    atLeast(1.2, 'throughput ÷ workerd, one call per instance', throughput('anvoke', 'workerd')),
    atMost(
      2.5,
      'p50 ÷ plain node:http at 1 connection',
      ratio(cells, { workload: 'hello', connections: 1 }, 'anvoke', 'plain', 'p50Ms')?.median,
      '',
    ),
    atMost(500, 'server ready', readyMs['anvoke']?.median, 'ms'),
    atMost(
      toleratedMib.live,
      'growth of live heap from 20 000 to 100 000 calls',
      growth?.grown?.liveMib,
      'MiB',
    ),
    atMost(
      toleratedMib.rss,
      'growth of server RSS from 20 000 to 100 000 calls',
      growth?.grown?.rssMib,
      'MiB',
    ),
  ]

  function throughput(system: SystemName, base: SystemName): number | undefined {
    return ratio(cells, { workload: 'hello', connections: 16 }, system, base)?.median
  }
}

function atLeast(bound: number, name: string, measured: number | undefined): Target {
  const met = measured === undefined ? undefined : measured >= bound
  return { name: `hello, 16 connections: ${name}`, bound: `≥ ${bound}`, measured, unit: '', met }
}

function atMost(bound: number, name: string, measured: number | undefined, unit: Target['unit']): Target {
  const met = measured === undefined || Number.isNaN(measured) ? undefined : measured <= bound
  return { name, bound: `≤ ${bound}${unit === '' ? '' : ` ${unit}`}`, measured, unit, met }
}
