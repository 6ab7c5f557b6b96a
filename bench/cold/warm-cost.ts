import { runLoad, type LoadResult } from '../load.ts'
import { spread, type Spread } from '../statistics.ts'
import type { RunningAnvoke } from '../systems/anvoke.ts'
import type { Workload } from '../workloads.ts'
import type { Stage } from './stage.ts'

/** What the sandbox costs a warm call: the same function on a server with and on one without it, in turns. */
export interface WarmCost {
  readonly rounds: number
  /** One connection. */
  readonly p50Ms: { readonly bwrap: Spread; readonly process: Spread; readonly ratio: Spread }
  /** Sixteen connections. */
  readonly requestsPerSecond: { readonly bwrap: Spread; readonly process: Spread; readonly ratio: Spread }
  readonly firstError: string | undefined
}

/** Loads "hello" with one and with sixteen connections, on both servers in turn. */
export async function measureWarmCost(
  { pooled, bare }: Stage,
  hello: Workload,
  rounds: number,
  signal: AbortSignal,
): Promise<WarmCost> {
  const results = { bwrap1: [], process1: [], bwrap16: [], process16: [] } as Record<string, LoadResult[]>
  const turns: readonly (readonly ['bwrap' | 'process', RunningAnvoke])[] = [
    ['bwrap', pooled],
    ['process', bare],
  ]
  for (const [, server] of turns) await load(server, 16)
  for (let round = 0; round < rounds; round += 1)
    for (const connections of [1, 16])
      for (const [name, server] of round % 2 === 0 ? turns : turns.toReversed())
        results[`${name}${connections}`]?.push(await load(server, connections))
  const all = Object.values(results).flat()
  return {
    rounds,
    p50Ms: compared(({ p50Ms }) => p50Ms, 1),
    requestsPerSecond: compared(({ requestsPerSecond }) => requestsPerSecond, 16),
    firstError: all.find(({ firstError }) => firstError !== undefined)?.firstError,
  }

  function compared(figure: (result: LoadResult) => number, connections: number) {
    const bwrap = (results[`bwrap${connections}`] ?? []).map(figure)
    const process = (results[`process${connections}`] ?? []).map(figure)
    const ratio = bwrap.map((value, round) => value / (process[round] ?? Number.NaN))
    return { bwrap: spread(bwrap), process: spread(process), ratio: spread(ratio) }
  }

  function load(server: RunningAnvoke, connections: number): Promise<LoadResult> {
    return runLoad(server.target('anvoke', hello), hello, { connections, durationSeconds: 1, signal })
  }
}
