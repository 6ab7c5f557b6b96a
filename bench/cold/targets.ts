import type { Target } from '../targets.ts'
import type { IdleMemory } from './idle-memory.ts'
import { rowNames, type Figure } from './rows.ts'
import type { WarmCost } from './warm-cost.ts'

/** What the project promises about first calls, sandbox and idle memory, with what a run says about it: medians. */
export function judgeCold(
  rows: readonly Figure[],
  warmCost: WarmCost | undefined,
  memory: readonly IdleMemory[],
): readonly Target[] {
  const row = (name: string) => rows.find((figure) => figure.name === name)
  const pss = (language: string) => memory.find((idle) => idle.language === language)?.pssMib
  const share = warmCost?.requestsPerSecond.ratio.median
  return [
    atMost(
      5,
      'first call above a warm one, Node.js, processes started ahead',
      row(rowNames.pooled('Node.js'))?.aboveWarmMs?.median,
      'ms',
    ),
    atMost(
      1.3,
      'first call ÷ bare node, Node.js, none started ahead',
      row(rowNames.unpooled('Node.js'))?.ratio?.median,
      '',
    ),
    atMost(
      10,
      'first call above a warm one, Python, processes started ahead',
      row(rowNames.pooled('Python'))?.aboveWarmMs?.median,
      'ms',
    ),
    atMost(1.1, 'warm call, p50 at 1 connection: bwrap ÷ process', warmCost?.p50Ms.ratio.median, ''),
    {
      name: 'warm calls, requests/s at 16 connections: bwrap ÷ process',
      bound: '≥ 0.9',
      measured: share,
      unit: '',
      met: isMissing(share) ? undefined : share >= 0.9,
    },
    atMost(15, 'PSS of an idle Node.js instance', pss('Node.js'), 'MiB'),
    atMost(5, 'PSS of an idle Python instance', pss('Python'), 'MiB'),
  ]
}

function atMost(bound: number, name: string, measured: number | undefined, unit: Target['unit']): Target {
  const met = isMissing(measured) ? undefined : measured <= bound
  return { name, bound: `≤ ${bound}${unit === '' ? '' : ` ${unit}`}`, measured, unit, met }
}

function isMissing(measured: number | undefined): measured is undefined {
  return measured === undefined || Number.isNaN(measured)
}
